"""How long something is believed to be alive after it has died: leases, caches, polls, watches, heartbeats."""

import math
from typing import NamedTuple

from servicelab.arguments import number, positive, seconds, share
from servicelab.theory.arrays import above_0, at_least_0, plain, probability


class Window(NamedTuple):
    """From when to when something may happen, and when on average: ``least``, ``mean``, ``most`` seconds.

    Delays that follow each other add up: ``lease_window(10, 3) + poll_window(5)``.
    """

    least: float
    mean: float
    most: float

    def __add__(self, other):
        return Window(*(a + b for a, b in zip(self, other, strict=True)))


def lease_window(ttl, period, check=0.0) -> Window:
    """Seconds from a crash until its lease of ``ttl`` s has run out, with a heartbeat every ``period`` s.

    The last heartbeat was sent an *age* before the crash, anything from 0 to ``period`` alike, so what is left is
    ttl − age: on average ttl − period / 2. A registry that looks only every ``check`` seconds adds 0 to ``check``.
    Source: the age of a process with constant intervals is uniform; Cox, "Renewal Theory" (Methuen, 1962), section 5.2.
    Raises ValueError for a period above the TTL: then the lease runs out while the instance lives.
    """
    ttl, period = number("ttl", ttl, "seconds"), number("period", period, "seconds")
    if not 0 < period <= ttl:
        raise ValueError(
            f"period={period:g} must be > 0 and <= ttl={ttl:g} seconds: slower heartbeats lose the lease of the living"
        )
    check = seconds("check", check)
    return Window(ttl - period, ttl - period / 2 + check / 2, ttl + check)


def poll_window(period, jitter=0.0) -> Window:
    """Seconds from a change until a client that asks every ``period`` s knows of it: up to it, on average half.

    With intervals of period × uniform(1 − ``jitter``, 1 + ``jitter``) a change falls into a long one more often:
    the mean is period / 2 × (1 + jitter² / 3), the half of E[X²] / E[X]. Source: Cox 1962, section 5.2.
    """
    period, jitter = seconds("period", period), share("jitter", jitter, "of the period")
    return Window(0.0, period / 2 * (1 + jitter**2 / 3), period * (1 + jitter))


def cache_window(ttl, rate=math.inf) -> Window:
    """Seconds from a change until a client asks anew that keeps an answer for ``ttl`` s and makes ``rate`` calls/s.

    As in DNS: an answer is fresh for ``ttl``, then the next call asks, on average 1 / rate later. That cycle has a
    mean length of ttl + 1/rate, and is in its fresh part for the share f = ttl / (ttl + 1/rate). What is left of it is
    f × ttl / 2 + 1 / rate on average; of that, 1 / rate passes without any call. ``most`` is ttl with the mean gap.
    Source: as for :func:`poll_window`; the gap after the end of the TTL has no memory, as the calls are Poisson.
    """
    ttl = seconds("ttl", ttl)
    gap = 0.0 if rate == math.inf else 1 / positive("rate", rate, "calls/s", "without calls nobody asks")
    fresh = ttl / (ttl + gap) if ttl else 0.0
    return Window(0.0, fresh * ttl / 2 + gap, ttl + gap)


def watch_window(one_way) -> Window:
    """Seconds from a change until a client knows that has a blocking query waiting: one way of the network."""
    one_way = seconds("one_way", one_way)
    return Window(one_way, one_way, one_way)


def failed_calls(rate, share, seconds):
    """Calls that fail on a dead route: ``rate`` calls/s × ``share`` that the dead instance gets × ``seconds``.

    The share is 1/n for n instances in turn. No retries: with one, a call fails only if it meets the dead one twice.
    """
    lost = at_least_0("rate", rate, "calls/s") * probability(share)
    return plain(lost * at_least_0("seconds", seconds, "seconds"))


def lookup_rate(clients, period):
    """Lookups/s at the source from ``clients`` that ask every ``period`` seconds: the price of freshness."""
    period = above_0("period", period, "seconds", "to ask without a pause has no rate")
    return plain(at_least_0("clients", clients, "clients") / period)


def false_expiries(loss, ttl, period):
    """How often per second the lease of a *living* instance runs out because heartbeats are lost.

    ``loss`` is the share lost, each by itself. After one that arrives, k = ⌊ttl / period⌋ more would be in time; the
    lease ends if all of them are lost. (1 − loss) × lossᵏ / period. At k whole the last one comes with the end: choose
    a TTL that is no whole multiple. Source: derived; one that arrives begins a new lease, so these are renewals.
    """
    loss = probability(loss)
    lease_window(ttl, period)
    beats = ttl / period
    # 0.3 / 0.1 is 2.9999999999999996, and means 3.
    whole_beats = round(beats) if math.isclose(beats, round(beats), rel_tol=1e-12) else math.floor(beats)
    return (1 - loss) * loss**whole_beats / period


def silence_window(interval, timeout, delay=0.0) -> Window:
    """Seconds from a peer's death until a heartbeat finds it: a ping after ``interval`` s of silence, dead after
    ``timeout`` s. ``delay`` is one way of the network.

    The peer was last heard at anything from one cycle (interval + a round trip) ago to just now, all alike. So that
    much of the timeout has passed: the mean is timeout − cycle / 2; what it sent while it lived still arrives, which
    adds one ``delay``. Derived as :func:`lease_window` is. Raises ValueError for a timeout that is not above the
    cycle: then the living count as dead.
    """
    cycle = seconds("interval", interval) + 2 * seconds("delay", delay)
    if not number("timeout", timeout, "seconds") > cycle:
        raise ValueError(
            f"timeout={timeout:g} must be > interval + round trip = {cycle:g} seconds: the living would count as dead"
        )
    return Window(timeout - cycle + delay, timeout - cycle / 2 + delay, timeout + delay)
