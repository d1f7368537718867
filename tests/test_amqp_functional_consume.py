"""Consuming: prefetch, acknowledgements, order, redelivery, cancel, priorities of consumers, single active consumer."""

import amqp
import pika
import pytest
from pamqp import body, commands, header
from pamqp.commands import Basic, Confirm, Queue

from tests.amqp_brokers import bodies, closes, depth, eventually, run, take
from tests.amqp_wire import Wire
from tests.test_amqp_functional_connections import py_amqp, storm


@pytest.fixture
def queue(broker, channel):
    name = broker.name()
    channel.queue_declare(name)
    return name


def fill(channel, name, count, first=0):
    for number in range(first, first + count):
        channel.basic_publish("", name, b"%d" % number)


class Consumer(Wire):
    """A bare consumer: what was delivered to it, in order, and nothing acknowledged by itself."""

    def __init__(self, url, queue=None, prefetch=None, shared=False, **options):
        super().__init__(url)
        self.channel()
        if prefetch is not None:
            self.call(Basic.Qos(0, prefetch, shared))
        self.tag = self.consume(queue, **options) if queue else None

    def consume(self, queue, tag="", channel=1, **options):
        return self.call(Basic.Consume(0, queue, tag, **options), channel).consumer_tag

    def next(self, limit=10.0):
        """The next delivery as ``(tag, body, redelivered, consumer tag)``."""
        channel, frame = self.receive(limit)
        assert isinstance(frame, Basic.Deliver), frame
        size, content = self.receive()[1].body_size, b""
        while len(content) < size:
            content += self.receive()[1].value
        return frame.delivery_tag, content, frame.redelivered, frame.consumer_tag

    def numbers(self, count):
        return [int(self.next()[1]) for _ in range(count)]

    def idle(self):
        """Whether nothing more was delivered: asked by a round trip on the queue's own path."""
        self.settle()
        return not self.waiting()

    def settle(self):
        """A publish that comes back confirmed went through every queue process before it."""
        with Wire(f"amqp://guest:guest@{self.where.host}:{self.where.port}/%2F") as other:
            other.channel()
            other.call(Confirm.Select())
            name = other.call(Queue.Declare(0, "", exclusive=True)).queue
            for _ in range(3):
                other.publish(b"", "", name)
                other.expect(Basic.Ack, 1)

    def waiting(self):
        try:
            found = self.receive(0.1)
        except TimeoutError:
            return False
        assert isinstance(found[1], (Basic.Deliver, header.ContentHeader, body.ContentBody)), found
        return True


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
    """RabbitMQ 3.10 wakes the next one only when something happens to the queue; here messages come back to it."""
    with Consumer(broker.url, single, prefetch=2) as active, Consumer(broker.url, single) as standby:
        fill(channel, single, 4)
        assert active.numbers(2) == [0, 1]
        active.call(Basic.Cancel(active.tag))
        active.send(Basic.Nack(2, multiple=True))
        assert sorted(standby.numbers(4)) == [0, 1, 2, 3]


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
