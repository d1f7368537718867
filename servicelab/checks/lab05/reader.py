"""Exercise 2, repair: a reader that is killed again and again, and loses nothing."""

import time
from itertools import pairwise

from confluent_kafka import KafkaError, TopicPartition

from servicelab.checks.lab05.kafka_stage import PARTITIONS, KafkaStage
from servicelab.checks.scenario import scenario, words

ORDERS, KILLS = 12, (1, 2, 3, 4, 10)  # after so many steps of a life
PAUSE = 0.05  # seconds between two tries
TRIES, AWAY = 32, 2.5  # that fail, and the seconds after which they do not, however few there were

WORDS = words("""
gives-up: run raises nothing, goes on until is_over() says so, and no longer
    What does poll return while nothing is there? When do you ask is_over()?
from-the-end: what was written before the first start is read, too
    Where does a group begin that has no bookmark yet?
not-closed: at an orderly end the consumer is closed
    Who tells the cluster that this reader is gone?
read-again: after an orderly end the next start gets nothing again
    Where are the bookmarks when run has returned?
lost: five kills, and no order is lost
    Where does the bookmark stand when the process dies between two of your lines, and what of your variables? Who moves
    it, besides you?
repeated: after a kill at most one order is worked on twice, and without a kill none
    How many orders had been worked on, and of how many does the cluster know? Who waited for its answer?
skipped: work raises ConnectionError: the reader lives, and tries the order again until it is done
    Which exceptions does your loop let through? Who hands out an order a second time that poll has handed out?
out-of-turn: … the later orders of its partition wait for it
    A bookmark is one number. What does it say of an order that is still to be done, when a later one is?
no-pause: … at least 0.05 s pass before the next try
    How often in a second do you ask somebody who is not there?
dies-of-errors: what poll returns may be an error, and no order; that, or a commit that fails, is no reason to die
    What do you do with a message that is none, and with a commit that raises? What follows from one commit that is
    missing, when the next one succeeds?
""")


class Invoices(KafkaStage):
    """Orders in three partitions (number n is the n // 3th of its own), and one life of a reader after another."""

    forced, late_polls = {"group.id": "invoices"}, 0

    def __init__(self, ask, run):
        super().__init__(ask, run)
        self.topic, self.tries, self.failing = self.kafka.topic("orders", PARTITIONS), [], {}
        self.put_orders(*range(ORDERS))

    def connect(self, settings=None):
        reader = super().connect(settings)
        reader.assign([TopicPartition(self.topic, number) for number in range(PARTITIONS)])
        return reader

    def tried(self, order):
        self.tries += [time.monotonic()] if order == 4 else []
        if self.failing.get(order, 0) > 0 and time.monotonic() - self.began < AWAY:
            self.failing[order] -= 1
            self.ask.trace.lose(self.last, "ConnectionError")
            raise ConnectionError("the printer is away")

    def polled(self, consumer, messages):
        self.late_polls += self.had >= self.enough and bool(messages)

    def life(self, die_after=None):
        """Has this life of the reader returned? Says which of the first orders nobody has worked on until now."""
        how = self.live(self.connect, self.work, self.is_over, die_after=die_after)
        self.missing = sorted({*range(ORDERS)} - {*self.done})
        self.told = f"run {how}; orders without an invoice: {self.missing or 'none'}"
        return how == "returned"


check_reader = scenario("05", 2, "A reader that is killed", WORDS, run=Invoices)


@check_reader.part
def a_quiet_day(day):
    yield "gives-up", day.life() and day.is_over(), f"{day.told}; is_over() said {day.is_over()}"
    yield "from-the-end", not day.missing, day.told
    closed = sum(reader.closed for reader in day.clients)
    yield "not-closed", closed == len(day.clients) > 0, f"{len(day.clients)} consumers were opened, {closed} closed"
    before = len(day.done)
    day.life()
    yield "read-again", len(day.done) == before, f"the next start got orders again: {day.done[before:]}"
    day.put_orders(*range(ORDERS, 60))
    day.enough = 1
    is_fine = day.life() and day.late_polls <= 2
    yield "gives-up", is_fine, f"{day.told}; after is_over() had said so, {day.late_polls} more polls brought something"


@check_reader.part
def five_kills(day):
    worst = []
    for steps in KILLS:
        before = len(day.done)
        day.life(steps)
        marks = [mark or 0 for mark in day.kafka.committed(day.topic, day.lane)]
        again = [one for one in day.done[before:] if one // PARTITIONS >= marks[one % PARTITIONS]]
        worst = max(worst, again, key=len)
    day.life()
    yield "lost", not day.missing, f"{day.told}; killed after {KILLS} steps"
    told = f"a life had worked on orders {worst} when it was killed, and the cluster had no bookmark of them"
    yield "repeated", len(worst) <= 1, told


@check_reader.part
def the_printer_is_away(day):
    day.failing, day.enough = {0: 3, 1: 3, 2: 3, 4: TRIES}, 1  # one of the first three comes first
    day.life()
    day.enough, day.late = 99, 7.0
    yield (
        "skipped",
        day.life() and not day.missing,
        f"is_over() was true at the first failure; of the next start: {day.told}",
    )
    mine = list(dict.fromkeys(order for order in day.done if order % PARTITIONS == 1))
    yield "out-of-turn", mine == sorted(mine), f"the invoices of this partition: {mine}"
    shortest = min((later - one for one, later in pairwise(day.tries)), default=PAUSE)
    yield "no-pause", shortest >= 0.9 * PAUSE, f"the shortest was {shortest:.3f} s"


@check_reader.part
def errors_that_pass(day):
    for request in ("Fetch", "OffsetCommit"):
        day.kafka.fail(request, *[KafkaError.UNKNOWN] * 2)
    is_fine = day.life() and not day.missing and not day.odd
    yield "dies-of-errors", is_fine, f"{day.told}; errors that work was called with: {day.odd or 'none'}"
    is_once = len(day.done) == ORDERS
    yield "repeated", is_once, f"two commits were refused, and these were worked on: {sorted(day.done)}"
