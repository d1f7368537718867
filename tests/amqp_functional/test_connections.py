"""Opening, tuning, keeping and closing connections and channels, with four client libraries and a bare socket."""

import json
import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import amqp
import amqpstorm
import pika
import pytest
from pamqp import commands, frame, heartbeat
from pamqp.commands import Connection, Queue

from tests.amqp_brokers import closes, eventually, run
from tests.amqp_wire import Gone, Wire
from tests.conftest import require

AMQPLIB = "amqplib@2.3.1"


def parameters(url, user="guest", password="guest", **more):
    where = pika.URLParameters(url)
    return pika.ConnectionParameters(
        where.host, where.port, more.pop("vhost", "/"), pika.PlainCredentials(user, password), **more
    )


def py_amqp(url, **more):
    where = pika.URLParameters(url)
    return amqp.Connection(f"{where.host}:{where.port}", connect_timeout=10, read_timeout=10, **more)


def storm(url, password="guest", **more):
    where = pika.URLParameters(url)
    return amqpstorm.Connection(where.host, "guest", password, port=where.port, **more)


# -- who comes in --


@pytest.mark.parametrize("who", [("guest", "wrong"), ("nobody", "guest"), ("guest", ""), ("", "guest")])
def test_a_wrong_name_or_password_is_refused_with_403(broker, who):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as caught:
        pika.BlockingConnection(parameters(broker.url, *who))
    assert "(403) " in str(caught.value) and "ACCESS_REFUSED" in str(caught.value)


def test_a_client_without_the_capability_only_sees_the_socket_close(broker):
    """A Connection.Close before tuning is an extension that a client announces."""
    with Wire(broker.url, shake=False) as wire:
        wire.greet()
        wire.start_ok(response="\0guest\0wrong")
        with pytest.raises(Gone):
            wire.receive()
    with Wire(broker.url, shake=False) as wire:
        wire.greet()
        wire.start_ok(response="\0guest\0wrong", capabilities={"authentication_failure_close": True})
        what, code, text, blamed = wire.error()
    assert (what, code, blamed) == ("connection", 403, (0, 0))
    assert text.startswith("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.")


def test_both_mechanisms_are_offered_and_an_unknown_one_refused(broker):
    with Wire(broker.url, shake=False) as wire:
        wire.greet()
        assert {"PLAIN", "AMQPLAIN"} <= set(wire.start.mechanisms.split())
        assert wire.start.locales == "en_US"
        wire.start_ok(mechanism="KEY")
        assert wire.ends()


def test_amqplain_lets_in_and_keeps_out(broker):
    with py_amqp(broker.url, login_method="AMQPLAIN") as connection:
        assert connection.channel().queue_declare(exclusive=True).message_count == 0
    with pytest.raises(amqp.exceptions.AccessRefused, match="mechanism AMQPLAIN"):
        py_amqp(broker.url, login_method="AMQPLAIN", password="wrong").connect()


def test_what_the_broker_says_of_itself(broker):
    with Wire(broker.url) as wire:
        about = wire.start.server_properties
        assert (wire.start.version_major, wire.start.version_minor) == (0, 9)
        assert {"product", "version", "platform", "capabilities"} <= set(about)
        expected = (
            "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
            "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
            "direct_reply_to",
        )  # fmt: skip
        assert {name: about["capabilities"].get(name) for name in expected} == dict.fromkeys(expected, True)
        assert (wire.tune.channel_max, wire.tune.frame_max, wire.tune.heartbeat) == (2047, 131072, 60)


def test_an_unknown_virtual_host_is_refused_with_530(broker):
    with pytest.raises(
        pika.exceptions.ProbableAccessDeniedError, match=r"\(530\) 'NOT_ALLOWED - vhost absent not found'"
    ):
        pika.BlockingConnection(parameters(broker.url, vhost="absent"))
    with pytest.raises(amqp.exceptions.NotAllowed, match="vhost absent not found"):
        py_amqp(broker.url, virtual_host="absent").connect()


def test_a_method_out_of_order_in_the_handshake_ends_it(broker):
    with Wire(broker.url, shake=False) as wire:
        wire.greet()
        wire.send(Connection.Open("/"), 0)
        assert wire.ends()


def test_a_secret_may_be_renewed_on_an_open_connection(broker):
    """For tokens that expire; with a password it changes nothing."""
    with Wire(broker.url) as wire:
        wire.send(Connection.UpdateSecret("another", "rotation"), 0)
        wire.expect(Connection.UpdateSecretOk)
        assert wire.channel() == 1


# -- tuning --


def test_channel_numbers_end_where_they_were_tuned(broker):
    with Wire(broker.url, channel_max=3) as wire:
        for number in (1, 2, 3):
            wire.channel(number)
        wire.send(commands.Channel.Open(), 4)
        what, code, text, _ = wire.error()
    assert (what, code) == ("connection", 530)
    assert text == "NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)"


@pytest.mark.parametrize("offer", [{"channel_max": 3000}, {"frame_max": 1000}])
def test_a_client_that_tunes_beyond_the_limits_is_cut_off(broker, offer):
    """RabbitMQ closes the socket without a word, after 3 s in which it lets a guesser of passwords wait."""
    with Wire(broker.url, shake=False) as wire:
        wire.greet()
        wire.start_ok()
        wire.tune = wire.expect(Connection.Tune)
        wire.tune_ok(offer)
        wire.send(Connection.Open("/"), 0)
        with suppress(Gone):
            assert wire.error()[:2] == ("connection", 530)


def test_no_frame_to_the_client_is_larger_than_tuned(broker):
    queue = broker.name()
    content = bytes(range(256)) * 400
    with Wire(broker.url) as sender, Wire(broker.url, frame_max=4096) as wire:
        sender.channel()
        sender.call(Queue.Declare(0, queue))
        sender.publish(content, "", queue)
        wire.channel()
        eventually(lambda: wire.call(Queue.Declare(0, queue, passive=True)).message_count)
        wire.send(commands.Basic.Get(0, queue, no_ack=True))
        wire.expect(commands.Basic.GetOk, 1)
        assert wire.receive()[1].body_size == len(content)
        parts = []
        while sum(map(len, parts)) < len(content):
            parts.append(wire.receive()[1].value)
    assert b"".join(parts) == content
    assert max(map(len, parts)) == 4096 - 8


@pytest.mark.parametrize("frame_max", [4096, 131072])
def test_a_client_may_fill_a_frame_up_to_what_was_tuned(broker, frame_max):
    """AMQP counts the frame's own 8 bytes, RabbitMQ takes as many in the payload: AmqpStorm sends such frames."""
    queue = broker.name()
    with Wire(broker.url, frame_max=frame_max) as wire:
        wire.channel()
        wire.call(Queue.Declare(0, queue))
        for size in (frame_max - 7, frame_max):
            wire.publish(bytes(size), "", queue)
        eventually(lambda: wire.call(Queue.Declare(0, queue, passive=True)).message_count == 2)
        name = "n" * 200  # a method's frame: 200 bytes of argument name, and the value fills it up
        empty = len(frame.marshal(Queue.Declare(0, queue, arguments={name: "x"}), 1)) - 8 - 1
        wire.call(Queue.Declare(0, queue, arguments={name: "x" * (frame_max - empty)}))
        wire.publish(bytes(frame_max + 1), "", queue)
        what, code, text, _ = wire.error()
    assert (what, code) == ("connection", 501)
    assert text.endswith(f"{{frame_too_large,{frame_max + 1},{frame_max - 8}}}")


def test_storm_sends_what_needs_two_frames(broker):
    queue, content = broker.name(), b"0123456789" * 20_000
    with storm(broker.url) as connection, connection.channel() as channel:
        channel.queue.declare(queue)
        channel.basic.publish(content, queue)
        assert channel.basic.get(queue, auto_decode=False).body == content


# -- heartbeats --


def test_a_broker_sends_heartbeats_when_it_has_nothing_else_to_say(broker):
    with Wire(broker.url, heartbeat=1) as wire:
        seen = 0
        while seen < 2:
            wire.send(heartbeat.Heartbeat(), 0)
            _, frame = wire.receive(5, heartbeats=True)
            assert isinstance(frame, heartbeat.Heartbeat)
            seen += 1


def test_a_client_that_falls_silent_is_dropped_and_its_message_goes_to_another(broker, channel):
    queue = broker.name()
    channel.queue_declare(queue)
    channel.basic_publish("", queue, b"work")
    with Wire(broker.url, heartbeat=1) as wire:
        wire.channel()
        wire.call(commands.Basic.Consume(0, queue))
        wire.expect(commands.Basic.Deliver, 1)
        assert wire.ends(15)  # it listens, and says nothing
    method, _, content = eventually(lambda: (got := channel.basic_get(queue))[0] and got)
    assert (content, method.redelivered) == (b"work", True)


def test_without_heartbeats_silence_is_no_fault(broker):
    with Wire(broker.url, heartbeat=0) as wire:
        wire.channel()
        with pytest.raises(TimeoutError):
            wire.receive(2.5, heartbeats=True)
        assert wire.channel(2) == 2


# -- the end --


@pytest.mark.parametrize("whose", ["client's", "broker's"])
def test_after_a_close_the_broker_reads_on_until_the_client_has_done(broker, whose):
    """A client may have more under way than its close: what comes late is thrown away, and no reset meets it."""
    queue, bystander = broker.name(), Wire(broker.url)
    with Wire(broker.url) as wire, bystander:
        bystander.channel()
        bystander.call(Queue.Declare(0, queue))
        wire.channel()
        if whose == "client's":
            wire.send(Connection.Close(200, "done", 0, 0), 0)
            wire.expect(Connection.CloseOk)
        else:
            wire.send(commands.Basic.Qos(7, 0))
            assert wire.error()[:2] == ("connection", 540)
        for _ in range(30):  # over a while, and more than the buffers of the socket hold
            time.sleep(0.01)
            for _ in range(10):
                wire.publish(bytes(50_000), "", queue)
        with pytest.raises(TimeoutError):
            wire.receive(0.1)
        wire.send(Connection.Close(200, "again", 0, 0), 0)
        wire.expect(Connection.CloseOk)
        assert bystander.call(Queue.Declare(0, queue, passive=True)).message_count == 0
        wire.send(Connection.CloseOk(), 0)
        assert wire.ends()


@pytest.mark.parametrize("politely", [True, False])
def test_what_was_not_acknowledged_returns_when_the_connection_ends(broker, channel, politely):
    queue = broker.name()
    channel.queue_declare(queue)
    for content in (b"1", b"2", b"3"):
        channel.basic_publish("", queue, content)
    wire = Wire(broker.url)
    wire.channel()
    wire.call(commands.Basic.Consume(0, queue))
    for _ in range(3):
        wire.expect(commands.Basic.Deliver, 1)
        wire.receive(), wire.receive()
    wire.send(commands.Basic.Ack(2))
    if politely:
        wire.send(Connection.Close(200, "", 0, 0), 0)
        wire.expect(Connection.CloseOk)
    else:  # RST, as of a process that was killed with unread data
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    wire.socket.close()
    eventually(lambda: channel.queue_declare(queue, passive=True).method.message_count == 2)
    got = [channel.basic_get(queue) for _ in range(2)]
    assert [(content, method.redelivered) for method, _, content in got] == [(b"1", True), (b"3", True)]


def test_half_a_frame_and_then_nothing_harms_nobody(broker, channel):
    """A client that stops in the middle of a frame, one that connects and says nothing, one that leaves at once."""
    silent = socket.create_connection((pika.URLParameters(broker.url).host, pika.URLParameters(broker.url).port))
    with Wire(broker.url) as half:
        half.channel()
        half.send_bytes(b"\x01\x00\x01\x00\x00\xff")
        assert channel.queue_declare("", exclusive=True).method.message_count == 0
    silent.close()
    assert channel.queue_declare("", exclusive=True).method.message_count == 0


# -- channels --


def test_a_channel_closes_and_its_number_is_free_again(broker, connection):
    for _ in range(3):
        channel = connection.channel(7)
        assert channel.channel_number == 7
        channel.close()
    with closes(404):
        connection.channel(7).queue_declare("absent", passive=True)
    assert connection.channel(7).is_open


def test_many_channels_are_apart(broker):
    """40 channels on one connection: each has its own delivery tags, its own mode and its own last queue."""
    with storm(broker.url) as connection:
        channels = [connection.channel() for _ in range(40)]
        queues = []
        for number, channel in enumerate(channels):
            queues.append(channel.queue.declare("", exclusive=True)["queue"])
            channel.basic.publish(str(number), queues[-1])
        assert len(set(queues)) == 40
        for number, (channel, queue) in enumerate(zip(channels, queues)):
            message = channel.basic.get(queue)
            assert (message.body, message.method["delivery_tag"]) == (str(number), 1)
            message.ack()
        channels[5].confirm_deliveries()
        assert channels[5].basic.publish("x", queues[5]) is True
        channels[6].tx.select()
        with pytest.raises(amqpstorm.AMQPChannelError, match="no queue 'absent'"):
            channels[7].queue.declare("absent", passive=True)
        assert not channels[7].is_open and channels[6].is_open
        channels[6].tx.commit()


def test_an_idle_pika_connection_outlives_its_heartbeat(broker):
    """``process_data_events`` answers for it."""
    with pika.BlockingConnection(parameters(broker.url, heartbeat=1)) as connection:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            connection.process_data_events(0.2)
        assert connection.channel().queue_declare("", exclusive=True)


def test_storm_and_py_amqp_connections_keep_alive_by_themselves(broker):
    with storm(broker.url, heartbeat=1) as first, py_amqp(broker.url, heartbeat=1) as second:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            second.heartbeat_tick()
            with suppress(socket.timeout):
                second.drain_events(timeout=0.1)
        assert first.channel().queue.declare("", exclusive=True)
        assert second.channel().queue_declare(exclusive=True)


def test_aio_pika_connects_closes_and_is_refused(broker):
    import aio_pika

    async def scenario():
        connection = await aio_pika.connect_robust(broker.url)
        async with connection:
            first, second = await connection.channel(), await connection.channel()
            queue = await first.declare_queue(exclusive=True)
            assert (await second.declare_queue(queue.name, passive=True)).name == queue.name
        assert connection.is_closed
        with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
            await aio_pika.connect(broker.url.replace("guest:guest", "guest:wrong"))

    run(scenario())


def test_a_wrong_password_is_refused_to_every_library(broker):
    with pytest.raises(amqp.exceptions.AccessRefused):
        py_amqp(broker.url, password="wrong").connect()
    with pytest.raises(amqpstorm.AMQPConnectionError, match="ACCESS_REFUSED"):
        storm(broker.url, "wrong")


@pytest.fixture(scope="module")
def amqplib(tmp_path_factory):
    """A folder with amqplib, installed by npm."""
    npm, folder = require("npm"), tmp_path_factory.mktemp("amqplib")
    options = ["--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run([npm, "install", *options, AMQPLIB], capture_output=True, text=True, timeout=120)
    if done.returncode:
        reason = f"npm could not fetch {AMQPLIB}: {done.stderr.strip()[-300:]}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return folder / "node_modules"


def test_a_client_of_another_language_publishes_consumes_and_closes(broker, amqplib):
    """amqplib sends its Close ahead of what waits in its buffers, and must not meet a closed socket with the rest."""
    script = Path(__file__).parent / "amqplib_scenario.js"
    environment = os.environ | {"NODE_PATH": str(amqplib)}
    done = subprocess.run(
        [require("node"), script, broker.url, broker.name()],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {
        "confirmed": 200, "returned": "NO_ROUTE", "inOrder": True, "most": 10, "messageCount": 0, "full": True,
        "errors": [],
    }  # fmt: skip
