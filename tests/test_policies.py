"""Policies and their drivers, without a socket: properties, agreement of the three drivers, record and replay."""

import ast
import asyncio
import threading
import time
from pathlib import Path
from random import Random

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from servicelab import policies
from servicelab.policies import (
    Answer,
    Deadline,
    DecorrelatedJitter,
    EqualJitter,
    Exponential,
    FullJitter,
    LeastOutstanding,
    NoBackoff,
    PowerOfTwo,
    RandomChoice,
    Recorder,
    Retry,
    RetryBudget,
    RoundRobin,
    Sleep,
    Status,
    Timeout,
    Try,
    acall,
    call,
    replay,
    sim_call,
)
from servicelab.policies.record import CLOSED
from servicelab.policies.retry import RETRYABLE


class FakeClock:
    """A clock that only sleeping and attempts move (seconds)."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, delay):
        assert delay > 0
        self.now += delay

    async def asleep(self, delay):
        self.sleep(delay)


def outcome(answers, timeout, number):
    """The scripted answer for attempt ``number``: (status, seconds it takes), as an obedient attempt gives it."""
    status, takes = answers[(number - 1) % len(answers)]
    return (Status.TIMEOUT, timeout) if timeout is not None and takes >= timeout else (status, takes)


def by_call(policy, answers, clock):
    def attempt(timeout, number):
        status, takes = outcome(answers, timeout, number)
        clock.now += takes
        return status, number

    return call(policy, attempt, clock, clock.sleep).status


def by_acall(policy, answers, clock):
    async def attempt(timeout, number):
        status, takes = outcome(answers, timeout, number)
        clock.now += takes
        return status, number

    return asyncio.run(acall(policy, attempt, clock, clock.asleep)).status


def by_sim(policy, answers, clock):
    env = simpy.Environment()

    def attempt(timeout, number):
        status, takes = outcome(answers, timeout, number)
        yield env.timeout(takes)
        return status

    def process():
        return (yield from sim_call(env, policy, attempt))

    status = env.run(env.process(process()))
    clock.now = env.now
    return status


DRIVERS = [by_call, by_acall, by_sim]
drivers = pytest.mark.parametrize("drive", DRIVERS, ids=lambda drive: drive.__name__)

# Multiples of 1/1024 s, so that sums of times are exact and a test may ask for exactly zero.
seconds = st.integers(1, 4096).map(lambda k: k / 1024)
statuses = st.sampled_from([*RETRYABLE, Status.OK, Status.REJECTED, "HTTP 404"])
scripts = st.lists(st.tuples(statuses, seconds), min_size=1, max_size=8)
failures = st.lists(st.tuples(st.sampled_from(sorted(RETRYABLE)), seconds), min_size=1, max_size=8)


@st.composite
def recipes(draw, deadline=None):
    """A recipe for a policy: each call of it makes a fresh one with the same settings and seed."""
    timeout = draw(st.none() | seconds)
    tries, seed = draw(st.integers(1, 6)), draw(st.integers(0, 999))
    base, cap = draw(st.sampled_from([(0.25, 0.25), (0.125, 2.0), (1.0, 8.0)]))
    law = draw(st.sampled_from([None, Exponential, FullJitter, EqualJitter, DecorrelatedJitter]))
    limit = draw(seconds) if deadline is None and draw(st.booleans()) else deadline
    with_budget = draw(st.booleans())

    def make():
        backoff = NoBackoff() if law is None else law(base, cap) if law is Exponential else law(base, cap, Random(seed))
        budget = RetryBudget(ratio=0.5, min_per_second=0.5, reserve=2) if with_budget else None
        policy = Retry(Timeout(timeout), tries=tries, backoff=backoff, budget=budget)
        return Deadline(limit, policy) if limit else policy

    make.tries, make.timeout, make.limit = tries, timeout, limit
    return make


def questions(recorder, kind):
    return [entry.question for entry in recorder.log if isinstance(entry.question, kind)]


# -- rules of the room --------------------------------------------------------------------------


def test_only_the_drivers_know_of_clocks_and_nobody_does_io():
    for path in Path(policies.__file__).parent.glob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
        clocks = names & {"time", "asyncio", "datetime"}
        assert not clocks or path.name in ("drive.py", "race.py", "lookup.py"), (path.name, clocks)
        assert not names & {"socket", "simpy", "requests", "numpy", "servicelab.trace"}, path.name


def test_a_status_is_its_plain_string():
    assert Status.OK == "ok" and f"{Status.TIMEOUT}" == "timeout" and "lost" in {Status.LOST}
    assert [status.value for status in Status] == ["ok", "error", "timeout", "refused", "lost", "rejected", "deadline"]


# -- one policy, three drivers ------------------------------------------------------------------


@given(recipes(), scripts)
def test_the_drivers_agree(make, answers):
    logs, results = [], []
    for drive in DRIVERS:
        recorder = Recorder(make())
        results.append(drive(recorder, answers, FakeClock()))
        logs.append(recorder.log)
    assert logs[0] == logs[1] == logs[2]
    assert results[0] == results[1] == results[2] == logs[0][-1].question


@drivers
@given(make=recipes(), answers=scripts)
def test_no_more_attempts_than_tries(drive, make, answers):
    recorder = Recorder(make())
    drive(recorder, answers, FakeClock())
    tried = questions(recorder, Try)
    assert 1 <= len(tried) <= make.tries
    assert all(make.timeout is None or question.timeout <= make.timeout for question in tried)


@drivers
@given(data=st.data(), answers=scripts)
def test_a_deadline_is_not_passed_by_anything_at_all(drive, data, answers):
    limit = data.draw(seconds)
    recorder, clock = Recorder(data.draw(recipes(deadline=limit))()), FakeClock()
    # Jitter draws sleeps that are no multiples of 1/1024, and a sum of those may round: hence one part in 10¹².
    status = drive(recorder, answers, clock)
    sleeps = questions(recorder, Sleep)
    exact = all((sleep.delay * 1024).is_integer() for sleep in sleeps)
    assert clock.now <= (limit if exact else limit * (1 + 1e-12))
    for entry in recorder.log:
        if isinstance(entry.question, Try):
            assert 0 < entry.question.timeout <= limit - entry.now
        elif isinstance(entry.question, Sleep):
            assert 0 < entry.question.delay < limit - entry.now
    assert status != Status.TIMEOUT or clock.now < limit


@given(recipes(), failures)
def test_sleeps_stand_between_attempts_only(make, answers):
    recorder = Recorder(make())
    by_call(recorder, answers, FakeClock())
    said = [entry.question for entry in recorder.log]
    assert isinstance(said[0], Try)
    for before, after in zip(said, said[1:]):
        assert not isinstance(after, Sleep) or isinstance(before, Try)


# -- timeout, retry, deadline, by hand ----------------------------------------------------------


def test_a_timeout_is_one_try():
    script = Timeout(0.5).script(10.0)
    assert next(script) == Try(0.5)
    with pytest.raises(StopIteration) as end:
        script.send(Answer("HTTP 503", 10.2))
    assert end.value.value == "HTTP 503"


def test_no_timeout_waits_for_ever():
    assert next(Timeout(None).script(0.0)) == Try(None)


def test_success_ends_a_retry():
    recorder, clock = Recorder(Retry(Timeout(1), tries=5, backoff=Exponential(0.25, 1))), FakeClock()
    assert by_call(recorder, [("error", 0.5), ("lost", 0.5), ("ok", 0.5), ("error", 0.5)], clock) == "ok"
    assert [entry.question for entry in recorder.log] == [Try(1), Sleep(0.25), Try(1), Sleep(0.5), Try(1), "ok"]
    assert clock.now == 2.25


@pytest.mark.parametrize("status", [Status.REJECTED, Status.DEADLINE, "HTTP 404"])
def test_what_another_attempt_cannot_mend_is_not_retried(status):
    result = call(Retry(Timeout(1), tries=5), lambda timeout, number: (status, None))
    assert result == (status, None, 1)


def test_retry_on_may_name_other_statuses():
    answers = iter([("HTTP 503", None), ("ok", "here")])
    result = call(Retry(Timeout(1), retry_on={"HTTP 503"}), lambda timeout, number: next(answers))
    assert result == ("ok", "here", 2)
    assert call(Retry(Timeout(1), retry_on={"HTTP 503"}), lambda timeout, number: ("error", None)).attempts == 1


def test_the_result_holds_the_value_of_the_last_attempt():
    result = call(Retry(Timeout(1), tries=3), lambda timeout, number: ("error", f"attempt {number}"))
    assert result == ("error", "attempt 3", 3)


def test_retries_in_layers_multiply():
    hits = []

    def layer(depth):
        def attempt(timeout, number):
            if depth == 0:
                hits.append(number)
                return "error", None
            return call(Retry(Timeout(None), tries=3), layer(depth - 1))[:2]

        return attempt

    layer(5)(None, 1)
    assert len(hits) == 3**5 == 243


def test_a_deadline_cuts_the_last_timeout_and_tells_so():
    recorder, clock = Recorder(Deadline(1.25, Retry(Timeout(0.5), tries=9))), FakeClock()
    assert by_call(recorder, [("ok", 60.0)], clock) == "deadline"
    assert questions(recorder, Try) == [Try(0.5), Try(0.5), Try(0.25)] and clock.now == 1.25


def test_a_sleep_across_the_deadline_is_not_slept():
    recorder, clock = Recorder(Deadline(1.0, Retry(Timeout(0.5), backoff=Exponential(0.75, 1)))), FakeClock()
    assert by_call(recorder, [("refused", 0.25)], clock) == "deadline"
    assert clock.now == 0.25 and questions(recorder, Sleep) == []


def test_an_answer_after_the_deadline_is_too_late():
    clock = FakeClock()

    def deaf(timeout, number):  # heeds no timeout, as a client does whose timeout is for each socket operation
        clock.now += 3
        return "ok", "late"

    assert call(Deadline(1.0, Timeout(0.5)), deaf, clock, clock.sleep) == ("deadline", "late", 1)


def test_a_failure_in_time_is_not_called_a_deadline():
    assert by_call(Deadline(1.0, Timeout(0.5)), [("ok", 60)], FakeClock()) == "timeout"
    assert by_call(Deadline(1.0, Timeout(None)), [("error", 0.5)], FakeClock()) == "error"


def test_the_nearer_of_two_deadlines_holds():
    for outer, inner in ((1.0, 4.0), (4.0, 1.0)):
        clock = FakeClock()
        assert by_call(Deadline(outer, Deadline(inner, Timeout(None))), [("ok", 60)], clock) == "deadline"
        assert clock.now == 1.0


def test_a_deadline_for_each_attempt_is_not_retried_but_a_timeout_is():
    assert call(Retry(Deadline(1, Timeout(1))), lambda timeout, number: ("timeout", None)).attempts == 1
    assert call(Deadline(1, Retry(Timeout(0.1))), lambda timeout, number: ("timeout", None)).attempts == 3


def test_a_deadline_for_each_attempt_begins_after_the_sleep():
    policy = Retry(Deadline(1.0, Timeout(None)), tries=2, backoff=Exponential(4.0, 4.0), retry_on={"deadline"})
    recorder = Recorder(policy)
    assert by_call(recorder, [("ok", 60), ("ok", 0.5)], FakeClock()) == "ok"
    assert questions(recorder, Try) == [Try(1.0), Try(1.0)]


def test_a_policy_that_asks_nothing_ends_at_once():
    class Closed:
        def script(self, now):
            return Status.REJECTED
            yield

    for policy in (Closed(), Deadline(1, Closed()), Retry(Closed()), Recorder(Closed())):
        assert call(policy, lambda timeout, number: pytest.fail("asked")) == ("rejected", None, 0)


def test_the_inner_policy_hears_the_answer_that_ends_the_deadline():
    inner = Recorder(Retry(Timeout(9), tries=9))
    assert by_call(Deadline(1.0, inner), [("ok", 60.0)], FakeClock()) == "deadline"
    assert inner.log[1].answer == Answer("timeout", 1.0)


# -- budget -------------------------------------------------------------------------------------

events = st.lists(st.tuples(st.booleans(), st.integers(0, 2048).map(lambda k: k / 1024)), max_size=200)


@given(st.sampled_from([0, 0.125, 0.5, 1]), st.sampled_from([0, 0.5, 8]), st.sampled_from([1, 2, 16]), events)
def test_a_budget_is_never_negative_never_above_its_brim_and_never_overdrawn(ratio, per_second, reserve, steps):
    budget = RetryBudget(ratio, per_second, reserve)
    now = calls = retries = 0
    start = None
    for is_call, pause in steps:
        now += pause
        start = now if start is None else start
        if is_call:
            budget.deposit(now)
            calls += 1
        else:
            retries += budget.withdraw(now)
        assert 0 <= budget.balance(now) <= reserve
        assert retries <= reserve + ratio * calls + per_second * (now - start)


def test_a_budget_bounds_what_a_total_failure_costs():
    budget, made = RetryBudget(ratio=0.125, min_per_second=0, reserve=4), 0
    for _ in range(1000):
        made += call(Retry(Timeout(1), tries=4, budget=budget), lambda *_: ("error", None), lambda: 0.0).attempts
    # The brim is full at the first call, so its deposit is lost.
    assert 1000 + 4 + 0.125 * 999 - 1 < made <= 1000 + 4 + 0.125 * 1000


def test_without_a_token_the_call_ends_with_its_own_failure():
    budget = RetryBudget(ratio=0, min_per_second=0, reserve=1)
    policy = Retry(Timeout(1), tries=3, budget=budget)
    assert call(policy, lambda *_: ("lost", None)) == ("lost", None, 2)
    assert call(policy, lambda *_: ("lost", None)) == ("lost", None, 1)


def test_time_fills_a_budget_to_the_brim():
    budget = RetryBudget(ratio=0, min_per_second=2, reserve=3)
    assert [budget.withdraw(0.0) for _ in range(4)] == [True, True, True, False]
    assert budget.balance(0.25) == 0.5 and not budget.withdraw(0.25)
    assert budget.withdraw(0.5) and budget.balance(1e6) == 3


def test_a_clock_that_reads_a_little_earlier_does_no_harm():
    budget = RetryBudget(ratio=0, min_per_second=1, reserve=1)
    assert budget.withdraw(10.0) and not budget.withdraw(9.0) and budget.balance(9.0) == 0
    assert budget.balance(10.5) == 0.5  # the second before 10.0 is not counted twice


def in_threads(count, work):
    start = threading.Barrier(count)

    def run():
        start.wait()
        work()

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


class Slow(float):
    """A number that lets other threads run while it is compared: between reading the tokens and writing them."""

    def __gt__(self, other):
        time.sleep(0.0001)
        return float(self) > other


def test_a_budget_under_threads_gives_out_each_token_once():
    budget, paid = RetryBudget(ratio=0.5, min_per_second=0, reserve=Slow(100)), []

    def work():
        paid.append(sum(budget.withdraw(0.0) for _ in range(40)))

    in_threads(8, work)
    assert sum(paid) == 100 and budget.balance(0.0) == 0
    in_threads(8, lambda: [budget.deposit(0.0) for _ in range(20)])
    assert budget.balance(0.0) == 80


# -- balancers ----------------------------------------------------------------------------------

BALANCERS = [
    RoundRobin,
    lambda: RandomChoice(Random(1)),
    lambda: LeastOutstanding(Random(1)),
    lambda: PowerOfTwo(Random(1)),
]


@pytest.mark.parametrize("make", BALANCERS)
@given(outstanding=st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_a_balancer_picks_a_server_that_exists(make, outstanding):
    balancer = make()
    assert all(0 <= balancer.pick(outstanding) < len(outstanding) for _ in range(20))


@pytest.mark.parametrize("make", BALANCERS)
def test_a_balancer_without_servers_refuses(make):
    with pytest.raises(ValueError, match=r"outstanding=\[\] is empty"):
        make().pick([])


@pytest.mark.parametrize("make", BALANCERS)
def test_idle_servers_all_get_their_share(make):
    balancer, counts = make(), [0] * 5
    for _ in range(5000):
        counts[balancer.pick([0] * 5)] += 1
    assert all(abs(count - 1000) < 150 for count in counts)  # five standard errors of a fair draw are 141


def test_round_robin_goes_in_turn_and_bears_a_server_less():
    balancer = RoundRobin()
    assert [balancer.pick([0, 0, 0]) for _ in range(5)] == [0, 1, 2, 0, 1]
    assert [balancer.pick([0, 0]) for _ in range(3)] == [0, 1, 0]


def test_round_robin_under_threads_is_fair_to_the_last_request():
    balancer, picks = RoundRobin(), []
    in_threads(8, lambda: picks.extend([balancer.pick([0] * 5) for _ in range(500)]))
    assert [picks.count(server) for server in range(5)] == [800] * 5


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(0, 99))
def test_least_outstanding_picks_a_least_busy_one(outstanding, seed):
    assert outstanding[LeastOutstanding(Random(seed)).pick(outstanding)] == min(outstanding)


@given(st.integers(0, 99))
def test_the_busiest_of_all_loses_against_whomever_it_is_drawn_with(seed):
    balancer = PowerOfTwo(Random(seed))
    assert all(balancer.pick([3, 9, 4, 3]) != 1 for _ in range(50))


def test_the_less_busy_of_two_is_no_search_for_the_least():
    balancer = PowerOfTwo(Random(1))
    assert {balancer.pick([1, 2, 3, 4]) for _ in range(200)} == {0, 1, 2}


@pytest.mark.parametrize("kind", [RandomChoice, LeastOutstanding, PowerOfTwo])
def test_the_seed_decides_the_picks(kind):
    def picks(seed):
        balancer = kind(Random(seed))
        return [balancer.pick([0] * 9) for _ in range(40)]

    assert picks(1) == picks(1) != picks(2)


# -- record and replay --------------------------------------------------------------------------


@given(recipes(), st.lists(scripts, min_size=1, max_size=5))
def test_a_replay_says_the_same(make, calls):
    recorder, clock = Recorder(make()), FakeClock()
    for answers in calls:
        by_call(recorder, answers, clock)
    assert replay(recorder.log, make()) == recorder.log


def shared_policy(seed=7, reserve=6.0):
    return Deadline(
        0.5,
        Retry(
            Timeout(0.02),
            tries=4,
            backoff=FullJitter(0.001, 0.004, Random(seed)),
            budget=RetryBudget(ratio=0.25, min_per_second=1.0, reserve=reserve),
        ),
    )


def test_a_run_with_threads_on_the_real_clock_replays():
    recorder, results, chance = Recorder(shared_policy()), [], Random(3)

    def attempt(timeout, number):
        time.sleep(chance.random() * 0.002)
        return ("ok" if chance.random() < 0.4 else "error"), None

    in_threads(6, lambda: results.extend([call(recorder, attempt) for _ in range(15)]))
    assert len(results) == 90 and max(result.attempts for result in results) > 1
    assert len({entry.call for entry in recorder.log}) == 90
    assert replay(recorder.log, shared_policy()) == recorder.log
    assert replay(recorder.log, shared_policy(seed=8)) != recorder.log
    assert replay(recorder.log, shared_policy(reserve=200.0)) != recorder.log


def test_a_run_with_simultaneous_calls_in_simulated_time_replays():
    env, chance = simpy.Environment(), Random(5)
    recorder = Recorder(shared_policy())

    def attempt(timeout, number):
        takes = chance.random() * 0.03
        yield env.timeout(min(takes, timeout))
        return "error" if takes < timeout else "timeout"

    for _ in range(40):
        env.process(sim_call(env, recorder, attempt))
    env.run()
    assert len({entry.call for entry in recorder.log}) == 40
    assert replay(recorder.log, shared_policy()) == recorder.log
    assert replay(recorder.log, shared_policy(seed=8)) != recorder.log


def test_a_replay_shows_a_policy_that_stops_sooner_or_later():
    recorder = Recorder(Retry(Timeout(1), tries=3))
    by_call(recorder, [("error", 0.5)], FakeClock())
    assert [entry.question for entry in replay(recorder.log, Retry(Timeout(1), tries=2))] == [Try(1), Try(1), "error"]
    assert [entry.question for entry in replay(recorder.log, Retry(Timeout(1), tries=9))] == [Try(1)] * 4


def test_a_call_that_was_given_up_is_recorded_and_replays():
    make = lambda: Retry(Timeout(1), tries=3)  # noqa: E731
    recorder = Recorder(make())

    def interrupted(timeout, number):
        if number == 2:
            raise KeyboardInterrupt
        return "error", None

    with pytest.raises(KeyboardInterrupt):
        call(recorder, interrupted)
    assert recorder.log[-1].question == CLOSED
    assert replay(recorder.log, make()) == recorder.log


# -- drivers and mistakes -----------------------------------------------------------------------


class Watched:
    """A policy that counts how many of its scripts were closed, and keeps them from being collected."""

    def __init__(self):
        self.closed = 0
        self.scripts = []

    def script(self, now):
        self.scripts.append(self.run())
        return self.scripts[-1]

    def run(self):
        try:
            while True:
                yield Try(1.0)
        finally:
            self.closed += 1


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: Retry(p), lambda p: Deadline(9, p), lambda p: Recorder(p)])
def test_an_exception_passes_through_and_closes_the_script(wrap):
    for error in (ZeroDivisionError, KeyboardInterrupt, StopIteration):
        watched = Watched()

        def attempt(timeout, number, error=error):
            raise error

        with pytest.raises(error):
            call(wrap(watched), attempt)
        assert watched.closed == 1

        async def aattempt(timeout, number):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            asyncio.run(acall(wrap(watched), aattempt))
        assert watched.closed == 2

        env = simpy.Environment()

        def sattempt(timeout, number, env=env):
            yield env.timeout(1)
            raise ZeroDivisionError

        env.process(sim_call(env, wrap(watched), sattempt))
        with pytest.raises(ZeroDivisionError):
            env.run()
        assert watched.closed == 3


@pytest.mark.parametrize("wrong", ["ok", None, ("ok",), ["ok", 1]])
def test_an_attempt_that_returns_no_pair_is_told_so(wrong):
    async def attempt(timeout, number):
        return wrong

    with pytest.raises(TypeError, match=r"it must return \(status, value\)"):
        call(Timeout(1), lambda timeout, number: wrong)
    with pytest.raises(TypeError, match=r"it must return \(status, value\)"):
        asyncio.run(acall(Timeout(1), attempt))


def test_a_simulated_attempt_without_a_status_is_told_so():
    env = simpy.Environment()

    def attempt(timeout, number):
        yield env.timeout(1)

    env.process(sim_call(env, Timeout(1), attempt))
    with pytest.raises(TypeError, match="ended with None: it must return a status"):
        env.run()


@drivers
def test_a_script_that_says_anything_else_is_told_so(drive):
    class Odd:
        def script(self, now):
            yield 5

    with pytest.raises(TypeError, match=r"the policy said 5: a script may yield Try\(timeout\) or Sleep\(delay\) only"):
        drive(Odd(), [("ok", 1)], FakeClock())


@pytest.mark.parametrize(
    "make, error, said",
    [
        (lambda: Timeout(0), ValueError, "seconds=0 must be > 0 .*None waits for ever"),
        (lambda: Timeout(-3), ValueError, "seconds=-3 must be > 0"),
        (lambda: Timeout(float("inf")), ValueError, "seconds=inf must be > 0 seconds and finite"),
        (lambda: Timeout("1"), TypeError, "seconds='1' must be a number"),
        (lambda: Timeout(True), TypeError, "seconds=True must be a number"),
        (lambda: Deadline(0, Timeout(1)), ValueError, "seconds=0 must be > 0 .*leave the deadline out"),
        (lambda: Deadline(None, Timeout(1)), TypeError, "seconds=None must be a number"),
        (lambda: Deadline(1, 0.5), TypeError, r"inner=0.5 must be a policy, such as Timeout\(0.5\)"),
        (lambda: Deadline(1, Timeout), TypeError, "inner=<class .*Timeout'> must be a policy"),
        (lambda: Retry(None), TypeError, "inner=None must be a policy"),
        (lambda: Retry(Timeout(1), tries=0), ValueError, "tries=0 must be a whole number >= 1: it counts all attempts"),
        (lambda: Retry(Timeout(1), tries=-1), ValueError, "tries=-1 must be a whole number >= 1"),
        (lambda: Retry(Timeout(1), tries=2.5), TypeError, "tries=2.5 must be a whole number"),
        (lambda: Retry(Timeout(1), backoff=0.1), TypeError, "backoff=0.1 must be a law of delays"),
        (lambda: Retry(Timeout(1), backoff=NoBackoff), TypeError, "backoff=<class .*> must be a law"),
        (lambda: Retry(Timeout(1), budget=0.1), TypeError, "budget=0.1 must be a RetryBudget"),
        (lambda: Retry(Timeout(1), retry_on="timeout"), TypeError, "retry_on={'timeout'}"),
        (lambda: Retry(Timeout(1), retry_on={"ok", "error"}), ValueError, "'ok', which is no failure"),
        (lambda: RetryBudget(ratio=1.5), ValueError, "ratio=1.5 must be a share from 0 to 1"),
        (lambda: RetryBudget(ratio=-0.1), ValueError, "ratio=-0.1 must be a share"),
        (lambda: RetryBudget(min_per_second=-1), ValueError, "min_per_second=-1 must be >= 0"),
        (lambda: RetryBudget(reserve=0), ValueError, "reserve=0 must be > 0"),
        (lambda: RetryBudget(reserve=0.5), ValueError, "reserve=0.5 must be >= 1"),
        (lambda: RandomChoice(None), TypeError, r"rng=None must be a random\.Random"),
        (lambda: PowerOfTwo(5), TypeError, r"rng=5 must be a random\.Random"),
        (lambda: Recorder(3), TypeError, "policy=3 must be a policy"),
        (lambda: replay([], None), TypeError, "policy=None must be a policy"),
    ],
)
def test_misuse_is_refused_by_name(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_a_policy_shows_its_settings():
    policy = Deadline(2.0, Retry(Timeout(0.5), tries=3, backoff=Exponential(0.05, 1.0), budget=RetryBudget()))
    assert repr(policy) == (
        "Deadline(2.0, Retry(Timeout(0.5), tries=3, backoff=Exponential(0.05, 1.0), "
        "budget=RetryBudget(ratio=0.1, min_per_second=10.0, reserve=100.0)))"
    )
