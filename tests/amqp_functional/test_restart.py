"""What outlives a restart of the broker: durable exchanges, bindings, queues and persistent messages, nothing else."""

import time

import pika
import pytest
from pamqp.commands import Basic, Confirm, Queue

from tests.amqp_brokers import bodies, closes, eventually
from tests.amqp_wire import Wire

PERSISTENT, TRANSIENT = pika.BasicProperties(delivery_mode=2), pika.BasicProperties(delivery_mode=1)


@pytest.fixture(scope="module")
def after(started_broker):
    """Everything that the tests below look at, made before one restart. RabbitMQ takes a second for it."""
    broker = started_broker
    names = {name: broker.name(name) for name in (
        "durable", "transient", "quorum", "priority", "x-durable", "x-inner", "x-transient", "unacked", "counted",
        "limited", "dead", "auto", "fresh",
    )}  # fmt: skip
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    channel.confirm_delivery()
    for name, arguments in {
        "durable": {}, "unacked": {}, "dead": {}, "fresh": {}, "quorum": {"x-queue-type": "quorum"},
        "priority": {"x-max-priority": 4},
        "counted": {"x-queue-type": "quorum", "x-delivery-limit": 5},
        "limited": {"x-max-length": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": names["dead"]},
    }.items():  # fmt: skip
        channel.queue_declare(names[name], durable=True, arguments=arguments)
    channel.queue_declare(names["auto"], durable=True, auto_delete=True)
    channel.queue_declare(names["transient"])
    channel.exchange_declare(names["x-durable"], "topic", durable=True)
    channel.exchange_declare(names["x-inner"], "headers", durable=True, internal=True)
    channel.exchange_declare(names["x-transient"], "fanout")
    channel.queue_bind(names["durable"], names["x-durable"], "a.*")
    channel.exchange_bind(names["x-inner"], names["x-durable"], "b.#")
    channel.queue_bind(names["durable"], names["x-inner"], "", arguments={"x-match": "any", "kind": "pdf"})
    channel.queue_bind(names["durable"], names["x-transient"])
    channel.queue_bind(names["transient"], names["x-durable"], "a.*")

    for number in range(5):
        channel.basic_publish("", names["durable"], b"p%d" % number, PERSISTENT)
        channel.basic_publish("", names["durable"], b"t%d" % number, TRANSIENT)
        channel.basic_publish("", names["unacked"], b"%d" % number, PERSISTENT)
        channel.basic_publish("", names["limited"], b"%d" % number, PERSISTENT)
        channel.basic_publish(
            "", names["priority"], b"%d" % number, pika.BasicProperties(delivery_mode=2, priority=number)
        )
        channel.basic_publish("", names["quorum"], b"%d" % number, TRANSIENT)  # persistent there all the same
    channel.basic_publish("", names["transient"], b"lost", PERSISTENT)
    channel.basic_publish("", names["fresh"], b"fresh", PERSISTENT)
    headers = {"deep": [1, {"a": None}], "ü": b"\xff"}
    properties = pika.BasicProperties(headers=headers, delivery_mode=2, message_id="7", timestamp=1_700_000_000)
    channel.basic_publish("", names["auto"], bytes(range(256)) * 1000, properties)
    channel.basic_publish("", names["counted"], b"again", PERSISTENT)
    channel.basic_reject(channel.basic_get(names["counted"])[0].delivery_tag, requeue=True)
    tags = [channel.basic_get(names["unacked"])[0].delivery_tag for _ in range(3)]
    channel.basic_ack(tags[1])
    eventually(lambda: channel.queue_declare(names["counted"], passive=True).method.message_count == 1)
    kept, broker.names = broker.names, []  # past the cleaning after each test
    broker.restart()
    yield names
    broker.names = kept
    broker.clean()


def test_persistent_messages_of_durable_queues_are_there_in_order(after, channel):
    assert bodies(channel, after["durable"]) == [b"p0", b"p1", b"p2", b"p3", b"p4"]
    assert bodies(channel, after["priority"]) == [b"4", b"3", b"2", b"1", b"0"]


def test_a_quorum_queue_keeps_every_message(after, channel):
    eventually(lambda: channel.queue_declare(after["quorum"], passive=True).method.message_count == 5)
    assert bodies(channel, after["quorum"]) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_quorum_queue_keeps_its_count_of_deliveries(after, channel):
    method, properties, _ = eventually(lambda: (got := channel.basic_get(after["counted"]))[0] and got)
    assert (method.redelivered, properties.headers["x-delivery-count"]) == (True, 1)
    channel.basic_ack(method.delivery_tag)


def test_what_was_not_acknowledged_is_there_and_what_was_is_not(after, channel):
    got = [channel.basic_get(after["unacked"], auto_ack=True) for _ in range(4)]
    assert [body for *_, body in got] == [b"0", b"2", b"3", b"4"]
    assert [method.redelivered for method, *_ in got] == [True, True, False, False]


def test_what_nobody_had_seen_is_not_redelivered(after, broker, channel):
    method, _, body = channel.basic_get(after["fresh"])
    assert body == b"fresh"
    assert not method.redelivered


def test_content_and_properties_are_whole(after, channel):
    _, properties, body = channel.basic_get(after["auto"], auto_ack=True)
    assert body == bytes(range(256)) * 1000
    assert (properties.message_id, properties.timestamp) == ("7", 1_700_000_000)
    assert properties.headers == {"deep": [1, {"a": None}], "ü": b"\xff"}


def test_transient_queues_and_exchanges_are_gone(after, connection):
    with closes(404):
        connection.channel().queue_declare(after["transient"], passive=True)
    with closes(404):
        connection.channel().exchange_declare(after["x-transient"], passive=True)


def test_durable_exchanges_and_bindings_are_there(after, connection, channel):
    channel.exchange_declare(after["x-durable"], "topic", durable=True)
    channel.exchange_declare(after["x-inner"], "headers", durable=True, internal=True)
    channel.queue_purge(after["durable"])
    channel.confirm_delivery()
    channel.basic_publish(after["x-durable"], "a.b", b"direct")
    channel.basic_publish(after["x-durable"], "b.c.d", b"no pdf", pika.BasicProperties(headers={"kind": "doc"}))
    channel.basic_publish(after["x-durable"], "b.c.d", b"inner", pika.BasicProperties(headers={"kind": "pdf"}))
    assert bodies(channel, after["durable"]) == [b"direct", b"inner"]


def test_arguments_of_queues_hold_and_dead_letters_are_there(after, channel):
    assert bodies(channel, after["dead"]) == [b"0", b"1", b"2"]
    channel.confirm_delivery()
    channel.basic_publish("", after["limited"], b"new")
    assert bodies(channel, after["limited"]) == [b"4", b"new"]
    assert bodies(channel, after["dead"]) == [b"3"]


def test_connections_end_with_connection_forced_and_clients_come_back(broker):
    """320, as when an operator stops the broker. aio-pika's robust connection restores queue and consumer by itself."""
    import asyncio

    import aio_pika

    from tests.amqp_brokers import run

    name = broker.name()
    blocking = pika.BlockingConnection(pika.URLParameters(broker.url))

    async def scenario():
        connection = await aio_pika.connect_robust(broker.url, reconnect_interval=0.1)
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(name, durable=True)
            seen = asyncio.Queue()
            await queue.consume(seen.put, no_ack=True)
            await channel.default_exchange.publish(aio_pika.Message(b"1"), name)
            assert (await seen.get()).body == b"1"
            await asyncio.to_thread(broker.restart)
            await connection.ready()
            while seen.empty():
                try:
                    await channel.default_exchange.publish(aio_pika.Message(b"2"), name, timeout=1)
                except (TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError):
                    await asyncio.sleep(0.05)
            assert (await seen.get()).body == b"2"

    run(scenario())
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught:
        blocking.process_data_events(1)
    assert caught.value.reply_code == 320
    assert caught.value.reply_text.startswith("CONNECTION_FORCED")


# -- a kill --

MANY = 200
LATE, LONG_AGO = 0.05, 1.0  # seconds before the kill
WINDOW = 0.17  # seconds from the first late message to the kill; after 0.2 s RabbitMQ begins to write


def sent_and_acknowledged(wire, messages, acknowledgements):
    """Publish to a queue, acknowledge all of another one; the broker has dealt with both when this returns."""
    for number in range(MANY):
        wire.publish(b"%d" % number, "", messages, properties=Basic.Properties(delivery_mode=2))
    for tag in acknowledgements:
        wire.send(Basic.Ack(tag))
    wire.call(Queue.Declare(0, messages, passive=True))


def confirmed(wire, queue, count):
    wire.call(Confirm.Select())
    for number in range(count):
        wire.publish(b"%d" % number, "", queue, properties=Basic.Properties(delivery_mode=2))
    while wire.expect(Basic.Ack, 1).delivery_tag < count:
        pass


def killed_in_time(broker, names):
    """Kill ``broker`` right after the last publish and acknowledgement. False if the machine stood still there."""
    with Wire(broker.url) as wire, Wire(broker.url) as sure:
        wire.channel(), sure.channel()
        for name in names.values():
            wire.call(Queue.Delete(0, name))
            wire.call(Queue.Declare(0, name, durable=True))
        tags = {}
        for name in ("acked early", "acked late", "acked, then confirmed"):
            with Wire(broker.url) as filling:
                filling.channel()
                confirmed(filling, names[name], MANY)
            tags[name] = []
            for _ in range(MANY):
                wire.send(Basic.Get(0, names[name]))
                tags[name].append(wire.expect(Basic.GetOk, 1).delivery_tag)
                wire.receive(), wire.receive()
        sent_and_acknowledged(wire, names["sent early"], tags["acked early"])
        time.sleep(LONG_AGO)
        for tag in tags["acked, then confirmed"]:
            wire.send(Basic.Ack(tag))
        wire.call(Queue.Declare(0, names["sent late"], passive=True))
        confirmed(sure, names["acked, then confirmed"], 1)
        began = time.monotonic()
        sent_and_acknowledged(wire, names["sent late"], tags["acked late"])
        time.sleep(LATE)
        broker.kill()
        return time.monotonic() - began < WINDOW


@pytest.fixture(scope="module")
def left(started_broker):
    """How many messages are in each queue after a kill."""
    broker = started_broker
    names = ("sent early", "sent late", "acked early", "acked late", "acked, then confirmed")
    names = {name: broker.name() for name in names}
    kept, broker.names = broker.names, []
    for _ in range(5):  # what came before the window counts, not how the messages fared
        in_time = killed_in_time(broker, names)
        broker.start_again()
        if in_time:
            break
    assert in_time
    with Wire(broker.url) as wire:
        wire.channel()
        yield {name: wire.call(Queue.Declare(0, names[name], passive=True)).message_count for name in names}
    broker.names = kept
    broker.clean()


@pytest.mark.parametrize("queue, at_least, at_most", [
    ("sent early", MANY, MANY), ("sent late", 0, MANY // 2),
    ("acked early", 0, 0), ("acked late", MANY // 2, MANY), ("acked, then confirmed", 1, 1),
])  # fmt: skip
def test_a_kill_loses_what_nobody_waited_for_and_brings_back_what_was_just_acknowledged(
    left, broker, queue, at_least, at_most
):
    assert at_least <= left[queue] <= at_most, left
