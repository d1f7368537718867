"""Exercise 2, build and measure: quantiles out of buckets as Prometheus has them, and bounds that suit the question."""

import random
from functools import cache
from math import ceil, inf, isfinite, isnan, nan
from numbers import Real

import numpy as np

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table
from servicelab.theory.telemetry import histogram_quantile

QUANTILES, MOST, ERROR, LIMIT = (0.5, 0.95, 0.99), 12, 0.10, 0.12  # the task says 10 %; the rest is chance
#: The defaults of OpenTelemetry, which are meant for milliseconds.
OTEL = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)

WORDS = words("""
wrong-type: histogram_quantile returns a number
    Does every path through it end with a return?
inside: within a bucket the quantile lies as far along as its rank does
    How many are below the bucket, how many are in it, and which of them is meant?
first: the first bucket begins at 0
    What is the lower bound of a bucket that has no other below it?
not-positive: the first bucket's bound is 0 or less: it is the quantile
    From where to where would you interpolate?
edge: a rank that just fills a bucket is its upper bound, whatever comes next
    Is "as many as the rank" enough, or must it be more? And what if the next buckets are empty?
beyond: a quantile in the last bucket is the largest finite bound
    How far does the last bucket reach?
nothing: no observations, fewer than two buckets, or a last bucket that is not +Inf: NaN
    What do you divide by, and which bucket tells how many there are in all?
no-share: q below 0 is −inf, and above 1 it is +inf
    Look at q before you look at the buckets.
any-order: the buckets may come in any order, and the list stays as it was
    Which functions sort in place?
not-bounds: BOUNDS is a list or tuple of 1 to 12 rising positive numbers, without +Inf
    Count them. +Inf is added for you.
off: the quantiles of all three services come out with an error below 10 %
    Where do the nine quantiles lie? A bucket that reaches from a to b can be wrong by as much as it is wide.
""")


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


class Asked(Stage):
    def compare(self, code, q, buckets, due):
        mine = list(buckets)
        self.last = self.ask.trace.send("dashboard", "histogram", f"q = {q}")
        found = self.call(self.yours, q, mine)
        self.ask.trace.receive(self.last)
        told = f"q = {q} of {shown(buckets, 200)}: it gave {shown(found)}"
        if not isinstance(found, Real) or isinstance(found, bool):
            self.refuse("wrong-type", told)
        if mine != buckets:
            self.refuse("any-order", "the list that it was given is another one now")
        return code, isnan(found) if isnan(due) else found == due or abs(found - due) <= 1e-9, f"{told}, not {due:.4g}"


class Bounds(Stage):
    def __init__(self, ask, BOUNDS):
        super().__init__(ask, BOUNDS)
        self.last = ask.trace.send("service", "histogram", shown(BOUNDS, 60))
        ask.trace.receive(self.last)


check_histogram = scenario("12", 2, "Quantiles out of buckets", WORDS, histogram_quantile=Asked, BOUNDS=Bounds)
part = check_histogram.part
PAGE = [(0.1, 20), (0.3, 50), (0.45, 90), (1.0, 98), (inf, 100)]
FLAT, BELOW = [(1, 1), (2, 1), (3, 1), (4, 3), (inf, 4)], [(-2, 5), (1, 10), (inf, 10)]


@part("histogram_quantile")
def inside_a_bucket(a):
    for q, due in ((0.25, 0.4 / 3), (0.45, 0.8 / 3), (0.7, 0.375), (0.95, 0.79375)):
        yield a.compare("inside", q, PAGE, due)
    yield a.compare("inside", 0.6, [(0.3, 0.25), (0.45, 1.75), (inf, 2.5)], 0.425)
    for q, buckets, due in ((0.05, PAGE, 0.025), (0.125, PAGE, 0.0625), (0.5, [(4.0, 8), (inf, 8)], 2.0)):
        yield a.compare("first", q, buckets, due)


@part("histogram_quantile")
def at_the_edges(a):
    for q, buckets, due in ((0.5, PAGE, 0.3), (0.25, FLAT, 1), (1, [(1, 2), (2, 4), (inf, 4)], 2)):
        yield a.compare("edge", q, buckets, due)
    for q, buckets, due in ((0.99, PAGE, 1.0), (1, PAGE, 1.0), (0.5, [(2.5, 0), (inf, 7)], 2.5)):
        yield a.compare("beyond", q, buckets, due)
    for q, buckets, due in ((0.2, [(0, 5), (1, 10), (inf, 10)], 0), (0.1, BELOW, -2)):
        yield a.compare("not-positive", q, buckets, due)
    for buckets, due in ((BELOW, -0.5), ([(-3, 5), (-1, 10), (inf, 10)], -2)):
        yield a.compare("inside", 0.75, buckets, due)


@part("histogram_quantile")
def nothing_to_say(a):
    for buckets in ([], [(inf, 9)], [(1, 0), (2, 0), (inf, 0)], PAGE[:-1]):
        yield a.compare("nothing", 0.5, buckets, nan)
    for q, buckets in ((-0.1, PAGE), (1.5, PAGE), (99, PAGE), (-0.1, []), (1.5, PAGE[:-1])):
        yield a.compare("no-share", q, buckets, inf if q > 1 else -inf)


@part("histogram_quantile")
def in_disorder(a):
    for q, buckets, due in (
        (0.7, PAGE[::-1], 0.375), (0.7, [PAGE[at] for at in (3, 0, 4, 2, 1)], 0.375), (0.25, FLAT[::-1], 1),
    ):  # fmt: skip
        yield a.compare("any-order", q, buckets, due)


@part("BOUNDS")
def bounds(b):
    found = b.yours
    fits = isinstance(found, list | tuple) and 1 <= len(found) <= MOST
    fits = fits and all(isinstance(one, Real) and one > 0 and isfinite(one) for one in found)
    fits = fits and all(one < other for one, other in zip(found, found[1:]))
    many = f", {len(found)} of them" if isinstance(found, list | tuple) else ""
    yield "not-bounds", fits, f"BOUNDS is {shown(found)}{many}"
    for seed in (101, 102, 103):
        for name, q, true, told, error in errors(found, seed):
            b.last = b.ask.trace.send(name, "dashboard", f"p{100 * q:.0f} {told:.3g} s")
            b.ask.trace.receive(b.last)
            what = f"another day, {name}: p{100 * q:.0f} is {true:.3g} s; out of your buckets {told:.3g} s"
            yield "off", error < LIMIT, f"{what}, an error of {error:.0%}"
