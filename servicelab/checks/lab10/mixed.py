"""The shop of exercise 4: one service with one pool of workers and three dependencies, on real sockets and in SimPy."""

import random
import time
from collections import Counter, namedtuple
from contextlib import ExitStack

import requests
import simpy
from flask import Flask

from servicelab.clients import open_loop, traced
from servicelab.servers import serve
from servicelab.trace import Trace, reply_id

DEPENDENCIES = ("inventory", "payment", "shipping")
WORKERS = 24
SECONDS = 2.5  # how long a real shop is watched
DAY = 40  # the seed of a day on which it tells the same, whether one counts who is under way or plays it again
HANGS = 20.0  # seconds that a call takes while its dependency is slow
Need = namedtuple("Need", "rate seconds")  # what a dependency is asked: requests/s, and seconds for one
#: How the calls of one dependency ended, as shares of all of them, and the id of one that went wrong.
Seen = namedtuple("Seen", "well rejected stuck mark")
#: Hidden settings. In both shops the busiest dependency is not the one that is called most often, nor the slowest; and
#: of no size it is chance that says whether it turns away more than one call in ten: less than 9%, or more than 13%.
PRACTICE = {"inventory": Need(5, 0.5), "payment": Need(30, 0.025), "shipping": Need(18, 0.4)}
CHECKED = {"inventory": Need(24, 0.035), "payment": Need(16, 0.45), "shipping": Need(3.2, 0.5)}


class MixedShop:
    """A running shop: ``orders`` has ``workers`` workers, and calls inventory, payment and shipping for its customers.

    ``dependencies`` are their names, ``workers`` is the size of the one pool. Use it in a ``with`` block: at its end
    the servers stop.
    """

    def __init__(self, needs, trace: Trace | None = None):
        self.dependencies, self.workers, self.seconds = DEPENDENCIES, WORKERS, SECONDS
        self.trace = Trace() if trace is None else trace
        self._needs, self._rng = needs, random.Random(DAY)

    def __repr__(self):
        return f"<a shop with {self.workers} workers that needs {', '.join(self.dependencies)}>"

    def __enter__(self):
        with ExitStack() as stack:
            web = stack.enter_context(traced(requests.Session(), self.trace, "orders"))
            self._customers = stack.enter_context(traced(requests.Session(), Trace(), "client"))
            below, orders = {}, Flask("orders")
            for name, need in self._needs.items():
                app = Flask(name)
                app.add_url_rule("/", "work", lambda need=need: time.sleep(need.seconds) or "done")
                below[name] = stack.enter_context(serve(app, name, workers=32)).url
            orders.add_url_rule("/<name>", "page", lambda name: web.get(below[name], timeout=10).text)
            self._url = stack.enter_context(serve(orders, "orders", workers=self.workers)).url
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def watch(self):
        """Let customers in for ``seconds``, wait until all are served, and return the calls that orders made: each has
        ``callee``, ``start`` and ``end``, in seconds.

        They come by chance, as in the simulation, but as many as are expected: in a few seconds the mean is right, and
        the crowds are real ones."""
        counts = {name: round(need.rate * SECONDS) for name, need in self._needs.items()}
        due = sorted((self._rng.uniform(0, SECONDS), name) for name in counts for _ in range(counts[name]))
        before, names = len(self.trace), iter([name for _, name in due])
        open_loop(lambda: self._customers.get(f"{self._url}/{next(names)}", timeout=10), [at for at, _ in due])
        return [call for call in self.trace.since(before).calls if call.end is not None]


def simulate(needs, sizes, slow=None, seconds=300.0, trace=None, seed=3) -> dict[str, Seen]:
    """The same shop in SimPy with bulkheads of these ``sizes``; the dependency ``slow`` hangs.

    A customer's call waits for a worker, half a second at the most, and then takes a place in the bulkhead, or is
    turned away. Poisson arrivals; the time of a call is uniform between half and one and a half times its mean.
    The first 20 s are drawn into ``trace``.
    """
    env, places, marks, counts = simpy.Environment(), dict(sizes), {}, {name: Counter() for name in needs}
    pool = simpy.Resource(env, WORKERS)

    def customer(name, duration):
        with pool.request() as worker:
            yield worker | env.timeout(0.5)
            how = "no worker" if not worker.triggered else "well" if places[name] else "turned away"
            counts[name][how] += 1
            if trace is not None and env.now < 20:
                draw(name, how, duration)
            if how == "well":
                places[name] -= 1
                yield env.timeout(duration)
                places[name] += 1

    def draw(name, how, duration):
        call = trace.send("orders", name, f"GET /{name}", at=env.now)
        if how == "well":
            trace.receive(call, at=env.now + 0.002)
            trace.send(name, "orders", "200", id=reply_id(call), kind="reply", at=env.now + duration - 0.002)
            trace.receive(reply_id(call), at=env.now + duration)
        else:  # it never left orders
            trace.lose(call, how, at=env.now)
            marks.setdefault(name, call)

    def arrivals(name, need):
        draws = random.Random(f"{seed} {name}")
        while True:
            yield env.timeout(draws.expovariate(need.rate))
            env.process(customer(name, HANGS if name == slow else need.seconds * draws.uniform(0.5, 1.5)))

    for name, need in needs.items():
        env.process(arrivals(name, need))
    env.run(until=seconds)

    return {
        name: Seen(*(many[how] / many.total() for how in ("well", "turned away", "no worker")), marks.get(name))
        for name, many in counts.items()
    }


def practice_shop() -> MixedShop:
    """A shop to try things on; the check has another."""
    return MixedShop(PRACTICE)
