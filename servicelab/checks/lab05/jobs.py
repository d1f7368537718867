"""Exercise 5, from production: a job that writes and ends, and a service that starts whenever it likes."""

import time
from collections import Counter
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from servicelab.checks.lab05.kafka_stage import LIMIT, PARTITIONS, KafkaStage, text
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import ServerError

BAG, BATCH, LARGE = 50, 20, 20_000
TEN = [2, 1, *range(2, 10)]  # orders, of which two are alike
ODD = {20: ("customer 6", "order 6"), 30: ("Żaneta Łoś", " größte Tasse 鍵\n"), 40: ("", "order 40")}
ODD |= {50: ("customer 1", "")}  # orders that may go wrong on the way to bytes; the first of them is there already
DAY = [ODD.get(number, (f"customer {number % 7}", f"order {number}")) for number in range(200)]

WORDS = words("""
dies-when-full: export raises nothing, also when the bag is full
    What does produce raise then, and who makes room?
lost: when export returns, the log has every order
    What is in the bag when export returns? What becomes of an order that produce did not take?
changed: … with its key and its value, once
    What do you hand to produce, and which orders a second time?
out-of-order: … and those of one key in their order
    Which order comes after one that found no room?
one-by-one: … in at most half as many requests as there are orders
    When does a request go out, and how many orders are in it?
others-unwritten: one order is too large, or the cluster refuses some later: the others are written all the same
    What else may produce raise, and which orders does it refuse? Which orders come after one that was refused?
unreported: what is not in the log is returned, in a list, and nothing else
    Who knows of an order that produce has refused? Who is told how the delivery of the others ended, when, and of which
    order does he speak then?
before-its-topic: listen may start before its topic is there
    What does poll return then, how often, and is it an end? Is it an event?
from-the-end: a new service gets what was written before it came
    Where does a group begin that has no bookmark yet? What makes two events one?
goes-on: … and when is_over() says so, it reads nothing more
    Before which of your calls do you ask is_over(), and what if there is always more?
shared-group: another service gets all of it, too
    To whom does a bookmark belong? What is the same in both services?
not-closed: at its end the consumer is closed
    Who tells the cluster that this service is gone?
again: when a service starts again, it gets what it has not had, and nothing else
    What is another one than at the last start? Who has noted how far it came?
""")


class Writer(Producer):
    """confluent_kafka's Producer. What is in its bag goes with its process; its last order slows the cluster down."""

    def produce(self, topic, value=None, *args, **more):
        if value in (self.stage.last_value, self.stage.last_value.encode()):
            self.stage.kafka.slow(0.3)
        super().produce(topic, value, *args, **more)


class Job(KafkaStage):
    """A run of the learner's export. Its bag is full soon, and is not emptied by itself in the time that it takes."""

    lane, kind, left_in_bag = "orders", Writer, 0
    forced = {"queue.buffering.max.messages": BAG, "linger.ms": 2000, "batch.num.messages": BATCH}
    forced |= {"message.max.bytes": LARGE}

    def export(self, orders, *errors):
        """Has it returned? Keeps which orders are not in the log then, and what is there besides."""
        self.topic, self.last_value = self.kafka.topic("orders", 2), orders[-1][1]
        self.kafka.fail("Produce", *errors)
        self.say("orders", "kafka", f"{len(orders)} orders")
        with self.kafka.counting() as requests:
            how = self.live(self.connect, self.topic, list(orders))
        self.kafka.slow(0)
        with Consumer({**self.kafka.settings, "group.id": "check", "enable.auto.commit": False}) as consumer:
            consumer.assign([TopicPartition(self.topic, number, 0) for number in (0, 1)])
            found = consumer.consume(sum(end for _, end in self.kafka.watermarks(self.topic)), LIMIT)
        self.inside, self.requests = [(text(one.key()), text(one.value())) for one in found], requests["Produce"]
        self.missing = [*(Counter(orders) - Counter(self.inside)).elements()]
        answer = self.answer if isinstance(self.answer, list) else [...]
        pairs = [tuple(one) if isinstance(one, list) else one for one in answer]
        self.is_told = sorted(map(str, pairs)) == sorted(map(str, self.missing))
        self.say("kafka", "orders", f"{len(self.inside)} in the log, {self.requests} requests")
        self.told = f"it {how[:200]}; {len(self.missing)} of {len(orders)} orders were not in the log, "
        self.told += f"{self.left_in_bag} still in the bag; it returned {shown(self.answer)}"
        return how == "returned"

    def close(self):
        for producer in self.clients:
            self.left_in_bag += len(producer)
            with suppress(RuntimeError):  # it was closed before
                producer.purge()
        super().close()


class Service(KafkaStage):
    """One service after another that reads a topic as a member of a group, which comes to rest soon."""

    forced = {"group.protocol": "classic", "session.timeout.ms": 2000, "heartbeat.interval.ms": 200}
    topic, is_made, late_polls = "orders-to-come", False, 0

    def start(self, service, due):
        """Does this start of a service bring what is due?"""
        self.lane, self.done = service, []
        how = self.live(self.connect, service, self.topic, self.work, self.is_over)
        self.told = f"{service} {how}; it read {sorted(self.done)}, and {sorted(due)} were due"
        self.told += f"; work was called with an error: {self.odd}" if self.odd else ""
        return how == "returned" and sorted(self.done) == sorted(due)

    def polled(self, consumer, messages):
        """The topic is made when the service has heard that it is not there, and hears so again, or has waited."""
        self.late_polls += self.had >= self.enough and bool(messages)
        heard = [message for message in messages if message.error()]
        if not self.is_made:
            consumer.waiting += heard[:1] * 2
            self.make_topic(heard)

    def is_over(self):
        """A service may wait for its topic without a poll, too."""
        self.make_topic()
        return super().is_over()

    def make_topic(self, is_asked_for=False):
        if not self.is_made and (is_asked_for or time.monotonic() - self.began > 1.0):
            self.is_made = True
            with suppress(ServerError):  # a client that asked for it has made it
                self.kafka.topic(self.topic, PARTITIONS)
            self.put_orders(*TEN)


check_jobs = scenario("05", 5, "Jobs and services", WORDS, export=Job, listen=Service)


@check_jobs.part("export")
def a_bag_that_is_full(job):
    yield "dies-when-full", job.export(DAY), job.told
    yield "lost", len(job.inside) >= len(DAY) and not job.left_in_bag, f"{job.told}; missing: {shown(job.missing[:2])}"
    mine, due = (sorted(some, key=lambda order: str(order[0])) for some in (job.inside, DAY))
    odd = [pair for pair in zip([*mine, None], [*due, None]) if pair[0] != pair[1]]
    told = f"key by key, this was in the log, and this was due: {shown(odd[:1])}"
    yield "changed" if Counter(mine) != Counter(due) else "out-of-order", not odd, told
    yield "one-by-one", job.requests <= len(DAY) / 2, f"{job.requests} requests for {len(DAY)} orders"
    yield "unreported", job.is_told, job.told


@check_jobs.part("export")
def some_cannot_be_delivered(job):
    large = DAY[:30]
    large[11], large[5] = (large[11][0], "x" * 2 * LARGE), (large[5][0], "y" * (LARGE - 1000))
    for orders, errors, most in ((large, (), 1), (DAY, (KafkaError.INVALID_RECORD,), BATCH)):
        is_back = job.export(orders, *errors)
        yield "lost", not is_back or not job.left_in_bag, job.told
        yield "others-unwritten", is_back and len(job.missing) <= most, job.told
        yield "unreported", job.is_told, job.told


@check_jobs.part("listen")
def three_services(service):
    is_fine = service.start("invoices", TEN)
    yield "before-its-topic", service.is_over() and not service.odd, service.told
    yield "from-the-end", is_fine, service.told
    is_fine, still_open = service.start("invoices-eu", TEN), sum(not one.closed for one in service.clients)
    yield "not-closed", not still_open, f"{still_open} consumers were open when listen returned"
    yield "shared-group", is_fine, service.told
    service.enough, service.brisk = 3, True  # and is_over() says so while there is more
    service.start("Invoices", TEN)
    yield "shared-group", len(service.done) >= 3, f"{service.told}, three of them at least before its end"
    told = f"{service.told}; is_over() was true after 3 events, and {service.late_polls} more polls brought something"
    yield "goes-on", service.late_polls <= 2, told
    rest, service.enough, service.brisk = (Counter(TEN) - Counter(service.done)).elements(), 99, False
    yield "again", service.start("Invoices", [*rest]), service.told
    service.put_orders(10, 11, 12)
    yield "again", service.start("invoices", [10, 11, 12]), service.told
