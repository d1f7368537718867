"""Servers of unequal strength, and those that have just come and must warm up first."""

import threading
from collections.abc import Sequence

from servicelab import arguments


class Weighted:
    """Each in turn, but a server of weight 3 three times as often as one of weight 1, and not three times in a row.

    Each server's credit grows by its weight; the one with the most is asked, and pays the sum of all. Weights 5, 1, 1
    give 0 0 1 0 2 0 0. Source: nginx, "smooth weighted round-robin" (commit 52327e0627f4, 2012). Raises ValueError for
    a negative weight, for weights that are all 0, and for a list of servers of another length.
    """

    def __init__(self, weights: Sequence[float]):
        self.weights = [arguments.not_negative(f"weights[{i}]", weight, "") for i, weight in enumerate(weights)]
        if not any(self.weights):
            raise ValueError(f"weights={list(weights)!r} must hold one weight > 0 at least: whom else to ask?")
        self._credit = [0.0] * len(self.weights)
        self._lock = threading.Lock()

    def weights_at(self, now: float) -> list[float]:
        """The weights at the time ``now`` (seconds): here always the same."""
        return self.weights

    def pick(self, outstanding: Sequence[int], now: float = 0.0) -> int:
        if len(outstanding) != len(self.weights):
            raise ValueError(f"outstanding={list(outstanding)!r} must have as many entries as there are weights")
        with self._lock:
            weights = self.weights_at(now)
            self._credit = [credit + weight for credit, weight in zip(self._credit, weights)]
            best = max(range(len(weights)), key=lambda i: (weights[i] > 0, self._credit[i]))
            self._credit[best] -= sum(weights)
        return best


class SlowStart(Weighted):
    """``Weighted``, whose servers come into their full weight over ``window`` seconds after :meth:`joined`.

    A server that joined ``t`` seconds ago has its weight × max(``least``, (t / window) ^ (1 / aggression)). Source:
    Envoy's documentation, "Slow start mode", whose default for ``least`` is 10% and for ``aggression`` 1.
    """

    def __init__(self, weights: Sequence[float], window: float, aggression: float = 1.0, least: float = 0.1):
        super().__init__(weights)
        self.window = arguments.positive("window", window, "seconds")
        self.aggression = arguments.positive("aggression", aggression, "")
        self.least = arguments.share("least", least)
        self._since: dict[int, float] = {}

    def joined(self, index: int, now: float):
        """Server ``index`` is new, or back, at the time ``now`` (seconds)."""
        with self._lock:
            self._since[index] = now
            self._credit[index] = 0.0

    def weights_at(self, now: float) -> list[float]:
        return [weight * self._warmth(i, now) for i, weight in enumerate(self.weights)]

    def _warmth(self, index, now):
        if index not in self._since:
            return 1.0
        age = max(0.0, now - self._since[index]) / self.window
        return min(1.0, max(self.least, age ** (1 / self.aggression)))
