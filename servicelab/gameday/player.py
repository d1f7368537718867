"""Notes, scripted players, the formula's loss, and the cheapest cards that would have won."""

import itertools
import math
from typing import NamedTuple

from servicelab.gameday.cards import CARDS, POINT_PRICE, POINTS, points
from servicelab.gameday.incidents import INCIDENTS, ROUNDS, STEP, SWITCHES, lasts, plan
from servicelab.gameday.simulated import simulate

REFUSED = 11  # what an order brings less when it is refused


class Note(NamedTuple):
    """An incident note: *what* (the key of an incident), *where*, filed *at* which order. *Since* which order, and on
    what evidence, is for the talk afterwards."""

    what: str
    where: str
    at: int
    since: int = 0
    evidence: str = ""


class Play(NamedTuple):
    """What a player does in a round: ``script`` is (order, lever) for each lever, ``note`` a Note or None."""

    script: tuple = ()
    note: Note | None = None


def bonus(plan, note) -> int:
    """In a round of 1200 orders +300 for a note that is right at once, less for a later one, -100 for a wrong one; and
    one that was there before the fault is a guess, and wrong."""
    if note is None:
        return 0
    passed = note.at - plan.begins.get(note.what, math.inf)
    if passed < 0 or INCIDENTS[note.what].service != note.where:
        return round(-100 * plan.orders / 1200)
    return round(300 * (plan.orders - passed) / 1200)


def cost(cards, orders: int) -> int:
    """What the cards cost, in a game of four rounds of so many orders."""
    return round(points(cards) * POINT_PRICE * orders / 1200)


def delay(key, plan, cards) -> int:
    """After how many orders a perfect player has seen it and knows it: a quarter of a round and a sixth; with the cards
    for it, a twelfth and a twentieth."""
    sees = 15 if "alert" not in cards or key == "dark" else 5
    knows = 10 if "traces" not in cards or key == "dark" else 3
    return math.ceil(plan.orders * (sees + knows) / 60)


def each(key, cards) -> float:
    """What an order loses in the mean."""
    incident = INCIDENTS[key]
    return incident.share * next((price for card, price in incident.helped.items() if card in cards), incident.price)


def closing(plan) -> int:
    """What a lever costs that keeps the shop closed."""
    return math.ceil(plan.orders * STEP) * REFUSED


def perfect(plan, cards) -> Play:
    """Knows the faults, and needs the time that the instruments take. Pulls what is worth more than it costs."""
    script, notes = [], []
    for key, begin in plan.begins.items():
        lever, at = INCIDENTS[key].cure, begin + delay(key, plan, cards)
        notes.append(Note(key, INCIDENTS[key].service, at, begin, "knows it"))
        if lever == "drain region" and "region" not in cards:
            lever = "close" if each(key, cards) > REFUSED else None
        worth = (begin + lasts(key, plan, cards) - at) * each(key, cards)
        if key == "storm":  # it ends by itself with a card for it; else keep everybody out until the queue has gone
            queue = (at - begin) / 2 + 4 * plan.rate  # half of those who came, and all who came to a standstill
            out = [(at, "close"), (at + math.ceil(queue / 1.5), "close")]
            script += [(at, lever), *out] if each(key, cards) > REFUSED else []
        elif lever and worth > (0 if lever == "close" else closing(plan)):
            script.append((at, lever))
    return Play(tuple(script), notes[0] if notes else None)


def expected_loss(plan, cards, player=perfect) -> float:
    """The closed form: orders until it is over × the share that it meets × what each of those loses."""
    script = [pulled for pulled in player(plan, cards).script if pulled[1] != "drain region" or "region" in cards]
    on, off = ([at for at, lever in script if lever == "close"] + [plan.orders] * 2)[:2]
    loss = (off - on) * REFUSED + closing(plan) * sum(lever not in SWITCHES for _, lever in script)
    for key, begin in plan.begins.items():
        over = [at - begin for at, lever in script if lever in (INCIDENTS[key].cure, "close")]
        loss += min([lasts(key, plan, cards), *over]) * each(key, cards)
    return loss


def play(plan, cards, player=perfect) -> int:
    """Money of a simulated round, note included."""
    done = player(plan, cards)
    return simulate(plan, cards, done.script).money + bonus(plan, done.note)


def best_cards(seed, orders=1200, bar=iter) -> list[tuple[int, frozenset]]:
    """``(money, cards)`` for every set of cards that can be bought, played perfectly in SimPy; the best first. ``bar``
    goes around the rounds, as tqdm does.

    In a round only those cards are varied that change something in it: for its faults, and for how soon they are known.
    """
    hands = [frozenset(hand) for size in range(len(CARDS)) for hand in itertools.combinations(CARDS, size)]
    total = {hand: -cost(hand, orders) for hand in hands if points(hand) <= POINTS}
    for number in bar(range(1, ROUNDS + 1)):
        this, played = plan(seed, number, orders), {}
        faults = [INCIDENTS[key] for key in this.begins]
        matter = {"alert", "traces"}.union(*(fault.helped for fault in faults), *(fault.ends for fault in faults))
        matter |= {"region"} if any(fault.cure == "drain region" for fault in faults) else set()
        for hand in total:
            if hand & matter not in played:
                played[hand & matter] = play(this, hand & matter)
            total[hand] += played[hand & matter]
    return sorted(((money, hand) for hand, money in total.items()), key=lambda one: (-one[0], points(one[1])))
