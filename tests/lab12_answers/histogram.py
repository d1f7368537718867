"""Exercise 2: quantiles written in two ways, bounds found in two, and mistakes."""

from bisect import bisect_left
from math import inf, nan

from servicelab.checks.lab12.histogram import OTEL


def by_loop(q, buckets):
    if q < 0:
        return -inf
    if q > 1:
        return inf
    buckets = sorted(buckets)
    if len(buckets) < 2 or buckets[-1][0] != inf or buckets[-1][1] == 0:
        return nan
    rank, low, below = q * buckets[-1][1], 0.0, 0
    for bound, count in buckets:
        if count >= rank:
            if bound == inf or (bound <= 0 and below == 0):
                return low if bound == inf else bound
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count


def by_bisection(q, buckets):
    bounds = [bound for bound, _ in sorted(buckets)]
    counts = [count for _, count in sorted(buckets)]
    if not 0 <= q <= 1:
        return inf if q > 1 else -inf
    if len(bounds) < 2 or bounds[-1] < inf or counts[-1] == 0:
        return float("nan")
    at = min(bisect_left(counts, q * counts[-1]), len(bounds) - 1)
    if at == len(bounds) - 1 or (at == 0 and bounds[0] <= 0):
        return bounds[max(0, at - 1)]
    lows, before = [0, *bounds], [0, *counts]
    share = (q * counts[-1] - before[at]) / (counts[at] - before[at])
    return (1 - share) * lows[at] + share * bounds[at]


def unless(kind, other):
    """``by_loop``, but for calls of a kind."""

    def histogram_quantile(q, buckets):
        return other(q, buckets) if kind(q, sorted(buckets)) else by_loop(q, buckets)

    return histogram_quantile


def is_empty(q, buckets):
    return not buckets or not buckets[-1][1]


def upper(q, buckets):
    return next(bound for bound, count in sorted(buckets) if count >= q * max(count for _, count in buckets))


def first_from_the_bound(q, buckets):
    """The first bucket has no width."""
    (bound, count), *_ = sorted(buckets)
    return bound if q * max(buckets)[1] <= count else by_loop(q, buckets)


def strictly_more(q, buckets):
    """Looks for a count above the rank."""
    buckets = sorted(buckets)
    rank = q * buckets[-1][1]
    if not any(rank == count for _, count in buckets[:-1]) or not 0 < q <= 1:
        return by_loop(q, buckets)
    return next((bounds for bounds, count in buckets if count > rank), buckets[-2][0])


def in_place(q, buckets):
    buckets.sort()
    return by_loop(q, buckets)


def unsorted(q, buckets):
    if buckets == sorted(buckets):
        return by_loop(q, buckets)
    return by_loop(q, [(bound, count) for (bound, _), (_, count) in zip(sorted(buckets), buckets)])


def by_counts(q, buckets):
    """Sorted by the counts: where two are alike, it takes what comes first."""
    found = by_loop(q, buckets)
    like = [bound for bound, count in buckets if count == q * max((count for _, count in buckets), default=0)]
    return like[0] if found in like else found


def whole_ranks(q, buckets):
    """Counts are whole, it thinks."""
    return by_loop(q, [(bound, int(count)) for bound, count in buckets])


NINE = [0.0027, 0.0062, 0.0089, 0.064, 0.143, 0.208, 1.19, 2.6, 3.55]
TWELVE = (0.0025, 0.0029, 0.0061, 0.009, 0.06, 0.064, 0.141, 0.208, 1.1, 1.2, 2.6, 3.5)


def spread(low, high, count):
    return [low * (high / low) ** (step / (count - 1)) for step in range(count)]


RIGHT = {
    "a loop": (by_loop, NINE),
    "bisection": (by_bisection, TWELVE),
}
WRONG = {
    "the upper bound": (unless(lambda q, b: 0.2 < q < 0.98 and b[0] == (0.1, 20), upper), {"inside"}),
    "whole ranks": (whole_ranks, {"inside"}),
    "the first has no width": (first_from_the_bound, {"first"}),
    "from below nought": (
        unless(lambda q, b: b[:1] and b[0][0] <= 0 and q < 0.5, lambda q, b: q * b[1][0] + (1 - q) * b[0][0]),
        {"not-positive"},
    ),
    "strictly more": (strictly_more, {"edge"}),
    "infinity": (unless(lambda q, b: upper(q, b) == inf if b and 0 < q <= 1 else False, upper), {"beyond"}),
    "nought of nothing": (unless(is_empty, lambda q, b: 0.0 if 0 <= q <= 1 else by_loop(q, b)), {"nothing"}),
    "no last bucket": (unless(lambda q, b: b and b[-1][0] < inf, upper), {"nothing"}),
    "one bucket": (unless(lambda q, b: len(b) == 1, lambda q, b: inf), {"nothing"}),
    "q of hundred": (unless(lambda q, b: q > 1, lambda q, b: by_loop(q / 100, b)), {"no-share"}),
    "nothing before q": (unless(lambda q, b: is_empty(q, b) and not 0 <= q <= 1, lambda q, b: nan), {"no-share"}),
    "none above nought": (unless(lambda q, b: q == 0.75 and b[1][0] < 0, lambda q, b: sorted(b)[1][0]), {"inside"}),
    "in order of counts": (by_counts, {"any-order"}),
    "in their order": (unsorted, {"any-order"}),
    "in place": (in_place, {"any-order"}),
    "nothing, now and then": (unless(lambda q, b: q == 0.99, lambda q, b: None), {"wrong-type"}),
    "OpenTelemetry's bounds": ((by_loop, OTEL), {"not-bounds"}),
    "thirteen": ((by_loop, [*TWELVE, 9.0]), {"not-bounds"}),
    "from nought": ((by_loop, [0.0, *NINE]), {"not-bounds"}),
    "falling": ((by_loop, NINE[::-1]), {"not-bounds"}),
    "with infinity": ((by_loop, [*NINE, inf]), {"not-bounds"}),
    "spread evenly": ((by_loop, spread(0.002, 4, 12)), {"off"}),
}
WRONG = {name: (mine if isinstance(mine, tuple) else (mine, NINE), codes) for name, (mine, codes) in WRONG.items()}
