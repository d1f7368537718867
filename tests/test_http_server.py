"""HTTP servers in the kernel: order, workers, stamps, errors, and an end without remains."""

import asyncio
import http.client
import io
import socket
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout

import psutil
import pytest
import requests
from flask import Flask, request
from urllib3.util import Retry
from werkzeug.routing import Rule

from servicelab.clients import traced
from servicelab.lifecycle import ServerError, is_listening, running, stop_all
from servicelab.servers import routes, serve
from servicelab.servers.engine import _Worker
from servicelab.servers.http import HTTPServer
from servicelab.trace import Trace
from tests.waiting import eventually, left, wait_until


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert threads_left() == []


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def threads_left():
    eventually(lambda: not left())
    return left()


def wait_for_queue(server, count):
    """Until so many requests wait for a worker."""
    wait_until(lambda: server._engine.requests.qsize == count)


def answer(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


class Gate:
    """An app whose requests wait until they are let through; notes who came in."""

    def __init__(self):
        self.open = threading.Event()
        self.entered = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            self.entered.append(environ["PATH_INFO"])
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        self.open.wait(20)
        with self.lock:
            self.busy -= 1
        return answer(environ, start_response)

    def wait_for(self, count):
        wait_until(lambda: len(self.entered) >= count)


def connect(server, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path)
    return connection


def test_it_serves_a_flask_app(session):
    app = Flask("orders")

    @app.post("/orders")
    def create():
        return {"id": 1}, 201

    with serve(app, "orders") as server:
        response = session.post(server.url + "/orders")
        assert (response.status_code, response.json()) == (201, {"id": 1})
        assert running().rows == [["orders", "HTTPServer", server.url]]
        assert {thread.name.split()[1] for thread in threading.enumerate() if "servicelab" in thread.name} == {"orders"}
        assert all(thread.daemon for thread in threading.enumerate() if "servicelab" in thread.name)


def test_the_same_cell_run_again_replaces_the_server(session, capsys):
    first = serve(lambda e, s: answer(e, s), "orders")
    second = serve(answer, "orders")
    assert not first.is_running
    assert session.get(second.url).text == "ok"
    assert "orders: replaced" in capsys.readouterr().out
    second.stop()
    second.start()
    assert session.get(second.url).text == "ok"


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (None, "None is no web app"),
        ("orders", "'orders' is no web app"),
        (Flask, "the class Flask is no web app yet"),
        (lambda: answer, "given with process=True"),
    ],
)
def test_what_is_no_app_is_refused(thing, words):
    with pytest.raises(ServerError, match=words):
        serve(thing, "orders")
    assert threads_left() == []


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"workers": 2.5}, {"workers": True}, {"workers": 10_000}, {"trace": "yes"}, {"port": 70_000}],
)
def test_bad_options_are_quoted(options):
    [(name, value)] = options.items()
    with pytest.raises(ServerError, match=f"{name}={value!r}"):
        serve(answer, "orders", **options)


def test_a_taken_port_is_refused_and_leaves_nothing():
    with serve(answer, "orders") as first:
        with pytest.raises(ServerError, match=f"{first.port}: .* in use by your server 'orders'"):
            serve(answer, "payment", port=first.port)
        assert [row[0] for row in running()] == ["orders"]


def test_a_fixed_port_can_be_used_again_at_once(session):
    with serve(answer, "orders") as server:
        port = server.port
        session.get(server.url)
    with serve(answer, "orders", port=port) as server:
        assert server.port == port
        assert session.get(server.url).text == "ok"


def test_one_worker_serves_one_by_one_in_order_of_arrival():
    gate = Gate()
    with serve(gate, "orders", workers=1) as server:
        waiting = [connect(server, "/0")]
        gate.wait_for(1)
        for number in range(1, 30):
            waiting.append(connect(server, f"/{number}"))
            wait_for_queue(server, number)  # so that it is known who came first
        gate.open.set()
        assert [connection.getresponse().read() for connection in waiting] == [b"ok"] * 30
        assert gate.entered == [f"/{number}" for number in range(30)]
        assert gate.most_busy == 1
        for connection in waiting:
            connection.close()


def test_the_number_of_workers_is_exact():
    gate = Gate()
    with serve(gate, "orders", workers=3) as server:
        waiting = [connect(server) for _ in range(12)]
        gate.wait_for(3)
        time.sleep(0.05)
        assert gate.busy == 3
        gate.open.set()
        assert all(connection.getresponse().status == 200 for connection in waiting)
        assert gate.most_busy == 3
        for connection in waiting:
            connection.close()


def test_idle_connections_occupy_no_worker(session):
    with serve(answer, "orders", workers=1) as server:
        fresh = [socket.create_connection(server.address) for _ in range(20)]
        kept = [connect(server) for _ in range(20)]
        for connection in kept:
            connection.getresponse().read()
        assert session.get(server.url, timeout=3).text == "ok"
        for connection in kept:  # all of them were kept alive
            sock = connection.sock
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            assert connection.sock is sock
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 5  # a bound against hanging, not a measurement
        for connection in kept:
            assert connection.sock.recv(1) == b""
            connection.close()
        for sock in fresh:
            assert sock.recv(1) == b""
            sock.close()


def test_small_replies_do_not_wait_for_an_acknowledgement(session):
    """Nagle's algorithm and delayed acknowledgement together cost 40 ms a reply."""
    app = Flask("orders")
    app.get("/")(lambda: "ok")
    with serve(app, "orders") as server:
        times = []
        for _ in range(50):
            start = time.monotonic()
            session.get(server.url)
            times.append(time.monotonic() - start)
    assert sorted(times)[25] < 0.035


def test_a_request_in_flight_completes_at_stop(session):
    gate = Gate()
    server = HTTPServer(gate, "orders")
    server.grace = 20
    server.start()
    port, connection = server.port, connect(server)
    gate.wait_for(1)
    ending = threading.Thread(target=server.stop)
    ending.start()
    wait_until(lambda: not is_listening(port))
    gate.open.set()
    ending.join()
    assert connection.getresponse().read() == b"ok"
    connection.close()


def test_a_request_that_does_not_end_is_cut_and_the_one_behind_it_too():
    gate = Gate()
    server = serve(gate, "orders", workers=1)
    stuck, queued = connect(server), connect(server)
    gate.wait_for(1)
    port = server.port
    server.stop()
    assert not is_listening(port)
    assert "still running after" in server.errors[-1]
    for connection in (stuck, queued):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse()
        connection.close()
    gate.open.set()  # its thread ends as soon as it can
    assert gate.entered == ["/"]


def test_a_handler_that_loops_for_ever_is_ended():
    started = threading.Event()

    def loop(environ, start_response):
        started.set()
        while True:
            time.sleep(0.001)

    server = serve(loop, "orders")
    connection = connect(server)
    assert started.wait(10)
    server.stop()
    assert threads_left() == []
    connection.close()


@pytest.mark.parametrize(
    "failure", [ValueError("no such thing"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_a_handlers_exception_is_500_and_kept_and_the_server_goes_on(session, failure):
    app = Flask("orders")

    @app.get("/bad")
    def bad():
        raise failure

    app.get("/good")(lambda: "ok")
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), serve(app, "orders", workers=1) as server:
        for _ in range(2):
            assert session.get(server.url + "/bad").status_code == 500
        assert session.get(server.url + "/good").text == "ok"
        assert len(server.errors) == 2
        assert type(failure).__name__ in server.errors[0]
        assert "in bad" in server.errors[0]
    assert (out.getvalue(), err.getvalue()) == ("", "")


def no_start(environ, start_response):
    return [b"ok"]


def no_bytes(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return ["ok"]


def no_iterable(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])


def late(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return (1 / 0 for _ in range(2))


def unconnected(environ, start_response):
    raise requests.ConnectionError(104, "of the handler's own client")  # an OSError, but not of our wire


@pytest.mark.parametrize("app", [no_start, no_bytes, no_iterable, late, unconnected])
@pytest.mark.parametrize("with_trace", [False, True])
def test_a_plain_app_that_fails_is_500_and_its_connection_lives(app, with_trace):
    with serve(app, "orders", workers=1, trace=Trace() if with_trace else None) as server:
        connection = connect(server)
        response = connection.getresponse()
        assert (response.status, response.read()) == (500, b"Internal Server Error")
        sock = connection.sock
        connection.request("POST", "/", body=b"a body that nobody reads")
        assert connection.getresponse().read() == b"Internal Server Error"
        assert connection.sock is sock
        assert len(server.errors) == 2
        connection.close()


def test_nonsense_on_the_socket_prints_nothing_and_hurts_nobody(session, capfd):
    with serve(answer, "orders", workers=1) as server:
        for data in (b"\x16\x03\x01 nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(server.address) as sock:
                sock.sendall(data)
        assert session.get(server.url).text == "ok"
    assert capfd.readouterr() == ("", "")


def test_the_trace_has_both_ends_and_the_work_in_order(session):
    trace = Trace()
    app = Flask("orders")
    app.get("/orders")(lambda: "ok")
    with serve(app, "orders", trace=trace) as server:
        traced(session, trace)
        for _ in range(50):
            mark = len(trace)
            session.get(server.url + "/orders?page=2")
            part = trace.since(mark)
            request, reply = part.messages
            [work], [call] = part.work, part.calls
            assert call.start <= request.sent <= request.received <= work.start <= work.end <= reply.sent
            assert reply.sent <= reply.received == call.end
            assert (request.label, reply.label, work.label) == ("GET /orders", "200", "GET /orders")
            assert (work.who, work.id, call.callee, call.status) == ("orders", call.id, "orders", "ok")


def test_a_request_that_waits_for_a_worker_is_received_before_its_work_starts(session):
    trace = Trace()
    gate = Gate()
    with serve(gate, "orders", workers=1, trace=trace) as server:
        traced(session, trace)
        threads = [threading.Thread(target=session.get, args=(server.url,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate.wait_for(1)
        wait_for_queue(server, 1)
        gate.open.set()
        for thread in threads:
            thread.join()
    first, second = trace.work
    arrived = {message.id: message.received for message in trace.messages}
    assert arrived[second.id] < first.end <= second.start


def test_a_request_that_is_sent_again_below_the_session_is_another_work(session):
    trace = Trace()
    tries = iter([503, 503, 200])
    app = Flask("orders")
    app.get("/")(lambda: ("", next(tries)))
    retry = Retry(3, status_forcelist=[503], backoff_factor=0)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    with serve(app, "orders", trace=trace) as server:
        assert traced(session, trace).get(server.url).status_code == 200
    [call] = trace.calls
    assert [work.id == call.id for work in trace.work] == [True, False, False]
    assert all(work.end is not None for work in trace.work)


def test_a_header_that_is_handed_on_unchanged_is_another_work_each_time(session):
    trace = Trace()
    payment, orders = Flask("payment"), Flask("orders")
    payment.get("/")(lambda: "ok")
    with serve(payment, "payment", trace=trace) as below:

        @orders.get("/")
        def handle():
            for _ in range(2):
                with requests.Session() as plain:
                    plain.trust_env = False
                    plain.get(below.url, headers={"traceparent": request.headers["traceparent"]})
            return "ok"

        with serve(orders, "orders", trace=trace) as server:
            traced(session, trace).get(server.url)
    assert [work.who for work in trace.work] == ["orders", "payment", "payment"]
    outer, one, two = trace.work
    assert outer.start <= one.start <= one.end <= two.start <= two.end <= outer.end
    assert [(m.sender, m.receiver) for m in trace.messages] == [("client", "orders"), ("orders", "client")]


def test_an_untraced_caller_leaves_work_and_no_message(session):
    trace = Trace()
    with serve(answer, "orders", trace=trace) as server:
        session.get(server.url)
    assert len(trace.work) == 1
    assert trace.messages == []


def test_without_a_trace_the_app_is_served_as_it_is(session):
    seen = []

    def app(environ, start_response):
        seen.append(start_response)
        return answer(environ, start_response)

    with serve(app, "orders") as server:
        session.get(server.url)
    assert "cheroot" in type(seen[0].__self__).__mro__[1].__module__


def test_a_failed_handler_is_in_the_trace(session):
    trace = Trace()

    def app(environ, start_response):
        raise ValueError("no")

    with serve(app, "orders", trace=trace) as server:
        traced(session, trace)
        assert session.get(server.url).status_code == 500
    assert trace.messages[1].label == "500"
    assert trace.calls[0].status == "HTTP 500"
    assert trace.work[0].end is not None


def test_a_streamed_reply_leaves_while_the_work_goes_on(session):
    trace = Trace()
    go_on = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body():
            yield b"first"
            go_on.wait(10)
            yield b" second"

        return body()

    with serve(app, "orders", trace=trace) as server:
        traced(session, trace)
        response = session.get(server.url, stream=True)
        chunks = response.iter_content(5)
        assert next(chunks) == b"first"
        assert trace.work[0].end is None
        go_on.set()
        assert b"".join(chunks) == b" second"
        wait_until(lambda: trace.work[0].end is not None)
        assert trace.messages[1].sent < trace.work[0].end


def test_a_stream_that_breaks_or_is_left_ends_its_work(session):
    trace = Trace()
    closed = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body():
            try:
                yield b"first"
                if environ["PATH_INFO"] == "/break":
                    raise ValueError("in the middle")
                while True:
                    time.sleep(0.005)
                    yield b"more" * 10_000
            finally:
                closed.set()

        return body()

    with serve(app, "orders", trace=trace, workers=1) as server:
        traced(session, trace)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(server.url + "/break")
        assert trace.calls[0].status == "lost"
        wait_until(lambda: server.errors)
        assert "in the middle" in server.errors[0]
        closed.clear()
        session.get(server.url + "/leave", stream=True).close()
        assert closed.wait(10)
    assert all(work.end is not None for work in trace.work)


def test_an_empty_reply_and_head(session):
    trace = Trace()
    app = Flask("orders")
    app.delete("/", endpoint="delete")(lambda: ("", 204))
    app.get("/")(lambda: "ok")
    with serve(app, "orders", trace=trace) as server:
        traced(session, trace)
        session.delete(server.url)
        session.head(server.url)
        assert [message.label for message in trace.messages] == ["DELETE /", "204", "HEAD /", "200"]
        assert all(message.received for message in trace.messages)
        assert all(work.end for work in trace.work)


def test_an_interrupt_in_start_leaves_nothing(monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HTTPServer, "_wait_until_it_answers", interrupt)
        with pytest.raises(KeyboardInterrupt):
            serve(answer, "orders")
    assert threads_left() == []
    assert str(running()).startswith("nothing is running")


def test_an_interrupt_while_the_workers_start_leaves_none(monkeypatch):
    started, start = [], _Worker.start

    def interrupted(worker):
        if len(started) == 3:
            raise KeyboardInterrupt
        started.append(worker)
        start(worker)

    with monkeypatch.context() as patch:
        patch.setattr(_Worker, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            serve(answer, "orders", workers=8)
    assert threads_left() == []


def test_threads_that_build_apps_take_turns_where_python_needs_it():
    busy, most = [], []

    @routes.one_at_a_time
    def parse():
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.002)
        busy.pop()

    threads = [threading.Thread(target=parse) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5
    affected = {version: routes.is_affected(version) for version in [(3, 11, 7), (3, 11, 8), (3, 12, 1), (3, 12, 2)]}
    assert list(affected.values()) == [True, False, True, False]
    assert hasattr(Rule.compile, "__wrapped__") == routes.is_affected(sys.version_info)


def test_fifty_servers_leave_no_thread_and_no_socket(session):
    serve(answer, "orders").stop()
    process = psutil.Process()
    before = process.num_fds() if hasattr(process, "num_fds") else 0
    for _ in range(50):
        with serve(answer, "orders", workers=3) as server:
            session.get(server.url)
    session.close()
    assert threads_left() == []
    listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert listening == []
    after = process.num_fds() if hasattr(process, "num_fds") else 0
    assert after <= before + 2


@pytest.mark.parametrize("process", [False, True])
def test_a_lane_other_than_the_name_is_what_the_trace_shows(process):
    trace = Trace()
    app = _plain_app if process else _plain_app()
    with (
        serve(app, "orders under test", lane="orders", trace=trace, process=process) as server,
        traced(requests.Session(), trace, "client") as web,
    ):
        web.get(server.url)
        assert [(m.sender, m.receiver) for m in trace.messages] == [("client", "orders"), ("orders", "client")]
        assert trace.calls[0].callee == "orders"


def _plain_app():
    app = Flask("orders")
    app.add_url_rule("/", "home", lambda: "here")
    return app
