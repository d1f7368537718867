"""Hedging: never more attempts than allowed, the first OK wins, whoever drives; and nothing is left of the losers."""

import asyncio
import heapq
import selectors
import threading
import time
from random import Random

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from servicelab.policies import (
    Answer,
    Await,
    CircuitBreaker,
    Deadline,
    Hedge,
    Recorder,
    Retry,
    RetryBudget,
    RoundRobin,
    Sleep,
    Start,
    Status,
    Timeout,
    Try,
    acall,
    call,
    replay,
    sim_call,
    when_abandoned,
)
from servicelab.policies.retry import RETRYABLE
from servicelab.policies.script import STARTED, WAITED
from servicelab.sim.balancer import Balancer
from servicelab.sim.client import Client
from servicelab.sim.message import Message
from servicelab.sim.service import Service
from servicelab.trace import Trace
from tests.waiting import wait_until


def end_of(answers, timeout, number):
    """The scripted (status, seconds) of attempt ``number``, as an obedient attempt gives it."""
    status, takes = answers[(number - 1) % len(answers)]
    if timeout is not None and takes >= timeout:
        status, takes = Status.TIMEOUT, timeout
    # No two sums of such parts are equal: who comes first is never decided by the order of simultaneous events.
    return status, takes + 2.0 ** (number - 36)


class FakeClock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, delay):
        self.now += delay


def by_call(policy, answers):
    """``call`` in virtual time: a race on a heap instead of threads."""
    clock, log = FakeClock(), []

    class Race:
        def __init__(self, attempt):
            self.ends = []

        def start(self, timeout, number):
            log.append((clock.now, number))
            status, takes = end_of(answers, timeout, number)
            heapq.heappush(self.ends, (clock.now + takes, number, status))

        def next(self, limit):
            end = self.ends[0][0]
            if limit is not None and clock.now + limit < end:
                clock.now += limit
                return None
            clock.now, number, status = heapq.heappop(self.ends)
            return status, number

        def abandon(self):
            self.ends.clear()

    def attempt(timeout, number):
        log.append((clock.now, number))
        status, takes = end_of(answers, timeout, number)
        clock.now += takes
        return status, number

    return call(policy, attempt, clock, clock.sleep, Race).status, clock.now, log


def by_sim(policy, answers):
    env, log = simpy.Environment(), []

    def attempt(timeout, number):
        log.append((env.now, number))
        status, takes = end_of(answers, timeout, number)
        yield env.timeout(takes)
        return status

    def process():
        return (yield from sim_call(env, policy, attempt)), env.now

    return *env.run(env.process(process())), log


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer instead of passing."""

    def __init__(self):
        class Selector(selectors.DefaultSelector):
            def select(selector, timeout=None):
                self.now += timeout or 0
                return super().select(0)

        self.now = 0.0
        super().__init__(Selector())
        self._clock_resolution = 1e-12

    def time(self):
        return self.now


def by_acall(policy, answers):
    loop, log = VirtualLoop(), []

    async def attempt(timeout, number):
        log.append((loop.time(), number))
        status, takes = end_of(answers, timeout, number)
        await asyncio.sleep(takes)
        return status, number

    async def main():
        result = await acall(policy, attempt, loop.time)
        return result.status, loop.time()

    try:
        return *loop.run_until_complete(main()), log
    finally:
        loop.close()


DRIVERS = [by_call, by_sim, by_acall]
drivers = pytest.mark.parametrize("drive", DRIVERS, ids=lambda drive: drive.__name__)

seconds = st.integers(1, 4096).map(lambda k: k / 1024)
statuses = st.sampled_from([*sorted(RETRYABLE), Status.OK, Status.OK, Status.REJECTED, "HTTP 404"])
scripts = st.lists(st.tuples(statuses, seconds), min_size=1, max_size=6)


@st.composite
def recipes(draw):
    """A recipe for a hedge: each call of it makes a fresh one."""
    delay = draw(st.sampled_from([0.0]) | seconds)
    timeout = draw(st.none() | seconds.map(lambda more: delay + more))
    most, with_budget = draw(st.integers(2, 5)), draw(st.booleans())

    def make():
        budget = RetryBudget(ratio=0.5, min_per_second=0.25, reserve=1) if with_budget else None
        return Hedge(Timeout(timeout), delay, most, budget)

    make.delay, make.timeout, make.most = delay, timeout, most
    return make


def said(recorder):
    """What the policy said, with its kind: as tuples Try(1) and Await(1) are equal."""
    return [(type(entry.question).__name__, entry.question, entry.answer) for entry in recorder.log]


# -- properties --------------------------------------------------------------------------------


@given(recipes(), scripts, st.none() | seconds, st.booleans())
def test_the_drivers_agree(make, answers, limit, again):
    def policy():
        hedge = Retry(make(), tries=2) if again else make()
        return Deadline(limit, hedge) if limit else hedge

    runs = []
    for drive in DRIVERS:
        recorder = Recorder(policy())
        status, end, begun = drive(recorder, answers)
        # A simulated clock and a virtual one may round differently in the last place.
        log = [(kind, str(question), answer and answer.status) for kind, question, answer in said(recorder)]
        if limit:  # the time left is such a number
            log = [(kind, answer) for kind, _, answer in log]
        if status == Status.DEADLINE:  # the wait and the attempt were both cut to end there: either may come first
            log[-1] = "deadline"
        runs.append((status, round(end, 9), [(round(at, 9), number) for at, number in begun], log))
    assert runs[0] == runs[1] == runs[2]


@drivers
@given(make=recipes(), answers=scripts)
def test_never_more_attempts_than_most_and_never_sooner_than_the_delay(drive, make, answers):
    recorder = Recorder(make())
    _, _, begun = drive(recorder, answers)
    assert 1 <= len(begun) <= make.most
    for (before, number), (after, _) in zip(begun, begun[1:]):
        failed_first = end_of(answers, make.timeout, number)[1] < make.delay
        any_failed = any(e.answer and e.answer.status in RETRYABLE for e in recorder.log)
        assert after - before >= make.delay - 1e-9 or failed_first or any_failed


@drivers
@given(make=recipes(), answers=scripts)
def test_the_first_ok_wins(drive, make, answers):
    """A model of its own: of all attempts that were begun, the earliest OK or final failure ends the call."""
    status, end, begun = drive(make(), answers)
    ends = sorted((at + takes, said) for at, number in begun for said, takes in [end_of(answers, make.timeout, number)])
    deciding = [(at, said) for at, said in ends if said not in RETRYABLE]
    at, expected = deciding[0] if deciding else ends[-1]
    assert (status, round(end, 9)) == (expected, round(at, 9))


@given(recipes(), scripts)
def test_a_hedge_is_never_later_than_its_first_attempt(make, answers):
    status, end, _ = by_call(make(), answers)
    first, takes = end_of(answers, make.timeout, 1)
    if first == Status.OK:
        assert end <= takes and status not in RETRYABLE


@drivers
@given(make=recipes(), answers=scripts, limit=seconds)
def test_a_deadline_holds_for_all_attempts_together(drive, make, answers, limit):
    status, end, _ = drive(Deadline(limit, make()), answers)
    assert end <= limit + 1e-7
    alone, takes, _ = drive(make(), answers)
    if takes < limit - 1e-6:
        assert (status, round(end, 9)) == (alone, round(takes, 9))
    elif takes > limit + 1e-6:
        assert status == Status.DEADLINE


# -- by hand -----------------------------------------------------------------------------------


def test_a_quick_answer_needs_no_second_attempt():
    recorder = Recorder(Hedge(Timeout(1), delay=0.25))
    assert by_call(recorder, [("ok", 0.125)])[0] == "ok"
    assert said(recorder)[:2] == [("Start", Start(1, anew=True), None), ("Await", Await(0.25), Answer(STARTED, 0.0))]


def test_a_slow_first_answer_is_overtaken():
    recorder = Recorder(Hedge(Timeout(4), delay=0.25))
    status, end, begun = by_call(recorder, [("ok", 3.0), ("ok", 0.5)])
    assert (status, round(end, 6), begun) == ("ok", 0.75, [(0.0, 1), (0.25, 2)])
    assert [answer.status for _, _, answer in said(recorder)[1:]] == [STARTED, WAITED, STARTED, "ok"]


def test_a_failure_begins_the_next_attempt_at_once():
    status, end, begun = by_call(Hedge(Timeout(4), delay=1.0, most=3), [("refused", 0.25), ("ok", 0.25)])
    assert status == "ok" and [round(at, 6) for at, _ in begun] == [0, 0.25] and round(end, 6) == 0.5


@pytest.mark.parametrize("final", [Status.REJECTED, Status.DEADLINE, "HTTP 404"])
def test_what_another_attempt_will_not_mend_ends_the_call(final):
    status, end, begun = by_call(Hedge(Timeout(4), delay=0.25, most=3), [("ok", 3.0), (final, 0.125)])
    assert status == final and len(begun) == 2 and round(end, 6) == 0.375


def test_hedge_on_may_name_other_failures():
    hedge = Hedge(Timeout(4), delay=0.25, hedge_on={"HTTP 503"})
    assert by_call(hedge, [("HTTP 503", 0.125), ("ok", 0.125)])[0] == "ok"
    assert by_call(hedge, [("error", 0.125), ("ok", 0.125)])[0] == "error"


def test_when_all_fail_the_last_failure_is_the_status():
    assert by_call(Hedge(Timeout(1), delay=0.5), [("ok", 9), ("lost", 0.75)])[0] == "lost"
    assert by_call(Hedge(Timeout(1), delay=0.5), [("lost", 0.75), ("ok", 9)])[0] == "timeout"


def test_a_budget_bounds_the_hedges_of_all_calls_together():
    budget, begun = RetryBudget(ratio=0.125, min_per_second=0, reserve=4), 0
    for _ in range(1000):
        begun += len(by_call(Hedge(Timeout(4), 0.25, most=3, budget=budget), [("ok", 1.0)])[2])
    assert 1000 + 4 + 0.125 * 999 - 1 < begun <= 1000 + 4 + 0.125 * 1000


def test_answers_of_a_settled_race_do_not_decide_the_next():
    """HTTP 404 settles the first hedge while its first attempt is still under way with an OK of long ago."""
    policy = Retry(Hedge(Timeout(None), delay=0.25), tries=2, retry_on={"HTTP 404"})
    answers = [("ok", 0.75), ("HTTP 404", 0.25), ("error", 0.5), ("error", 0.5)]
    for drive in DRIVERS:
        assert drive(policy, answers)[0] == "error"


def test_a_breaker_around_a_hedge_counts_calls_and_not_attempts():
    breaker = CircuitBreaker(Hedge(Timeout(1), delay=0.25, most=3))
    assert call(breaker, lambda *_: ("ok", "first")) == ("ok", "first", 1)


# -- real threads ------------------------------------------------------------------------------


def attempts_running():
    return [t for t in threading.enumerate() if t.name.startswith("servicelab attempt")]


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    wait_until(lambda: not attempts_running())


def test_threads_the_second_wins_and_the_first_is_ignored():
    gate = threading.Event()

    def attempt(timeout, number):
        if number == 1:
            gate.wait(60)
        return "ok", f"attempt {number}"

    assert call(Hedge(Timeout(60), delay=0.02), attempt) == ("ok", "attempt 2", 2)
    wait_until(lambda: len(attempts_running()) == 1)  # the loser runs on, as a blocking call does …
    gate.set()  # … and its thread ends with it: see the fixture


def test_threads_what_can_be_cancelled_is():
    cancelled, told = threading.Event(), []

    def attempt(timeout, number):
        if number == 1:
            assert when_abandoned(cancelled.set)
            told.append(cancelled.wait(60))
            return "lost", None
        return "ok", None

    assert call(Hedge(Timeout(60), delay=0.02), attempt).attempts == 2
    wait_until(lambda: not attempts_running())
    assert told == [True]


def test_threads_a_cancel_that_comes_too_late_is_called_at_once():
    go, done, calls = threading.Event(), threading.Event(), []

    def attempt(timeout, number):
        if number == 1:
            go.wait(60)
            when_abandoned(lambda: calls.append("late"))
            done.set()
        return "ok", None

    call(Hedge(Timeout(60), delay=0.02), attempt)
    go.set()
    assert done.wait(60) and calls == ["late"]


def test_outside_a_race_nothing_can_be_abandoned():
    assert not when_abandoned(lambda: None)
    assert call(Timeout(1), lambda *_: ("ok", when_abandoned(lambda: None))).value is False


def test_threads_a_mistake_in_an_attempt_is_raised_and_a_late_one_is_not():
    gate = threading.Event()

    def mistaken(timeout, number):
        raise ZeroDivisionError

    def late(timeout, number):
        if number == 1:
            gate.wait(60)
            raise ZeroDivisionError  # printed it would fail the test: pytest watches for it
        return "ok", None

    with pytest.raises(ZeroDivisionError):
        call(Hedge(Timeout(1), delay=0.5), mistaken)
    assert call(Hedge(Timeout(60), delay=0.02), late).status == "ok"
    gate.set()


def test_threads_a_run_on_the_real_clock_replays():
    make = lambda: Retry(Hedge(Timeout(1), 0.002, most=3, budget=RetryBudget(0.25, 1, 9)), tries=2)  # noqa: E731
    recorder, chance, results = Recorder(make()), Random(3), []

    def attempt(timeout, number):
        time.sleep(chance.random() * 0.006)
        return ("ok" if chance.random() < 0.6 else "error"), None

    def work():
        results.extend(call(recorder, attempt) for _ in range(12))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 48 and max(result.attempts for result in results) > 1
    again = replay(recorder.log, make())
    assert again == recorder.log
    assert [type(e.question) for e in again] == [type(e.question) for e in recorder.log]


def test_threads_an_answer_of_a_settled_race_is_not_heard():
    gate = threading.Event()

    class Twice:
        def script(self, now):
            yield Start(None, anew=True)
            yield Start(None, anew=True)
            return (yield Await(None)).status

    def attempt(timeout, number):
        if number == 1:
            when_abandoned(gate.set)
            gate.wait(60)
            return "error", "stale"
        while len(attempts_running()) > 1:  # until the first has answered and gone
            time.sleep(0.005)
        return "ok", "fresh"

    assert call(Twice(), attempt) == ("ok", "fresh", 2)


def test_threads_an_exception_in_the_policy_abandons_what_is_under_way():
    cancelled = threading.Event()

    class Broken:
        def script(self, now):
            yield Start(None)
            yield Await(0.05)
            raise ZeroDivisionError

    def attempt(timeout, number):
        when_abandoned(cancelled.set)
        return ("ok" if cancelled.wait(60) else "hung"), None

    with pytest.raises(ZeroDivisionError):
        call(Broken(), attempt)
    assert cancelled.is_set()


# -- asyncio and SimPy -------------------------------------------------------------------------


def test_tasks_losers_are_cancelled():
    ended = []

    async def attempt(timeout, number):
        try:
            await asyncio.sleep(60 if number == 1 else 0)
            return "ok", number
        except asyncio.CancelledError:
            ended.append(number)
            raise

    async def main():
        result = await acall(Hedge(Timeout(60), delay=0.01), attempt)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        return result

    assert asyncio.run(main()) == ("ok", 2, 2) and ended == [1]


def test_events_a_loser_goes_on_and_is_told_if_it_wants():
    env, log = simpy.Environment(), []

    def attempt(number):
        yield env.timeout(5.0 if number == 1 else 1.0)
        log.append((number, env.now))
        return "ok"

    def begin(timeout, number):
        process = env.process(attempt(number))
        process.abandon = lambda: log.append((number, "abandoned"))
        return process

    def client():
        status = yield from sim_call(env, Hedge(Timeout(9), delay=2.0), None, begin)
        log.append((status, env.now))

    env.process(client())
    env.run()
    assert log == [(2, 3.0), (1, "abandoned"), ("ok", 3.0), (1, 5.0)]


@pytest.mark.parametrize("timeout", [None, 9.0])
@pytest.mark.parametrize("drops", [False, True])
def test_a_simulated_client_hedges_and_the_loser_keeps_its_place(timeout, drops):
    """Two calls to a service with one worker that needs 2 s, each hedged after 0.5 s to a quick one."""
    env = simpy.Environment()
    trace = Trace(lambda: env.now)
    slow = Service(env, "slow", 2.0, trace=trace, drop_abandoned=drops)
    quick = Service(env, "quick", 0.5, trace=trace)
    client = Client(env, Balancer(env, [slow, quick], RoundRobin()), Hedge(Timeout(timeout), 0.5), trace=trace)
    ended = []

    def caller(at):
        yield env.timeout(at)
        ended.append(((yield from client.call(Message("order"))), round(env.now, 6)))

    env.process(caller(0.0))
    env.process(caller(0.6))
    env.run()
    assert ended == [("ok", 1.0), ("ok", 1.6)] and slow.free == 1 and not slow.waiting
    assert [(call.attempt, call.status, round(call.end, 6)) for call in trace.calls] == [
        (1, "cancelled", 1.0),
        (2, "ok", 1.0),
        (1, "cancelled", 1.6),
        (2, "ok", 1.6),
    ]
    # The first was being worked on; the second waited, and whether it is worked on is the service's choice.
    assert len([work for work in trace.work if work.who == "slow"]) == (1 if drops else 2)
    late = [m.lost for m in trace.messages if m.sender == "slow" and m.received is None]
    assert late == ["came too late"] * (1 if drops else 2)


def test_a_hedge_cuts_the_tail_in_simulated_time_and_costs_what_it_asks():
    """One answer in ten takes 20 times as long; the hedge waits for two such only once in a hundred."""

    def tail(policy):
        env, draws, ends, asked = simpy.Environment(), Random(11), [], []

        class Place:
            def call(self, message):
                asked.append(env.now)
                yield env.timeout(2.0 if draws.random() < 0.1 else 0.1)
                return "ok"

        client = Client(env, Place(), policy)

        def caller(at):
            yield env.timeout(at)
            yield from client.call(Message("order"))
            ends.append(env.now - at)

        for i in range(2000):
            env.process(caller(i * 0.01))
        env.run()
        return sorted(ends)[int(0.98 * len(ends))], len(asked)

    assert tail(None) == (pytest.approx(2.0), 2000)
    p98, asked = tail(Hedge(Timeout(None), delay=0.15))
    assert p98 == pytest.approx(0.25) and 2130 < asked < 2270  # a tenth more, five standard errors of 13 each way


def test_events_an_attempt_that_fails_at_once_and_one_without_a_status():
    env = simpy.Environment()

    def broken(timeout, number):
        yield env.timeout(1)
        raise ZeroDivisionError

    env.process(sim_call(env, Hedge(Timeout(9), delay=2.0), broken))
    with pytest.raises(ZeroDivisionError):
        env.run()

    def silent(timeout, number):
        yield env.timeout(1)

    env.process(sim_call(env, Hedge(Timeout(9), delay=2.0), silent))
    with pytest.raises(TypeError, match="ended with None: it must return a status"):
        env.run()


def test_to_await_nothing_is_a_mistake_in_the_policy():
    class Waiting:
        def script(self, now):
            yield Await(None)

    with pytest.raises(RuntimeError, match="no attempt is under way"):
        call(Waiting(), lambda *_: ("ok", None))
    with pytest.raises(RuntimeError, match="no attempt is under way"):
        asyncio.run(acall(Waiting(), None))
    with pytest.raises(RuntimeError, match="no attempt is under way"):
        next(sim_call(simpy.Environment(), Waiting(), None))


def test_a_policy_that_tries_and_sleeps_never_begins_a_race():
    def race(attempt):
        raise AssertionError("a race was begun")

    answers = iter([("error", 1), ("ok", 2)])

    class Patient:
        def script(self, now):
            yield Try(1)
            yield Sleep(0.5)
            return (yield Try(1)).status

    assert call(Patient(), lambda *_: next(answers), sleep=lambda _: None, race=race) == ("ok", 2, 2)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Hedge(0.5, 0.1), TypeError, r"inner=0.5 must be a Timeout, such as Timeout\(0.5\)"),
        (lambda: Hedge(Retry(Timeout(1)), 0.1), TypeError, r"inner=Retry.* must be a Timeout.*around the hedge"),
        (lambda: Hedge(Timeout(1), -0.1), ValueError, "delay=-0.1 must be >= 0"),
        (lambda: Hedge(Timeout(1), "0.1"), TypeError, "delay='0.1' must be a number"),
        (lambda: Hedge(Timeout(1), 1), ValueError, "delay=1 must be < 1 seconds, the timeout"),
        (
            lambda: Hedge(Timeout(1), 0.1, most=1),
            ValueError,
            "most=1 must be a whole number >= 2: one attempt alone is no hedge",
        ),
        (lambda: Hedge(Timeout(1), 0.1, most=2.5), TypeError, "most=2.5 must be a whole number"),
        (lambda: Hedge(Timeout(1), 0.1, budget=0.1), TypeError, "budget=0.1 must be a RetryBudget"),
        (lambda: Hedge(Timeout(1), 0.1, hedge_on="error"), TypeError, "write hedge_on={'error'}"),
        (lambda: Hedge(Timeout(1), 0.1, hedge_on={"ok"}), ValueError, "hedge_on contains 'ok'"),
        (lambda: Hedge(Timeout(1), 0.1, hedge_on=3), TypeError, "hedge_on=3 must be a set of statuses"),
    ],
)
def test_misuse_is_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_hedge_shows_its_settings():
    assert repr(Hedge(Timeout(0.5), 0.05)) == "Hedge(Timeout(0.5), delay=0.05, most=2, budget=None)"
