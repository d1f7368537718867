"""Exercise 5, from production: a job that writes and ends, and a service that starts whenever it likes."""

import time
from collections import Counter
from contextlib import suppress
from math import inf

from confluent_kafka import KafkaError

from servicelab.checks.lab05.kafka_stage import KafkaStage, Reader, Writer
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import ServerError

PARTITIONS, ORDERS, BAG, BATCH, LARGE = 2, 200, 50, 20, 20_000
END = 0.3  # seconds that an answer takes at the end
#: A bag that is full soon, and is not emptied by itself in the time that a job takes.
SMALL = {
    "queue.buffering.max.messages": BAG,
    "linger.ms": 2000,
    "batch.num.messages": BATCH,
    "message.max.bytes": LARGE,
}
#: A group that comes to rest soon, also when its last member has left.
QUICK = {"group.protocol": "classic", "session.timeout.ms": 2000, "heartbeat.interval.ms": 200}

WORDS = words(f"""
dies-when-full: export goes on when the bag is full
    What does produce raise then, and who makes room?
unflushed: when export returns, the log has every order
    What is in the bag when export returns?
lost-when-full: … also those that came when the bag was full
    What becomes of an order that produce did not take?
no-key: … with its key and its value
    What do you hand to produce?
twice: … once
    Which orders do you hand to produce a second time?
out-of-order: … and those of one key in their order
    Which order comes after one that found no room?
one-by-one: … in at most half as many requests as there are orders
    When does a request go out, and how many orders are in it?
false-alarm: nothing is returned that is in the log
    When do you know of an order that it is not?
dies-of-large: one order is larger than {LARGE:,} bytes, which produce refuses: the others are written
    What else may produce raise?
large-unreported: … and this one is returned
    Who knows of an order that produce has refused?
unreported: the cluster refuses some orders later: just these are returned
    Who is told how the delivery ended, and when?
others-unwritten: … and the others are written all the same
    Which orders come after one that was refused, and what do you do with them?
before-its-topic: listen may start before its topic is there
    What does poll return then, how often, and is it an end? Is it an event?
from-the-end: a new service gets what was written before it came
    Where does a group begin that has no bookmark yet? What makes two events one?
shared-group: another service gets all of it, too
    To whom does a bookmark belong? What is the same in both services?
not-closed: at its end the consumer is closed
    Who tells the cluster that this service is gone?
again: when a service starts again, it gets what it has not had, and nothing else
    What is another one than at the last start? Who has noted how far it came?
""")


class Job(KafkaStage):
    """A run of the learner's export, on a producer with a small bag."""

    lane = "orders"

    def connect(self, settings=None):
        return self.open(lambda stage, given: SlowAtTheEnd(stage, given, **SMALL), settings or {})

    def export(self, orders, *errors):
        """Export once; says how it ended, and keeps what was in the log then, and how many requests brought it."""
        self.topic, self.last_value = self.kafka.topic("orders", PARTITIONS), orders[-1][1]
        self.kafka.fail("Produce", *errors)
        export = self.yours[0] if isinstance(self.yours, tuple) else self.yours
        self.show("orders", "kafka", f"{len(orders)} orders")
        with self.kafka.counting() as requests:
            how = self.live(export, self.connect, self.topic, list(orders))
        self.kafka.slow(0)
        self.log, self.requests = self.content(self.topic), requests["Produce"]
        self.inside = [(_text(key), _text(value)) for part in self.log for key, value in part]
        self.show("kafka", "orders", f"{len(self.inside)} in the log, {self.requests} requests")
        return how

    def returned(self):
        """The orders that export returned, as pairs."""
        if not isinstance(self.answer, list):
            self.call(lambda: self.answer, returns=list)
        return [tuple(one) if isinstance(one, tuple | list) else one for one in self.answer]


class SlowAtTheEnd(Writer):
    """From its last order on the cluster takes its time."""

    def produce(self, topic, value=None, *args, **more):
        if value in (self.stage.last_value, self.stage.last_value.encode()):
            self.stage.kafka.slow(END)
        super().produce(topic, value, *args, **more)


def _text(value):
    return None if value is None else value.decode(errors="replace")


#: Orders that may go wrong on the way to bytes, each in its own way; the first of them is there already.
_ODD = {
    20: ("customer 6", "order 6"),
    30: ("Żaneta Łoś", " größte Tasse 鍵\n"),
    40: ("", "order 40"),
    50: ("customer 1", ""),
}


def _orders(count=ORDERS):
    return [_ODD.get(number, (f"customer {number % 7}", f"order {number}")) for number in range(count)]


class Service(KafkaStage):
    """One service after another that reads a topic as a member of a group."""

    def __init__(self, ask, listen):
        super().__init__(ask, listen)
        self.got, self.opened, self.topic, self.is_made, self.odd = [], [], "orders-to-come", False, 0

    def label(self, message):
        return _text(message.value())

    def connect(self, settings=None):
        self.opened.append(self.open(lambda stage, given: Reader(stage, given, **QUICK), settings or {}))
        return self.opened[-1]

    def work(self, message):
        if message.error() is not None:
            self.odd += 1
            return
        self.got.append(_text(message.value()))
        self.had += 1

    def start(self, service):
        """A start of a service: how it ended, and what it got."""
        self.lane, self.got = service, []
        how = self.live(self.yours, self.connect, service, self.topic, self.work, self.is_over)
        return how, self.got

    def write(self, first, count):
        numbers = [*range(first, first + count)]
        self.put(self.topic, *((b"", f"order {number or 2}", number % PARTITIONS) for number in numbers))

    def lacks(self, got):
        """Which of the first ten it has not got, of which two are alike; "" if none."""
        return ", ".join((Counter(f"order {number or 2}" for number in range(10)) - Counter(got)).elements())

    def polled(self, messages):
        """The topic is made when the service has heard that it is not there, or has waited for a while."""
        heard = [message for message in messages if message is not None and message.error()]
        if not self.is_made and heard:  # and it is not heard just once
            self.opened[-1].waiting += heard[:1] * 2
        if not self.is_made and (heard or time.monotonic() - self.began > 1.0):
            self.is_made = True
            self.show("orders", "kafka", "the topic is made")
            with suppress(ServerError):  # a client that asked for it has made it
                self.kafka.topic(self.topic, PARTITIONS)
            self.write(0, 10)


check_jobs = scenario("05", 5, "Jobs and services", WORDS, export=Job, listen=Service)


@check_jobs.part("export")
def a_bag_that_is_full(job):
    orders = _orders()
    how = job.export(orders)
    yield "dies-when-full", not isinstance(job.error, BufferError), how
    job.must_return(how)
    returned, wanted, inside = job.returned(), Counter(orders), Counter(job.inside)
    lacks, odd = [*(wanted - inside).elements()], [*(inside - wanted).elements()]
    told = f"{len(lacks)} of {ORDERS} orders were not in the log, {job.left_in_bag} still in the bag"
    lost = "unflushed" if job.left_in_bag else "lost-when-full"
    yield lost, len(job.inside) >= ORDERS and not job.left_in_bag, f"{told}; among them {shown(lacks[:2])}"
    yield "no-key", not lacks, f"{shown(lacks[:1])} is not there, but {shown(odd[:1])}"
    yield "twice", not odd, f"{shown(odd[:1])} is there {inside[odd[0]] if odd else 0} times"
    for customer in sorted({key for key, _ in orders}):
        mine = [value for key, value in job.inside if key == customer]
        wanted = [value for key, value in orders if key == customer]
        place = next((at for at, (one, other) in enumerate(zip(mine, wanted)) if one != other), 0)
        told = (
            f"{customer}: after {shown(wanted[place - 1]) if place else 'none'} came {shown(mine[place : place + 3])}"
        )
        yield "out-of-order", mine == wanted, f"{told}, and not {shown(wanted[place])}"
    yield "one-by-one", job.requests <= ORDERS / 2, f"{job.requests} requests for {ORDERS} orders"
    yield "false-alarm", not returned, f"it returned {shown(returned)}, and all are in the log"


@check_jobs.part("export")
def one_that_is_too_large(job):
    orders = _orders(30)
    orders[11], orders[5] = (orders[11][0], "x" * 2 * LARGE), (orders[5][0], "y" * (LARGE - 1000))
    how = job.export(orders)
    others = [order for order in orders if order not in job.inside]
    yield "dies-of-large", how == "returned" and others == [orders[11]], f"{how[:200]}; {len(job.inside)} of 29 written"
    returned = job.returned()
    told = f"it returned {len(returned)} orders: {shown([shown(one, 30) for one in returned])}"
    yield "large-unreported", returned == [orders[11]], told


@check_jobs.part("export")
def refused_later(job):
    how = job.export(_orders(), KafkaError.INVALID_RECORD)
    missing = [*(Counter(_orders()) - Counter(job.inside)).elements()]
    returned = job.returned() if how == "returned" else []
    told = f"{how[:200]}; {len(missing)} of {ORDERS} were refused, and it returned {len(returned)}"
    yield "unreported", sorted(returned, key=repr) == sorted(missing), told
    yield "others-unwritten", len(missing) <= BATCH, told


@check_jobs.part("listen")
def a_topic_to_come(service):
    how, got = service.start("invoices")
    yield "before-its-topic", how == "returned" and service.assigned, f"{how}; it read {len(got)} of 10"
    yield (
        "before-its-topic",
        not service.odd,
        f"work was called with a message that tells of an error, {service.odd} times",
    )
    yield "from-the-end", not service.lacks(got), f"it read {len(got)} of 10; it lacks {service.lacks(got)}"


@check_jobs.part("listen")
def two_services(service):
    service.topic, service.is_made = service.kafka.topic("orders", PARTITIONS), True
    service.write(0, 10)
    how, got = service.start("invoices")
    yield "from-the-end", not service.lacks(got), f"{how}; invoices lacks {service.lacks(got)}"
    how, got = service.start("invoices-eu")
    yield "not-closed", all(one.closed for one in service.opened), "its consumer was open when listen returned"
    yield "shared-group", not service.lacks(got), f"{how}; invoices-eu lacks {service.lacks(got)}"
    service.enough = 3  # and is_over() says so while there is more
    how, first = service.start("Invoices")
    yield "shared-group", len(first) >= 3, f"{how}; Invoices read {len(first)}"
    service.enough = inf
    how, got = service.start("Invoices")
    told = f"{how}; Invoices read {len(first)}, then is_over() was true, and {len(got)} at its next start"
    yield "again", len(first + got) == 10 and not service.lacks(first + got), told
    service.write(10, 3)
    how, got = service.start("invoices")
    yield (
        "again",
        sorted(got) == ["order 10", "order 11", "order 12"],
        f"{how}; of 3 new ones it read: {', '.join(got)}",
    )
