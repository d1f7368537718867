"""What the first two exercises share: services that are far away, and trips that are counted and not timed."""

import threading
from collections import Counter

import requests
from flask import Flask

from servicelab.clients import traced
from servicelab.faults import FaultProxy, Latency
from servicelab.servers import serve
from servicelab.trace import Trace

PATIENCE = 2.0  # seconds that those who are asked at once wait for one another


class Far:
    """Services on sockets, and a trace of who calls them. Those who are asked at once wait for one another: so nobody
    has to be quick to be counted."""

    def __init__(self, use):
        self.use, self.trace, self.lock, self.at_once, self.came = use, Trace(), threading.Condition(), {}, Counter()

    def begin(self, **at_once: int):  # how many of a kind are asked at once
        self.trace.clear()
        self.at_once, self.came = at_once, Counter()

    def come(self, kind: str):
        with self.lock:
            self.came[kind] += 1
            self.lock.notify_all()
            if not self.lock.wait_for(lambda: self.came[kind] >= self.at_once.get(kind, 0), PATIENCE):
                self.at_once[kind] = 0  # they are not asked at once: let the rest be quick

    def serve(self, name: str, rule: str, view, rtt: float) -> str:
        """Serve it, a round trip of ``rtt`` seconds away; its URL."""
        app = Flask(name)
        app.add_url_rule(rule, "view", view)
        proxy = self.use(FaultProxy(self.use(serve(app, name, trace=self.trace, workers=32)), f"far {name}"))
        for direction in ("upstream", "downstream"):
            proxy.add(Latency(rtt / 2, direction=direction))
        return proxy.url

    def session(self, caller: str):
        return self.use(traced(requests.Session(), self.trace, caller))

    def trips(self, caller: str) -> int:
        """The calls on ``caller``'s critical path: as many of them as were begun one after the other's end."""
        count, end = 0, -1.0
        for call in sorted(self.trace.calls, key=lambda call: call.end or float("inf")):
            if call.caller == caller and call.start >= end:
                count, end = count + 1, call.end or float("inf")
        return count
