"""A deadline goes down a chain of real services: each sees less of it, and nobody works for a caller who has gone."""

import asyncio
import threading
import time
from concurrent import futures
from contextlib import suppress

import grpc
import pytest
import requests
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from servicelab.arguments import LONGEST
from servicelab.clients import DeadlineExceeded, attempt, guard_channel, guard_session, propagated, traced
from servicelab.clients.tracing import traced_channel
from servicelab.lifecycle import ServerError, stop_all
from servicelab.policies import (
    Deadline,
    Exponential,
    Hedge,
    InheritedDeadline,
    Retry,
    Timeout,
    acall,
    call,
    current_deadline,
    remaining,
)
from servicelab.policies.deadline import HEADER, from_header, to_header
from servicelab.servers import HeedsDeadline, heeding_grpc, serve
from servicelab.trace import Trace
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def nothing_left():
    assert current_deadline.get() is None
    yield
    assert current_deadline.get() is None
    stop_all()
    end = time.monotonic() + 10
    while left := [t.name for t in threading.enumerate() if t.name.startswith("servicelab")]:
        assert time.monotonic() < end, left
        time.sleep(0.01)


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield propagated(session)


class waited_for:
    """The running code is waited for until ``end`` (seconds on the clock of the test)."""

    def __init__(self, end):
        self.end = end

    def __enter__(self):
        self.token = current_deadline.set(self.end)

    def __exit__(self, *error):
        current_deadline.reset(self.token)


# -- the value and its header ------------------------------------------------------------------


def test_what_remains():
    assert remaining(5.0) is None
    with waited_for(7.5):
        assert remaining(5.0) == 2.5 and remaining(8.0) == -0.5


@given(st.floats(0, 1e6))
def test_the_header_never_promises_more_than_is_left(left):
    sent = from_header(to_header(left))
    assert left - 2e-6 <= sent <= left


@pytest.mark.parametrize(
    "value, left",
    [
        ("0.350", 0.35),
        ("2", 2.0),
        ("-1", 0.0),
        ("0", 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1_000", None),  # Python's float() takes it
        ("١.٥", None),
        ("0x10", None),
        ("1e-3", 0.001),
        (" 1.5 ", 1.5),
        ("1e10", LONGEST),
        ("1e999", LONGEST),
        ("9" * 5000, LONGEST),
    ],
)
def test_what_a_stranger_may_send(value, left):
    assert from_header(value) == left


def test_nothing_left_is_zero_and_for_ever_is_long():
    assert to_header(-3) == "0.000000"
    assert to_header(1e300) == to_header(float("inf")) == "2000000.000000"


@pytest.mark.parametrize("left", ["1e10", "1e300"])
def test_a_time_beyond_every_clock_is_as_good_as_for_ever(session, left):
    """Python refuses waits of more than 9.2e9 s: the handler's own calls would fail."""
    last, first = Flask("last"), Flask("first")
    last.get("/")(lambda: request.headers[HEADER])
    with serve(HeedsDeadline(last), "last") as below:

        @first.get("/")
        def hand_down():
            return session.get(below.url).text

        with serve(HeedsDeadline(first), "first") as server, requests.Session() as plain:
            plain.trust_env = False
            reply = plain.get(server.url, headers={HEADER: left})
        assert (reply.status_code, server.errors) == (200, [])
        assert LONGEST - 60 < float(reply.text) <= LONGEST


@pytest.mark.parametrize("seconds", [1e10, 1e300])
@pytest.mark.parametrize(
    "policy",
    [
        lambda s: Timeout(s),
        lambda s: Deadline(s, Timeout(s)),
        lambda s: Retry(Timeout(s), 2, Exponential(s, s)),
        lambda s: Hedge(Timeout(s), s / 2),
    ],
)
def test_a_policy_takes_any_number_of_seconds(session, policy, seconds):
    answers = []

    def flaky(environ, start_response):
        answers.append(500 if not answers else 200)
        start_response(f"{answers[-1]} So", [("Content-Length", "0")])
        return []

    with serve(flaky, "orders") as server:
        result = call(
            policy(seconds),
            attempt(session, "GET", server.url),
            sleep=lambda wait: time.sleep(0 if wait <= LONGEST else wait),
        )
        assert result.status in ("ok", "error") and result.value.status_code == answers[-1]


# -- the policy --------------------------------------------------------------------------------


def test_an_inherited_deadline_bounds_the_call():
    given = []

    def hears(timeout, number):
        given.append(timeout)
        return "timeout", None

    policy = InheritedDeadline(Retry(Timeout(1.0), tries=3))
    assert call(policy, hears, lambda: 10.0) == ("timeout", None, 3) and given == [1.0] * 3
    with waited_for(10.25):
        assert call(policy, hears, lambda: 10.0) == ("deadline", None, 1) and given[3:] == [0.25]
    with waited_for(10.0):
        assert call(policy, hears, lambda: 10.0) == ("deadline", None, 0)
    with waited_for(99.0):
        assert call(InheritedDeadline(Deadline(0.5, Timeout(None))), hears, lambda: 10.0).status == "deadline"
        assert given[4:] == [0.5]  # the nearer one holds


def test_hedged_attempts_and_tasks_inherit_it():
    seen = []

    def asks(timeout, number):
        seen.append(remaining(5.0))
        return ("error" if number == 1 else "ok"), None

    async def asks_too(timeout, number):
        return asks(timeout, number)

    with waited_for(7.0):
        call(Hedge(Timeout(5), delay=1), asks)
        asyncio.run(acall(Hedge(Timeout(5), delay=1), asks_too))
    assert seen == [2.0] * 4


def test_misuse_is_refused_by_name():
    with pytest.raises(TypeError, match="inner=0.5 must be a policy"):
        InheritedDeadline(0.5)
    with pytest.raises(ServerError, match="5 is no web app"):
        HeedsDeadline(5)
    assert repr(InheritedDeadline(Timeout(1))) == "InheritedDeadline(Timeout(1))"


# -- one hop -----------------------------------------------------------------------------------


@pytest.fixture
def seen():
    return []


@pytest.fixture
def orders(seen):
    app = Flask("orders")

    @app.get("/")
    def index():
        seen.append((request.headers.get(HEADER), remaining(time.monotonic())))
        return "ok"

    @app.get("/gateway-timeout")
    def gateway_timeout():
        return "", 504

    with serve(HeedsDeadline(app), "orders") as server:
        yield server


def test_a_timeout_is_told_and_without_one_nothing_is(session, orders, seen):
    session.get(orders.url, timeout=30)
    session.get(orders.url, timeout=(5, 20))
    session.get(orders.url)
    assert [header for header, _ in seen] == ["30.000000", "20.000000", None]
    assert 0 < seen[0][1] < 30 and seen[2][1] is None  # … and the last request's does not hold for the next


def test_the_nearer_of_the_timeout_and_the_callers_deadline_is_told(session, orders, seen):
    with waited_for(time.monotonic() + 10):
        session.get(orders.url, timeout=30)
        session.get(orders.url, timeout=5)
        session.get(orders.url)
    first, second, third = (float(header) for header, _ in seen)
    assert 5 < third < first < 10 and second == 5


def test_a_policys_deadline_becomes_the_header(session, orders, seen):
    result = call(Deadline(20, Timeout(None)), attempt(session, "GET", orders.url))
    assert result.status == "ok" and 10 < float(seen[0][0]) <= 20
    guard_session(session, Timeout(7))
    session.get(orders.url)
    assert float(seen[1][0]) == 7


def test_who_is_not_waited_for_sends_nothing(session, orders, seen):
    trace = traced(session, Trace()).adapters["http://"].inner.trace
    with waited_for(time.monotonic() - 1):
        with pytest.raises(requests.RequestException, match="GET .* ended with 'deadline'") as raised:
            session.get(orders.url)
        assert call(Retry(Timeout(1), tries=5), attempt(session, "GET", orders.url))[::2] == ("deadline", 1)
    assert isinstance(raised.value, DeadlineExceeded) and seen == [] and trace.calls == []


def test_a_caller_who_has_gone_is_refused_and_not_retried(session, orders, seen):
    plain = requests.Session()
    plain.trust_env = False
    reply = plain.get(orders.url, headers={HEADER: "0"})
    assert (reply.status_code, reply.headers[HEADER], reply.text) == (504, "0.000000", "the caller has stopped waiting")
    gone = call(Retry(Timeout(5), tries=3), attempt(plain, "GET", orders.url, headers={HEADER: "0"}))
    assert (gone.status, gone.attempts, seen) == ("deadline", 1, [])
    other = call(Retry(Timeout(5), tries=3), attempt(session, "GET", orders.url + "/gateway-timeout"))
    assert (other.status, other.attempts) == ("error", 3)  # another 504 is an error as ever
    plain.close()


def test_a_header_that_is_no_number_is_none(orders, seen):
    with requests.Session() as plain:
        plain.trust_env = False
        assert plain.get(orders.url, headers={HEADER: "soon"}).status_code == 200
    assert seen == [("soon", None)]


def test_the_wait_for_a_worker_is_taken_off():
    """What has waited for a worker longer than its caller would is not worked on."""
    app, handled, entered, hold = Flask("payment"), [], threading.Event(), threading.Event()

    @app.get("/<name>")
    def pay(name):
        handled.append(name)
        entered.set()
        if name == "first":
            hold.wait(20)
        return "paid"

    def ask(name, timeout):
        with requests.Session() as session:
            session.trust_env = False
            statuses[name] = attempt(propagated(session), "GET", f"{server.url}/{name}")(timeout)[0]

    statuses = {}
    with serve(HeedsDeadline(app), "payment", workers=1) as server:
        first = threading.Thread(target=ask, args=("first", 30), daemon=True)
        first.start()
        assert entered.wait(10)
        ask("second", 0.1)
        wait_until(lambda: server._engine.requests.qsize == 1)  # it has arrived, be it after its caller had gone …
        time.sleep(0.15)  # … and waits for longer than its 0.1 s, which count from there
        hold.set()
        first.join(10)
        ask("third", 30)
    assert statuses == {"first": "ok", "second": "timeout", "third": "ok"} and handled == ["first", "third"]


# -- a chain -----------------------------------------------------------------------------------


def chain(seen, work, trace=None):
    """gateway → orders → payment, each with a session that hands the deadline down; payment does ``work()``."""
    below, url, servers = None, None, []
    for name in ("payment", "orders", "gateway"):
        app = Flask(name)
        session = propagated(requests.Session())
        session.trust_env = False
        if trace is not None:
            traced(session, trace, name)

        @app.get("/")
        def handle(name=name, session=session, url=url):
            seen[name] = remaining(time.monotonic())
            if url is None:
                return work()
            status, reply = attempt(session, "GET", url)(None)
            return (reply.text, 200) if status == "ok" else (status, 504)

        below = serve(HeedsDeadline(app), name, trace=trace)
        url = below.url
        servers.append(below)
    return servers[::-1]


def test_each_hop_sees_less(session):
    seen, trace = {}, Trace()
    gateway, *_ = chain(seen, lambda: "paid", trace)
    traced(session, trace)
    assert session.get(gateway.url, timeout=20).text == "paid"
    assert 20 > seen["gateway"] > seen["orders"] > seen["payment"] > 0
    assert [call.callee for call in trace.calls] == ["gateway", "orders", "payment"]
    timeouts = [call.timeout for call in trace.calls]  # what each of them really waited for
    assert timeouts[0] == 20 > timeouts[1] > timeouts[2] > 0


def test_without_a_deadline_none_is_invented(session):
    seen = {}
    gateway, *_ = chain(seen, lambda: "paid")
    assert session.get(gateway.url).text == "paid" and set(seen.values()) == {None}


def test_the_work_stops_when_nobody_waits(session):
    """The bottom works in small steps, and looks at what remains before each."""
    seen, steps, stopped = {}, [], threading.Event()

    def work():
        for step in range(2000):  # 20 s, if nobody stops it
            if remaining(time.monotonic()) <= 0:
                stopped.set()
                return "nobody waits", 504
            steps.append(step)
            time.sleep(0.01)
        return "paid"

    gateway, *_ = chain(seen, work)
    with suppress(requests.ReadTimeout):  # the 504 comes at that very moment
        session.get(gateway.url, timeout=2.0)
    assert stopped.wait(10) and len(steps) < 1000
    assert seen["gateway"] > seen["orders"] > seen["payment"]


def test_no_hop_begins_when_the_time_is_used_up_on_the_way(session):
    seen, handled, done = {}, [], threading.Event()
    payment, orders, gateway = Flask("payment"), Flask("orders"), Flask("gateway")
    inner = propagated(requests.Session())
    inner.trust_env = False

    @payment.get("/")
    def pay():
        handled.append("payment")
        return "paid"

    @orders.get("/")
    def order():
        handled.append("orders")
        while remaining(time.monotonic()) > 0:
            time.sleep(0.01)
        seen["orders"] = attempt(inner, "GET", last.url)(None)[0]
        done.set()
        return "", 504

    @gateway.get("/")
    def enter():
        handled.append("gateway")
        return attempt(inner, "GET", middle.url)(None)[0]

    last = serve(HeedsDeadline(payment), "payment")
    middle = serve(HeedsDeadline(orders), "orders")
    first = serve(HeedsDeadline(gateway), "gateway")
    with suppress(requests.ReadTimeout):  # the 504 comes at that very moment
        session.get(first.url, timeout=1.5)
    assert done.wait(10) and seen == {"orders": "deadline"} and handled == ["gateway", "orders"]


# -- gRPC --------------------------------------------------------------------------------------


def grpc_server(handle):
    server = grpc.server(
        futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)], interceptors=[heeding_grpc()]
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("lab.Shop", {"Ask": grpc.unary_unary_rpc_method_handler(handle)}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])
    return server, channel


@pytest.mark.parametrize("seconds, sent", [(1e10, True), (float("inf"), True), (0, False), (-1, False)])
@pytest.mark.parametrize(
    "guarded",
    [
        lambda channel: guard_channel(channel, Timeout(None)),
        lambda channel: traced_channel(channel, Trace()),
    ],
)
def test_a_grpc_call_is_not_sent_when_nothing_is_left_and_waits_when_much_is(guarded, seconds, sent):
    seen = []
    server, channel = grpc_server(lambda request, context: seen.append(remaining(time.monotonic())) or b"paid")
    try:
        ask = guarded(channel).unary_unary("/lab.Shop/Ask")
        if sent:
            assert ask(b"pen", timeout=seconds) == b"paid"
        else:
            with pytest.raises(grpc.RpcError) as caught:
                ask(b"pen", timeout=seconds)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert ask(b"pen") == b"paid" and len(seen) == 1 + sent
    finally:
        channel.close()
        server.stop(0).wait(10)


def test_a_chain_of_grpc_servers_each_sees_less():
    seen = {}

    def pay(request, context):
        seen["payment"] = remaining(time.monotonic())
        return b"paid"

    def order(request, context):
        seen["orders"] = remaining(time.monotonic())
        return guard_channel(payment, Timeout(None)).unary_unary("/lab.Shop/Ask")(request)

    last, payment = grpc_server(pay)
    first, orders = grpc_server(order)
    try:
        ask = orders.unary_unary("/lab.Shop/Ask")
        # gRPC sends the time left in coarse units and may round it up: by far less than a tenth of a second.
        assert ask(b"pen", timeout=20) == b"paid"
        assert 20.1 > seen["orders"] > seen["payment"] - 0.1 > 0
        assert ask(b"pen") == b"paid" and seen == {"orders": None, "payment": None}
    finally:
        for channel in (orders, payment):
            channel.close()
        for server in (first, last):
            server.stop(0).wait(10)
