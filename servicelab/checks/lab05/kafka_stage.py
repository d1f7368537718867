"""A Kafka cluster for each part of a check, and clients of confluent_kafka that can be cut off.

A kill is an exception of the stage's own, raised when a step is done: an event was polled, worked on, committed. From
then on no client has any effect. What is decided by time elsewhere is decided here for the worst: a commit that nobody
waits for is still on its way, and auto-commit has come just before the kill, or not at all.
"""

import time
from contextlib import closing, suppress
from math import inf

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from servicelab.checks.learner_traceback import told
from servicelab.checks.scenario import Stage
from servicelab.servers.kafka import KafkaCluster

PARTITIONS = 3
LIMIT = 8.0  # seconds that a learner's function has, on a busy machine too
SILENT = (1, *range(9, 17))  # polls of a consumer that bring nothing, although there is more: on a slow network, any


class Killed(BaseException):
    """The process of the learner's code was killed at this point."""


class Reader(Consumer):
    """confluent_kafka's Consumer, as part of a process that may be killed."""

    closed = False

    def __init__(self, stage, settings):
        self.stage, self.ended, self.on_the_way, self.polls, self.waiting = stage, set(), [], 0, []
        self.tells_end = bool(settings.get("enable.partition.eof"))
        self.commits_itself = str(settings.get("enable.auto.commit", True)).lower() == "true"
        forced = {"enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 20}
        super().__init__({**settings, **forced})

    def poll(self, timeout=-1):
        return next(iter(self.consume(1, timeout)), None)

    def consume(self, num_messages=1, timeout=-1):
        stage, messages, found = self.stage, self.waiting[-1:], []
        stage.alive()
        self.polls += 1
        del self.waiting[-1:]
        if self.polls not in SILENT and not messages:
            messages = super().consume(num_messages, timeout)
        for message in messages:
            is_end = message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF
            (self.ended.add if is_end else self.ended.discard)(message.partition())
            found += [] if is_end and not self.tells_end else [message]
            label = f"partition {message.partition()} ends" if is_end else text(message.value())
            stage.say("kafka", stage.lane, f"{text(message.key()) or ''} {label}"[:40])
        if self.polls in SILENT[:2]:
            stage.say("kafka", stage.lane, "nothing yet")
        stage.assigned = {one.partition for one in self.assignment()}
        stage.polled(self, found)
        got = any(message.error() is None for message in found)
        stage.over = not got and bool(stage.assigned) and stage.assigned <= self.ended
        if got:
            stage.step("poll")
        return found

    def seek(self, partition):
        """What lies behind is read again: the partition has not ended."""
        super().seek(partition)
        self.ended.discard(partition.partition)

    def commit(self, message=None, offsets=None, asynchronous=True):
        self.stage.alive()
        if message is not None:
            offsets = [TopicPartition(message.topic(), message.partition(), message.offset() + 1)]
        named = ", ".join(f"{one.partition}: {one.offset}" for one in offsets or [])
        self.stage.say(self.stage.lane, "kafka", f"commit {named or 'what was read'}")
        if asynchronous:
            self.on_the_way.append(offsets or self.position(self.assignment()))
            return None
        self.settle()
        done = super().commit(asynchronous=False, **({"offsets": offsets} if offsets else {}))
        self.stage.step("commit")
        return done

    def settle(self):
        """Commits that nobody waits for arrive, and that of enable.auto.commit, as when its interval is over."""
        for more in [*({"offsets": one} for one in self.on_the_way), *([{}] if self.commits_itself else [])]:
            with suppress(KafkaException):
                super().commit(asynchronous=False, **more)
        self.on_the_way.clear()

    def close(self):
        self.stage.alive()
        self.settle()
        self.closed = True
        super().close()

    def __exit__(self, *error):
        self.close()

    def leave(self):
        super().close()


class KafkaStage(Stage):
    """A running cluster; the learner's code is in the lane ``lane``. Its clients are of a ``kind``, with ``settings``
    that it may change, and with some that are ``forced``."""

    lane, kind, settings, forced = "invoices", Reader, {}, {}

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.kafka, self.clients = self.use(KafkaCluster("kafka of the check")), []
        self.use(closing(self))
        self.begin()

    def begin(self, die_after=None):
        self.die_after, self.steps, self.dead, self.over, self.began = die_after, 0, False, False, time.monotonic()
        self.had, self.answer = 0, None

    def connect(self, settings=None):
        self.alive()
        named = {**self.settings, **(settings or {}), **self.kafka.settings, **self.forced}
        named.pop("debug", None)  # which logs in spite of log_level
        self.clients.append(self.kind(self, named))
        return self.clients[-1]

    enough, late = inf, 5.0

    def is_over(self):
        """Everything is read, or ``enough``, or it is ``late``."""
        return self.over or self.had >= self.enough or time.monotonic() - self.began > self.late

    def live(self, *args, die_after=None):
        """One life of the learner's process, killed after so many steps. Says how it ended: "killed", "returned"
        (``answer`` is what), or what it raised, if the world did."""
        self.begin(die_after)

        def life():
            try:
                self.answer = self.yours(*args)
            except (Killed, Exception) as error:
                if not self.dead and not isinstance(error, BufferError | ConnectionError | KafkaException):
                    raise
                return "killed" if self.dead else f"raised {told(error)}"
            return "returned"

        life.__name__ = getattr(self.yours, "__name__", "your object")
        how = self.call(life if callable(self.yours) else self.yours, limit=LIMIT)
        self.close()
        return how

    def step(self, name):
        """A step is done; here the process may be killed."""
        self.steps += 1
        if self.steps == self.die_after:
            if self.die_after % 2:
                self.clients[-1].settle()
            self.dead = True
            self.ask.trace.state(self.lane, f"killed after {name}")
        self.alive()

    def alive(self):
        if self.dead:
            raise Killed

    def polled(self, consumer, messages):
        """Called with what each poll has brought."""

    def close(self):
        for client in self.clients:
            with suppress(KafkaException, RuntimeError):
                client.leave()

    def put(self, *events):
        """Write events (key, value, partition)."""
        with Producer({**self.kafka.settings, "linger.ms": 0}) as producer:
            for key, value, partition in events:
                producer.produce(self.topic, value, key, partition=partition)
            producer.flush(LIMIT)
        self.say("orders", "kafka", f"{len(events)} events")

    def put_orders(self, *numbers):
        self.put(*(("", f"order {number}", number % PARTITIONS) for number in numbers))


def text(data):
    return None if data is None else data.decode(errors="replace")
