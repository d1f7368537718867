"""What a circuit breaker remembers: how the last calls ended.

Two kinds of window, with the same three counts in them: ``calls``, ``failures`` and ``slow``.

| window      | remembers                                          | record costs | memory              |
|-------------|----------------------------------------------------|--------------|---------------------|
| CountWindow | the last ``size`` calls, however old they are      | O(1)         | size                |
| TimeWindow  | the calls that ended less than ``size`` seconds ago | O(1)         | rate × size seconds |

Rules: a call stands in the window from its end. Times never go back (the breaker sees to that). A window is one
breaker's own and has no lock.

resilience4j's time window counts in buckets of whole seconds; this one keeps every call, so that a window of half a
second works too, and a call leaves exactly ``size`` seconds after its end.
"""

from collections import deque

from servicelab.policies.moments import horizon


class CountWindow:
    """The last ``size`` calls."""

    def __init__(self, size: int):
        self.size = size
        self.calls = self.failures = self.slow = 0
        self._ends: deque[tuple[bool, bool]] = deque()

    def record(self, at: float, failed: bool, slow: bool) -> None:
        """A call ended: it ``failed`` or not, and was ``slow`` or not."""
        self._ends.append((failed, slow))
        # Most calls are neither; to ask first is cheaper than to add nothing.
        if failed:
            self.failures += 1
        if slow:
            self.slow += 1
        if self.calls < self.size:
            self.calls += 1
            return
        failed, slow = self._ends.popleft()
        if failed:
            self.failures -= 1
        if slow:
            self.slow -= 1

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
        reached = horizon(at)
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
