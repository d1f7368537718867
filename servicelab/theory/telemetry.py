"""What buckets and alerts can know."""

import numpy as np

from servicelab.arguments import positive
from servicelab.theory.arrays import probability


def histogram_quantile(q, bounds, counts):
    """The quantile ``q`` as Prometheus reads it off a histogram, in the unit of ``bounds``.

    ``bounds`` are the upper ends of the buckets, ascending, without the last one, which has none; ``counts`` how many
    values each bucket holds, that last one included. The values of a bucket are taken to lie evenly in it; the first
    begins at 0 if its bound is above 0; what falls into the last is answered with the highest bound. NaN without
    values. Source: Prometheus, "Query functions", histogram_quantile().
    """
    q, bounds, counts = probability(q), np.asarray(bounds, float), np.asarray(counts, float)
    if len(bounds) < 1 or len(counts) != len(bounds) + 1 or np.any(np.diff(bounds) <= 0) or np.any(counts < 0):
        raise ValueError(
            f"bounds={bounds.tolist()} and counts={counts.tolist()} do not fit: give ascending bounds, and "
            "counts >= 0, one for each bound and one more"
        )
    if not counts.sum():
        return float("nan")
    upto, rank = np.cumsum(counts), q * counts.sum()
    i = int(np.searchsorted(upto, rank))
    if i == len(bounds):
        return float(bounds[-1])
    if i == 0 and bounds[0] <= 0:
        return float(bounds[0])
    low = bounds[i - 1] if i else 0.0
    before = upto[i - 1] if i else 0.0
    return float(low + (bounds[i] - low) * (rank - before) / counts[i]) if counts[i] else float(low)


def burn_rate(budget, window, period=30 * 24):
    """How many times too fast errors come if the share ``budget`` of what ``period`` hours allow is gone in ``window``.

    2% in one hour of thirty days: 14.4. Source: "The Site Reliability Workbook" (O'Reilly, 2018), chapter 5.
    """
    return probability(budget) * positive("period", period, "hours") / positive("window", window, "hours")


def time_to_alert(errors, rate, window, slo):
    """Time, in the unit of ``window``, from the beginning of an incident until an alert fires; inf if it never does.

    The alert looks at the errors of the last ``window`` and fires at ``rate`` times the 1 − ``slo`` that is allowed;
    the incident fails the share ``errors`` of evenly coming requests, and nothing failed before it:
    rate × (1 − slo) × window / errors. Source: "The Site Reliability Workbook" (O'Reilly, 2018), chapter 5.
    """
    needed = positive("rate", rate, "times the budget") * (1 - probability(slo))
    if not errors or needed > probability(errors) * (1 + 1e-9):  # 1 − 0.999 is a little more than 0.001
        return float("inf")
    return needed / errors * positive("window", window, "hours")
