"""Which of several servers to ask.

Rules: ``pick(outstanding)`` is given the number of unanswered calls of each server, as this client counts them, and
returns the index of the one to ask. It looks and decides; to count is the caller's business. Safe under threads.
An empty list is refused with ValueError.

| balancer         | looks at | among n servers it asks                                                     |
|------------------|----------|-----------------------------------------------------------------------------|
| RoundRobin       | none     | each in turn                                                                |
| RandomChoice     | none     | any                                                                         |
| PowerOfTwo       | two      | the less busy of two chosen at random                                       |
| LeastOutstanding | all      | the least busy; among equals, one at random, so that clients do not herd    |
"""

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
