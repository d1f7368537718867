"""When the broker lets a streaming client go on before it reads again, and that it never does while somebody waits."""

import time

import pika
import pytest
from pamqp import body, commands, frame, header

from servicelab.servers.amqp import start_broker
from servicelab.servers.amqp.connection import Connection
from servicelab.servers.amqp.core import VirtualHost
from servicelab.servers.amqp.journal import NullJournal
from servicelab.servers.amqp.server import AmqpServer
from servicelab.servers.amqp.stream import FULL, PLENTY, REST, RUN, Pace
from servicelab.trace import Trace
from tests.amqp_brokers import depth

QUICK = REST / 10  # seconds between two reads of a stream


class Loop:
    """A loop whose clock the test moves."""

    def __init__(self):
        self.now = 100.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, delay, do):
        self.timers.append((self.now + delay, do))
        return self

    def call_soon(self, do):
        return self.call_later(0, do)

    def cancel(self):
        pass

    def pass_by(self, seconds):
        self.now += seconds
        due = [do for at, do in self.timers if at <= self.now]
        self.timers = [(at, do) for at, do in self.timers if at > self.now]
        for do in due:
            do()


class Transport:
    """A socket that takes everything, and says whether it is read."""

    def __init__(self):
        self.read = True

    def pause_reading(self):
        self.read = False

    def resume_reading(self):
        self.read = True

    def is_closing(self):
        return False

    def write(self, data):
        pass

    def abort(self):
        pass

    def set_write_buffer_limits(self, high):
        pass


class Client:
    """An open connection with a queue "q", without a socket. ``says`` is one read of these methods by the broker."""

    def __init__(self, server):
        self.connection, self.loop = Connection(server), server.loop
        self.connection.connection_made(Transport())
        self.connection.data_received(b"AMQP\0\0\x09\1")
        self.says(commands.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"), channel=0)
        self.says(commands.Connection.TuneOk(2047, 131072, 0), channel=0)
        self.says(commands.Connection.Open("/"), channel=0)
        self.says(commands.Channel.Open())
        self.says(commands.Queue.Declare(0, "q", durable=True))
        assert self.connection.state == "running"

    def says(self, *methods, channel=1):
        assert self.reads, "it rests"
        self.loop.pass_by(QUICK)
        self.connection.data_received(b"".join(frame.marshal(each, channel) for each in methods))

    def publishes(self, size=10, key="q", **properties):
        self.says(
            commands.Basic.Publish(0, "", key),
            header.ContentHeader(0, size, commands.Basic.Properties(**properties)),
            body.ContentBody(bytes(size)),
        )

    def consumes(self, prefetch):
        self.says(commands.Basic.Qos(0, prefetch))
        self.says(commands.Basic.Consume(0, "q", "c"))

    @property
    def reads(self):
        return self.connection.transport.read

    def rests_while(self, do, times=5 * RUN):
        """Whether it is left unread within so many repetitions of ``do(number)``."""
        for number in range(times):
            do(number)
            if not self.reads:
                return True
        return False


def new_server(journal=None, **options):
    server = AmqpServer(VirtualHost(journal), **options)
    server.loop = Loop()
    return server


@pytest.fixture
def client():
    return Client(new_server())


def test_a_run_of_quick_reads_without_an_answer_earns_a_rest():
    pace, now = Pace(), 100.0
    assert pace.rests(now, 100, False) is False  # the first read follows none
    found = [pace.rests(now + number * QUICK, 100, False) for number in range(1, RUN + 1)]
    assert found == [False] * (RUN - 1) + [True]
    now += RUN * QUICK + REST  # the end of the rest, from which the next read counts
    assert pace.rests(now + QUICK, 100, False)
    assert pace.rests(now + QUICK + REST + 0.9 * REST, 100, False)


@pytest.mark.parametrize(
    ("gap", "size", "answered"), [(1.1 * REST, 100, False), (QUICK, 100, True)], ids=["a pause", "an answer"]
)
def test_the_run_begins_again_after(gap, size, answered):
    pace, now = Pace(), 100.0
    for number in range(RUN):
        assert not pace.rests(now + number * QUICK, 100, False)
    now += (RUN - 1) * QUICK + gap
    assert not pace.rests(now, size, answered)
    found = [pace.rests(now + number * QUICK, 100, False) for number in range(1, RUN + 1)]
    assert found == [False] * (RUN - 1) + [True]


def test_a_long_read_needs_no_rest():
    pace = Pace()
    assert not any(pace.rests(100 + number * QUICK, FULL, False) for number in range(3 * RUN))
    assert pace.rests(100 + 3 * RUN * QUICK, FULL - 1, False)


def test_a_stream_of_messages_that_nobody_waits_for_rests_for_a_millisecond(client):
    assert client.rests_while(lambda _: client.publishes())
    client.loop.pass_by(REST / 2)
    assert not client.reads
    client.loop.pass_by(REST)
    assert client.reads
    client.publishes()
    assert not client.reads  # and again, as long as it lasts


def test_a_rest_that_a_busy_machine_ends_late_does_not_end_the_stream(client):
    assert client.rests_while(lambda _: client.publishes())
    for _ in range(3):
        client.loop.pass_by(5 * REST)
        client.publishes()
        assert not client.reads


def test_who_is_answered_is_read_at_once(client):
    assert not client.rests_while(lambda _: client.says(commands.Queue.Declare(0, "q", passive=True, durable=True)))
    client.publishes()
    assert not client.rests_while(lambda _: client.says(commands.Basic.Get(0, "q", no_ack=True)))
    assert not client.rests_while(
        lambda _: client.says(
            commands.Basic.Publish(0, "", "nowhere", mandatory=True),
            header.ContentHeader(0, 0, commands.Basic.Properties()),
        )
    )


def test_who_waits_for_confirms_is_read_at_once(client):
    client.says(commands.Confirm.Select())
    assert not client.rests_while(lambda _: client.publishes())


class SlowDisk(NullJournal):
    """A journal that never comes to an end."""

    def sync(self, done):
        pass


def test_who_waits_for_the_disk_is_read_at_once():
    client = Client(new_server(SlowDisk()))
    client.server = client.connection.server
    client.server.core.keeps = True
    client.says(commands.Confirm.Select())
    assert not client.rests_while(lambda _: client.publishes(delivery_mode=2))
    assert client.server.core.unsynced


@pytest.mark.parametrize(("prefetch", "rests"), [(10, False), (PLENTY - 1, False), (PLENTY + 1, True)])
def test_acknowledgements_can_rest_when_their_client_has_work_in_hand(client, prefetch, rests):
    for _ in range(3):
        client.says(*[
            each for _ in range(100) for each in (
                commands.Basic.Publish(0, "", "q"), header.ContentHeader(0, 0, commands.Basic.Properties())
            )
        ])  # fmt: skip
    client.loop.pass_by(1)
    client.consumes(prefetch)
    channel = client.connection.ports[1].channel
    assert channel.outstanding == prefetch
    assert client.rests_while(lambda number: client.says(commands.Basic.Ack(number + 1))) is rests
    assert channel.outstanding == prefetch


@pytest.mark.parametrize("in_hand", [0, PLENTY])
def test_a_publisher_whose_messages_a_consumer_waits_for_is_read_at_once(client, in_hand):
    consumer = Client(client.connection.server)
    consumer.consumes(prefetch=1000)
    for _ in range(in_hand):
        client.publishes()
    client.loop.pass_by(1)
    waited_for = client.rests_while(lambda _: client.publishes(), times=RUN + 1)
    assert waited_for is (in_hand == PLENTY)


def test_with_a_trace_every_message_is_read_when_it_comes():
    client = Client(new_server(trace=Trace()))
    assert not client.rests_while(lambda _: client.publishes())


def test_a_pause_outlasts_a_rest(client):
    assert client.rests_while(lambda _: client.publishes())
    client.connection.server.pause()
    client.loop.pass_by(2 * REST)
    assert not client.reads
    client.connection.server.resume()
    assert client.reads


def test_a_memory_alarm_outlasts_a_rest():
    client = Client(new_server(memory_limit=10_000))
    assert client.rests_while(lambda _: client.publishes(size=1))
    client.loop.pass_by(REST)
    client.publishes(size=10_000)  # it rests again, and is blocked
    assert client.connection.blocked
    client.loop.pass_by(2 * REST)
    assert not client.reads


def test_messages_stay_whole_and_in_order_across_rests(monkeypatch):
    """On real sockets, with pika."""
    rests, published, end = [], 0, time.monotonic() + 20
    asked = Pace.rests
    monkeypatch.setattr(Pace, "rests", lambda *them: asked(*them) and not rests.append(published))
    with start_broker("stream") as broker, pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("q")
        while len(rests) < 3:
            assert time.monotonic() < end, f"{published} messages, and it rested only at {rests}"
            channel.basic_publish("", "q", b"%d" % published)
            published += 1
        assert depth(channel, "q") == published
        for number in range(published):
            assert channel.basic_get("q", auto_ack=True)[2] == b"%d" % number
