"""Kept answers: how often a copy is found, what happens when it is too old, and the slowest of several calls."""

import numpy as np

from servicelab.arguments import not_negative, positive, whole


def zipf(n: int, s: float = 1.0) -> np.ndarray:
    """Shares of the calls for ``n`` pages, of which the k-th is wanted 1/kˢ as often as the first; they sum to 1.

    Source: Breslau, Cao, Fan, Phillips and Shenker, "Web Caching and Zipf-like Distributions" (INFOCOM 1999); their
    exponents differ from trace to trace.
    """
    weights = 1.0 / np.arange(1, whole("n", n, "pages") + 1) ** not_negative("s", s, "of an exponent")
    return weights / weights.sum()


def lru_hits(popularity, size: int) -> float:
    """Share of the calls that a cache of ``size`` pages finds, when it gives up the one that was asked for longest ago.

    Che's approximation: a page stays for about the same time t (counted in calls) after it was asked for, so page i
    is there with probability 1 − exp(−qᵢt); t is such that Σ (1 − exp(−qᵢt)) = size, and the answer is
    Σ qᵢ (1 − exp(−qᵢt)). ``popularity`` are the shares qᵢ of calls that do not depend on those before.
    Source: Che, Tung and Wang, "Hierarchical Web Caching Systems" (IEEE JSAC 20(7), 2002); why it is so good: Fricker,
    Robert and Roberts, arXiv 1202.3974 (2012). Raises ValueError for shares that do not sum to 1.
    """
    q, size = _shares(popularity), whole("size", size, "pages")
    if size >= np.count_nonzero(q):
        return 1.0
    low, high = 0.0, 1.0
    while -np.expm1(-q * high).sum() < size:
        high *= 2
    for _ in range(100):
        t = (low + high) / 2
        low, high = (t, high) if -np.expm1(-q * t).sum() < size else (low, t)
    return float((q * -np.expm1(-q * high)).sum())


def ttl_hits(popularity, lam: float, ttl: float) -> float:
    """Share of the calls that find a copy, when each is kept for ``ttl`` seconds, however many they are.

    Σ qᵢ λᵢT / (1 + λᵢT): after a fetch λᵢT calls find the copy on average, and the next one fetches again. ``lam``
    calls/s in all, Poisson, of which page i gets λᵢ = qᵢλ. Source: Jung, Berger and Balakrishnan, "Modeling
    TTL-based Internet Caches" (INFOCOM 2003), whose times between calls need not be exponential.
    """
    q = _shares(popularity)
    found = q * not_negative("lam", lam, "calls/s") * not_negative("ttl", ttl, "seconds")
    return float((q * found / (1 + found)).sum())


def stampede(lam: float, cost: float) -> float:
    """Fetches at each end of a copy, when everybody who finds it too old fetches it: 1 + λδ.

    ``lam`` calls/s for one page, Poisson; a fetch takes ``cost`` seconds, δ. One call comes first, and λδ more on
    average until it is back. Source: Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede
    Prevention" (PVLDB 8(8), 2015), where 10 calls/s and 3 s are the example.
    """
    return 1 + not_negative("lam", lam, "calls/s") * not_negative("cost", cost, "seconds")


def slowest(n: int) -> float:
    """Mean time of the slowest of ``n`` calls at once, in mean times of one: Hₙ = 1 + 1/2 + … + 1/n.

    The times are exponential and independent: the first of n is there after 1/n, the first of those left after
    1/(n − 1), and so on. Source: Rényi, "On the theory of order statistics" (Acta Math. Acad. Sci. Hung. 4, 1953).
    """
    return float(sum(1 / k for k in range(1, whole("n", n, "calls") + 1)))


def most_admitted(rate: float, burst: float, window: float) -> float:
    """Calls that a full token bucket lets through in any ``window`` (s), at the most: r × w + b.

    Source: Cruz, "A Calculus for Network Delay, Part I" (IEEE Trans. Inf. Theory 37(1), 1991): its burstiness
    constraint, with σ = b and ρ = r.
    """
    rate, burst = positive("rate", rate, "calls/s"), positive("burst", burst, "calls")
    return rate * not_negative("window", window, "seconds") + burst


def _shares(popularity) -> np.ndarray:
    q = np.asarray(popularity, dtype=float)
    if q.ndim != 1 or np.any(q < 0) or not np.isclose(q.sum(), 1):
        raise ValueError(f"popularity must be shares >= 0 that sum to 1, not {q.sum():g}: divide by the sum")
    return q
