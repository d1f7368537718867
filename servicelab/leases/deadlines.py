"""Many deadlines, of which most are moved before they come."""

import heapq


class Deadlines:
    """``key`` → when. To move a deadline back, which every heartbeat does, costs one dictionary entry and no more.

    A key has at most one entry in the heap unless its deadline was brought forward. An entry whose deadline
    was moved back meanwhile is put back when it comes to the top.
    """

    def __init__(self):
        self._at: dict = {}
        self._queued: dict = {}
        self._heap: list = []

    def __contains__(self, key):
        return key in self._at

    def set(self, key, at: float) -> None:
        self._at[key] = at
        queued = self._queued.get(key)
        if queued is None or at < queued:
            self._queued[key] = at
            heapq.heappush(self._heap, (at, key))

    def get(self, key) -> float | None:
        return self._at.get(key)

    def clear(self, key) -> None:
        self._at.pop(key, None)

    def first(self) -> float | None:
        """The earliest deadline, or None."""
        heap = self._heap
        while heap:
            at, key = heap[0]
            due = self._at.get(key)
            if self._queued.get(key) != at or due is None:
                heapq.heappop(heap)
                if self._queued.get(key) == at:
                    del self._queued[key]
            elif due > at:
                self._queued[key] = due
                heapq.heapreplace(heap, (due, key))
            else:
                return at
        return None

    def take_first(self):
        """Remove and return the key whose deadline is the earliest. Raises LookupError when there is none."""
        if self.first() is None:
            raise LookupError("there is no deadline to take")
        _, key = heapq.heappop(self._heap)
        del self._queued[key], self._at[key]
        return key

    def take(self, until: float) -> list:
        """Remove and return the keys whose deadline is at ``until`` or before, the earliest first."""
        keys = []
        while (at := self.first()) is not None and at <= until:
            keys.append(self.take_first())
        return keys
