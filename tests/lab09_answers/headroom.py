"""Exercise 5: plans written in three ways, and mistakes."""

from fractions import Fraction
from functools import cache
from math import ceil, comb

from tests.lab11_answers import but


def by_formula(shop):
    rate = 0
    for calls, took in sorted(shop.test):
        if took > shop.promise:
            break
        rate = calls
    need = ceil(shop.peak / rate)
    zone, zone_and_one = (
        ceil(Fraction(left * shop.zones, shop.zones - 1)) if shop.zones > 1 else None for left in (need, need + 1)
    )
    n = need if shop.shared > shop.goal else None
    while n and shop.shared * enough(n, need, shop.up) < shop.goal:
        n += 1
    found = {"all up": need, "one dies": need + 1, "two die": need + 2}
    return found | {"zone": zone, "zone and one": zone_and_one, "goal": n}


def enough(n, need, up):
    return sum(comb(n, k) * up**k * (1 - up) ** (n - k) for k in range(need, n + 1))


def by_trying(shop):
    """It deals the instances out, takes some away and counts who is left; None where a thousand do not do."""
    broken = [calls for calls, took in shop.test if took > shop.promise]
    each = max(calls for calls, _ in shop.test if all(calls < other for other in broken))

    def left(n):
        largest = max(len(range(zone, n, shop.zones)) for zone in range(shop.zones))
        return [n, n - 1, n - 2, n - largest, n - largest - 1]

    found = {}
    for place, case in enumerate(("all up", "one dies", "two die", "zone", "zone and one")):
        found[case] = next((n for n in range(1, 1000) if left(n)[place] * each >= shop.peak), None)
    need = found["all up"]
    tries = range(need, need + 60 if shop.shared > shop.goal else 0)
    found["goal"] = next((n for n in tries if shop.shared * enough(n, need, shop.up) >= shop.goal), None)
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


def wrong(code, *changes):
    return but(by_formula, *changes), {code}


RIGHT = {"by formula": by_formula, "by trying": by_trying, "by recursion": by_recursion}
WRONG = {
    "the fastest row": wrong("all-up", "took > shop.promise => False"),
    "the last good row": wrong("all-up", "break => continue"),
    "the last good row, as listed": wrong("all-up", "break => continue", "sorted(shop.test) => shop.test"),
    "the last row is bad": wrong("all-up", "sorted(shop.test) => sorted(shop.test)[:-1]"),
    "below the promise": wrong("all-up", "took > shop => took >= shop"),
    "one too many when it comes out even": wrong("all-up", "ceil(shop.peak / rate) => shop.peak // rate + 1"),
    "to the nearest number": wrong("all-up", "ceil(shop.peak / rate) => max(1, round(shop.peak / rate))"),
    "a tenth more for one": wrong("deaths", '"one dies": need + 1 => "one dies": ceil(need * 1.1)'),
    "two are as one": wrong("deaths", '"two die": need + 2 => "two die": need + 1'),
    "a zone's share more": wrong("zone", '"zone": zone => "zone": zone and need + ceil(need / shop.zones)'),
    "the zone's number and one": wrong("zone-and-one", ": zone_and_one => : zone and zone + 1"),
    "one zone, doubled": wrong("no-number", '"zone": zone => "zone": zone or 2 * need'),
    "no more than a thousand": wrong("no-number", '"goal": n => "goal": n or 1000'),
    "the database is always up": wrong("goal", "shop.shared * enough => enough"),
    "one in store": wrong("goal", '"goal": n => "goal": n and need + 1'),
    "two in store at least": wrong("goal", '"goal": n => "goal": n and max(need + 2, n)'),
    "fifty at most": wrong("goal", '"goal": n => "goal": n and min(50, n)'),
    "a text": wrong("wrong-type", '"zone": zone => "zone": str(zone)'),
    "one forgotten": wrong("wrong-type", ', "two die": need + 2 => '),
}
