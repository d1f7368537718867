"""WebSocket, Socket.IO, gRPC and SSE in one lifecycle: started, stopped, nothing left, also behind the fault proxy."""

import asyncio
import contextlib
import gc
import json
import logging
import random
import socket
import string
import sys
import threading
import time

import grpc
import psutil
import pytest
import requests
import socketio
from flask import Flask
from flask_socketio import SocketIO, emit
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from servicelab.clients.feed_readers import WAYS, deliver, idle_cost
from servicelab.clients.sse import StreamLost
from servicelab.clients.streams import disconnect, open_websocket
from servicelab.clients.tracing import traced_socketio
from servicelab.faults import Bandwidth, Down, FaultProxy, Latency, ResetPeer, Slicer, Timeout
from servicelab.lifecycle import ServerError, is_listening, running, stop_all
from servicelab.servers import Feed, ServerProcess, SocketIOServer, WebSocketServer
from servicelab.servers.threads import errors_logger, shut, unsent
from servicelab.trace import Trace
from tests.waiting import eventually, interrupted_start, left

PUSHED = ["SSE", "WebSocket", "Socket.IO", "gRPC stream"]
each_way = pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))
each_push = pytest.mark.parametrize("way", [WAYS[name] for name in PUSHED], ids=PUSHED)


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert eventually(lambda: not left()), left()


def echo(connection):
    for message in connection:
        connection.send(message)


def dial(server, **options):
    return connect(server.url.replace("http:", "ws:"), proxy=None, legacy=True, **options)


# -- every way: a life without remains ------------------------------------------------------------


@each_way
def test_events_arrive_in_order_and_the_reader_can_begin_where_it_was(way):
    feed = Feed()
    for number in range(5):
        feed.publish(number)
    with way.serve(feed, "feed", 4) as server:
        reader = way.read(server, 2)
        events = iter(reader)
        first = sorted(next(events) for _ in range(3))  # Socket.IO promises no order
        feed.publish(5)
        assert [*first, next(events)] == [(3, 2), (4, 3), (5, 4), (6, 5)]
        reader.close()


@each_way
def test_it_is_replaced_by_name_stops_with_open_clients_and_frees_its_port(way, capsys):
    feed = Feed()
    first = way.serve(feed, "feed", 8).start()
    readers = [way.read(first, 0) for _ in range(3)]
    for reader in readers:
        reader.idle()
    second = way.serve(feed, "feed", 8).start()
    assert "replaced the one" in capsys.readouterr().out
    assert not is_listening(first.port) and is_listening(second.port)
    assert len(running()) == 1
    second.stop()
    second.stop()
    assert left() == []
    for reader in readers:
        reader.close()
    assert first.errors == [] and second.errors == []
    port = second.port or second.start().port
    second.stop()
    again = way.serve(feed, "again", 4)
    again.wanted_port = port  # free at once, in spite of the connections that were open
    again.start().stop()


@each_way
def test_a_taken_port_is_refused_and_nothing_is_left(way, capfd):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = way.serve(Feed(), "feed", 4)
        server.wanted_port = taken.getsockname()[1]
        with pytest.raises(ServerError, match="could not listen on"):
            server.start()
    assert left() == [] and not server.is_running
    assert capfd.readouterr().err == ""


@each_way
def test_two_hundred_idle_connections_open_and_close_without_residue(way):
    process = psutil.Process()
    with contextlib.ExitStack() as readers:
        feed = Feed()
        server = way.serve(feed, "feed", 200).start()
        try:
            warm = way.read(server, 0)
            warm.idle()
            warm.close()
            gc.collect()
            threads, descriptors = threading.active_count(), process.num_fds()
            for _ in range(200):
                reader = way.read(server, 0)
                readers.callback(reader.close)
                reader.idle()
            assert process.num_fds() >= descriptors + 200
            readers.close()
            feed.publish("bye")  # the heartbeats would find them gone, too, in their own time
            feed.publish("bye")
        finally:
            server.stop()
    assert eventually(lambda: not left()), left()
    assert eventually(lambda: gc.collect() * 0 + process.num_fds() <= descriptors), process.num_fds() - descriptors
    assert eventually(lambda: threading.active_count() <= threads)


@each_way
def test_stopped_with_many_clients_it_is_gone_in_a_bounded_time(way):
    server = way.serve(Feed(), "feed", 60).start()
    readers = [way.read(server, 0) for _ in range(60)]
    for reader in readers:
        reader.idle()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 8  # it gives half a second, and cuts; a machine may be busy
    assert eventually(lambda: not left()), left()
    for reader in readers:
        reader.close()


# -- every way behind the fault proxy -----------------------------------------------------------


@each_way
def test_latency_is_added_and_nothing_breaks(way):
    got = deliver(way, 5, 0.01, toxics=[Latency(0.05)])
    assert min(got.latencies) >= 0.05


@each_way
def test_an_interrupt_while_its_reader_begins_ends_the_reader(way, monkeypatch):
    with interrupted_start(monkeypatch, f"servicelab {way.name} reader"):
        deliver(way, 1)
    assert eventually(lambda: not left()), left()


@each_push
def test_cut_into_single_bytes_every_event_arrives(way):
    got = deliver(way, 5, 0.01, toxics=[Slicer(1), Slicer(3, direction="upstream")])
    assert len(got.latencies) == 5


@each_push
def test_bandwidth_holds_for_upgraded_connections_and_http2(way):
    rate, size, rng = 20_000, 4_000, random.Random(1)
    feed = Feed()
    with way.serve(feed, "feed", 4) as server, FaultProxy(server) as proxy:
        reader = way.read(proxy, 0)
        events = iter(reader)
        feed.publish("first")
        next(events)
        proxy.add(Bandwidth(rate))
        before = proxy.connections.down
        began = time.monotonic()
        for _ in range(3):
            feed.publish("".join(rng.choices(string.ascii_letters, k=size)))  # little is left to compress
        for _ in range(3):
            next(events)
        took = time.monotonic() - began
        assert took >= (proxy.connections.down - before) / rate - 0.03
        assert proxy.connections.down - before > 0.4 * 3 * size  # compressed or not
        reader.close()


@each_push
@pytest.mark.parametrize("toxic", [ResetPeer(), Down()], ids=["reset", "down"])
def test_a_cut_connection_is_a_loss_for_the_reader_and_the_server_lets_go(way, toxic):
    feed = Feed()
    with way.serve(feed, "feed", 4) as server, FaultProxy(server) as proxy:
        reader = way.read(proxy, 0)
        events = iter(reader)
        feed.publish(1)
        assert next(events) == (1, 1)
        proxy.add(toxic)
        feed.publish(2)
        if way.name == "Socket.IO":
            assert eventually(lambda: not reader._client.connected)
        else:
            with pytest.raises((StreamLost, ConnectionClosed)):
                next(events)
        proxy.clear()
        feed.publish(3)
        feed.publish(4)  # a second write finds what the first was told
        if way.name == "Socket.IO":
            assert eventually(lambda: server.clients == 0)
        else:
            assert eventually(lambda: feed.subscribers == 0)
        reader.close()
        again = way.read(proxy, 4)
        feed.publish(5)
        assert next(iter(again)) == (5, 5)
        again.close()


@each_push
def test_the_proxy_counts_what_an_event_costs(way):
    small = deliver(way, 10, 0.005)
    assert small.up < 20 and 5 < small.down < 300
    assert small.requests == 0


def test_polling_pays_for_every_question():
    got = deliver(WAYS["long polling"], 10, 0.02)
    assert 0 < got.requests <= 1.2
    assert got.up > 50


# -- in a process of its own, and what it costs ----------------------------------------------------


def test_a_server_of_any_kind_runs_in_a_child_process():
    trace = Trace()
    with ServerProcess(lambda: WebSocketServer(echo, "x"), "orders", trace=trace) as server:
        assert server.url.startswith("ws://") and server.pid != psutil.Process().pid
        with contextlib.closing(open_websocket(server.url, trace=trace)) as connection:
            connection.send("hello")
            assert connection.recv(timeout=8) == "hello"
        found = server.footprint()
        assert found.memory > 1_000_000 and found.threads >= 2 and found.descriptors >= 4
        assert [(m.sender, m.receiver, m.label) for m in trace.messages] == [
            ("client", "orders", "hello"), ("orders", "client", "hello"),
        ]  # fmt: skip
        assert all(m.received is not None for m in trace.messages)


@pytest.mark.parametrize("factory", [lambda: 7, lambda: 1 / 0])
def test_a_factory_that_gives_no_server_is_refused(factory):
    with pytest.raises(ServerError, match="factory of 'orders'"):
        ServerProcess(factory, "orders").start()


def test_an_idle_connection_costs_what_its_server_is_made_of():
    websocket = idle_cost(WAYS["WebSocket"], 30)
    assert round(websocket.threads) == 2  # one handles, one reads
    assert websocket.descriptors >= 1
    assert websocket.memory > 10_000


# -- WebSocket -------------------------------------------------------------------------------------


def test_websocket_messages_are_stamped_both_ways():
    trace = Trace()
    with WebSocketServer(echo, "orders", trace=trace) as server:
        connection = open_websocket(server.url, trace=trace, name="client")
        for message in ("one", b"\xff\xfe", ["two ", "halves"]):
            connection.send(message)
            connection.recv(timeout=8)
        connection.close()
    labels = [("client", "one"), ("orders", "one"), ("client", "2 bytes"), ("orders", "2 bytes")]
    assert [(m.sender, m.label) for m in trace.messages] == [*labels, ("client", "two"), ("orders", "two halves")]
    assert {(m.receiver, m.kind) for m in trace.messages} == {("client", "message"), ("orders", "message")}
    assert all(m.received is not None and m.received >= m.sent for m in trace.messages)


@pytest.mark.parametrize("times", [1, 2])
def test_a_client_that_another_library_traces_leaves_no_messages(times):
    header = ("traceparent", f"00-{'1' * 32}-{'2' * 16}-01")
    with WebSocketServer(echo, "chat", trace=Trace()) as server:
        with dial(server, additional_headers=[header] * times) as connection:
            connection.send("hi")
            assert connection.recv() == "hi"
        assert not server.trace.messages and not server.errors


def test_an_untraced_client_leaves_no_messages():
    trace = Trace()
    with WebSocketServer(echo, "orders", trace=trace) as server:
        connection = dial(server)
        connection.send("x")
        assert connection.recv(timeout=8) == "x"
        connection.close()
    assert trace.messages == []


def test_what_was_under_way_when_the_connection_broke_is_lost_and_says_so():
    trace = Trace()
    sent = threading.Event()

    def push(connection):
        connection.send("arrives")
        sent.wait(8)
        connection.send("does not")
        with contextlib.suppress(ConnectionClosed):
            connection.recv()

    with WebSocketServer(push, "orders", trace=trace) as server, FaultProxy(server) as proxy:
        connection = open_websocket(proxy.url, trace=trace)
        assert connection.recv(timeout=8) == "arrives"
        proxy.add(ResetPeer())
        sent.set()
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=8)
        assert eventually(lambda: not server.connections)
        assert eventually(lambda: any(message.lost for message in trace.messages))
        first, second = (m for m in trace.messages if m.label in ("arrives", "does not"))
    assert first.received is not None and first.lost is None
    assert second.received is None and second.lost == "connection broke"


FAILURES = [RuntimeError("what a pity"), SystemExit("what a pity"), KeyboardInterrupt("what a pity"),
            asyncio.CancelledError("what a pity")]  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_a_websocket_handler_that_fails_is_noted_and_closes_with_1011(failure, capfd):
    def broken(connection):
        connection.recv()
        raise failure

    with WebSocketServer(broken, "orders") as server:
        connection = dial(server)
        connection.send("x")
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=8)
        assert caught.value.rcvd.code == 1011
        connection.close()
        assert eventually(lambda: any("what a pity" in error for error in server.errors))
    assert capfd.readouterr().err == ""


def test_a_client_that_goes_is_no_error():
    with WebSocketServer(lambda connection: connection.recv(), "orders") as server:
        connection = dial(server)
        connection.close()
        assert eventually(lambda: not server.connections)
        raw = socket.create_connection(server.address)  # and one that never says a word
        raw.close()
    assert server.errors == []


@pytest.mark.parametrize("behaviour", ["sleeps", "floods", "loops", "ignores the close"])
def test_it_stops_whatever_its_handlers_do(behaviour):
    woken = threading.Event()

    def handler(connection):
        if behaviour == "sleeps":
            woken.wait(20)
        elif behaviour == "floods":
            while True:
                connection.send("x" * 100_000)
        elif behaviour == "loops":
            while True:
                sum(range(100))
        else:
            while True:
                with contextlib.suppress(ConnectionClosed):
                    connection.recv()

    server = WebSocketServer(handler, "orders", compression=None).start()
    connections = [dial(server) for _ in range(2)]
    assert eventually(lambda: len(server.connections) == 2)
    if behaviour == "floods":
        threading.Event().wait(0.5)  # until the kernel's buffers are full, and the handler is stuck in send()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 8
    if behaviour == "sleeps":
        assert any("still running" in error for error in server.errors)
        woken.set()
    else:
        assert eventually(lambda: not left(), 2.0)  # before the clients go, who would wake a blocked sender
    for connection in connections:
        shut(connection.socket)
        connection.close()


def test_a_half_open_peer_is_found_by_the_servers_own_heartbeat():
    server = WebSocketServer(echo, "orders", ping_interval=0.05, ping_timeout=1.0)
    with server, FaultProxy(server) as proxy:
        connection = dial(proxy, ping_interval=None)
        assert eventually(lambda: len(server.connections) == 1)
        proxy.add(Timeout(0, direction="upstream"))
        proxy.add(Timeout(0, direction="downstream"))
        assert eventually(lambda: not server.connections)
        proxy.clear()
        connection.close()


def test_when_closed_wakes_a_handler_that_waits_for_something_else():
    feed, calls = Feed(), []

    def follow(connection):
        with feed.subscribe() as events:
            connection.when_closed(events.close)
            connection.when_closed(lambda: calls.append("first"))
            for event in events:
                connection.send(event.data)
        connection.when_closed(lambda: calls.append("late"))

    with WebSocketServer(follow, "orders") as server:
        connection = dial(server)
        assert eventually(lambda: feed.subscribers == 1)
        connection.close()
        assert eventually(lambda: feed.subscribers == 0)
        assert eventually(lambda: calls == ["first", "late"])


@pytest.mark.parametrize(
    "handler, options, text",
    [
        (7, {}, "7 is no handler"),
        (WebSocketServer, {}, "is no handler"),
        (lambda: None, {}, "cannot be called with a connection"),
        (echo, {"ping_intervall": 1}, "ping_intervall=1: a WebSocketServer knows .*ping_interval"),
        (echo, {"trace": []}, "is no trace"),
        (echo, {"compression": "gzip"}, "unsupported compression: gzip"),
        (echo, {"subprotocols": "chat"}, "subprotocols must be a list"),
    ],
)
def test_a_websocket_server_refuses(handler, options, text):
    gc.collect()
    before = psutil.Process().num_fds()
    with pytest.raises(ServerError, match=text):
        WebSocketServer(handler, "orders", **options).start()
    assert psutil.Process().num_fds() == before


def test_a_coroutine_function_is_refused():
    async def handler(connection):
        pass

    with pytest.raises(ServerError, match="has no event loop"):
        WebSocketServer(handler, "orders")


def test_the_send_buffer_bounds_what_a_slow_reader_costs():
    pushed, stuck = [], threading.Event()

    def push(connection):
        with contextlib.suppress(ConnectionClosed):
            while True:
                connection.send(b"x" * 10_000)
                pushed.append(1)

    counts = {}
    for size in (10_000, None):
        pushed.clear()
        with WebSocketServer(push, "orders", send_buffer=size, compression=None) as server:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
            raw.connect(server.address)
            raw.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            last = -1
            while last != len(pushed):  # until the sender is stuck
                last = len(pushed)
                stuck.wait(0.3)
            counts[size] = len(pushed)
            if sys.platform == "linux":
                (connection,) = server.connections
                assert unsent(connection.socket) > 1000
            raw.close()
    assert 0 < counts[10_000] < counts[None]


# -- Socket.IO -------------------------------------------------------------------------------------


def chat(trace=None, failure=FAILURES[0], **options):
    app = Flask("chat")
    io = SocketIO(app, async_mode="threading", **options)

    @io.on("say")
    def say(text):
        emit("said", text.upper(), broadcast=True)
        return "heard"

    @io.on("boom")
    def boom():
        raise failure

    @app.get("/boom")
    def page():
        raise failure

    return SocketIOServer(io, "chat", trace=trace)


@contextlib.contextmanager
def caller(server, **options):
    client = socketio.Client(reconnection=False)
    client.connect(server.url, wait_timeout=10, **options)
    try:
        yield client
    finally:
        disconnect(client)


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids=str)
def test_socketio_talks_over_both_transports(transports):
    with chat() as server, caller(server, transports=transports) as client:
        heard = threading.Event()
        client.on("said", lambda text: heard.set() if text == "HI" else None)
        assert client.call("say", "hi", timeout=8) == "heard"
        assert heard.wait(8)
        assert server.clients == 1


def test_a_socketio_message_is_not_held_back_by_nagle():
    with chat() as server, caller(server, transports=["websocket"]) as client:
        client.call("say", "warm")
        took = []
        for _ in range(10):
            began = time.perf_counter()
            client.call("say", "hi")
            took.append(time.perf_counter() - began)
        assert min(took) < 0.03  # with Nagle's algorithm no answer is faster than a delayed acknowledgement, 40 ms


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_what_a_socketio_handler_raises_is_noted_and_not_printed(failure, in_thread, capfd):
    with chat(failure=failure, async_handlers=in_thread) as server, caller(server) as client:
        client.emit("boom")
        assert eventually(lambda: any("what a pity" in error for error in server.errors))
        assert client.call("say", "still here", timeout=8) == "heard"
        server.errors.clear()
        assert requests.get(server.url + "/boom").status_code == 500
        assert eventually(lambda: any("what a pity" in error for error in server.errors))
    assert capfd.readouterr().err == ""


def test_a_socketio_server_can_be_started_again_and_ends_the_pings_that_sleep():
    server = chat(ping_interval=60)
    for _ in range(2):
        server.start()
        with caller(server) as client:
            assert client.call("say", "hi", timeout=8) == "heard"
            assert any("ping" in name for name in left())
        server.stop()
        assert left() == []


def test_of_a_client_that_left_no_thread_sleeps_until_its_next_ping():
    with chat(ping_interval=60) as server:
        with caller(server), caller(server, transports=["polling"]), caller(server, transports=["websocket"]):
            assert eventually(lambda: sum("ping" in name for name in left()) == 3)
        assert eventually(lambda: not any("ping" in name for name in left())), left()
        assert server._naps == {}


def test_a_task_of_socketio_that_begins_after_the_stop_ends_at_once(monkeypatch):
    server, stopped = chat(), threading.Event()
    eio, goodbye = server.socketio.server.eio, server._say_goodbye
    make = eio.create_event
    monkeypatch.setattr(eio, "create_event", lambda: stopped.wait(10) and make())
    monkeypatch.setattr(server, "_say_goodbye", lambda eio: (goodbye(eio), stopped.set()))
    with server, caller(server) as client:
        client.emit("say", "hi")
        assert eventually(lambda: any("service_task" in name for name in left()))
    assert eventually(lambda: not left()), left()


def test_a_server_says_what_does_not_count_without_the_lock_of_logging():
    logger = errors_logger("orders", [])
    with logging._lock:  # taken for ever by an interrupt at a bad moment
        thread = threading.Thread(target=logger.info, args=["asked"])
        thread.start()
        thread.join(10)
        assert not thread.is_alive()


def test_a_dead_socketio_client_is_found_by_its_missing_pong():
    with chat(ping_interval=0.1, ping_timeout=1.0) as server, FaultProxy(server) as proxy:
        client = socketio.Client(reconnection=False)
        client.connect(proxy.url, transports=["websocket"], wait_timeout=10)
        assert eventually(lambda: server.clients == 1)
        proxy.add(Timeout(0, direction="upstream"))
        assert eventually(lambda: server.clients == 0)
        disconnect(client)


def test_socketio_messages_are_stamped_on_the_servers_side_for_a_traced_client():
    trace = Trace()
    with chat(trace) as server:
        client = traced_socketio(socketio.Client(reconnection=False), trace, "client")
        client.connect(server.url, wait_timeout=10)
        heard = threading.Event()
        client.on("said", lambda text: heard.set())
        client.call("say", "hi", timeout=8)
        assert heard.wait(8)
        disconnect(client)
    found = [(m.sender, m.receiver, m.label) for m in trace.messages if m.label in ("say", "said", "ack")]
    assert sorted(found) == sorted([("client", "chat", "say"), ("chat", "client", "said"), ("chat", "client", "ack")])
    assert all(m.received is not None for m in trace.messages if m.label in ("say", "said", "ack"))


def test_a_socketio_server_refuses():
    with pytest.raises(ServerError, match="is no flask_socketio.SocketIO"):
        SocketIOServer(Flask("x"), "chat")
    with pytest.raises(ServerError, match="no Flask app"):
        SocketIOServer(SocketIO(), "chat")


# -- gRPC is in test_grpc_server --------------------------------------------------------------------


def test_json_and_grpc_carry_the_same_events():
    feed = Feed()
    feed.publish({"order": 17, "state": "packed"})
    found = set()
    for way in WAYS.values():
        with way.serve(feed, "feed", 4) as server:
            reader = way.read(server, 0)
            found.add(json.dumps(next(iter(reader))))
            reader.close()
    assert len(found) == 1
    assert grpc.StatusCode.OK  # the room is complete
