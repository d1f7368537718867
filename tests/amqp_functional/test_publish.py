"""Publishing: what arrives is what was sent; returns, confirms, transactions. Each library in its own way."""

import datetime
import decimal

import amqp
import amqpstorm
import pika
import pytest
from pamqp.commands import Basic, Confirm, Queue

from tests.amqp_brokers import bodies, depth, eventually, run, take
from tests.amqp_functional.test_connections import py_amqp, storm
from tests.amqp_wire import Wire

WHEN = datetime.datetime(2026, 11, 21, 12, 30, 5, tzinfo=datetime.UTC)
TABLE = {
    "yes": True, "no": False, "none": None, "text": "héllo", "empty": "", "long": "x" * 70_000,
    "bytes": b"\x00\xff\xfe",
    "int8": -5, "int16": -3000, "int32": -(2**31), "int64": 2**40, "big": 2**63 - 1,
    "decimal": decimal.Decimal("1.25"), "list": [1, "two", None, [3], {"four": 4}], "table": {"a": {"b": {"c": []}}},
    "x-key": "kept", "": "no name", "time": WHEN,
}  # fmt: skip


@pytest.fixture
def queue(broker, channel):
    name = broker.name()
    channel.queue_declare(name)
    return name


# -- content --


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 131_063, 131_064, 131_065, 131_072, 1_000_000, 10_000_000])
def test_bodies_of_every_size_arrive_whole(broker, channel, queue, size):
    """131 064 bytes fill one frame of 131 072."""
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    channel.basic_publish("", queue, content)
    assert take(channel, queue)[2] == content


def test_small_frames_make_large_bodies(broker, queue):
    where = pika.URLParameters(broker.url + ("&" if "?" in broker.url else "?") + "frame_max=4096")
    content = bytes(range(251)) * 400
    with pika.BlockingConnection(where) as connection:
        channel = connection.channel()
        channel.basic_publish("", queue, content)
        assert take(channel, queue)[2] == content


def test_every_property_survives_pika(broker, channel, queue):
    properties = pika.BasicProperties(
        content_type="application/json", content_encoding="utf-8", headers={"a": 1}, delivery_mode=2, priority=3,
        correlation_id="c-ü", reply_to="answers", expiration="60000", message_id="m", timestamp=1_700_000_000,
        type="order.new", user_id="guest", app_id="orders", cluster_id="c",
    )  # fmt: skip
    channel.basic_publish("", queue, b"{}", properties)
    method, got, _ = take(channel, queue)
    assert got.__dict__ == properties.__dict__
    assert (method.exchange, method.routing_key, method.redelivered, method.message_count) == ("", queue, False, 0)


def test_no_property_stays_no_property(broker, channel, queue):
    channel.basic_publish("", queue, b"", pika.BasicProperties(content_type=""))
    assert take(channel, queue)[1].content_type == ""
    channel.basic_publish("", queue, b"")
    assert take(channel, queue)[1].__dict__ == pika.BasicProperties().__dict__


def test_every_type_of_a_table_survives_pika(broker, channel, queue):
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers=TABLE))
    got = take(channel, queue)[1].headers
    assert got == TABLE
    assert list(got) == list(TABLE)
    assert all(isinstance(got[name], type(value)) for name, value in TABLE.items())


def test_every_type_of_a_table_survives_py_amqp(broker):
    sent = {name: value for name, value in TABLE.items() if name != "bytes"} | {"float": 3.25}
    with py_amqp(broker.url) as connection:
        channel = connection.channel()
        name = channel.queue_declare(exclusive=True).queue
        channel.basic_publish_confirm(amqp.Message("b", application_headers=sent), "", name)
        got = channel.basic_get(name, no_ack=True).headers
    got["time"] = got["time"].replace(tzinfo=datetime.UTC)
    assert got == sent


def test_every_type_of_a_table_survives_storm_and_aio_pika(broker):
    import aio_pika

    sent = {name: value for name, value in TABLE.items() if name not in ("bytes", "time", "decimal")} | {"float": 3.25}
    with storm(broker.url) as connection, connection.channel() as channel:
        name = broker.name()
        channel.queue.declare(name)
        channel.confirm_deliveries()
        channel.basic.publish("1", name, properties={"headers": sent})
        channel.basic.publish("2", name, properties={"headers": sent})
        assert channel.basic.get(name, no_ack=True).properties["headers"] == sent

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            queue = await (await connection.channel()).declare_queue(name, passive=True)
            return (await queue.get(no_ack=True)).headers

    assert run(scenario()) == sent


def test_a_table_is_passed_on_octet_by_octet(broker):
    """Also types that a codec might fold together: short against long integers, arrays, float against double."""
    values = [
        b"b\xfb", b"B\xfb", b"s\xff\x00", b"u\xff\x00", b"I\xff\xff\xff\x00", b"i\xff\xff\xff\x00",
        b"l\x00\x00\x00\x00\x00\x00\x00\x01", b"f\x40\x50\x00\x00", b"d\x40\x0a\x00\x00\x00\x00\x00\x00",
        b"x\x00\x00\x00\x02\xff\x00", b"S\x00\x00\x00\x02hi", b"T\x00\x00\x00\x00\x65\x00\x00\x00", b"V", b"t\x01",
        b"D\x02\x00\x00\x00\x7d", b"A\x00\x00\x00\x04t\x01t\x00", b"F\x00\x00\x00\x04\x01at\x01",
    ]  # fmt: skip
    table = b"".join(b"\x01" + value[:1] + value for value in values)  # named by its type
    payload = b"\x00\x3c\x00\x00" + bytes(8) + b"\x20\x00" + len(table).to_bytes(4, "big") + table
    name = broker.name()
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(Queue.Declare(0, name))
        wire.call(Confirm.Select())
        wire.send(Basic.Publish(0, "", name))
        wire.send_bytes(b"\x02\x00\x01" + len(payload).to_bytes(4, "big") + payload + b"\xce")
        wire.expect(Basic.Ack, 1)
        wire.send(Basic.Get(0, name, no_ack=True))
        wire.expect(Basic.GetOk, 1)
        while len(wire.buffer) < len(payload) + 8:
            wire.buffer += wire.socket.recv(1 << 16)
        assert wire.buffer[7 : 7 + len(payload)] == payload


# -- returns --


def test_a_mandatory_message_without_a_route_comes_back_before_its_confirm(broker):
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(Confirm.Select())
        wire.publish(b"body", "amq.direct", "nowhere", properties=Basic.Properties(message_id="7"), mandatory=True)
        returned = wire.expect(Basic.Return, 1)
        assert (returned.reply_code, returned.reply_text) == (312, "NO_ROUTE")
        assert (returned.exchange, returned.routing_key) == ("amq.direct", "nowhere")
        assert wire.receive()[1].properties.message_id == "7"
        assert wire.receive()[1].value == b"body"
        assert wire.expect(Basic.Ack, 1).delivery_tag == 1  # the broker dealt with it: that is all an ack says


def test_returns_in_every_library(broker, channel):
    import aio_pika

    returned = []
    channel.add_on_return_callback(lambda _, method, properties, body: returned.append((method.reply_code, body)))
    channel.basic_publish("", "nowhere", b"1", mandatory=True)
    channel.basic_publish("", "nowhere", b"silent")
    eventually(lambda: channel.connection.process_data_events(0.01) or returned)
    assert returned == [(312, b"1")]

    with py_amqp(broker.url) as connection:
        mine = connection.channel()
        mine.events["basic_return"].add(
            lambda error, _, key, message: returned.append((error.reply_code, message.body))
        )
        mine.basic_publish_confirm(amqp.Message("2"), "", "nowhere", mandatory=True)
    assert returned[1:] == [(312, "2")]

    with storm(broker.url) as connection, connection.channel() as mine:
        mine.confirm_deliveries()
        with pytest.raises(amqpstorm.AMQPMessageError, match="NO_ROUTE"):
            mine.basic.publish("3", "nowhere", mandatory=True)

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            mine = await connection.channel(on_return_raises=True)
            with pytest.raises(aio_pika.exceptions.DeliveryError):
                await mine.default_exchange.publish(aio_pika.Message(b"4"), "nowhere")

    run(scenario())


# -- confirms --


def test_confirms_are_numbered_from_select_and_cover_every_message_once(broker, queue):
    with Wire(broker.url) as wire:
        wire.channel()
        wire.publish(b"before", "", queue)
        wire.call(Confirm.Select())
        for number in range(500):
            wire.publish(b"%d" % number, "", queue)
        confirmed = []
        while len(confirmed) < 500:
            ack = wire.expect(Basic.Ack, 1)
            first = len(confirmed) + 1 if ack.multiple else ack.delivery_tag
            confirmed += [tag for tag in range(first, ack.delivery_tag + 1) if tag not in confirmed]
        assert sorted(confirmed) == list(range(1, 501))
        assert wire.call(Queue.Declare(0, queue, passive=True)).message_count == 501


def test_unroutable_and_refused_messages_are_confirmed_too(broker, channel):
    full = broker.name()
    channel.queue_declare(full, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(Confirm.Select())
        wire.publish(b"", "", "nowhere")
        assert wire.expect(Basic.Ack, 1).delivery_tag == 1
        wire.publish(b"", "", full)
        assert wire.expect(Basic.Ack, 1).delivery_tag == 2
        wire.publish(b"", "", full)
        assert wire.expect(Basic.Nack, 1).delivery_tag == 3


def test_select_without_wait_is_not_answered(broker, queue):
    with Wire(broker.url) as wire:
        wire.channel()
        wire.send(Confirm.Select(nowait=True))
        wire.publish(b"", "", queue)
        assert wire.expect(Basic.Ack, 1).delivery_tag == 1


def test_storm_py_amqp_and_aio_pika_wait_for_confirms(broker, channel, queue):
    import aio_pika

    with storm(broker.url) as connection, connection.channel() as mine:
        mine.confirm_deliveries()
        assert mine.basic.publish("storm", queue) is True
    with py_amqp(broker.url, confirm_publish=True) as connection:
        connection.channel().basic_publish(amqp.Message("py-amqp"), "", queue)

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            exchange = (await connection.channel()).default_exchange
            import asyncio

            await asyncio.gather(*[exchange.publish(aio_pika.Message(b"%d" % n), queue) for n in range(100)])

    run(scenario())
    assert bodies(channel, queue) == [b"storm", b"py-amqp"] + [b"%d" % number for number in range(100)]


def test_persistent_messages_in_a_durable_queue_are_confirmed(broker, channel):
    name = broker.name()
    channel.queue_declare(name, durable=True)
    channel.confirm_delivery()
    for number in range(20):
        channel.basic_publish("", name, b"%d" % number, pika.BasicProperties(delivery_mode=2))
    assert depth(channel, name) == 20


# -- transactions --


def test_a_transaction_publishes_at_commit_and_forgets_at_rollback(broker, channel, queue):
    with storm(broker.url) as connection, connection.channel() as mine:
        mine.tx.select()
        mine.basic.publish("1", queue)
        mine.basic.publish("2", queue)
        assert depth(channel, queue) == 0
        mine.tx.commit()
        assert depth(channel, queue) == 2
        mine.basic.publish("3", queue)
        mine.tx.rollback()
        mine.basic.publish("4", queue)
        mine.tx.commit()
    assert bodies(channel, queue) == [b"1", b"2", b"4"]


def test_acks_belong_to_the_transaction(broker, channel, queue):
    for content in (b"1", b"2"):
        channel.basic_publish("", queue, content)
    eventually(lambda: depth(channel, queue) == 2)
    with py_amqp(broker.url) as connection:
        mine = connection.channel()
        mine.tx_select()
        first, second = mine.basic_get(queue), mine.basic_get(queue)
        mine.basic_ack(first.delivery_tag)
        mine.tx_rollback()  # the message is still delivered, its ack forgotten
        assert depth(channel, queue) == 0
        mine.basic_ack(first.delivery_tag)
        mine.tx_commit()
        mine.basic_reject(second.delivery_tag, requeue=True)
        assert depth(channel, queue) == 0
        mine.tx_commit()
        eventually(lambda: depth(channel, queue) == 1)
    assert bodies(channel, queue) == [b"2"]


def test_what_was_not_committed_is_forgotten_with_the_channel(broker, channel, queue):
    channel.basic_publish("", queue, b"work")
    eventually(lambda: depth(channel, queue) == 1)
    with storm(broker.url) as connection, connection.channel() as mine:
        mine.tx.select()
        mine.basic.publish("lost", queue)
        mine.basic.get(queue).ack()
    method, _, content = eventually(lambda: (got := channel.basic_get(queue, auto_ack=True))[0] and got)
    assert (content, method.redelivered) == (b"work", True)
    assert depth(channel, queue) == 0


def test_aio_pika_transactions(broker, channel, queue):
    import aio_pika

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            mine = await connection.channel(publisher_confirms=False)
            async with mine.transaction():
                await mine.default_exchange.publish(aio_pika.Message(b"yes"), queue)
            with pytest.raises(ZeroDivisionError):
                async with mine.transaction():
                    await mine.default_exchange.publish(aio_pika.Message(b"no"), queue)
                    raise ZeroDivisionError

    run(scenario())
    assert bodies(channel, queue) == [b"yes"]


def test_an_error_in_a_transaction_undoes_it(broker, channel, queue):
    with Wire(broker.url) as wire:
        from pamqp.commands import Tx

        wire.channel()
        wire.call(Tx.Select())
        wire.publish(b"lost", "", queue)
        wire.publish(b"", "absent", queue)
        assert wire.error()[:2] == ("channel", 404)
    assert depth(channel, queue) == 0


# -- CC and BCC --


def test_sender_selected_copies(broker, channel):
    """Headers CC and BCC name further keys; BCC is taken out on the way."""
    names = [broker.name() for _ in range(3)]
    for name in names:
        channel.queue_declare(name)
    headers = {"CC": [names[1]], "BCC": [names[2]], "kept": 1}
    channel.basic_publish("", names[0], b"m", pika.BasicProperties(headers=headers))
    for name in names:
        method, properties, _ = take(channel, name)
        assert properties.headers == {"CC": [names[1]], "kept": 1}
        assert method.routing_key == names[0]
