"""The bulkhead: never more than its limit, and every place is given back."""

import asyncio
import gc
import sys
import threading
import time
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
    Recorder,
    Retry,
    Timeout,
    acall,
    call,
    replay,
    sim_call,
)
from tests.test_policies import FakeClock, Watched, in_threads


def begin(policy, now=0.0):
    """``(script, status)`` of a call: the status is None while it is under way."""
    script = policy.script(now)
    try:
        next(script)
    except StopIteration as end:
        return script, end.value
    return script, None


def end(script, status="ok", at=0.0):
    with pytest.raises(StopIteration) as stop:
        script.send(Answer(status, at))
    return stop.value.value


def test_a_call_too_many_is_turned_away_without_an_attempt():
    bulkhead = Bulkhead(Timeout(1), 2)
    first, second = begin(bulkhead), begin(bulkhead)
    assert first[1] is second[1] is None and bulkhead.under_way == 2
    assert call(bulkhead, lambda *_: pytest.fail("asked")) == ("rejected", None, 0)
    assert bulkhead.rejected == 1
    assert end(second[0], "HTTP 418") == "HTTP 418" and bulkhead.under_way == 1
    assert begin(bulkhead)[1] is None


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_a_place_is_given_back_when_the_call_is_given_up(error):
    bulkhead = Bulkhead(Timeout(1), 1)
    for _ in range(3):
        script, status = begin(bulkhead)
        assert status is None and begin(bulkhead)[1] == "rejected"
        if error is None:
            script.close()
        else:
            with pytest.raises(error):
                script.throw(error)
    assert bulkhead.under_way == 0


def test_a_place_is_given_back_by_every_driver_that_fails():
    bulkhead = Bulkhead(Timeout(None), 1)

    def broken(timeout, number):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(bulkhead, broken)

    async def cancelled():
        task = asyncio.create_task(acall(bulkhead, lambda *_: asyncio.sleep(60)))
        await asyncio.sleep(0)
        assert bulkhead.under_way == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert bulkhead.under_way == 0

    def suspended():
        env = simpy.Environment()

        def attempt(timeout, number):
            yield env.timeout(60)

        env.process(sim_call(env, bulkhead, attempt))
        env.run(until=1)
        assert bulkhead.under_way == 1

    suspended()
    gc.collect()
    assert bulkhead.under_way == 0


def test_the_inner_script_is_closed_with_the_outer():
    watched = Watched()
    begin(Bulkhead(watched))[0].close()
    assert watched.closed == 1


def test_an_inner_policy_that_cannot_begin_takes_no_place():
    class Broken:
        def script(self, now):
            raise ZeroDivisionError

    bulkhead = Bulkhead(Broken(), 1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            begin(bulkhead)
    assert bulkhead.under_way == 0


def test_with_other_policies():
    clock = FakeClock()
    bulkhead = Bulkhead(Timeout(1), 1)
    holder = begin(bulkhead)
    assert call(Retry(bulkhead, tries=5), lambda *_: pytest.fail("asked")) == ("rejected", None, 0)
    breaker = CircuitBreaker(bulkhead, size=1, ignored={"rejected"})
    assert call(breaker, lambda *_: pytest.fail("asked")).status == "rejected"
    assert breaker.changes == []
    end(holder[0])
    assert call(Deadline(0.5, bulkhead), lambda timeout, number: ("ok", timeout), clock) == ("ok", 0.5, 1)


class SmallHold(RuleBasedStateMachine):
    """A bulkhead against a set of the calls that hold a place."""

    @initialize(limit=st.integers(1, 4))
    def make(self, limit):
        self.limit, self.bulkhead, self.held, self.rejected = limit, Bulkhead(Timeout(None), limit), [], 0

    @rule()
    def begin(self):
        script, status = begin(self.bulkhead)
        assert (status is None) == (len(self.held) < self.limit)
        if status is None:
            self.held.append(script)
        else:
            assert status == "rejected"
            self.rejected += 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), close=st.booleans())
    def leave(self, data, close):
        script = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        if close:
            script.close()
        else:
            end(script, "error")

    @invariant()
    def the_same_are_under_way(self):
        if hasattr(self, "held"):
            assert (self.bulkhead.under_way, self.bulkhead.rejected) == (len(self.held), self.rejected)


SmallHold.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSmallHold = SmallHold.TestCase


class SlowCount(int):
    """A whole number that lets other threads run while it is compared: between reading the places and taking one."""

    def __le__(self, other):  # other >= self
        time.sleep(0.0001)
        return int(self) <= other


@pytest.fixture
def hasty():
    """Threads that take turns much more often than usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def test_threads_never_hold_more_places_than_there_are(hasty):
    bulkhead = Bulkhead(Timeout(1), SlowCount(3))
    lock, under_way, most, results = threading.Lock(), 0, 0, []

    def attempt(timeout, number):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.0005)
        with lock:
            under_way -= 1
        return "ok", None

    in_threads(10, lambda: results.extend([call(bulkhead, attempt).status for _ in range(30)]))
    assert most == 3 and bulkhead.under_way == 0
    assert results.count("ok") + results.count("rejected") == 300
    assert bulkhead.rejected == results.count("rejected") > 0


def test_a_crowd_at_the_door_fills_it_exactly(hasty):
    for limit in (1, 4):
        bulkhead, begun = Bulkhead(Timeout(None), SlowCount(limit)), []
        in_threads(12, lambda bulkhead=bulkhead, begun=begun: begun.append(begin(bulkhead)))
        assert sum(status is None for _, status in begun) == limit == bulkhead.under_way
        in_threads(12, lambda begun=begun: begun.pop()[0].close())
        assert bulkhead.under_way == 0


def test_closing_a_script_waits_for_nobody():
    # The garbage collector closes scripts wherever it likes, even in a thread that is inside the bulkhead's lock.
    bulkhead = Bulkhead(Timeout(1), 1)
    script, _ = begin(bulkhead)
    with bulkhead._lock:
        thread = threading.Thread(target=script.close, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "to close a script took the lock"
    assert bulkhead.under_way == 0


def test_calls_that_hang_are_kept_to_their_hold():
    """Ten workers, two services, one hangs: with a bulkhead the other is served as if nothing were."""

    def served(limit):
        env, served, hung = simpy.Environment(), [], []
        policy = Bulkhead(Timeout(None), limit)
        workers = simpy.Resource(env, capacity=10)

        def attempt(timeout, number):
            yield env.timeout(1e6)
            return "ok"

        def request(hangs):
            with workers.request() as turn:
                yield turn
                if hangs:
                    hung.append((yield from sim_call(env, policy, attempt)))
                else:
                    yield env.timeout(0.01)
                    served.append(env.now)

        def arrivals():
            for number in range(400):
                env.process(request(hangs=number % 4 == 0))
                yield env.timeout(0.01)

        env.process(arrivals())
        env.run(until=100)
        return len(served), hung.count("rejected")

    assert served(limit=3) == (300, 97)
    fewer, rejected = served(limit=10)
    assert fewer < 50 and rejected == 0


def test_a_run_with_threads_replays():
    recorder, chance = Recorder(Bulkhead(Timeout(1), 2)), Random(3)

    def attempt(timeout, number):
        time.sleep(chance.random() * 0.002)
        return "ok", None

    in_threads(6, lambda: [call(recorder, attempt) for _ in range(20)])
    assert len({entry.question for entry in recorder.log}) == 3  # Try, ok, rejected
    assert replay(recorder.log, Bulkhead(Timeout(1), 2)) == recorder.log
    assert replay(recorder.log, Bulkhead(Timeout(1), 3)) != recorder.log


@pytest.mark.parametrize(
    "make, error, said",
    [
        (lambda: Bulkhead(5), TypeError, "inner=5 must be a policy"),
        (
            lambda: Bulkhead(Timeout(1), 0),
            ValueError,
            "limit=0 must be a whole number >= 1: a bulkhead without a place",
        ),
        (lambda: Bulkhead(Timeout(1), 2.5), TypeError, "limit=2.5 must be a whole number"),
    ],
)
def test_misuse_is_refused_by_name(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_default_and_looks():
    assert Bulkhead(Timeout(1)).limit == 25
    assert repr(Bulkhead(Timeout(0.5), 4)) == "Bulkhead(Timeout(0.5), limit=4)"
