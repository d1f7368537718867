"""Leave out the servers that fail, for a while, and never too many of them."""

import threading
from collections.abc import Sequence
from math import inf

from servicelab import arguments
from servicelab.policies.balancer import driven


class OutlierEjection:
    """Asks ``inner`` whom to pick, among the servers that are not ejected.

    | setting   | default | what it does                                                                            |
    |-----------|---------|-----------------------------------------------------------------------------------------|
    | failures  | 5       | so many in a row eject a server                                                         |
    | ejection  | 30 s    | for so long; twice as long the second time, and so on                                   |
    | max_share | 0.1     | of the servers at most so many are out at once, and never all: when all fail, it is not |
    |           |         | the servers, and the shop stays open                                                    |

    The defaults are Envoy's (envoyproxy.io, "Outlier detection"), which lets a server back at its next look, every
    10 s; here it is back at once. ``max_share`` × servers is rounded down, so 0.1 of nine servers is nobody. To
    ``inner`` an ejected server is shown with ``inf`` calls under way, and where it picks one all the same it is asked
    again. Raises ValueError for a setting out of range, TypeError when ``inner`` cannot pick.
    """

    def __init__(self, inner, failures: int = 5, ejection: float = 30.0, max_share: float = 0.1):
        self.inner = inner
        self.failures = arguments.whole("failures", failures)
        self.ejection = arguments.positive("ejection", ejection, "seconds")
        self.max_share = arguments.share("max_share", max_share)
        self._pick, self._heard = driven(inner)
        self._row: dict[int, int] = {}  # failures in a row
        self._back: dict[int, float] = {}  # when an ejected server comes back
        self._times: dict[int, int] = {}  # how often it was ejected
        self._size = 0
        self._lock = threading.Lock()

    def ejected(self, now: float) -> set[int]:
        """The servers that are out at the time ``now`` (seconds)."""
        with self._lock:
            return self._out(now)

    def pick(self, outstanding: Sequence[int], now: float = 0.0, key=None) -> int:
        with self._lock:
            self._size = len(outstanding)
            out = self._out(now)
            if len(out) == len(outstanding):  # the list has become shorter meanwhile
                out = set()
        shown = [inf if index in out else calls for index, calls in enumerate(outstanding)]
        for _ in range(2 * len(shown)):
            index = self._pick(shown, now, key)
            if index not in out:
                return index
        return min((index for index in range(len(shown)) if index not in out), key=lambda index: shown[index])

    def heard(self, index: int, took: float, ok: bool, now: float):
        self._heard(index, took, ok, now)
        with self._lock:
            out = self._out(now)
            if index in out:
                return  # a call that was under way when it was ejected
            self._row[index] = 0 if ok else self._row.get(index, 0) + 1
            most = min(int(self.max_share * self._size + 1e-9), self._size - 1)
            if self._row[index] >= self.failures and len(out) < most:
                self._row[index] = 0
                self._times[index] = self._times.get(index, 0) + 1
                self._back[index] = now + self.ejection * self._times[index]

    def _out(self, now):
        return {index for index, back in self._back.items() if now < back and index < self._size}
