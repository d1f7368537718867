"""A control plane's lag, and how many requests a new version must serve until one knows."""

import math

from servicelab.arguments import positive, whole
from servicelab.theory.arrays import probability


def refresh_lag(interval):
    """``(mean, most)`` seconds until a proxy obeys, when it asks again ``interval`` to 2 × ``interval`` s after asking.

    A change at a random moment falls into a gap G with a chance in proportion to its length, and waits for half of it
    in the mean: E[G²] / 2 E[G], which is 7/9 of ``interval`` for an even distribution, and at most 2. Source: Feller,
    "An Introduction to Probability Theory and Its Applications", vol. 2 (Wiley, 1971), I.4, the waiting-time paradox.
    """
    interval = positive("interval", interval, "seconds")
    return 7 / 9 * interval, 2 * interval


def requests_to_see(p, sure=0.95):
    """Requests until at least one has failed with probability ``sure``, when each fails with probability ``p``.

    ln(1 − sure) / ln(1 − p), rounded up: about 3 / p for 95%. Source: Hanley and Lippman-Hand, "If Nothing Goes Wrong,
    Is Everything All Right?", JAMA 249(13), 1983. ValueError unless both lie between 0 and 1.
    """
    p, sure = probability(p), probability(sure)
    if not (0 < p < 1 and 0 < sure < 1):
        raise ValueError(f"p={p} and sure={sure} must lie between 0 and 1: nothing certain needs a count")
    return math.ceil(math.log1p(-sure) / math.log1p(-p))


def canary(good, bad, requests, alarm):
    """``(false alarm, power)`` of a canary that is taken back at ``alarm`` failures among ``requests``.

    The probabilities of at least ``alarm`` failures if each request fails with probability ``good``, and if with
    ``bad``. Source: the binomial distribution, e.g. Feller, vol. 1 (Wiley, 1968), VI.2.
    """
    requests, alarm = whole("requests", requests, "requests"), whole("alarm", alarm, "failures")
    return _at_least(alarm, requests, probability(good)), _at_least(alarm, requests, probability(bad))


def _at_least(k, n, p):
    return 1 - math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(min(k, n + 1)))
