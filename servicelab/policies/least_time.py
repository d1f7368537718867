"""The server that is likely to answer soonest: by the times of its last answers, not only by how many it owes."""

import threading
from collections.abc import Sequence
from math import exp, inf
from random import Random

from servicelab import arguments
from servicelab.policies.balancer import PowerOfTwo


class LeastTime(PowerOfTwo):
    """Of two chosen at random, the one with the smaller (calls under way + 1) × usual time.

    The usual time is an average in which an answer counts 1/e after ``memory`` seconds. A *slower* answer than usual is
    believed at once, and forgotten slowly: the peak counts. A failure counts as an answer that took ``penalty``
    seconds, or longer if it did; that is what keeps a server that fails quickly from looking quick. Choose it well
    above the usual times a few calls deep. A server that nobody has heard of yet counts as quick, so that it is tried.

    Source: Twitter's Finagle, "Peak EWMA" (twitter.github.io/finagle/guide/Clients.html); it knows no penalty.
    Raises ValueError for a ``memory`` or ``penalty`` that is not > 0.
    """

    def __init__(self, rng: Random, memory: float = 10.0, penalty: float = 5.0):
        super().__init__(rng)
        self.memory = arguments.positive("memory", memory, "seconds")
        self.penalty = arguments.positive("penalty", penalty, "seconds")
        self._usual: dict[int, tuple[float, float]] = {}  # index → usual time, and when it was last changed
        self._lock = threading.Lock()

    def usual(self, index: int) -> float:
        """The usual time of a server, in seconds; 0 before its first answer."""
        return self._usual.get(index, (0.0, 0.0))[0]

    def pick(self, outstanding: Sequence[int]) -> int:
        # A millionth of a second for an unknown server: two of them are compared by their calls.
        return super().pick([(calls + 1) * (self.usual(i) or 1e-6) for i, calls in enumerate(outstanding)])

    def heard(self, index: int, took: float, ok: bool, now: float):
        took = took if ok else max(took, self.penalty)
        with self._lock:
            usual, since = self._usual.get(index, (0.0, -inf))
            kept = exp(-max(0.0, now - since) / self.memory)
            self._usual[index] = (took if took > usual else usual * kept + took * (1 - kept)), now
