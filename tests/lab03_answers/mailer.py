"""Exercise 4: mailers that give up in good order, and some that never do, or lose what they give up."""

import json
import time

import pika

QUEUE, PARKED = "mails", "mails.parked"


class Right:
    """A waiting room for each wait, and a count of its own in the headers. A mistake is a subclass that overrides one
    part."""

    mode, durable, room_durable = 2, True, True

    def __init__(self, send, waits):
        self.send, self.waits = send, waits

    def declare(self, channel):
        channel.queue_declare(QUEUE, durable=self.durable)
        channel.queue_declare(PARKED, durable=self.durable)
        for number, wait in enumerate(self.waits, 1):
            back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE, "x-message-ttl": self.ms(wait)}
            channel.queue_declare(self.room(number), durable=self.room_durable, arguments=back)

    def room(self, number):
        return f"mails.wait.{number}"

    def ms(self, wait):
        return int(wait * 1000)

    def failed(self, method, properties):
        """Failures, with this one."""
        return (properties.headers or {}).get("tries", 0) + 1

    def on_message(self, channel, method, properties, body):
        try:
            self.try_it(body)
        except Exception as error:
            tries = self.failed(method, properties)
            if tries <= len(self.waits):
                return self.later(channel, method, properties, body, tries)
            return self.give_up(channel, method, properties, body, error)
        self.sent(channel, method)

    def try_it(self, body):
        self.send(body)

    def sent(self, channel, method):
        channel.basic_ack(method.delivery_tag)

    def later(self, channel, method, properties, body, tries):
        channel.basic_publish("", self.room(tries), body, self.waiting(properties, tries))
        channel.basic_ack(method.delivery_tag)

    def waiting(self, properties, tries):
        return pika.BasicProperties(message_id=properties.message_id, delivery_mode=2, headers={"tries": tries})

    def give_up(self, channel, method, properties, body, error):
        self.park(channel, properties, body, error)
        channel.basic_ack(method.delivery_tag)

    def park(self, channel, properties, body, error):
        channel.basic_publish("", PARKED, body, self.note(properties, error))

    def note(self, properties, error):
        headers = {"why": str(error)}
        return pika.BasicProperties(message_id=properties.message_id, delivery_mode=self.mode, headers=headers)


class ByXDeath(Right):
    """The broker counts: each time round the message has expired once more."""

    def failed(self, method, properties):
        deaths = (properties.headers or {}).get("x-death", [])
        return 1 + sum(death["count"] for death in deaths if death["reason"] == "expired")

    def waiting(self, properties, tries):
        properties.delivery_mode = 2
        return properties


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
        self.clear(channel)
        out = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "wait"}
        back = {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": QUEUE,
            "x-message-ttl": int(1000 * self.wait),
        }
        channel.queue_declare(QUEUE, durable=True, arguments=out)
        channel.queue_declare("wait", durable=True, arguments=back)
        channel.queue_declare(PARKED, durable=True)

    def clear(self, channel):
        pass

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


class OneRoom(Right):
    """One room for all, where each message says itself how long it waits."""

    def declare(self, channel):
        back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": QUEUE}
        for name, arguments in ((QUEUE, None), (PARKED, None), ("wait", back)):
            channel.queue_declare(name, durable=True, arguments=arguments)

    def room(self, number):
        return "wait"

    def waiting(self, properties, tries):
        kept = super().waiting(properties, tries)
        kept.expiration = str(self.ms(self.waits[tries - 1]))
        return kept


class LongestForAll(Right):
    def ms(self, wait):
        return int(max(self.waits) * 1000)


class CountsBoth(ByXDeath):
    """Rejected into the first room, so that each time round has two deaths, and counts both."""

    def failed(self, method, properties):
        return super().failed(method, properties) * 2 - 1


class CountsInMemory(Right):
    def __init__(self, send, waits):
        super().__init__(send, waits)
        self.seen = {}

    def failed(self, method, properties):
        self.seen[properties.message_id] = self.seen.get(properties.message_id, 0) + 1
        return self.seen[properties.message_id]


class CountsInTheClass(CountsInMemory):
    """Outlives the object, and not the process."""

    counted = {}

    def __init__(self, send, waits):
        self.send, self.waits, self.seen = send, waits, self.counted


class NoHeadersNoTries(Right):
    """Whoever publishes sends headers, doesn't he?"""

    def failed(self, method, properties):
        return properties.headers.get("tries", 0) + 1


class Seconds(Right):
    """A millisecond for a second."""

    def ms(self, wait):
        return max(1, round(wait))


class Sleeps(Right):
    """Waits in the consumer, then sends it to the end of the queue."""

    def later(self, channel, method, properties, body, tries):
        time.sleep(self.waits[tries - 1])
        channel.basic_publish("", QUEUE, body, self.waiting(properties, tries))
        channel.basic_ack(method.delivery_tag)


class AtOnce(Right):
    def failed(self, method, properties):
        return 9


class ThreeTries(Right):
    """As in the chapter: three, however many waits there are."""

    def failed(self, method, properties):
        tries = super().failed(method, properties)
        return 9 if tries == 3 else tries


class OneTooMany(Right):
    def __init__(self, send, waits):
        super().__init__(send, [*waits, waits[-1]])


class AcksFirst(Right):
    def give_up(self, channel, method, properties, body, error):
        channel.basic_ack(method.delivery_tag)
        self.park(channel, properties, body, error)


class AcksBeforeItWaits(Right):
    def later(self, channel, method, properties, body, tries):
        channel.basic_ack(method.delivery_tag)
        channel.basic_publish("", self.room(tries), body, self.waiting(properties, tries))


class AcksBeforeItSends(Right):
    def on_message(self, channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        channel.basic_ack, ack = lambda tag: None, channel.basic_ack
        super().on_message(channel, method, properties, body)
        channel.basic_ack = ack


class AcksBeforeTheSecondWait(AcksBeforeItWaits):
    def later(self, channel, method, properties, body, tries):
        way = super() if tries == 2 else super(AcksBeforeItWaits, self)
        way.later(channel, method, properties, body, tries)


class Drops(Right):
    def park(self, channel, properties, body, error):
        pass


class TriesOnWhatIsParked(Right):
    def give_up(self, channel, method, properties, body, error):
        self.park(channel, properties, body, error)
        self.later(channel, method, properties, body, len(self.waits))


class ParkedIsNotAcked(Right):
    def give_up(self, channel, method, properties, body, error):
        self.park(channel, properties, body, error)


class GoodAreNotAcked(Right):
    def sent(self, channel, method):
        pass


class NoReason(Right):
    def note(self, properties, error):
        return pika.BasicProperties(message_id=properties.message_id, delivery_mode=2)


class FirstReason(Right):
    """Keeps the first exception that it saw, and says that."""

    def waiting(self, properties, tries):
        return pika.BasicProperties(
            message_id=properties.message_id,
            delivery_mode=2,
            headers={"tries": tries, "why": "the mail server is away"},
        )

    def note(self, properties, error):
        properties.headers, properties.delivery_mode = {"why": properties.headers.get("why", str(error))}, 2
        return properties


class NoId(Right):
    def note(self, properties, error):
        return pika.BasicProperties(headers={"why": str(error)}, delivery_mode=2)


class Transient(Right):
    mode = None


class PlainQueues(Right):
    durable = False


class PlainRoom(Right):
    room_durable = False


class WaitsTransient(Right):
    def waiting(self, properties, tries):
        return pika.BasicProperties(message_id=properties.message_id, headers={"tries": tries})


class ClearsFirst(Right):
    """A clean start for each process, as in a notebook."""

    def declare(self, channel):
        for number in range(1, len(self.waits) + 1):
            channel.queue_delete(self.room(number))
        super().declare(channel)


class ClearsTheParked(Right):
    def declare(self, channel):
        super().declare(channel)
        channel.queue_purge(PARKED)


class ParksForAWhile(Right):
    """The time that it waited for is still on it."""

    def note(self, properties, error):
        kept = super().note(properties, error)
        kept.expiration = str(self.ms(self.waits[-1])) if self.waits else None
        return kept


class FloatTtl(Right):
    def ms(self, wait):
        return wait * 1000


class OnlyValueError(Right):
    """Knows the kinds of exception that it has met."""

    def try_it(self, body):
        try:
            self.send(body)
        except (OSError, ValueError, RuntimeError):
            raise
        except Exception as error:
            raise SystemExit(str(error)) from None


class NoQueues(Right):
    def declare(self, channel):
        channel.queue_declare(QUEUE, durable=True)


RIGHT = {"a room for each wait": Right, "the broker counts": ByXDeath, "confirmed, by milliseconds": Confirmed}
WRONG = {
    "from the chapter": (FromTheChapter, {"no-delay"}),
    "one room, each message with its own time": (OneRoom, {"head-of-line"}),
    "the longest wait for all": (LongestForAll, {"head-of-line"}),
    "counts both deaths": (CountsBoth, {"too-few"}),
    "counts in memory": (CountsInMemory, {"unbounded"}),
    "counts in the class": (CountsInTheClass, {"too-few"}),
    "takes headers for granted": (NoHeadersNoTries, {"dies"}),
    "a millisecond for a second": (Seconds, {"no-delay"}),
    "sleeps in the consumer": (Sleeps, {"held-up"}),
    "parks at once": (AtOnce, {"too-few"}),
    "three tries, whatever the waits": (ThreeTries, {"too-few"}),
    "one try too many": (OneTooMany, {"unbounded"}),
    "acknowledges before it parks": (AcksFirst, {"lost"}),
    "acknowledges before it waits": (AcksBeforeItWaits, {"lost"}),
    "acknowledges before it sends": (AcksBeforeItSends, {"lost"}),
    "acknowledges before the second wait": (AcksBeforeTheSecondWait, {"lost"}),
    "drops it": (Drops, {"not-parked"}),
    "parked and tried on": (TriesOnWhatIsParked, {"goes-round"}),
    "parked and not acknowledged": (ParkedIsNotAcked, {"goes-round"}),
    "good ones not acknowledged": (GoodAreNotAcked, {"healthy"}),
    "no reason": (NoReason, {"no-reason"}),
    "the first reason": (FirstReason, {"no-reason"}),
    "no id": (NoId, {"no-id"}),
    "parked in a transient message": (Transient, {"not-kept"}),
    "plain queues": (PlainQueues, {"not-kept"}),
    "a plain waiting room": (PlainRoom, {"not-kept"}),
    "waits in a transient message": (WaitsTransient, {"waits-unkept"}),
    "declare clears what waits": (ClearsFirst, {"declared-away"}),
    "declare clears what is parked": (ClearsTheParked, {"declared-away"}),
    "parked for a while": (ParksForAWhile, {"not-kept"}),
    "a ttl that is not whole": (FloatTtl, {"no-queues"}),
    "the kinds of exception that it has met": (OnlyValueError, {"dies"}),
    "no queue to park in": (NoQueues, {"no-queues"}),
}
