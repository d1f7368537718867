"""Every mistake a client can make, and the answer: which code, whose text, what is closed, for which method.

Written against RabbitMQ 3.10.8, which decides. A soft error closes the channel and leaves the connection alive; a hard
error closes the connection. RabbitMQ is milder than the specification in places (deleting what is not there, cancelling
an unknown consumer) and harder in others (an unknown exchange type ends the connection).
"""

from contextlib import suppress

import pytest
from pamqp import body, commands, header, heartbeat
from pamqp.commands import Basic, Confirm, Connection, Exchange, Queue, Tx

from tests.amqp_wire import Gone, Wire

# The names that a case may use: see the fixture ``scene``.
PLAIN, FULL, MINE, DIRECT, INTERNAL = "a-queue", "a-full-queue", "a-locked-queue", "an-exchange", "an-internal"


def queue(name="new", **properties):
    return Queue.Declare(0, name, **properties)


def quorum(durable=True, **more):
    properties = {name: more.pop(name) for name in ("exclusive", "auto_delete") if name in more}
    arguments = {"x-queue-type": "quorum", **{f"x-{name.replace('_', '-')}": value for name, value in more.items()}}
    return Queue.Declare(0, "new", durable=durable, arguments=arguments, **properties)


def classic(**arguments):
    return queue(arguments={f"x-{name.replace('_', '-')}": value for name, value in arguments.items()})


def exchange(name="new", kind="direct", **properties):
    return Exchange.Declare(0, name, kind, **properties)


def publish(exchange="", key=PLAIN, **properties):
    return ("publish", exchange, key, properties)


LOCKED = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue"
DEFAULT = "ACCESS_REFUSED - operation not permitted on the default exchange"
EXCLUSIVE_USE = "in exclusive use"

# What is sent, what is closed, the code, part of the text. The last method sent is the one that is blamed.
MISTAKES = {
    # queues
    "passive, absent": ([queue("absent", passive=True)], 404, "NOT_FOUND - no queue 'absent' in vhost '/'"),
    "passive, reserved name": ([queue("amq.absent", passive=True)], 404, "NOT_FOUND - no queue 'amq.absent'"),
    "reserved name": ([queue("amq.mine")], 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix"),
    "arguments differ, integers": (
        [queue(arguments={"x-expires": 600_000}), queue(arguments={"x-expires": 700_000})],
        406, "'x-expires' for queue 'new' in vhost '/': received '700000' but current is '600000'",
    ),
    "arguments differ, booleans": (
        [queue(arguments={"x-single-active-consumer": value}) for value in (True, False)],
        406, "received 'false' but current is 'true'",
    ),
    "arguments differ, a boolean is no integer": (
        [queue(arguments={"x-single-active-consumer": value}) for value in (True, 1)],
        406, "received '1' but current is 'true'",
    ),
    "arguments differ, strings": (
        [queue(arguments={"x-dead-letter-exchange": value}) for value in ("a", "ü")],
        406, "received 'ü' but current is 'a'",
    ),
    "arguments differ, a float": (
        [queue(arguments={"x-message-ttl": value}) for value in (1000, 1.5)],
        406, "received '1.5' but current is '1000'",
    ),
    "arguments differ, only the first": (
        [queue(arguments={"x-expires": 600_000}), queue()],
        406, "received none but current is the value '600000' of type 'signedint'",
    ),
    "arguments differ, only the second": (
        [queue(), queue(arguments={"x-message-ttl": 1.5})],
        406, "received the value '1.5' of type 'float' but current is none",
    ),
    "exchange, alternates differ": (
        [exchange(arguments={"alternate-exchange": value}) for value in ("a", "b")],
        406, "received 'b' but current is 'a'",
    ),
    "durable differs": ([queue(PLAIN, durable=True)], 406, "PRECONDITION_FAILED - inequivalent arg 'durable'"),
    "auto-delete differs": ([queue(PLAIN, auto_delete=True)], 406, "inequivalent arg 'auto_delete' for queue"),
    "exclusive differs": ([queue(PLAIN, exclusive=True)], 405, LOCKED),
    "arguments differ": ([queue(PLAIN, arguments={"x-max-length": 5})], 406, "inequivalent arg 'x-max-length'"),
    "type differs": ([queue(PLAIN, durable=True, arguments={"x-queue-type": "quorum"})], 406, "inequivalent arg"),
    "no queue declared yet, passive": ([queue("", passive=True)], 404, "NOT_FOUND - no queue '' in vhost '/'"),
    "no queue declared yet, bind": ([Queue.Bind(0, "", DIRECT, "k")], 404, "NOT_FOUND - no previously declared queue"),
    "no queue declared yet, consume": ([Basic.Consume(0, "")], 404, "NOT_FOUND - no previously declared queue"),
    "purge, absent": ([Queue.Purge(0, "absent")], 404, "NOT_FOUND - no queue 'absent'"),
    "delete if-empty, full": ([Queue.Delete(0, FULL, if_empty=True)], 406, "not empty"),
    "delete if-unused, used": ([Basic.Consume(0, PLAIN), Queue.Delete(0, PLAIN, if_unused=True)], 406, "in use"),
    # arguments of queues
    "ttl negative": ([classic(message_ttl=-1)], 406, "invalid arg 'x-message-ttl' for queue"),
    "ttl a text": ([classic(message_ttl="5")], 406, "invalid arg 'x-message-ttl' for queue"),
    "expires 0": ([classic(expires=0)], 406, "invalid arg 'x-expires' for queue"),
    "max-length negative": ([classic(max_length=-1)], 406, "invalid arg 'x-max-length' for queue"),
    "overflow unknown": ([classic(overflow="burst")], 406, "invalid arg 'x-overflow' for queue"),
    "priority 256": ([classic(max_priority=256)], 406, "invalid arg 'x-max-priority' for queue"),
    "priority negative": ([classic(max_priority=-1)], 406, "invalid arg 'x-max-priority' for queue"),
    "type unknown": ([classic(queue_type="ring")], 406, "invalid arg 'x-queue-type' for queue"),
    "dead letter key, no exchange": ([classic(dead_letter_routing_key="k")], 406, "routing_key_but_no_dlx_defined"),
    "single active consumer a text": ([classic(single_active_consumer="yes")], 406, "x-single-active-consumer"),
    "delivery limit, classic": ([classic(delivery_limit=2)], 406, "invalid arg 'x-delivery-limit' for queue"),
    "quorum, transient": ([quorum(durable=False)], 406, "invalid property 'non-durable' for queue"),
    "quorum, exclusive": ([quorum(exclusive=True)], 406, "invalid property 'exclusive-owner' for queue"),
    "quorum, auto-delete": ([quorum(auto_delete=True)], 406, "invalid property 'auto-delete' for queue"),
    "quorum, priorities": ([quorum(max_priority=3)], 406, "invalid arg 'x-max-priority' for queue"),
    "quorum, lazy": ([quorum(queue_mode="lazy")], 406, "invalid arg 'x-queue-mode' for queue"),
    # another connection's exclusive queue
    "exclusive, declare": ([queue(MINE, exclusive=True)], 405, LOCKED),
    "exclusive, passive": ([queue(MINE, passive=True)], 405, LOCKED),
    "exclusive, consume": ([Basic.Consume(0, MINE)], 405, LOCKED),
    "exclusive, get": ([Basic.Get(0, MINE)], 405, LOCKED),
    "exclusive, bind": ([Queue.Bind(0, MINE, "amq.direct", "k")], 405, LOCKED),
    "exclusive, purge": ([Queue.Purge(0, MINE)], 405, LOCKED),
    "exclusive, delete": ([Queue.Delete(0, MINE)], 405, LOCKED),
    # exchanges and bindings
    "exchange passive, absent": ([exchange("absent", passive=True)], 404, "NOT_FOUND - no exchange 'absent' in vhost"),
    "exchange, reserved name": ([exchange("amq.mine")], 403, "exchange name 'amq.mine' contains reserved prefix"),
    "exchange, type differs": ([exchange(DIRECT, "fanout")], 406, "received 'fanout' but current is 'direct'"),
    "exchange, durable differs": ([exchange(DIRECT, durable=True)], 406, "inequivalent arg 'durable' for exchange"),
    "exchange, internal differs": ([exchange(DIRECT, internal=True)], 406, "inequivalent arg 'internal' for exchange"),
    "exchange, alternate differs": (
        [exchange(DIRECT, arguments={"alternate-exchange": "amq.fanout"})], 406, "arg 'alternate-exchange'",
    ),
    "exchange, alternate a number": ([exchange(arguments={"alternate-exchange": 5})], 406, "'alternate-exchange'"),
    "exchange, predeclared differs": ([exchange("amq.direct")], 406, "inequivalent arg 'durable' for exchange"),
    "exchange default, declare": ([exchange("")], 403, DEFAULT),
    "exchange default, passive": ([exchange("", passive=True)], 403, DEFAULT),
    "exchange default, delete": ([Exchange.Delete(0, "")], 403, DEFAULT),
    "exchange default, bind": ([Queue.Bind(0, PLAIN, "", "k")], 403, DEFAULT),
    "exchange default, bind an absent queue": ([Queue.Bind(0, "absent", "", "k")], 403, DEFAULT),
    "exchange default, source, absent target": ([Exchange.Bind(0, "absent", "", "k")], 403, DEFAULT),
    "exchange default, target, absent source": ([Exchange.Bind(0, "", "absent", "k")], 403, DEFAULT),
    "exchange default, unbind": ([Queue.Unbind(0, PLAIN, "", PLAIN)], 403, DEFAULT),
    "exchange default, source": ([Exchange.Bind(0, DIRECT, "", "k")], 403, DEFAULT),
    "exchange default, destination": ([Exchange.Bind(0, "", DIRECT, "k")], 403, DEFAULT),
    "exchange system, delete": ([Exchange.Delete(0, "amq.direct")], 403, "deletion of system exchange 'amq.direct'"),
    "exchange if-unused, used": ([Exchange.Delete(0, DIRECT, if_unused=True)], 406, "in use"),
    "exchange bind, absent source": ([Exchange.Bind(0, DIRECT, "absent", "k")], 404, "no exchange 'absent'"),
    "exchange bind, absent target": ([Exchange.Bind(0, "absent", DIRECT, "k")], 404, "no exchange 'absent'"),
    "exchange bind, both absent": ([Exchange.Bind(0, "target", "source", "k")], 404, "no exchange 'source'"),
    "bind, both absent": ([Queue.Bind(0, "absent", "source", "k")], 404, "NOT_FOUND - no exchange 'source'"),
    "bind, absent queue": ([Queue.Bind(0, "absent", DIRECT, "k")], 404, "NOT_FOUND - no queue 'absent'"),
    "bind, absent exchange": ([Queue.Bind(0, PLAIN, "absent", "k")], 404, "NOT_FOUND - no exchange 'absent'"),
    "headers, match unknown": (
        [Queue.Bind(0, PLAIN, "amq.headers", "", arguments={"x-match": "some"})], 406, "nvalid x-match field value",
    ),
    "headers, match a number": (
        [Queue.Bind(0, PLAIN, "amq.headers", "", arguments={"x-match": 5})], 406, "nvalid x-match field type",
    ),
    # publishing
    "publish, absent exchange": ([publish("absent")], 404, "NOT_FOUND - no exchange 'absent' in vhost '/'"),
    "publish, internal exchange": ([publish(INTERNAL)], 403, "ACCESS_REFUSED - cannot publish to internal exchange"),
    "publish, expiration a word": ([publish(expiration="soon")], 406, "invalid expiration 'soon'"),
    "publish, expiration negative": ([publish(expiration="-1")], 406, "invalid expiration '-1'"),
    "publish, another's user id": ([publish(user_id="bob")], 406, "user_id property set to 'bob' but auth"),
    "publish, CC a number": ([publish(headers={"CC": 5})], 406, "PRECONDITION_FAILED - invalid message"),
    # consuming
    "consume, absent": ([Basic.Consume(0, "absent")], 404, "NOT_FOUND - no queue 'absent'"),
    "get, absent": ([Basic.Get(0, "absent")], 404, "NOT_FOUND - no queue 'absent'"),
    "consume exclusive, in use": (
        [Basic.Consume(0, PLAIN, "a"), Basic.Consume(0, PLAIN, "b", exclusive=True)], 403, EXCLUSIVE_USE,
    ),
    "consume beside an exclusive": (
        [Basic.Consume(0, PLAIN, "a", exclusive=True), Basic.Consume(0, PLAIN, "b")], 403, EXCLUSIVE_USE,
    ),
    "consume, priority a word": (
        [Basic.Consume(0, PLAIN, arguments={"x-priority": "high"})], 406, "invalid arg 'x-priority' for queue",
    ),
    "ack, unknown tag": ([Basic.Ack(7)], 406, "PRECONDITION_FAILED - unknown delivery tag 7"),
    "nack, unknown tag": ([Basic.Nack(7)], 406, "PRECONDITION_FAILED - unknown delivery tag 7"),
    "reject, unknown tag": ([Basic.Reject(7)], 406, "PRECONDITION_FAILED - unknown delivery tag 7"),
    "ack, tag 0": ([Basic.Ack(0)], 406, "PRECONDITION_FAILED - unknown delivery tag 0"),
    "ack twice": ([Basic.Get(0, FULL), Basic.Ack(1), Basic.Ack(1)], 406, "unknown delivery tag 1"),
    "reject after ack": ([Basic.Get(0, FULL), Basic.Ack(1), Basic.Reject(1)], 406, "unknown delivery tag 1"),
    "ack of an automatic ack": ([Basic.Get(0, FULL, no_ack=True), Basic.Ack(1)], 406, "unknown delivery tag 1"),
    # direct reply-to
    "reply-to, acknowledging": (
        [Basic.Consume(0, "amq.rabbitmq.reply-to")], 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge",
    ),
    "reply-to, twice": (
        [Basic.Consume(0, "amq.rabbitmq.reply-to", tag, no_ack=True) for tag in "ab"], 406, "consumer already set",
    ),
    "reply-to, no consumer": ([publish(reply_to="amq.rabbitmq.reply-to")], 406, "fast reply consumer does not exist"),
    "reply-to, get": ([Basic.Get(0, "amq.rabbitmq.reply-to")], 404, "NOT_FOUND - no queue 'amq.rabbitmq.reply-to'"),
    # transactions and confirms
    "commit, no transaction": ([Tx.Commit()], 406, "PRECONDITION_FAILED - channel is not transactional"),
    "rollback, no transaction": ([Tx.Rollback()], 406, "PRECONDITION_FAILED - channel is not transactional"),
    "confirms after tx": ([Tx.Select(), Confirm.Select()], 406, "cannot switch from tx to confirm mode"),
    "tx after confirms": ([Confirm.Select(), Tx.Select()], 406, "cannot switch from confirm to tx mode"),
}  # fmt: skip

# These end the connection.
GRAVE_MISTAKES = {
    "exchange, unknown type": ([exchange(kind="ring")], 503, "COMMAND_INVALID - unknown exchange type 'ring'"),
    "consumer tag used twice": (
        [Basic.Consume(0, PLAIN, "t"), Basic.Consume(0, FULL, "t")], 530, "NOT_ALLOWED - attempt to reuse consumer tag",
    ),
    "qos in bytes": ([Basic.Qos(100, 0)], 540, "NOT_IMPLEMENTED - prefetch_size!=0 (100)"),
    "immediate": ([("publish", "", PLAIN, {}, {"immediate": True})], 540, "NOT_IMPLEMENTED - immediate=true"),
    "recover without requeue": ([Basic.Recover(False)], 540, "NOT_IMPLEMENTED - requeue=false"),
    "flow off": ([commands.Channel.Flow(False)], 540, "NOT_IMPLEMENTED - active=false"),
    "channel opened twice": ([commands.Channel.Open()], 504, "CHANNEL_ERROR - second 'channel.open' seen"),
    "a method that only a server sends": ([Queue.DeclareOk("q", 0, 0)], 503, "COMMAND_INVALID - unimplemented method"),
    "connection method on a channel": ([Connection.Open("/")], 503, "COMMAND_INVALID - unimplemented method"),
}  # fmt: skip

# What RabbitMQ allows although the specification says otherwise, or where one could expect an error.
NO_MISTAKES = {
    "delete an absent queue": (Queue.Delete(0, "absent"), Queue.DeleteOk),
    "delete an absent exchange": (Exchange.Delete(0, "absent"), Exchange.DeleteOk),
    "unbind what was not bound": (Queue.Unbind(0, PLAIN, DIRECT, "other"), Queue.UnbindOk),
    "unbind an absent queue": (Queue.Unbind(0, "absent", DIRECT, "k"), Queue.UnbindOk),
    "unbind from an absent exchange": (Queue.Unbind(0, PLAIN, "absent", "k"), Queue.UnbindOk),
    "unbind an exchange": (Exchange.Unbind(0, DIRECT, "amq.direct", "k"), Exchange.UnbindOk),
    "cancel an unknown consumer": (Basic.Cancel("absent"), Basic.CancelOk),
    "flow on": (commands.Channel.Flow(True), commands.Channel.FlowOk),
    "declare the same again": (queue(PLAIN), Queue.DeclareOk),
    "declare a predeclared exchange": (exchange("amq.direct", durable=True), Exchange.DeclareOk),
    "an unknown argument": (classic(nonsense="kept"), Queue.DeclareOk),
    "declare the reply-to queue": (queue("amq.rabbitmq.reply-to"), Queue.DeclareOk),
    "select twice": (Confirm.Select(), Confirm.SelectOk),
}


@pytest.fixture
def scene(broker):
    """A plain queue bound to a direct exchange, a full one, another's exclusive one, an internal exchange."""
    names = {name: broker.name(name) for name in (PLAIN, FULL, DIRECT, INTERNAL, "new")}
    names[MINE] = "exclusive-" + names[PLAIN]
    with Wire(broker.url) as other:
        other.channel()
        other.call(Queue.Declare(0, names[MINE], exclusive=True))
        other.call(Queue.Declare(0, names[PLAIN]))
        other.call(Queue.Declare(0, names[FULL]))
        other.publish(b"one", "", names[FULL])
        other.call(Exchange.Declare(0, names[DIRECT], "direct"))
        other.call(Exchange.Declare(0, names[INTERNAL], "fanout", internal=True))
        other.call(Queue.Bind(0, names[PLAIN], names[DIRECT], "k"))
        yield names


@pytest.fixture
def wire(broker, scene):
    with Wire(broker.url) as wire:
        wire.channel()
        yield wire


def send(wire, step, names):
    """Send a step of a case with the names of this run; its class and method."""
    if isinstance(step, tuple):
        _, exchange, key, properties, *flags = step
        wire.publish(
            b"x", names.get(exchange, exchange), names.get(key, key), properties=Basic.Properties(**properties),
            **(flags[0] if flags else {}),
        )  # fmt: skip
        return 60, 40
    values = {name: getattr(step, name) for name in step.__slots__ if hasattr(step, name)}
    values = {k: names.get(v, v) if isinstance(v, str) and k != "consumer_tag" else v for k, v in values.items()}
    if "ticket" in values:
        values["ticket"] = 0
    wire.send(type(step)(**values))
    return step.index >> 16, step.index & 0xFFFF


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_closes_the_channel_and_no_more(broker, wire, scene, case):
    steps, code, text = MISTAKES[case]
    for step in steps:
        blamed = send(wire, step, scene)
    for name, given in scene.items():  # texts name the queue or exchange
        text = text.replace(f"'{name}'", f"'{given}'")
    what, found_code, found_text, found_blamed = wire.error()
    assert (what, found_code, found_blamed) == ("channel", code, blamed), found_text
    assert text in found_text
    wire.send(commands.Channel.CloseOk())
    wire.channel()  # the same number opens again, so the connection lives
    assert wire.call(Queue.Declare(0, scene[PLAIN], passive=True)).queue == scene[PLAIN]


@pytest.mark.parametrize("case", GRAVE_MISTAKES)
def test_a_grave_mistake_closes_the_connection(broker, wire, scene, case):
    steps, code, text = GRAVE_MISTAKES[case]
    for step in steps:
        blamed = send(wire, step, scene)
    what, found_code, found_text, found_blamed = wire.error()
    assert (what, found_code, found_blamed) == ("connection", code, blamed), found_text
    assert text in found_text
    wire.send(Connection.CloseOk(), 0)
    assert wire.ends()


@pytest.mark.parametrize("case", NO_MISTAKES)
def test_this_is_no_mistake(broker, wire, scene, case):
    step, answer = NO_MISTAKES[case]
    for _ in range(2):
        send(wire, step, scene)
        wire.expect(answer, 1)


@pytest.mark.parametrize("first, second", [({"durable": True}, {}), ({}, {"durable": True})])
def test_an_exclusive_queue_is_never_durable_so_both_declare_the_same(wire, scene, first, second):
    for properties in (first, second):
        wire.call(queue(scene["new"], exclusive=True, **properties))


def test_immediate_is_refused_when_its_content_has_come(wire):
    frames = [*PUBLISH, body.ContentBody(b"abcd")]
    frames[0] = Basic.Publish(0, "", "nobody", immediate=True)
    for frame in frames[:2]:
        wire.send(frame)
    with pytest.raises(TimeoutError):
        wire.receive(0.3)
    wire.send(frames[2])
    assert wire.error() == ("connection", 540, "NOT_IMPLEMENTED - immediate=true", (60, 40))


def test_a_message_larger_than_configured_closes_the_channel(broker, wire, monkeypatch):
    with broker.largest_message(1000):
        wire.channel(2)
        for size in (1000, 1001):
            wire.publish(bytes(size), "", "nobody", channel=2)
        text = "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000"
        assert wire.error() == ("channel", 406, text, (60, 40))


def test_after_a_channel_error_the_rest_of_the_channel_is_ignored_until_close_ok(broker, wire, scene):
    wire.send(Queue.Declare(0, "absent", passive=True))
    wire.send(Queue.Delete(0, scene[FULL]))
    wire.publish(b"late", "", scene[FULL])
    assert wire.error()[1] == 404
    wire.send(commands.Channel.CloseOk())
    wire.channel()
    assert wire.call(Queue.Declare(0, scene[FULL], passive=True)).message_count == 1
    other = wire.channel(2)
    assert wire.call(Queue.Purge(0, scene[FULL]), other).message_count == 1


def frame(kind: int, channel: int, payload: bytes, end: bytes = b"\xce") -> bytes:
    return bytes([kind]) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + end


PUBLISH = [Basic.Publish(0, "", "nobody"), header.ContentHeader(0, 4, Basic.Properties())]

# Frames out of order and malformed, on an open connection with channel 1: the code, and part of the text.
BAD_FRAMES = {
    "channel not open": ([(Queue.Declare(0, "q"), 5)], 504, "CHANNEL_ERROR - expected 'channel.open'"),
    "header without publish": ([(PUBLISH[1], 1)], 505, "UNEXPECTED_FRAME"),
    "body without header": ([(PUBLISH[0], 1), (body.ContentBody(b"abcd"), 1)], 505, "UNEXPECTED_FRAME"),
    "method instead of header": ([(PUBLISH[0], 1), (Tx.Select(), 1)], 505, "UNEXPECTED_FRAME"),
    "method instead of body": ([(PUBLISH[0], 1), (PUBLISH[1], 1), (Tx.Select(), 1)], 505, "UNEXPECTED_FRAME"),
    "channel method on channel 0": (
        [(Queue.Declare(0, "q"), 0)],
        504,
        "CHANNEL_ERROR - unexpected method in connection",
    ),
    "frame end missing": ([frame(1, 1, b"\x00\x0a\x00\x0a", b"\x00")], 501, "FRAME_ERROR"),
    "frame type unknown": ([frame(7, 1, b"abc")], 501, "FRAME_ERROR"),
    "frame too large": ([frame(3, 1, b"x" * 200_000)], 501, "FRAME_ERROR"),
    "heartbeat with a payload": ([frame(8, 0, b"x")], 501, "FRAME_ERROR"),
    "heartbeat on a channel": ([frame(8, 1, b"")], 505, "UNEXPECTED_FRAME"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_bad_frame_ends_this_connection_and_no_other(broker, scene, wire, case):
    steps, code, text = BAD_FRAMES[case]
    with Wire(broker.url) as bad:
        bad.channel()
        for step in steps:
            bad.send_bytes(step) if isinstance(step, bytes) else bad.send(*step)
        what, found_code, found_text, _ = bad.error()
        assert (what, found_code) == ("connection", code), found_text
        assert text in found_text
        bad.send_bytes(bytes(8))
    assert wire.call(Queue.Declare(0, scene[PLAIN], passive=True)).queue == scene[PLAIN]


def test_an_unknown_class_ends_this_connection_and_no_other(broker, scene, wire):
    """RabbitMQ drops the socket without a word here; a Connection.Close is as good."""
    with Wire(broker.url) as bad:
        bad.channel()
        bad.send_bytes(frame(1, 1, b"\x00\xff\x00\x0a"))
        with suppress(Gone):
            assert bad.error()[:2] == ("connection", 503)
    assert wire.call(Queue.Declare(0, scene[PLAIN], passive=True)).queue == scene[PLAIN]


def test_a_protocol_that_is_not_amqp_0_9_1_is_told_which_is(broker):
    for greeting in (b"AMQP\x01\x01\x00\x0a", b"HTTP/1.1", b"AMQP\x00\x00\x08\x00"):
        with Wire(broker.url, shake=False) as wire:
            wire.send_bytes(greeting)
            assert wire.socket.recv(8) == b"AMQP\x00\x00\x09\x01"
            with pytest.raises((Gone, TimeoutError)):
                wire.receive(5)
            assert wire.ends()


def test_heartbeats_are_welcome_at_any_time(broker, wire, scene):
    for _ in range(3):
        wire.send(heartbeat.Heartbeat(), 0)
    assert wire.call(Queue.Declare(0, scene[PLAIN], passive=True)).queue == scene[PLAIN]
