"""The circuit breaker: by hand, against a plain model in simulated time, and under threads."""

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections import Counter
from random import Random

import pytest
import simpy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from servicelab.policies import (
    Answer,
    Bulkhead,
    CircuitBreaker,
    Deadline,
    Exponential,
    Recorder,
    Retry,
    State,
    Status,
    Timeout,
    Try,
    acall,
    call,
    replay,
    sim_call,
)
from servicelab.policies.breaker import FAILURES, TRANSITIONS
from servicelab.trace import Trace
from tests.breaker_model import Model, follow_log
from tests.test_policies import FakeClock, Slow, Watched, in_threads


def small(inner=None, **settings):
    """A breaker with numbers that fit into a test."""
    usual = {"size": 4, "minimum_calls": 4, "slow_after": 1.0, "wait_open": 8.0, "permitted_half_open": 2}
    return CircuitBreaker(inner or Timeout(None), **usual | settings)


class Begun:
    """One call of ``policy`` that is under way, or was turned away."""

    def __init__(self, policy, now):
        self.script = policy.script(now)
        try:
            self.question, self.status = next(self.script), None
        except StopIteration as end:
            self.question, self.status = None, end.value

    @property
    def made(self):
        return isinstance(self.question, Try)

    def end(self, status, at):
        with pytest.raises(StopIteration) as end:
            self.script.send(Answer(status, at))
        self.status = end.value.value
        return self.status


def calls(breaker, statuses, at, takes=0.0):
    """Calls at ``at``, one after the other; returns their statuses."""
    ended = []
    for status in statuses:
        begun = Begun(breaker, at)
        ended.append(begun.end(status, at + takes) if begun.made else begun.status)
    return ended


def opened(at=0.0, **settings):
    breaker = small(**settings)
    calls(breaker, ["error"] * 4, at)
    assert breaker.state(at) == "open"
    return breaker


def half_open(at=8.0, **settings):
    """A breaker that has just become half-open, and its first probe."""
    breaker = opened(at - settings.get("wait_open", 8.0), **settings)
    probe = Begun(breaker, at)
    assert probe.made and breaker.state(at) == "half-open"
    return breaker, probe


# -- closed ---------------------------------------------------------------------------------------------------


def test_it_opens_when_the_failure_rate_is_reached_and_not_before():
    breaker = small()
    calls(breaker, ["error", "ok", "ok"], 1.0)
    assert breaker.state(1.0) == State.CLOSED and breaker.changes == []
    calls(breaker, ["error"], 2.0)
    assert breaker.state(2.0) == State.OPEN and breaker.changes == [(2.0, "open")]


def test_fewer_calls_than_the_minimum_decide_nothing():
    breaker = small(size=10, minimum_calls=5)
    calls(breaker, ["error"] * 4, 0.0)
    assert breaker.state(0.0) == "closed"
    calls(breaker, ["ok"], 0.0)
    assert breaker.state(0.0) == "open"


def test_the_minimum_of_a_count_window_is_at_most_its_size():
    breaker = CircuitBreaker(Timeout(1), size=3)
    calls(breaker, ["error"] * 2, 0.0)
    assert breaker.state(0.0) == "closed" and breaker.metrics(0.0).needed == 3
    calls(breaker, ["error"], 0.0)
    assert breaker.state(0.0) == "open"


def test_a_count_window_forgets_what_is_older_than_its_size():
    breaker = small(failure_rate=0.75)
    calls(breaker, ["error", "error", "ok", "ok", "error", "error"], 0.0)  # never three of four
    assert breaker.state(0.0) == "closed"
    calls(breaker, ["error"], 0.0)
    assert breaker.state(0.0) == "open"


def test_a_time_window_forgets_what_is_older_than_its_seconds():
    for between, state in ((3.0, "open"), (4.0, "closed")):  # the fourth failure, just inside and just outside
        breaker = small(window="time", size=4.0, minimum_calls=4)
        calls(breaker, ["error"] * 3, 0.0)
        calls(breaker, ["error"], between)
        assert breaker.state(between) == state
        assert breaker.metrics(between).calls == (4 if state == "open" else 1)


def test_a_rate_that_is_just_reached_is_reached_whatever_binary_fractions_do():
    for failures in range(1, 101):
        breaker = CircuitBreaker(Timeout(1), failure_rate=failures / 100)
        calls(breaker, ["ok"] * (100 - failures) + ["error"] * (failures - 1), 0.0)
        assert breaker.state(0.0) == "closed"
        calls(breaker, ["error"], 0.0)
        assert breaker.state(0.0) == "open", failures


def test_slow_calls_open_it_even_though_they_succeed():
    breaker = small(slow_call_rate=0.5)
    calls(breaker, ["ok"] * 3, 0.0, takes=1.0)  # as long as slow_after is not longer
    calls(breaker, ["ok"], 0.0, takes=1.5)
    assert breaker.state(9.0) == "closed" and breaker.metrics(9.0).slow_call_rate == 0.25
    calls(breaker, ["ok"], 0.0, takes=1.5)
    assert breaker.state(9.0) == "open"


def test_a_call_that_is_slow_and_failed_counts_once_for_each_rate():
    breaker = small(failure_rate=0.75, slow_call_rate=0.75)
    calls(breaker, ["error", "error"], 0.0, takes=2.0)
    calls(breaker, ["ok", "ok"], 0.0)
    assert breaker.state(9.0) == "closed" and breaker.metrics(9.0)[1:5] == (4, 4, 2, 2)


def test_every_status_but_ok_and_those_of_the_attempt_is_a_failure():
    assert set(Status) - {Status.OK} == FAILURES
    for status in Status:
        breaker = small(size=1, minimum_calls=1)
        calls(breaker, [status], 0.0)
        assert breaker.state(0.0) == ("closed" if status == "ok" else "open")
    breaker = small(size=1)
    calls(breaker, ["HTTP 404"], 0.0)
    assert breaker.state(0.0) == "closed"
    breaker = small(size=1, counts_as_failure={"HTTP 503"})
    calls(breaker, ["error"], 0.0)
    assert breaker.state(0.0) == "closed"
    calls(breaker, ["HTTP 503"], 0.0)
    assert breaker.state(0.0) == "open"


def test_an_ignored_status_is_neither_success_nor_failure():
    breaker = small(ignored={"rejected"})
    calls(breaker, ["rejected"] * 50 + ["error"] * 3, 0.0)
    assert breaker.state(0.0) == "closed" and breaker.metrics(0.0).calls == 3
    calls(breaker, ["rejected", "error"], 0.0)
    assert breaker.state(0.0) == "open"


def test_a_refusal_by_a_policy_inside_decides_nothing_and_gives_its_permission_back():
    breaker = small(Bulkhead(Timeout(None), limit=1))
    held = Begun(breaker, 0.0)
    assert {Begun(breaker, 0.0).status for _ in range(12)} == {"rejected"}
    assert breaker.state(0.0) == "closed" and breaker.metrics(0.0).calls == 0
    held.end("ok", 0.0)
    calls(breaker, ["error"] * 3, 0.0)
    probe = Begun(breaker, 8.0)
    assert Begun(breaker, 8.0).status == "rejected" and breaker.metrics(8.0).probes == 1
    probe.end("ok", 8.0)
    calls(breaker, ["ok"], 8.0)
    assert breaker.changes == [(0.0, "open"), (8.0, "half-open"), (8.0, "closed")]


# -- open -----------------------------------------------------------------------------------------------------


def test_while_it_is_open_nothing_is_asked_and_the_call_ends_rejected():
    breaker = opened()
    assert call(breaker, lambda *_: pytest.fail("asked"), lambda: 7.999) == ("rejected", None, 0)
    assert breaker.metrics(7.999).rejected == 1


def test_the_first_call_after_the_wait_is_the_first_probe():
    breaker = opened(at=1.0)
    assert not Begun(breaker, 8.999).made and breaker.state(1e9) == "open"  # looking opens nothing
    assert Begun(breaker, 9.0).made
    assert breaker.changes == [(1.0, "open"), (9.0, "half-open")]


def test_calls_that_are_turned_away_do_not_prolong_the_wait():
    breaker = opened()
    calls(breaker, ["ok"] * 20, 7.9)
    assert Begun(breaker, 8.0).made


def test_a_late_reply_does_not_open_it_again():
    breaker = small()
    late = [Begun(breaker, 0.0) for _ in range(8)]
    for begun in late[:4]:
        begun.end("error", 1.0)
    for begun in late[4:]:
        assert begun.end("error", 5.0) == "error"  # the caller gets it, the breaker does not count it
    assert breaker.changes == [(1.0, "open")] and breaker.metrics(5.0).calls == 4
    assert Begun(breaker, 9.0).made


# -- half-open ------------------------------------------------------------------------------------------------


def test_only_so_many_probes_are_made_and_all_of_them_are_waited_for():
    breaker, first = half_open()
    second, third = Begun(breaker, 8.5), Begun(breaker, 8.5)
    assert second.made and third.status == "rejected"
    first.end("ok", 9.0)
    assert breaker.state(9.0) == "half-open" and not Begun(breaker, 9.0).made
    second.end("ok", 10.0)
    assert breaker.changes[1:] == [(8.0, "half-open"), (10.0, "closed")]


def test_probes_that_fail_open_it_again_and_the_wait_begins_anew():
    breaker, first = half_open()
    second = Begun(breaker, 8.0)
    first.end("error", 9.0)
    assert breaker.state(9.0) == "half-open"  # one of two is the threshold, but one may still be ignored
    second.end("ok", 10.0)
    assert breaker.changes[-1] == (10.0, "open")
    assert not Begun(breaker, 17.9).made and Begun(breaker, 18.0).made


def test_slow_probes_open_it_again():
    breaker, first = half_open(slow_call_rate=0.5)
    second = Begun(breaker, 8.0)
    first.end("ok", 8.5)
    second.end("ok", 9.5)
    assert breaker.state(9.5) == "open"


def test_the_thresholds_hold_for_the_probes_not_for_the_calls_before():
    breaker, first = half_open(permitted_half_open=3)
    others = [Begun(breaker, 8.0) for _ in range(2)]
    first.end("error", 8.5)
    for other in others:
        other.end("ok", 8.5)
    assert breaker.state(8.5) == "closed" and breaker.metrics(8.5).calls == 0
    calls(breaker, ["error"] * 3, 9.0)
    assert breaker.state(9.0) == "closed"


def test_the_minimum_of_calls_does_not_hold_for_probes():
    # resilience4j's code would decide after min(minimum_calls, permitted) = 1 probe; its documentation says all.
    breaker = small(size=1, minimum_calls=1, permitted_half_open=3)
    calls(breaker, ["error"], 0.0)
    calls(breaker, ["ok", "ok"], 8.0)
    assert breaker.state(8.0) == "half-open"
    calls(breaker, ["ok"], 8.0)
    assert breaker.state(8.0) == "closed"


@pytest.mark.parametrize("status", ["ok", "error"])
def test_a_late_reply_decides_no_probe(status):
    breaker = small()
    late = [Begun(breaker, 0.0) for _ in range(3)]
    calls(breaker, ["error"] * 4, 1.0)
    probe = Begun(breaker, 9.0)
    for begun in late:
        begun.end(status, 9.5)
    assert breaker.state(9.5) == "half-open" and breaker.metrics(9.5).probes == 1 and breaker.metrics(9.5).calls == 0
    probe.end("ok", 10.0)
    assert breaker.state(10.0) == "half-open"
    calls(breaker, ["ok"], 10.0)
    assert breaker.state(10.0) == "closed"


def test_a_probe_of_an_earlier_half_open_decides_nothing_in_a_later_one():
    breaker, hanging = half_open(max_wait_half_open=2.0)
    probe = Begun(breaker, 18.0)  # open again from 10.0, half-open again from 18.0
    hanging.end("error", 18.5)
    assert breaker.metrics(18.5).calls == 0 and breaker.metrics(18.5).probes == 1
    probe.end("ok", 18.5)
    assert breaker.state(18.5) == "half-open"


def test_an_abandoned_probe_of_an_earlier_half_open_has_no_permission_to_give():
    breaker, hanging = half_open(max_wait_half_open=2.0)
    probes = [Begun(breaker, 18.0) for _ in range(2)]
    hanging.script.close()
    assert all(probe.made for probe in probes) and not Begun(breaker, 18.5).made


def test_a_call_from_before_an_opening_does_not_count_after_the_closing():
    breaker = small()
    late = Begun(breaker, 0.0)
    calls(breaker, ["error"] * 4, 1.0)
    calls(breaker, ["ok"] * 2, 9.0)
    assert breaker.state(9.0) == "closed"
    late.end("error", 10.0)
    assert breaker.metrics(10.0).calls == 0


def test_an_ignored_probe_gives_its_permission_to_the_next_call():
    # resilience4j issue 544: when the last probe was ignored, the breaker stayed half-open for ever.
    breaker, probe = half_open(permitted_half_open=1, ignored={"HTTP 404"})
    for _ in range(5):
        assert not Begun(breaker, 8.0).made
        probe.end("HTTP 404", 8.0)
        assert breaker.state(8.0) == "half-open"
        probe = Begun(breaker, 8.0)
        assert probe.made
    probe.end("ok", 8.0)
    assert breaker.state(8.0) == "closed"


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, None])
def test_an_abandoned_probe_gives_its_permission_to_the_next_call(error):
    breaker, probe = half_open(permitted_half_open=1)
    if error is None:
        probe.script.close()
    else:
        with pytest.raises(error):
            probe.script.throw(error)
    assert breaker.metrics(8.0).calls == 0 and breaker.metrics(8.0).probes == 1
    second, third = Begun(breaker, 8.0), Begun(breaker, 8.0)
    assert second.made and not third.made
    second.end("ok", 9.0)
    assert breaker.state(9.0) == "closed"


def test_a_probe_that_is_garbage_gives_its_permission_back():
    breaker, probe = half_open(permitted_half_open=1)
    probe.myself = probe  # a cycle, as a suspended SimPy process is: only the collector ends it
    del probe
    gc.collect()
    assert Begun(breaker, 8.0).made


def test_an_attempt_that_raises_gives_its_permission_back_in_every_driver():
    def broken(timeout, number):
        raise ZeroDivisionError

    async def abroken(timeout, number):
        raise ZeroDivisionError

    breaker = opened(permitted_half_open=1)
    for now in (8.0, 9.0):
        with pytest.raises(ZeroDivisionError):
            call(breaker, broken, lambda now=now: now)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(acall(breaker, abroken, lambda now=now: now))
    assert breaker.metrics(9.0).probes == 1

    async def cancelled():
        task = asyncio.create_task(acall(breaker, lambda *_: asyncio.sleep(60), lambda: 9.0))
        await asyncio.sleep(0)
        assert breaker.metrics(9.0).probes == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert breaker.metrics(9.0).probes == 1

    def simulated():
        env = simpy.Environment(initial_time=10.0)

        def attempt(timeout, number):
            yield env.timeout(60)

        env.process(sim_call(env, breaker, attempt))
        env.run(until=11)
        assert breaker.metrics(11.0).probes == 0

    simulated()
    gc.collect()
    assert breaker.metrics(11.0).probes == 1


def test_an_inner_policy_that_cannot_begin_keeps_no_permission():
    class Broken:
        def script(self, now):
            raise ZeroDivisionError

    breaker = opened(permitted_half_open=1)
    breaker.inner = Broken()
    for now in (8.0, 9.0):
        with pytest.raises(ZeroDivisionError):
            Begun(breaker, now)
    assert breaker.metrics(9.0).probes == 1


def test_the_inner_script_is_closed_with_the_outer():
    watched = Watched()
    begun = Begun(small(watched), 0.0)
    begun.script.close()
    assert watched.closed == 1


def test_a_hanging_probe_keeps_it_half_open_for_ever_by_default():
    breaker, _ = half_open(permitted_half_open=1)
    assert not Begun(breaker, 1e9).made and breaker.state(1e9) == "half-open"


def test_a_half_open_that_does_not_decide_in_time_was_open_from_then_on():
    breaker, hanging = half_open(permitted_half_open=1, max_wait_half_open=2.0)
    assert breaker.state(9.999) == "half-open" and breaker.state(10.0) == "open"
    assert len(breaker.changes) == 2  # looked at, not changed
    assert not Begun(breaker, 12.0).made
    assert breaker.changes[2:] == [(10.0, "open")]
    hanging.end("ok", 12.0)
    assert breaker.state(12.0) == "open"
    assert not Begun(breaker, 17.999).made and Begun(breaker, 18.0).made
    assert breaker.changes[3:] == [(18.0, "half-open")]


def test_a_probe_that_ends_when_the_time_is_up_is_late():
    for at, states in ((9.999, ["closed"]), (10.0, ["open"])):
        breaker, probe = half_open(permitted_half_open=1, max_wait_half_open=2.0, slow_after=60)
        probe.end("ok", at)
        assert [state for _, state in breaker.changes[2:]] == states


def test_one_call_may_bring_it_from_half_open_over_open_to_half_open():
    breaker, _ = half_open(permitted_half_open=1, max_wait_half_open=2.0)
    assert Begun(breaker, 100.0).made
    assert breaker.changes[2:] == [(10.0, "open"), (100.0, "half-open")]


# -- looking, hooks, reset ------------------------------------------------------------------------------------


def test_every_change_is_in_the_table_and_every_line_of_the_table_happens():
    seen, state = Counter(), State.CLOSED
    breaker = opened(max_wait_half_open=2.0)
    calls(breaker, ["error"] * 2, 8.0)
    calls(breaker, ["ok"], 16.0)
    calls(breaker, ["ok"] * 2, 40.0)
    for _, following in breaker.changes:
        lines = [line for line, to in TRANSITIONS.items() if line[0] == state and to == following]
        assert lines, (state, following)
        seen.update(lines[:1])
        state = following
    assert state == "closed" and {to for _, to in breaker.changes} == set(State)
    assert set(TRANSITIONS.values()) == set(State) and len(TRANSITIONS) == 5


def test_metrics_tell_what_a_panel_shows():
    breaker = small()
    assert breaker.metrics(0.0) == ("closed", 0, 4, 0, 0, None, None, 0, None)
    calls(breaker, ["ok", "error"], 0.0, takes=2.0)
    assert breaker.metrics(2.0) == ("closed", 2, 4, 1, 2, 0.5, 1.0, 0, None)
    calls(breaker, ["error"] * 2 + ["ok"] * 3, 2.0)
    assert breaker.metrics(3.0) == ("open", 4, 4, 3, 2, 0.75, 0.5, 3, None)  # the window that opened it
    probe = Begun(breaker, 10.0)
    assert probe.made and breaker.metrics(10.0) == ("half-open", 0, 2, 0, 0, None, None, 3, 1)


def test_looking_far_ahead_forgets_nothing():
    breaker = small(window="time", size=4.0, minimum_calls=2)
    calls(breaker, ["error"], 0.0)
    assert breaker.metrics(100.0).calls == 0 and breaker.state(100.0) == "closed"
    assert breaker.metrics(3.0).calls == 1
    calls(breaker, ["error"], 3.0)
    assert breaker.state(3.0) == "open"


def test_the_hook_hears_every_change_in_order_and_may_look():
    heard, trace = [], Trace()
    breaker = small(max_wait_half_open=2.0, name="payment")
    breaker.on_change = lambda at, state: (
        heard.append((at, state)),
        breaker.metrics(at),
        trace.state(breaker.name, state, at=at),
    )
    calls(breaker, ["error"] * 4, 0.0)
    Begun(breaker, 8.0)
    Begun(breaker, 30.0)
    assert heard == breaker.changes and len(heard) == 4
    assert [(change.at, change.who, change.value) for change in trace.changes] == [
        (at, "payment", state) for at, state in breaker.changes
    ]


def test_a_hook_that_raises_ends_its_call_and_leaves_the_breaker_whole():
    def hook(at, state):
        raise ZeroDivisionError

    breaker = small(on_change=hook)
    calls(breaker, ["error"] * 3, 0.0)
    with pytest.raises(ZeroDivisionError):
        call(breaker, lambda *_: ("error", None), lambda: 1.0)
    with pytest.raises(ZeroDivisionError):
        call(breaker, lambda *_: pytest.fail("asked"), lambda: 9.0)
    assert breaker.changes == [(1.0, "open"), (9.0, "half-open")]
    assert breaker.metrics(9.0).probes == 2
    breaker.on_change = None
    calls(breaker, ["ok"] * 2, 9.0)
    assert breaker.state(9.0) == "closed"


def test_reset_makes_it_as_new_and_lets_the_clock_begin_anew():
    breaker, probe = half_open(at=1000.0)
    before = breaker.changes
    breaker.reset()
    assert breaker.changes == [] and len(before) == 2
    assert breaker.state(0.0) == "closed" and breaker.metrics(0.0) == small().metrics(0.0)
    probe.end("error", 1001.0)
    assert breaker.metrics(1001.0).calls == 0
    breaker.reset()
    calls(breaker, ["error"] * 4, 0.0)
    assert breaker.changes == [(0.0, "open")] and Begun(breaker, 8.0).made


def test_a_clock_that_reads_a_little_earlier_does_no_harm():
    breaker, probe = half_open(window="time", size=4.0)
    second = Begun(breaker, 7.5)  # 8.0 has been
    assert second.made
    probe.end("ok", 9.0)
    second.end("ok", 8.9)
    assert breaker.changes[-1] == (9.0, "closed")
    calls(breaker, ["error"] * 4, 8.0)
    assert breaker.changes[-1] == (9.0, "open") and breaker.changes == sorted(breaker.changes, key=lambda c: c[0])


# -- with other policies --------------------------------------------------------------------------------------


def test_a_retry_around_it_does_not_retry_what_it_turns_away():
    breaker = small(Timeout(1), size=2)
    result = call(Retry(breaker, tries=5), lambda *_: ("error", None), lambda: 0.0)
    assert result == ("rejected", None, 2)


def test_a_retry_inside_it_is_one_call_that_takes_as_long_as_all_of_it():
    clock = FakeClock()
    breaker = small(Retry(Timeout(1), tries=3, backoff=Exponential(0.5, 0.5)), slow_after=0.875)
    call(breaker, lambda timeout, number: ("ok" if number == 3 else "error", None), clock, clock.sleep)
    assert breaker.metrics(clock.now)[1:5] == (1, 4, 0, 1)


def test_it_hears_of_an_attempt_that_a_deadline_cut():
    clock = FakeClock()
    breaker = small(size=1)

    def attempt(timeout, number):
        clock.now += timeout
        return "timeout", None

    assert call(Deadline(0.5, breaker), attempt, clock, clock.sleep).status == "deadline"
    assert breaker.changes == [(0.5, "open")]


# -- defaults and misuse --------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_resilience4j():
    breaker = CircuitBreaker(Timeout(1))
    assert (breaker.window, breaker.size, breaker.minimum_calls) == ("count", 100, 100)
    assert (breaker.failure_rate * 100, breaker.slow_call_rate * 100, breaker.slow_after) == (50, 100, 60)
    assert (breaker.wait_open, breaker.permitted_half_open, breaker.max_wait_half_open) == (60, 10, 0)
    assert breaker.ignored == frozenset()


@pytest.mark.parametrize(
    "settings, error, said",
    [
        ({"inner": 3}, TypeError, "inner=3 must be a policy"),
        ({"name": ""}, TypeError, "name='' must be a text"),
        ({"window": "sliding"}, ValueError, 'window=\'sliding\' must be "count" .* or "time"'),
        ({"size": 0}, ValueError, "size=0 must be a whole number >= 1: it counts calls"),
        ({"size": 2.5}, TypeError, 'size=2.5 must be a whole number >= 1: .*window="time"'),
        ({"size": 0, "window": "time"}, ValueError, "size=0 must be > 0 seconds and finite"),
        ({"failure_rate": 50}, ValueError, "failure_rate=50 must be a share from 0 to 1: 0.5 for 50%"),
        ({"failure_rate": 0}, ValueError, "failure_rate=0 must be > 0"),
        ({"slow_call_rate": -0.1}, ValueError, "slow_call_rate=-0.1 must be a share"),
        ({"slow_call_rate": "1"}, TypeError, "slow_call_rate='1' must be a number"),
        ({"slow_after": 0}, ValueError, "slow_after=0 must be > 0"),
        ({"minimum_calls": 0}, ValueError, "minimum_calls=0 must be a whole number >= 1"),
        ({"wait_open": 0}, ValueError, "wait_open=0 must be > 0"),
        ({"wait_open": None}, TypeError, "wait_open=None must be a number"),
        ({"permitted_half_open": 0}, ValueError, "permitted_half_open=0 must be a whole number >= 1: without a probe"),
        ({"max_wait_half_open": -1}, ValueError, "max_wait_half_open=-1 must be >= 0 .*0 waits for ever"),
        ({"ignored": "timeout"}, TypeError, "ignored='timeout' must be a set of statuses: write ignored={'timeout'}"),
        ({"ignored": 404}, TypeError, "ignored=404 must be a set of statuses, such as"),
        ({"ignored": {"ok"}}, ValueError, "ignored contains 'ok', which is no failure"),
        ({"counts_as_failure": ["ok", "error"]}, ValueError, "counts_as_failure contains 'ok'"),
        ({"on_change": "trace"}, TypeError, "on_change='trace' must be a function of"),
    ],
)
def test_misuse_is_refused_by_name(settings, error, said):
    with pytest.raises(error, match=said):
        CircuitBreaker(**{"inner": Timeout(1)} | settings)


def test_it_shows_its_settings():
    shown = repr(CircuitBreaker(Timeout(0.5), name="payment", size=20))
    assert shown.startswith("CircuitBreaker(Timeout(0.5), name='payment', window='count', size=20, failure_rate=0.5, ")
    assert eval(shown).size == 20


# -- against the model, in simulated time ---------------------------------------------------------------------

eighths = st.integers(0, 24).map(lambda k: k / 8)
STATUSES = ["ok", "error", "timeout", "HTTP 404"]


class AgainstTheModel(RuleBasedStateMachine):
    """Calls begin, overlap, end late, are ignored and abandoned; after every step the two must look the same."""

    @initialize(
        window=st.sampled_from(["count", "time"]),
        size=st.integers(1, 6),
        failure_rate=st.sampled_from([0.25, 0.5, 0.6, 1.0]),
        slow_call_rate=st.sampled_from([0.34, 0.5, 1.0]),
        minimum_calls=st.integers(1, 7),
        wait_open=st.sampled_from([0.5, 2.0, 3.0]),
        permitted_half_open=st.integers(1, 4),
        max_wait_half_open=st.sampled_from([0, 0.5, 2.5]),
        ignores=st.booleans(),
    )
    def make(self, ignores, **settings):
        settings |= {"slow_after": 1.0, "ignored": frozenset({"HTTP 404"} if ignores else ())}
        self.breaker = CircuitBreaker(Timeout(None), **settings)
        self.model = Model(**settings, successes={"ok", "HTTP 404"})
        self.now, self.under_way, self.count, self.finished = 100.0, {}, 0, False

    def pick(self, data):
        name = data.draw(st.sampled_from(sorted(self.under_way)), label="call")
        return name, self.under_way.pop(name)

    @rule(seconds=eighths)
    def wait(self, seconds):
        self.now += seconds

    @rule(back=st.sampled_from([0, 0, 0, 0.125]))
    def begin(self, back):
        self.count += 1
        begun = Begun(self.breaker, self.now - back)
        assert begun.made == self.model.begin(self.count, self.now - back)
        if begun.made:
            self.under_way[self.count] = begun
        else:
            assert begun.status == "rejected"

    @rule(statuses=st.lists(st.sampled_from(STATUSES), min_size=1, max_size=6), takes=st.sampled_from([0, 0.5, 1.125]))
    def calls_in_a_row(self, statuses, takes):
        for status in statuses:
            self.begin(0)
            self.now += takes
            if self.count in self.under_way:
                self.under_way.pop(self.count).end(status, self.now)
                self.model.end(self.count, status, self.now)
            self.they_look_the_same()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), status=st.sampled_from(STATUSES), back=st.sampled_from([0, 0, 0, 0.125]))
    def end(self, data, status, back):
        name, begun = self.pick(data)
        assert begun.end(status, self.now - back) == status
        self.model.end(name, status, self.now - back)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), error=st.sampled_from([None, ZeroDivisionError]))
    def abandon(self, data, error):
        name, begun = self.pick(data)
        if error is None:
            begun.script.close()
        else:
            with pytest.raises(error):
                begun.script.throw(error)
        self.model.abandon(name)

    @precondition(lambda self: self.model.state != "closed")
    @rule()
    def reset(self):
        self.breaker.reset()
        in_flight = self.model.in_flight
        self.model.clear()
        self.model.in_flight = in_flight
        self.now -= 50

    @invariant()
    def they_look_the_same(self):
        if not hasattr(self, "breaker"):
            return
        model, metrics = self.model, self.breaker.metrics(self.now)
        assert self.breaker.changes == model.changes
        assert self.breaker.state(self.now) == model.state_at(self.now) == metrics.state
        assert metrics.rejected == model.rejected
        if metrics.state == model.state == "half-open":
            assert metrics.probes == model.probes_left() >= 0
        if model.state != "open":  # open shows the window of the time before, which the model does not keep
            assert metrics[1:5] == (model.counts(self.now)[0], model.needed(), *model.counts(self.now)[1:])

    def teardown(self):
        for begun in getattr(self, "under_way", {}).values():
            begun.script.close()


AgainstTheModel.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestAgainstTheModel = AgainstTheModel.TestCase


def scripted_world(now):
    """What a call at ``now`` meets: (status, seconds it takes). Fine, failing, slow, hanging, half broken, fine."""
    phase, tick = int(now // 8) % 6, int(now * 64)
    if phase == 1:
        return "error", 1 / 64
    if phase == 2:
        return "ok", 0.75
    if phase == 3:
        return "ok", 60.0
    if phase == 4:
        return ("error" if tick % 3 == 0 else "ok"), 1 / 32
    return "ok", 1 / 64


def for_the_world():
    return small(
        Timeout(0.875),
        size=8,
        slow_after=0.5,
        failure_rate=0.5,
        slow_call_rate=0.75,
        wait_open=1.5,
        permitted_half_open=3,
        max_wait_half_open=2.0,
    )


def world_attempt(clock_now, timeout):
    status, takes = scripted_world(clock_now)
    return ("timeout", timeout) if takes >= timeout else (status, takes)


def run_by_call(breaker):
    clock = FakeClock()

    def attempt(timeout, number):
        status, takes = world_attempt(clock.now, timeout)
        clock.now += takes
        return status, None

    while clock.now < 96:
        call(breaker, attempt, clock, clock.sleep)
        clock.now += 1 / 16


def run_by_sim(breaker):
    env = simpy.Environment()

    def attempt(timeout, number):
        status, takes = world_attempt(env.now, timeout)
        yield env.timeout(takes)
        return status

    def client():
        while env.now < 96:
            yield from sim_call(env, breaker, attempt)
            yield env.timeout(1 / 16)

    env.run(env.process(client()))


def test_the_same_object_has_the_same_timeline_in_simpy_and_driven_by_call():
    breaker = for_the_world()
    run_by_call(breaker)
    real = breaker.changes
    breaker.reset()
    run_by_sim(breaker)
    assert breaker.changes == real
    assert len(real) >= 12 and {state for _, state in real} == set(State)


def test_simultaneous_simulated_clients_replay_and_agree_with_the_model():
    env, chance, recorder = simpy.Environment(), Random(5), Recorder(for_the_world())

    def attempt(timeout, number):
        status, takes = scripted_world(env.now)
        takes *= 0.5 + chance.random()
        yield env.timeout(min(takes, timeout))
        return status if takes < timeout else "timeout"

    def client():
        while env.now < 96:
            yield from sim_call(env, recorder, attempt)
            yield env.timeout(chance.expovariate(2.0))

    for _ in range(12):
        env.process(client())
    env.run(until=100)
    fresh = for_the_world()
    log = list(recorder.log)
    assert replay(log, fresh) == log and fresh.changes == recorder.policy.changes
    model = Model(
        size=8,
        minimum_calls=4,
        slow_after=0.5,
        failure_rate=0.5,
        slow_call_rate=0.75,
        wait_open=1.5,
        permitted_half_open=3,
        max_wait_half_open=2.0,
    )
    assert follow_log(model, log) == [] and model.changes == fresh.changes and len(model.changes) >= 12


# -- under threads --------------------------------------------------------------------------------------------


class SlowCount(int):
    """A whole number that lets other threads run while it is looked at: between reading it and writing it."""

    def __bool__(self):
        time.sleep(0.0001)
        return int(self) != 0

    def __sub__(self, other):
        return SlowCount(int(self) - other)

    def __add__(self, other):
        return SlowCount(int(self) + other)


@pytest.fixture
def hasty():
    """Threads that take turns much more often than usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def test_threads_that_come_at_once_get_no_more_probes_than_permitted(hasty):
    for permitted in (1, 3, 7):
        for _ in range(5):
            breaker, begun = opened(permitted_half_open=SlowCount(permitted)), []
            in_threads(12, lambda breaker=breaker, begun=begun: begun.append(Begun(breaker, 8.0)))
            assert sum(call.made for call in begun) == permitted and len(begun) == 12
            assert breaker.changes == [(0.0, "open"), (8.0, "half-open")]
            made = [call for call in begun if call.made]
            in_threads(permitted, lambda made=made: made.pop().end("ok", 9.0))
            assert breaker.changes[2:] == [(9.0, "closed")]


def test_permissions_that_threads_give_back_are_neither_lost_nor_doubled(hasty):
    breaker = opened(permitted_half_open=SlowCount(3), ignored={"HTTP 404"})
    lock, under_way, most, made = threading.Lock(), 0, 0, 0

    def work(chance):
        nonlocal under_way, most, made
        for _ in range(30):
            begun = Begun(breaker, 8.0)
            if not begun.made:
                continue
            with lock:
                under_way, made = under_way + 1, made + 1
                most = max(most, under_way)
            time.sleep(chance.random() * 0.001)
            with lock:  # before the place is given back
                under_way -= 1
            if chance.random() < 0.5:
                begun.script.close()
            else:
                begun.end("HTTP 404", 8.5)

    seeds = iter(range(8))
    in_threads(8, lambda: work(Random(next(seeds))))
    assert most == 3 and made > 3
    assert breaker.metrics(9.0).probes == 3 and breaker.state(9.0) == "half-open"


class Patient(float):
    """A rate that lets other threads run while it is compared."""

    def __le__(self, other):  # other >= self
        time.sleep(0.0001)
        return float(self) <= other


def test_the_window_under_threads_counts_every_call_once(hasty):
    breaker = CircuitBreaker(Timeout(None), size=400, minimum_calls=1, failure_rate=Patient(1.0))
    calls(breaker, ["ok"], 0.0)
    in_threads(8, lambda: calls(breaker, ["error", "ok"] * 20, 0.0))
    assert breaker.metrics(0.0)[1:5] == (321, 1, 160, 0)


def test_a_crowd_that_fails_at_once_opens_it_once(hasty):
    breaker = CircuitBreaker(Timeout(None), size=50, minimum_calls=20, failure_rate=Patient(0.5))
    begun = [Begun(breaker, 0.0) for _ in range(48)]
    in_threads(8, lambda: [begun.pop().end("error", 1.0) for _ in range(6)])
    assert breaker.changes == [(1.0, "open")] and breaker.metrics(1.0).calls == 20


def test_no_lock_is_held_while_a_call_is_made():
    breaker, inside, leave = small(), threading.Event(), threading.Event()

    def attempt(timeout, number):
        inside.set()
        assert leave.wait(30)
        return "ok", None

    thread = threading.Thread(target=call, args=(breaker, attempt), daemon=True)
    thread.start()
    assert inside.wait(30)
    others = []
    in_threads(4, lambda: others.append(call(breaker, lambda *_: ("ok", None)).status))
    assert others == ["ok"] * 4 and thread.is_alive()
    leave.set()
    thread.join(30)
    assert not thread.is_alive()


def test_closing_a_script_waits_for_nobody():
    # The garbage collector closes scripts wherever it likes, even in a thread that is inside the breaker's lock.
    breaker, probe = half_open(max_wait_half_open=2.0)
    done = threading.Event()

    def close():
        probe.script.close()
        done.set()

    def hook(at, state):
        threading.Thread(target=close, daemon=True).start()
        assert done.wait(30), "to close a script took the lock"

    breaker.on_change = hook
    Begun(breaker, 10.0)
    assert done.is_set() and breaker.changes[-1] == (10.0, "open")


def test_threads_on_the_real_clock_agree_with_the_model_call_by_call():
    settings = {
        "size": 12,
        "minimum_calls": 6,
        "slow_after": 0.004,
        "slow_call_rate": 0.6,
        "wait_open": 0.01,
        "permitted_half_open": 3,
        "max_wait_half_open": 0.02,
        "ignored": frozenset({"HTTP 404"}),
    }
    recorder, chance, start = Recorder(CircuitBreaker(Timeout(1), **settings)), Random(3), time.monotonic()

    def attempt(timeout, number):
        bad = int((time.monotonic() - start) * 12) % 2
        draw = chance.random()
        time.sleep(0.005 if draw < 0.3 * bad else 0.03 if draw < 0.35 * bad else 0.0005)
        if chance.random() < 0.05:
            raise ZeroDivisionError
        return ("error" if chance.random() < 0.5 * bad else "HTTP 404" if chance.random() < 0.1 else "ok"), None

    def seen_enough():
        changes, log = list(recorder.policy.changes), list(recorder.log)
        return {state for _, state in changes} == set(State) and any(entry.question == "closed" for entry in log)

    def work():
        while (now := time.monotonic()) < start + 1.5 or now < start + 20 and not seen_enough():  # on a busy machine
            with contextlib.suppress(ZeroDivisionError):
                call(recorder, attempt)
            time.sleep(0.001)

    in_threads(6, work)
    fresh, model = CircuitBreaker(Timeout(1), **settings), Model(**settings, successes={"ok"})
    assert replay(recorder.log, fresh) == recorder.log and fresh.changes == recorder.policy.changes
    assert follow_log(model, recorder.log) == [] and model.changes == fresh.changes
    assert seen_enough()


def test_a_slow_number_is_what_the_thread_tests_need():
    assert Slow(1.0) > 0.5 and not SlowCount(0) and SlowCount(3) - 1 == 2 and Patient(0.5) <= 0.5
