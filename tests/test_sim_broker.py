"""The simulated queue with its broker, publishers and consumers: exact trajectories, and what faults do to it."""

import numpy as np
import pytest
import simpy

from servicelab import theory
from servicelab.policies import Status
from servicelab.sim import (
    Broker,
    Consumer,
    Draws,
    Link,
    Message,
    Publisher,
    Queue,
    free_at,
    outcome,
    poisson,
    replay,
    waits,
)
from servicelab.sim.consumer import AFTER_ACK, BEFORE_ACK, BEFORE_ARRIVAL, BEFORE_WORK, POINTS
from servicelab.trace import Trace


def crash_on(point, *numbers):
    """Die of the first delivery of these tasks, at ``point``."""
    return lambda letter: point if letter.task.number in numbers and not letter.redelivered else None


def crash_by_lot(lot):
    return lambda letter: BEFORE_ACK if lot() else None


def a_queue(consumers=1, work=1.0, publisher=None, consumer=None, **queue):
    """An environment, a queue, a publisher before it and consumers behind it."""
    env = simpy.Environment()
    queue = Queue(env, "mails", **queue)
    orders = Publisher(env, queue, "orders", **publisher or {})
    names = "ABCDEFG"[:consumers]
    return env, queue, orders, [Consumer(env, name, queue, work, **consumer or {}) for name in names]


def at(*numbers):
    return pytest.approx(list(numbers), abs=1e-9)


# -- a queue without faults ---------------------------------------------------------------------


@pytest.mark.parametrize("consumers", [1, 2, 7])
@pytest.mark.parametrize("load", [0.5, 0.95, 1.2])
def test_the_exact_trajectory_is_that_of_the_recursion(consumers, load):
    count, draws = 5000, Draws(1)
    env, queue, orders, _ = a_queue(consumers, draws.exponential("work", 1.0))
    poisson(env, load * consumers, orders, draws, count=count)
    env.run()
    fresh = Draws(1)
    arrivals = np.cumsum(fresh.exponential("arrivals", 1 / (load * consumers)).sample(count))
    services = fresh.exponential("work", 1.0).sample(count)
    starts = free_at(arrivals, services, consumers)
    assert np.abs(waits(orders.tasks) - (starts - arrivals)).max() < 1e-9
    assert np.abs([task.done[0] for task in orders.tasks] - (starts + services)).max() < 1e-9
    assert outcome(orders.tasks) == (0, count, 0)
    assert queue.ready == queue.unacked == 0


@pytest.mark.parametrize("crashes", [False, True])
def test_littles_law_on_a_finite_path(crashes):
    draws = Draws(4)
    lot = draws.bernoulli("crash", 0.2)
    crash = (lambda letter: BEFORE_WORK if lot() else None) if crashes else None
    env, queue, orders, _ = a_queue(2, draws.exponential("work", 1.0), consumer={"crash": crash, "restart": 0.5})
    poisson(env, 1.5, orders, draws, count=2000)
    env.run()
    stayed = sum(task.done[0] - task.published for task in orders.tasks)
    assert queue.depth.area(env.now) == pytest.approx(stayed, rel=1e-9)


def test_the_depth_is_what_waits_and_what_is_worked_on():
    env, queue, orders, _ = a_queue(consumer={"prefetch": 2})
    replay(env, [0.0, 0.1, 0.2, 0.3], orders)
    env.run()
    assert list(queue.depth.at([0.05, 0.15, 0.35, 1.5, 2.5, 3.5, 4.5])) == [1, 2, 4, 3, 2, 1, 0]
    now = np.searchsorted(queue.depth.time, 0.35, side="right") - 1
    assert (queue.depth.ready[now], queue.depth.unacked[now]) == (2, 2)
    assert queue.depth.at(-1.0) == 0


@pytest.mark.parametrize("prefetch", [1, 2, 3, 5, None])
def test_the_window_limits_the_rate(prefetch):
    env, queue, orders, _ = a_queue(work=0.010, consumer={"prefetch": prefetch, "delay": 0.010})
    replay(env, [0.0] * 600, orders)
    env.run()
    ends = [task.done[0] for task in orders.tasks]
    rate = 500 / (ends[599] - ends[99])
    assert rate == pytest.approx(theory.window_rate(0.010, 0.020, prefetch or 600), rel=1e-9)


def test_consumers_take_turns_and_a_full_one_is_passed_over():
    env, queue, orders, (a, b) = a_queue(2, consumer={"prefetch": 2})
    trace = Trace(clock=lambda: env.now)
    for consumer in (a, b):
        consumer.trace = trace
    replay(env, [0.0] * 6, orders)
    env.run(until=0.5)
    assert [message.receiver for message in trace.messages] == ["A", "B", "A", "B"]
    assert queue.ready == 2 and queue.unacked == 4


def test_a_large_prefetch_keeps_messages_from_an_idle_consumer():
    def last_end(prefetch):
        env, queue, orders, (a,) = a_queue(1, consumer={"prefetch": prefetch})
        replay(env, [0.0] * 10, orders)
        env.run(until=0.5)
        Consumer(env, "late", queue, 1.0, prefetch=prefetch)
        env.run()
        return max(task.done[0] for task in orders.tasks)

    assert last_end(1) == pytest.approx(5.5)
    assert last_end(None) == pytest.approx(10.0)


def test_the_caller_does_not_wait_but_the_work_does():
    env, queue, orders, _ = a_queue()
    journeys = replay(env, [0.0, 0.0, 0.0], orders)
    env.run()
    assert list(journeys.latency) == at(0, 0, 0)
    assert list(waits(orders.tasks)) == at(0, 1, 2)


def test_any_place_can_publish_and_a_link_may_stand_between():
    env = simpy.Environment()
    queue = Queue(env, "mails", durable=True, broker=Broker(env, disk=0.3))
    orders = Publisher(env, Link(env, queue, delay=0.1), confirm=True, persistent=True)
    plain, careful = replay(env, [0.0], queue), replay(env, [0.0], orders)
    Consumer(env, "A", queue, 0.2)
    env.run()
    assert list(plain.latency) == at(0.0)  # not persistent: nothing to wait for
    assert list(careful.latency) == at(0.5)
    assert orders.tasks[0].confirmed == pytest.approx(0.5)
    assert orders.tasks[0].done == at(0.4)  # delivered before it is on disk, as RabbitMQ does


# -- a consumer dies ----------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 0.05])
@pytest.mark.parametrize(
    "point, auto_ack, expected",
    [
        (BEFORE_ARRIVAL, False, (0, 6, 0)),
        (BEFORE_WORK, False, (0, 6, 0)),
        (BEFORE_ACK, False, (0, 5, 1)),
        (AFTER_ACK, False, (0, 6, 0)),
        (BEFORE_ARRIVAL, True, (1, 5, 0)),
        (BEFORE_WORK, True, (1, 5, 0)),
        (BEFORE_ACK, True, (0, 6, 0)),
        (AFTER_ACK, True, (0, 6, 0)),
    ],
)
def test_the_four_points_of_death(point, auto_ack, expected, delay):
    env, queue, orders, consumers = a_queue(
        2, 0.2, consumer={"auto_ack": auto_ack, "delay": delay, "crash": crash_on(point, 2), "restart": 1.0}
    )
    replay(env, np.arange(6) * 0.5, orders)  # so slowly that nothing else is in the dead one's hands
    env.run()
    assert outcome(orders.tasks) == expected
    assert sum(consumer.deaths for consumer in consumers) == 1
    assert orders.tasks[2].deliveries == (2 if not auto_ack and point != AFTER_ACK else 1)


@pytest.mark.parametrize("point", POINTS)
def test_under_auto_ack_what_waits_in_the_consumer_dies_with_it(point):
    env, queue, orders, _ = a_queue(work=0.2, consumer={"auto_ack": True, "crash": crash_on(point, 2), "restart": 9.0})
    replay(env, np.arange(6) * 0.001, orders)
    env.run()
    # Before its work task 2 and all behind it are lost; before it arrives even those that arrived before.
    assert outcome(orders.tasks).lost == {BEFORE_ARRIVAL: 3, BEFORE_WORK: 4, BEFORE_ACK: 3, AFTER_ACK: 3}[point]


def test_without_auto_ack_all_that_was_prefetched_comes_back_in_order():
    env, queue, orders, (a,) = a_queue(consumer={"prefetch": 3})
    trace = Trace(clock=lambda: env.now)
    replay(env, [0.0] * 5, orders)
    env.run(until=0.5)
    b = Consumer(env, "B", queue, 1.0, prefetch=1, trace=trace)
    env.run(until=0.6)
    a.kill()
    a.kill()  # no second death
    env.run()
    assert (a.deaths, b.deaths) == (1, 0) and outcome(orders.tasks) == (0, 5, 0)
    assert [task.number for task in sorted(orders.tasks, key=lambda task: task.done[0])] == [3, 0, 1, 2, 4]
    again = [" again" in message.label for message in trace.messages if message.sender == "mails"]
    assert again == [False, True, True, True, False]


def test_an_interrupted_work_has_no_effect_and_is_repeated():
    env, queue, orders, (a,) = a_queue(consumer={"restart": 2.0})
    replay(env, [0.0], orders)
    env.run(until=0.7)
    a.kill()
    env.run()
    assert orders.tasks[0].done == at(3.7) and orders.tasks[0].began == 0.0


@pytest.mark.parametrize(
    "keys_first, point, expected",
    [
        (False, BEFORE_ACK, (0, 3, 0)),
        (True, BEFORE_ACK, (0, 3, 0)),
        (False, BEFORE_WORK, (0, 3, 0)),
        (True, BEFORE_WORK, (1, 2, 0)),  # noted as done, and never done
    ],
)
def test_a_key_makes_the_second_time_harmless(keys_first, point, expected):
    keys = set()
    env, queue, orders, _ = a_queue(
        2, consumer={"keys": keys, "keys_first": keys_first, "crash": crash_on(point, 1), "restart": 0.1}
    )
    replay(env, [0.0, 0.0, 0.0], orders)
    env.run()
    assert outcome(orders.tasks) == expected and keys == {0, 1, 2}
    assert orders.tasks[1].deliveries == 2


def test_a_key_that_is_noted_before_the_work_loses_it():
    for keys_first, lost in ((True, 1), (False, 0)):
        env, queue, orders, (a, _) = a_queue(2, consumer={"keys": set(), "keys_first": keys_first})
        replay(env, [0.0], orders)
        env.run(until=0.5)
        a.kill()  # in the middle of the work
        env.run()
        assert outcome(orders.tasks) == (lost, 1 - lost, 0)


def test_two_at_the_same_task_commit_once():
    keys = set()
    env, queue, orders, (a, b) = a_queue(2, consumer={"keys": keys}, durable=True, publisher={"persistent": True})
    replay(env, [0.0], orders)
    env.run(until=0.5)
    queue.broker.restart()  # a goes on working while b is sent the same task
    env.run()
    assert orders.tasks[0].deliveries == 2 and outcome(orders.tasks) == (0, 1, 0)


# -- failures, limits ---------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 3])
def test_a_poison_message_goes_to_the_dead_letters_after_its_limit(limit):
    env = simpy.Environment()
    dead = Queue(env, "dead")
    mails = Queue(env, "mails", delivery_limit=limit, dead_letter=dead)
    orders = Publisher(env, mails)
    Consumer(env, "A", mails, 0.1, fails=lambda task: task.number == 1)
    replay(env, [0.0] * 4, orders)
    env.run()
    assert orders.tasks[1].deliveries == limit + 1 and orders.tasks[2].deliveries == 1
    assert outcome(orders.tasks) == (1, 3, 0)
    assert dead.ready == 1 and mails.gone == {"delivered too often": 1}


def test_a_poison_message_without_a_limit_never_ends_and_holds_up_the_rest():
    env, queue, orders, _ = a_queue(work=0.1, consumer={"fails": lambda task: task.number == 1})
    replay(env, [0.0] * 4, orders)
    env.run(until=10.05)
    assert orders.tasks[1].deliveries == 100 and outcome(orders.tasks) == (3, 1, 0)


def test_refused_without_requeue_is_dead_lettered_at_once():
    env = simpy.Environment()
    dead = Queue(env, "dead")
    mails = Queue(env, "mails", dead_letter=dead)
    orders = Publisher(env, mails)
    Consumer(env, "A", mails, 0.1, fails=lambda task: True, requeue=False)
    replay(env, [0.0] * 3, orders)
    env.run()
    assert dead.ready == 3 and mails.gone["refused"] == 3 and orders.tasks[0].deliveries == 1


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_crashes_multiply_the_deliveries(p):
    means = []
    for seed in range(20):
        lot = Draws(seed).bernoulli("crash", p)
        env, queue, orders, _ = a_queue(2, 0.001, consumer={"crash": crash_by_lot(lot), "restart": 0.0})
        replay(env, [0.0] * 500, orders)
        env.run()
        deliveries = [task.deliveries for task in orders.tasks]
        assert deliveries == [len(task.done) for task in orders.tasks]  # every one of them did the work
        means.append(np.mean(deliveries))
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert np.mean(means) == pytest.approx(theory.deliveries(p), abs=5 * error)


def test_a_letter_expires_in_the_queue_but_not_in_a_consumers_hands():
    env = simpy.Environment()
    dead = Queue(env, "dead")
    mails = Queue(env, "mails", ttl=1.5, dead_letter=dead)
    orders = Publisher(env, mails)
    Consumer(env, "A", mails, 1.0)
    replay(env, [0.0, 0.0, 0.0], orders)
    env.run()
    assert outcome(orders.tasks) == (1, 2, 0)
    assert mails.gone == {"expired": 1} and dead.ready == 1 and list(mails.depth.at([1.4, 1.6])) == [2, 1]


def test_what_comes_back_too_old_expires():
    env, queue, orders, (a,) = a_queue(ttl=0.5, consumer={"fails": lambda task: True})
    replay(env, [0.0], orders)
    env.run(until=5)
    assert queue.gone == {"expired": 1} and orders.tasks[0].deliveries == 1 and queue.ready == 0


@pytest.mark.parametrize("overflow, done", [("drop-head", [0, 4, 5]), ("reject-publish", [0, 1, 2])])
def test_a_full_queue(overflow, done):
    env, queue, orders, _ = a_queue(max_length=2, overflow=overflow, publisher={"confirm": True, "attempts": 1})
    journeys = replay(env, np.arange(6) * 0.01, orders)
    env.run()
    assert [task.number for task in orders.tasks if task.done] == done
    rejected = overflow == "reject-publish"
    assert journeys.counts() == ({"ok": 3, "rejected": 3} if rejected else {"ok": 6})
    assert queue.gone == {"rejected" if rejected else "too many": 3}


def test_a_publisher_that_is_refused_tries_again_until_there_is_room():
    env, queue, orders, _ = a_queue(max_length=1, overflow="reject-publish", publisher={"confirm": True, "pause": 0.3})
    replay(env, [0.0, 0.0, 0.0, 0.0], orders)
    env.run()
    assert outcome(orders.tasks) == (0, 4, 0)
    assert max(task.confirmed for task in orders.tasks) > 2.0


# -- the broker goes down -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "durable, persistent, confirm, lost",
    [
        (False, False, False, 4), (True, False, False, 4), (False, True, False, 4), (True, True, False, 1),
        (False, False, True, 3), (True, True, True, 0),
    ],
)  # fmt: skip
def test_what_survives_a_restart_of_the_broker(durable, persistent, confirm, lost):
    """Three messages are in the queue, a fourth comes while the broker is down; nobody consumes until later."""
    env = simpy.Environment()
    mails = Queue(env, "mails", durable=durable)
    orders = Publisher(env, mails, confirm=confirm, persistent=persistent)
    replay(env, [0.0, 0.1, 0.2, 1.5], orders)
    env.run(until=1.0)
    mails.broker.restart(down=1.0)
    env.run(until=5.0)
    Consumer(env, "A", mails, 0.1)
    env.run()
    assert outcome(orders.tasks) == (lost, 4 - lost, 0)
    assert mails.gone["restart"] == (0 if durable and persistent else 3)


def test_what_is_not_on_disk_yet_is_lost_and_only_a_confirm_tells():
    for confirm, lost in ((False, 1), (True, 0)):
        env = simpy.Environment()
        mails = Queue(env, "mails", Broker(env, disk=0.2), durable=True)
        orders = Publisher(env, mails, confirm=confirm, persistent=True)
        journeys = replay(env, [0.0, 0.9], orders)
        env.run(until=1.0)
        mails.broker.restart(down=0.5)
        env.run(until=3.0)
        Consumer(env, "A", mails, 0.1)
        env.run()
        assert outcome(orders.tasks) == (lost, 2 - lost, 0)
        assert journeys.counts() == {"ok": 2}


def test_a_lost_confirm_makes_two_letters_of_one_task():
    lost = iter([False, True, False, False]).__next__  # the letter, its confirm, and both of the second attempt
    env = simpy.Environment()
    mails = Queue(env, "mails")
    orders = Publisher(env, Link(env, mails, delay=0.01, loss=lost), confirm=True, timeout=0.5)
    replay(env, [0.0], orders)
    Consumer(env, "A", mails, 0.1)
    env.run()
    assert outcome(orders.tasks) == (0, 0, 1)


def test_the_work_in_hand_when_the_broker_goes_down_is_done_twice():
    env, queue, orders, (a,) = a_queue(durable=True, publisher={"persistent": True}, consumer={"prefetch": 2})
    replay(env, [0.0, 0.0, 0.0], orders)
    env.run(until=0.5)
    queue.broker.restart(down=0.2)
    env.run()
    assert outcome(orders.tasks) == (0, 2, 1) and orders.tasks[0].done == at(1.0, 2.0)
    assert [task.deliveries for task in orders.tasks] == [2, 2, 1]


def test_a_restart_breaks_connections_however_quick_it_is():
    for auto_ack, expected in ((False, (0, 3, 0)), (True, (2, 1, 0))):
        env, queue, orders, (a,) = a_queue(
            durable=True, publisher={"persistent": True}, consumer={"auto_ack": auto_ack, "delay": 0.1, "keys": set()}
        )
        replay(env, [0.0, 0.0, 0.0], orders)
        env.run(until=0.05 if not auto_ack else 0.5)  # under way, or waiting in the consumer's hands
        queue.broker.restart()
        env.run()
        assert outcome(orders.tasks) == expected
        assert [task.deliveries for task in orders.tasks] == ([1, 1, 1] if auto_ack else [2, 1, 1])


def test_the_redelivered_flag_outlives_a_restart():
    env, queue, orders, (a,) = a_queue(durable=True, publisher={"persistent": True})
    trace = a.trace = Trace(clock=lambda: env.now)
    replay(env, [0.0, 0.0], orders)
    env.run(until=0.5)
    queue.broker.restart(down=1.0)
    env.run()
    sent = [message.label for message in trace.messages if message.receiver == "A"]
    assert sent == ["request", "request again", "request"]


def test_a_confirm_that_a_quick_restart_overtook_is_no_confirm():
    env = simpy.Environment()
    mails = Queue(env, "mails", Broker(env, disk=0.2), durable=True)
    orders = Publisher(env, mails, confirm=True, persistent=True, attempts=1)
    journeys = replay(env, [0.0], orders)
    env.run(until=0.1)
    mails.broker.restart()
    env.run()
    assert journeys.counts() == {"error": 1} and mails.ready == 0 and orders.tasks[0].confirmed is None


def test_one_who_died_on_an_old_connection_does_not_die_again_on_the_new_one():
    env, queue, orders, (a,) = a_queue(
        consumer={"prefetch": 2, "delay": 0.2, "crash": crash_on(BEFORE_ARRIVAL, 0, 1), "restart": 0.0}
    )
    replay(env, [0.0, 0.1], orders)
    env.run()
    assert a.deaths == 1 and outcome(orders.tasks) == (0, 2, 0)


def test_the_count_of_returns_begins_anew_among_the_dead_letters():
    env = simpy.Environment()
    dead = Queue(env, "dead", delivery_limit=1)
    mails = Queue(env, "mails", delivery_limit=1, dead_letter=dead)
    orders = Publisher(env, mails)
    for queue in (mails, dead):
        Consumer(env, queue.name, queue, 0.1, fails=lambda task: True)
    replay(env, [0.0], orders)
    env.run()
    assert orders.tasks[0].deliveries == 4 and dead.gone == {"delivered too often": 1}


def test_one_broker_takes_all_its_queues_down():
    env = simpy.Environment()
    broker = Broker(env)
    one, two = Queue(env, "one", broker), Queue(env, "two", broker, durable=True)
    replay(env, [0.0], one)
    replay(env, [0.0], Publisher(env, two, persistent=True))
    env.run(until=1.0)
    broker.restart()
    assert (one.ready, two.ready) == (0, 1)
    with pytest.raises(RuntimeError, match="broker is down already"):
        broker.restart()
    env.run()
    broker.restart(down=1.0)
    status = env.run(until=env.process(two.call(Message())))
    assert status == Status.ERROR


# -- in a diagram -------------------------------------------------------------------------------


def test_the_trace_holds_letters_confirms_deliveries_and_acks():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    mails = Queue(env, "mails", trace=trace)
    orders = Publisher(env, Link(env, mails, 0.01), confirm=True, trace=trace)
    Consumer(env, "A", mails, 0.1, delay=0.01, crash=crash_on(BEFORE_WORK, 0), restart=1.0, trace=trace)
    Consumer(env, "B", mails, 0.1, delay=0.01, trace=trace)
    replay(env, [0.0], orders, label="mail 17")
    env.run()
    seen = [(m.sender, m.receiver, m.label, round(m.sent, 3), round(m.received, 3)) for m in trace.messages]
    assert sorted(seen, key=lambda m: m[3:]) == [
        ("orders", "mails", "mail 17", 0.0, 0.01),
        ("mails", "A", "mail 17", 0.01, 0.02),
        ("mails", "orders", "confirm", 0.01, 0.02),
        ("mails", "B", "mail 17 again", 0.03, 0.04),
        ("B", "mails", "ack", 0.14, 0.15),
    ]
    (work,) = trace.work
    assert (work.who, [work.start, work.end]) == ("B", at(0.04, 0.14))
    assert [(change.who, change.value) for change in trace.changes] == [("A", "down"), ("A", "up")]


def test_a_letter_to_the_dead_is_lost_and_says_so():
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    mails = Queue(env, "mails", trace=trace)
    orders = Publisher(env, mails, trace=trace)
    Consumer(env, "A", mails, 0.1, delay=0.1, auto_ack=True, crash=crash_on(BEFORE_ARRIVAL, 0), trace=trace)
    replay(env, [0.0], orders)
    env.run()
    mails.broker.restart(down=1.0)
    replay(env, [env.now], orders)
    env.run()
    assert [message.lost for message in trace.messages] == [None, "nobody there", "broker down"]


@pytest.mark.parametrize("who", ["broker", "consumer"])
def test_what_is_under_way_when_an_end_goes_down_is_lost_in_the_picture_too(who):
    env = simpy.Environment()
    trace = Trace(clock=lambda: env.now)
    mails = Queue(env, "mails", durable=True, trace=trace)
    orders = Publisher(env, mails, persistent=True)
    consumer = Consumer(env, "A", mails, 0.1, delay=0.2, restart=0.05, trace=trace)
    replay(env, [0.0], orders)
    env.run(until=0.1)
    mails.broker.restart(down=0.05) if who == "broker" else consumer.kill()
    env.run()
    first, second, ack = trace.messages
    assert (first.lost, second.label, ack.label) == ("nobody there", "request again", "ack")
    assert second.lost is None and outcome(orders.tasks) == (0, 1, 0)


@pytest.mark.parametrize(
    "wrong, error, quoted",
    [
        (lambda env: Queue(env, max_length=-1), ValueError, "max_length=-1"),
        (lambda env: Queue(env, ttl=-1), ValueError, "ttl=-1"),
        (lambda env: Queue(env, delivery_limit=1.5), TypeError, "delivery_limit=1.5"),
        (lambda env: Queue(env, overflow="drop-tail"), ValueError, "overflow='drop-tail'"),
        (lambda env: Queue(env, dead_letter="dead"), TypeError, "dead_letter='dead'"),
        (lambda env: Broker(env, disk=-1), ValueError, "disk=-1"),
        (lambda env: Consumer(env, "A", Queue(env), 0.1, prefetch=0), ValueError, "prefetch=0"),
        (lambda env: Consumer(env, "A", Queue(env), -0.1), ValueError, "work=-0.1"),
        (lambda env: Consumer(env, "A", Queue(env), 0.1, restart=-1), ValueError, "restart=-1"),
        (lambda env: Publisher(env, "mails"), TypeError, "to='mails'"),
        (lambda env: Publisher(env, Queue(env), attempts=0), ValueError, "attempts=0"),
        (lambda env: Publisher(env, Queue(env), timeout=-1), ValueError, "timeout=-1"),
    ],
)
def test_misuse_is_refused(wrong, error, quoted):
    with pytest.raises(error, match=quoted):
        wrong(simpy.Environment())
