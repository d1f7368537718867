"""A retry storm as a recursion: the same calls as in the simulation, from two arrays, twenty times as fast.

One worker, one queue in order of arrival, and callers who give up after ``timeout`` seconds and try again at
once. As long as an abandoned attempt is served all the same, nobody has to be simulated. An attempt starts when
it has arrived and the worker is free (Lindley's recursion), and whether its caller will give up is known the moment
it arrives. The next attempt of that call arrives exactly one timeout later, so the retries queue up in the order in
which they will be made, and merging them with the first attempts is all there is to do.

On the same draws :class:`servicelab.sim.outage.Outage` must agree to the last digits; a test holds both to that.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from servicelab.arguments import positive


class Storm(NamedTuple):
    """What became of the calls: three arrays of seconds."""

    end: np.ndarray  #: when each call was answered; nan if it gave up, or had no answer by ``until``
    attempts: np.ndarray  #: when each attempt arrived, first ones and retries, ascending
    starts: np.ndarray  #: when the worker began with each attempt


def retry_storm(arrivals, services, timeout, retries, *, until, outage=(0.0, 0.0), budget=None) -> Storm:
    """Follow calls that are due at ``arrivals`` (seconds, ascending) until ``until`` seconds.

    ``services`` is how long each *attempt* is worked on, in order of arrival; there must be one for every attempt, so
    draw plenty. A call waits ``timeout`` seconds for each attempt, and makes at most ``retries`` more (a number, or
    one for each call). ``outage`` is from when until when (seconds) the worker gets nothing done: what it starts in
    that time takes until the end of it, and its own time besides. ``budget`` is a fresh ``RetryBudget``, or None.

    Raises ValueError for a timeout that is not above 0, for times that go backwards, and if ``services`` runs out.
    """
    timeout = positive("timeout", timeout, "seconds")
    arrivals = np.asarray(arrivals, dtype=float)
    if not np.all(arrivals[1:] >= arrivals[:-1]):
        raise ValueError("arrivals must be ascending: give times, not gaps (np.cumsum(gaps))")
    left = np.broadcast_to(np.asarray(retries), arrivals.shape).tolist()
    begins, ends = outage
    work = iter(np.asarray(services, dtype=float).tolist())
    end = [np.nan] * len(left)
    attempts, starts = [], []
    again = deque()  # (when, call) of those who will give up and may try again, in order of time
    free = 0.0

    def attempt(call, now):
        nonlocal free
        start = free if free > now else now
        try:
            free = start + next(work)
        except StopIteration:
            raise ValueError(f"services has {len(starts)} times, but there are more attempts: draw more") from None
        if begins <= start < ends:
            free += ends - start
        attempts.append(now)
        starts.append(start)
        if free - now < timeout:
            end[call] = free
        elif left[call] > 0:
            again.append((now + timeout, call))

    def give_up_before(now):
        while again and again[0][0] < now:
            at, call = again.popleft()
            if budget is None or budget.withdraw(at):
                left[call] -= 1
                attempt(call, at)

    for call, due in enumerate(arrivals.tolist()):
        give_up_before(min(due, until))
        if due >= until:
            break
        if budget is not None:
            budget.deposit(due)
        attempt(call, due)
    give_up_before(until)
    end = np.array(end, dtype=float)
    end[end > until] = np.nan
    return Storm(end, np.array(attempts), np.array(starts))
