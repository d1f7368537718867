"""Exercise 4: mailers that give up in good order, and some that never do, or lose what they give up."""

import time

import pika

QUEUE, PARKED, ROOM = "mails", "mails.parked", "mails.wait"


class Right:
    """Rejected into a waiting room; counted by x-death. A mistake is a subclass that overrides one part."""

    tries, mode, durable, room_durable = 3, 2, True, True

    def __init__(self, send, wait):
        self.send, self.wait = send, wait

    def declare(self, channel):
        back = {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": QUEUE,
            "x-message-ttl": int(self.wait * 1000),
        }
        out = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": ROOM}
        channel.queue_declare(QUEUE, durable=self.durable, arguments=out)
        channel.queue_declare(ROOM, durable=self.room_durable, arguments=back)
        channel.queue_declare(PARKED, durable=self.durable)

    def failed(self, method, properties):
        """Failures before this one."""
        deaths = (properties.headers or {}).get("x-death", [])
        return sum(death["count"] for death in deaths if death["reason"] == "rejected")

    def on_message(self, channel, method, properties, body):
        try:
            self.send(body)
        except Exception as error:
            if self.failed(method, properties) + 1 < self.tries:
                return self.later(channel, method, properties, body)
            return self.give_up(channel, method, properties, body, error)
        channel.basic_ack(method.delivery_tag)

    def later(self, channel, method, properties, body):
        channel.basic_reject(method.delivery_tag, requeue=False)

    def give_up(self, channel, method, properties, body, error):
        self.park(channel, properties, body, error)
        channel.basic_ack(method.delivery_tag)

    def park(self, channel, properties, body, error):
        channel.basic_publish("", PARKED, body, self.note(properties, error))

    def note(self, properties, error):
        return pika.BasicProperties(
            headers={"why": str(error)}, message_id=properties.message_id, delivery_mode=self.mode
        )  # fmt: skip


class OwnCount:
    """Publishes to the waiting room by itself, with a count of its own in the headers."""

    def __init__(self, send, wait):
        self.send, self.wait = send, wait

    def declare(self, channel):
        for name in (QUEUE, PARKED):
            channel.queue_declare(queue=name, durable=True)
        channel.exchange_declare("back", "fanout", durable=True)
        channel.queue_bind(QUEUE, "back")
        channel.queue_declare("the waiting room", durable=True, arguments={"x-dead-letter-exchange": "back"})

    def on_message(self, channel, method, properties, body):
        headers = dict(properties.headers or {})
        try:
            self.send(body)
        except ValueError as error:
            headers = {"tries": headers.get("tries", 0) + 1, "why": f"{type(error).__name__}: {error}"}
            properties.headers, properties.delivery_mode = headers, pika.DeliveryMode.Persistent.value
            to = PARKED
            if headers["tries"] < 3:
                to, properties.expiration = "the waiting room", str(round(1000 * self.wait))
            else:
                properties.expiration = None
            channel.basic_publish("", to, body, properties)
        channel.basic_ack(method.delivery_tag)


class PutsBack(Right):
    def later(self, channel, method, properties, body):
        channel.basic_nack(method.delivery_tag, requeue=True)


class PutsBackAndParks(Right):
    """Parks what was delivered before: two tries, one right after the other."""

    def failed(self, method, properties):
        return 2 if method.redelivered else 0

    def later(self, channel, method, properties, body):
        channel.basic_nack(method.delivery_tag, requeue=True)


class ByRedelivered(Right):
    def failed(self, method, properties):
        return 2 if method.redelivered else 0


class IgnoresXDeath(Right):
    def failed(self, method, properties):
        return 0


class CountsBoth(Right):
    """Each time round there are two deaths: rejected, and expired."""

    def failed(self, method, properties):
        deaths = (properties.headers or {}).get("x-death", [])
        return sum(death["count"] for death in deaths)


class CountsInMemory(Right):
    def __init__(self, send, wait):
        super().__init__(send, wait)
        self.seen = {}

    def failed(self, method, properties):
        self.seen[properties.message_id] = self.seen.get(properties.message_id, 0) + 1
        return self.seen[properties.message_id] - 1


class NoWait(Right):
    def __init__(self, send, wait):
        super().__init__(send, 0)


class Sleeps(Right):
    """Waits in the consumer, then sends it to the end of the queue."""

    def declare(self, channel):
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_declare(PARKED, durable=True)

    def failed(self, method, properties):
        return (properties.headers or {}).get("tries", 0)

    def later(self, channel, method, properties, body):
        time.sleep(self.wait)
        headers = {"tries": self.failed(method, properties) + 1}
        again = pika.BasicProperties(headers=headers, message_id=properties.message_id, delivery_mode=2)
        channel.basic_publish("", QUEUE, body, again)
        channel.basic_ack(method.delivery_tag)


class AtOnce(Right):
    tries = 1


class FourTries(Right):
    tries = 4


class AcksFirst(Right):
    def give_up(self, channel, method, properties, body, error):
        channel.basic_ack(method.delivery_tag)
        self.park(channel, properties, body, error)


class Drops(Right):
    def park(self, channel, properties, body, error):
        pass


class NoReason(Right):
    def note(self, properties, error):
        return pika.BasicProperties(message_id=properties.message_id, delivery_mode=2)


class NoId(Right):
    def note(self, properties, error):
        return pika.BasicProperties(headers={"why": str(error)}, delivery_mode=2)


class Transient(Right):
    mode = None


class PlainQueues(Right):
    durable = False


class PlainRoom(Right):
    room_durable = False


class AcksBeforeItWaits(OwnCount):
    """Publishes to the waiting room by itself, after it has acknowledged."""

    mode = 2

    def on_message(self, channel, method, properties, body):
        try:
            self.send(body)
        except ValueError as error:
            tries = (properties.headers or {}).get("tries", 0) + 1
            properties.headers, properties.delivery_mode = {"tries": tries, "why": str(error)}, self.mode
            if tries < 3:
                properties.expiration = str(round(1000 * self.wait))
                return self.later(channel, method, properties, body)
            properties.expiration, properties.delivery_mode = None, 2
            channel.basic_publish("", PARKED, body, properties)
        channel.basic_ack(method.delivery_tag)

    def later(self, channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        channel.basic_publish("", "the waiting room", body, properties)


class WaitsTransient(AcksBeforeItWaits):
    """First publishes, then acknowledges; but what waits is not kept."""

    mode = None

    def later(self, channel, method, properties, body):
        channel.basic_publish("", "the waiting room", body, properties)
        channel.basic_ack(method.delivery_tag)


class FloatTtl(Right):
    def declare(self, channel):
        channel.queue_declare(ROOM, durable=True, arguments={"x-message-ttl": self.wait * 1000})
        super().declare(channel)


class ParkedIsNotAcked(Right):
    def give_up(self, channel, method, properties, body, error):
        self.park(channel, properties, body, error)


class LetsItOut(Right):
    def on_message(self, channel, method, properties, body):
        self.send(body)
        channel.basic_ack(method.delivery_tag)


class NoQueues(Right):
    def declare(self, channel):
        channel.queue_declare(QUEUE, durable=True)


RIGHT = {"a waiting room, x-death": Right, "a count of its own": OwnCount}
WRONG = {
    "puts back for ever": (PutsBack, {"no-delay", "unbounded"}),
    "puts back once": (PutsBackAndParks, {"no-delay", "too-few"}),
    "by redelivered": (ByRedelivered, {"unbounded"}),
    "x-death ignored": (IgnoresXDeath, {"unbounded"}),
    "counts both deaths": (CountsBoth, {"too-few"}),
    "counts in memory": (CountsInMemory, {"counts-in-memory"}),
    "retry without delay": (NoWait, {"no-delay"}),
    "sleeps in the consumer": (Sleeps, {"held-up"}),
    "parks at once": (AtOnce, {"no-retry"}),
    "one try too many": (FourTries, {"unbounded"}),
    "acknowledges before it parks": (AcksFirst, {"lost"}),
    "drops it": (Drops, {"not-parked"}),
    "no reason": (NoReason, {"no-reason"}),
    "no id": (NoId, {"no-id"}),
    "parked in a transient message": (Transient, {"not-kept"}),
    "plain queues": (PlainQueues, {"not-kept"}),
    "a plain waiting room": (PlainRoom, {"not-kept"}),
    "waits in a transient message": (WaitsTransient, {"waits-unkept"}),
    "acknowledges before it waits": (AcksBeforeItWaits, {"lost-before-waiting"}),
    "a ttl that is not whole": (FloatTtl, {"float-ttl"}),
    "parked and not acknowledged": (ParkedIsNotAcked, {"not-parked"}),
    "dies of it": (LetsItOut, {"dies"}),
    "no queue to park in": (NoQueues, {"wrong-type"}),
}
