"""Dead letters and what they tell, delivery limits of quorum queues, circles."""

import pika
import pytest
from pamqp.commands import Basic, Confirm, Queue

from tests.amqp_brokers import bodies, depth, eventually, run, take
from tests.amqp_functional.test_connections import storm
from tests.amqp_wire import Wire


class Letters:
    """A queue whose dead letters go to another: ``work`` → ``x`` → ``dead``."""

    def __init__(self, broker, channel, durable=False, key=None, **arguments):
        self.broker, self.channel = broker, channel
        self.x, self.work, self.dead = broker.name("x"), broker.name("work"), broker.name("dead")
        channel.exchange_declare(self.x, "fanout")
        channel.queue_declare(self.dead)
        channel.queue_bind(self.dead, self.x)
        arguments = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
        if key:
            arguments["x-dead-letter-routing-key"] = key
        channel.queue_declare(self.work, durable=durable, arguments={"x-dead-letter-exchange": self.x, **arguments})

    def send(self, body=b"m", properties=None, exchange=""):
        self.channel.basic_publish(exchange, self.work, body, properties)

    def get(self):
        return eventually(lambda: (got := self.channel.basic_get(self.work))[0] and got)[0].delivery_tag

    def letter(self):
        return take(self.channel, self.dead)


def test_a_rejected_message_is_dead_and_tells_why(broker, channel):
    letters = Letters(broker, channel)
    letters.send(b"bad", pika.BasicProperties(headers={"mine": 1}, message_id="7", delivery_mode=1))
    channel.basic_reject(letters.get(), requeue=False)
    method, properties, body = letters.letter()
    assert (body, method.exchange, method.routing_key, method.redelivered) == (b"bad", letters.x, letters.work, False)
    assert (properties.message_id, properties.headers["mine"]) == ("7", 1)
    [death] = properties.headers["x-death"]
    when = death.pop("time")
    assert when.year >= 2024
    assert death == {
        "count": 1, "reason": "rejected", "queue": letters.work, "exchange": "", "routing-keys": [letters.work],
    }  # fmt: skip
    first = {name: value for name, value in properties.headers.items() if name.startswith("x-first")}
    assert first == {
        "x-first-death-reason": "rejected", "x-first-death-queue": letters.work, "x-first-death-exchange": "",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", ["nack", "nack multiple"])
def test_a_nack_without_requeue_is_a_rejection(broker, channel, wrong):
    letters = Letters(broker, channel)
    letters.send(b"1")
    letters.send(b"2")
    tags = letters.get(), letters.get()
    if wrong == "nack":
        for tag in tags:
            channel.basic_nack(tag, requeue=False)
    else:
        channel.basic_nack(tags[1], multiple=True, requeue=False)
    got = [letters.letter() for _ in range(2)]
    assert [body for *_, body in got] == [b"1", b"2"]
    assert {properties.headers["x-death"][0]["reason"] for _, properties, _ in got} == {"rejected"}


def test_a_requeued_message_is_not_dead(broker, channel):
    letters = Letters(broker, channel)
    letters.send()
    channel.basic_nack(letters.get(), requeue=True)
    method, properties, _ = take(channel, letters.work)
    assert (method.redelivered, properties.headers) == (True, None)
    assert depth(channel, letters.dead) == 0


def test_a_message_of_an_expired_time_tells_it(broker, channel):
    letters = Letters(broker, channel)
    letters.send(b"old", pika.BasicProperties(expiration="20"))
    _, properties, body = letters.letter()
    [death] = properties.headers["x-death"]
    assert (body, death["reason"], death["count"], death["original-expiration"]) == (b"old", "expired", 1, "20")
    assert properties.expiration is None  # or it would expire again


def test_a_queues_ttl_makes_dead_letters_in_order(broker, channel):
    letters = Letters(broker, channel, message_ttl=20)
    for number in range(5):
        letters.send(b"%d" % number)
    assert [letters.letter()[2] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_ttl_of_0_is_an_immediate_death(broker, channel):
    letters = Letters(broker, channel, message_ttl=0)
    letters.send(b"now")
    _, properties, body = letters.letter()
    assert (body, properties.headers["x-first-death-reason"]) == (b"now", "expired")
    assert "original-expiration" not in properties.headers["x-death"][0]


def test_a_full_queue_sends_its_oldest_to_the_dead(broker, channel):
    letters = Letters(broker, channel, max_length=2)
    for number in range(4):
        letters.send(b"%d" % number)
    got = [letters.letter() for _ in range(2)]
    assert [body for *_, body in got] == [b"0", b"1"]
    assert {properties.headers["x-death"][0]["reason"] for _, properties, _ in got} == {"maxlen"}
    assert bodies(channel, letters.work) == [b"2", b"3"]


@pytest.mark.parametrize(("overflow", "dead"), [("reject-publish", []), ("reject-publish-dlx", [b"2"])])
def test_reject_publish_sends_nothing_to_the_dead_but_its_dlx_form_does(broker, channel, overflow, dead):
    """A nack comes either way."""
    channel.confirm_delivery()
    letters = Letters(broker, channel, max_length=1, overflow=overflow)
    letters.send(b"1")
    with pytest.raises(pika.exceptions.NackError):
        letters.send(b"2")
    eventually(lambda: depth(channel, letters.dead) == len(dead))
    got = [letters.letter() for _ in dead]
    assert [body for *_, body in got] == dead
    assert [properties.headers["x-death"][0]["reason"] for _, properties, _ in got] == ["maxlen"] * len(dead)
    assert bodies(channel, letters.work) == [b"1"]


def test_a_dead_letter_may_get_another_key(broker, channel):
    letters = Letters(broker, channel, key="elsewhere")
    letters.send()
    channel.basic_reject(letters.get(), requeue=False)
    method, properties, _ = letters.letter()
    assert method.routing_key == "elsewhere"
    assert properties.headers["x-death"][0]["routing-keys"] == [letters.work]


def test_each_death_of_a_kind_counts_once_more(broker, channel):
    """The retry pattern: rejected → a waiting queue with a time to live → back to work; the count tells how often."""
    work, wait = broker.name("work"), broker.name("wait")
    back = {"x-dead-letter-exchange": ""}
    channel.queue_declare(work, arguments={**back, "x-dead-letter-routing-key": wait})
    channel.queue_declare(wait, arguments={**back, "x-dead-letter-routing-key": work, "x-message-ttl": 10})
    channel.basic_publish("", work, b"try me", pika.BasicProperties(headers={"mine": "kept"}))
    for attempt in range(4):
        method, properties, _ = eventually(lambda: (got := channel.basic_get(work))[0] and got)
        deaths = (properties.headers or {}).get("x-death", [])
        if attempt:
            assert [(death["queue"], death["reason"], death["count"]) for death in deaths] == [
                (wait, "expired", attempt), (work, "rejected", attempt),
            ]  # fmt: skip
            assert properties.headers["x-first-death-queue"] == work
            assert properties.headers["mine"] == "kept"
        channel.basic_reject(method.delivery_tag, requeue=False)


def test_a_message_that_would_go_round_without_a_rejection_is_dropped(broker, channel):
    """Expired in a queue that its own dead letter leads back to: RabbitMQ ends it. With a rejection it may go round."""
    name, witness, x = broker.name(), broker.name("witness"), broker.name("x")
    channel.exchange_declare(x, "fanout")
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": x, "x-message-ttl": 20})
    channel.queue_declare(witness)
    channel.queue_bind(name, x)
    channel.queue_bind(witness, x)
    channel.basic_publish("", name, b"round")
    assert take(channel, witness)[2] == b"round"
    assert depth(channel, name) == 0
    channel.basic_publish("", name, b"again")
    assert take(channel, witness)[2] == b"again"
    assert depth(channel, witness) == depth(channel, name) == 0


def test_without_the_exchange_a_dead_letter_is_gone(broker, channel):
    name = broker.name()
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": "absent"})
    channel.basic_publish("", name, b"m")
    channel.basic_reject(eventually(lambda: (got := channel.basic_get(name))[0] and got)[0].delivery_tag, requeue=False)
    assert depth(channel, name) == 0
    assert channel.is_open


def test_deleting_or_purging_a_queue_makes_no_dead_letters(broker, channel):
    letters = Letters(broker, channel)
    channel.confirm_delivery()
    letters.send()
    channel.queue_purge(letters.work)
    letters.send()
    channel.queue_delete(letters.work)
    assert depth(channel, letters.dead) == 0


def test_cc_is_taken_out_and_every_key_is_told(broker, channel):
    letters = Letters(broker, channel)
    letters.send(b"m", pika.BasicProperties(headers={"CC": ["copy"]}))
    channel.basic_reject(letters.get(), requeue=False)
    _, properties, _ = letters.letter()
    assert properties.headers["x-death"][0]["routing-keys"] == [letters.work, "copy"]


def test_dead_letters_from_storm_and_aio_pika(broker, channel):
    import aio_pika

    letters = Letters(broker, channel)
    letters.send(b"1")
    letters.send(b"2")
    eventually(lambda: depth(channel, letters.work) == 2)
    with storm(broker.url) as connection, connection.channel() as mine:
        mine.basic.get(letters.work).reject(requeue=False)

    async def scenario():
        async with await aio_pika.connect_robust(broker.url) as connection:
            mine = await connection.channel()
            message = await (await mine.get_queue(letters.work)).get()
            with pytest.raises(ValueError):
                async with message.process():
                    raise ValueError("poison")
            dead = await mine.get_queue(letters.dead)
            return [(await dead.get(no_ack=True, timeout=10)).headers["x-death"] for _ in range(2)]

    deaths = run(scenario())
    assert [(death["reason"], death["queue"]) for [death] in deaths] == [("rejected", letters.work)] * 2


# -- quorum queues --


@pytest.fixture
def quorum(broker, channel):
    """Letters whose work queue is a quorum queue that gives a message three deliveries."""
    return Letters(broker, channel, durable=True, queue_type="quorum", delivery_limit=2)


def test_a_quorum_queue_counts_returns_and_gives_up_at_its_limit(broker, channel, quorum):
    quorum.send(b"poison")
    for attempt in range(3):
        method, properties, _ = eventually(lambda: (got := channel.basic_get(quorum.work))[0] and got)
        assert (properties.headers or {}).get("x-delivery-count", 0) == attempt
        assert method.redelivered is (attempt > 0)
        channel.basic_nack(method.delivery_tag, requeue=True)
    _, properties, body = quorum.letter()
    [death] = properties.headers["x-death"]
    assert (body, death["reason"], death["queue"], death["count"]) == (b"poison", "delivery_limit", quorum.work, 1)
    assert depth(channel, quorum.work) == 0


def test_a_lost_consumer_counts_as_a_return(broker, channel, quorum):
    quorum.send(b"poison")
    for _ in range(3):
        with Wire(broker.url) as wire:
            wire.channel()
            wire.call(Basic.Consume(0, quorum.work))
            wire.expect(Basic.Deliver, 1)
    assert quorum.letter()[1].headers["x-death"][0]["reason"] == "delivery_limit"


def test_a_quorum_queue_without_limit_returns_for_ever(broker, channel):
    name = broker.name()
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", name, b"m")
    for attempt in range(6):
        method, properties, _ = eventually(lambda: (got := channel.basic_get(name))[0] and got)
        assert (properties.headers or {}).get("x-delivery-count", 0) == attempt
        channel.basic_reject(method.delivery_tag, requeue=True)


def test_a_quorum_queue_confirms_and_is_in_order(broker, channel, quorum):
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(Confirm.Select())
        for number in range(50):
            wire.publish(b"%d" % number, "", quorum.work)
        confirmed = 0
        while confirmed < 50:
            ack = wire.expect(Basic.Ack, 1)
            confirmed = ack.delivery_tag if ack.multiple else confirmed + 1
        wire.call(Basic.Qos(0, 60))
        wire.call(Basic.Consume(0, quorum.work))
        seen = []
        while len(seen) < 50:
            wire.expect(Basic.Deliver, 1)
            wire.receive()
            seen.append(int(wire.receive()[1].value))
        wire.send(Basic.Ack(0, multiple=True))
        eventually(lambda: wire.call(Queue.Declare(0, quorum.work, passive=True)).message_count == 0)
    assert seen == list(range(50))


def test_a_quorum_queue_gives_out_returned_messages_in_the_order_of_their_return(broker, channel, quorum):
    for number in range(4):
        quorum.send(b"%d" % number)
    tags = [quorum.get() for _ in range(3)]
    channel.basic_nack(tags[1])
    channel.basic_nack(tags[0])
    eventually(lambda: depth(channel, quorum.work) == 3)
    got = [channel.basic_get(quorum.work)[2] for _ in range(3)]
    assert got == [b"1", b"0", b"3"]


def test_a_rejected_message_of_a_quorum_queue_is_dead(broker, channel, quorum):
    quorum.send(b"no")
    channel.basic_reject(quorum.get(), requeue=False)
    _, properties, body = quorum.letter()
    assert (body, properties.headers["x-death"][0]["reason"]) == (b"no", "rejected")


def test_a_quorum_queue_refuses_qos_of_the_channel(broker, quorum):
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(Basic.Qos(0, 5, True))
        wire.send(Basic.Consume(0, quorum.work))
        what, code, text, blamed = wire.error()
    assert (what, code, blamed) == ("connection", 540, (60, 20))
    assert "NOT_IMPLEMENTED - queue" in text and "does not support global qos" in text
