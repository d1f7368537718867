"""The shop of exercise 4: one service with one pool of workers and three dependencies, on real sockets and in SimPy."""

import random
import time
from contextlib import ExitStack
from typing import NamedTuple

import requests
import simpy
from flask import Flask

from servicelab.clients import open_loop, traced
from servicelab.servers import serve
from servicelab.trace import Trace, reply_id

DEPENDENCIES = ("inventory", "payment", "shipping")
WORKERS = 24
SECONDS = 2.5  # how long a real shop is watched
HANGS = 20.0  # seconds that a call takes while its dependency is slow


class Need(NamedTuple):
    """What a dependency is asked: ``rate`` in requests/s, ``seconds`` for one."""

    rate: float
    seconds: float


#: Hidden settings. In both shops the busiest dependency is not the one that is called most often, nor the slowest.
PRACTICE = {"inventory": Need(8, 0.3), "payment": Need(30, 0.02), "shipping": Need(16, 0.35)}
CHECKED = {"inventory": Need(32, 0.025), "payment": Need(15, 0.4), "shipping": Need(5, 0.5)}


class MixedShop:
    """A running shop: ``orders`` has ``workers`` workers, and calls inventory, payment and shipping for its customers.

    ``dependencies`` are their names, ``workers`` is the size of the one pool. ``watch()`` lets customers in for
    ``seconds`` and returns the calls that orders made meanwhile: each has ``callee``, ``start`` and ``end``, in
    seconds. Use it in a ``with`` block: at its end the servers stop.
    """

    def __init__(self, needs, trace: Trace | None = None):
        self.dependencies, self.workers, self.seconds = DEPENDENCIES, WORKERS, SECONDS
        self.trace = Trace() if trace is None else trace
        self._needs, self._watches = needs, 0

    def __repr__(self):
        return f"<a shop with {self.workers} workers that needs {', '.join(self.dependencies)}>"

    def __enter__(self):
        with ExitStack() as stack:
            self._web = stack.enter_context(traced(requests.Session(), self.trace, "orders"))
            self._customers = stack.enter_context(traced(requests.Session(), Trace(), "client"))
            below = {}
            for name in DEPENDENCIES:
                app = _dependency(name, self._needs[name].seconds)
                below[name] = stack.enter_context(serve(app, name, workers=32)).url
            orders = Flask("orders")

            @orders.get("/<name>")
            def page(name):
                return self._web.get(below[name], timeout=10).text

            self._url = stack.enter_context(serve(orders, "orders", workers=self.workers)).url
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def watch(self):
        """Let customers in for ``seconds``, wait until all are served, and return the calls that orders made."""
        self._watches += 1
        rng = random.Random(self._watches)
        due = sorted((at, name) for name, need in self._needs.items() for at in _times(rng, need.rate))
        before, names = len(self.trace), iter([name for _, name in due])
        open_loop(lambda: self._customers.get(f"{self._url}/{next(names)}", timeout=10), [at for at, _ in due])
        return [call for call in self.trace.since(before).calls if call.end is not None]


def _dependency(name, seconds):
    app = Flask(name)
    app.add_url_rule("/", "work", lambda: time.sleep(seconds) or "done")
    return app


def _times(rng, rate):
    """Arrivals by chance, as in the simulation (Poisson), in as many seconds as have the expected number of them: the
    mean of a few seconds is right, and the crowds in them are real ones."""
    return [rng.uniform(0, SECONDS) for _ in range(round(rate * SECONDS))]


class Seen(NamedTuple):
    """How the calls of one dependency ended: shares of all of them. ``mark`` is the id of one that went wrong."""

    well: float
    rejected: float
    stuck: float
    mark: str | None


def simulate(needs, sizes, slow=None, seconds=400.0, patience=0.5, trace=None, seed=3) -> dict[str, Seen]:
    """The same shop in SimPy with bulkheads of these ``sizes``; the dependency ``slow`` hangs.

    A customer's call takes a worker, waiting for at most ``patience`` seconds, and then a place in the bulkhead, or is
    turned away. Poisson arrivals; the time of a call is uniform between half and one and a half times its mean.
    """
    env = simpy.Environment()
    pool = simpy.Resource(env, WORKERS)
    places, counts = dict(sizes), {name: [0, 0, 0, 0] for name in needs}  # calls, well, rejected, stuck
    marks, rng = {}, {name: random.Random(f"{seed} {name}") for name in needs}

    def customer(name, duration):
        counts[name][0] += 1
        start = env.now
        with pool.request() as worker:
            yield worker | env.timeout(patience)
            stuck = not worker.triggered
            full = not stuck and places[name] < 1
            call = _note(trace, name, start, env.now, duration, stuck, full)
            if stuck or full:
                counts[name][3 if stuck else 2] += 1
                if call is not None:
                    marks.setdefault(name, call)
                return
            places[name] -= 1
            yield env.timeout(duration)
            places[name] += 1
            counts[name][1] += 1

    def arrivals(name, need):
        draw = rng[name]
        while True:
            yield env.timeout(draw.expovariate(need.rate))
            usual = need.seconds * draw.uniform(0.5, 1.5)
            env.process(customer(name, HANGS if name == slow else usual))

    for name, need in needs.items():
        env.process(arrivals(name, need))
    env.run(until=seconds)
    ended = {name: sum(count[1:]) or 1 for name, count in counts.items()}
    return {name: Seen(*(count / ended[name] for count in counts[name][1:]), marks.get(name)) for name in needs}


def _note(trace, name, start, now, duration, stuck, full):
    """Stamp a call: as far as the diagram will show it."""
    if trace is None or len(trace) > 4000:
        return None
    call = trace.start_call("orders", name, f"GET /{name}", at=start)
    trace.send("orders", name, f"GET /{name}", id=call, at=now)
    if stuck or full:  # it never left orders
        why = "no worker" if stuck else "turned away"
        trace.lose(call, why, at=now)
        trace.end_call(call, why, at=now)
        return call
    trace.receive(call, name, at=now + 0.002)
    trace.send(name, "orders", "200", id=reply_id(call), kind="reply", at=now + duration - 0.002)
    trace.receive(reply_id(call), "orders", at=now + duration)
    trace.end_call(call, "ok", at=now + duration)
    return call


def practice_shop() -> MixedShop:
    """A shop to try things on; the check has another."""
    return MixedShop(PRACTICE)
