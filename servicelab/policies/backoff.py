"""How long to sleep before each retry.

Rules:

1. A law's ``delays()`` is a fresh, endless iterator of seconds for one call: the first value is the sleep before the
   first retry, the second the sleep before the second.
2. Every delay lies in [0, cap].
3. The n-th *step* (n = 0, 1, …) is ``min(cap, base * 2**n)``. The laws differ in what they make of it:

| law                | n-th delay                                 | who shares a failure also shares the retry time? |
|--------------------|--------------------------------------------|--------------------------------------------------|
| NoBackoff          | 0                                          | yes, and at once                                 |
| Exponential        | step                                       | yes, later                                       |
| EqualJitter        | uniform(step / 2, step)                    | partly                                           |
| FullJitter         | uniform(0, step)                           | no                                               |
| DecorrelatedJitter | uniform(base, 3 * previous delay)          | no                                               |

Source of exponential, equal, full and decorrelated: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015. The simulator behind that article counts its attempts from 1, so that with its base of 5 ms the first step
is 10 ms; here ``base`` is the first step, as the initial delay is in gRPC and in most libraries.
"""

from collections.abc import Iterator
from itertools import repeat
from random import Random

from servicelab import arguments


class NoBackoff:
    """Retry at once. The quickest to succeed, and the most work for a server that many clients contend for."""

    def __repr__(self):
        return "NoBackoff()"

    def delays(self) -> Iterator[float]:
        return repeat(0.0)


class Exponential:
    """Each sleep twice as long as the one before, never longer than ``cap``. No randomness: clients that failed
    together come back together.

    | setting | default | unit    | consequence                                                                  |
    |---------|---------|---------|------------------------------------------------------------------------------|
    | base    | none    | seconds | the first step; about the time that a server needs for one call is a start   |
    | cap     | none    | seconds | the longest sleep; it also bounds how late a client learns of the recovery   |

    Raises ValueError unless 0 < base <= cap, TypeError for what is no number.
    """

    def __init__(self, base: float, cap: float):
        self.base = arguments.positive("base", base, "seconds", "to retry without a sleep use NoBackoff()")
        self.cap = arguments.positive("cap", cap, "seconds", "it is the longest sleep")
        if cap < base:
            raise ValueError(f"cap={cap} must be >= base={base} (seconds): it is the longest sleep, base the first")

    def __repr__(self):
        return f"{type(self).__name__}({self.base}, {self.cap})"

    def steps(self) -> Iterator[float]:
        """base, 2 base, 4 base, … up to cap (seconds)."""
        step = self.base
        while step < self.cap:
            yield step
            step *= 2
        yield from repeat(self.cap)

    def delays(self) -> Iterator[float]:
        return self.steps()


class Jitter(Exponential):
    """The base of the random laws. ``rng`` is a ``random.Random``: the same seed gives the same delays.

    Raises TypeError when ``rng`` is anything else, the module ``random`` included.
    """

    def __init__(self, base: float, cap: float, rng: Random):
        super().__init__(base, cap)
        self.rng = arguments.generator(rng)

    def __repr__(self):
        return f"{type(self).__name__}({self.base}, {self.cap}, rng)"


class FullJitter(Jitter):
    """Anywhere between 0 and the step: the best spread, and on average half the plain exponential sleep.

    Settings as for :class:`Exponential`, and ``rng``.
    """

    def delays(self) -> Iterator[float]:
        for step in self.steps():
            yield self.rng.uniform(0, step)


class EqualJitter(Jitter):
    """Half the step for certain, the other half at random: never a retry at once.

    Settings as for :class:`Exponential`, and ``rng``.
    """

    def delays(self) -> Iterator[float]:
        for step in self.steps():
            yield self.rng.uniform(step / 2, step)


class DecorrelatedJitter(Jitter):
    """Between ``base`` and three times the previous delay, never more than ``cap``. It has a memory, per call, and
    grows by chance instead of by counting.

    Settings as for :class:`Exponential`, and ``rng``.
    """

    def delays(self) -> Iterator[float]:
        delay = self.base
        while True:
            delay = min(self.cap, self.rng.uniform(self.base, 3 * delay))
            yield delay
