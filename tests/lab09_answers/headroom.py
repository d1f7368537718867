"""Exercise 5: plans written in three ways, and mistakes."""

from fractions import Fraction
from functools import cache
from math import ceil, comb

NAMES = ("all up", "one dies", "two die", "zone", "zone and one", "goal")


def rate(shop):
    best = 0
    for calls, took in sorted(shop.test):
        if took > shop.promise:
            break
        best = calls
    return best


def enough(n, need, up):
    return sum(comb(n, k) * up**k * (1 - up) ** (n - k) for k in range(need, n + 1))


def goal(shop, need, shared=None):
    shared, n = shop.shared if shared is None else shared, need
    if shared <= shop.goal:
        return None
    while shared * enough(n, need, shop.up) < shop.goal:
        n += 1
    return n


def in_zones(shop, left):
    return ceil(Fraction(left * shop.zones, shop.zones - 1)) if shop.zones > 1 else None


def by_formula(shop):
    need = ceil(shop.peak / rate(shop))
    numbers = need, need + 1, need + 2, in_zones(shop, need), in_zones(shop, need + 1), goal(shop, need)
    return dict(zip(NAMES, numbers))


def by_trying(shop):
    """It deals the instances out, takes some away and counts who is left; None where a thousand do not do."""
    broken = [calls for calls, took in shop.test if took > shop.promise]
    each = max(calls for calls, _ in shop.test if all(calls < other for other in broken))

    def left(n):
        largest = max(len(range(zone, n, shop.zones)) for zone in range(shop.zones))
        return [n, n - 1, n - 2, n - largest, n - largest - 1]

    found = {}
    for place, case in enumerate(NAMES[:5]):
        found[case] = next((n for n in range(1, 1000) if left(n)[place] * each >= shop.peak), None)
    need = found["all up"]
    most = 60 if shop.shared > shop.goal else 0
    found["goal"] = next(
        (n for n in range(need, need + most) if shop.shared * enough(n, need, shop.up) >= shop.goal), None
    )
    return found


def by_recursion(shop):
    """The chance that enough of n work, one instance after another, in fractions."""
    up = Fraction(str(shop.up))

    @cache
    def chance(n, need):
        if need <= 0:
            return Fraction(1)
        return Fraction(0) if n < need else up * chance(n - 1, need - 1) + (1 - up) * chance(n - 1, need)

    plan, wanted = by_formula(shop), Fraction(str(shop.goal)) / Fraction(str(shop.shared))
    n = plan["all up"]
    while wanted < 1 and chance(n, plan["all up"]) < wanted:
        n += 1
    return plan | {"goal": n if wanted < 1 else None}


# -- mistakes ------------------------------------------------------------------------------------------


def with_rate(each):
    def plan(shop):
        need = ceil(shop.peak / each(shop))
        numbers = need, need + 1, need + 2, in_zones(shop, need), in_zones(shop, need + 1), goal(shop, need)
        return dict(zip(NAMES, numbers))

    return plan


def with_number(name, number):
    def plan(shop):
        found = by_formula(shop)
        return found | {name: number(shop, found["all up"])}

    return plan


def one_too_many(shop):
    return by_formula(shop) | {"all up": int(shop.peak // rate(shop)) + 1}


def to_the_nearest(shop):
    need = max(1, round(shop.peak / rate(shop)))
    return by_formula(shop) | {"all up": need}


def the_last_row_is_bad(shop):
    """The limit lies below the last row, it thinks, also where that one is good."""
    calls = sorted(calls for calls, _ in shop.test)
    return calls[-2] if rate(shop) == calls[-1] else rate(shop)


def fifty_at_most(shop, need):
    return goal(shop, need) and min(50, goal(shop, need))


def two_in_store_at_least(shop, need):
    return goal(shop, need) and max(need + 2, goal(shop, need))


def a_text(shop):
    return by_formula(shop) | {"zone": str(by_formula(shop)["zone"])}


def one_forgotten(shop):
    return {case: number for case, number in by_formula(shop).items() if case != "two die"}


def by_share(shop, need):
    return need + ceil(need / shop.zones) if shop.zones > 1 else None


def zone_and_one(shop, need):
    return in_zones(shop, need) + 1 if shop.zones > 1 else None


def ten_percent(shop, need):
    return ceil(need * 1.1)


RIGHT = {"by formula": by_formula, "by trying": by_trying, "by recursion": by_recursion}
WRONG = {
    "the fastest row": (with_rate(lambda shop: max(shop.test)[0]), {"all-up"}),
    "half of what it bears": (with_rate(lambda shop: rate(shop) / 2), {"too-high"}),
    "one too many when it comes out even": (one_too_many, {"too-high"}),
    "the last good row": (
        with_rate(lambda shop: max(calls for calls, took in shop.test if took <= shop.promise)),
        {"lucky-row"},
    ),
    "the last good row, as listed": (
        with_rate(lambda shop: [calls for calls, took in shop.test if took <= shop.promise][-1]),
        {"too-high"},
    ),
    "below the promise": (
        with_rate(lambda shop: max(calls for calls, took in shop.test if took < shop.promise)),
        {"too-high"},
    ),
    "a tenth more for one": (with_number("one dies", ten_percent), {"deaths"}),
    "two are as one": (with_number("two die", lambda shop, need: need + 1), {"deaths"}),
    "a zone's share more": (with_number("zone", by_share), {"zone"}),
    "the zone's number and one": (with_number("zone and one", zone_and_one), {"zone-and-one"}),
    "one zone, doubled": (with_number("zone", lambda shop, need: in_zones(shop, need) or 2 * need), {"no-number"}),
    "the database is always up": (with_number("goal", lambda shop, need: goal(shop, need, 1.0)), {"shared"}),
    "no more than a thousand": (
        with_number("goal", lambda shop, need: goal(shop, need) or 1000),
        {"no-number"},
    ),
    "one in store": (with_number("goal", lambda shop, need: goal(shop, need) and need + 1), {"goal"}),
    "to the nearest number": (to_the_nearest, {"all-up"}),
    "the last row is bad": (with_rate(the_last_row_is_bad), {"too-high"}),
    "fifty at most": (with_number("goal", fifty_at_most), {"goal"}),
    "two in store at least": (with_number("goal", two_in_store_at_least), {"goal"}),
    "a text": (a_text, {"wrong-type"}),
    "one forgotten": (one_forgotten, {"wrong-type"}),
}
