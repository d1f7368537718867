"""ZeroMQ's PUB/SUB with the course's lifecycle, and the same in SimPy: what is numbered, heard, missed and dropped."""

import time

import pytest
import simpy
import zmq

from servicelab.faults import FaultProxy, Latency
from servicelab.lifecycle import ServerError, running, stop_all
from servicelab.servers.pubsub import Publisher, Subscriber
from servicelab.sim import pubsub as sim
from tests.waiting import interrupted_start, left, wait_until

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def join(publisher, *subscribers):
    """Publish until all have heard something; returns the number that was published last."""
    wait_until(lambda: publisher.publish() and all(one.heard for one in subscribers))
    return publisher.published


def hears_until(subscriber, number):
    wait_until(lambda: subscriber.heard and subscriber.heard[-1] == number)


def test_every_event_has_the_next_number_and_whoever_is_there_hears_all_of_them():
    with Publisher("orders") as orders, Subscriber(orders, "shipping") as shipping:
        last = join(orders, shipping)
        assert [orders.publish() for _ in range(50)] == list(range(last + 1, last + 51))
        hears_until(shipping, last + 50)
        assert shipping.heard == list(range(shipping.heard[0], last + 51))
        assert shipping.dropped == 0
    assert orders.published == last + 50


def test_the_thread_publishes_so_many_and_the_numbers_begin_anew_after_a_restart():
    orders = Publisher("orders").start()
    orders.every(0.001, count=30)
    assert orders.wait() and orders.published == 30
    orders.every(0.001, count=5)  # the first is done
    assert orders.wait() and orders.published == 35
    orders.stop()
    with orders:
        assert orders.published == 0 and orders.publish() == 1


def test_a_stop_ends_the_thread_that_publishes_without_end():
    with Publisher("orders") as orders:
        orders.every(0.001)
        wait_until(lambda: orders.published > 3)
        with pytest.raises(ServerError, match=r"publishes already: call \.wait"):
            orders.every(0.001)
        assert not orders.wait(0.05)
    assert left() == []
    assert orders.wait()
    for act in (orders.publish, lambda: orders.every(0.1)):
        with pytest.raises(ServerError, match=r"orders is not running: call \.start"):
            act()


@pytest.mark.parametrize(
    ("topics", "hears"), [("order.", "order.paid"), (["pay", "order.d"], "order.dead"), ((), None)], ids=str
)
def test_prefixes_decide_who_hears_what(topics, hears):
    with (
        Publisher("orders") as orders,
        Subscriber(orders, "shipping", topics=topics) as shipping,
        Subscriber(orders, "all") as everything,
    ):
        if hears:
            wait_until(lambda: orders.publish(hears) and shipping.heard)
        join(orders, everything)
        before = len(shipping.heard)
        number = orders.publish("another")
        hears_until(everything, number)
        if hears:
            hears_until(shipping, orders.publish(hears))
        assert number not in shipping.heard
        assert bool(shipping.heard) == bool(hears) and len(shipping.heard) >= before


def test_who_is_slow_loses_what_finds_the_marks_full_and_its_gaps_say_how_many():
    small = {"SNDBUF": 4096, "SNDHWM": 10}, {"RCVBUF": 4096, "RCVHWM": 10}
    with (
        Publisher("orders", **small[0]) as orders,
        Subscriber(orders, "slow", pace=0.02, **small[1]) as slow,
    ):
        first = join(orders, slow)
        for _ in range(1500):
            orders.publish(body=bytes(10_000))
        slow.pace = 0
        wait_until(lambda: orders.publish() and slow.heard[-1] > first + 1500)
        assert slow.dropped > 1000
        assert slow.dropped + len(slow.heard) == slow.heard[-1] - slow.heard[0] + 1


def test_an_xpub_is_told_who_comes_and_who_goes():
    with Publisher("orders", kind=zmq.XPUB, XPUB_VERBOSE=1) as orders:
        told = []

        def tells(wanted):
            told.extend(orders.subscriptions())
            return told == wanted

        with Subscriber(orders, "a", topics=["order", "pay"]):
            wait_until(lambda: tells([(True, "order"), (True, "pay")]))
            with Subscriber(orders, "b", topics="order"):
                wait_until(lambda: tells([(True, "order"), (True, "pay"), (True, "order")]))
        wait_until(lambda: tells(told) and (False, "order") in told and (False, "pay") in told)
    with Publisher("orders") as plain, pytest.raises(ServerError, match="hears nobody: make it with kind=zmq.XPUB"):
        plain.subscriptions()


def test_over_a_line_whoever_joins_misses_more_than_near():
    def missed(delay):
        with Publisher("orders") as orders, FaultProxy(orders, "line") as line:
            for direction in ("upstream", "downstream"):
                line.add(Latency(delay, direction=direction))
            orders.every(0.005)
            wait_until(lambda: orders.published > 3)
            there = orders.published
            with Subscriber(line, "shipping") as shipping:
                wait_until(lambda: shipping.heard)
                return shipping.heard[0] - there

    # Five ways of 0.1 s are a hundred events; a proxy takes them one after the other, however late it wakes up.
    assert missed(0.1) >= 80 > 40 > min(missed(0.0) for _ in range(3))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Publisher("p", kind=zmq.SUB), r"does not publish: use zmq\.PUB or zmq\.XPUB"),
        (lambda: Publisher("p", SNDHVM=3).start(), "p: SNDHVM=3 is no option of this socket"),
        (lambda: Publisher("p", SNDHWM="many").start(), "p: SNDHWM='many' is no option"),
        (lambda: Publisher("p", port=70000), "port=70000 is no port"),
        (lambda: Publisher("", port=0), "a server needs a name"),
        (lambda: Subscriber("tcp://127.0.0.1:1", "s", RCVHVM=1).start(), "s: RCVHVM=1 is no option"),
        (lambda: Subscriber(Publisher("p"), "s").start(), r"p is not running: call \.start"),
    ],
)
def test_what_cannot_be_is_refused_with_its_mend(make, says):
    with pytest.raises(ServerError, match=says):
        make()


def test_times_and_counts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="pace=-1 must be >= 0 seconds"):
        Subscriber("tcp://127.0.0.1:1", pace=-1)
    with Publisher("p") as publisher:
        with pytest.raises(ValueError, match="period=0 must be > 0 seconds"):
            publisher.every(0)
        with pytest.raises(ValueError, match="count=0 must be a whole number >= 1"):
            publisher.every(0.1, count=0)
        with pytest.raises(
            ServerError, match=rf"could not listen on 127\.0\.0\.1:{publisher.port}.* by your server 'p'"
        ):
            Publisher("q", port=publisher.port).start()
        again = Publisher("r", port=0).start()
        assert again.url == f"tcp://127.0.0.1:{again.port}"
        again.stop()


def test_an_interrupt_while_it_starts_leaves_nothing(monkeypatch):
    with Publisher("orders") as orders:
        with interrupted_start(monkeypatch, "servicelab shipping subscriber"):
            Subscriber(orders, "shipping").start()
        wait_until(lambda: left() == [])
        with interrupted_start(monkeypatch, "servicelab orders publisher"):
            orders.every(0.001)
    assert left() == [] and len(running()) == 0


def test_stop_all_ends_them_in_either_order():
    orders = Publisher("orders").start()
    orders.every(0.002)
    Subscriber(orders, "shipping", pace=0.3).start()
    time.sleep(0.05)
    assert stop_all() == 2
    assert left() == []


# -- the same, simulated --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "delay", "missed"),
    [(200, 0.005, 6), (200, 0.01, 11), (200, 0.02, 21), (200, 0.04, 41), (1000, 0.005, 26), (1000, 0.04, 201)],
)
def test_who_joins_misses_the_event_of_the_moment_and_those_of_five_ways(rate, delay, missed):
    env = simpy.Environment()
    shipping = sim.Subscriber(env, delay)
    orders = sim.Publisher(env, 1 / rate, [shipping])
    env.run(until=1)
    assert shipping.missed == missed == 1 + round(5 * rate * delay)
    assert shipping.dropped == 0 and shipping.heard[0] == missed + 1
    assert orders.published - missed == len(shipping.heard) + shipping.waiting + round(rate * delay)


def test_who_is_slow_keeps_the_old_and_every_event_has_one_fate():
    env = simpy.Environment()
    slow = sim.Subscriber(env, work=10.0, room=20, joins=0.0995)
    orders = sim.Publisher(env, 0.01, [slow])
    env.run(until=3.0049)
    assert slow.missed == 1 and slow.waiting == 20 and len(slow.heard) == 1
    assert slow.heard == [12] and set(range(33, orders.published + 1)) == {
        number for number, why in slow.lost.items() if why == "dropped"
    }
    assert orders.published - 10 == slow.missed + slow.dropped + slow.waiting + len(slow.heard)


def test_a_simulated_subscriber_refuses_what_cannot_be():
    env = simpy.Environment()
    for wrong in ({"delay": -1}, {"work": -1}, {"room": 0}, {"joins": -1}):
        with pytest.raises(ValueError, match="must be"):
            sim.Subscriber(env, **wrong)
    with pytest.raises(ValueError, match="period=0 must be > 0 seconds"):
        sim.Publisher(env, 0, [])
