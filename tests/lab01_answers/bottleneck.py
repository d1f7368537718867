"""Exercise 4: ways to measure what a stage lets through, to model a queue and to keep a promise; and to be misled."""

import collections
import heapq
import math
import statistics
import threading
import time
from contextlib import suppress

import simpy

from servicelab.clients import closed_loop, open_loop


def _throughput(send, clients=16, count=30):
    samples = closed_loop(send, clients=clients, count=count)
    return len(samples) / max(sample.end for sample in samples)


def by_closed_loop(shop):
    limits = {stage: _throughput(shop.probe(stage)) for stage in shop.stages}
    narrowest = min(limits, key=limits.get)
    return narrowest, limits[narrowest]


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


def _single(shop):
    return {stage: _throughput(shop.probe(stage), clients=1, count=4) for stage in shop.stages}


def one_client(shop):
    rates = _single(shop)
    stage = min(rates, key=rates.get)
    return stage, rates[stage]


def slowest_call(shop):
    rates = _single(shop)
    stage = min(rates, key=rates.get)
    return stage, 1 / rates[stage]  # and seconds, too


def first_stage(shop):
    return shop.stages[0], _throughput(shop.probe(shop.stages[0]))


def _limits(shop):
    return {stage: _throughput(shop.probe(stage)) for stage in shop.stages}


def product(shop):
    limits = _limits(shop)
    return min(limits, key=limits.get), math.prod(limits.values())


def total(shop):
    limits = _limits(shop)
    return min(limits, key=limits.get), sum(limits.values())


def widest(shop):
    limits = _limits(shop)
    stage = max(limits, key=limits.get)
    return stage, limits[stage]


def seconds_for_rate(shop):
    stage, rate = by_closed_loop(shop)
    return stage, 1 / rate


def rate_first(shop):
    return 60.0, "payment"


def four_hundred(shop):
    limits = {stage: _throughput(shop.probe(stage), count=400) for stage in shop.stages}
    return min(limits, key=limits.get), min(limits.values())


def is_told(shop):
    """For those who are asked about something else."""
    return shop._narrow, shop._limits[shop._narrow]


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
    ends = [0.0] * workers
    for at, takes in zip(came, work):
        n = min(range(workers), key=ends.__getitem__)
        ends[n] = max(ends[n], at) + takes
        yield ends[n] - at


def never_idle(came, work, workers):
    end = 0
    for at, takes in zip(came, work):
        end += takes
        yield end - at


def no_queue(came, work, workers):
    return work


def waits_only(came, work, workers):
    return [time - takes for time, takes in zip(by_heap(came, work, workers), work)]


def sees_one_before(came, work, workers):
    """Each waits for the one before it, but not for those that one waited for."""
    ends = [0.0] + [at + takes for at, takes in zip(came, work)]
    return [max(at, before) + takes - at for at, takes, before in zip(came, work, ends)]


def in_turns(came, work, workers):
    ends = [0.0] * workers
    for n, (at, takes) in enumerate(zip(came, work)):
        ends[n % workers] = max(ends[n % workers], at) + takes
        yield ends[n % workers] - at


def least_work(came, work, workers):
    """To the worker that had least to do so far, instead of the one that is free first."""
    ends, load = [0.0] * workers, [0.0] * workers
    for at, takes in zip(came, work):
        n = load.index(min(load))
        load[n] += takes
        ends[n] = max(ends[n], at) + takes
        yield ends[n] - at


def one_worker_only(came, work, workers):
    return by_heap(came, work)


def two_at_most(came, work, workers):
    return by_heap(came, work, min(workers, 2))


def whole_seconds(came, work, workers):
    return by_heap([int(at) for at in came], work, workers)


def the_mean(came, work, workers):
    return statistics.mean(by_heap(came, work, workers))


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


def eighty_percent(limit, promise):
    return 0.8 * limit, 0.8 * limit * promise


def all_it_can(limit, promise):
    return limit, limit * promise


def below_zero(limit, promise):
    rate = limit - 1 / promise
    return rate, rate * promise


def at_the_limit(limit, promise):
    return by_formula(limit, promise)[0], limit * promise


def waiting_only(limit, promise):
    rate, inside = by_formula(limit, promise)
    return rate, max(0.0, inside - rate / limit)


def whole_orders(limit, promise):
    return tuple(map(round, by_formula(limit, promise)))


def a_rate(limit, promise):
    return max(0.0, limit - 1 / promise)


def all_three(find=is_told, model=by_heap, plan=by_formula):
    return find, model, plan


RIGHT = {
    "closed loop, heap, formula": all_three(by_closed_loop),
    "open loop, SimPy, search": all_three(by_open_loop, by_simpy, by_search),
    "threads by hand, generator, load": all_three(by_threads, by_generator, by_load),
}
WRONG = {
    "one client": (all_three(one_client), {"one-client"}),
    "slowest single call": (all_three(slowest_call), {"slowest-call"}),
    "first stage always": (all_three(first_stage), {"wrong-stage"}),
    "product": (all_three(product), {"limit-wrong"}),
    "sum": (all_three(total), {"limit-wrong"}),
    "the widest": (all_three(widest), {"wrong-stage"}),
    "seconds in place of a rate": (all_three(seconds_for_rate), {"limit-wrong"}),
    "the pair turned round": (all_three(rate_first), {"wrong-type"}),
    "400 requests": (all_three(four_hundred), {"not-gentle"}),
    "a worker that is never idle": (all_three(model=never_idle), {"idle"}),
    "nobody waits": (all_three(model=no_queue), {"queue"}),
    "the waiting only": (all_three(model=waits_only), {"idle"}),
    "sees only the one before": (all_three(model=sees_one_before), {"queue"}),
    "in turns": (all_three(model=in_turns), {"first-free"}),
    "to who had least to do": (all_three(model=least_work), {"first-free"}),
    "one worker only": (all_three(model=one_worker_only), {"first-free"}),
    "two workers at most": (all_three(model=two_at_most), {"first-free"}),
    "whole seconds": (all_three(model=whole_seconds), {"long-run"}),
    "the mean": (all_three(model=the_mean), {"no-times"}),
    "80 % of the limit": (all_three(plan=eighty_percent), {"promise"}),
    "all it can": (all_three(plan=all_it_can), {"promise"}),
    "below zero": (all_three(plan=below_zero), {"hopeless"}),
    "the number at the limit": (all_three(plan=at_the_limit), {"inside"}),
    "those who wait only": (all_three(plan=waiting_only), {"inside"}),
    "whole orders": (all_three(plan=whole_orders), {"inside"}),
    "a rate and nothing else": (all_three(plan=a_rate), {"wrong-pair"}),
}
