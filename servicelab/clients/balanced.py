"""Calls to several real servers, one of them each time, as a balancer says."""

import threading
import time

from servicelab.policies.balancer import driven
from servicelab.policies.status import Status


class Balanced:
    """One client of several servers: the same ``balancer`` as for :class:`servicelab.sim.Balancer`.

    ``asks`` are functions that make one call to one server each and return ``(status, value)``, as
    :func:`servicelab.clients.attempt` makes them. :meth:`call` picks one, calls it and tells the balancer how it ended;
    ``outstanding`` are the calls under way to each server and ``calls`` those so far, both as this client counts them.
    Safe under threads. ``clock`` gives seconds.

    Raises ValueError without servers, TypeError for what cannot be called or cannot pick.
    """

    def __init__(self, asks, balancer, clock=time.monotonic):
        self.asks = list(asks)
        if not self.asks:
            raise ValueError(f"asks={asks!r} must hold at least one: there is no server to call")
        for ask in self.asks:
            if not callable(ask):
                raise TypeError(f"ask={ask!r} must be a function that calls one server, as attempt(…) makes it")
        self.balancer, self.clock = balancer, clock
        self._pick, self._heard = driven(balancer)
        self.outstanding, self.calls = [0] * len(self.asks), [0] * len(self.asks)
        self._lock = threading.Lock()

    def call(self, timeout=None, number=1, key=None):
        """``(status, value, index)`` of one call; ``timeout`` in seconds. What the call raises goes on."""
        begun = self.clock()
        with self._lock:
            index = self._pick(self.outstanding, begun, key)
            self.outstanding[index] += 1
            self.calls[index] += 1
        status = None
        try:
            status, value = self.asks[index](timeout, number)
        finally:
            now = self.clock()
            with self._lock:
                self.outstanding[index] -= 1
            self._heard(index, now - begun, status == Status.OK, now)
        return status, value, index
