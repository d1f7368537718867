"""The traced session tells how each call ended; the load generators tell when it was due, sent and answered."""

import ctypes
import math
import socket
import threading
import time
from contextlib import suppress

import pytest
import requests
from flask import Flask, request

from servicelab.clients import Sample, attempt, closed_loop, load, open_loop, traced
from servicelab.clients.session import POOL, TracedAdapter
from servicelab.lifecycle import stop_all
from servicelab.policies.drive import call
from servicelab.policies.retry import Retry
from servicelab.policies.timeout import Timeout
from servicelab.servers import serve
from servicelab.trace import Trace
from tests.waiting import eventually, left, wait_until


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert eventually(lambda: not left()), left()


@pytest.fixture
def trace():
    return Trace()


@pytest.fixture
def session(trace):
    with requests.Session() as session:
        yield traced(session, trace)


@pytest.fixture
def orders(trace):
    app = Flask("orders")
    failures = iter([503, 503])

    @app.get("/status/<int:code>")
    def status(code):
        return "", code

    @app.get("/moved")
    def moved():
        return "", 302, {"Location": "/status/200"}

    late = threading.Event()

    @app.get("/slow")
    def slow():
        late.wait(20)
        return "late"

    @app.get("/flaky")
    def flaky():
        return "ok", next(failures, 200)

    @app.get("/header")
    def header():
        return request.headers["traceparent"]

    with serve(app, "orders", trace=trace) as server:
        server.late = late
        yield server
        late.set()


def raw_server(data, reset=False):
    """Reads a request, answers with ``data`` and breaks the connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run():
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(data)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    threading.Thread(target=run, daemon=True).start()
    return listening


# -- the session ------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [(200, "ok"), (204, "ok"), (404, "HTTP 404"), (503, "HTTP 503")])
def test_the_status_of_a_reply(session, trace, orders, code, status):
    session.get(f"{orders.url}/status/{code}", timeout=5)
    [record] = trace.calls
    assert (record.caller, record.callee, record.label) == ("client", "orders", f"GET /status/{code}")
    assert (record.status, record.attempt, record.timeout, record.parent) == (status, 1, 5, None)


def test_every_hop_of_a_redirect_is_a_call(session, trace, orders):
    session.get(orders.url + "/moved")
    assert [(c.label, c.status) for c in trace.calls] == [("GET /moved", "ok"), ("GET /status/200", "ok")]


def test_a_timeout(session, trace, orders):
    with pytest.raises(requests.ReadTimeout):
        session.get(orders.url + "/slow", timeout=0.05)
    [record] = trace.calls
    assert (record.status, record.timeout) == ("timeout", 0.05)
    orders.late.set()
    wait_until(lambda: len(trace.messages) == 2)
    request_message, reply = trace.messages
    assert request_message.received is not None
    assert (reply.received, reply.lost) == (None, "came too late")


def test_nobody_listens(session, trace):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(requests.ConnectionError):
        session.get(f"http://127.0.0.1:{port}/")
    [record], [message] = trace.calls, trace.messages
    assert (record.status, record.callee) == ("refused", f"127.0.0.1:{port}")
    assert (message.received, message.lost) == (None, "refused")


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_a_connection_that_breaks(session, trace, data, reset):
    with raw_server(data, reset) as listening, pytest.raises(requests.RequestException):
        session.get(f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout=5)
    assert trace.calls[0].status == "lost"


def test_a_body_that_stops_is_a_timeout(session, trace):
    listening = socket.create_server(("127.0.0.1", 0))
    gone = threading.Event()

    def run():
        connection, _ = listening.accept()
        with connection, suppress(OSError):  # the client may have gone before it is served, on a busy machine
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            gone.wait(60)

    server = threading.Thread(target=run, daemon=True)
    server.start()
    with listening:
        with pytest.raises((requests.ConnectionError, requests.Timeout)):
            session.get(f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout=0.2)
        gone.set()
        server.join(60)
    assert trace.calls[0].status == "timeout"


def test_a_nested_call_names_its_parent_and_keeps_the_trace_id(session, trace, orders):
    gateway = Flask("gateway")
    inside = traced(requests.Session(), trace, "gateway")
    gateway.get("/")(lambda: inside.get(orders.url + "/header").text)
    with serve(gateway, "gateway", trace=trace) as server, inside:
        header = session.get(server.url).text
        outer, inner = trace.calls
        assert (inner.caller, inner.callee, inner.parent) == ("gateway", "orders", outer.id)
        assert header.split("-")[2] == inner.id
        again = session.get(server.url).text
    assert header.split("-")[1] != again.split("-")[1]  # another call of the client is another trace


def test_tracing_again_replaces_name_and_trace(session, orders):
    second = Trace()
    assert traced(session, second, "browser") is session
    session.get(orders.url + "/status/200")
    assert [record.caller for record in second.calls] == ["browser"]


def test_an_adapter_of_the_learners_own_stays(trace):
    class Own(requests.adapters.HTTPAdapter):
        pass

    own = Own()
    with requests.Session() as session:
        session.mount("http://", own)
        traced(session, trace)
        adapter = session.get_adapter("http://x")
        assert isinstance(adapter, TracedAdapter)
        assert adapter.inner is own
        assert session.get_adapter("https://x").inner._pool_maxsize == POOL
        assert session.trust_env is False


def test_what_is_no_session_or_trace_is_refused(trace):
    with pytest.raises(TypeError, match="is no requests.Session"):
        traced(requests, trace)
    with pytest.raises(TypeError, match="trace=None is no"):
        traced(requests.Session(), None)


def test_an_attempt_reports_instead_of_raising(session, orders):
    assert attempt(session, "GET", orders.url + "/status/200")(1.0, 1)[0] == "ok"
    assert attempt(session, "GET", orders.url + "/status/404")(1.0, 1)[0] == "HTTP 404"
    status, response = attempt(session, "GET", orders.url + "/status/503")(1.0, 1)
    assert (status, response.status_code) == ("error", 503)
    status, error = attempt(session, "GET", orders.url + "/slow")(0.05, 1)
    assert status == "timeout"
    assert isinstance(error, requests.Timeout)
    with pytest.raises(requests.exceptions.MissingSchema):
        attempt(session, "GET", "orders/1")(1.0, 1)


def test_a_policy_drives_real_attempts_and_the_trace_numbers_them(session, trace, orders):
    result = call(Retry(Timeout(5.0), tries=4), attempt(session, "GET", orders.url + "/flaky"))
    assert (result.status, result.attempts, result.value.text) == ("ok", 3, "ok")
    assert [(c.attempt, c.status, c.timeout) for c in trace.calls] == [
        (1, "HTTP 503", 5.0),
        (2, "HTTP 503", 5.0),
        (3, "ok", 5.0),
    ]


# -- load -------------------------------------------------------------------------------------


def test_open_loop_sends_everything_not_before_it_is_due(session, trace, orders):
    due = [0.0, 0.01, 0.01, 0.03, 0.1]
    samples = open_loop(lambda: session.get(orders.url + "/status/200"), due)
    assert [sample.due for sample in samples] == due
    assert all(sample.due <= sample.start <= sample.end for sample in samples)
    assert all(sample.status == "ok" and sample.latency == sample.end - sample.due for sample in samples)
    assert len(trace.calls) == 5
    assert samples.began <= trace.calls[0].start
    assert repr(samples) == "<5 samples: 5 ok>"


def test_open_loop_does_not_wait_for_answers():
    """Ten requests, all due at once, none of which is answered before the last has come."""
    together = threading.Barrier(10)
    samples = open_loop(lambda: str(together.wait(10) >= 0), [0.0] * 10, clients=10)
    assert [sample.status for sample in samples] == ["True"] * 10
    assert samples.exhausted == 0


def test_a_pool_that_is_exhausted_starts_late_and_says_so():
    alone = threading.Lock()

    def send():
        assert alone.acquire(blocking=False)  # one client, one request at a time
        time.sleep(0.02)
        alone.release()

    samples = open_loop(send, [0.0, 0.0, 0.0, 0.0], clients=1)
    assert samples.exhausted == 3
    for before, after in zip(samples, samples[1:]):
        assert after.start >= before.end
        assert after.latency > before.latency
    assert "3 started late" in repr(samples)


def test_a_client_that_is_late_to_wake_up_does_not_make_the_pool_exhausted(monkeypatch):
    take = load._Load.take

    def late(self):
        index = take(self)
        time.sleep(0.02)
        return index

    monkeypatch.setattr(load._Load, "take", late)
    samples = open_loop(lambda: None, [0.0] * 4, clients=4)
    assert min(sample.start for sample in samples) > 0 and samples.exhausted == 0


def test_load_on_more_connections_than_workers_is_served_in_full(trace):
    def app(environ, start_response):
        time.sleep(0.002)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serve(app, "orders", workers=2, trace=trace) as server, requests.Session() as session:
        traced(session, trace)
        samples = open_loop(lambda: session.get(server.url), [i * 0.001 for i in range(200)], clients=64)
    assert [sample.status for sample in samples] == ["ok"] * 200
    received = {m.id: m.received for m in trace.messages if m.kind == "request"}
    order = [received[work.id] for work in trace.work]
    # First come, first served; two workers that take up at the same time may be stamped in either order.
    assert sum(a > b for a, b in zip(order, order[1:])) <= 20


def test_statuses_of_samples(session, orders):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        gone = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    sends = iter(
        [
            lambda: session.get(orders.url + "/status/503"),
            lambda: session.get(gone),
            lambda: "my own",
            lambda: session.get(orders.url + "/slow", timeout=0.05),
        ]
    )
    samples = open_loop(lambda: next(sends)(), [0, 0, 0, 0], clients=1)
    assert [sample.status for sample in samples] == ["HTTP 503", "refused", "my own", "timeout"]


def test_a_mistake_in_send_ends_the_load_and_is_raised():
    sent = []

    def send():
        sent.append(1)
        raise NameError("sesion")

    with pytest.raises(NameError, match="sesion"):
        open_loop(send, [0.0] + [5.0] * 100)
    assert len(sent) == 1


def test_what_has_no_answer_at_the_limit_is_unfinished():
    hang = threading.Event()
    try:
        samples = open_loop(lambda: hang.wait(20) and None, [0.0, 0.0, 0.01], clients=2, limit=1.0)
    finally:
        hang.set()
    assert [(s.end, s.status) for s in samples] == [(None, "unfinished")] * 3
    assert [s.start is None for s in samples] == [False, False, True]
    assert samples[0].latency is None


def test_an_interrupt_ends_the_load_and_its_threads():
    main = threading.main_thread().ident
    started = threading.Event()

    def interrupt():
        started.wait(10)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), ctypes.py_object(KeyboardInterrupt))

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        open_loop(started.set, [0.0] + [60.0] * 20)


def test_closed_loop_sends_the_next_when_the_last_is_answered():
    lock = threading.Lock()
    under_way = most = 0

    def send():
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)
        with lock:
            under_way -= 1

    samples = closed_loop(send, clients=3, count=60)
    assert len(samples) == 60
    assert most == 3
    assert all(isinstance(sample, Sample) and sample.due == sample.start for sample in samples)
    assert closed_loop(send, clients=3, count=0) == []


@pytest.mark.parametrize("due", [[-1.0], [1.0, 0.5], [math.nan], [math.inf]])
def test_bad_due_times_are_refused(due):
    with pytest.raises(ValueError, match=f"due={due[-1]!r}"):
        open_loop(lambda: None, due)


@pytest.mark.parametrize(
    "options", [{"clients": 0}, {"clients": 10_000}, {"clients": 1.5}, {"limit": 0}, {"limit": math.inf}]
)
def test_bad_options_are_quoted(options):
    [(name, value)] = options.items()
    with pytest.raises((TypeError, ValueError), match=f"{name}={value!r}"):
        open_loop(lambda: None, [0.0], **options)
    assert open_loop(lambda: None, []) == []


def test_send_must_be_callable():
    with pytest.raises(ValueError, match="send='http://x' must be a function"):
        open_loop("http://x", [0.0])
    with pytest.raises(ValueError, match="count=-1"):
        closed_loop(lambda: None, 1, -1)
    with pytest.raises(ValueError, match="think=-1 must be >= 0"):
        closed_loop(lambda: None, 1, 1, think=-1)


def test_no_module_hides_a_name_of_the_package():
    # Importing a submodule puts it into the package under its name: a function of that name would be gone.
    import pkgutil

    from servicelab import clients

    assert {module.name for module in pkgutil.iter_modules(clients.__path__)} & set(clients.__all__) == set()
