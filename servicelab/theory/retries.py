"""Availability, fan-out and retries."""

import math

from servicelab.arguments import whole
from servicelab.theory.arrays import probabilities, probability


def availability_series(*availabilities):
    """Availability of something that needs all of its parts, which fail independently: their product.

    Source: Barlow and Proschan, "Mathematical Theory of Reliability" (Wiley, 1965), as for the parallel form.
    """
    return math.prod(probabilities(availabilities))


def availability_parallel(*availabilities):
    """Availability of something that needs any one of its parts, which fail independently: 1 − Π (1 − aᵢ)."""
    return _at_least_one([(a, 1) for a in probabilities(availabilities)])


def fan_out(p, n):
    """Probability that at least one of ``n`` parallel calls is slow, when each is with probability ``p``: 1 − (1 − p)ⁿ.

    1% slow calls and a page of 100 calls: 63.4% slow pages. Source: Dean and Barroso, "The Tail at Scale",
    Communications of the ACM 56(2), 2013.
    """
    return _at_least_one([(probability(p), whole("n", n, "calls"))])


def retry_load(p, attempts):
    """Mean attempts per call, when each fails with probability ``p`` and a call makes up to ``attempts``.

    (1 − pᵏ) / (1 − p), which is k when all attempts fail: the sum 1 + p + … + pᵏ⁻¹. Independent failures; in an
    overload p rises with the load that this adds.
    """
    p, attempts = probability(p), whole("attempts", attempts, "attempts")
    if p in (0, 1):
        return float(attempts if p else 1)
    return -math.expm1(attempts * math.log(p)) / (1 - p)


def layered_retries(tries, layers):
    """Attempts that reach the bottom of a chain when each of ``layers`` callers tries ``tries`` times: tries^layers.

    Three tries in five layers: 243. Source: "Site Reliability Engineering" (O'Reilly, 2016), chapter 22.
    """
    return whole("tries", tries, "attempts") ** whole("layers", layers, "layers")


def _at_least_one(chances):
    """The probability of at least one of independent events: 1 − Π (1 − p)ⁿ of the ``(p, n)`` in ``chances``.

    By logarithms: 1 − (1 − p) is 0 for a small p, and −expm1(log1p(−p)) is p.
    """
    if any(p == 1 for p, _ in chances):
        return 1.0
    return -math.expm1(sum(n * math.log1p(-p) for p, n in chances))
