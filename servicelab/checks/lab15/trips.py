"""What the first two exercises share: a service far away, and trips that are counted and not timed."""

import threading
import time
from collections import Counter

import requests

from servicelab.clients import traced
from servicelab.faults import FaultProxy, Latency
from servicelab.servers import serve

PATIENCE = 2.0  # seconds that those who are asked at once wait for one another


def trips(trace, caller: str) -> int:
    """The calls on ``caller``'s critical path: of its calls, as many as were begun one after the other's end."""
    count, end = 0, -1.0
    for call in sorted(trace.calls, key=lambda call: call.end or float("inf")):
        if call.caller == caller and call.start >= end:
            count, end = count + 1, call.end or float("inf")
    return count


class Together:
    """Lets those wait for one another who are asked at once, as many as are ``due`` of a kind: so nobody has to be quick
    to be counted."""

    def __init__(self):
        self.lock, self.due, self.came = threading.Condition(), {}, Counter()

    def expect(self, **due: int):
        self.due, self.came = due, Counter()

    def come(self, kind: str):
        with self.lock:
            self.came[kind] += 1
            self.lock.notify_all()
            if not self.lock.wait_for(lambda: self.came[kind] >= self.due.get(kind, 0), PATIENCE):
                self.due[kind] = 0  # they are not asked at once: let the rest be quick


def session(trace, caller: str):
    return traced(requests.Session(), trace, caller)


def far(use, app, name: str, rtt: float, trace) -> str:
    """Serve ``app``, a round trip of ``rtt`` seconds away; its URL."""
    proxy = use(FaultProxy(use(serve(app, name, trace=trace, workers=32)), f"far {name}"))
    for direction in ("upstream", "downstream"):
        proxy.add(Latency(rtt / 2, direction=direction))
    return proxy.url


def timed(function, *args) -> float:
    begin = time.perf_counter()
    function(*args)
    return time.perf_counter() - begin
