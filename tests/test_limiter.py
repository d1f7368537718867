"""Rate limiters: never more than promised in any window, nobody overtaken, under threads too."""

import threading
from fractions import Fraction
from itertools import pairwise

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from servicelab.policies import (
    Deadline,
    RateLimiter,
    Recorder,
    Retry,
    SlidingWindow,
    Timeout,
    TokenBucket,
    call,
    replay,
    sim_call,
)

# Multiples of 1/1024 s, and rates that are powers of two: sums of them are exact.
gaps = st.lists(st.integers(0, 2048).map(lambda k: k / 1024), min_size=1, max_size=60)
patience = st.sampled_from([0.0, 0.25, 3.0, 1e6])
rates = st.sampled_from([0.5, 1.0, 2.0, 8.0, 64.0])
bursts = st.integers(1, 8) | st.sampled_from([1.5, 2.25])


def turns(law, gaps, patience):
    """The times at which calls had their turn, when one asks after each of ``gaps``."""
    now, found = 0.0, []
    for gap in gaps:
        now += gap
        delay = law.reserve(now, patience)
        if delay is not None:
            assert 0 <= delay <= patience
            found.append(now + delay)
    return found


def worst_excess(times, allowance):
    """The most by which any window that begins and ends with a turn holds more than ``allowance(its length)``."""
    return max(
        (j - i + 1 - allowance(times[j] - times[i]) for i in range(len(times)) for j in range(i, len(times))), default=0
    )


@given(rates, bursts, gaps, patience)
def test_a_token_bucket_never_admits_more_than_burst_and_rate_in_any_window(rate, burst, gaps, patience):
    times = turns(TokenBucket(rate, burst), gaps, patience)
    assert times[0] is not None and worst_excess(times, lambda t: burst + rate * t) <= 0


@given(st.floats(0.01, 1e4), st.floats(1, 50), gaps, patience, st.floats(0, 1e6))
def test_a_token_bucket_with_any_numbers_at_any_time(rate, burst, gaps, patience, start):
    times = turns(TokenBucket(rate, burst), [start, *gaps], patience)
    # What a sum of roundings at this distance from zero comes to, in tokens.
    assert worst_excess(times, lambda t: burst + rate * t) <= 1e-6 * max(1.0, rate / 100)


@given(st.integers(1, 6), st.integers(1, 2048).map(lambda k: k / 1024), gaps, patience)
def test_a_sliding_window_never_admits_more_than_its_limit_in_any_window(limit, window, gaps, patience):
    times = turns(SlidingWindow(limit, window), gaps, patience)
    assert times == sorted(times)
    for first, beyond in zip(times, times[limit:]):
        assert beyond - first >= window


@given(rates, bursts, gaps)
def test_a_token_bucket_against_a_plain_model(rate, burst, gaps):
    law, tokens, now, said, expected = TokenBucket(rate, burst), Fraction(burst), 0.0, [], []
    for gap in gaps:
        now += gap
        tokens = min(Fraction(burst), tokens + Fraction(rate) * Fraction(gap))
        assert law.tokens(now) == tokens
        said.append(law.admit(now))
        expected.append(tokens >= 1)
        tokens -= expected[-1]
    assert said == expected


@given(st.integers(1, 6), st.integers(1, 2048).map(lambda k: k / 1024), gaps)
def test_a_sliding_window_against_a_plain_model(limit, window, gaps):
    law, taken, now = SlidingWindow(limit, window), [], 0.0
    for gap in gaps:
        now += gap
        inside = sum(at > now - window for at in taken)
        assert law.count(now) == inside
        admitted = law.admit(now)
        assert admitted == (inside < limit)
        taken += [now] * admitted


@pytest.mark.parametrize("make", [lambda: TokenBucket(4, 2), lambda: SlidingWindow(3, 1.0)])
@given(gaps=gaps, patience=patience)
def test_nobody_is_overtaken_and_what_is_refused_costs_nothing(make, gaps, patience):
    times = turns(make(), gaps, patience)
    assert times == sorted(times)
    refusing, plain, now = make(), make(), 0.0
    for gap in gaps:
        now += gap
        first = refusing.reserve(now, 0.125)
        if first is None:
            assert refusing.reserve(now, 0.125) is None  # asked again, no nearer and no farther
        else:
            assert plain.reserve(now, 1e6) == first


def test_a_burst_after_a_pause_and_even_spacing_after_it():
    law = TokenBucket(rate=2, burst=3)
    assert [law.reserve(10.0, 60) for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    assert law.tokens(10.0) == -2 and law.tokens(11.0) == 0 and law.tokens(99.0) == 3


def test_a_window_is_left_exactly_when_it_ends():
    law = SlidingWindow(limit=2, window=1.0)
    assert [law.admit(at) for at in (0.0, 0.5, 0.75, 1.0, 1.25, 1.5)] == [True, True, False, True, False, True]


@pytest.mark.parametrize("make", [lambda: TokenBucket(1, 1), lambda: SlidingWindow(1, 1.0)])
def test_a_clock_that_reads_a_little_earlier_does_no_harm(make):
    law = make()
    assert law.admit(10.0) and not law.admit(9.0) and law.reserve(9.0, 1.0) == 1.0
    bucket = TokenBucket(1, 3)
    assert bucket.admit(10.0) and bucket.admit(9.5)  # there are tokens: an earlier clock is no reason to refuse


def test_waiting_calls_sleep_and_others_are_rejected():
    recorder, slept = Recorder(RateLimiter(Timeout(1), TokenBucket(rate=4, burst=1), patience=0.5)), []
    results = [call(recorder, lambda *_: ("ok", None), lambda: 8.0, slept.append) for _ in range(4)]
    assert slept == [0.25, 0.5] and [r.status for r in results] == ["ok", "ok", "ok", "rejected"]
    assert results[-1].attempts == 0
    assert replay(recorder.log, RateLimiter(Timeout(1), TokenBucket(rate=4, burst=1), patience=0.5)) == recorder.log


def test_a_limiter_inside_a_retry_limits_attempts_and_is_not_retried():
    policy = Retry(RateLimiter(Timeout(1), SlidingWindow(2, 10.0), patience=0), tries=5)
    assert call(policy, lambda *_: ("error", None), lambda: 0.0) == ("rejected", None, 2)


def test_a_deadline_does_not_wait_for_a_turn_that_comes_too_late():
    law = TokenBucket(rate=1, burst=1)
    policy = Deadline(0.5, RateLimiter(Timeout(1), law))
    assert call(policy, lambda *_: ("ok", None), lambda: 0.0).status == "ok"
    assert call(policy, lambda *_: ("ok", None), lambda: 0.0, lambda _: 1 / 0).status == "deadline"
    assert law.tokens(0.0) == -1  # the turn it had booked is lost, as said


def test_simulated_clients_share_a_law():
    env, served = simpy.Environment(), []
    policy = RateLimiter(Timeout(None), TokenBucket(rate=8, burst=2), patience=0.5)

    def attempt(timeout, number):
        served.append(env.now)
        yield env.timeout(0.001)
        return "ok"

    def client():
        statuses.append((yield from sim_call(env, policy, attempt)))

    statuses = []
    for _ in range(10):
        env.process(client())
    env.run()
    assert served == [0, 0, 0.125, 0.25, 0.375, 0.5] and statuses.count("rejected") == 4


@pytest.mark.parametrize("make", [lambda: TokenBucket(1, 100), lambda: SlidingWindow(100, 1e9)])
def test_threads_take_each_turn_once(make):
    law, start, admitted = make(), threading.Barrier(8), []

    def work():
        start.wait()
        admitted.append(sum(law.admit(5.0) for _ in range(50)))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(admitted) == 100


class Yielding(float):
    """A number that lets other threads run while it is compared: between looking for a turn and booking it."""

    def __lt__(self, other):
        threading.Event().wait(0.0005)
        return float(self) < float(other)

    def __gt__(self, other):
        threading.Event().wait(0.0005)
        return float(self) > float(other)


def test_threads_do_not_come_between_looking_and_booking():
    law, start, delays = SlidingWindow(1, 1.0), threading.Barrier(6), []

    def work():
        start.wait()
        delays.extend(law.reserve(Yielding(5.0), Yielding(1e6)) for _ in range(5))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(delays) == list(range(30)) and all(b - a == 1 for a, b in pairwise(sorted(delays)))


@pytest.mark.parametrize(
    "make, error, said",
    [
        (lambda: TokenBucket(0, 1), ValueError, "rate=0 must be > 0"),
        (lambda: TokenBucket(-1, 1), ValueError, "rate=-1 must be > 0"),
        (lambda: TokenBucket("5", 1), TypeError, "rate='5' must be a number"),
        (lambda: TokenBucket(5, 0.5), ValueError, r"burst=0.5 must be >= 1 \(calls\)"),
        (lambda: SlidingWindow(0, 1), ValueError, "limit=0 must be a whole number >= 1"),
        (lambda: SlidingWindow(2.5, 1), TypeError, "limit=2.5 must be a whole number"),
        (lambda: SlidingWindow(2, 0), ValueError, "window=0 must be > 0"),
        (lambda: RateLimiter(0.5, TokenBucket(1, 1)), TypeError, "inner=0.5 must be a policy"),
        (lambda: RateLimiter(Timeout(1), 50), TypeError, "law=50 must be a law, such as TokenBucket"),
        (lambda: RateLimiter(Timeout(1), TokenBucket), TypeError, "law=<class .*> must be a law"),
        (lambda: RateLimiter(Timeout(1), TokenBucket(1, 1), patience=-1), ValueError, "patience=-1 must be >= 0"),
    ],
)
def test_misuse_is_refused_by_name(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_a_limiter_shows_its_settings():
    assert repr(RateLimiter(Timeout(1), TokenBucket(50, 10))) == (
        "RateLimiter(Timeout(1), TokenBucket(rate=50, burst=10), patience=5.0)"
    )
    assert repr(SlidingWindow(5, 1.0)) == "SlidingWindow(limit=5, window=1.0)"
