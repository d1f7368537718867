"""Routing: types of exchanges, bindings, exchange to exchange, alternate, internal, auto-delete. Mostly with pika."""

import amqp
import pika
import pytest

from tests.amqp_brokers import bodies, closes, depth, run
from tests.amqp_functional.test_connections import py_amqp


def queue(broker, channel, *bindings, arguments=None):
    """A new queue bound by ``(exchange, key)`` pairs."""
    name = broker.name()
    channel.queue_declare(name)
    for exchange, key in bindings:
        channel.queue_bind(name, exchange, key, arguments)
    return name


def exchange(broker, channel, kind, **more):
    name = broker.name("x")
    channel.exchange_declare(name, kind, **more)
    return name


def reached(channel, queue, exchange, keys, headers=None):
    """Which of ``keys``, each published as a body, reach ``queue``."""
    channel.confirm_delivery()
    for key in keys:
        channel.basic_publish(exchange, key, key.encode(), pika.BasicProperties(headers=headers))
    return [body.decode() for body in bodies(channel, queue)]


def test_the_default_exchange_reaches_the_queue_of_that_name(broker, channel):
    name = queue(broker, channel)
    assert reached(channel, name, "", [name, name + "x", ""]) == [name]


def test_direct_is_by_the_whole_key(broker, channel):
    x = exchange(broker, channel, "direct")
    name = queue(broker, channel, (x, "error"), (x, "warning"), (x, ""))
    assert reached(channel, name, x, ["error", "info", "warning", "", "errors"]) == ["error", "warning", ""]


def test_fanout_ignores_the_key(broker, channel):
    x = exchange(broker, channel, "fanout")
    first, second = queue(broker, channel, (x, "a")), queue(broker, channel, (x, "b"))
    assert reached(channel, first, x, ["a", "z"]) == ["a", "z"] == [b.decode() for b in bodies(channel, second)]


TOPICS = {
    "order.*": ["order.new", "order.", "order.é"],
    "order.#": ["order", "order.new", "order.new.eu", "order.", "order..eu", "order.é"],
    "#": ["", ".", "order", "order.new", "order.new.eu", "order.", ".order", "new.order", "order..eu", "order.é"],
    "*": ["order"],  # the empty key has no word at all
    "#.order": ["order", ".order", "new.order"],
    "*.order": [".order", "new.order"],
    "order.#.eu": ["order.new.eu", "order..eu"],
    "order.*.eu": ["order.new.eu", "order..eu"],
    "#.#": ["", ".", "order", "order.new", "order.new.eu", "order.", ".order", "new.order", "order..eu", "order.é"],
    "*.#": [".", "order", "order.new", "order.new.eu", "order.", ".order", "new.order", "order..eu", "order.é"],
    "order": ["order"],
    "": [""],
}
KEYS = ["", ".", "order", "order.new", "order.new.eu", "order.", ".order", "new.order", "order..eu", "order.é"]


@pytest.mark.parametrize("pattern", TOPICS)
def test_topic_patterns(broker, channel, pattern):
    x = exchange(broker, channel, "topic")
    name = queue(broker, channel, (x, pattern))
    assert reached(channel, name, x, KEYS) == TOPICS[pattern]


def test_a_message_reaches_a_queue_once_however_many_bindings_match(broker, channel):
    x = exchange(broker, channel, "topic")
    name = queue(broker, channel, (x, "#"), (x, "a.*"), (x, "a.b"))
    assert reached(channel, name, x, ["a.b"]) == ["a.b"]


HEADERS = {
    "all": ({"x-match": "all", "kind": "pdf", "pages": 3}, [
        {"kind": "pdf", "pages": 3}, {"kind": "pdf", "pages": 3, "z": 1},
    ]),
    "any": ({"x-match": "any", "kind": "pdf", "pages": 3}, [
        {"kind": "pdf"}, {"pages": 3}, {"kind": "pdf", "pages": 4}, {"kind": "pdf", "pages": 3},
        {"kind": "pdf", "pages": 3, "z": 1},
    ]),
    "no x-match means all": ({"kind": "pdf"}, [
        {"kind": "pdf"}, {"kind": "pdf", "pages": 4}, {"kind": "pdf", "pages": 3}, {"kind": "pdf", "pages": 3, "z": 1},
    ]),
    "void means present": ({"pages": None}, [
        {"pages": 3}, {"kind": "pdf", "pages": 4}, {"kind": "pdf", "pages": 3}, {"pages": "3"},
        {"kind": "pdf", "pages": 3, "z": 1},
    ]),
    "x- headers are passed over": ({"x-match": "all", "x-secret": 1, "kind": "doc"}, [{"kind": "doc"}]),
    "nothing asked, all": ({"x-match": "all"}, "everything"),
    "nothing asked, any": ({"x-match": "any"}, []),
}  # fmt: skip
SENT = [
    {}, {"kind": "pdf"}, {"pages": 3}, {"kind": "pdf", "pages": 4}, {"kind": "pdf", "pages": 3}, {"pages": "3"},
    {"kind": "pdf", "pages": 3, "z": 1}, {"kind": "doc"},
]  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers_exchange(broker, channel, case):
    """A text is not the number that it spells."""
    arguments, expected = HEADERS[case]
    x = exchange(broker, channel, "headers")
    name = queue(broker, channel, (x, ""), arguments=arguments)
    for headers in SENT:
        channel.basic_publish(x, "", b"", pika.BasicProperties(headers=headers))
    channel.basic_publish("", name, b"last")
    got = []
    while (message := channel.basic_get(name, auto_ack=True))[2] != b"last":
        got += [message[1].headers or {}] if message[0] else []
    key = repr
    assert sorted(got, key=key) == sorted(SENT if expected == "everything" else expected, key=key)


def test_headers_with_the_x_headers_counted(broker, channel):
    """``all-with-x`` came with RabbitMQ 3.10."""
    x = exchange(broker, channel, "headers")
    name = queue(broker, channel, (x, ""), arguments={"x-match": "all-with-x", "x-level": 1})
    assert reached(channel, name, x, ["yes"], {"x-level": 1}) == ["yes"]
    assert reached(channel, name, x, ["no"], {"x-level": 2}) == []


def test_predeclared_exchanges_are_there(broker, channel):
    kinds = {"direct": "direct", "fanout": "fanout", "topic": "topic", "headers": "headers", "match": "headers"}
    for name, kind in kinds.items():
        channel.exchange_declare("amq." + name, kind, passive=True)
        channel.exchange_declare("amq." + name, kind, durable=True)


def test_passive_declare_asks_only_for_the_name(broker, connection, channel):
    x = exchange(broker, channel, "direct")
    channel.exchange_declare(x, "fanout", passive=True, durable=True)  # nothing but the name is compared
    with closes(404, "no exchange 'absent' in vhost '/'"):
        connection.channel().exchange_declare("absent", passive=True)


# -- exchange to exchange --


def test_exchanges_are_bound_to_exchanges_and_circles_end(broker, channel):
    first, second, third = (exchange(broker, channel, kind) for kind in ("topic", "fanout", "direct"))
    channel.exchange_bind(second, first, "a.*")
    channel.exchange_bind(third, second)
    channel.exchange_bind(first, third, "a.b")  # a circle
    name = queue(broker, channel, (third, "a.b"), (first, "a.b"))
    assert reached(channel, name, first, ["a.b", "a.c", "b.b"]) == ["a.b"]
    channel.exchange_unbind(second, first, "a.*")
    assert reached(channel, name, first, ["a.b"]) == ["a.b"]
    assert reached(channel, name, third, ["a.b"]) == ["a.b"]
    channel.queue_unbind(name, first, "a.b")
    assert reached(channel, name, first, ["a.b"]) == []


def test_deleting_an_exchange_takes_its_bindings(broker, channel):
    first, second = exchange(broker, channel, "fanout"), exchange(broker, channel, "fanout")
    channel.exchange_bind(second, first)
    name = queue(broker, channel, (second, ""))
    channel.exchange_delete(second)
    assert reached(channel, name, first, ["a"]) == []
    channel.exchange_declare(second, "fanout")
    assert reached(channel, name, first, ["a"]) == []


def test_py_amqp_binds_exchanges_with_arguments(broker):
    with py_amqp(broker.url) as connection:
        channel = connection.channel()
        source, target, name = broker.name("x"), broker.name("x"), broker.name()
        channel.exchange_declare(source, "headers", auto_delete=False)
        channel.exchange_declare(target, "fanout", auto_delete=False)
        channel.queue_declare(name, auto_delete=False)
        channel.exchange_bind(target, source, arguments={"kind": "pdf"})
        channel.queue_bind(name, target)
        channel.basic_publish_confirm(amqp.Message("no", application_headers={"kind": "doc"}), source)
        channel.basic_publish_confirm(amqp.Message("yes", application_headers={"kind": "pdf"}), source)
        assert channel.basic_get(name, no_ack=True).body == "yes"
        assert channel.basic_get(name, no_ack=True) is None


# -- properties of exchanges --


def test_an_alternate_exchange_takes_what_has_no_route(broker, channel):
    other = exchange(broker, channel, "fanout")
    x = exchange(broker, channel, "direct", arguments={"alternate-exchange": other})
    routed, rest = queue(broker, channel, (x, "known")), queue(broker, channel, (other, ""))
    assert reached(channel, routed, x, ["known", "unknown"]) == ["known"]
    assert bodies(channel, rest) == [b"unknown"]
    method, _, _ = (channel.basic_publish(x, "strange", b""), channel.basic_get(rest, auto_ack=True))[1]
    assert (method.exchange, method.routing_key) == (x, "strange")  # as it was published


def test_alternates_make_a_chain_and_a_mandatory_message_comes_back_at_its_end(broker, channel):
    last = exchange(broker, channel, "direct")
    middle = exchange(broker, channel, "direct", arguments={"alternate-exchange": last})
    first = exchange(broker, channel, "direct", arguments={"alternate-exchange": middle})
    name = queue(broker, channel, (last, "k"))
    channel.confirm_delivery()
    channel.basic_publish(first, "k", b"found", mandatory=True)
    assert bodies(channel, name) == [b"found"]
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish(first, "other", b"lost", mandatory=True)


def test_an_alternate_that_does_not_exist_is_no_error(broker, channel):
    x = exchange(broker, channel, "direct", arguments={"alternate-exchange": "absent"})
    name = queue(broker, channel, (x, "k"))
    assert reached(channel, name, x, ["other", "k"]) == ["k"]


def test_an_internal_exchange_takes_only_from_exchanges(broker, connection, channel):
    inner = exchange(broker, channel, "fanout", internal=True)
    outer = exchange(broker, channel, "fanout")
    channel.exchange_bind(inner, outer)
    name = queue(broker, channel, (inner, ""))
    assert reached(channel, name, outer, ["in"]) == ["in"]
    other = connection.channel()
    other.confirm_delivery()
    with closes(403, "cannot publish to internal exchange"):
        other.basic_publish(inner, "", b"out")


def test_an_auto_delete_exchange_goes_with_its_last_binding(broker, connection, channel):
    x = exchange(broker, channel, "direct", auto_delete=True)
    channel.exchange_declare(x, "direct", passive=True)  # it waits for a first one
    name = queue(broker, channel, (x, "a"), (x, "b"))
    channel.queue_unbind(name, x, "a")
    channel.exchange_declare(x, "direct", passive=True)
    channel.queue_unbind(name, x, "b")
    with closes(404):
        connection.channel().exchange_declare(x, "direct", passive=True)


def test_an_auto_delete_exchange_goes_with_its_last_queue_and_takes_its_source_along(broker, connection, channel):
    source = exchange(broker, channel, "fanout", auto_delete=True)
    target = exchange(broker, channel, "fanout", auto_delete=True)
    channel.exchange_bind(target, source)
    name = queue(broker, channel, (target, ""))
    channel.queue_delete(name)
    for gone in (target, source):
        with closes(404):
            connection.channel().exchange_declare(gone, passive=True)


def test_aio_pika_routes_by_topic(broker):
    import aio_pika

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            channel = await connection.channel()
            x = await channel.declare_exchange(broker.name("x"), aio_pika.ExchangeType.TOPIC)
            name = await channel.declare_queue(broker.name())
            await name.bind(x, "orders.*.paid")
            for key in ("orders.7.paid", "orders.7.new", "orders.7.8.paid", "orders.8.paid"):
                await x.publish(aio_pika.Message(key.encode()), key, mandatory=False)
            got = []
            async with name.iterator(no_ack=True) as messages:
                async for message in messages:
                    got.append((message.body.decode(), message.routing_key, message.exchange))
                    if len(got) == 2:
                        break
            assert got == [(key, key, x.name) for key in ("orders.7.paid", "orders.8.paid")]
            await name.unbind(x, "orders.*.paid")
            strict = await (await connection.channel(on_return_raises=True)).get_exchange(x.name)
            with pytest.raises(aio_pika.exceptions.DeliveryError):
                await strict.publish(aio_pika.Message(b""), "orders.7.paid", mandatory=True)

    run(scenario())


def test_a_queue_bound_twice_in_the_same_way_is_bound_once(broker, channel):
    x = exchange(broker, channel, "direct")
    name = queue(broker, channel, (x, "k"), (x, "k"))
    channel.queue_unbind(name, x, "k")
    channel.confirm_delivery()
    channel.basic_publish(x, "k", b"")
    assert depth(channel, name) == 0
