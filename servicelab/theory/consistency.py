"""What crashes, lost replies, short memories and dirty windows cost: orders lost, done twice, seen half-done."""

import math

from servicelab.arguments import not_negative, positive, whole
from servicelab.theory.arrays import probability


def lost_per_crash(lam, gap):
    """Orders that a crash catches between two writes: ``lam × gap`` (per second, seconds), Poisson about that mean.

    At any moment so many stand in the gap. Source: Little, "A Proof for the Queuing Formula: L = λW", Operations
    Research 9(3), 1961. A crash loses at least one with probability 1 − exp(−lam × gap).
    """
    return not_negative("lam", lam, "orders a second") * not_negative("gap", gap, "seconds")


def executions(q, p=0.0, tries=None):
    """Mean executions of a call that is repeated until it is answered: 1 / (1 − q), whatever ``p``.

    A request is lost with probability ``p``, the reply to one that has arrived with ``q``. Each execution is the last
    with probability 1 − q: a geometric law. At most ``tries`` attempts: (1 − p) (1 − (1 − s)ⁿ) / s with
    s = (1 − p)(1 − q). Source: Feller, "An Introduction to Probability Theory and Its Applications" I (Wiley, 1968),
    VI.8. Raises ValueError for a loss of 1 without a limit.
    """
    p, q = probability(p), probability(q)
    if tries is None:
        if p == 1 or q == 1:
            raise ValueError(f"p={p!r}, q={q!r} must be < 1: otherwise nobody is ever answered; give a number of tries")
        return 1 / (1 - q)
    answered, tries = (1 - p) * (1 - q), whole("tries", tries, "attempts")
    return (1 - p) * (tries if answered == 0 else (1 - (1 - answered) ** tries) / answered)


def failed_but_done(p, q, tries):
    """Share of the calls that give up after ``tries`` attempts although one was executed: (1 − s)ⁿ − pⁿ.

    No attempt was answered, and not all requests were lost; s = (1 − p)(1 − q). Source: as for :func:`executions`.
    """
    p, q, tries = probability(p), probability(q), whole("tries", tries, "attempts")
    return (1 - (1 - p) * (1 - q)) ** tries - p**tries


def forgotten(window, delay):
    """Share of the repetitions that come after ``window`` seconds, when the memory is gone: exp(−window / delay).

    They come after an exponential time with mean ``delay`` (seconds). Source: Feller II (Wiley, 1971), I.3.
    """
    return math.exp(-not_negative("window", window, "seconds") / positive("delay", delay, "seconds"))


def outbox_lag(lam, poll, batch):
    """Mean seconds from the commit to the relay's next look: poll / 2; infinite if ``lam × poll >= batch``.

    A relay that looks every ``poll`` seconds and takes up to ``batch`` rows; the times of its looks are independent of
    the orders'. Near the bound chance keeps some rows for a further look. Source: Wolff, "Stochastic Modeling and the
    Theory of Queues" (Prentice Hall, 1989), 2.1, on the residual life of an interval.
    """
    lam, poll = not_negative("lam", lam, "orders a second"), positive("poll", poll, "seconds")
    return math.inf if lam * poll >= whole("batch", batch, "rows") else poll / 2


def dirty_window(lam, seconds):
    """Probability that somebody else comes within ``seconds``: 1 − exp(−lam × seconds). Source: Feller I, VI.6."""
    return -math.expm1(-lost_per_crash(lam, seconds))


def saga_aborts(steps, f):
    """``(share of the sagas that abort, compensations per saga)``, when each step fails with probability ``f``.

    1 − (1 − f)ᵏ, and Σ j f (1 − f)ʲ for j < k: who fails at step j has j to undo. Source: Garcia-Molina and Salem,
    "Sagas", SIGMOD 1987, for the order of compensations; the sums are those of a geometric law.
    """
    steps, f = whole("steps", steps, "steps"), probability(f)
    return -math.expm1(steps * math.log1p(-f)) if f < 1 else 1.0, sum(j * f * (1 - f) ** j for j in range(steps))


def stale_reads(n, r, w, versions=1):
    """Probability that a read of ``r`` of ``n`` replicas sees none of the last ``versions`` writes to ``w`` of them.

    (C(n − w, r) / C(n, r))ᵏ, when writes reach no further replica; 0 when r + w > n. Source: Bailis, Venkataraman,
    Franklin, Hellerstein and Stoica, "Probabilistically Bounded Staleness for Practical Partial Quorums", VLDB 2012.
    """
    n = whole("n", n, "replicas")
    r, w = whole("r", r, "replicas", most=n), whole("w", w, "replicas", most=n)
    return (math.comb(n - w, r) / math.comb(n, r)) ** whole("versions", versions, "versions")
