"""Acknowledgements: order, redelivery, nack, reject, recover, and messages taken one by one with get."""

import pytest
from pamqp import commands
from pamqp.commands import Basic, Queue

from tests.amqp_brokers import bodies, depth, eventually, fill, take
from tests.amqp_functional.test_connections import py_amqp, storm
from tests.amqp_wire import Consumer


@pytest.fixture
def queue(broker, channel):
    name = broker.name()
    channel.queue_declare(name)
    return name


# -- acknowledgement and order --


def test_deliveries_are_numbered_and_in_order(broker, channel, queue):
    fill(channel, queue, 100)
    with Consumer(broker.url, queue) as consumer:
        got = [consumer.next() for _ in range(100)]
    assert [tag for tag, *_ in got] == list(range(1, 101))
    assert [int(content) for _, content, *_ in got] == list(range(100))
    assert not any(redelivered for _, _, redelivered, _ in got)


def test_ack_multiple_takes_all_up_to_it_and_0_takes_all(broker, channel, queue):
    fill(channel, queue, 10)
    with Consumer(broker.url, queue) as consumer:
        consumer.numbers(10)
        consumer.send(Basic.Ack(4, multiple=True))
        consumer.send(Basic.Ack(7))
    eventually(lambda: depth(channel, queue) == 5)
    assert bodies(channel, queue) == [b"4", b"5", b"7", b"8", b"9"]
    fill(channel, queue, 3)
    with Consumer(broker.url, queue) as consumer:
        consumer.numbers(3)
        consumer.send(Basic.Ack(0, multiple=True))
        consumer.send(commands.Channel.Close(200, "", 0, 0))
        consumer.expect(commands.Channel.CloseOk, 1)
    assert depth(channel, queue) == 0


def test_ack_0_multiple_with_nothing_delivered_is_no_error(broker, queue):
    with Consumer(broker.url) as consumer:
        consumer.send(Basic.Ack(0, multiple=True))
        assert consumer.call(Queue.Declare(0, queue, passive=True)).queue == queue


def test_returned_messages_take_their_old_place(broker, channel, queue):
    fill(channel, queue, 5)
    eventually(lambda: depth(channel, queue) == 5)
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(4)]
    channel.basic_reject(tags[1])
    channel.basic_nack(tags[3])
    channel.basic_ack(tags[2])
    channel.basic_nack(tags[0])
    eventually(lambda: depth(channel, queue) == 4)
    got = [channel.basic_get(queue, auto_ack=True) for _ in range(4)]
    assert [int(content) for *_, content in got] == [0, 1, 3, 4]
    assert [method.redelivered for method, *_ in got] == [True, True, True, False]
    assert [method.message_count for method, *_ in got] == [3, 2, 1, 0]


def test_nack_multiple_with_and_without_requeue(broker, channel, queue):
    fill(channel, queue, 6)
    eventually(lambda: depth(channel, queue) == 6)
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(6)]
    channel.basic_nack(tags[1], multiple=True, requeue=False)
    channel.basic_nack(tags[3], multiple=True, requeue=True)
    channel.basic_nack(0, multiple=True)
    eventually(lambda: depth(channel, queue) == 4)
    assert bodies(channel, queue) == [b"2", b"3", b"4", b"5"]


def test_reject_without_requeue_is_the_end(broker, channel, queue):
    fill(channel, queue, 2)
    eventually(lambda: depth(channel, queue) == 2)
    channel.basic_reject(channel.basic_get(queue)[0].delivery_tag, requeue=False)
    assert bodies(channel, queue) == [b"1"]


def test_a_rejected_message_comes_back_to_the_same_consumer_at_once(broker, channel, queue):
    fill(channel, queue, 2)
    with Consumer(broker.url, queue, prefetch=1) as consumer:
        tag, first, redelivered, _ = consumer.next()
        assert (first, redelivered) == (b"0", False)
        for _ in range(3):
            consumer.send(Basic.Reject(tag, requeue=True))
            tag, again, redelivered, _ = consumer.next()
            assert (again, redelivered) == (b"0", True)
        consumer.send(Basic.Ack(tag))
        assert consumer.next()[1:3] == (b"1", False)


def test_automatic_acks_leave_nothing_to_return(broker, channel, queue):
    fill(channel, queue, 5)
    with Consumer(broker.url, queue, prefetch=1, no_ack=True) as consumer:
        assert consumer.numbers(5) == list(range(5))  # prefetch does not hold them
        consumer.call(Basic.Cancel(consumer.tag))
    fill(channel, queue, 1, first=9)
    assert take(channel, queue)[2] == b"9"


def test_what_a_closed_channel_had_returns_in_order_before_the_rest(broker, channel, queue):
    fill(channel, queue, 6)
    with Consumer(broker.url, queue, prefetch=4) as consumer:
        assert consumer.numbers(4) == [0, 1, 2, 3]
        consumer.send(Basic.Ack(2))
        assert consumer.numbers(1) == [4]
        consumer.send(commands.Channel.Close(200, "", 0, 0))
        consumer.expect(commands.Channel.CloseOk, 1)
    eventually(lambda: depth(channel, queue) == 5)
    got = [channel.basic_get(queue, auto_ack=True) for _ in range(5)]
    assert [(int(content), method.redelivered) for method, _, content in got] == [
        (0, True), (2, True), (3, True), (4, True), (5, False),
    ]  # fmt: skip


def test_recover_brings_all_unacknowledged_back(broker, channel, queue):
    fill(channel, queue, 3)
    with Consumer(broker.url, queue) as consumer:
        consumer.numbers(3)
        consumer.send(Basic.Ack(2))
        consumer.send(Basic.Recover(True))
        seen, answered = [], False
        while len(seen) < 2 or not answered:
            frame = consumer.receive()[1]
            answered = answered or isinstance(frame, Basic.RecoverOk)
            if isinstance(frame, Basic.Deliver):
                seen.append((frame.delivery_tag, frame.redelivered))
        assert seen == [(4, True), (5, True)]


@pytest.mark.filterwarnings("ignore:This command is deprecated:DeprecationWarning")
def test_recover_async_is_not_answered(broker, channel, queue):
    fill(channel, queue, 1)
    with Consumer(broker.url, queue) as consumer:
        consumer.next()
        consumer.send(Basic.RecoverAsync(True))
        assert consumer.next()[:3] == (2, b"0", True)


def test_py_amqp_recovers_and_rejects(broker, channel, queue):
    fill(channel, queue, 2)
    with py_amqp(broker.url) as connection:
        mine, seen = connection.channel(), []
        mine.basic_consume(
            queue, callback=lambda message: seen.append((message.body, message.delivery_info["redelivered"]))
        )
        while len(seen) < 2:
            connection.drain_events(timeout=10)
        mine.basic_recover(requeue=True)
        while len(seen) < 4:
            connection.drain_events(timeout=10)
        assert [redelivered for _, redelivered in seen] == [False, False, True, True]
        mine.basic_reject(3, requeue=False)
        mine.basic_ack(4)


# -- get --


def test_get_of_an_empty_queue(broker, channel, queue):
    assert channel.basic_get(queue) == (None, None, None)
    fill(channel, queue, 1)
    eventually(lambda: depth(channel, queue) == 1)
    method, _, content = channel.basic_get(queue)
    assert (content, method.message_count, depth(channel, queue)) == (b"0", 0, 0)
    assert channel.basic_get(queue)[0] is None


def test_storm_gets_and_settles(broker, channel, queue):
    fill(channel, queue, 3)
    eventually(lambda: depth(channel, queue) == 3)
    with storm(broker.url) as connection, connection.channel() as mine:
        first, second, third = (mine.basic.get(queue) for _ in range(3))
        assert mine.basic.get(queue) is None
        first.ack(), second.nack(requeue=True), third.reject(requeue=False)
        eventually(lambda: depth(channel, queue) == 1)
        again = mine.basic.get(queue)
        assert (again.body, again.redelivered) == ("1", True)
        again.ack()
    assert depth(channel, queue) == 0
