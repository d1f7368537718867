"""Exercise 4: two ways to measure what a stage lets through, and the ways to be misled."""

import math
import threading
import time
from collections import Counter

from servicelab.clients import closed_loop, open_loop


def _throughput(send, clients=16, count=40):
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
    """By hand, for a fixed time, of which the best third counts: a busy machine can only slow a stage down."""
    found, window = {}, 0.3
    for stage in shop.stages:
        send, done, end = shop.probe(stage), [], time.monotonic() + 3 * window

        def client(send=send, done=done, end=end):
            while time.monotonic() < end:
                send()
                done.append(time.monotonic())

        crowd = [threading.Thread(target=client) for _ in range(16)]
        start = time.monotonic()
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        thirds = Counter(int((at - start) / window) for at in done)
        found[stage] = max(thirds[third] for third in range(3)) / window
    return min(found.items(), key=lambda pair: pair[1])


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


RIGHT = {"closed loop": by_closed_loop, "open loop": by_open_loop, "threads by hand": by_threads}
WRONG = {
    "one client": (one_client, {"one-client"}),
    "slowest single call": (slowest_call, {"slowest-call"}),
    "first stage always": (first_stage, {"wrong-stage"}),
    "product": (product, {"limit-wrong"}),
    "sum": (total, {"limit-wrong"}),
    "the widest": (widest, {"wrong-stage"}),
    "seconds in place of a rate": (seconds_for_rate, {"limit-wrong"}),
    "the pair turned round": (rate_first, {"wrong-type"}),
}
