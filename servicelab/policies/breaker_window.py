"""What a circuit breaker remembers: how the last calls ended.

Two kinds of window, with the same three counts in them: ``calls``, ``failures`` and ``slow``.

| window      | remembers                                          | record costs | memory              |
|-------------|----------------------------------------------------|--------------|---------------------|
| CountWindow | the last ``size`` calls, however old they are      | O(1)         | the bad ones in it  |
| TimeWindow  | the calls that ended less than ``size`` seconds ago | O(1)         | rate × size seconds |

Rules: a call stands in the window from its end. Times never go back (the breaker sees to that). A window is one
breaker's own and has no lock.

resilience4j's time window counts in buckets of whole seconds; this one keeps every call, so that a window of half a
second works too, and a call leaves exactly ``size`` seconds after its end.
"""

from collections import deque

from servicelab.policies.moments import TOLERANCE, horizon


class CountWindow:
    """The last ``size`` calls."""

    def __init__(self, size: int):
        self.size = size
        self.failures = self.slow = 0
        self._number = 0  # of the last call
        self._bad: deque[tuple[int, bool, bool]] = deque()  # number, failed, slow; those that went well are but counted

    @property
    def calls(self) -> int:
        return min(self._number, self.size)

    def record(self, at: float, failed: bool, slow: bool) -> None:
        """A call ended: it ``failed`` or not, and was ``slow`` or not."""
        number = self._number = self._number + 1
        if failed or slow:
            self._bad.append((number, failed, slow))
            self.failures += failed
            self.slow += slow
        if self._bad and self._bad[0][0] <= number - self.size:
            _, failed, slow = self._bad.popleft()
            self.failures -= failed
            self.slow -= slow

    def counts(self, now: float) -> tuple[int, int, int]:
        """``(calls, failures, slow)`` as they stand; nothing is forgotten by looking."""
        return self.calls, self.failures, self.slow


class TimeWindow:
    """The calls of the last ``size`` seconds."""

    def __init__(self, size: float):
        self.size = size
        self.calls = self.failures = self.slow = 0
        self._ends: deque[tuple[float, bool, bool]] = deque()  # until when it counts, failed, slow

    def record(self, at: float, failed: bool, slow: bool) -> None:
        """A call ended at ``at`` (seconds); those that ended ``size`` seconds before it or earlier are forgotten."""
        ends = self._ends
        ends.append((at + self.size, failed, slow))
        self.calls += 1
        if failed:
            self.failures += 1
        if slow:
            self.slow += 1
        reached = at + TOLERANCE  # horizon(at), without the price of calling it
        while ends[0][0] <= reached:
            _, failed, slow = ends.popleft()
            self.calls -= 1
            self.failures -= failed
            self.slow -= slow

    def counts(self, now: float) -> tuple[int, int, int]:
        """``(calls, failures, slow)`` as of ``now`` (seconds); nothing is forgotten by looking."""
        reached = horizon(now)
        inside = [(failed, slow) for until, failed, slow in self._ends if until > reached]
        return len(inside), sum(failed for failed, _ in inside), sum(slow for _, slow in inside)


#: The kinds of window, by the name that a breaker's ``window`` gives them.
WINDOWS = {"count": CountWindow, "time": TimeWindow}
