"""Shops with hidden settings, for exercise 4: four stages on real sockets, one of them narrower than the others."""

import random
import time
from collections import Counter
from contextlib import ExitStack

import requests
from flask import Flask

from servicelab.clients import traced
from servicelab.faults import Bandwidth, FaultProxy
from servicelab.servers import serve
from servicelab.trace import Trace

STAGES = ("orders", "inventory", "payment", "line")
NARROW, WIDE = 30.0, 90.0  # requests/s, about: so few that a busy machine can still answer them
PACKET = 20_000  # bytes that an order sends over the line
MOST = 60  # requests to one stage that were agreed


class Enough(Exception):
    """More requests than were agreed."""


class Shop:
    """A running shop. An order visits all the stages, one after the other; what each can do is for you to measure.

    ``stages`` are their names, ``probe(stage)`` is a function that sends one request to that stage alone, ``order()``
    sends one through all of them, ``trace`` records everything. Three stages are services with workers; the fourth is
    a line that all orders share. ``sent`` counts the requests to each; more than 60 to one raise
    :class:`Enough`, since the shop is open. Use it in a ``with`` block: at its end the servers stop.
    """

    def __init__(self, seed: int, narrow: str, trace: Trace | None = None):
        rng = random.Random(f"shop {seed}")
        self.stages = STAGES
        self.trace = Trace() if trace is None else trace
        self.sent = Counter()
        self._narrow = narrow
        self._limits = {s: (NARROW if s == narrow else WIDE) * rng.uniform(0.9, 1.1) for s in STAGES}
        # The narrow stage answers a single call sooner than a wide one does: few fast workers against many slow ones.
        self._workers = {s: 1 if s == "line" else rng.choice((1, 2) if s == narrow else (8, 9)) for s in STAGES}
        self._stack = ExitStack()
        self._urls = {}

    def __repr__(self):
        return f"<a shop with the stages {', '.join(self.stages)}>"

    def __enter__(self):
        with ExitStack() as stack:
            for stage in STAGES[:3]:
                app = _app(stage, self._workers[stage] / self._limits[stage], "done")
                server = stack.enter_context(serve(app, stage, workers=self._workers[stage], trace=self.trace))
                self._urls[stage] = server.url
            far = stack.enter_context(serve(_app("line", 0, b"x" * PACKET), "line", trace=self.trace))
            line = stack.enter_context(FaultProxy(far))
            line.add(Bandwidth(PACKET * self._limits["line"], shared=True))
            self._urls["line"] = line.url
            self._web = stack.enter_context(traced(requests.Session(), self.trace, "client"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def probe(self, stage: str):
        """A function without arguments that sends one request to ``stage`` alone. Raises ValueError for no stage."""
        if stage not in self.stages:
            raise ValueError(f"stage={stage!r} is not one of {', '.join(self.stages)}")

        def send():
            self.sent[stage] += 1
            if self.sent[stage] > MOST:
                raise Enough(f"{MOST} requests to {stage} were agreed: the shop is open, measure gently")
            return self._web.get(self._urls[stage], timeout=10)

        return send

    def order(self):
        """Send one order through every stage; returns the last response."""
        for stage in self.stages:
            answer = self.probe(stage)()
        return answer


def practice_shop(seed: int = 0) -> Shop:
    """A shop to try things on; the check has others."""
    return Shop(seed, "inventory")


def _app(name, seconds, body):
    app = Flask(name)
    app.add_url_rule("/", "work", lambda: time.sleep(seconds) or body)
    return app
