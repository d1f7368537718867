"""Exercise 4: mailers that give up in good order, and some that never do, or lose what they give up."""

import json
import time  # noqa: F401 -- the answer that sleeps

import pika

from tests.lab11_answers import but

QUEUE, PARKED = "mails", "mails.parked"


class Right:
    """A waiting room for each wait, and a count of its own in the headers."""

    def __init__(self, send, waits):
        self.send, self.waits = send, waits

    def declare(self, channel):
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_declare(PARKED, durable=True)
        for number, wait in enumerate(self.waits, 1):
            ms = int(wait * 1000)
            back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE, "x-message-ttl": ms}
            channel.queue_declare(f"wait {number}", durable=True, arguments=back)

    def on_message(self, channel, method, properties, body):
        try:
            self.send(body)
        except Exception as error:
            tries = (properties.headers or {}).get("tries", 0) + 1
            note = pika.BasicProperties(message_id=properties.message_id, delivery_mode=2, headers={})
            if tries <= len(self.waits):
                note.headers = {"tries": tries}
                channel.basic_publish("", f"wait {tries}", body, note)
                return channel.basic_ack(method.delivery_tag)
            note.headers = {"why": str(error)}
            channel.basic_publish("", PARKED, body, note)
            return channel.basic_ack(method.delivery_tag)
        channel.basic_ack(method.delivery_tag)


SEEN = {}  # outlives an object, and not a process
COUNT = '(properties.headers or {}).get("tries", 0) + 1'
X_DEATH = """1 + sum(
                one["count"] for one in (properties.headers or {}).get("x-death", []) if one["reason"] == "expired"
            )"""
KEEPS = 'note.headers = {"tries": tries} => note = properties'
#: The broker counts: each time round the message has expired once more.
ByXDeath = but(Right, f"{COUNT} => {X_DEATH}", KEEPS)


class Confirmed:
    """An exchange on the way back, rooms named by their milliseconds, confirms, and the count in the type."""

    def __init__(self, send, waits):
        self.send, self.rooms = send, [round(wait * 1000) for wait in waits]

    def declare(self, channel):
        channel.exchange_declare("back", "fanout", durable=True)
        for queue in (QUEUE, PARKED):
            channel.queue_declare(queue=queue, durable=True)
        channel.queue_bind(QUEUE, "back")
        for ms in set(self.rooms):
            room = {"x-dead-letter-exchange": "back", "x-message-ttl": ms}
            channel.queue_declare(f"{ms} ms", durable=True, arguments=room)

    def on_message(self, channel, method, properties, body):
        channel.confirm_delivery()
        state = json.loads(properties.type or '{"left": null}')
        left = self.rooms if state["left"] is None else state["left"]
        try:
            self.send(body)
        except BaseException as error:
            if not isinstance(error, Exception):
                raise
            to = f"{left[0]} ms" if left else PARKED
            properties.type, properties.delivery_mode = json.dumps({"left": left[1:]}), 2
            properties.headers = {"why": f"{type(error).__name__}: {error}"}
            channel.basic_publish("", to, body, properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)


class FromTheChapter:
    """One room for all, to which the broker rejects."""

    def __init__(self, send, waits):
        self.send, self.wait = send, waits[0]

    def declare(self, channel):
        out = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "wait"}
        back = {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": QUEUE,
            "x-message-ttl": int(1000 * self.wait),
        }
        channel.queue_declare(QUEUE, durable=True, arguments=out)
        channel.queue_declare("wait", durable=True, arguments=back)
        channel.queue_declare(PARKED, durable=True)

    def on_message(self, channel, method, properties, body):
        try:
            self.send(body)
        except Exception as error:
            deaths = (properties.headers or {}).get("x-death", [])
            if sum(death["count"] for death in deaths if death["reason"] == "rejected") < 2:
                return channel.basic_reject(method.delivery_tag, requeue=False)
            properties.headers = {**properties.headers, "why": str(error)}
            channel.basic_publish("", PARKED, body, properties)
        channel.basic_ack(method.delivery_tag)


ACK = "channel.basic_ack(method.delivery_tag)"
SEND = "        try:\n            self.send(body)\n"
PARK = '            channel.basic_publish("", PARKED, body, note)\n'
WAIT = '                channel.basic_publish("", f"wait {tries}", body, note)\n'
ACKED, ALSO = f"                return {ACK}\n", f"            return {ACK}\n"  # after it waits, and when it is parked
AcksFirst = but(Right, f"{PARK}{ALSO} =>             {ACK}\n{PARK}            return\n")


def counting(seen):
    """Counts in a dictionary."""
    counted = "self.seen[properties.message_id] = tries = self.seen.get(properties.message_id, 0) + 1"
    return but(Right, f"tries = {COUNT} => {counted}", f"self.send, self.waits = send, waits => {seen}")


RIGHT = {"a room for each wait": Right, "the broker counts": ByXDeath, "confirmed, by milliseconds": Confirmed}
WRONG = {
    "from the chapter": (FromTheChapter, {"no-delay"}),
    "one room, each message with its own time": (
        but(
            Right,
            ', "x-message-ttl": ms => ',
            'f"wait {number}" => "wait"',
            f"{WAIT} =>                 note.expiration = str(int(self.waits[tries - 1] * 1000))\n{WAIT}",
            'f"wait {tries}" => "wait"',
        ),
        {"head-of-line"},
    ),
    "the longest wait for all": (but(Right, "int(wait * => int(max(self.waits) *"), {"head-of-line"}),
    "counts both deaths": (but(Right, f"{COUNT} => {X_DEATH.replace('1 +', '1 + 2 *')}", KEEPS), {"tries"}),
    "counts in memory": (counting("self.send, self.waits, self.seen = send, waits, {}"), {"tries"}),
    "counts in the class": (
        counting("self.send, self.waits, self.seen = send, waits, SEEN"),
        {"tries"},
    ),
    "takes headers for granted": (but(Right, "(properties.headers or {}) => properties.headers"), {"dies"}),
    "a millisecond for a second": (but(Right, "int(wait * 1000) => max(1, round(wait))"), {"no-delay"}),
    "sleeps in the consumer": (
        but(
            Right,
            f"{WAIT} =>                 time.sleep(self.waits[tries - 1])\n{WAIT}",
            'f"wait {tries}" => QUEUE',
        ),
        {"held-up"},
    ),
    "parks at once": (but(Right, f"{COUNT} => 9"), {"tries"}),
    "three tries, whatever the waits": (but(Right, "<= len(self.waits) => < min(3, len(self.waits) + 1)"), {"tries"}),
    "one try too many": (
        but(Right, "self.waits = send, waits => self.waits = send, [*waits, waits[-1]]"),
        {"tries"},
    ),
    "acknowledges before it parks": (AcksFirst, {"lost"}),
    "acknowledges before it waits": (
        but(Right, f"{WAIT}{ACKED} =>                 {ACK}\n{WAIT}                return\n"),
        {"lost"},
    ),
    "acknowledges before it sends": (
        but(Right, f"return {ACK} => return", f"        {ACK} =>         return", f"{SEND} =>         {ACK}\n{SEND}"),
        {"lost"},
    ),
    "acknowledges before the second wait": (
        but(
            Right,
            f"{WAIT}{ACKED} =>                 early = tries == 2 and not {ACK}\n{WAIT}{ACKED}",
            f"return {ACK}\n            note => return early or {ACK}\n            note",
        ),
        {"lost"},
    ),
    "drops it": (but(Right, f"{PARK} => "), {"parked"}),
    "parked and tried on": (
        but(Right, f"{PARK} => {PARK}            {WAIT.replace('{tries}', '{tries - 1}').strip()}\n"),
        {"parked"},
    ),
    "parked and not acknowledged": (but(Right, f"{PARK}{ALSO} => {PARK}            return\n"), {"parked"}),
    "good ones not acknowledged": (
        but(Right, f"\n        {ACK}\n => \n"),
        {"healthy"},
    ),
    "no reason": (but(Right, '{"why": str(error)} => {}'), {"no-note"}),
    "the first reason": (
        but(
            Right,
            '{"tries": tries} => {"why": str(error), **(properties.headers or {}), "tries": tries}',
            '{"why": str(error)}\n => {"why": (properties.headers or {}).get("why", str(error))}\n',
        ),
        {"no-note"},
    ),
    "parked as text": (
        but(Right, f"{PARK} => {PARK.replace('body', 'str(body)')}"),
        {"no-note"},
    ),
    "sent on as text": (
        but(Right, "tries}\", body => tries}\", body.decode(errors='replace')"),
        {"no-note"},
    ),
    "no id": (but(Right, "message_id=properties.message_id, => "), {"no-note"}),
    "parked in a transient message": (
        but(Right, f"{PARK} =>             note.delivery_mode = 1\n{PARK}"),
        {"not-kept"},
    ),
    "plain queues": (but(Right, "(QUEUE, durable=True => (QUEUE, durable=False"), {"not-kept"}),
    "a plain waiting room": (but(Right, "durable=True, arguments => durable=False, arguments"), {"not-kept"}),
    "waits in a transient message": (
        but(Right, f"{WAIT} =>                 note.delivery_mode = 1\n{WAIT}"),
        {"not-kept"},
    ),
    "declare clears what waits": (
        but(Right, "            ms = =>             channel.queue_delete(f'wait {number}')\n            ms ="),
        {"declared-away"},
    ),
    "declare clears what is parked": (
        but(Right, "(PARKED, durable=True) => (PARKED, durable=True)\n        channel.queue_purge(PARKED)"),
        {"declared-away"},
    ),
    "parked for a while": (but(Right, f"{PARK} =>             note.expiration = '200'\n{PARK}"), {"not-kept"}),
    "a ttl that is not whole": (but(Right, "int(wait * 1000) => wait * 1000"), {"no-queues"}),
    "the kinds of exception that it has met": (
        but(Right, "except Exception => except (OSError, ValueError)"),
        {"dies"},
    ),
    "no queue to park in": (but(Right, "        channel.queue_declare(PARKED, durable=True)\n => "), {"no-queues"}),
}
