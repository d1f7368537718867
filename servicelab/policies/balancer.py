"""Which of several servers to ask.

Rules: ``pick(outstanding)`` is given the number of unanswered calls of each server, as this client counts them, and
returns the index of the one to ask. It looks and decides; to count is the caller's business. Safe under threads.
An empty list is refused with ValueError. A server that must not be picked is shown with ``inf`` unanswered calls.

Some want to know more: a ``pick`` with the argument ``now`` is given the time (seconds), one with ``key`` the key of
the call; and a method ``heard(index, took, ok, now)`` is told how each call ended, after how many seconds.
:func:`driven` is how a driver asks any of them, so the same object works on sockets
(:class:`servicelab.clients.balanced.Balanced`) and in SimPy (:class:`servicelab.sim.Balancer`).

| balancer         | looks at | among n servers it asks                                                     |
|------------------|----------|-----------------------------------------------------------------------------|
| RoundRobin       | none     | each in turn                                                                |
| RandomChoice     | none     | any                                                                         |
| PowerOfTwo       | two      | the less busy of two chosen at random                                       |
| LeastOutstanding | all      | the least busy; among equals, one at random, so that clients do not herd    |

Those that remember are in modules of their own: ``least_time``, ``weighted`` (with a slow start), ``ring`` (the same
key, the same server) and ``outliers`` (leaves out who fails). ``subset`` says which servers a client knows at all.
"""

import inspect
import threading
from collections.abc import Sequence
from random import Random

from servicelab import arguments


class RoundRobin:
    """Each in turn, beginning with the first."""

    def __init__(self):
        self._next = 0
        self._lock = threading.Lock()

    def __repr__(self):
        return "RoundRobin()"

    def pick(self, outstanding: Sequence[int]) -> int:
        n = _size(outstanding)
        with self._lock:
            index = self._next % n
            self._next = index + 1
        return index


class RandomChoice:
    """Any of them, each with the same probability. ``rng`` is a ``random.Random``; raises TypeError otherwise."""

    def __init__(self, rng: Random):
        self.rng = arguments.generator(rng)

    def __repr__(self):
        return f"{type(self).__name__}(rng)"

    def pick(self, outstanding: Sequence[int]) -> int:
        return int(self.rng.random() * _size(outstanding))


class LeastOutstanding(RandomChoice):
    """The one with the fewest unanswered calls; among equals, one at random."""

    def pick(self, outstanding: Sequence[int]) -> int:
        _size(outstanding)
        least = min(outstanding)
        best = [index for index, calls in enumerate(outstanding) if calls == least]
        return best[int(self.rng.random() * len(best))]


class PowerOfTwo(RandomChoice):
    """The less busy of two different ones chosen at random.

    Nearly as good as looking at all of them, and on stale counts it herds less. Source: M. Mitzenmacher, "The
    Power of Two Choices in Randomized Load Balancing", IEEE Transactions on Parallel and Distributed Systems 12(10),
    2001; its mean time is :func:`servicelab.theory.supermarket`.
    """

    def pick(self, outstanding: Sequence[int]) -> int:
        n = _size(outstanding)
        first = int(self.rng.random() * n)
        if n == 1:
            return first
        second = int(self.rng.random() * (n - 1))
        second += second >= first
        return first if outstanding[first] <= outstanding[second] else second


def _size(outstanding):
    n = len(outstanding)
    if n == 0:
        raise ValueError("outstanding=[] is empty: there is no server to pick, add at least one")
    return n


def driven(balancer):
    """``(pick, heard)`` of any balancer, as a driver calls them: ``pick(outstanding, now, key) -> index`` and
    ``heard(index, took, ok, now)``, times in seconds.

    Raises TypeError when ``balancer`` has no method ``pick``.
    """
    if not callable(getattr(balancer, "pick", None)):
        raise TypeError(f"pick={balancer!r} cannot pick: it needs a method pick(outstanding), as RoundRobin() has")
    ask, wanted = balancer.pick, inspect.signature(balancer.pick).parameters
    pick = {  # one for each, since this is asked for every call
        (False, False): lambda outstanding, now, key: ask(outstanding),
        (True, False): lambda outstanding, now, key: ask(outstanding, now=now),
        (False, True): lambda outstanding, now, key: ask(outstanding, key=key),
        (True, True): lambda outstanding, now, key: ask(outstanding, now=now, key=key),
    }["now" in wanted, "key" in wanted]
    return pick, getattr(balancer, "heard", lambda index, took, ok, now: None)
