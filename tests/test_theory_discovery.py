"""The formulas of service discovery, against cases that can be counted by hand and against draws of their own."""

import math
from random import Random

import pytest

from servicelab import theory
from servicelab.theory import Window


def simulated(one, runs=40_000, seed=1):
    """Mean, standard error, least and most of ``one(rng)``."""
    rng = Random(seed)
    found = [one(rng) for _ in range(runs)]
    mean = sum(found) / runs
    error = math.sqrt(sum((value - mean) ** 2 for value in found) / runs / runs)
    return mean, error, min(found), max(found)


def holds(window, one):
    mean, error, least, most = simulated(one)
    assert abs(mean - window.mean) < 5 * error
    assert window.least - 1e-9 <= least
    return most


def test_windows_add_up():
    assert Window(1, 2, 3) + Window(0.5, 0.5, 0.5) == Window(1.5, 2.5, 3.5)
    assert theory.lease_window(10, 3) + theory.poll_window(5) == Window(7.0, 11.0, 15.0)


def test_a_lease_by_hand_and_by_draws():
    assert theory.lease_window(10, 4) == Window(6.0, 8.0, 10.0)
    assert theory.lease_window(10, 4, check=1) == Window(6.0, 8.5, 11.0)
    window = theory.lease_window(10, 4, check=1)
    assert holds(window, lambda rng: 10 - rng.uniform(0, 4) + rng.uniform(0, 1)) <= window.most


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_polling_by_draws(jitter):
    """Polls of many periods, and a change somewhere in the middle of them."""
    window = theory.poll_window(2.0, jitter)

    def wait(rng):
        change, at = rng.uniform(50, 60), 0.0
        while at < change:
            at += 2.0 * rng.uniform(1 - jitter, 1 + jitter)
        return at - change

    mean, error, least, most = simulated(wait, runs=4000)
    assert abs(mean - window.mean) < 5 * error
    assert least >= 0.0 and most <= window.most
    if jitter == 0:
        assert window == Window(0.0, 1.0, 2.0)


@pytest.mark.parametrize("rate", [0.2, 2.0, 50.0])
def test_a_cache_by_draws(rate):
    window = theory.cache_window(5.0, rate)

    def wait(rng):
        change, at = rng.uniform(200, 300), 0.0
        while at < change:
            at += 5.0 + rng.expovariate(rate)
        return at - change

    mean, error, least, _ = simulated(wait, runs=4000)
    assert abs(mean - window.mean) < 5 * error and least >= 0


def test_a_cache_by_hand():
    assert theory.cache_window(4.0) == Window(0.0, 2.0, 4.0)
    assert theory.cache_window(0.0, 10) == Window(0.0, 0.1, 0.1)
    assert theory.cache_window(1.0, 1.0).mean == pytest.approx(0.5 * 0.5 + 1.0)


def test_the_rest_by_hand():
    assert theory.watch_window(0.002) == Window(0.002, 0.002, 0.002)
    assert theory.failed_calls(100, 1 / 4, 8.5) == 212.5
    assert theory.lookup_rate(200, 10) == 20.0
    assert list(theory.lookup_rate(200, [1, 10])) == [200.0, 20.0]


def test_false_expiries_by_draws():
    """Heartbeats every 3 s of which 30% are lost, a lease of 10 s: so often are three in a row lost after one."""
    rng, last, lost = Random(2), 0.0, 0
    beats = 200_000
    for number in range(1, beats):
        if rng.random() >= 0.3:
            lost += number * 3.0 - last > 10.0
            last = number * 3.0
    expected = theory.false_expiries(0.3, 10, 3) * beats * 3
    assert abs(lost - expected) < 5 * math.sqrt(expected)
    assert theory.false_expiries(0.0, 10, 3) == theory.false_expiries(1.0, 10, 3) == 0.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: theory.lease_window(10, 11), "period=11 must be > 0 and <= ttl=10"),
        (lambda: theory.lease_window(10, 0), "period=0 must be > 0"),
        (lambda: theory.lease_window(10, 3, -1), "check=-1 must be >= 0"),
        (lambda: theory.poll_window(-1), "period=-1 must be >= 0"),
        (lambda: theory.poll_window(1, 2), "jitter=2 must be a share"),
        (lambda: theory.cache_window(5, 0), "rate=0 must be > 0 calls/s"),
        (lambda: theory.watch_window(-1), "one_way=-1 must be >= 0"),
        (lambda: theory.failed_calls(1, 2, 1), "2 must be a probability"),
        (lambda: theory.lookup_rate(5, 0), "period=0 must be > 0 seconds"),
        (lambda: theory.false_expiries(2, 10, 3), "2 must be a probability"),
    ],
)
def test_what_has_no_answer_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_lease_of_a_whole_number_of_periods_has_so_many_heartbeats():
    for beats in range(2, 40):
        for period in (0.1, 0.3, 0.7, 3.0):
            ttl = float(f"{beats * period:.10g}")  # as somebody writes it
            assert theory.false_expiries(0.1, ttl, period) == pytest.approx(0.9 * 0.1**beats / period, rel=1e-9)
            assert theory.false_expiries(0.1, 0.999 * ttl, period) > theory.false_expiries(0.1, ttl, period)
