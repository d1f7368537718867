"""Exercise 4: ways to measure what a stage lets through, to model a queue and to keep a promise; and to be misled."""

import collections
import heapq
import math  # noqa: F401  # for an answer that is made of another
import statistics
import threading
import time
from contextlib import suppress

import simpy

from servicelab.clients import closed_loop, open_loop
from tests.lab11_answers import but


def by_closed_loop(shop):
    limits = {}
    for stage in shop.stages:
        samples = closed_loop(shop.probe(stage), clients=16, count=30)
        limits[stage] = len(samples) / max(sample.end for sample in samples)
    stage = min(limits, key=limits.get)
    return stage, limits[stage]


def by_open_loop(shop):
    """Forty at once, and the rate between the first quarter and the end."""
    rates = []
    for stage in shop.stages:
        ends = sorted(sample.end for sample in open_loop(shop.probe(stage), [0.0] * 40, clients=40))
        rates.append(((len(ends) - 10) / (ends[-1] - ends[9]), stage))
    rate, stage = min(rates)
    return stage, rate


def by_threads(shop):
    """By hand, and the median of five rates in the thick of it."""
    found = {}
    for stage in shop.stages:
        send, ends, todo = shop.probe(stage), [], collections.deque(range(45))

        def client(send=send, ends=ends, todo=todo):
            while todo:
                with suppress(IndexError):  # another client took the last one
                    todo.pop()
                    send()
                ends.append(time.monotonic())

        crowd = [threading.Thread(target=client) for _ in range(16)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        ends.sort()
        found[stage] = statistics.median(20 / (ends[n + 20] - ends[n]) for n in range(5, 25, 5))
    return list(min(found.items(), key=lambda pair: pair[1]))


def is_told(shop):
    """For those who are asked about something else."""
    stage, limits = shop._narrow, shop._limits  # two names more, for answers that are made of this one
    return stage, limits[stage]


def by_heap(came, work, workers=1):
    free, times = [0.0] * workers, []
    for at, takes in zip(came, work):
        end = max(at, heapq.heappop(free)) + takes
        heapq.heappush(free, end)
        times.append(end - at)
    return times


def by_simpy(came, work, workers=1):
    env, times = simpy.Environment(), [0.0] * len(came)
    stage = simpy.Resource(env, workers)

    def visit(n):
        yield env.timeout(came[n])
        with stage.request() as turn:
            yield turn
            yield env.timeout(work[n])
        times[n] = env.now - came[n]

    for n in range(len(came)):
        env.process(visit(n))
    env.run()
    return tuple(times)


def by_generator(came, work, workers):
    n, ends = 0, [0.0] * workers
    for at, takes in zip(came, work):
        n = min(range(workers), key=ends.__getitem__)
        ends[n] = max(ends[n], at) + takes
        yield ends[n] - at


def sees_one_before(came, work, workers):
    """Each waits for the one before it, but not for those that one waited for."""
    ends = [0.0] + [at + takes for at, takes in zip(came, work)]
    return [max(at, before) + takes - at for at, takes, before in zip(came, work, ends)]


def by_formula(limit, promise):
    rate = max(0.0, limit - 1 / promise)
    return rate, rate * promise


def by_search(limit, promise):
    """Another hand: so many that it just holds, by halving."""
    low, high = 0.0, limit
    for _ in range(40):
        rate = (low + high) / 2
        low, high = (rate, high) if 1 / (limit - rate) <= promise else (low, rate)
    busy = low / limit
    return [low, busy / (1 - busy)]


def by_load(limit, promise):
    """A third: in terms of the share of time that the worker is busy."""
    busy = 1 - 1 / (limit * promise)
    return (busy * limit, busy * limit * promise) if busy > 0 else (0, 0)


# -- mistakes ------------------------------------------------------------------------------------------


def find(*changes, of=by_closed_loop):
    return but(of, *changes), by_heap, by_formula


def found(number):
    """The stage is right, and not the number."""
    return find(f"return stage, limits[stage] => return stage, {number}", of=is_told)


def model(*changes, of=by_heap):
    return is_told, but(of, *changes), by_formula


def plan(change):
    return is_told, by_heap, but(by_formula, change)


RATE, PAIR = "max(0.0, limit - 1 / promise)", "return rate, rate * promise"
ONE, FREE = "clients=16, count=30 => clients=1, count=4", "n = min(range(workers), key=ends.__getitem__)"
RIGHT = {
    "closed loop, heap, formula": (by_closed_loop, by_heap, by_formula),
    "open loop, SimPy, search": (by_open_loop, by_simpy, by_search),
    "as many as were agreed": (but(by_closed_loop, "count=30 => count=60"), by_heap, by_formula),
    "threads by hand, generator, load": (by_threads, by_generator, by_load),
}
WRONG = {
    "one client": (find(ONE), {"wrong-stage"}),
    "slowest single call": (find(ONE, "return stage, limits => return stage, 1 / limits"), {"wrong-stage"}),
    "first stage always": (find("min(limits, key=limits.get) => shop.stages[0]"), {"wrong-stage"}),
    "the widest": (find("min(limits, => max(limits,"), {"wrong-stage"}),
    "product": (found("math.prod(limits.values())"), {"limit-wrong"}),
    "sum": (found("sum(limits.values())"), {"limit-wrong"}),
    "seconds in place of a rate": (found("1 / limits[stage]"), {"limit-wrong"}),
    "the pair turned round": (find("stage, limits[stage] => 60.0, 'payment'", of=is_told), {"wrong-type"}),
    "70 requests": (find("count=30 => count=70"), {"not-gentle"}),
    "a worker that is never idle": (model("max(at, heapq.heappop(free)) => heapq.heappop(free)"), {"idle"}),
    "the waiting only": (model("append(end - at) => append(end - at - takes)"), {"idle"}),
    "nobody waits": (model("return times => return work"), {"queue"}),
    "sees only the one before": (model(of=sees_one_before), {"queue"}),
    "whole seconds": (model("zip(came, => zip(map(int, came),"), {"queue"}),
    "in turns": (model(f"{FREE} => n = (n + 1) % workers", of=by_generator), {"first-free"}),
    "to who had least to do": (
        model(
            f"{FREE} => n = load.index(min(load))\n        load[n] += takes",
            "n, ends = 0, => load, ends = [0.0] * workers,",
            of=by_generator,
        ),
        {"first-free"},
    ),
    "one worker only": (model("[0.0] * workers => [0.0]"), {"first-free"}),
    "two workers at most": (model("* workers => * min(workers, 2)"), {"first-free"}),
    "the mean": (model("return times => return statistics.mean(times)"), {"no-times"}),
    "80% of the limit": (plan(f"{RATE} => 0.8 * limit"), {"promise"}),
    "all it can": (plan(f"{RATE} => limit"), {"promise"}),
    "below zero": (plan(f"{RATE} => limit - 1 / promise"), {"hopeless"}),
    "the number at the limit": (plan("rate * promise => limit * promise"), {"inside"}),
    "those who wait only": (plan("rate * promise => max(0.0, rate * promise - rate / limit)"), {"inside"}),
    "whole orders": (plan(f"{PAIR} => return round(rate), round(rate * promise)"), {"inside"}),
    "a rate and nothing else": (plan(f"{PAIR} => return rate"), {"wrong-pair"}),
}  # fmt: skip
