"""A broker short of memory tells publishers and stops reading from them; consumers and all others go on."""

import contextlib

import pytest
from pamqp.commands import Basic, Queue

from tests.amqp_brokers import eventually
from tests.amqp_wire import Wire

ABLE = {"connection.blocked": True}
LOAD = 20  # messages of 20 kB


@pytest.fixture
def pressed(started_broker, monkeypatch):
    """``(url, press, relieve)``: a broker, what makes 400 kB too much for it, and what gives it room again."""
    if started_broker.kind == "ours":
        from servicelab.servers.amqp import start_broker

        monkeypatch.delenv("SERVICELAB_AMQP_URL", raising=False)
        with start_broker("short of memory", memory_limit=350_000) as running:
            yield running.url, lambda: None, lambda: None
    else:
        control, limit = started_broker.running.control, ("set_vm_memory_high_watermark", "absolute")
        with contextlib.ExitStack() as stack:
            stack.callback(control, *limit, str(started_broker.running.settings["memory"]))
            yield started_broker.url, lambda: control(*limit, "1MB"), stack.close


def test_publishers_are_blocked_and_told_and_go_on_when_there_is_room(pressed):
    url, press, relieve = pressed
    with Wire(url, capabilities=ABLE) as publisher, Wire(url, capabilities=ABLE) as consumer, Wire(url) as bystander:
        publisher.channel(), consumer.channel(), bystander.channel()
        queue = consumer.call(Queue.Declare(0, "", exclusive=True)).queue
        for _ in range(LOAD):
            publisher.publish(b"x" * 20_000, "", queue)
        press()
        more = 0
        blocked = None
        while blocked is None:  # the broker looks at its memory now and then
            publisher.publish(b"more", "", queue)
            more += 1
            with contextlib.suppress(TimeoutError):
                blocked = publisher.receive(0.1)[1]
        publisher.publish(b"waits outside", "", queue)
        assert (blocked.name, "memory" in blocked.reason) == ("Connection.Blocked", True)
        there = eventually(lambda: consumer.call(Queue.Declare(0, queue, passive=True)).message_count)
        assert 10 <= there <= LOAD + more  # the rest waits outside, too
        assert bystander.call(Queue.Declare(0, "", exclusive=True)).message_count == 0  # it publishes nothing

        consumer.call(Basic.Consume(0, queue, no_ack=True))
        seen = []
        while len(seen) < there:
            seen += [frame.value for _, frame in [consumer.receive()] if frame.name == "ContentBody"]
        assert b"waits outside" not in seen
        relieve()
        assert publisher.receive()[1].name == "Connection.Unblocked"
        while len(seen) < LOAD + more + 1:
            seen += [frame.value for _, frame in [consumer.receive()] if frame.name == "ContentBody"]
        assert seen[LOAD:] == [b"more"] * more + [b"waits outside"]
