"""Exercise 4, measure: a post-mortem, from what a ledger and a dashboard kept of a game. Simulated, and seeded."""

from collections import namedtuple
from functools import cache
from itertools import count
from math import isfinite
from numbers import Real
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

ORDERS, RATE, SLACK, SHARE = 1080, 6.0, 0.5, 0.05  # of a game, a second; seconds, of the money: what passes
WHAT = {"detect": "to_detect", "mitigate": "to_mitigate", "money": "lost", "fault": "the fault", "where": "the place"}
COSTS = {"double charge": 25, "no parcel": 25, "unpaid parcel": 15, "refusals": 1}
Entry = namedtuple("Entry", "at who what order id via", defaults=((),))  # a line of the ledger; the task explains both
Note = namedtuple("Note", "at what who shown", defaults=(None,))  # a line of the dashboard
Game = namedtuple("Game", "ledger dashboard")
Incident = namedtuple("Incident", "fault where to_detect to_mitigate lost")
#: What is wrong with ``where``; when it begins, is noticed and ends (seconds); the share of the orders that it hits.
Fault = namedtuple("Fault", "kind where begin noticed end share", defaults=(0.5,))

WORDS = words("""
not-a-review: review returns a list of incidents: (fault, where, to_detect, to_mitigate, lost)
    Compare what you return with the names and the order in the task.
how-many: there are as many incidents as there were, the first one first
    How many orders make an incident, and which of them belong together?
fault: the fault is what was done to the orders
    What was done to such an order, and how often? What was not?
where: the place is the one that these orders have in common
    Which instance did the harmed ones pass, and the others not?
detect: the time to detect ends with the first alert that could be about this incident
    Can an alert be about what has not begun, or about somebody else?
mitigate: the time to mitigate ends with the lever that helped
    After which lever was no order harmed any more? Which one was pulled there?
money: the money is what the harmed orders cost, within 5%
    What does each of them cost, and how many are there?
clocks: the times are right where the clocks of two services are not
    What did the dashboard's clock show, when a service's showed this?
came-again: a line that stands twice in the ledger was one deed
    What tells a second charge from a line that came again?
refund: what was given back is not lost; when it began and ended stays as it was
    Which number do you take a refund off: what it costs, or how often it was charged?
second: where there are several incidents, each has times and money of its own
    What do you put the harmed orders together by: time, fault, place, or more than one of them?
""")


@cache
def recorded(seed, faults, clocks=(), again=0.0, refunds=0.0) -> tuple[Game, list[Incident]]:
    """A game, and what is true of it. ``clocks``: pairs (who, seconds ahead); ``again`` is the share of the lines that
    came again, seven seconds later, ``refunds`` that of the charges of harmed orders that were given back."""
    dice, ids, ahead, ledger, hits = Random(seed), count(1), dict(clocks), [], {fault: [] for fault in faults}

    def write(at, who, what, order, via=()):
        entry = Entry(round(at + ahead.get(who, 0), 3), who, what, order, next(ids), via)
        ledger.extend((entry.at + late, entry) for late in (0, 7)[: 1 + (dice.random() < again)])

    at = 0.0
    for order in range(ORDERS):
        at += dice.expovariate(RATE)
        who, payment, shipping = (f"{name}-{dice.randint(1, 2)}" for name in ("orders", "payment", "shipping"))
        hit = [one for one in faults if one.where in (who, payment, shipping) and one.begin <= at < one.end]
        kind = hit[0].kind if hit and dice.random() < hit[0].share else ""
        write(at, who, "placed", order, (payment, shipping))
        charges = {"double charge": 2 + order % 2, "unpaid parcel": 0}.get(kind, 1)
        if kind:
            is_back = kind in ("double charge", "no parcel") and dice.random() < refunds
            hits[hit[0]].append((at, COSTS[kind] * (max(1, charges - 1) - is_back)))
            if is_back:
                write(at + dice.uniform(5, 30), payment, "refunded", order)
        if refunds and not kind and order % 70 == 6:  # a customer sends it back: nothing went wrong
            write(at + 20, payment, "refunded", order)
        if kind == "refusals" or order in range(100, 850, 150) and all(who != fault.where for fault in faults):
            write(at + 0.8, who, "refused", order)  # some are refused by chance
            continue
        for _ in range(charges):
            write(at + dice.uniform(0.7, 1.2), payment, "charged", order)
        if kind != "no parcel":
            write(at + dice.uniform(1.3, 3), shipping, "shipped", order)
    notes, incidents = [], []
    for fault in faults:
        kind, where, begin, noticed, end, _ = fault
        first, other = hits[fault][0][0], {"o": "payment", "p": "shipping", "s": "orders"}[where[0]] + where[-2:]
        notes += [Note(at, "alert", where) for at in (begin - 15, noticed, noticed + 4)]
        vain, helped = (begin - 10, noticed - 1, (noticed + end) / 2, hits[fault][-1][0] - 0.7), end + 2
        notes += [Note(at, "lever", where) for at in (*vain, helped, end + 20)]
        notes += [Note((begin + noticed) / 2, "alert", other), Note(end + 1, "lever", other)]
        incidents.append(Incident(kind, where, noticed - first, helped - first, sum(cost for _, cost in hits[fault])))
    for who in (f"{name}-{number}" for name in ("orders", "payment", "shipping") for number in (1, 2)):
        at = round(dice.uniform(0, ORDERS / RATE), 3)
        notes.append(Note(at, "clock", who, round(at + ahead.get(who, 0), 3)))
    return Game([entry for _, entry in sorted(ledger)], sorted(notes, key=lambda note: note.at)), incidents


WRONG_CLOCKS = (("orders-1", 3.7), ("orders-2", -2.9), ("payment-1", 0.8), ("shipping-2", -6.0))
SECOND = Fault("no parcel", "shipping-1", 40, 60, 130), Fault("refusals", "orders-2", 70, 81, 105, 0.9)
PRACTICE = 3, SECOND, WRONG_CLOCKS, 0.05, 0.3
DOUBLE, LOST = Fault("double charge", "payment-2", 50, 72, 120), Fault("no parcel", "shipping-2", 42, 95, 110, 0.9)
GAMES = {  # hidden: what recorded() takes, by what is special about it: the code for whatever is wrong then
    "": [(31, (DOUBLE,)), (12, (LOST,)), (116, (Fault("unpaid parcel", "payment-1", 61, 70, 99, 0.05),)),
         (14, (Fault("refusals", "orders-1", 30, 41, 90, 0.8),))],
    "clocks": [(15, (Fault("refusals", "orders-2", 50, 72, 120),), WRONG_CLOCKS), (16, (DOUBLE,), WRONG_CLOCKS)],
    "came-again": [(17, (DOUBLE,), (), 0.1)],
    "refund": [(35, (DOUBLE,), (), 0, 0.4), (19, (LOST,), (), 0, 0.4)],
    "second": [(20, SECOND),
               (21, (Fault("unpaid parcel", "payment-2", 40, 55, 130), DOUBLE._replace(where="payment-1"))),
               (23, (Fault("unpaid parcel", "payment-2", 30, 37, 55), DOUBLE._replace(begin=75, noticed=90, end=110))),
               (22, (LOST._replace(where="shipping-1"), LOST._replace(begin=70, noticed=77, end=100)))],
}  # fmt: skip


def game() -> Game:
    """A game to try things on; the check has others."""
    return recorded(*PRACTICE)[0]


class Reviewed(Stage):
    def review(self, setting, special):
        game, due = recorded(*setting)
        found = self.call(self.yours, Game(list(game.ledger), list(game.dashboard)), returns=list, limit=5.0)
        for note in game.dashboard:
            if note.what != "clock":
                self.last = self.ask.trace.send("dashboard", note.who, note.what, at=note.at)
                self.ask.trace.receive(self.last, at=note.at + 0.1)
        yield "not-a-review", all(map(is_incident, found)), f"it returned {shown(found)}"
        yield special or "how-many", len(found) == len(due), f"there were {len(due)}; it found {shown(found)}"
        for mine, true in zip((Incident(*one) for one in found), due):
            right = {
                "fault": mine.fault == true.fault,
                "where": mine.where == true.where,
                "detect": abs(mine.to_detect - true.to_detect) <= SLACK,
                "mitigate": abs(mine.to_mitigate - true.to_mitigate) <= SLACK,
                "money": abs(mine.lost - true.lost) <= SHARE * true.lost,
            }
            for code, is_right in right.items():
                yield special or code, is_right, f"it found {shown(tuple(mine), 200)}; not right is {WHAT[code]}"


def is_incident(one):
    fits = isinstance(one, tuple | list) and len(one) == 5 and all(isinstance(name, str) for name in one[:2])
    return fits and all(isinstance(number, Real) and isfinite(number) for number in one[2:])


def reviewed(review) -> Table:
    """What is found in the game to try things on, and what is true of it."""
    game, due = recorded(*PRACTICE)
    rows = [("found", *one) for one in review(game)] + [("true", *one) for one in due]
    return Table(("", "fault", "where", "to detect (s)", "to mitigate (s)", "lost"), rows, "the game to try things on")


check_review = scenario("15", 4, "A post-mortem", WORDS, review=Reviewed)


@check_review.part
def games(r):
    for code, settings in GAMES.items():
        for setting in settings:
            yield from r.review(setting, code)
