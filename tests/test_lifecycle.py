"""Start, answer, stop, gone: for a server that does as little as a server can."""

import gc
import pkgutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager

import psutil
import pytest
from flask import Flask
from flask_socketio import SocketIO

from servicelab.faults import FaultProxy
from servicelab.lifecycle import HOST, Server, ServerError, is_listening, running, server_at, stop_all
from servicelab.servers import GRPCServer, HTTPServer, SocketIOServer, WebSocketServer
from servicelab.servers.amqp.handle import Broker
from servicelab.servers.dns import DNSServer
from servicelab.servers.registry import Registry
from tests.waiting import eventually, left


class Listener(Server):
    """Listens, and lets the backlog take the connections."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.socket = None
        self.closed = 0

    def _open(self):
        self.socket = socket.socket()
        self.socket.bind((HOST, self.wanted_port))
        self.socket.listen()
        return self.socket.getsockname()[1]

    def _close(self):
        self.closed += 1
        if self.socket is not None:
            self.socket.close()


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    left = str(running())
    stop_all()
    assert "nothing is running" in left


def test_it_answers_after_start_and_not_after_stop():
    server = Listener("orders")
    with server as started:
        assert started is server
        assert is_listening(server.port)
        assert server.url == f"tcp://127.0.0.1:{server.port}"
        assert server_at(server.port) is server
        port = server.port
    assert not is_listening(port)
    assert server_at(port) is None
    assert not server.is_running
    server.stop()  # twice is fine


def test_start_again_is_the_same_server():
    with Listener("orders") as server:
        port = server.port
        assert server.start() is server
        assert server.port == port


def test_two_threads_that_start_one_server_get_one():
    class Slow(Listener):
        opened = 0

        def _open(self):
            self.opened += 1
            time.sleep(0.05)  # so that the other thread comes
            return super()._open()

    server = Slow("orders")
    ports = []
    threads = [threading.Thread(target=lambda: ports.append(server.start().port)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    with server:
        assert server.opened == 1 and ports == [server.port] * 4


def test_a_second_server_of_a_name_replaces_the_first_and_says_so(capsys):
    first = Listener("orders").start()
    port = first.port
    with Listener("orders") as second:
        assert not first.is_running
        assert running().rows == [["orders", "Listener", second.url]]
    assert f"orders: replaced the one that ran on port {port}" in capsys.readouterr().out


def test_no_address_while_it_does_not_run():
    with pytest.raises(ServerError, match="orders is not running: call .start"):
        Listener("orders").url  # noqa: B018


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_server_needs_a_name(name):
    with pytest.raises(ServerError, match="needs a name"):
        Listener(name)


@pytest.mark.parametrize("port", [-1, 65536, "80", 8.0, True, None])
def test_a_port_must_be_a_port(port):
    with pytest.raises(ServerError, match="is no port: use 0"):
        Listener("orders", port)


def test_a_taken_port_is_refused_and_its_owner_named():
    with Listener("orders") as first, pytest.raises(ServerError, match="by your server 'orders'. Use port=0"):
        Listener("payment", first.port).start()
    stranger = socket.create_server((HOST, 0))
    with stranger, pytest.raises(ServerError, match="could not listen on .* Use port=0"):
        Listener("payment", stranger.getsockname()[1]).start()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_what_goes_wrong_in_start_leaves_nothing(kind):
    class Interrupted(Listener):
        def _wait_until_it_answers(self):
            raise kind()

    server = Interrupted("orders")
    with pytest.raises(kind):
        server.start()
    assert server.socket.fileno() == -1
    assert not server.is_running


@contextmanager
def room_for(count):
    """The system starts ``count`` more threads, and then no more."""
    start, room = threading.Thread.start, iter(range(count))

    def limited(thread):
        if next(room, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", limited)
        yield


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


EVERY_KIND = {
    "http": lambda: HTTPServer(app, "orders", workers=2),
    "websocket": lambda: WebSocketServer(lambda connection: None, "orders"),
    "socketio": lambda: SocketIOServer(SocketIO(Flask("orders"), async_mode="threading"), "orders"),
    "grpc": lambda: GRPCServer([(lambda servicer, server: None, object())], "orders"),
    "fault proxy": lambda: FaultProxy((HOST, 9), "orders"),
    "registry": lambda: Registry("orders"),
    "dns": lambda: DNSServer(lambda service: [], "orders"),
    "broker": lambda: Broker("orders", durable=True),
}


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.timeout(60)  # it must not wait for ever
def test_a_server_whose_thread_cannot_be_started_says_so_and_leaves_nothing(kind, count, capfd):
    with EVERY_KIND[kind]():  # what is opened once for all
        pass
    before = descriptors()
    server = EVERY_KIND[kind]()
    with room_for(count):
        try:
            server.start()
        except RuntimeError as error:
            assert "can't start new thread" in str(error) + str(error.__cause__)
            assert not server.is_running
        server.stop()
    assert not running().rows and eventually(lambda: not left())
    # What gRPC's core has begun and nobody serves it keeps: two selectors.
    assert eventually(lambda: descriptors() <= before + 4 * (kind == "grpc" and count == 0))
    assert capfd.readouterr() == ("", "")
    with server.start():
        assert is_listening(server.port)


@pytest.mark.timeout(30)  # it must not wait for ever
def test_a_connection_that_is_taken_late_and_gets_no_thread_does_not_hold_up_the_end(monkeypatch):
    take, is_taken = socket.socket.accept, threading.Event()

    def slowly(sock):
        taken = take(sock)
        is_taken.set()
        time.sleep(0.3)  # meanwhile the server is being stopped
        return taken

    server = EVERY_KIND["websocket"]()
    with room_for(1):
        monkeypatch.setattr(socket.socket, "accept", slowly)
        server.start()
        assert is_taken.wait(10)
        server.stop()
    assert eventually(lambda: not left())


@pytest.mark.parametrize("where", ["threading.Thread.start", "servicelab.loop_server.LoopThread.run"])
@pytest.mark.parametrize("kind", ["fault proxy", "registry", "dns", "broker"])
@pytest.mark.timeout(60)  # it must not wait for ever
def test_an_interrupt_while_a_loop_begins_is_the_interrupt_and_leaves_nothing(kind, where, capfd):
    with EVERY_KIND[kind]():
        pass
    before = descriptors()
    server = EVERY_KIND[kind]()
    with pytest.MonkeyPatch.context() as patch:
        owner, name = pkgutil.resolve_name(where.rpartition(".")[0]), where.rpartition(".")[2]
        usual = getattr(owner, name)

        def interrupted(*args, **options):
            patch.undo()  # once
            usual(*args, **options)
            raise KeyboardInterrupt

        patch.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    assert not server.is_running and not running().rows and server.errors == []
    assert eventually(lambda: not left()) and eventually(lambda: descriptors() <= before)
    assert capfd.readouterr() == ("", "")
    with server.start():
        assert is_listening(server.port)


@pytest.mark.parametrize("kind", ["fault proxy", "registry", "dns", "broker"])
@pytest.mark.timeout(60)  # it must not wait for ever
def test_an_interrupt_while_a_loop_ends_leaves_nothing(kind, capfd):
    with EVERY_KIND[kind]():
        pass
    before = descriptors()
    server = EVERY_KIND[kind]().start()
    with pytest.MonkeyPatch.context() as patch:

        def interrupted(*args):
            patch.undo()  # once
            raise KeyboardInterrupt

        patch.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            server.stop()
    assert not server.is_running and not running().rows and server.errors == []
    assert eventually(lambda: not left()) and eventually(lambda: descriptors() <= before)
    assert capfd.readouterr() == ("", "")


def descriptors():
    gc.collect()
    return psutil.Process().num_fds()


def test_an_interrupt_while_it_stops_leaves_nothing():
    class Interrupted(Listener):
        def _close(self):
            super()._close()
            if self.closed == 1:
                raise KeyboardInterrupt

    server = Interrupted("orders").start()
    with pytest.raises(KeyboardInterrupt):
        server.stop()
    assert server.closed == 2
    assert not server.is_running


def test_stop_all_stops_the_rest_when_one_fails():
    class Stubborn(Listener):
        def _close(self):
            super()._close()
            raise ServerError("I stay")

    first, stubborn, last = Listener("a").start(), Stubborn("b").start(), Listener("c").start()
    with pytest.raises(ServerError, match="I stay"):
        stop_all()
    assert not any(server.is_running for server in (first, stubborn, last))


def test_stop_all_says_how_many():
    Listener("a").start()
    Listener("b").start()
    assert stop_all() == 2
    assert stop_all() == 0


def test_a_handler_may_look_for_servers_while_one_is_being_stopped():
    seen = []

    class Asking(Listener):
        def _close(self):
            thread = threading.Thread(target=lambda: seen.append(server_at(1)), daemon=True)
            thread.start()
            thread.join(5)
            super()._close()

    Asking("orders").start().stop()
    assert seen == [None]


def test_a_connection_to_oneself_is_not_a_server(monkeypatch):
    alone = socket.socket()  # on Linux connect() may pick the very port it connects to
    alone.bind((HOST, 0))
    alone.connect(alone.getsockname())
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: alone)
    assert not is_listening(1)


def test_the_end_of_the_interpreter_stops_the_servers():
    program = textwrap.dedent("""
        from servicelab.servers import serve

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"ok"]

        serve(app, "orders")
        serve(lambda: app, "payment", process=True)
        print("end of the program")
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end of the program\n", "")
