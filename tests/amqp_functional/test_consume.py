"""Consuming: prefetch, several consumers, priorities, the single active one, tags and cancel."""

from contextlib import suppress

import amqp
import pika
import pytest
from pamqp import commands
from pamqp.commands import Basic, Confirm, Queue

from tests.amqp_brokers import bodies, closes, depth, eventually, fill, run
from tests.amqp_functional.test_connections import py_amqp, storm
from tests.amqp_wire import Consumer, Wire


@pytest.fixture
def queue(broker, channel):
    name = broker.name()
    channel.queue_declare(name)
    return name


# -- prefetch --


def test_prefetch_holds_back_and_each_ack_lets_one_come(broker, channel, queue):
    fill(channel, queue, 6)
    with Consumer(broker.url, queue, prefetch=2) as consumer:
        assert consumer.numbers(2) == [0, 1]
        assert consumer.idle()
        eventually(lambda: depth(channel, queue) == 4)
        consumer.send(Basic.Ack(1))
        assert consumer.numbers(1) == [2]
        consumer.send(Basic.Ack(3, multiple=True))
        assert consumer.numbers(2) == [3, 4]
        assert consumer.idle()


def test_prefetch_counts_per_consumer(broker, channel, queue):
    fill(channel, queue, 9)
    with Consumer(broker.url, queue, prefetch=2) as consumer:
        assert consumer.numbers(2) == [0, 1]
        other = consumer.consume(queue)
        assert [consumer.next()[3] for _ in range(2)] == [other] * 2
        assert consumer.idle()


def test_prefetch_of_the_channel_counts_all_its_consumers(broker, channel, queue):
    fill(channel, queue, 9)
    with Consumer(broker.url, prefetch=3, shared=True) as consumer:
        first = consumer.consume(queue, "first")
        assert consumer.numbers(3) == [0, 1, 2]
        consumer.consume(queue, "second")
        assert first == "first" and consumer.idle()
        consumer.send(Basic.Ack(2, multiple=True))
        assert consumer.numbers(2) == [3, 4]
        assert consumer.idle()


def test_both_prefetches_together(broker, channel, queue):
    """The smaller of both holds: 2 for each consumer, 3 for the channel."""
    fill(channel, queue, 9)
    with Consumer(broker.url, prefetch=2) as consumer:
        consumer.call(Basic.Qos(0, 3, True))
        consumer.consume(queue, "first")
        assert consumer.numbers(2) == [0, 1]
        consumer.consume(queue, "second")
        assert consumer.next()[3] == "second"
        assert consumer.idle()


def test_a_new_prefetch_is_for_new_consumers(broker, channel, queue):
    fill(channel, queue, 9)
    with Consumer(broker.url, queue, prefetch=1) as consumer:
        assert consumer.numbers(1) == [0]
        consumer.call(Basic.Qos(0, 4))
        assert consumer.idle()
        consumer.send(Basic.Ack(1))
        assert consumer.numbers(1) == [1]
        assert consumer.idle()
        consumer.consume(queue, "new")
        assert [consumer.next()[3] for _ in range(4)] == ["new"] * 4


def test_get_does_not_mind_prefetch(broker, channel, queue):
    fill(channel, queue, 3)
    eventually(lambda: depth(channel, queue) == 3)
    channel.basic_qos(prefetch_count=1)
    assert [channel.basic_get(queue)[2] for _ in range(3)] == [b"0", b"1", b"2"]


def test_raising_the_channels_prefetch_lets_more_come(broker, channel, queue):
    fill(channel, queue, 9)
    with Consumer(broker.url, prefetch=2, shared=True) as consumer:
        consumer.consume(queue)
        assert consumer.numbers(2) == [0, 1]
        consumer.send(Basic.Qos(0, 5, True))
        got = 0
        while got < 4:  # QosOk and three deliveries
            got += isinstance(consumer.receive()[1], (Basic.Deliver, Basic.QosOk))


# -- several consumers --


def test_consumers_take_turns(broker, channel, queue):
    with Consumer(broker.url, queue, prefetch=3) as first, Consumer(broker.url, queue, prefetch=3) as second:
        fill(channel, queue, 6)
        got = first.numbers(3), second.numbers(3)
    assert sorted(map(sorted, got)) == [[0, 2, 4], [1, 3, 5]]


def test_a_consumer_of_higher_priority_is_served_first_while_it_has_room(broker, channel, queue):
    with (
        Consumer(broker.url, queue, prefetch=5) as low,
        Consumer(broker.url, queue, prefetch=2, arguments={"x-priority": 10}) as high,
    ):
        fill(channel, queue, 4)
        assert (high.numbers(2), low.numbers(2)) == ([0, 1], [2, 3])
        high.send(Basic.Ack(1))
        high.call(Queue.Declare(0, queue, passive=True))
        fill(channel, queue, 2, first=4)
        assert (high.numbers(1), low.numbers(1)) == ([4], [5])


@pytest.fixture
def single(broker, channel):
    name = broker.name()
    channel.queue_declare(name, arguments={"x-single-active-consumer": True})
    return name


def test_a_single_active_consumer_takes_all_until_its_channel_closes(broker, channel, single):
    with Consumer(broker.url, single, prefetch=2) as active, Consumer(broker.url, single) as standby:
        fill(channel, single, 4)
        assert active.numbers(2) == [0, 1]
        assert standby.idle()  # although the active one has no room
        active.send(Basic.Ack(1))
        assert active.numbers(1) == [2]
        active.send(commands.Channel.Close(200, "", 0, 0))
        active.expect(commands.Channel.CloseOk, 1)
        assert standby.numbers(3) == [1, 2, 3]


def test_a_single_active_consumer_that_cancels_lets_the_next_one_in(broker, channel, single):
    """RabbitMQ 3.10 wakes the next one only when something happens to the queue, and not while its consumers change:
    here messages come back, and more are published until it hears of one."""
    with Consumer(broker.url, single, prefetch=2) as active, Consumer(broker.url, single) as standby:
        fill(channel, single, 4)
        assert active.numbers(2) == [0, 1]
        active.call(Basic.Cancel(active.tag))
        active.send(Basic.Nack(2, multiple=True))
        published, found = 4, []
        while not found and published < 14:
            fill(channel, single, 1, first=published)
            published += 1
            with suppress(TimeoutError):
                found = [int(standby.next(limit=1)[1])]
        assert sorted(found + standby.numbers(published - 1)) == list(range(published))


def test_an_exclusive_consumer_is_alone(broker, connection, channel, queue):
    tag = channel.basic_consume(queue, lambda *_: None, exclusive=True)
    with closes(403, "in exclusive use"):
        connection.channel().basic_consume(queue, lambda *_: None)
    channel.basic_cancel(tag)
    assert connection.channel().basic_consume(queue, lambda *_: None)


# -- tags and cancel --


def test_tags_are_made_or_given_and_belong_to_the_channel(broker, queue):
    with Consumer(broker.url) as consumer:
        made = consumer.consume(queue), consumer.consume(queue)
        assert made[0] != made[1] and all(tag.startswith("amq.ctag-") for tag in made)
        assert consumer.consume(queue, "mine") == "mine"
        consumer.channel(2)
        assert consumer.consume(queue, "mine", channel=2) == "mine"
        consumer.call(Basic.Cancel("mine"))
        assert consumer.consume(queue, "mine") == "mine"  # free again


def test_after_cancel_nothing_comes_and_what_was_delivered_can_be_acked(broker, channel, queue):
    fill(channel, queue, 1)
    with Consumer(broker.url, queue) as consumer:
        tag = consumer.next()[0]
        assert consumer.call(Basic.Cancel(consumer.tag)).consumer_tag == consumer.tag
        fill(channel, queue, 1, first=1)
        assert consumer.idle()
        consumer.send(Basic.Ack(tag))
        consumer.call(Queue.Declare(0, queue, passive=True))
    assert bodies(channel, queue) == [b"1"]


@pytest.mark.parametrize("able", [True, False])
def test_the_broker_cancels_the_consumers_of_a_deleted_queue(broker, channel, queue, able):
    """It says so to those clients that announced to understand it."""
    with Wire(broker.url, capabilities={"consumer_cancel_notify": able}) as wire:
        wire.channel()
        tag = wire.call(Basic.Consume(0, queue)).consumer_tag
        channel.queue_delete(queue)
        if able:
            assert wire.expect(Basic.Cancel, 1).consumer_tag == tag
        assert wire.call(Queue.Declare(0, queue)).consumer_count == 0
        assert wire.call(Basic.Consume(0, queue, tag)).consumer_tag == tag


def test_every_library_hears_the_cancel(broker, connection, channel):
    import aio_pika

    names = [broker.name() for _ in range(3)]
    for name in names:
        channel.queue_declare(name)
    cancelled = []
    mine = connection.channel()
    mine.add_on_cancel_callback(lambda frame: cancelled.append("pika"))
    mine.basic_consume(names[0], lambda *_: None)
    channel.queue_delete(names[0])
    eventually(lambda: connection.process_data_events(0.01) or cancelled)

    with py_amqp(broker.url) as other:
        theirs = other.channel()
        theirs.basic_consume(names[1], callback=print, on_cancel=lambda tag: cancelled.append("py-amqp"))
        channel.queue_delete(names[1])
        while len(cancelled) < 2:
            other.drain_events(timeout=10)

    async def scenario():
        import asyncio

        async with await aio_pika.connect(broker.url) as third:
            queue = await (await third.channel()).declare_queue(names[2], passive=True)
            waiting = asyncio.ensure_future(queue.iterator().__anext__())
            await asyncio.sleep(0)
            other = await third.channel()
            while not (await other.declare_queue(names[2], passive=True)).declaration_result.consumer_count:
                await asyncio.sleep(0.01)
            await other.queue_delete(names[2])
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            if done:
                with pytest.raises((StopAsyncIteration, aio_pika.exceptions.QueueEmpty)):
                    waiting.result()
            waiting.cancel()

    run(scenario())
    assert cancelled == ["pika", "py-amqp"]


def test_aio_pika_works_through_a_queue_with_its_own_process_block(broker, channel, queue):
    import aio_pika

    fill(channel, queue, 20)

    async def scenario():
        seen = []
        async with await aio_pika.connect_robust(broker.url) as connection:
            mine = await connection.channel()
            await mine.set_qos(prefetch_count=5)
            source = await mine.get_queue(queue)
            async with source.iterator() as messages:
                async for message in messages:
                    try:
                        async with message.process(requeue=True):
                            seen.append((int(message.body), message.redelivered))
                            if message.body == b"7" and not message.redelivered:
                                raise ValueError("once")
                    except ValueError:
                        continue
                    if len(seen) == 21:
                        break
        return seen

    seen = run(scenario())
    assert sorted(seen) == sorted([(number, False) for number in range(20)] + [(7, True)])
    assert depth(channel, queue) == 0


def test_storm_consumes_with_a_callback(broker, channel, queue):
    fill(channel, queue, 10)
    seen = []
    with storm(broker.url) as connection, connection.channel() as mine:
        mine.basic.qos(3)

        def work(message):
            seen.append(int(message.body))
            message.ack()
            if len(seen) == 10:
                message.channel.stop_consuming()

        mine.basic.consume(work, queue)
        mine.start_consuming()
    assert seen == list(range(10))
    assert depth(channel, queue) == 0


def test_no_local_is_ignored(broker, channel, queue):
    """RabbitMQ does not implement it."""
    seen = []
    with py_amqp(broker.url) as connection:
        mine = connection.channel()
        mine.basic_consume(queue, no_local=True, no_ack=True, callback=lambda message: seen.append(message.body))
        mine.basic_publish(amqp.Message("my own"), "", queue)
        while not seen:
            connection.drain_events(timeout=10)
    assert seen == ["my own"]


def test_pika_consumes_by_generator_and_gives_back_what_it_did_not_hand_out(broker, connection, channel, queue):
    fill(channel, queue, 5)
    channel.basic_qos(prefetch_count=4)
    for method, _, content in channel.consume(queue, inactivity_timeout=10):
        channel.basic_ack(method.delivery_tag)
        if content == b"1":
            break
    channel.cancel()
    eventually(lambda: depth(channel, queue) == 3)
    assert bodies(channel, queue) == [b"2", b"3", b"4"]


def test_consumers_of_a_deep_queue_drain_it(broker, channel, queue):
    """10 000 messages, three consumers, each message once."""
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(Confirm.Select())
        for number in range(10_000):
            wire.publish(b"%d" % number, "", queue)
        confirmed = 0
        while confirmed < 10_000:
            ack = wire.expect(Basic.Ack, 1)
            confirmed = ack.delivery_tag if ack.multiple else confirmed + 1
    seen = []
    connections = [pika.BlockingConnection(pika.URLParameters(broker.url)) for _ in range(3)]
    try:
        for connection in connections:
            mine = connection.channel()
            mine.basic_qos(prefetch_count=500)

            def work(mine, method, _, content):
                seen.append(int(content))
                mine.basic_ack(method.delivery_tag)

            mine.basic_consume(queue, work)
        while len(seen) < 10_000:
            for connection in connections:
                connection.process_data_events(0)
        assert sorted(seen) == list(range(10_000))
    finally:
        for connection in connections:
            connection.close()
    assert depth(channel, queue) == 0
