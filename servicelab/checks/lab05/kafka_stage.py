"""A Kafka cluster for each part of a check, never the learner's own, and clients for it that can be cut off.

The clients are confluent_kafka's. The stage hands them out, notes what they do as messages of the diagram, and closes
those that were left open, before the cluster.
"""

import time
from contextlib import ExitStack, suppress
from math import inf

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from servicelab.checks.scenario import Stage
from servicelab.servers.kafka import KafkaCluster

LIMIT = 8.0  # seconds that a learner's function has, on a busy machine too
LATE = 5.0  # seconds after which `is_over` says so, whatever has not been read
SILENT = (1, *range(9, 17))  # polls of a consumer that bring nothing
_REFUSED = [KafkaError.GROUP_AUTHORIZATION_FAILED] * 50


class Killed(BaseException):
    """The process of the learner's code was killed at this point."""


class KafkaStage(Stage):
    """A running cluster, in the lane "kafka"; the learner's code is in the lane ``lane``."""

    lane = "invoices"

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.kafka = self.use(KafkaCluster("kafka of the check"))
        self.clients, self.assigned, self.left_in_bag, self.had, self.enough, self.late = [], set(), 0, 0, inf, LATE
        ends = ExitStack()
        ends.callback(self.close_clients)
        self.use(ends)
        self.die_after, self.steps, self.dead, self.over, self.began = None, [], False, False, time.monotonic()

    # -- what the learner's code is given ---------------------------------------------------------

    def is_over(self):
        """Everything is read, or ``enough``, or it is ``late``."""
        return self.over or self.had >= self.enough or time.monotonic() - self.began > self.late

    def open(self, kind, settings):
        self.alive()
        quiet = {name: value for name, value in settings.items() if name != "debug"}  # which logs in spite of log_level
        self.clients.append(kind(self, quiet))
        return self.clients[-1]

    def live(self, function, *args, die_after=None):
        """One life of the learner's process: ``function(*args)``, killed after so many steps. Says how it ended:
        "killed", "returned" (``answer`` is what), or what it raised."""
        self.die_after, self.steps, self.dead, self.over, self.began = die_after, [], False, False, time.monotonic()
        self.had = 0
        name = getattr(function, "__name__", "your object")

        def life():
            with suppress(Killed):
                return function(*args)

        outcome = self.ask.run(life if callable(function) else function, limit=LIMIT)
        if outcome.how in ("time-limit", "exit", "not-callable"):
            self.ask.need(outcome.how, f"{name} returns within {LIMIT:g} s", False, str(outcome), _HINT, self.last)
        self.answer, self.error = outcome.value, outcome.error
        how = "killed" if self.dead else "returned" if outcome.returned else str(outcome)
        self.close_clients()
        return how

    def must_return(self, how):
        """End the check of this object, unless that life has returned."""
        hint = "Read the last line first: it is where your code stood."
        self.ask.need("exception", "your code raises nothing", how == "returned", how, hint, self.last)

    def step(self, name):
        """A step is done; here the process may be killed. Nothing that it tries afterwards has an effect."""
        self.steps.append(name)
        if self.die_after is not None and len(self.steps) >= self.die_after:
            self.dead = True
            self.ask.trace.state(self.lane, f"killed after {name}")
            raise Killed
        self.alive()

    def polled(self, messages):
        """Called with what each poll of a consumer has brought."""

    def alive(self):
        if self.dead:
            raise Killed

    def close_clients(self):
        """Close what is left open. Of a process that was killed nothing is committed any more."""
        if self.dead:
            self.kafka.fail("OffsetCommit", *_REFUSED)
        for client in self.clients:
            with suppress(KafkaException, RuntimeError):
                client.leave()
        self.clients = []
        if self.dead:
            self.kafka.fail("OffsetCommit")

    # -- what the check does itself ---------------------------------------------------------------

    def put(self, topic, *events):
        """Write events (key, value, partition)."""
        with Producer({**self.kafka.settings, "linger.ms": 0}) as producer:
            for key, value, partition in events:
                producer.produce(topic, value, key, partition=partition)
            producer.flush(LIMIT)
        self.show("orders", "kafka", f"{len(events)} events")

    def content(self, topic):
        """Everything that is in a topic: (key, value) by partition, in order."""
        found, end = [], self.kafka.watermarks(topic)
        for number, (low, high) in enumerate(end):
            found.append([])
            with Consumer({**self.kafka.settings, "group.id": "check", "enable.auto.commit": False}) as consumer:
                consumer.assign([TopicPartition(topic, number, low)])
                until = time.monotonic() + LIMIT
                while len(found[-1]) < high - low and time.monotonic() < until:
                    for message in consumer.consume(high - low, 0.1):
                        if message.error() is None:
                            found[-1].append((message.key(), message.value()))
        return found

    def show(self, sender, receiver, label):
        self.last = self.ask.trace.send(sender, receiver, label)
        self.ask.trace.receive(self.last, receiver)


_HINT = "Ask of every loop and every wait in it: what ends this?"


class Reader(Consumer):
    """confluent_kafka's Consumer, as part of a process that may be killed. ``partitions`` are assigned to it."""

    closed = False

    def __init__(self, stage, settings, partitions=(), **forced):
        self.stage, self.ended, self.on_the_way, self.polls, self.waiting = stage, set(), [], 0, []
        self.tells_end = bool(settings.get("enable.partition.eof"))
        self.commits_itself = str(settings.get("enable.auto.commit", True)).lower() == "true"
        kept = {"auto.commit.interval.ms": 3_600_000, "enable.partition.eof": True, "fetch.wait.max.ms": 20}
        super().__init__({**settings, **stage.kafka.settings, **kept, **forced})
        if partitions:
            self.assign(list(partitions))

    def poll(self, timeout=-1):
        waiting = self.waiting or ([None] if self._is_silent() else [super().poll(timeout)])
        return next(iter(self._got([waiting.pop()], "poll")), None)

    def consume(self, num_messages=1, timeout=-1):
        if self.waiting:
            return self._got([self.waiting.pop()], "consume")
        return self._got([] if self._is_silent() else super().consume(num_messages, timeout), "consume")

    def _is_silent(self):
        """Has a poll nothing to return now, although there is more? On a slow network that may be so at any time."""
        self.polls += 1
        if self.polls in SILENT[:2]:
            self.stage.show("kafka", self.stage.lane, "nothing yet")
        return self.polls in SILENT

    def _got(self, messages, how):
        self.stage.alive()
        found = []
        for message in messages:
            if message is None:
                continue
            place, error = (message.topic(), message.partition()), message.error()
            if error is None:
                self.ended.discard(place)
                self.stage.show("kafka", self.stage.lane, self.stage.label(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                self.ended.add(place)
                self.stage.show("kafka", self.stage.lane, f"partition {place[1]} ends at {message.offset()}")
                if not self.tells_end:
                    continue
            found.append(message)
        places = {(one.topic, one.partition) for one in self.assignment()}
        self.stage.assigned |= places
        self.stage.polled(messages)
        got = any(message.error() is None for message in found)
        self.stage.over = not got and bool(places) and places <= self.ended
        if got:
            self.stage.step(how)
        return found

    def seek(self, partition):
        """What lies behind is read again: the partition has not ended."""
        super().seek(partition)
        self.ended.discard((partition.topic, partition.partition))

    def store_offsets(self, *args, **more):
        self.stage.alive()
        super().store_offsets(*args, **more)

    def commit(self, message=None, offsets=None, asynchronous=True):
        """One that nobody waits for is still on its way: it comes when four are, or at an orderly end."""
        self.stage.alive()
        if message is not None:
            offsets = [TopicPartition(message.topic(), message.partition(), message.offset() + 1)]
        told = ", ".join(f"{one.partition}: {one.offset}" for one in offsets or []) or "what was read"
        self.stage.show(self.stage.lane, "kafka", f"commit {told}")
        if asynchronous:
            offsets = offsets or [one for one in self.position(self.assignment()) if one.offset >= 0]
            self.on_the_way.append(offsets)
            if len(self.on_the_way) > 3:
                self._arrive(1)
            return None
        self._arrive(len(self.on_the_way))
        done = super().commit(asynchronous=False, **({"offsets": offsets} if offsets else {}))
        self.stage.step("commit")
        return done

    def _arrive(self, count):
        for offsets in self.on_the_way[:count]:
            with suppress(KafkaException):
                super().commit(offsets=offsets, asynchronous=False)
        del self.on_the_way[:count]

    def commit_by_itself(self):
        """What enable.auto.commit does each time that its interval is over."""
        if self.commits_itself:
            with suppress(KafkaException):
                super().commit(asynchronous=False)

    def close(self):
        self.stage.alive()
        self._arrive(len(self.on_the_way))
        self.closed = True
        super().close()

    def __exit__(self, *error):
        if not self.stage.dead:
            self.close()

    def leave(self):
        super().close()


class Writer(Producer):
    """confluent_kafka's Producer with a small bag, which goes with its process: what is in it is gone then."""

    def __init__(self, stage, settings, **forced):
        self.stage = stage
        super().__init__({**settings, **stage.kafka.settings, **forced})

    def leave(self):
        self.stage.left_in_bag += len(self)
        self.purge()
        super().close()
