"""A queue that is filled for a while, and what its consumers and crashes make of it."""

from typing import NamedTuple

import numpy as np

from servicelab.arguments import not_negative, positive, whole
from servicelab.theory.arrays import above_0, at_least_0, plain, probability
from servicelab.theory.retries import retry_load


class Burst(NamedTuple):
    """What a burst does to a queue: see :func:`burst`."""

    peak: float  #: messages that wait when the burst ends
    longest_wait: float  #: seconds that the last message of the burst waits
    drained: float  #: seconds from the beginning of the burst until nothing waits


def burst(lam, mu, c, seconds, after=0.0) -> Burst:
    """The backlog that ``lam`` messages/s for some ``seconds`` leave before ``c`` consumers of rate ``mu`` each.

    Peak (λ − cμ) T messages, longest wait peak / (cμ), drained peak / (cμ − λ₂) seconds after the burst, while λ₂ =
    ``after`` messages/s still come. With λ <= cμ there is no backlog. A *fluid*: messages flow evenly and chance is
    left out, which is good for a backlog of hundreds.

    Source: Newell, "Applications of Queueing Theory" (2nd ed., Chapman and Hall, 1982), chapter 2.
    """
    mu = positive("mu", mu, "messages/s", "it is the rate at which one consumer works")
    capacity = whole("c", c, "consumers") * mu
    lam, after = not_negative("lam", lam, "messages/s"), not_negative("after", after, "messages/s")
    seconds = not_negative("seconds", seconds, "seconds", "a burst without an end fills any queue")
    if after >= capacity:
        raise ValueError(f"after={after} must be < c × mu={capacity} messages/s: otherwise the backlog never drains")
    peak = max(0.0, float(lam - capacity) * seconds)
    return Burst(peak, peak / capacity, seconds + peak / (capacity - after) if peak else 0.0)


def window_rate(work, round_trip, window):
    """Messages/s of one consumer that may hold ``window`` messages unacknowledged (its prefetch).

    The least of 1 / work and window / (work + round trip), for work that does not vary (otherwise it is the most that
    can be had). ``work`` is seconds of work for each, ``round_trip`` seconds from its acknowledgement until the next is
    there. The least window that keeps a consumer at work is 1 + round trip / work. Who fetches messages one by one has
    a window of 1.

    Source: the asymptotic bounds of Denning and Buzen, Computing Surveys 10(3), 1978, with the window as population.
    """
    work = above_0("work", work, "seconds", "the time for each message")
    round_trip = at_least_0("round_trip", round_trip, "seconds")
    return plain(np.minimum(1 / work, whole("window", window, "messages") / (work + round_trip)))


def deliveries(p, limit=None):
    """Mean deliveries of a message, when each ends before its acknowledgement with probability ``p``: 1 / (1 − p).

    If the crash comes after the work, it is also how often the work is done. ``limit`` is how often a message may come
    back before it is put aside (the delivery limit of a quorum queue): then (1 − pⁿ) / (1 − p) with n = limit + 1, and
    pⁿ of the messages are put aside. Independent crashes: a poison message has p = 1, and without a limit no end.

    Source: Feller, "An Introduction to Probability Theory", vol. 1 (Wiley, 1968), section VI.8
    (the geometric law).
    """
    p = probability(p)
    if limit is not None:
        return retry_load(p, whole("limit", limit, "how often a message may come back", least=0) + 1)
    if p == 1:
        raise ValueError("p=1 must be < 1 without a limit: a poison message comes back for ever; give limit=3")
    return float(1 / (1 - p))
