"""Exercise 5, measure and decide: how many instances a shop needs, so that somebody is there when some are not."""

from math import ceil, comb, inf
from numbers import Integral
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: plan returns a dict from each of the six cases to a whole number, or to None
    Compare what you return with the list in the task, case by case.
all-up: all are up: the least number that bears the peak and keeps the promise
    Sort the test by its rates: where was the promise broken for the first time, and is it broken by just so many
    seconds? What if the number comes out even?
deaths: one dies, two die: the least number of which enough are left
    How many are left, and what does each of them get?
zone: the largest zone is gone: the least number of which enough are left
    How many are in the largest zone, out of the number that you say? The others have to bear all of the peak.
zone-and-one: a zone is gone and one dies: the least number of which enough are left
    One more in all is not one more in the zones that are left.
no-number: where no number does, it is None; where one does, it is a number
    When all of them are in this zone, or need this database: whom do copies help?
goal: the goal is kept: the least number, with the database that all of them need
    With n copies, how likely is it that just k work? And that enough do? What else must be up then? In a row you
    multiply. One more in store does not always do.
""")
CASES = {"all up": "all-up", "one dies": "deaths", "two die": "deaths"}  # and the codes of wrong numbers
CASES |= {"zone": "zone", "zone and one": "zone-and-one", "goal": "goal"}


class Shop(NamedTuple):
    """A shop, and what was measured of one of its instances."""

    peak: int  # calls/s in its worst hour
    promise: float  # seconds that 99% of the answers take at most
    test: tuple[tuple[int, float], ...]  # of one instance, as they were tried: calls/s, seconds that 99% took at most
    zones: int  # over which the instances are spread, as evenly as they can be
    up: float  # the share of the time that an instance works, each for reasons of its own
    shared: float  # the share of the time that the database works which all of them need
    goal: float  # the share of the time that the shop has to bear its peak


def likely(shop, n: int, need: int) -> float:
    """How likely is it that ``need`` of ``n`` instances work, and what they share?"""
    return shop.shared * sum(comb(n, k) * shop.up**k * (1 - shop.up) ** (n - k) for k in range(need, n + 1))


def right(shop) -> dict[str, int | None]:
    """How many instances it needs in each case; None where no number does."""
    bad = min((rate for rate, took in shop.test if took > shop.promise), default=inf)
    need = ceil(shop.peak / max(rate for rate, _ in shop.test if rate < bad))
    zones = [None if shop.zones == 1 else ceil(left * shop.zones / (shop.zones - 1)) for left in (need, need + 1)]
    goal = next((n for n in range(need, need + 100) if likely(shop, n, need) >= shop.goal), None)
    return dict(zip(CASES, (need, need + 1, need + 2, *zones, goal)))


def facts(shop, case: str) -> str:
    """What a case depends on, in words."""
    if case == "all up":
        test = ", ".join(f"{rate}/s {took:g} s" for rate, took in shop.test)
        return f"a peak of {shop.peak} calls/s, a promise of {shop.promise:g} s, and the test {test}"
    due = f"'all up' is {right(shop)['all up']}, "
    if case == "goal":
        return due + f"up {shop.up:g}, shared {shop.shared:g}, goal {shop.goal:g}"
    return due + f"zones: {shop.zones}"


def practice_shop() -> Shop:
    """A shop to try things on; the check has others."""
    return Shop(300, 0.3, ((10, 0.08), (20, 0.11), (30, 0.2), (40, 0.9)), 3, 0.98, 0.9995, 0.999)


#: Hidden. In the first the numbers come out even, and are large; the second has one row that was luck, a test in
#: disorder and a remainder below a half; the third has one zone, no bad row, and needs no spare ones for its goal; the
#: fourth has a database that is not up to the goal.
CHECKED = (
    Shop(4500, 0.2, ((40, 0.05), (60, 0.06), (80, 0.09), (90, 0.2), (100, 0.21), (120, 0.9)), 3, 0.99, 0.9999, 0.9998),
    Shop(490, 0.25, ((50, 0.8), (30, 0.12), (40, 0.24), (35, 0.26), (20, 0.08)), 4, 0.95, 0.9992, 0.999),
    Shop(70, 0.5, ((5, 0.1), (10, 0.2), (15, 0.4), (20, 0.5)), 1, 0.999, 1.0, 0.99),
    Shop(18, 1.0, ((10, 0.2), (20, 0.9), (30, 3.0)), 2, 0.999, 0.999, 0.9995),
)
check_headroom = scenario("09", 5, "Headroom", WORDS, plan=Stage)


@check_headroom.part
def four_shops(p):
    for shop in CHECKED:
        found = p.call(p.yours, shop, returns=dict)
        for case, due in right(shop).items():
            mine = found.get(case, "nothing")
            is_number = isinstance(mine, Integral) and mine > 0
            each = f"{mine}, {shop.peak / mine:.0f}/s each" if is_number else shown(mine, 12)
            p.draw("client", "instance", f"{case}: {each}")
            told = f"{facts(shop, case)}: for {case!r} it gave {shown(mine)}"
            yield "wrong-type", is_number or mine is None, told
            yield "no-number" if None in (mine, due) and case != "all up" else CASES[case], mine == due, told
