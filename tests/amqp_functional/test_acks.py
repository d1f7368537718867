"""Acknowledgements: order, redelivery, nack, reject, recover, messages taken one by one with get, and what the answer
to a method comes before or after."""

import pytest
from pamqp import body, commands, frame, header
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue, Tx

from tests.amqp_brokers import bodies, depth, eventually, fill, take
from tests.amqp_functional.test_connections import py_amqp, storm
from tests.amqp_wire import Consumer, Gone, Wire


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


# -- what comes first, the answer to a method or the notices that it causes --
#
# On the channel that asked, the answer comes first, but for what RabbitMQ's channel process decides by itself before
# it: returns, and confirms of messages that no queue has to take. What concerns other channels has no order in AMQP.

CAPABILITIES = {"consumer_cancel_notify": True, "publisher_confirms": True, "basic.nack": True}
MISSING = Queue.Declare(0, "missing", passive=True)
CONSUME = Basic.Consume(0, "Q", "tag")
DECLARE = Queue.Declare(0, "Q", exclusive=True)
CLOSE = Channel.Close(200, "", 0, 0)


def returned():
    return ("publish", "nowhere", True)


def message():
    return ("publish", "Q", False)


# What is sent, one thing at a time and with all its answers, then what is sent at once; and what comes back to that.
ORDERS = {
    "delete": ([DECLARE, CONSUME], [Queue.Delete(0, "Q")], "Queue.DeleteOk, Basic.Cancel"),
    "delete, two consumers": (
        [DECLARE, CONSUME, Basic.Consume(0, "Q", "other")],
        [Queue.Delete(0, "Q")], "Queue.DeleteOk, Basic.Cancel, Basic.Cancel",
    ),
    "delete, unacknowledged": (
        [DECLARE, CONSUME, message()], [Queue.Delete(0, "Q")], "Queue.DeleteOk, Basic.Cancel"
    ),
    "delete, no answer wanted": ([DECLARE, CONSUME], [Queue.Delete(0, "Q", nowait=True)], "Basic.Cancel"),
    "delete, quorum": (
        [Queue.Declare(0, "Q", durable=True, arguments={"x-queue-type": "quorum"}), CONSUME],
        [Queue.Delete(0, "Q")], "Queue.DeleteOk, Basic.Cancel",
    ),
    "cancel, auto-delete": (
        [Queue.Declare(0, "Q", auto_delete=True), CONSUME], [Basic.Cancel("tag")], "Basic.CancelOk"
    ),
    "delete the exchange of a queue": (
        [DECLARE, commands.Exchange.Declare(0, "X"), Queue.Bind(0, "Q", "X"), CONSUME],
        [commands.Exchange.Delete(0, "X")], "Exchange.DeleteOk",
    ),
    "recover": (
        [DECLARE, CONSUME, message(), message()], [Basic.Recover(True)],
        "Basic.RecoverOk, Basic.Deliver, Basic.Deliver",
    ),
    "a larger prefetch": (
        [Basic.Qos(0, 1, True), DECLARE, CONSUME, message(), message()],
        [Basic.Qos(0, 2, True)], "Basic.QosOk, Basic.Deliver",
    ),
    "no prefetch any more": (
        [Basic.Qos(0, 1, True), DECLARE, CONSUME, message(), message()],
        [Basic.Qos(0, 0, True)], "Basic.QosOk, Basic.Deliver",
    ),
    "consume": ([DECLARE, message()], [CONSUME], "Basic.ConsumeOk, Basic.Deliver"),
    "return and confirm": ([Confirm.Select()], [returned()], "Basic.Return, Basic.Ack"),
    "return, confirm and an answer": (
        [Confirm.Select()], [returned(), DECLARE], "Basic.Return, Basic.Ack, Queue.DeclareOk"
    ),
    "return, confirm and the channel's end": (
        [Confirm.Select()], [returned(), CLOSE], "Basic.Return, Basic.Ack, Channel.CloseOk"
    ),
    "return, confirm and a mistake": (
        [Confirm.Select()], [returned(), MISSING], "Basic.Return, Basic.Ack, Channel.Close"
    ),
    "return, confirm and the connection's end": (
        [Confirm.Select()], [returned(), Connection.Close(200, "", 0, 0)],
        "Basic.Return, Basic.Ack, Connection.CloseOk",
    ),
    "delivery and confirm": ([Confirm.Select(), DECLARE, CONSUME], [message()], "Basic.Deliver, Basic.Ack"),
    "delivery and commit": ([Tx.Select(), DECLARE, CONSUME], [message(), Tx.Commit()], "Basic.Deliver, Tx.CommitOk"),
    "return and commit": ([Tx.Select()], [returned(), Tx.Commit()], "Basic.Return, Tx.CommitOk"),
}  # fmt: skip


def marshalled(step, names):
    if isinstance(step, tuple):
        _, key, mandatory = step
        content = (Basic.Publish(0, "", names.get(key, key), mandatory=mandatory),
                   header.ContentHeader(0, 1, Basic.Properties()), body.ContentBody(b"x"))  # fmt: skip
        return b"".join(frame.marshal(each, 1) for each in content)
    values = {name: getattr(step, name) for name in step.__slots__ if hasattr(step, name)}
    values = {name: names.get(value, value) if isinstance(value, str) else value for name, value in values.items()}
    return frame.marshal(type(step)(**values), 0 if isinstance(step, Connection.Close) else 1)


def answers(wire, quiet):
    """The names of the methods that come until none came for ``quiet`` seconds."""
    found = []
    try:
        while True:
            found.append(wire.receive(quiet)[1])
    except (TimeoutError, Gone):
        return [each.name for each in found if not isinstance(each, (header.ContentHeader, body.ContentBody))]


@pytest.mark.parametrize("case", ORDERS)
def test_what_comes_first(broker, case):
    before, at_once, expected = ORDERS[case]
    names = {"Q": broker.name(), "X": broker.name("x")}
    with Wire(broker.url, capabilities=CAPABILITIES) as wire:
        wire.channel()
        for step in before:
            wire.send_bytes(marshalled(step, names))
            wire.receive() if not isinstance(step, tuple) else answers(wire, 0.05)
        wire.send_bytes(b"".join(marshalled(step, names) for step in at_once))
        expected = expected.split(", ")
        found = []
        while len(found) < len(expected):
            each = wire.receive()[1]
            if not isinstance(each, (header.ContentHeader, body.ContentBody)):
                found.append(each.name)
        assert found == expected
        assert answers(wire, 0.05) == []


def test_py_amqp_deletes_a_queue_that_it_consumes_from_itself(broker):
    """It, and kombu on it, raises ConsumerCancelled out of the delete when the notice comes first."""
    queue, told = broker.name(), []
    with py_amqp(broker.url) as connection:
        channel = connection.channel()
        channel.queue_declare(queue)
        channel.basic_consume(queue, callback=print, on_cancel=told.append, consumer_tag="tag")
        assert channel.queue_delete(queue) == 0
        connection.drain_events(timeout=10)
    assert told == ["tag"]
