"""How many calls may be under way at once: the bulkhead."""

import threading
from collections import deque

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.script import Policy, Script, follow
from servicelab.policies.status import Status


class Bulkhead:
    """At most ``limit`` calls of ``inner`` are under way at the same time; a further one ends with REJECTED.

    A ship's bulkheads keep a leak in one hold: with one of these before each service it needs, a caller whose payment
    service hangs has ``limit`` workers waiting there, and the others still serve.

    | setting | default | unit   | consequence                                                                        |
    |---------|---------|--------|------------------------------------------------------------------------------------|
    | inner   | none    | policy | what is done with the place: ``Timeout(0.5)``, or a CircuitBreaker around it       |
    | limit   | 25      | calls  | small: turns away calls that could be served; large: a slow service takes as many  |
    |         |         |        | of the caller's workers. Little's law gives the need: requests/s × seconds each    |

    Source: resilience4j's semaphore bulkhead (https://resilience4j.readme.io/docs/bulkhead) and its default,
    maxConcurrentCalls 25. Its maxWaitDuration has the default 0, and no other value exists here: a script can sleep
    for a time that it names, but not until somebody leaves, and to look every few milliseconds is neither fair nor
    exact. A caller who is to wait belongs in a queue that can be seen and limited: a server's.

    A bulkhead does not count the seconds: it needs a timeout inside, or calls that hang keep their places for ever. A
    place is given back however the call ends, even when its script is closed in the middle. Safe under threads.

    Raises ValueError for ``limit`` < 1, TypeError for an argument of the wrong kind.
    """

    def __init__(self, inner: Policy, limit: int = 25):
        self.inner = parts.policy("inner", inner)
        self.limit = arguments.whole("limit", limit, "a bulkhead without a place serves nobody")
        self._taken = 0
        self._rejected = 0
        self._lock = threading.Lock()
        # Those who left and are not yet subtracted. A script may be closed by the garbage collector at any point of
        # any thread, even inside the lock; so leaving is a note, which is atomic, and needs no lock.
        self._left: deque[None] = deque()

    def __repr__(self):
        return f"Bulkhead({self.inner!r}, limit={self.limit})"

    @property
    def under_way(self) -> int:
        """Calls that are under way."""
        with self._lock:
            return self._count()

    @property
    def rejected(self) -> int:
        """Calls that were turned away so far."""
        return self._rejected

    def script(self, now: float) -> Script:
        if not self._enter():
            return Status.REJECTED
        try:
            status, _ = yield from follow(self.inner, now)
            return status
        finally:
            self._left.append(None)

    def _enter(self):
        with self._lock:
            if self._count() >= self.limit:
                self._rejected += 1
                return False
            self._taken += 1
            return True

    def _count(self):
        while self._left:
            self._left.popleft()
            self._taken -= 1
        return self._taken
