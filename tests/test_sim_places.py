"""The places: service, link, balancer and client, alone and in a chain, and what a trace shows of them."""

import gc
import math

import numpy as np
import pytest
import simpy

from servicelab.policies import Exponential, Retry, RoundRobin, Status, Timeout
from servicelab.policies.script import Try
from servicelab.sim import (
    Balancer,
    Broker,
    Call,
    Client,
    Consumer,
    Draws,
    FirstOf,
    Journeys,
    Letter,
    Link,
    Message,
    Publisher,
    Queue,
    Service,
    Task,
    poisson,
    replay,
    users,
)
from servicelab.sim.pause import Pause
from servicelab.trace import Trace, reply_id


def ask(env, place, *times, until=None):
    """Send a request at each of the times and run; returns the journeys."""
    journeys = replay(env, times or [0.0], place)
    env.run(until=until)
    return journeys


def at(*numbers):
    return pytest.approx(list(numbers), abs=1e-9)


# -- service ----------------------------------------------------------------------------------------


def test_first_come_first_served_by_each_worker_in_turn():
    env = simpy.Environment()
    journeys = ask(env, Service(env, "orders", 1.0, workers=2), 0.0, 0.1, 0.2, 0.3, 5.0)
    assert list(journeys.end) == at(1.0, 1.1, 2.0, 2.1, 6.0)
    assert list(journeys.status) == ["ok"] * 5


def test_a_full_queue_rejects_at_once():
    env = simpy.Environment()
    service = Service(env, "orders", 1.0, workers=1, queue_limit=1)
    journeys = ask(env, service, 0.0, 0.1, 0.2, 1.5)
    assert list(journeys.status) == ["ok", "ok", "rejected", "ok"]
    assert list(journeys.end) == at(1.0, 2.0, 0.2, 3.0)
    env = simpy.Environment()
    journeys = ask(env, Service(env, "orders", 1.0, queue_limit=0), 0.0, 0.5)
    assert journeys.counts() == {"ok": 1, "rejected": 1}


def test_a_service_that_fails_has_done_the_work():
    env = simpy.Environment()
    answers = iter([False, True])
    journeys = ask(env, Service(env, "orders", 1.0, fails=answers.__next__), 0.0, 0.1)
    assert list(journeys.status) == ["ok", "error"]
    assert list(journeys.end) == at(1.0, 2.0)


def test_a_need_is_called_while_the_worker_is_held():
    env = simpy.Environment()
    inventory = Service(env, "inventory", 2.0)
    gateway = Service(env, "gateway", 1.0, workers=1, needs=[inventory])
    journeys = replay(env, [0.0, 0.5], gateway)
    env.run(until=2.0)
    # Its work is long done, but the worker waits for inventory, and the second request for the worker.
    assert (gateway.busy, len(gateway.waiting), inventory.busy) == (1, 1, 1)
    env.run()
    assert list(journeys.end) == at(3.0, 6.0)
    assert (gateway.busy, len(gateway.waiting), inventory.busy) == (0, 0, 0)


def test_one_slow_need_starves_those_who_do_not_need_it():
    env = simpy.Environment()
    slow, fast = Service(env, "payment", 10.0, workers=9), Service(env, "inventory", 0.1, workers=9)

    class Either:
        """A gateway handler that needs one or the other, on the same workers."""

        def __init__(self):
            self.turn = iter([slow, slow, fast])

        def call(self, message):
            return (yield from next(self.turn).call(message))

    gateway = Service(env, "gateway", 0.1, workers=2, needs=[Either()])
    journeys = ask(env, gateway, 0.0, 0.01, 0.02)
    assert journeys.latency[2] == pytest.approx(10.28)


def test_after_a_failed_need_the_rest_are_not_called():
    env = simpy.Environment()
    payment, shipping = Service(env, "payment", 1.0, fails=1), Service(env, "shipping", 1.0)
    journeys = ask(env, Service(env, "orders", 1.0, needs=[payment, shipping]))
    assert journeys.counts() == {"error": 1}
    assert list(journeys.end) == at(2.0)


def test_work_may_change_while_the_simulation_runs():
    env, work = simpy.Environment(), iter([1.0, 0.25])
    service = Service(env, "orders", work.__next__)
    journeys = replay(env, [0.0, 2.0, 4.0], service)
    env.run(until=3)
    service.work = lambda: 0.5
    env.run()
    assert list(journeys.latency) == at(1.0, 0.25, 0.5)


# -- client: timeouts, retries, abandoned calls ---------------------------------------------------------


def test_without_a_policy_a_client_waits_for_ever():
    env = simpy.Environment()
    journeys = ask(env, Client(env, Service(env, "orders", 1e6)))
    assert list(journeys.end) == at(1e6)


def test_a_timeout_ends_the_wait_but_not_the_work():
    env = simpy.Environment()
    service = Service(env, "orders", 10.0)
    journeys = replay(env, [0.0], Client(env, service, Timeout(1.0)))
    env.run(until=1.5)
    assert list(journeys.status) == ["timeout"] and list(journeys.end) == at(1.0)
    assert service.busy == 1
    env.run()
    assert service.busy == 0 and env.now == 10.0


def test_an_answer_in_time_is_not_disturbed_by_the_dead_timer():
    env = simpy.Environment()
    journeys = ask(env, Client(env, Service(env, "orders", 0.25), Timeout(1.0)), 0.0, 3.0)
    assert list(journeys.end) == at(0.25, 3.25)
    assert journeys.counts() == {"ok": 2}


def test_the_timeouts_of_a_client_are_one_timer_in_the_environment():
    env = simpy.Environment()
    client = Client(env, Service(env, "orders", 0.001, workers=100), policy=Timeout(60))
    journeys = poisson(env, 100, client, Draws(1), count=500)
    env.run(until=10)
    assert journeys.counts() == {"ok": 500}
    assert len(env._queue) <= 2  # it was one for each of the 500


class Lengths:
    """A policy whose attempts have the given timeouts, one after another, whichever call they are of."""

    def __init__(self, *seconds):
        self.seconds = iter(seconds)

    def script(self, now):
        return (yield Try(next(self.seconds))).status


def test_timeouts_of_several_lengths_run_out_each_in_its_time():
    env = simpy.Environment()
    client = Client(env, Service(env, "orders", 9.0, workers=9), policy=Lengths(1.0, 0.2, 1.0, 0.1, 99.0, 0.3))
    journeys = ask(env, client, 0.0, 0.1, 0.5, 1.45, 1.6, 2.0)
    assert list(journeys.end) == at(1.0, 0.3, 1.5, 1.55, 10.6, 2.3)
    assert list(journeys.status) == ["timeout"] * 4 + ["ok", "timeout"]


def test_who_asks_again_when_its_time_is_up_is_timed_anew():
    env = simpy.Environment()
    client = Client(env, Service(env, "orders", 9.0, workers=9), policy=Retry(Timeout(1.0), tries=3))
    journeys = ask(env, client, 0.0, 0.25)
    assert list(journeys.end) == at(3.0, 3.25) and list(journeys.status) == ["timeout"] * 2


@pytest.mark.parametrize("drop", [False, True])
def test_abandoned_calls_leak_no_worker(drop):
    env, draws = simpy.Environment(), Draws(1)
    service = Service(env, "orders", draws.exponential("work", 0.1), workers=3, drop_abandoned=drop)
    client = Client(env, Link(env, service, 0.001), Retry(Timeout(0.15), tries=3))
    journeys = poisson(env, 45.0, client, draws, until=60.0)  # far more than 30/s: most calls are abandoned
    env.run()
    assert journeys.unfinished == 0 and journeys.counts()["timeout"] > 500
    assert service.free == 3 and not service.waiting
    # As good as new afterwards.
    later = replay(env, [env.now + 1, env.now + 2], Client(env, service))
    env.run()
    assert later.counts() == {"ok": 2}


def test_an_abandoned_call_in_the_queue_is_served_all_the_same_or_put_aside():
    def end_of_second(drop):
        env = simpy.Environment()
        service = Service(env, "orders", 2.0, drop_abandoned=drop)
        hasty = Client(env, service, Timeout(1.0))
        replay(env, [0.0, 0.1], hasty)
        patient = replay(env, [1.5], service)
        env.run()
        return patient.end[0]

    assert end_of_second(False) == pytest.approx(6.0)
    assert end_of_second(True) == pytest.approx(4.0)


def test_retries_are_calls_like_any_other_and_their_work_adds_up():
    env, trace = simpy.Environment(), Trace(clock=lambda: env.now)
    service = Service(env, "orders", 10.0, workers=5, trace=trace)
    client = Client(env, service, Retry(Timeout(1.0), tries=3, backoff=Exponential(0.5, 5.0)), trace=trace)
    journeys = ask(env, client)
    # 1 s of waiting, 0.5 s of sleep, 1 s, 1 s of sleep, 1 s.
    assert list(journeys.end) == at(4.5) and journeys.counts() == {"timeout": 1}
    assert [call.attempt for call in trace.calls] == [1, 2, 3]
    assert [call.start for call in trace.calls] == at(0.0, 1.5, 3.5)
    assert [call.status for call in trace.calls] == ["timeout"] * 3
    assert [work.end for work in trace.work] == at(10.0, 11.5, 13.5)


def test_layered_retries_multiply():
    env, trace = simpy.Environment(), Trace(clock=lambda: env.now)
    place = Service(env, "tier 5", 0.01, fails=1, trace=trace)
    for tier in (4, 3, 2, 1):
        client = Client(env, place, Retry(Timeout(None), tries=3))
        place = Service(env, f"tier {tier}", 0.01, needs=[client], trace=trace)
    ask(env, Client(env, place, Retry(Timeout(None), tries=3), trace=trace))
    assert sum(work.who == "tier 5" for work in trace.work) == 3**5


def test_a_mistake_in_a_place_stops_the_run_even_in_an_abandoned_call():
    class Broken:
        def __init__(self, env):
            self.env = env

        def call(self, message):
            yield self.env.timeout(2.0)
            raise KeyError("quantity")

    for policy in (None, Timeout(1.0), Timeout(3.0)):
        env = simpy.Environment()
        with pytest.raises(KeyError, match="quantity"):
            ask(env, Client(env, Broken(env), policy))


def test_a_storm_with_a_bound_counts_its_unfinished():
    env, draws = simpy.Environment(), Draws(1)
    journeys = poisson(env, 12.0, Service(env, "orders", draws.exponential("work", 0.1)), draws, until=100.0)
    env.run(until=100.0)
    counts = journeys.counts()
    assert counts["unfinished"] == journeys.unfinished > 50
    assert sum(counts.values()) == len(journeys)
    assert np.isnan(journeys.latency).sum() == journeys.unfinished and math.isnan(journeys.latency.mean())
    assert journeys.quantile(0.5) < math.inf == journeys.quantile(1.0)
    without_them, at_least = np.nanmean(journeys.latency), journeys.waited(env.now)
    env.run()  # nobody arrives any more, and all are served
    assert journeys.unfinished == 0 and (journeys.latency >= at_least).all()
    assert without_them < 0.9 * journeys.latency.mean()  # left out, the unfinished flattered the service


# -- link -------------------------------------------------------------------------------------------


def test_a_link_delays_both_ways():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    delays = iter([0.25, 0.5])
    client = Client(env, Link(env, Service(env, "orders", 1.0, trace=trace), delays.__next__), trace=trace)
    journeys = ask(env, client)
    assert list(journeys.end) == at(1.75)
    assert [(m.sent, m.received) for m in trace.messages] == [at(0.0, 0.25), at(1.25, 1.75)]


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_a_link_loses_the_configured_share(share):
    env, draws, n = simpy.Environment(), Draws(1), 20_000
    served = Journeys()

    class Counting:
        def __init__(self, to):
            self.to = to

        def call(self, message):
            return served.follow(env, self.to, message)

    link = Link(env, Counting(Service(env, "orders", 0.0, workers=9)), 0.001, draws.bernoulli("loss", share))
    journeys = poisson(env, 1.0, Client(env, link, Timeout(1.0)), draws, count=n)
    env.run()
    there, back = len(served) / n, journeys.ok.sum() / len(served)  # both directions lose
    for kept, of in ((there, n), (back, len(served))):
        assert 1 - kept == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / of))
    assert set(journeys.counts()) == {"ok", "timeout"}


def test_a_lost_message_is_silent_and_without_a_timeout_never_ends():
    env = simpy.Environment()
    journeys = ask(env, Link(env, Service(env, "orders", 1.0), 0.1, loss=1))
    assert journeys.unfinished == 1
    env.run(until=1000)
    assert list(journeys)[0].end is None


# -- balancer ---------------------------------------------------------------------------------------


def test_a_balancer_counts_what_is_under_way():
    env, seen = simpy.Environment(), []

    class Watching(RoundRobin):
        def pick(self, outstanding):
            seen.append(list(outstanding))
            return super().pick(outstanding)

    services = [Service(env, name, 1.0) for name in ("a", "b")]
    journeys = ask(env, Balancer(env, services, Watching()), 0.0, 0.5, 0.75, 1.25, 9.0)
    assert seen == [[0, 0], [1, 0], [1, 1], [1, 1], [0, 0]]
    assert list(journeys.end) == at(1.0, 1.5, 2.0, 2.5, 10.0)


# -- call and first of --------------------------------------------------------------------------------


def test_a_call_begins_at_once_and_can_be_waited_for():
    env, seen = simpy.Environment(), []

    def steps():
        seen.append(env.now)
        yield env.timeout(2.0)
        return "done"

    def waiter(call):
        seen.append((yield call))
        seen.append((yield call))  # what has happened can be asked again

    call = Call(env, steps())
    assert seen == [0]
    env.process(waiter(call))
    env.process(waiter(call))
    env.run()
    assert seen == [0] + ["done"] * 4
    assert env.run(until=Call(env, steps())) == "done" and env.now == 4.0


def test_a_pause_takes_the_place_of_a_timeout():
    env, seen = simpy.Environment(), []

    def wait(name, event):
        assert (yield event) is None
        seen.append((name, env.now))

    for name, after in enumerate((1.0, 0.5, 1.0, 0, 0.5)):
        env.process(wait(name, Pause(env, after) if name % 2 else env.timeout(after)))
    env.run(until=FirstOf(env, Pause(env, 2.0), env.timeout(3.0)))
    assert seen == [(3, 0), (1, 0.5), (4, 0.5), (0, 1.0), (2, 1.0)] and env.now == 2.0
    with pytest.raises(ValueError, match="Negative delay -0.1"):
        Pause(env, -0.1)


def test_a_call_need_not_wait_for_what_has_happened():
    env = simpy.Environment()
    past = env.timeout(0, value="old news")
    env.run()

    def steps():
        return (yield past)

    assert Call(env, steps()).value == "old news"


def test_stopping_a_run_at_the_end_of_a_call_forgets_no_other_waiter():
    env, seen = simpy.Environment(), []

    def steps():
        yield env.timeout(2.0)

    def waiter(call):
        yield env.timeout(1.0)
        yield call
        seen.append(env.now)

    call = Call(env, steps())
    env.process(waiter(call))
    env.run(until=call)
    env.run()
    assert seen == [2.0]


def test_a_call_passes_failures_of_events_to_its_generator():
    env = simpy.Environment()

    def steps():
        event = env.event()
        event.fail(OSError("gone"))
        try:
            yield event
        except OSError as error:
            return str(error)

    call = Call(env, steps())
    env.run()
    assert call.value == "gone"


def test_the_first_of_two_events_wins():
    env, seen = simpy.Environment(), []

    def race(a, b):
        one, other = env.timeout(a), env.timeout(b)
        first = yield FirstOf(env, one, other)
        seen.append((env.now, first is one))

    for a, b in ((1.0, 2.0), (2.0, 1.0)):
        env.process(race(a, b))
    env.run()
    assert seen == [(1.0, True), (1.0, False)]
    past = env.timeout(0)
    env.run()
    assert FirstOf(env, env.event(), past).value is past


def test_the_failure_of_the_first_is_passed_on_and_that_of_the_second_is_nobodys_business():
    env, seen = simpy.Environment(), []

    def fails_after(delay):
        yield env.timeout(delay)
        raise OSError(f"failed after {delay}")

    def race(delay):
        try:
            seen.append((yield FirstOf(env, env.process(fails_after(delay)), env.timeout(1.0))).value)
        except OSError as error:
            seen.append(str(error))

    env.process(race(0.5))
    env.process(race(2.0))
    env.run()
    assert seen == ["failed after 0.5", None]


# -- trace ------------------------------------------------------------------------------------------


def test_the_trace_of_a_chain_shows_waiting_and_working():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    inventory = Service(env, "inventory", 2.0, trace=trace)
    gateway = Service(
        env,
        "gateway",
        1.0,
        workers=1,
        trace=trace,
        needs=[Client(env, Link(env, inventory, 0.25), Timeout(9.0), label="reserve")],
    )
    client = Client(env, Link(env, gateway, 0.5), name="client", trace=trace)
    replay(env, [0.0], client, label="order A")
    replay(env, [1.0], client, label="order B")
    env.run()

    assert [(m.sender, m.receiver, m.label, m.kind, m.sent, m.received) for m in trace.messages] == [
        ("client", "gateway", "order A", "request", 0.0, 0.5),
        ("client", "gateway", "order B", "request", 1.0, 1.5),
        ("gateway", "inventory", "reserve", "request", 1.5, 1.75),
        ("inventory", "gateway", "ok", "reply", 3.75, 4.0),
        ("gateway", "client", "ok", "reply", 4.0, 4.5),
        ("gateway", "inventory", "reserve", "request", 5.0, 5.25),
        ("inventory", "gateway", "ok", "reply", 7.25, 7.5),
        ("gateway", "client", "ok", "reply", 7.5, 8.0),
    ]
    assert [(w.who, w.label, w.start, w.end) for w in trace.work] == [
        ("gateway", "order A", 0.5, 4.0),
        ("inventory", "reserve", 1.75, 3.75),
        ("gateway", "order B", 4.0, 7.5),
        ("inventory", "reserve", 5.25, 7.25),
    ]
    outer, waiting = [call for call in trace.calls if call.caller == "client"]
    inner = [call for call in trace.calls if call.caller == "gateway"]
    assert (outer.callee, outer.start, outer.end, outer.status, outer.timeout) == ("gateway", 0.0, 4.5, "ok", None)
    assert (inner[0].parent, inner[0].timeout, inner[1].parent) == (outer.id, 9.0, waiting.id)
    # Order B reached the gateway at 1.5 and was worked on from 4.0: between them it waited.
    (work,) = [work for work in trace.work if work.id == waiting.id]
    assert work.start - 1.5 == 2.5


def test_the_trace_of_failures():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    losses = iter([True, False, False, False, True])
    service = Service(env, "orders", 1.0, queue_limit=0, trace=trace)
    lossy = Client(env, Link(env, service, 0.25, losses.__next__, trace=trace), Timeout(5.0), trace=trace)
    replay(env, [0.0, 10.0, 20.0], lossy)  # the request lost; answered; the answer lost
    hasty = Client(env, Link(env, service, 0.25), Timeout(1.0), name="shop", trace=trace)
    replay(env, [30.0], hasty)
    refused = Client(env, service, name="shop", trace=trace)
    replay(env, [30.5], refused)
    env.run()

    assert [(m.kind, m.sent, m.received, m.lost, m.lost_at) for m in trace.messages] == [
        ("request", 0.0, None, "lost on the link", 0.25),
        ("request", 10.0, 10.25, None, None),
        ("reply", 11.25, 11.5, None, None),
        ("request", 20.0, 20.25, None, None),
        ("reply", 21.25, None, "lost on the link", 21.5),
        ("request", 30.0, 30.25, None, None),
        ("request", 30.5, 30.5, None, None),
        ("reply", 30.5, 30.5, None, None),
        ("reply", 31.25, None, "came too late", 31.5),
    ]
    assert [call.status for call in trace.calls] == ["timeout", "ok", "timeout", "timeout", "rejected"]
    assert [call.end for call in trace.calls] == at(5.0, 11.5, 25.0, 31.0, 30.5)
    assert trace.messages[-1].label == "ok"


def test_behind_a_balancer_the_trace_names_the_one_that_received():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    balancer = Balancer(env, [Service(env, name, 1.0, trace=trace) for name in ("orders-1", "orders-2")], RoundRobin())
    ask(env, Client(env, balancer, trace=trace), 0.0, 0.5)
    assert [m.receiver for m in trace.messages if m.kind == "request"] == ["orders-1", "orders-2"]
    assert [m.sender for m in trace.messages if m.kind == "reply"] == ["orders-1", "orders-2"]


def test_a_trace_changes_nothing():
    def run(traced):
        env, draws = simpy.Environment(), Draws(1)
        trace = Trace(clock=lambda: env.now) if traced else None
        inventory = Service(env, "inventory", draws.exponential("a", 0.1), trace=trace)
        link = Link(env, inventory, 0.01, draws.bernoulli("loss", 0.05), trace=trace)
        gateway = Service(
            env,
            "gateway",
            draws.exponential("b", 0.05),
            workers=4,
            trace=trace,
            needs=[Client(env, link, Retry(Timeout(0.5)), trace=trace)],
        )
        journeys = poisson(env, 8.0, Client(env, gateway, Timeout(1.0), trace=trace), draws, count=500)
        env.run()
        return journeys.end.tolist(), journeys.counts()

    assert run(True) == run(False)


def test_a_service_without_a_client_traces_its_work():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    ask(env, Service(env, "orders", 1.0, trace=trace), 0.0, 0.5)
    assert [(w.start, w.end) for w in trace.work] == [(0.0, 1.0), (1.0, 2.0)]


# -- arrivals and journeys ------------------------------------------------------------------------------


def test_arrivals_stop_at_their_bound():
    env, draws = simpy.Environment(), Draws(1)
    service = Service(env, "orders", 0.01, workers=50)
    by_count = poisson(env, 100.0, service, draws, count=500, name="one")
    by_time = poisson(env, 100.0, service, draws, until=10.0, name="two")
    both = poisson(env, 100.0, service, draws, count=50, until=10.0, name="three")
    env.run()
    assert len(by_count) == 500 and len(both) == 50
    assert by_time.due.max() < 10.0 and 800 < len(by_time) < 1200
    assert by_count.due[-1] == pytest.approx(5.0, rel=0.3)


def test_users_wait_for_their_answers_and_do_not_march_in_step():
    env = simpy.Environment()
    service = Service(env, "orders", 1.0, workers=9)
    journeys = users(env, 3, 2.0, service, count=9)
    env.run()
    assert len(journeys) == 9
    assert sorted(journeys.due)[:3] == at(1 / 3, 1.0, 5 / 3)
    assert sorted(journeys.due)[3] == pytest.approx(1 / 3 + 3.0)


def test_users_who_would_stop_time_are_told():
    env = simpy.Environment()
    journeys = users(env, 2, 0.0, Service(env, "orders", 1.0, queue_limit=0), until=10)
    with pytest.raises(RuntimeError, match="give think more than 0 seconds"):
        env.run(until=10)
    assert journeys.counts()["rejected"] >= 1


def test_journeys_read_as_rows_and_arrays():
    env = simpy.Environment()
    journeys = replay(env, [0.0, 0.5, 3.0], Service(env, "orders", 1.0, queue_limit=0))
    env.run(until=3.5)
    assert list(journeys) == [(0.0, 1.0, "ok"), (0.5, 0.5, "rejected"), (3.0, None, None)]
    assert journeys.ok.tolist() == [True, False, False] and len(journeys) == 3
    assert journeys.waited(3.5).tolist() == [1.0, 0.0, 0.5]
    assert repr(journeys) == "<3 journeys: 1 ok, 1 rejected, 1 unfinished>"
    with pytest.raises(ValueError, match="no journeys yet"):
        Journeys().quantile(0.5)


def test_calls_that_never_end_are_collected_quietly():
    env = simpy.Environment()
    ask(env, Client(env, Link(env, Service(env, "orders", 1.0), 0.1, loss=1), Retry(Timeout(1.0))), *range(50))
    before = sum(isinstance(thing, Message) for thing in gc.get_objects())
    del env
    gc.collect()
    assert sum(isinstance(thing, Message) for thing in gc.get_objects()) <= before


# -- misuse -----------------------------------------------------------------------------------------

ENV = simpy.Environment()
ORDERS = Service(ENV, "orders", 0.1)


@pytest.mark.parametrize(
    "wrong, error, quoted",
    [
        (lambda: Service(ENV, "orders", -0.1), ValueError, "work=-0.1 must be >= 0 seconds"),
        (lambda: Service(ENV, "orders", math.nan), ValueError, "work=nan"),
        (lambda: Service(ENV, "orders", "fast"), TypeError, "work='fast'"),
        (lambda: Service(ENV, "orders", 0.1, workers=0), ValueError, "workers=0"),
        (lambda: Service(ENV, "orders", 0.1, workers=1.5), TypeError, "workers=1.5"),
        (lambda: Service(ENV, "orders", 0.1, queue_limit=-1), ValueError, "queue_limit=-1"),
        (lambda: Service(ENV, "orders", 0.1, fails=2), ValueError, "fails=2"),
        (lambda: Service(ENV, "orders", 0.1, needs=["inventory"]), TypeError, "need='inventory' is not a place"),
        (lambda: Link(ENV, ORDERS, -3), ValueError, "delay=-3 must be >= 0 seconds"),
        (lambda: Link(ENV, ORDERS, 0.1, loss=1.5), ValueError, "loss=1.5 must be a share from 0 to 1"),
        (
            lambda: Link(ENV, ORDERS, 0.1, loss=0.1),
            ValueError,
            r"loss=0.1 needs draws.*draws\.bernoulli\('loss', 0.1\)",
        ),
        (lambda: Link(ENV, ORDERS, 0.1, loss="some"), TypeError, "loss='some'"),
        (lambda: Link(ENV, None, 0.1), TypeError, "to=None is not a place"),
        (lambda: Client(ENV, "orders"), TypeError, "to='orders' is not a place"),
        (lambda: Client(ENV, ORDERS, policy=0.5), TypeError, "policy=0.5 is not a policy"),
        (lambda: Balancer(ENV, [], RoundRobin()), ValueError, "at least one place"),
        (lambda: Balancer(ENV, [ORDERS, 3], RoundRobin()), TypeError, "place=3"),
        (lambda: Balancer(ENV, [ORDERS], "random"), TypeError, "pick='random'"),
        (lambda: poisson(ENV, 0, ORDERS, Draws(1), count=1), ValueError, "rate=0"),
        (lambda: poisson(ENV, math.nan, ORDERS, Draws(1), count=1), ValueError, "rate=nan"),
        (lambda: poisson(ENV, 1, ORDERS, Draws(1)), ValueError, "give a bound"),
        (lambda: poisson(ENV, 1, ORDERS, Draws(1), count=0), ValueError, "count=0"),
        (lambda: poisson(ENV, 1, ORDERS, Draws(1), until=-1), ValueError, "until=-1"),
        (lambda: poisson(ENV, 1, "orders", Draws(1), count=1), TypeError, "place='orders'"),
        (lambda: users(ENV, 0, 1.0, ORDERS, count=1), ValueError, "n=0"),
        (lambda: users(ENV, 1, -1.0, ORDERS, count=1), ValueError, "think=-1.0"),
        (lambda: users(ENV, 1, 1.0, ORDERS), ValueError, "give a bound"),
        (lambda: replay(ENV, [1.0, 0.5], ORDERS), ValueError, "due=0.5 after 1.0"),
        (lambda: replay(ENV, [-1.0], ORDERS), ValueError, "due=-1.0"),
        (lambda: Call(ENV, "ok"), TypeError, "'ok' is not a generator"),
        (lambda: FirstOf(ENV), ValueError, "at least one event"),
    ],
)
def test_misuse_is_refused_by_name_and_leaves_nothing_behind(wrong, error, quoted):
    with pytest.raises(error, match=quoted):
        wrong()
    assert ENV.peek() == math.inf


def test_yielding_a_number_is_explained():
    class Sloppy:
        def call(self, message):
            yield 0.5

    env = simpy.Environment()
    with pytest.raises(TypeError, match=r"yielded 0\.5, which is no event"):
        ask(env, Sloppy())


def test_a_call_without_a_status_is_explained():
    class Forgetful:
        def __init__(self, env):
            self.env = env

        def call(self, message):
            yield self.env.timeout(0.5)

    for policy in (None, Timeout(1.0)):
        env = simpy.Environment()
        with pytest.raises(TypeError, match="ended (a call )?with None.*must return a status"):
            ask(env, Client(env, Forgetful(env), policy))


def test_a_pick_that_does_not_exist_is_named():
    class Wild(RoundRobin):
        def pick(self, outstanding):
            return 7

    env = simpy.Environment()
    with pytest.raises(IndexError, match="picked 7, but the places are 0 to 0"):
        ask(env, Balancer(env, [Service(env, "orders", 1.0)], Wild()))


def test_a_plain_string_is_a_status_too():
    class Fine:
        def __init__(self, env):
            self.env = env

        def call(self, message):
            yield self.env.timeout(1.0)
            return "ok"

    env = simpy.Environment()
    journeys = ask(env, Service(env, "gateway", 1.0, needs=[Client(env, Fine(env), Retry(Timeout(5.0)))]))
    assert journeys.status[0] == Status.OK
    assert reply_id("1") == "1.reply"


# -- what is interrupted, or goes wrong, gives its place back ------------------------------------------------


def leaving(env, place, at):
    """A process that calls ``place`` at once and is interrupted ``at`` seconds."""
    left = []

    def call():
        try:
            yield from place.call(Message())
        except simpy.Interrupt:
            left.append(env.now)

    def interrupt():
        yield env.timeout(at)
        if process.is_alive:
            process.interrupt()

    process = env.process(call())
    env.process(interrupt())
    return left


class Breaks:
    """A place that ends in a mistake."""

    def __init__(self, env):
        self.env = env

    def call(self, message):
        yield self.env.timeout(0.1)
        raise ZeroDivisionError


@pytest.mark.parametrize("at", [0.3, 0.5, 1.0, 1.2, 2.5], ids=lambda at: f"at {at}")
@pytest.mark.parametrize("outer", [False, True])
def test_an_interrupted_call_gives_its_worker_or_its_turn_back(at, outer):
    """At work, in the queue, and at the very moment when its turn comes (1.0)."""
    env, trace = simpy.Environment(), Trace()
    service = Service(env, "orders", 1.0, trace=trace)
    place = Balancer(env, [Service(env, "outer", 0.2, 2, needs=[service]) if outer else service], RoundRobin())
    for _ in range(3):
        leaving(env, place, at)
    env.run(until=10)
    assert service.busy == 0 and len(service.waiting) == 0 and place.outstanding == [0]
    assert all(work.end is not None for work in trace.work)
    later = poisson(env, 1, place, Draws(1), count=5)
    env.run(until=100)
    assert later.counts() == {"ok": 5}


def test_a_mistake_in_a_need_gives_the_worker_back():
    env = simpy.Environment()
    service = Service(env, "orders", 0.1, needs=[Breaks(env)])
    balancer = Balancer(env, [service], RoundRobin())

    def caller():
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                yield from balancer.call(Message())

    env.run(env.process(caller()))
    assert service.busy == 0 and balancer.outstanding == [0]


def test_an_interrupted_client_has_stopped_waiting_for_its_answer():
    env, trace = simpy.Environment(), Trace(lambda: env.now)
    service = Service(env, "orders", 1.0, drop_abandoned=True)
    client = Client(env, service, Timeout(9.0), trace=trace)
    for _ in range(4):
        leaving(env, client, 0.5)
    env.run(until=20)
    assert service.busy == 0 and [call.end for call in trace.calls] == [0.5] * 4
    assert {call.status for call in trace.calls} == {"cancelled"}


def test_the_disk_goes_on_writing_when_the_publisher_is_interrupted():
    env = simpy.Environment()
    queue = Queue(env, durable=True, broker=Broker(env, disk=1.0))
    leaving(env, Publisher(env, queue, confirm=True, persistent=True), 0.5)
    leaving(env, AsLetter(queue), 0.5)
    env.run(until=2)
    queue.broker.restart()
    env.run(until=3)
    assert queue.ready == 2 and queue.gone["restart"] == 0


class AsLetter:
    """A queue that is called with a persistent letter, by nobody but the caller."""

    def __init__(self, queue):
        self.queue = queue

    def call(self, message):
        return self.queue.call(Letter(Task(0, "mail", 0.0), persistent=True))


@pytest.mark.parametrize("mishap", ["an interrupt from outside", "a mistake in the work"])
def test_a_consumer_that_ends_gives_back_what_it_was_sent(mishap):
    env = simpy.Environment()
    queue = Queue(env)

    def fails(task):
        raise ZeroDivisionError

    one = Consumer(env, "one", queue, 1.0, prefetch=None, fails=fails if "mistake" in mishap else None)
    poisson(env, 100, Publisher(env, queue), Draws(1), count=5)
    if "mistake" in mishap:
        with pytest.raises(ZeroDivisionError):
            env.run(until=2)
    else:
        env.run(until=0.9)
        one._process.interrupt("somebody else")
    env.run(until=3)
    assert not one.is_up and queue.unacked == 0 and queue.ready == 5
