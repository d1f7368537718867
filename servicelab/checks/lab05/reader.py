"""Exercise 2, repair: a reader that is killed again and again, and loses nothing.

A kill is an exception of the stage's own, raised when a step is done: an event was polled, worked on, committed. From
then on no client of that life has any effect. What is decided by time elsewhere is decided here for the worst: a
commit that nobody waits for is still on its way, and auto-commit has come just before the kill, or not at all.
"""

import time
from collections import Counter
from math import inf

from confluent_kafka import KafkaError, TopicPartition

from servicelab.checks.lab05.kafka_stage import KafkaStage, Reader
from servicelab.checks.scenario import scenario, words

PARTITIONS, ORDERS = 3, 12
KILLS = (1, 2, 3, 4, 10)  # after so many steps of a life
PAUSE = 0.05  # seconds between two tries
TRIES, AWAY = 32, 2.5  # that fail, and the seconds after which they do not, however few there were

WORDS = words("""
dies, gives-up: run goes on until is_over() says so, and no longer, and raises nothing
    What does poll return while nothing is there? Which of the calls in your loop raised? When do you ask
    is_over()?
from-the-end: what was written before the first start is read, too
    Where does a group begin that has no bookmark yet?
not-closed: at an orderly end the consumer is closed
    Who tells the cluster that this reader is gone?
read-again: after an orderly end the next start gets nothing again
    Where are the bookmarks when run has returned?
lost, commits-by-itself: five kills, and no order is lost
    Where does the bookmark stand when the process dies between two of your lines? Who moves it, besides you?
repeated, on-its-way: after a kill at most one order is worked on twice, and without a kill none
    How many orders had been worked on when the kill came, and of how many does the cluster know? Who waited for the
    answer?
dies-of-work: work raises ConnectionError: the reader lives
    Which exceptions does your loop let through, and from which of its lines?
skipped: … the order is tried again until it is done
    Who hands out an order a second time that poll has handed out?
out-of-turn: … the later orders of its partition wait for it
    A bookmark is one number. What does it say of an order that is still to be done, when a later one is?
no-pause: … at least 0.05 s pass before the next try
    How often in a second do you ask somebody who is not there?
works-on-errors: what poll returns may be an error, and no order
    What has a message that tells of an error in place of a value?
dies-of-errors: an error that poll returns, or a commit that fails, is no reason to die
    Which of them pass by themselves? What follows from one commit that is missing, when the next one succeeds?
""")


class Invoices(KafkaStage):
    """Twelve orders in three partitions, and one life of a reader after another."""

    lane = "invoices"

    def __init__(self, ask, run):
        super().__init__(ask, run)
        self.topic, self.done, self.tries, self.failing, self.odd = (
            self.kafka.topic("orders", PARTITIONS),
            [],
            [],
            {},
            [],
        )
        self.orders = [f"order {number}" for number in range(ORDERS)]
        self.put(self.topic, *((None, order, number % PARTITIONS) for number, order in enumerate(self.orders)))
        self.readers, self.waits, self.late_polls, self.hurried = [], 0, 0, False

    def label(self, message):
        return (message.value() or b"?").decode(errors="replace")

    def connect(self, settings=None):
        places = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        reader = self.open(lambda stage, given: Reader(stage, given, places, **{"group.id": self.lane}), settings or {})
        self.readers.append(reader)
        return reader

    def work(self, message):
        self.alive()
        if message.error() is not None:
            self.odd.append(message)
            return
        order = message.value().decode()
        self.show(self.lane, "customer", f"invoice for {order}")
        self.tries.append((order, message.partition(), time.monotonic()))
        if self.failing.get(order, 0) > 0 and time.monotonic() - self.began < AWAY:
            self.failing[order] -= 1
            self.enough = 0 if self.hurried else self.enough
            self.ask.trace.lose(self.last, "ConnectionError")
            raise ConnectionError("the printer is away")
        self.done.append((order, message.partition()))
        self.had += 1
        self.step("work")

    def life(self, die_after=None):
        return self.live(self.yours, self.connect, self.work, self.is_over, die_after=die_after)

    def polled(self, messages):
        self.late_polls += self.had >= self.enough and any(message is not None for message in messages)

    def step(self, name):
        if self.die_after is not None and len(self.steps) + 1 >= self.die_after:
            self.waits = max(self.waits, *(len(reader.on_the_way) for reader in self.readers))
            for reader in self.readers[-1:]:
                if self.die_after % 2:  # the interval of auto-commit is over just now, or it is not
                    reader.commit_by_itself()
        super().step(name)

    def numbers(self, since):
        """The orders that were worked on since then; number n is the (n // 3)th of its partition."""
        return [int(order.split()[1]) for order, _ in self.done[since:]]

    def missing(self):
        return [order for order in self.orders if order not in {done for done, _ in self.done}]

    def told(self):
        missing = self.missing()
        return f"of {ORDERS} orders {len(missing)} got no invoice" + (f": {', '.join(missing[:4])}" if missing else "")


check_reader = scenario("05", 2, "A reader that is killed", WORDS, run=Invoices)


@check_reader.part
def a_quiet_day(day):
    how = day.life()
    told = f"it {how}, and is_over() said {day.is_over()}; {day.told()}" if how == "returned" else how
    yield "gives-up" if how == "returned" else "dies", how == "returned" and day.is_over(), told
    yield "from-the-end", not day.missing(), day.told()
    closed = day.readers and all(reader.closed for reader in day.readers)
    yield "not-closed", closed, f"{len(day.readers)} consumers were opened, and not all of them closed"
    before = len(day.done)
    day.life()
    again = [order for order, _ in day.done[before:]]
    yield "read-again", not again, f"the next start got {len(again)} of {ORDERS} orders again"
    day.put(day.topic, *((None, f"order {number}", number % PARTITIONS) for number in range(12, 60)))
    day.enough = 1
    how = day.life()
    told = f"{how}; after is_over() had said so, {day.late_polls} more polls brought something"
    yield "gives-up", how == "returned" and day.late_polls <= 2, told


@check_reader.part
def five_kills(day):
    repeats = []
    for steps in KILLS:
        before = len(day.done)
        day.life(die_after=steps)
        marks = [mark or 0 for mark in day.kafka.committed(day.topic, day.lane)]
        repeats.append(
            [f"order {number}" for number in day.numbers(before) if number // PARTITIONS >= marks[number % PARTITIONS]]
        )
    day.life()
    itself = any(reader.commits_itself for reader in day.readers)
    told = f"{day.told()}; killed after {', '.join(map(str, KILLS))} steps"
    yield "commits-by-itself" if itself else "lost", not day.missing(), told
    worst = max(repeats, key=len)
    told = f"a life had worked on {', '.join(worst)} when it was killed, and the cluster had no bookmark of it"
    yield "on-its-way" if day.waits else "repeated", len(worst) <= 1, told


@check_reader.part
def the_printer_is_away(day):
    day.failing, day.late = {"order 4": TRIES}, 7.0
    how = day.life()
    yield "dies-of-work", how == "returned", how
    yield "skipped", not day.missing(), day.told()
    mine = [order for order, partition in day.done if partition == 1]
    first = list(dict.fromkeys(mine))
    wanted = [order for number, order in enumerate(day.orders) if number % PARTITIONS == 1]
    yield "out-of-turn", first == wanted, f"the invoices of this partition: {', '.join(first)}"
    at = [moment for order, _, moment in day.tries if order == "order 4"]
    shortest = min((later - one for one, later in zip(at, at[1:])), default=PAUSE)
    yield "no-pause", shortest >= 0.9 * PAUSE, f"the shortest was {shortest:.3f} s"


@check_reader.part
def the_day_ends_while_it_is_away(day):
    day.failing, day.hurried = {"order 4": 3}, True
    day.life()
    day.failing, day.enough = {}, inf
    how = day.life()
    told = f"when order 4 had failed, is_over() was true; at the next start run {how}; {day.told()}"
    yield "skipped", not day.missing(), told


@check_reader.part
def errors_that_pass(day):
    day.kafka.fail("Fetch", *[KafkaError.UNKNOWN] * 2)
    day.kafka.fail("OffsetCommit", *[KafkaError.UNKNOWN] * 2)
    how = day.life()
    yield "works-on-errors", not day.odd, f"work was called with {day.odd[0].error() if day.odd else ''}"
    yield "dies-of-errors", how == "returned" and not day.missing(), f"{how}; {day.told()}"
    order, times = Counter(order for order, _ in day.done).most_common(1)[0]
    yield "repeated", times == 1, f"{order} was worked on {times} times; two commits were refused"
