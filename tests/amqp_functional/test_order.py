"""What comes first, the answer to a method or the notices that it causes: pinned on RabbitMQ 3.10.8.

On the channel that asked, the answer comes first, but for what RabbitMQ's channel process decides by itself before it:
returns, and confirms of messages that no queue has to take. What concerns other channels has no order in AMQP.
"""

import pytest
from pamqp import body, commands, frame, header
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue, Tx

from tests.amqp_functional.test_connections import py_amqp
from tests.amqp_wire import Gone, Wire

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
#: Where two processes of RabbitMQ speak of one message: the queue's first as a rule, the other first on a busy machine.
RACED = ("delivery and confirm", "delivery and commit")


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
        if broker.kind == "rabbitmq" and case in RACED:
            found, expected = sorted(found), sorted(expected)
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
