"""Request and answer over queues: direct reply-to, and the same with a queue of one's own."""

import threading
from contextlib import suppress

import amqpstorm
import pika
import pytest
from pamqp.commands import Basic, Queue

from tests.amqp_brokers import eventually, run, take
from tests.amqp_functional.test_connections import storm
from tests.amqp_wire import Wire

REPLY = "amq.rabbitmq.reply-to"


@pytest.fixture
def doubler(broker):
    """A server on the queue of that name that answers twice what it is asked."""
    name, ready, stop = broker.name("doubler"), threading.Event(), threading.Event()

    def serve():
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            channel.queue_declare(name)
            channel.basic_consume(name, answer)
            ready.set()
            while not stop.is_set():
                connection.process_data_events(0.05)

    def answer(channel, method, properties, body):
        answered = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, body * 2, answered)
        channel.basic_ack(method.delivery_tag)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield name
    stop.set()
    thread.join(10)


def test_pika_asks_with_direct_reply_to(broker, connection, channel, doubler):
    answers = {}
    channel.basic_consume(REPLY, lambda _, __, p, body: answers.update({p.correlation_id: body}), auto_ack=True)
    for number in range(20):
        asked = pika.BasicProperties(reply_to=REPLY, correlation_id=str(number))
        channel.basic_publish("", doubler, b"%d." % number, asked)
    eventually(lambda: connection.process_data_events(0.01) or len(answers) == 20)
    assert answers == {str(number): b"%d.%d." % (number, number) for number in range(20)}


def test_the_server_sees_a_name_of_one_channel(broker):
    with Wire(broker.url) as wire:
        wire.channel()
        work = wire.call(Queue.Declare(0, "", exclusive=True)).queue
        tag = wire.call(Basic.Consume(0, REPLY, no_ack=True)).consumer_tag
        wire.publish(b"?", "", work, properties=Basic.Properties(reply_to=REPLY))
        wire.channel(2)
        got = eventually(lambda: isinstance(frame := wire.call(Basic.Get(0, work), 2), Basic.GetOk) and frame)
        assert got.routing_key == work
        name = wire.receive()[1].properties.reply_to
        assert wire.receive()[1].value == b"?"
        assert name.startswith(REPLY + ".") and len(name) > len(REPLY) + 10
        wire.publish(b"!", "", name, channel=2)
        answer = wire.expect(Basic.Deliver, 1)
        assert (answer.consumer_tag, answer.exchange, answer.routing_key, answer.redelivered) == (tag, "", name, False)


def test_the_name_can_be_asked_for_while_the_asker_lives(broker, connection, channel):
    work = broker.name()
    channel.queue_declare(work)
    with Wire(broker.url) as asker:
        asker.channel()
        asker.call(Basic.Consume(0, REPLY, no_ack=True))
        asker.publish(b"?", "", work, properties=Basic.Properties(reply_to=REPLY))
        name = take(channel, work)[1].reply_to
        assert channel.queue_declare(name, passive=True).method.queue == name

    def unknown():
        try:
            connection.channel().queue_declare(name, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            return error.reply_code

    assert eventually(unknown) == 404


def test_an_answer_to_an_asker_that_has_gone_is_dropped_or_returned(broker, channel):
    with Wire(broker.url) as asker:
        asker.channel()
        work = broker.name()
        channel.queue_declare(work)
        asker.call(Basic.Consume(0, REPLY, no_ack=True))
        asker.publish(b"?", "", work, properties=Basic.Properties(reply_to=REPLY))
        name = eventually(lambda: (got := channel.basic_get(work, auto_ack=True))[0] and got)[1].reply_to
    channel.basic_publish("", name, b"!")  # no error
    channel.confirm_delivery()

    def returned():
        try:
            channel.basic_publish("", name, b"!", mandatory=True)
        except pika.exceptions.UnroutableError:
            return True
        return False

    eventually(returned)


def test_a_mandatory_answer_to_a_living_asker_arrives(broker, connection, channel):
    """RabbitMQ 3.10 also returns it as unroutable, although its guide says otherwise: neither is asked for here."""
    answers = []
    channel.basic_consume(REPLY, lambda *m: answers.append(m[3]), auto_ack=True)
    work = broker.name()
    channel.queue_declare(work)
    channel.basic_publish("", work, b"?", pika.BasicProperties(reply_to=REPLY))
    server = connection.channel()
    server.confirm_delivery()
    name = eventually(lambda: (got := server.basic_get(work, auto_ack=True))[0] and got)[1].reply_to
    with suppress(pika.exceptions.UnroutableError):
        server.basic_publish("", name, b"!", mandatory=True)
    eventually(lambda: connection.process_data_events(0.01) or answers)
    assert answers == [b"!"]


def test_a_reply_to_of_ones_own_is_left_alone(broker, channel):
    work = broker.name()
    channel.queue_declare(work)
    channel.basic_publish("", work, b"?", pika.BasicProperties(reply_to="answers"))
    got = eventually(lambda: (got := channel.basic_get(work, auto_ack=True))[0] and got)
    assert got[1].reply_to == "answers"


def test_storm_asks_with_an_exclusive_queue(broker, doubler):
    with storm(broker.url) as connection, connection.channel() as channel:
        mine = channel.queue.declare("", exclusive=True)["queue"]
        message = amqpstorm.Message.create(channel, "ab", {"reply_to": mine, "correlation_id": "c"})
        message.publish(doubler)
        answer = eventually(lambda: channel.basic.get(mine, no_ack=True))
        assert (answer.body, answer.correlation_id) == ("abab", "c")


def test_aio_pika_has_a_pattern_for_it(broker):
    import aio_pika
    from aio_pika.patterns import RPC

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            rpc = await RPC.create(await connection.channel())

            async def double(number):
                return number * 2

            async def fail():
                raise ValueError("no")

            await rpc.register(broker.name("double"), double, auto_delete=True)
            await rpc.register(broker.name("fail"), fail, auto_delete=True)
            double_name, fail_name = broker.names[-2:]
            assert [await rpc.call(double_name, {"number": number}) for number in range(5)] == [0, 2, 4, 6, 8]
            with pytest.raises(ValueError, match="no"):
                await rpc.call(fail_name)
            await rpc.close()

    run(scenario())
