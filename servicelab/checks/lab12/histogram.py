"""Exercise 2, build and measure: quantiles out of buckets as Prometheus has them, and bounds that suit the question."""

import random
from functools import cache
from itertools import pairwise
from math import ceil, inf, isfinite, isnan, nan
from numbers import Real

import numpy as np

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table
from servicelab.theory.telemetry import histogram_quantile

QUANTILES, MOST, ERROR, LIMIT = (0.5, 0.95, 0.99), 12, 0.10, 0.12  # the task says 10%; the rest is chance
#: The defaults of OpenTelemetry, which are meant for milliseconds.
OTEL = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)

WORDS = words("""
inside, edge: the rank's bucket is the first that has as many; the quantile lies as far along in it as the rank does
    How many are below the bucket and how many in it? Is "as many as the rank" enough? What if the next ones are empty?
first, not-positive: the first bucket begins at 0; but if its bound is 0 or less, the quantile is this bound
    What is the lower bound of a bucket that has no other below it? From where to where would you interpolate?
beyond: a quantile in the last bucket is the largest finite bound
    How far does the last bucket reach?
nothing, no-share: NaN when there is nothing to tell it from; but above all, −inf for q below 0, and +inf for q above 1
    What do you look at first? What do you divide by, and which bucket tells how many there are in all?
any-order: the buckets may come in any order, and the list stays as it was
    Which functions sort in place?
not-bounds: BOUNDS is a list or tuple of 1 to 12 rising positive numbers, without +Inf
    Count them, and see whether each is larger than the one before. +Inf is added for you.
off: the quantiles of all three services come out with an error below 10%
    Where do the nine quantiles lie? A bucket that reaches from a to b can be wrong by as much as it is wide.
""")
PAGE = [(0.1, 20), (0.3, 50), (0.45, 90), (1.0, 98), (inf, 100)]
FLAT, BELOW = [(1, 1), (2, 1), (3, 1), (4, 3), (inf, 4)], [(-2, 5), (1, 10), (inf, 10)]
#: For each code, buckets and the quantiles that are due.
CASES = {
    "inside": [
        (PAGE, {0.25: 0.4 / 3, 0.45: 0.8 / 3, 0.7: 0.375, 0.95: 0.79375}),
        ([(0.3, 0.25), (0.45, 1.75), (inf, 2.5)], {0.6: 0.425}),
        (BELOW, {0.75: -0.5}),
        ([(-3, 5), (-1, 10), (inf, 10)], {0.75: -2}),
    ],
    "first": [(PAGE, {0.05: 0.025, 0.125: 0.0625}), ([(4.0, 8), (inf, 8)], {0.5: 2.0})],
    "not-positive": [([(0, 5), (1, 10), (inf, 10)], {0.2: 0}), (BELOW, {0.1: -2})],
    "edge": [(PAGE, {0.5: 0.3}), (FLAT, {0.25: 1}), ([(1, 2), (2, 4), (inf, 4)], {1: 2})],
    "beyond": [(PAGE, {0.99: 1.0, 1: 1.0}), ([(2.5, 0), (inf, 7)], {0.5: 2.5})],
    "nothing": [(given, {0.5: nan}) for given in ([], [(inf, 9)], [(1, 0), (2, 0), (inf, 0)], PAGE[:-1])],
    "no-share": [(given, {-0.1: -inf, 1.5: inf, 99: inf}) for given in (PAGE, PAGE[:-1], [])],
    "any-order": [(PAGE[::-1], {0.7: 0.375}), (PAGE[3:] + PAGE[:3], {0.7: 0.375}), (FLAT[::-1], {0.25: 1})],
}


@cache
def answer_times(seed: int = 1) -> dict[str, list[float]]:
    """A day's answer times of three services, in seconds and rising. Another ``seed`` is another day."""
    dice, n = random.Random(seed), 20_000
    return {
        "cache": sorted(0.0015 + dice.expovariate(1 / 0.0015) for _ in range(n)),
        "orders": sorted(dice.lognormvariate(-2.8, 0.5) for _ in range(n)),
        "reports": sorted(0.4 + dice.gammavariate(2.0, 0.45) for _ in range(n)),
    }


def errors(bounds, seed: int = 1) -> Table:
    """How far the quantiles out of buckets with these ``bounds`` are from the true ones, on a day of three services."""
    rows = []
    for name, times in answer_times(seed).items():
        counts = np.bincount(np.searchsorted(bounds, times), minlength=len(bounds) + 1)
        for q in QUANTILES:
            true, told = times[ceil(q * len(times)) - 1], histogram_quantile(q, bounds, counts)
            rows.append((name, q, true, told, abs(told / true - 1)))
    return Table(("service", "q", "true (s)", "out of the buckets (s)", "error"), rows)


check_histogram = scenario("12", 2, "Quantiles out of buckets", WORDS, histogram_quantile=Stage, BOUNDS=Stage)


@check_histogram.part("histogram_quantile")
def quantiles(a):
    for code, cases in CASES.items():
        for buckets, q, due in ((buckets, q, due) for buckets, asked in cases for q, due in asked.items()):
            mine = list(buckets)
            a.say("dashboard", "histogram", f"q = {q}")
            found = a.call(a.yours, q, mine, returns=float | int | Real)
            is_right = isnan(found) if isnan(due) else found == due or abs(found - due) <= 1e-9
            yield code, is_right, f"q = {q} of {shown(buckets, 200)}: it gave {shown(found)}, not {due:.4g}"
            yield "any-order", mine == buckets, "the list that it was given is another one now"


@check_histogram.part("BOUNDS")
def bounds(b):
    found = b.yours
    b.say("service", "histogram", shown(found, 60))
    fits = isinstance(found, list | tuple) and 1 <= len(found) <= MOST
    fits = fits and all(isinstance(one, Real) and isfinite(one) for one in found)
    fits = fits and all(one < other for one, other in pairwise([0, *found]))
    many = f", {len(found)} of them" if isinstance(found, list | tuple) else ""
    yield "not-bounds", fits, f"BOUNDS is {shown(found)}{many}"
    for seed in (101, 102, 103):
        for name, q, true, told, error in errors(found, seed):
            b.say(name, "dashboard", f"p{100 * q:.0f} {told:.3g} s")
            what = f"another day, {name}: p{100 * q:.0f} is {true:.3g} s; out of your buckets {told:.3g} s"
            yield "off", error < LIMIT, f"{what}, an error of {error:.0%}"
