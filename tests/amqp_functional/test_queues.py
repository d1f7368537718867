"""Queues: names, life, limits, expiry, priorities, purge and delete. Mostly with pika."""

import amqp
import pika
import pytest

from tests.amqp_brokers import bodies, closes, depth, eventually, take
from tests.amqp_functional.test_connections import py_amqp, storm


def declare(broker, channel, durable=False, **arguments):
    name = broker.name()
    arguments = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    channel.queue_declare(name, durable=durable, arguments=arguments)
    return name


def fill(channel, name, *contents, **properties):
    for content in contents:
        channel.basic_publish("", name, content, pika.BasicProperties(**properties))


def gone(connection, name):
    """Whether the queue is not there (the question costs its channel)."""
    try:
        with connection.channel() as channel:
            channel.queue_declare(name, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404
        return True
    return False


# -- names and life --


def test_a_server_names_a_queue(broker, channel):
    first, second = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
    assert first != second
    assert first.startswith("amq.gen-")


def test_a_name_that_the_server_made_may_be_asked_for_but_not_declared_again(broker, connection):
    name = connection.channel().queue_declare("", exclusive=True).method.queue
    assert connection.channel().queue_declare(name, passive=True).method.queue == name
    with closes(403, "contains reserved prefix 'amq.*'"):
        connection.channel().queue_declare(name, exclusive=True)


def test_the_empty_name_is_the_queue_declared_last_on_this_channel(broker, connection, channel):
    name = declare(broker, channel)
    channel.queue_bind("", "amq.direct", "to-" + name)
    channel.basic_publish("amq.direct", "to-" + name, b"1")
    assert channel.basic_get("", auto_ack=True)[2] == b"1"
    server = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", server, b"2")
    assert channel.basic_get("", auto_ack=True)[2] == b"2"
    with closes(404, "no previously declared queue"):
        connection.channel().basic_get("")


def test_declare_tells_messages_that_are_ready_and_consumers(broker, connection, channel):
    name = declare(broker, channel)
    fill(channel, name, b"1", b"2", b"3")
    eventually(lambda: depth(channel, name) == 3)
    channel.basic_get(name)
    connection.channel().basic_consume(name, lambda *_: None)
    answer = eventually(lambda: (a := channel.queue_declare(name, passive=True).method).consumer_count and a)
    assert (answer.queue, answer.message_count, answer.consumer_count) == (name, 0, 1)


def test_an_exclusive_queue_goes_with_its_connection(broker, connection):
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as other:
        name = other.channel().queue_declare(broker.name(), exclusive=True).method.queue
        with closes(405, "RESOURCE_LOCKED"):
            connection.channel().basic_get(name)
        other.channel().queue_declare(name, exclusive=True)  # another channel of its connection may
    eventually(lambda: gone(connection, name))


def test_an_auto_delete_queue_goes_with_its_last_consumer(broker, connection, channel):
    name = broker.name()
    channel.queue_declare(name, auto_delete=True)
    assert not gone(connection, name)  # it waits for a first one
    tags = [channel.basic_consume(name, lambda *_: None) for _ in range(2)]
    channel.basic_cancel(tags[0])
    assert not gone(connection, name)
    channel.basic_cancel(tags[1])
    eventually(lambda: gone(connection, name))


def test_an_auto_delete_queue_goes_when_the_channel_of_its_consumer_does(broker, connection, channel):
    name = broker.name()
    channel.queue_declare(name, auto_delete=True)
    other = connection.channel()
    other.basic_consume(name, lambda *_: None)
    other.close()
    eventually(lambda: gone(connection, name))


def test_an_exclusive_auto_delete_queue_may_be_both(broker, connection, channel):
    name = channel.queue_declare("", exclusive=True, auto_delete=True).method.queue
    channel.basic_cancel(channel.basic_consume(name, lambda *_: None))
    eventually(lambda: gone(connection, name))


def test_names_and_keys_may_be_unicode_and_255_bytes_long(broker, channel):
    for name in ("заказы-" + broker.name(), "订" * 60 + broker.name(), "x" * 255):
        broker.names.append(name)
        assert channel.queue_declare(name).method.queue == name
        channel.basic_publish("", name, b"here")
        assert take(channel, name)[0].routing_key == name


def test_a_queue_is_redeclared_with_equal_arguments_only(broker, connection, channel):
    name = declare(broker, channel, max_length=5, message_ttl=60_000)
    channel.queue_declare(name, arguments={"x-message-ttl": 60_000, "x-max-length": 5})
    with closes(406, "inequivalent arg 'x-message-ttl'"):
        connection.channel().queue_declare(name, arguments={"x-max-length": 5})
    with closes(406, "inequivalent arg 'x-max-length'"):
        connection.channel().queue_declare(name, arguments={"x-message-ttl": 60_000, "x-max-length": 6})


# -- purge and delete --


def test_purge_takes_what_is_ready_and_leaves_what_is_delivered(broker, channel):
    name = declare(broker, channel)
    fill(channel, name, *[b"m"] * 5)
    eventually(lambda: depth(channel, name) == 5)
    tag = channel.basic_get(name)[0].delivery_tag
    assert channel.queue_purge(name).method.message_count == 4
    channel.basic_nack(tag)
    eventually(lambda: depth(channel, name) == 1)


def test_delete_tells_how_many_were_ready(broker, connection, channel):
    name = declare(broker, channel)
    fill(channel, name, b"1", b"2", b"3")
    eventually(lambda: depth(channel, name) == 3)
    channel.basic_get(name)
    assert channel.queue_delete(name).method.message_count == 2
    assert gone(connection, name)
    channel.basic_ack(1)  # of a queue that is gone: no error
    assert channel.queue_declare("", exclusive=True)


def test_delete_if_empty_and_if_unused(broker, connection, channel):
    name = declare(broker, channel)
    fill(channel, name, b"1")
    eventually(lambda: depth(channel, name) == 1)
    with closes(406, "not empty"):
        connection.channel().queue_delete(name, if_empty=True)
    tag = channel.basic_consume(name, lambda *_: None)
    with closes(406, "in use"):
        connection.channel().queue_delete(name, if_unused=True)
    channel.basic_cancel(tag)
    channel.queue_delete(name, if_unused=True)
    assert gone(connection, name)


def test_storm_purges_and_deletes(broker):
    with storm(broker.url) as connection, connection.channel() as channel:
        name = broker.name()
        channel.queue.declare(name)
        channel.confirm_deliveries()
        for number in range(4):
            channel.basic.publish(str(number), name)
        assert channel.queue.purge(name)["message_count"] == 4
        channel.basic.publish("last", name)
        assert channel.queue.delete(name)["message_count"] == 1


# -- time --


def test_messages_of_a_queue_with_a_ttl_go_away(broker, channel):
    name = declare(broker, channel, message_ttl=100)
    fill(channel, name, b"1", b"2")
    eventually(lambda: depth(channel, name) == 0)


def test_a_ttl_of_0_delivers_at_once_or_never(broker, connection, channel):
    name = declare(broker, channel, message_ttl=0)
    channel.confirm_delivery()
    channel.basic_publish("", name, b"nobody")
    assert channel.basic_get(name)[0] is None
    got = []
    other = connection.channel()
    other.basic_consume(name, lambda *message: got.append(message[3]), auto_ack=True)
    channel.basic_publish("", name, b"somebody")
    eventually(lambda: connection.process_data_events(0.01) or got)
    assert got == [b"somebody"]


def test_the_shorter_of_both_ttls_counts(broker, channel):
    name = declare(broker, channel, message_ttl=60_000)
    fill(channel, name, b"short", expiration="50")
    eventually(lambda: depth(channel, name) == 0)
    name = declare(broker, channel, message_ttl=50)
    fill(channel, name, b"long", expiration="60000")
    eventually(lambda: depth(channel, name) == 0)


def test_a_messages_own_ttl_only_counts_at_the_head_of_a_classic_queue(broker, channel):
    """RabbitMQ looks at the head only, so a short one behind a long one stays in the count until it gets there."""
    name = declare(broker, channel)
    fill(channel, name, b"long", expiration="60000")
    fill(channel, name, b"short", expiration="1")
    fill(channel, name, b"for ever")
    other = declare(broker, channel, message_ttl=100)
    fill(channel, other, b"clock")
    eventually(lambda: depth(channel, other) == 0)  # 100 ms have passed
    assert depth(channel, name) == 3
    assert bodies(channel, name) == [b"long", b"for ever"]


def test_a_consumer_that_took_a_message_may_keep_it_beyond_its_ttl(broker, channel):
    name = declare(broker, channel, message_ttl=50)
    channel.confirm_delivery()
    other = declare(broker, channel, message_ttl=150)
    got = None
    while not got:
        channel.basic_publish("", name, b"taken")
        got = channel.basic_get(name)[0]
    channel.basic_publish("", other, b"clock")
    eventually(lambda: depth(channel, other) == 0)
    channel.basic_ack(got.delivery_tag)  # no error
    assert channel.queue_declare("", exclusive=True)


def test_a_returned_message_expires_at_its_first_time(broker, channel):
    """Its age counts from when it came, not from when it was put back."""
    name = declare(broker, channel, message_ttl=150)
    channel.confirm_delivery()
    got = None
    while not got:
        channel.basic_publish("", name, b"m")
        got = channel.basic_get(name)[0]
    other = declare(broker, channel, message_ttl=250)
    channel.basic_publish("", other, b"clock")
    eventually(lambda: depth(channel, other) == 0)
    channel.basic_nack(got.delivery_tag)
    eventually(lambda: depth(channel, name) == 0)
    assert channel.basic_get(name)[0] is None


def test_a_queue_expires_unused_and_lives_while_it_has_a_consumer(broker, connection, channel):
    """To declare it or to get from it is use, and starts its time anew; to publish to it is none."""
    idle, used = declare(broker, channel, expires=100), declare(broker, channel, expires=100)
    tag = channel.basic_consume(used, lambda *_: None, auto_ack=True)
    asking = connection.channel()
    asking.confirm_delivery()

    def unroutable(name):
        try:
            asking.basic_publish("", name, b"", mandatory=True)
        except pika.exceptions.UnroutableError:
            return True
        return False

    eventually(lambda: unroutable(idle))
    assert not unroutable(used)
    channel.basic_cancel(tag)
    eventually(lambda: unroutable(used))


# -- limits --


def test_max_length_drops_the_oldest(broker, channel):
    name = declare(broker, channel, max_length=3)
    channel.confirm_delivery()
    fill(channel, name, *[b"%d" % number for number in range(5)])
    assert bodies(channel, name) == [b"2", b"3", b"4"]


def test_max_length_counts_what_is_ready_only(broker, channel):
    name = declare(broker, channel, max_length=2)
    channel.confirm_delivery()
    fill(channel, name, b"0", b"1")
    channel.basic_get(name), channel.basic_get(name)
    fill(channel, name, b"2", b"3")
    assert depth(channel, name) == 2
    assert bodies(channel, name) == [b"2", b"3"]


def test_max_length_bytes_counts_bodies(broker, channel):
    name = declare(broker, channel, max_length_bytes=10)
    channel.confirm_delivery()
    fill(channel, name, b"a" * 4, b"b" * 4, b"c" * 4, headers={"long": "x" * 100})
    assert bodies(channel, name) == [b"bbbb", b"cccc"]
    fill(channel, name, b"d" * 11)
    assert bodies(channel, name) == []


def test_max_length_0_keeps_nothing(broker, channel):
    name = declare(broker, channel, max_length=0)
    channel.confirm_delivery()
    fill(channel, name, b"0")
    assert depth(channel, name) == 0


@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_reject_publish_refuses_the_newest_with_a_nack(broker, channel, overflow):
    name = declare(broker, channel, max_length=2, overflow=overflow)
    channel.confirm_delivery()
    fill(channel, name, b"0", b"1")
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", name, b"2")
    assert channel.basic_get(name, auto_ack=True)[2] == b"0"
    channel.basic_publish("", name, b"3")
    assert bodies(channel, name) == [b"1", b"3"]


def test_a_nack_when_one_of_two_queues_refuses(broker, channel):
    """The other keeps it."""
    full, free = declare(broker, channel, max_length=0, overflow="reject-publish"), declare(broker, channel)
    for name in (full, free):
        channel.queue_bind(name, "amq.direct", "both-" + full)
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("amq.direct", "both-" + full, b"m")
    assert bodies(channel, free) == [b"m"]


# -- priorities --


def test_higher_priorities_come_first_and_each_is_in_order(broker, channel):
    name = declare(broker, channel, max_priority=5)
    channel.confirm_delivery()
    for content, priority in ((b"a", None), (b"b", 5), (b"c", 1), (b"d", 5), (b"e", 0), (b"f", 200), (b"g", 1)):
        channel.basic_publish("", name, content, pika.BasicProperties(priority=priority))
    assert bodies(channel, name) == [b"b", b"d", b"f", b"c", b"g", b"a", b"e"]  # 200 counts as 5, none as 0


def test_a_returned_message_keeps_its_priority(broker, channel):
    name = declare(broker, channel, max_priority=5)
    channel.confirm_delivery()
    for content, priority in ((b"low", 1), (b"high", 4), (b"higher", 5)):
        channel.basic_publish("", name, content, pika.BasicProperties(priority=priority))
    first, second = channel.basic_get(name)[0], channel.basic_get(name)[0]
    channel.basic_nack(first.delivery_tag)
    channel.basic_nack(second.delivery_tag)
    assert bodies(channel, name) == [b"higher", b"high", b"low"]


def test_a_full_priority_queue_drops_the_highest_first(broker, channel):
    """Its head is the oldest of the highest priority, and the head is what RabbitMQ drops."""
    name = declare(broker, channel, max_priority=5, max_length=2)
    channel.confirm_delivery()
    for content, priority in ((b"high", 5), (b"low", 1), (b"middle", 3)):
        channel.basic_publish("", name, content, pika.BasicProperties(priority=priority))
    assert bodies(channel, name) == [b"middle", b"low"]


def test_a_message_outlives_its_time_behind_a_higher_priority(broker, channel):
    """Only the head of the queue expires, and the head is of the highest priority. None waits for a confirm: "low" must
    not be the head when its time is over."""
    name = declare(broker, channel, max_priority=5)
    channel.basic_publish("", name, b"low", pika.BasicProperties(priority=1, expiration="300"))
    channel.basic_publish("", name, b"high", pika.BasicProperties(priority=4))
    channel.basic_publish("", name, b"head", pika.BasicProperties(priority=5, expiration="600"))
    eventually(lambda: depth(channel, name) == 2)  # "head" is gone, and with it the time of "low"
    assert channel.basic_get(name, auto_ack=True)[2] == b"high"
    assert channel.basic_get(name)[0] is None


def test_without_max_priority_the_property_is_just_carried(broker, channel):
    name = declare(broker, channel)
    fill(channel, name, b"a", priority=1)
    fill(channel, name, b"b", priority=9)
    got = [take(channel, name) for _ in range(2)]
    assert [(content, properties.priority) for _, properties, content in got] == [(b"a", 1), (b"b", 9)]


# -- py-amqp on the same --


def test_py_amqp_sees_the_same_codes(broker):
    with py_amqp(broker.url) as connection:
        name = broker.name()
        connection.channel().queue_declare(name, auto_delete=False)
        for wrong, expected in (
            (lambda channel: channel.queue_declare("absent", passive=True), amqp.exceptions.NotFound),
            (lambda channel: channel.queue_declare(name, durable=True, auto_delete=False), amqp.PreconditionFailed),
            (lambda channel: channel.queue_declare("amq.mine"), amqp.exceptions.AccessRefused),
            (lambda channel: channel.queue_bind(name, "absent"), amqp.exceptions.NotFound),
        ):
            channel = connection.channel()
            with pytest.raises(expected) as caught:
                wrong(channel)
            assert caught.value.method_sig in ((50, 10), (50, 20))
            assert connection.connected
