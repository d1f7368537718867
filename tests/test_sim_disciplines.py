"""What a service does with its queue, and how a slow one takes its callers along."""

import math

import numpy as np
import pytest
import simpy

from servicelab.policies import Retry, Status, Timeout
from servicelab.policies.bulkhead import Bulkhead
from servicelab.sim import Client, Draws, Service, poisson, replay
from servicelab.trace import Trace


def at(*numbers):
    return pytest.approx(list(numbers), abs=1e-9)


def ask(*times, until=None, **settings):
    """Journeys of requests at these times through one worker that takes 1 s."""
    env = simpy.Environment()
    journeys = replay(env, times, Service(env, "orders", 1.0, **settings))
    env.run(until=until)
    return journeys


# -- order --------------------------------------------------------------------------------------------


def test_first_in_first_out_and_last_in_first_out():
    assert list(ask(0.0, 0.1, 0.2, 0.3).end) == at(1.0, 2.0, 3.0, 4.0)
    assert list(ask(0.0, 0.1, 0.2, 0.3, order="lifo").end) == at(1.0, 4.0, 3.0, 2.0)
    # The newest at each turn: the one of 1.5 overtakes the one of 0.1.
    assert list(ask(0.0, 0.1, 0.2, 1.5, order="lifo").end) == at(1.0, 4.0, 2.0, 3.0)


def test_the_order_may_change_while_the_simulation_runs():
    env = simpy.Environment()
    service = Service(env, "orders", 1.0)
    journeys = replay(env, [0.0, 0.1, 0.2, 0.3, 0.4], service)
    env.run(until=1.5)
    service.order = "lifo"
    env.run(until=3.5)
    assert service.order == "lifo"
    service.order = "fifo"
    env.run()
    assert list(journeys.end) == at(1.0, 2.0, 5.0, 4.0, 3.0)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_order_changes_who_waits_but_not_how_many(load):
    """The mean wait is the same in any order that does not look at the work; the variance is least with FIFO.

    Source: J. F. C. Kingman, "The effect of queue discipline on waiting time variance", 1962.
    """

    def run(order):
        env, draws = simpy.Environment(), Draws(3)
        service = Service(env, "orders", draws.exponential("work", 1.0), order=order)
        journeys = poisson(env, load, service, draws, count=30_000)
        env.run()
        return journeys

    fifo, lifo = run("fifo"), run("lifo")
    # Somebody leaves at the very same moments: the n-th to be served takes the n-th draw, whoever that is.
    assert np.abs(np.sort(fifo.end) - np.sort(lifo.end)).max() < 1e-9
    assert lifo.latency.mean() == pytest.approx(fifo.latency.mean(), rel=1e-9)
    assert lifo.latency.std() > 1.2 * fifo.latency.std()


def test_under_overload_the_stack_answers_most_in_time_and_the_queue_almost_none():
    def in_time(order):
        env, draws = simpy.Environment(), Draws(1)
        service = Service(env, "orders", draws.exponential("work", 0.01), order=order)
        journeys = poisson(env, 130.0, Client(env, service, Timeout(1.0)), draws, until=60.0)
        env.run(until=61.5)
        assert journeys.unfinished == 0
        return journeys.ok.mean()

    # At 1.3 times the capacity at most 1 / 1.3 = 77% can be answered at all.
    assert in_time("fifo") < 0.15
    assert 0.65 < in_time("lifo") < 0.80


# -- shedding -----------------------------------------------------------------------------------------


def test_whoever_has_waited_too_long_is_rejected_at_the_counter_and_costs_no_work():
    journeys = ask(0.0, 0.1, 0.2, 1.5, max_wait=1.6)
    assert list(journeys.status) == ["ok", "ok", "rejected", "ok"]
    assert list(journeys.end) == at(1.0, 2.0, 2.0, 3.0)


def test_one_turn_sheds_as_many_as_have_waited_too_long():
    env = simpy.Environment()
    work = iter([5.0, 1.0])
    service = Service(env, "orders", work.__next__, max_wait=1.0)
    journeys = replay(env, [0.0, 0.1, 0.2, 0.3, 4.5, 4.6], service)
    env.run(until=5.5)
    assert list(journeys.status) == ["ok", "rejected", "rejected", "rejected", None, None]
    assert journeys.end[1:4].tolist() == at(5.0, 5.0, 5.0) and (service.busy, len(service.waiting)) == (1, 1)


def test_after_shedding_the_last_the_worker_is_free():
    env = simpy.Environment()
    service = Service(env, "orders", 5.0, max_wait=1.0)
    replay(env, [0.0, 0.1, 0.2], service)
    env.run()
    assert (service.busy, len(service.waiting), env.now) == (0, 0, 5.0)


def test_a_shed_request_is_answered_in_the_trace_and_does_no_work():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    service = Service(env, "orders", 5.0, max_wait=1.0, trace=trace)
    replay(env, [0.0, 0.5], Client(env, service, trace=trace))
    env.run()
    assert [(work.start, work.end) for work in trace.work] == [(0.0, 5.0)]
    assert [(call.end, call.status) for call in trace.calls] == [(5.0, "ok"), (5.0, "rejected")]


def test_a_limit_on_the_wait_keeps_the_answers_young():
    env, draws = simpy.Environment(), Draws(1)
    service = Service(env, "orders", draws.constant("work", 0.01), max_wait=0.25)
    journeys = poisson(env, 200.0, service, draws, until=30.0)
    env.run()
    answered = journeys.latency[journeys.ok]
    assert answered.max() <= 0.25 + 0.01 + 1e-9
    assert len(answered) == pytest.approx(30.0 / 0.01, rel=0.02)  # the worker was never idle for long
    assert set(journeys.counts()) == {"ok", "rejected"}


# -- a cascade ------------------------------------------------------------------------------------------


class PerLabel:
    """What a caller's handler does: some requests need payment, the others nothing more."""

    def __init__(self, env, payment):
        self.env, self.payment = env, payment

    def call(self, message):
        if message.label == "pay":
            return (yield from self.payment.call(message))
        yield self.env.timeout(0.0)
        return Status.OK


WORKERS, CALLERS = 10, ("orders", "shipping", "notification")


def shop(*, slow, cure=None):
    """Three callers with 10 workers need payment for half of their 80 requests/s. It takes 20 ms, or 2 s when slow.

    Returns, for the second half of a minute: the worst caller's 95% latency for requests that do not need payment
    (seconds), payments/s, each caller's mean number of busy workers; and the payment service.
    """
    env, draws = simpy.Environment(), Draws(1)
    mean = 2.0 if slow else 0.02
    payment = Service(
        env, "payment", draws.exponential("payment", mean), workers=12, queue_limit=0 if cure == "queue_limit" else None
    )
    browsing, paying, services = [], [], []
    for name in CALLERS:
        policy = {"timeout": Timeout(0.1), "bulkhead": Bulkhead(Timeout(None), limit=3)}.get(cure)
        handler = PerLabel(env, Client(env, payment, policy))
        service = Service(env, name, draws.exponential(name, 0.01), workers=WORKERS, needs=[handler])
        services.append(service)
        browsing.append(poisson(env, 40.0, service, draws, until=60.0, name=f"{name} browse", label="browse"))
        paying.append(poisson(env, 40.0, service, draws, until=60.0, name=f"{name} pay", label="pay"))
    busy = []

    def watch():
        while True:
            yield env.timeout(0.0937)
            busy.append([service.busy for service in services])

    env.process(watch())
    env.run(until=60.0)
    late = [np.quantile(journeys.waited(60.0)[journeys.due > 30.0], 0.95) for journeys in browsing]
    paid = sum(int(((journeys.end > 30.0) & journeys.ok).sum()) for journeys in paying) / 30.0
    return max(late), paid, np.mean(busy[len(busy) // 2 :], axis=0), payment


def test_one_slow_service_empties_the_pools_of_three_callers():
    late, paid, busy, _ = shop(slow=False)
    assert late < 0.1 and paid == pytest.approx(120, rel=0.1) and (busy < 4).all()
    late, paid, busy, payment = shop(slow=True)
    assert (busy > WORKERS - 0.1).all()  # every worker of every caller waits for payment
    assert payment.busy == 12 and len(payment.waiting) == 3 * WORKERS - 12
    assert late > 10.0  # seconds, for pages that do not need payment at all
    assert paid < 8


def test_a_timeout_frees_the_callers_and_leaves_payment_to_work_for_nobody():
    late, paid, busy, payment = shop(slow=True, cure="timeout")
    assert late < 0.2 and (busy < 8).all()
    assert paid < 2  # whoever reaches the counter has long been given up
    assert len(payment.waiting) > 1000


def test_a_bulkhead_sacrifices_a_few_workers_to_payment_and_keeps_the_rest():
    late, paid, busy, payment = shop(slow=True, cure="bulkhead")
    assert late < 0.2
    assert (busy > 3).all() and (busy < 5).all()  # 3 are held, and less than one works
    assert paid == pytest.approx(9 / 2.0, rel=0.2) and not payment.waiting  # 3 callers × 3 calls of 2 s


def test_a_queue_limit_at_payment_itself_says_no_early_and_keeps_it_busy():
    late, paid, busy, payment = shop(slow=True, cure="queue_limit")
    assert late < 0.2
    assert (busy < 7).all() and busy.sum() == pytest.approx(12 + 2.4, rel=0.15)  # those in payment, and their own
    assert paid == pytest.approx(12 / 2.0, rel=0.2)  # all that payment can do


# -- misuse ---------------------------------------------------------------------------------------------

ENV = simpy.Environment()


@pytest.mark.parametrize(
    "wrong, error, quoted",
    [
        (lambda: Service(ENV, "orders", 0.1, order="newest"), ValueError, "order='newest' must be \"fifo\""),
        (lambda: Service(ENV, "orders", 0.1, max_wait=-1), ValueError, "max_wait=-1 must be >= 0 seconds"),
        (lambda: Service(ENV, "orders", 0.1, max_wait=math.inf), ValueError, "max_wait=inf"),
        (
            lambda: Service(ENV, "orders", 0.1, max_wait="long"),
            TypeError,
            "max_wait='long' must be a number of seconds",
        ),
        (lambda: setattr(Service(ENV, "orders", 0.1), "order", None), ValueError, "order=None"),
    ],
)
def test_misuse_is_refused_by_name(wrong, error, quoted):
    with pytest.raises(error, match=quoted):
        wrong()


@pytest.mark.parametrize(
    "settings",
    [
        {"order": "lifo"},
        {"max_wait": 0.2},
        {"order": "lifo", "max_wait": 0.2},
        {"order": "lifo", "drop_abandoned": True, "queue_limit": 20},
    ],
)
def test_no_discipline_loses_a_request_or_a_worker(settings):
    env, draws = simpy.Environment(), Draws(2)
    service = Service(env, "orders", draws.exponential("work", 0.1), workers=3, **settings)
    journeys = poisson(env, 40.0, Client(env, service, Retry(Timeout(0.3), tries=2)), draws, until=60.0)
    env.run()
    assert journeys.unfinished == 0 and journeys.counts()["ok"] > 500
    assert service.free == 3 and not service.waiting
