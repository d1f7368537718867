"""One validator of numbers for the whole package: what is a number, and what is refused, everywhere alike."""

import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
import simpy

from servicelab import arguments, theory
from servicelab.faults import Bandwidth, Latency, LimitData, Slicer
from servicelab.policies import (
    AdaptiveThrottle,
    BoundedBuffer,
    Bulkhead,
    CircuitBreaker,
    Deadline,
    Exponential,
    Heartbeat,
    Hedge,
    InstanceCache,
    RateLimiter,
    Reconnect,
    Resume,
    Retry,
    RetryBudget,
    SlidingWindow,
    Timeout,
    TokenBucket,
)
from servicelab.sim import Consumer, Draws, Link, Queue, Service, free_at, poisson
from servicelab.sim.outage import Outage
from servicelab.sim.storm import retry_storm
from servicelab.sim.stream import CreditChannel, Producer
from servicelab.sim.sweep import sweep

env = simpy.Environment()
ok = Service(env, "orders", 0.01)

NUMBERS = {
    "Timeout": Timeout,
    "Deadline": lambda x: Deadline(x, Timeout(None)),
    "Exponential": lambda x: Exponential(x, 1e6),
    "RetryBudget": lambda x: RetryBudget(min_per_second=x),
    "TokenBucket": lambda x: TokenBucket(x, 5),
    "SlidingWindow": lambda x: SlidingWindow(5, x),
    "RateLimiter": lambda x: RateLimiter(Timeout(1), TokenBucket(1, 1), patience=x),
    "Hedge": lambda x: Hedge(Timeout(1e6), delay=x),
    "CircuitBreaker": lambda x: CircuitBreaker(Timeout(1), wait_open=x),
    "AdaptiveThrottle": lambda x: AdaptiveThrottle(Timeout(1), Random(1), window=x),
    "Heartbeat": lambda x: Heartbeat(x),
    "Reconnect": lambda x: Reconnect(Exponential(1, 2), stable=x),
    "InstanceCache": lambda x: InstanceCache(ttl=x),
    "Service": lambda x: Service(env, "orders", x),
    "Link": lambda x: Link(env, ok, x),
    "Consumer": lambda x: Consumer(env, "worker", Queue(env), x),
    "Queue": lambda x: Queue(env, ttl=x),
    "Producer": lambda x: Producer(env, None, x, count=1),
    "Outage": lambda x: Outage(load=x),
    "poisson": lambda x: poisson(env, x, ok, Draws(1), count=1),
    "retry_storm": lambda x: retry_storm([], [], x, 1, until=1),
    "exponential": lambda x: Draws(1).exponential("work", x),
    "Latency": Latency,
    "Bandwidth": Bandwidth,
    "mm1_wait": lambda x: theory.mm1_wait(0.01, x),
    "mm1_wait of lam": lambda x: theory.mm1_wait(x, 1e6),
    "erlang_c": lambda x: theory.erlang_c(100, x),
    "mg1_wait": lambda x: theory.mg1_wait(0.001, x, 1),
    "mg1_wait of scv": lambda x: theory.mg1_wait(0.001, 1, x),
    "burst": lambda x: theory.burst(x, 1, 1, 1),
    "window_rate": lambda x: theory.window_rate(x, 1, 1),
    "lease_window": lambda x: theory.lease_window(x, 0.1),
    "poll_window": lambda x: theory.poll_window(x),
    "cache_window": lambda x: theory.cache_window(x, 1),
    "lookup_rate": lambda x: theory.lookup_rate(1, x),
    "silence_window": lambda x: theory.silence_window(0.1, x),
    "time_to_fill": lambda x: theory.time_to_fill(x, 1, 1),
    "credit_rate": lambda x: theory.credit_rate(1, x),
}
SHARES = {
    "ratio": lambda x: RetryBudget(ratio=x),
    "failure_rate": lambda x: CircuitBreaker(Timeout(1), failure_rate=x),
    "bernoulli": lambda x: Draws(1).bernoulli("loss", x),
    "toxicity": lambda x: Latency(1, toxicity=x),
    "fan_out": lambda x: theory.fan_out(x, 3),
    "retry_load": lambda x: theory.retry_load(x, 3),
    "availability_series": theory.availability_series,
    "deliveries": lambda x: theory.deliveries(x, 3),
    "failed_calls": lambda x: theory.failed_calls(1, x, 1),
}
COUNTS = {
    "Retry": lambda n: Retry(Timeout(1), tries=n),
    "Bulkhead": lambda n: Bulkhead(Timeout(1), n),
    "SlidingWindow": lambda n: SlidingWindow(n, 1.0),
    "BoundedBuffer": BoundedBuffer,
    "Resume": Resume,
    "workers": lambda n: Service(env, "orders", 1, workers=n),
    "prefetch": lambda n: Consumer(env, "worker", Queue(env), 1, prefetch=n),
    "CreditChannel": lambda n: CreditChannel(env, n),
    "free_at": lambda n: free_at([0.0], [1.0], n),
    "seed": Draws,
    "sweep": lambda n: sweep(lambda seed, load: load, {"load": [1]}, replications=n),
    "Slicer": Slicer,
    "LimitData": LimitData,
    "mmc_wait": lambda n: theory.mmc_wait(0.5, 1, n),
    "supermarket": lambda n: theory.supermarket(0.5, n),
    "fan_out": lambda n: theory.fan_out(0.1, n),
    "retry_load": lambda n: theory.retry_load(0.1, n),
    "layered_retries": lambda n: theory.layered_retries(n, 2),
}

# Those of theory that answer for many arrival rates at once take arrays: other tests hold that.
NO_NUMBER = [math.nan, -math.inf, "1", True, 1j, [object()], np.bool_(True), object()]


def refuse_each(makers, values):
    for name, make in makers.items():
        for value in values:
            with pytest.raises((TypeError, ValueError), match="must be ") as refused:
                pytest.fail(f"{name} took {value!r}: {make(value)!r}")
            assert len(str(refused.value)) < 300, name


def test_what_is_no_finite_number_is_refused_with_one_clear_error():
    refuse_each(NUMBERS | SHARES | COUNTS, NO_NUMBER)
    # None means no limit to these, and infinity no bound to a buffer.
    taken = {"Timeout": Timeout, "Queue": NUMBERS["Queue"], "prefetch": COUNTS["prefetch"], "buffer": BoundedBuffer}
    for make in taken.values():
        make(None)

    refuse_each(without(NUMBERS | SHARES | COUNTS, "BoundedBuffer"), [math.inf])
    refuse_each(without(NUMBERS | SHARES | COUNTS, *taken, "BoundedBuffer"), [None])
    refuse_each(without(NUMBERS | SHARES | COUNTS, "Resume", "seed"), [10**400])


def without(makers, *names):
    return {name: make for name, make in makers.items() if name not in names}


def test_numbers_of_numpy_are_numbers_everywhere():
    for make in NUMBERS.values():
        for value in (2, 2.0, np.int64(2), np.float64(2), np.float32(2), Fraction(2)):
            make(value)
    for make in SHARES.values():
        for value in (0.5, np.float64(0.5), np.float32(0.5), Fraction(1, 2)):
            make(value)
    for make in COUNTS.values():
        make(np.int32(3))


def test_no_float_is_a_whole_number():
    refuse_each(COUNTS, [3.0, 2.5, np.float64(3)])


def test_a_number_comes_back_as_pythons_own_and_loses_nothing():
    assert type(Timeout(np.float32(0.1)).seconds) is float
    assert type(Retry(Timeout(1), tries=np.int8(3)).tries) is int
    assert Timeout(2).seconds == 2 and repr(Timeout(2)) == "Timeout(2)"


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda: arguments.positive("rate", 0, "calls/s", "no call"), ValueError, "> 0 calls/s and finite: no"),
        (lambda: arguments.number("x", "1", "seconds"), TypeError, "x='1' must be a number of seconds"),
        (lambda: arguments.whole("n", 10**400), ValueError, "n=10.*[.]{3} must be a whole number from 1 to 9"),
        (lambda: arguments.number("x", np.zeros(1000)), TypeError, r"x=array\(\[0\., .*\.\.\. must be a number"),
        (lambda: arguments.number("x", 10**5000), ValueError, "x=a number of thousands of digits must be"),
        (lambda: arguments.whole("n", 9, "of cores", most=8), ValueError, "n=9 must be a whole number from 1 to 8: o"),
        (lambda: arguments.share("p", 2), ValueError, "p=2 must be a share from 0 to 1"),
        (lambda: arguments.text("name", ""), TypeError, "name='' must be a text that is not empty"),
    ],
)  # fmt: skip
def test_an_error_quotes_the_value_and_says_the_mend(ask, error, said):
    with pytest.raises(error, match=said):
        ask()
