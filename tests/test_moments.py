"""How policies compare times: boundaries that decimal fractions miss, and clocks that go back."""

import threading
from random import Random

import pytest
import simpy

from servicelab.policies import (
    AdaptiveThrottle,
    CircuitBreaker,
    Deadline,
    Exponential,
    Found,
    Heartbeat,
    InheritedDeadline,
    InstanceCache,
    OnDemand,
    RateLimiter,
    Reconnect,
    Retry,
    RetryBudget,
    SlidingWindow,
    Timeout,
    TokenBucket,
    call,
    sim_call,
    sim_find,
)
from servicelab.policies.breaker_window import TimeWindow
from servicelab.policies.moments import MOST_BACK, TOLERANCE, interval, onward, reached

TENTHS = [n * 0.1 for n in range(2000)]
STARTS = [*TENTHS, *(1.7e9 + n * 0.1 for n in range(500))]


def opened(breaker, at):
    call(breaker, lambda *_: ("error", None), clock=lambda: at)
    return breaker


def small(inner=None, **settings):
    return CircuitBreaker(inner or Timeout(None), **{"size": 1, "minimum_calls": 1, "wait_open": 0.3} | settings)


# Each is given a start, and answers whether it is *not yet over* just before a boundary and *over* at it.
BOUNDARIES = {
    "token bucket": lambda at: (
        [(bucket := TokenBucket(10, 1)).admit(at)] and not bucket.admit(at + 0.0999),
        bucket.admit(at + 0.1),
    ),
    "sliding window": lambda at: (
        [(window := SlidingWindow(1, 0.3)).admit(at)] and not window.admit(at + 0.2999),
        window.count(at + 0.3) == 0 and window.admit(at + 0.3),
    ),
    "rate limiter's patience": lambda at: (
        [(law := TokenBucket(10, 1)).admit(at)] and law.reserve(at, 0.0999) is None,
        law.reserve(at, 0.1) == pytest.approx(0.1, abs=1e-6),
    ),
    "ping": lambda at: (not (beat := Heartbeat(0.1, 0.3, now=at)).is_due(at + 0.0999), beat.is_due(at + 0.1)),
    "dead peer": lambda at: (not (beat := Heartbeat(0.1, 0.3, now=at)).is_dead(at + 0.2999), beat.is_dead(at + 0.3)),
    "open breaker": lambda at: (
        not next(opened(breaker := small(), at).script(at + 0.2999), None),
        bool(next(breaker.script(at + 0.3))),
    ),
    "undecided breaker": lambda at: (
        [next(opened(breaker := small(max_wait_half_open=0.3), at).script(at + 0.3))]
        and breaker.state(at + 0.5999) == "half-open",
        breaker.state(at + 0.6) == "open",
    ),
    "window of a breaker": lambda at: (
        [(window := TimeWindow(0.3)).record(at, True, False)] and window.counts(at + 0.2999)[0] == 1,
        window.counts(at + 0.3)[0] == 0,
    ),
    "fresh answer": lambda at: (
        [(cache := InstanceCache(0.3)).learn(Found("ok", at, ("a",)), "x")]
        and cache.view("x", at + 0.2999).fresh == "fresh",
        cache.view("x", at + 0.3).fresh == "stale",
    ),
    "proved connection": lambda at: (
        [(one := Reconnect(Exponential(1, 8), 0.3)).opened(at)]
        and [one.lost(at + 0.2999), one.lost(at + 0.2999)] == [1, 2],
        [one.opened(at + 0.3)] and one.lost(at + 0.6) == 1,
    ),
    "deadline": lambda at: (
        call(Deadline(0.3, Timeout(1)), lambda *_: ("ok", None), clock=iter([at, at + 0.2999]).__next__).status == "ok",
        call(Deadline(0.3, Timeout(1)), lambda *_: ("ok", 0), clock=iter([at, at + 0.3]).__next__).status == "deadline",
    ),
}  # fmt: skip


@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
def test_an_interval_ends_at_its_end_from_every_start(boundary):
    wrong = [at for at in STARTS if boundary(at) != (True, True)]
    assert wrong == [], f"{len(wrong)} of {len(STARTS)}"


def test_a_full_bucket_admits_its_burst_from_every_start_and_not_one_more():
    for start in STARTS:
        for bucket in (TokenBucket(10, 10), TokenBucket(3, 10), TokenBucket(1e7, 10)):
            assert [bucket.admit(start) for _ in range(10)] == [True] * 10
            assert sum(bucket.admit(start) for _ in range(99)) <= 1.5 * bucket.rate * TOLERANCE


def test_a_long_queue_for_tokens_adds_up_no_roundings():
    bucket = TokenBucket(10, 1)
    turns = [bucket.reserve(0.0, 1e9) for _ in range(20_000)]
    assert turns == pytest.approx([n / 10 for n in range(20_000)], abs=1e-12, rel=1e-15)


def test_a_call_is_slow_only_beyond_the_limit():
    for start in STARTS:
        breaker = small(slow_after=0.3, slow_call_rate=1.0)
        call(breaker, lambda *_: ("ok", None), clock=iter([start, start + 0.3]).__next__)
        assert breaker.state(start + 0.3) == "closed"
        call(breaker, lambda *_: ("ok", None), clock=iter([start + 1, start + 1.3001]).__next__)
        assert breaker.state(start + 1.3001) == "open"


def test_ten_tenths_of_a_retry_are_a_retry():
    budget = RetryBudget(0.1, 0.0, 1)
    assert budget.withdraw(0.0)
    for n in range(10):
        assert not budget.withdraw(float(n))
        budget.deposit(float(n))
    assert budget.withdraw(10.0) and budget.balance(10.0) == 0.0


def test_the_slices_of_a_throttle_begin_where_they_begin():
    assert [interval(0.1 * n, 0.1) for n in range(2000)] == list(range(2000))


def test_the_ends_of_the_tolerance():
    assert reached(1.0, 1.0 + TOLERANCE / 2) and not reached(1.0, 1.0 + 2 * TOLERANCE)
    assert onward(7.0, 5.0) == 7.0 and onward(5.0, 7.0) == 7.0
    for now in (7.0 - MOST_BACK - 0.1, float("nan")):
        with pytest.raises(ValueError, match="must not be before 7 .*needs new policies"):
            onward(now, 7.0)


# -- a second run -------------------------------------------------------------------------------------------


def policies():
    """Everything that remembers times, as something that is called at a time."""

    def find(cache):
        return lambda env: sim_find(env, OnDemand(cache, "x"), lambda _: answered(env))

    def answered(env):
        yield env.timeout(0.01)
        return Found("ok", env.now, ("a",))

    def asked(policy):
        def attempt(timeout, number):
            yield env_of[0].timeout(0.01)
            return "error"

        env_of = []

        def ask(env):
            env_of[:] = [env]
            return sim_call(env, policy, attempt)

        return ask

    def step(*methods):
        def ask(env):
            for method in methods:
                method(env.now)
            yield env.timeout(0)

        return ask

    beat, reconnect, cache = Heartbeat(1, 1e6), Reconnect(Exponential(1, 2)), InstanceCache()
    return {
        "breaker": asked(CircuitBreaker(Timeout(1))),
        "budget": asked(Retry(Timeout(1), budget=RetryBudget())),
        "bucket": asked(RateLimiter(Timeout(1), TokenBucket(1, 1))),
        "window": asked(RateLimiter(Timeout(1), SlidingWindow(1, 1))),
        "throttle": asked(AdaptiveThrottle(Timeout(1), Random(1))),
        "deep inside": asked(Deadline(9, Retry(CircuitBreaker(RateLimiter(Timeout(1), TokenBucket(9, 9))), tries=2))),
        "cache": find(cache),
        "view": step(lambda now: cache.view("x", now)),
        "pinged": step(beat.pinged),
        "due": step(beat.is_due),
        "opened": step(reconnect.opened),
        "lost": step(reconnect.opened, reconnect.lost),
    }


def test_a_second_run_with_the_policies_of_the_first_is_refused_by_name():
    every = policies()

    def run(ask, after):
        env = simpy.Environment()

        def later():
            yield env.timeout(after)
            yield from ask(env)

        env.run(env.process(later()))

    for ask in every.values():
        run(ask, 900.0)
    for ask in every.values():
        run(ask, 900.0 - 1.0)  # threads may be late
        with pytest.raises(ValueError, match="must not be before .* needs new policies"):
            run(ask, 0.0)
        run(ask, 901.0)  # the refusal has changed nothing


def test_policies_without_a_memory_of_times_serve_many_runs():
    for policy in (Timeout(1), Deadline(1, Timeout(1)), InheritedDeadline(Retry(Timeout(1)))):
        for at in (900.0, 0.0):
            assert call(policy, lambda *_: ("ok", None), clock=lambda at=at: at).status == "ok"


def test_a_breaker_that_was_reset_and_a_heartbeat_that_was_started_serve_another_run():
    breaker, beat = opened(small(), 900.0), Heartbeat(1.0, now=900.0)
    breaker.reset()
    beat.start(0.0)
    assert opened(breaker, 0.0).state(0.0) == "open" and not beat.is_due(0.5)


# -- telling of changes ---------------------------------------------------------------------------------------


def test_two_breakers_that_look_at_each_other_do_not_lock_each_other_up():
    both = threading.Barrier(2, timeout=20)
    one, other = small(name="one"), small(name="other")
    seen = []

    def look_at(breaker):
        def hook(at, state):
            both.wait()  # each is in its hook
            seen.append((breaker.name, breaker.state(at), breaker.metrics(at).state))

        return hook

    one.on_change, other.on_change = look_at(other), look_at(one)
    threads = [threading.Thread(target=opened, args=(breaker, 1.0), daemon=True) for breaker in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(seen) == [("one", "open", "open"), ("other", "open", "open")]


def test_changes_are_told_in_order_and_one_at_a_time_also_those_of_other_threads_and_of_the_hook():
    heard, at_work, open_again = [], threading.Lock(), threading.Event()

    def hook(at, state):
        assert at_work.acquire(blocking=False)
        if not heard:
            thread = threading.Thread(target=lambda: (probe(1.0, "ok"), open_again.set()), daemon=True)
            thread.start()
            assert open_again.wait(20), "the other thread has to wait for the hook"
            probe(2.0, "error")  # the hook itself makes a call that opens it
        heard.append((at, str(state)))
        at_work.release()

    def probe(at, status):
        return call(breaker, lambda *_: (status, None), clock=lambda: at)

    breaker = small(on_change=hook, permitted_half_open=1)
    probe(0.0, "error")
    assert heard == [(0.0, "open"), (1.0, "half-open"), (1.0, "closed"), (2.0, "open")] == breaker.changes
