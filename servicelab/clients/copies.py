"""Copies of answers behind real sockets: an expiry policy at work under threads."""

import threading
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future

from servicelab.arguments import positive
from servicelab.policies.expiry import FETCH, SERVE, Copy


class Copies:
    """``get(key, fetch)`` returns a copy of ``fetch()``, which ``policy`` decides to give out, to fetch or to wait for.

    A copy is fresh for ``ttl`` seconds after its fetch. ``store`` keeps the copies: a dict, or for a limited number
    ``cachetools.LRUCache(100)``. ``fetches`` counts how often somebody was sent. What ``fetch`` raises goes to those
    who wait for this very fetch, and is kept for nobody: the next one fetches again. Thread-safe; ``fetch`` is called
    outside the lock. Raises ValueError for a ``ttl`` <= 0.
    """

    def __init__(self, policy, ttl: float, store: MutableMapping | None = None, clock=time.monotonic):
        self.policy, self.ttl, self.clock = policy, positive("ttl", ttl, "seconds"), clock
        self.store = {} if store is None else store
        self.fetches = 0
        self._under_way: dict = {}  # key → Future of the fetch that was begun last
        self._lock = threading.Lock()

    def get(self, key, fetch: Callable):
        with self._lock:
            begin, copy = self.clock(), self.store.get(key)
            do = self.policy.decide(begin, copy, key in self._under_way)
            if do == SERVE:
                return copy.value
            if do == FETCH:
                self.fetches += 1
                self._under_way[key] = mine = Future()
            else:
                mine = self._under_way[key]
        if do != FETCH:
            return mine.result()
        try:
            value = fetch()
        except BaseException as error:
            self._end(key, mine)
            mine.set_exception(error)
            raise
        now = self.clock()
        self._end(key, mine, Copy(value, now + self.ttl, now - begin))
        mine.set_result(value)
        return value

    def _end(self, key, mine, copy=None):
        with self._lock:
            if self._under_way.get(key) is mine:
                del self._under_way[key]
            if copy is not None:
                self.store[key] = copy
