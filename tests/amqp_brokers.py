"""The brokers that the functional tests of AMQP run on: ours, in this process, and a real RabbitMQ.

``tests/amqp_functional/conftest.py`` takes the fixtures from here. They live as long as the tests of that folder: other
files look whether a server or a child process is left in this one. A test that asks for ``broker`` runs on both; what
RabbitMQ does is the expectation. ``@ours_differs("why")`` states a difference that is known and listed in the package's
docstring: the test must then fail on ours.
"""

import asyncio
import itertools
import os
import time
from contextlib import ExitStack, contextmanager

import pytest

_numbers = itertools.count()


class Broker:
    """What a test sees of a broker: ``kind``, ``url``, ``restart()`` and names that are its own."""

    def __init__(self, kind, running):
        self.kind, self.running = kind, running
        self.names = []

    @property
    def url(self):
        return self.running.url

    def name(self, prefix="q"):
        """A name for a queue or an exchange that no other test uses; it is deleted after the test."""
        name = f"{prefix}-{os.getpid()}-{next(_numbers)}"
        self.names.append(name)
        return name

    def restart(self):
        self.running.restart_app() if self.kind == "rabbitmq" else self.running.restart()

    def kill(self):
        self.running.kill()

    def start_again(self):
        """After :meth:`kill`."""
        self.running.restart()

    @contextmanager
    def largest_message(self, size):
        """Channels that open meanwhile take bodies of up to ``size`` bytes."""
        if self.kind == "rabbitmq":
            with self.running.setting("max_message_size", size):
                yield
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("servicelab.servers.amqp.port.LARGEST", size)
                yield

    def clean(self):
        """Delete the queues and exchanges that got a name here."""
        import pika

        if not self.names:
            return
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            for name in self.names:
                for delete in (channel.queue_delete, channel.exchange_delete):
                    delete(name)
        self.names.clear()


@contextmanager
def start(kind, tmp_path_factory):
    if kind == "rabbitmq":
        from tests.conftest import require
        from tests.rabbit import RabbitMQ, find_rabbitmq

        find_rabbitmq() or require("rabbitmq-server")
        with RabbitMQ() as running:
            yield Broker(kind, running)
    else:
        from servicelab.servers.amqp import start_broker

        file = tmp_path_factory.mktemp("amqp") / "broker.db"
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("SERVICELAB_AMQP_URL", raising=False)  # or it would be another's RabbitMQ
            running = start_broker("functional tests", file=file)
        with running:
            yield Broker(kind, running)


@pytest.fixture(scope="package")
def brokers(tmp_path_factory):
    """``brokers(kind)``: the one of this kind, started at its first use, stopped at the end of the folder."""
    started = {}
    with ExitStack() as stack:

        def get(kind):
            if kind not in started:
                started[kind] = stack.enter_context(start(kind, tmp_path_factory))
            return started[kind]

        yield get


@pytest.fixture(scope="package", params=["ours", "rabbitmq"])
def started_broker(request, brokers):
    return brokers(request.param)


@pytest.fixture
def broker(request, started_broker):
    why = getattr(request.function, "ours_differs", None)
    if why and started_broker.kind == "ours":
        request.applymarker(pytest.mark.xfail(strict=True, reason=why))
    yield started_broker
    started_broker.clean()
    assert getattr(started_broker.running, "errors", []) == []  # faults inside ours


@pytest.fixture
def connection(broker):
    """pika's blocking connection."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    yield connection
    if connection.is_open:
        connection.close()


@pytest.fixture
def channel(connection):
    return connection.channel()


def ours_differs(why: str):
    """Marks a test as one that our broker fails, for a reason that its docstring gives."""

    def mark(function):
        function.ours_differs = why
        return function

    return mark


@contextmanager
def closes(code: int, text: str = "", what: str = "channel"):
    """The block must end with the broker closing pika's channel (or ``what="connection"``) with this code."""
    import pika

    kind = {"channel": pika.exceptions.ChannelClosedByBroker, "connection": pika.exceptions.ConnectionClosedByBroker}
    with pytest.raises(kind[what]) as caught:
        yield
    assert caught.value.reply_code == code, caught.value.reply_text
    assert text in caught.value.reply_text


def eventually(condition, limit=10.0):
    """Wait until ``condition()`` is true; its value."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


def depth(channel, queue: str) -> int:
    """Messages ready in ``queue``, through pika."""
    return channel.queue_declare(queue, passive=True).method.message_count


def fill(channel, name: str, count: int, first: int = 0):
    """Publish the numbers from ``first`` on."""
    for number in range(first, first + count):
        channel.basic_publish("", name, b"%d" % number)


def bodies(channel, queue: str) -> list[bytes]:
    """Take everything that is ready, in order."""
    found = []
    while (got := channel.basic_get(queue, auto_ack=True))[0]:
        found.append(got[2])
    return found


def take(channel, queue: str, limit=10.0):
    """The next message of ``queue`` as ``(method, properties, body)``, waited for and acknowledged."""
    end = time.monotonic() + limit
    while True:
        got = channel.basic_get(queue, auto_ack=True)
        if got[0]:
            return got
        assert time.monotonic() < end, f"no message came to {queue}"
        time.sleep(0.01)


def run(coroutine, limit=60.0):
    """Run a coroutine of aio-pika, bounded."""
    return asyncio.run(asyncio.wait_for(coroutine, limit))
