"""A Kafka cluster for each part of a check, and clients of confluent_kafka that can be cut off: a kill is an exception,
raised when an event was polled, worked on, or committed; from then on no client has any effect. What is decided by time
elsewhere is decided for the worst: a commit that nobody waits for is still on its way, and auto-commit has come just
before the kill, or not at all."""

import time
from contextlib import closing, suppress
from math import inf

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from servicelab.checks.learner_traceback import told
from servicelab.checks.scenario import Stage
from servicelab.servers.kafka import KafkaCluster

PARTITIONS = 3
LIMIT = 8.0  # seconds that a learner's function has, on a busy machine too
SILENT = (1, 9, 10, 11, 12)  # polls of a consumer that bring nothing, although there is more: on a slow network, any
FORCED = {"enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 20}  # whatever is set


class Killed(BaseException):
    """The process of the learner's code was killed at this point."""


class Reader(Consumer):
    """confluent_kafka's Consumer, as part of a process that may be killed."""

    closed, polls = False, 0

    def __init__(self, settings):
        self.ended, self.on_the_way, self.waiting = set(), [], []
        self.tells_end = bool(settings.get("enable.partition.eof"))
        self.commits_itself = str(settings.get("enable.auto.commit", True)).lower() == "true"
        super().__init__({**settings, **FORCED})

    def poll(self, timeout=-1):
        return next(iter(self.consume(1, timeout)), None)

    def consume(self, num_messages=1, timeout=-1):
        stage, found = self.stage, []
        stage.alive()
        self.polls += 1
        if self.polls in SILENT and not stage.brisk:
            stage.say("kafka", stage.lane, "nothing yet")
            return found
        for message in [self.waiting.pop()] if self.waiting else super().consume(num_messages, timeout):
            number, error = message.partition(), message.error()
            is_end = error is not None and error.code() == KafkaError._PARTITION_EOF
            (self.ended.add if is_end else self.ended.discard)(number)
            label = f"partition {number} ends" if is_end else f"{text(message.key()) or ''} {text(message.value())}"
            stage.say("kafka", stage.lane, label.strip()[:40])
            found += [] if is_end and not self.tells_end else [message]
        got = any(message.error() is None for message in found)
        assigned = {place.partition for place in self.assignment()}
        stage.over = not got and bool(assigned) and assigned <= self.ended
        stage.polled(self, found)
        if got:
            stage.step("poll")
        if stage.brisk and assigned and not found and not stage.over and time.monotonic() < stage.began + stage.late:
            return self.consume(num_messages, max(timeout, 0.05))
        return found

    def seek(self, partition):
        """What lies behind is read again: the partition has not ended."""
        super().seek(partition)
        self.ended.discard(partition.partition)

    def commit(self, message=None, offsets=None, asynchronous=True):
        self.stage.alive()
        if message is not None and message.error() is None:
            offsets = [TopicPartition(message.topic(), message.partition(), message.offset() + 1)]
        places = offsets or [one for one in self.position(self.assignment()) if one.offset >= 0]
        named = ", ".join(f"{one.partition}: {one.offset}" for one in places)
        self.stage.say(self.stage.lane, "kafka", f"commit {named}")
        if asynchronous:
            return self.on_the_way.append(places)
        self.settle()
        done = super().commit(offsets=offsets, asynchronous=False)
        self.stage.step("commit")
        return done

    def settle(self):
        """Commits that nobody waits for arrive, and that of enable.auto.commit, as when its interval is over."""
        for offsets in [*self.on_the_way, *[None] * self.commits_itself]:
            with suppress(KafkaException):
                super().commit(offsets=offsets, asynchronous=False)
        self.on_the_way.clear()

    def close(self):
        if not self.stage.dead:
            self.settle()
            self.closed = True
        super().close()

    def __exit__(self, *error):
        self.close()


class KafkaStage(Stage):
    """A cluster. The learner's clients are of a ``kind``, with ``settings`` that may be changed and ``forced`` ones."""

    lane, kind, settings, forced = "invoices", Reader, {}, {}
    brisk = False  # does a poll bring something as long as there is more?
    over, dead, die_after, steps, had, enough, late = False, False, None, 0, 0, inf, 5.0

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.kafka, self.clients, self.done, self.odd = self.use(KafkaCluster("kafka of the check")), [], [], None
        self.use(closing(self))

    def connect(self, settings=None):
        self.alive()
        named = {**self.settings, **(settings or {}), **self.kafka.settings, **self.forced}
        named.pop("debug", None)  # which logs in spite of log_level
        self.clients.append(self.kind(named))
        self.clients[-1].stage = self
        return self.clients[-1]

    def is_over(self):
        return self.over or self.had >= self.enough or time.monotonic() - self.began > self.late

    def work(self, message):
        """The learner's ``work``: it gets orders, and no errors."""
        self.alive()
        if message.error() is not None:
            self.odd = message.error()
            return
        order = int(message.value().split()[1])
        self.had += 1
        self.say(self.lane, "customer", f"invoice for order {order}")
        self.tried(order)
        self.done.append(order)
        self.step("work")

    def live(self, *args, die_after=None):
        """A life of the learner's process, killed after so many steps. Says how it ended; ``answer`` is the result."""
        self.die_after, self.steps, self.had, self.answer = die_after, 0, 0, None
        self.dead, self.over, self.began = False, False, time.monotonic()

        def life():
            try:
                self.answer = self.yours(*args)
            except (Killed, Exception) as error:
                if not self.dead and not isinstance(error, BufferError | ConnectionError | KafkaException):
                    raise
                return f"raised {told(error)}"
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

    def polled(self, *news):
        """Called with a consumer and what each poll of it brought; and ``tried`` with each order before it is done."""

    tried = polled

    def close(self):
        """End the process, with its clients. What they have not committed until now they never do."""
        self.dead = True
        for client in self.clients:
            with suppress(KafkaException, RuntimeError):
                client.close()

    def put(self, *events):
        """Write events (key, value, partition)."""
        with Producer({**self.kafka.settings, "linger.ms": 0}) as producer:
            for key, value, partition in events:
                producer.produce(self.topic, value, key, partition=partition)
        self.say("orders", "kafka", f"{len(events)} events")

    def put_orders(self, *numbers):
        self.put(*(("", f"order {number}", number % PARTITIONS) for number in numbers))


def text(data):
    return None if data is None else data.decode(errors="replace")
