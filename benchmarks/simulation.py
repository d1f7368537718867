"""What a simulated request costs here, against the ways in which it is usually written.

``python -m benchmarks.simulation`` prints JSON. Every ratio comes from one interleaved run: the contestants take turns,
so that a slow moment of the machine hits them alike, and the medians are compared. Costs are in microseconds per
simulated request, and include the bookkeeping: each contestant returns the latencies. A ratio below its limit passes.
"""

import gc
import json
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import simpy

from servicelab.policies import Retry, Timeout
from servicelab.sim import Client, Draws, Link, Service, free_at, lindley, poisson

LOAD = 0.8  # utilisation of the M/M/1 queue: mean service 1 s, 0.8 requests/s


def interleaved(contestants: dict[str, Callable[[], object]], requests: int, rounds: int = 9) -> dict[str, float]:
    """Median cost of each contestant in µs per request, taking turns for ``rounds`` rounds."""
    times = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            gc.collect()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(spent) / requests * 1e6 for name, spent in times.items()}


def report(costs: dict[str, float], ours: str, theirs: str, limit: float) -> dict:
    ratio = costs[ours] / costs[theirs]
    rounded = {f"{name} (µs/request)": round(cost, 4) for name, cost in costs.items()}
    return {**rounded, "ratio": round(ratio, 3), "limit": limit, "passed": ratio <= limit}


# -- M/M/1 -----------------------------------------------------------------------------------------


def mm1_ours(n):
    env, draws = simpy.Environment(), Draws(1)
    service = Service(env, "orders", draws.exponential("work", 1.0))
    journeys = poisson(env, LOAD, service, draws, count=n)
    env.run()
    return journeys.latency


def mm1_textbook(n):
    """As in SimPy's own examples: a process for each customer, and a Resource."""
    env = simpy.Environment()
    counter = simpy.Resource(env, capacity=1)
    rng = random.Random(1)
    latencies = []

    def customer():
        arrived = env.now
        with counter.request() as turn:
            yield turn
            yield env.timeout(rng.expovariate(1.0))
        latencies.append(env.now - arrived)

    def arrivals():
        for _ in range(n):
            yield env.timeout(rng.expovariate(LOAD))
            env.process(customer())

    env.process(arrivals())
    env.run()
    return np.array(latencies)


def mm1_ciw(n):
    import ciw

    ciw.seed(1)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=LOAD)],
        service_distributions=[ciw.dists.Exponential(rate=1.0)],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(n, method="Finish")
    return np.array([record.exit_date - record.arrival_date for record in simulation.get_all_records()])


def against_textbook(n=20_000, rounds=9) -> dict:
    costs = interleaved({"ours": lambda: mm1_ours(n), "textbook": lambda: mm1_textbook(n)}, n, rounds)
    return report(costs, "ours", "textbook", 0.4)


def against_ciw(n=5_000, rounds=5) -> dict:
    costs = interleaved({"ours": lambda: mm1_ours(n), "ciw": lambda: mm1_ciw(n)}, n, rounds)
    return report(costs, "ours", "ciw", 0.25)


# -- three services in a chain, with timeout, retry and a place for a breaker ----------------------------------

RATE, WORK, DELAY, TIMEOUT, TRIES = 50.0, 0.010, 0.001, 1.0, 3  # requests/s, s, s, s, attempts


def chain_ours(n):
    env, draws = simpy.Environment(), Draws(1)
    place = None
    for name in ("inventory", "orders", "gateway"):
        service = Service(env, name, draws.exponential(name, WORK), workers=2, needs=[place] if place else [])
        place = Client(env, Link(env, service, DELAY), policy=Retry(Timeout(TIMEOUT), tries=TRIES))
    journeys = poisson(env, RATE, place, draws, count=n)
    env.run()
    return journeys.latency


class CallFailed(Exception):
    """What the textbook's caller raises when its attempts are used up or the breaker is open."""


class ClosedBreaker:
    """The place where a breaker would stand: always closed, like the policy slot of ours."""

    def check(self):
        pass

    def record(self, ok):
        pass


def chain_textbook(n):
    """The same model in plain SimPy: a process for each hop, ``answer | timer``, failures as exceptions."""
    env = simpy.Environment()
    rng = random.Random(1)
    latencies = []

    def serve(tiers):
        resource, _ = tiers[0]
        yield env.timeout(DELAY)
        with resource.request() as turn:
            yield turn
            yield env.timeout(rng.expovariate(1 / WORK))
            if tiers[1:]:
                yield env.process(call(tiers[1:]))
        yield env.timeout(DELAY)

    def call(tiers):
        _, breaker = tiers[0]
        for _ in range(TRIES):
            breaker.check()
            answer = env.process(serve(tiers))
            timer = env.timeout(TIMEOUT)
            try:
                happened = yield answer | timer
            except CallFailed:
                breaker.record(False)
                continue
            if answer in happened:
                breaker.record(True)
                return
            answer.defused = True  # abandoned: if it fails later, it must not stop the run
            breaker.record(False)
        raise CallFailed("all attempts failed")

    def journey(tiers):
        due = env.now
        try:
            yield env.process(call(tiers))
            latencies.append(env.now - due)
        except CallFailed:
            latencies.append(float("nan"))

    def arrivals():
        tiers = [(simpy.Resource(env, capacity=2), ClosedBreaker()) for _ in range(3)]
        for _ in range(n):
            yield env.timeout(rng.expovariate(RATE))
            env.process(journey(tiers))

    env.process(arrivals())
    env.run()
    return np.array(latencies)


def chain(n=4_000, rounds=9) -> dict:
    costs = interleaved({"ours": lambda: chain_ours(n), "textbook": lambda: chain_textbook(n)}, n, rounds)
    return report(costs, "ours", "textbook", 0.35)


# -- the array recursion ------------------------------------------------------------------------------------


def recursion(n=1_000_000, rounds=9) -> dict:
    """Lindley's recursion (one worker) against drawing the numbers it is given; the heap's cost stands beside it."""
    rng = np.random.default_rng(1)
    arrivals, services = np.cumsum(rng.exponential(1 / LOAD, n)), rng.exponential(1.0, n)
    costs = interleaved(
        {
            "drawing": lambda: (rng.exponential(1 / LOAD, n), rng.exponential(1.0, n)),
            "recursion": lambda: lindley(arrivals, services),
        },
        n,
        rounds,
    )
    heap = interleaved({"heap of 4 workers": lambda: free_at(arrivals / 4, services, 4)}, n, 3)
    return report(costs | heap, "recursion", "drawing", 3.0)


def run() -> dict:
    """All of them, as one dict; the keys say what is compared."""
    return {
        "M/M/1 against textbook SimPy": against_textbook(),
        "M/M/1 against ciw": against_ciw(),
        "chain of three against textbook SimPy": chain(),
        "recursion against drawing its numbers": recursion(),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2, ensure_ascii=False))
