"""HTTP servers in a child process: the same handle, the events joined, and no orphan."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest
import requests
from flask import Flask

from servicelab.clients import traced
from servicelab.lifecycle import ServerError, running, stop_all
from servicelab.servers import serve
from servicelab.servers.parent import Child
from servicelab.trace import Trace
from tests.waiting import left, wait_until


@pytest.fixture(autouse=True)
def nothing_left():
    before = children()
    yield
    stop_all()
    wait_until(lambda: not left())
    wait_until(lambda: children() <= before)


def children() -> set[int]:
    """The process ids of this process's children. joblib's idle workers, of a test before, stay for minutes."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def factory():
    def make():
        app = Flask("orders")

        @app.get("/pid")
        def pid():
            return str(os.getpid())

        @app.get("/print")
        def chat():
            print("printed by the app")
            os.write(1, b'{"port": 1}\n')
            return "ok"

        @app.get("/bad")
        def bad():
            raise ValueError("no such thing")

        @app.get("/die")
        def die():
            os.write(2, b"this is the end\n")
            os._exit(3)

        @app.get("/slow")
        def slow():
            time.sleep(0.2)
            return "ok"

        return app

    return make


def test_it_runs_elsewhere_with_the_same_handle(session):
    with serve(factory(), "orders", process=True, workers=2) as server:
        assert int(session.get(server.url + "/pid").text) == server.pid != os.getpid()
        assert running().rows == [["orders", "HTTPProcess", server.url]]
        assert psutil.Process(server.pid).ppid() == os.getpid()
        pid = server.pid
    assert not is_alive(pid)
    assert not server.is_running
    server.start()
    assert int(session.get(server.url + "/pid").text) == server.pid != pid
    server.stop()


def test_its_events_are_joined_to_the_trace_before_every_reading(session):
    trace = Trace()
    traced(session, trace)
    with serve(factory(), "orders", process=True, trace=trace) as server:
        for _ in range(50):
            mark = len(trace)
            session.get(server.url + "/pid")
            part = trace.since(mark)
            request, reply = part.messages
            [work], [call] = part.work, part.calls
            assert call.start <= request.sent <= request.received <= work.start <= work.end <= reply.sent
            assert reply.sent <= reply.received == call.end
            assert (work.who, work.id, call.callee) == ("orders", call.id, "orders")
    assert trace.feeds == []
    assert len(trace.work) == 50


def test_a_call_made_in_the_child_is_traced_to_the_server_in_the_kernel(session):
    trace = Trace()
    inventory = Flask("inventory")
    inventory.get("/stock")(lambda: "7")
    traced(session, trace)
    with serve(inventory, "inventory", trace=trace) as below:
        address = below.url + "/stock"

        def make():
            app = Flask("orders")
            inside = traced(requests.Session(), trace, "orders")
            app.get("/")(lambda: inside.get(address).text)
            return app

        with serve(make, "orders", process=True, trace=trace) as server:
            assert session.get(server.url).text == "7"
            outer, inner = trace.calls
    assert (outer.caller, outer.callee) == ("client", "orders")
    assert (inner.caller, inner.callee, inner.parent) == ("orders", "inventory", outer.id)
    assert [(m.sender, m.receiver) for m in trace.messages] == [
        ("client", "orders"),
        ("orders", "inventory"),
        ("inventory", "orders"),
        ("orders", "client"),
    ]
    assert all(message.received for message in trace.messages)


def test_what_the_app_prints_is_kept_apart_and_printed_nowhere(session, capfd):
    with serve(factory(), "orders", process=True, trace=Trace()) as server:
        assert session.get(server.url + "/print").text == "ok"
        wait_until(lambda: len(server.output) == 2)
        assert list(server.output) == ["printed by the app", '{"port": 1}']
        assert session.get(server.url + "/pid").text == str(server.pid)
    assert capfd.readouterr() == ("", "")


def test_a_handlers_exception_is_500_and_kept(session):
    with serve(factory(), "orders", process=True) as server:
        assert session.get(server.url + "/bad").status_code == 500
        assert len(server.errors) == 1
        assert "ValueError: no such thing" in server.errors[0]


def test_a_request_in_flight_completes_at_stop(session):
    server = serve(factory(), "orders", process=True, trace=Trace())
    replies = []
    thread = threading.Thread(target=lambda: replies.append(session.get(server.url + "/slow").text))
    thread.start()
    wait_until(lambda: server.trace.work)
    server.stop()
    thread.join()
    assert replies == ["ok"]


def test_a_child_that_was_killed_says_so_and_can_be_started_again(session):
    server = serve(factory(), "orders", process=True, trace=Trace())
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running)
    assert "died: killed by SIGKILL" in repr(server)
    assert running().rows == [["orders", "HTTPProcess", "died: killed by SIGKILL"]]
    with pytest.raises(ServerError, match=r"the process of 'orders' has died: killed by SIGKILL. Start it again"):
        server.url  # noqa: B018
    assert len(server.trace) == 0  # reading does not wait for a dead process
    server.start()
    assert session.get(server.url + "/pid").status_code == 200
    server.stop()


def test_a_crash_shows_the_last_lines_that_it_wrote_however_late_they_are_read(session, monkeypatch):
    read = Child._copy

    def late(child, pipe):
        time.sleep(0.2)
        read(child, pipe)

    monkeypatch.setattr(Child, "_copy", late)
    server = serve(factory(), "orders", process=True)
    with pytest.raises(requests.ConnectionError):
        session.get(server.url + "/die")
    wait_until(lambda: not server.is_running)
    with pytest.raises(ServerError, match="exit status 3(.|\n)*this is the end"):
        server.url  # noqa: B018
    server.stop()


def fails():
    raise ValueError("cannot build it")


def crashes():
    os.write(2, b"about to crash\n")
    os.kill(os.getpid(), signal.SIGSEGV)


def is_no_app():
    return 3


lock = threading.Lock()


def uses_a_lock():
    return lock


uses_a_lock.__module__ = "__main__"  # as in a notebook: sent by value


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (Flask("orders"), "takes a function without arguments"),
        (None, "takes a function without arguments"),
        (lambda environ, start_response: None, "takes a function without arguments"),
        (fails, "failed in the child process: ValueError(.|\n)*in fails"),
        (crashes, "died before it could listen: killed by SIGSEGV(.|\n)*about to crash"),
        (is_no_app, "3 is no web app"),
        (uses_a_lock, "cannot be sent to a child process"),
    ],
)
def test_a_bad_factory_is_refused(thing, words):
    with pytest.raises(ServerError, match=words):
        serve(thing, "orders", process=True)


def test_a_taken_port_is_refused():
    with serve(factory(), "orders", process=True) as first, pytest.raises(ServerError, match="already in use"):
        serve(factory(), "payment", process=True, port=first.port)


def test_an_interrupt_in_start_leaves_no_process(monkeypatch):
    before = children()

    def interrupt(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Child, "_wait_for_port", interrupt)
        with pytest.raises(KeyboardInterrupt):
            serve(factory(), "orders", process=True)
    assert children() <= before


def test_without_a_thread_to_listen_to_it_there_is_no_child(monkeypatch):
    before = children()

    def no_more(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            serve(factory(), "orders", process=True)
    assert children() <= before and not running().rows


def test_an_interrupt_of_the_kernels_process_group_does_not_reach_the_child():
    with serve(factory(), "orders", process=True) as server:
        assert os.getpgid(server.pid) != os.getpgid(0)


@pytest.mark.parametrize("inherits", [False, True])
def test_a_child_whose_parent_dies_before_it_has_begun_ends(inherits):
    """Python needs a moment before the child's first line can ask who its parent is."""
    program = textwrap.dedent("""
        import os, signal, subprocess, sys, time
        from servicelab.servers import parent

        class Halted(subprocess.Popen):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.send_signal(signal.SIGSTOP)
                heir = 0
                if sys.argv[1] == "True" and not (heir := os.fork()):
                    time.sleep(60)
                    os._exit(0)
                print(self.pid, heir, flush=True)

        parent.subprocess.Popen = Halted
        parent.Child("orders").start(b"never read", {})
    """)
    parent = subprocess.Popen([sys.executable, "-c", program, str(inherits)], stdout=subprocess.PIPE, text=True)
    child, heir = map(int, parent.stdout.readline().split())
    try:
        parent.kill()
        parent.wait()
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: not is_alive(child))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        if heir:
            os.kill(heir, signal.SIGKILL)
        parent.stdout.close()


@pytest.mark.parametrize("inherits", [False, True])
def test_the_child_dies_with_a_parent_that_is_killed(inherits):
    """Also when another process has inherited the pipe that would have told it."""
    program = textwrap.dedent("""
        import os, sys, time
        from servicelab.servers import serve

        def make():
            def app(environ, start_response):
                start_response("200 OK", [])
                return [b"ok"]
            return app

        server = serve(make, "orders", process=True)
        if sys.argv[1] == "True" and not (heir := os.fork()):
            time.sleep(60)
            os._exit(0)
        print(server.pid, heir if sys.argv[1] == "True" else 0, flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program, str(inherits)], stdout=subprocess.PIPE, text=True)
    child, heir = map(int, parent.stdout.readline().split())
    try:
        assert is_alive(child)
        parent.kill()
        parent.wait()
        wait_until(lambda: not is_alive(child))
    finally:
        if heir:
            os.kill(heir, signal.SIGKILL)
        parent.stdout.close()
