"""One policy around a session, a gRPC channel and a function: real servers, and the caller sees what it saw before."""

import asyncio
import socket
import threading
import time
from concurrent import futures
from random import Random

import grpc
import pytest
import requests
import urllib3
from flask import Flask, request

from servicelab.clients import (
    CallFailed,
    RequestFailed,
    adapter_stack,
    attempt,
    guard,
    guard_channel,
    guard_session,
    traced,
)
from servicelab.clients.adapters import PolicyAdapter
from servicelab.clients.deadline import DeadlineAdapter, propagated
from servicelab.clients.session import TracedAdapter
from servicelab.lifecycle import stop_all
from servicelab.policies import (
    AdaptiveThrottle,
    CircuitBreaker,
    Deadline,
    Hedge,
    RateLimiter,
    Recorder,
    Retry,
    Status,
    Timeout,
    TokenBucket,
    call,
    current_deadline,
    replay,
)
from servicelab.servers import serve
from servicelab.trace import Trace


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    end = time.monotonic() + 10
    while left := [t.name for t in threading.enumerate() if t.name.startswith("servicelab")]:
        assert time.monotonic() < end, left
        time.sleep(0.01)


class Closed:
    """A policy that lets nothing through."""

    def script(self, now):
        return Status.REJECTED
        yield


# -- a bare callable ---------------------------------------------------------------------------


def test_a_function_keeps_its_arguments_its_value_and_its_name():
    def price(item, /, *, currency="EUR"):
        """What it costs."""
        return item, currency

    guarded = guard(price, Retry(Timeout(None)))
    assert guarded("pen", currency="CHF") == ("pen", "CHF") and guarded.__doc__ == "What it costs."


def test_a_function_is_tried_again_and_its_last_exception_is_its_callers():
    errors = iter([KeyError("first"), ConnectionResetError("second"), ValueError("third")])

    def fails():
        raise next(errors)

    with pytest.raises(ValueError, match="third"):
        guard(fails, Retry(Timeout(None), tries=3))()


@pytest.mark.parametrize(
    "error, status",
    [
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (BrokenPipeError(), "lost"),
        (ValueError(), "error"),
        (requests.ReadTimeout(), "timeout"),
        (CallFailed("deadline"), "deadline"),
    ],
)
def test_what_an_exception_is_to_a_policy(error, status):
    def fails():
        raise error

    recorder = Recorder(Timeout(None))
    with pytest.raises(type(error)) as raised:
        guard(fails, recorder)()
    assert raised.value is error and recorder.log[-1].question == status


def test_a_call_that_the_policy_ended_raises_its_own_error():
    with pytest.raises(CallFailed, match="price ended with 'rejected' after 0 attempts") as raised:
        guard(named("price"), Closed())()
    assert raised.value.status == "rejected" and raised.value.__cause__ is None


def named(name):
    def function():
        raise ValueError(name)

    function.__name__ = name
    return function


def test_the_failure_before_a_rejection_is_its_cause():
    policy = Retry(RateLimiter(Timeout(None), TokenBucket(0.001, 1), patience=0))
    with pytest.raises(CallFailed) as raised:
        guard(named("price"), policy)()
    assert raised.value.attempts == 1 and isinstance(raised.value.__cause__, ValueError)


def test_a_mistake_is_raised_at_once_and_no_policy_counts_it():
    breaker, calls = CircuitBreaker(Timeout(None)), []

    def mistaken():
        calls.append(1)
        raise TypeError("no such argument")

    with pytest.raises(TypeError, match="no such argument"):
        guard(mistaken, Retry(breaker, tries=5), mistakes=TypeError)()
    assert calls == [1]


def test_the_timeout_reaches_the_function_by_its_name():
    given = []

    def fetch(timeout=9.0):
        given.append(timeout)

    def other(wait=9.0):
        given.append(wait)

    guard(fetch, Timeout(0.5))()
    guard(fetch, Timeout(0.5))(timeout=0.25)
    guard(fetch, Timeout(None))()
    guard(other, Timeout(0.5), timeout="wait")()
    assert given == [0.5, 0.25, 9.0, 0.5]


def test_a_limit_for_a_function_that_nothing_can_end_is_refused():
    with pytest.raises(TypeError, match=r"price takes no timeout, so nothing can end it after 0.5 seconds"):
        guard(named("price"), Timeout(0.5))()
    assert guard(lambda: "soon", Timeout(0.5), timeout=False)() == "soon"


def test_a_coroutine_function_needs_no_timeout():
    async def slow(item):
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(guard(slow, Timeout(0.01))("pen"))

    async def quick(item):
        return item

    assert asyncio.run(guard(quick, Hedge(Timeout(5), delay=1))("pen")) == "pen"


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: guard(5, Timeout(1)), "function=5 must be something to call"),
        (lambda: guard(print, 0.5), "policy=0.5 must be a policy"),
        (lambda: guard_session("http", Timeout(1)), r"session='http' is no requests.Session\(\)"),
        (lambda: guard_session(requests.Session(), 3), "policy=3 must be a policy"),
        (lambda: guard_channel("127.0.0.1:5", Timeout(1)), "channel='127.0.0.1:5' is no grpc.Channel"),
        (lambda: guard_channel(None, Timeout), "policy=<class .*> must be a policy"),
        (lambda: propagated(5), r"session=5 is no requests.Session\(\)"),
    ],
)
def test_misuse_is_refused_by_name(make, said):
    with pytest.raises(TypeError, match=said):
        make()


# -- requests ----------------------------------------------------------------------------------


@pytest.fixture
def hits():
    return []


@pytest.fixture
def orders(hits):
    app = Flask("orders")
    hold = threading.Event()
    app.hold = hold

    @app.route("/flaky", methods=["GET", "POST"])
    def flaky():
        hits.append(request.get_data())
        return f"hit {len(hits)}", 200 if len(hits) >= 3 else 503

    @app.get("/broken")
    def broken():
        hits.append(b"")
        return "", 500

    @app.get("/missing")
    def missing():
        hits.append(b"")
        return "", 404

    @app.get("/slow")
    def slow():
        hits.append(b"")
        first = len(hits) == 1
        hold.wait(20 if first else 0)
        return "slow" if first else "quick"

    with serve(app, "orders") as server:
        server.hold = hold
        yield server
        hold.set()


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_a_session_retries_and_its_caller_sees_one_response(session, orders, hits):
    guard_session(session, Retry(Timeout(5), tries=3))
    reply = session.post(orders.url + "/flaky", data=b"pen", timeout=60)
    assert (reply.status_code, reply.text, hits) == (200, "hit 3", [b"pen"] * 3)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, 0.2),
        (9, 0.2),
        (0.1, 0.1),
        ((9, None), (0.2, 0.2)),
        (urllib3.Timeout(9), urllib3.Timeout(0.2, 0.2, 0.2)),
        (urllib3.Timeout(connect=0.1), urllib3.Timeout(0.2, 0.1, 0.2)),
        (urllib3.Timeout(connect=None, read=0.1), urllib3.Timeout(0.2, 0.2, 0.1)),
    ],
    ids=repr,
)
def test_a_policy_limits_a_timeout_in_every_form(given, left):
    assert repr(adapter_stack.at_most(given, 0.2)) == repr(left)
    assert adapter_stack.at_most(given, None) is given


def test_what_could_not_be_limited_is_refused(session, orders):
    guard_session(session, Timeout(0.2))
    with pytest.raises(TypeError, match="timeout=<object .* must be seconds"):
        session.get(orders.url + "/ok", timeout=object())


def test_a_urllib3_timeout_does_not_outlive_the_policy():
    """A server that never answers: whoever is not limited waits for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent, requests.Session() as session:
        session.trust_env = False
        guard_session(session, Timeout(0.2))
        with pytest.raises(requests.Timeout):
            session.get(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=urllib3.Timeout(None))


def test_a_failure_to_the_policy_is_still_a_response_to_the_caller(session, orders, hits):
    guard_session(session, Retry(Timeout(5), tries=2))
    assert session.get(orders.url + "/broken").status_code == 500 and len(hits) == 2
    assert session.get(orders.url + "/missing").status_code == 404 and len(hits) == 3  # is not retried


def test_a_breaker_keeps_a_session_from_asking(session, orders, hits):
    breaker = CircuitBreaker(Timeout(5), size=4, minimum_calls=4)
    guard_session(session, breaker)
    for _ in range(4):
        session.get(orders.url + "/broken")
    with pytest.raises(requests.RequestException, match="GET .*/broken ended with .rejected. after 0") as raised:
        session.get(orders.url + "/broken")
    assert isinstance(raised.value, RequestFailed) and len(hits) == 4
    assert attempt(session, "GET", orders.url + "/broken")(1.0)[0] == "rejected"


def test_an_exception_is_the_callers_own_kind(session, orders):
    guard_session(session, Retry(Timeout(0.05), tries=1))
    with pytest.raises(requests.ReadTimeout):
        session.get(orders.url + "/slow", timeout=20)
    orders.hold.set()
    url = orders.url
    orders.stop()
    with pytest.raises(requests.ConnectionError):
        session.get(url)


def test_a_policy_for_one_service_only(session, orders, hits):
    guard_session(session, Closed(), "http://127.0.0.1:1")
    assert session.get(orders.url + "/missing", timeout=5).status_code == 404
    guard_session(session, Closed(), orders.url)
    with pytest.raises(RequestFailed):
        session.get(orders.url + "/missing")
    assert len(hits) == 1


def test_a_hedge_overtakes_a_slow_server_and_stamps_both_attempts(session, orders, hits):
    trace = Trace()
    guard_session(traced(session, trace), Hedge(Timeout(20), delay=0.05))
    assert session.get(orders.url + "/slow").text == "quick"
    orders.hold.set()
    end = time.monotonic() + 10
    while any(c.end is None for c in trace.calls) and time.monotonic() < end:
        time.sleep(0.01)
    assert [(c.attempt, c.status) for c in trace.calls] == [(1, "ok"), (2, "ok")]


def test_each_attempt_has_a_request_of_its_own_to_write_into(session, orders):
    sent = []

    class Noting(requests.adapters.HTTPAdapter):
        def send(self, request, **options):
            sent.append(request)
            request.headers["Attempt"] = str(len(sent))
            return super().send(request, **options)

    session.mount("http://", Noting())
    guard_session(session, Retry(Timeout(5), tries=3)).get(orders.url + "/flaky")
    assert [request.headers["Attempt"] for request in sent] == ["1", "2", "3"]


def test_a_body_that_can_be_read_only_once_is_refused(session, orders):
    guard_session(session, Retry(Timeout(5)))
    with pytest.raises(TypeError, match="can be read only once"):
        session.post(orders.url + "/flaky", data=iter([b"a"]))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1, 0, 1, 2)])
def test_the_layers_lie_in_one_order_whatever_the_order_of_the_calls(session, order):
    trace = Trace()
    put = [lambda: guard_session(session, Timeout(1)), lambda: propagated(session), lambda: traced(session, trace)]
    for number in order:
        put[number]()
    for adapter in session.adapters.values():
        kinds = []
        while hasattr(adapter, "inner"):
            kinds.append(type(adapter))
            adapter = adapter.inner
        assert kinds == [PolicyAdapter, DeadlineAdapter, TracedAdapter]


def test_a_real_run_of_many_policies_replays(session, orders, hits):
    make = lambda: Deadline(9, Retry(AdaptiveThrottle(Timeout(5), Random(5)), tries=3))  # noqa: E731
    recorder = Recorder(make())
    guard_session(session, recorder)
    for _ in range(12):
        try:
            session.get(orders.url + "/broken")
        except RequestFailed as failed:
            assert failed.status == "rejected"
    assert replay(recorder.log, make()) == recorder.log and 3 <= len(hits) < 36


# -- gRPC --------------------------------------------------------------------------------------


class Greeter:
    """A real gRPC server without generated files: messages are bytes."""

    def __init__(self):
        self.codes, self.hits, self.deadlines = [], 0, []
        self.hold, self.cancelled = threading.Event(), threading.Event()
        handlers = grpc.method_handlers_generic_handler(
            "lab.Greeter",
            {
                "Greet": grpc.unary_unary_rpc_method_handler(self.greet),
            },
        )
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((handlers,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def greet(self, name, context):
        self.hits += 1
        self.deadlines.append(context.time_remaining())
        if name == b"slow" and self.hits == 1:
            context.add_callback(self.cancelled.set)
            self.hold.wait(20)
        elif self.codes:
            context.abort(self.codes.pop(0), "as told")
        return b"hello " + name


@pytest.fixture
def greeter():
    greeter = Greeter()
    yield greeter
    greeter.hold.set()
    greeter.server.stop(0).wait(10)


@pytest.fixture
def stub(greeter):
    with grpc.insecure_channel(
        f"127.0.0.1:{greeter.port}", options=[("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
    ) as channel:
        yield lambda policy: guard_channel(channel, policy).unary_unary("/lab.Greeter/Greet")


CODE = grpc.StatusCode


def test_a_stub_retries_and_its_caller_sees_one_answer(stub, greeter):
    greeter.codes = [CODE.UNAVAILABLE, CODE.INTERNAL]
    greet = stub(Retry(Timeout(10), tries=3))
    assert greet(b"ada") == b"hello ada" and greeter.hits == 3
    response, outcome = greet.with_call(b"bob", metadata=[("k", "v")])
    assert response == b"hello bob" and outcome.code() is CODE.OK


def test_a_failed_stub_raises_what_it_always_raised(stub, greeter):
    greeter.codes = [CODE.NOT_FOUND, CODE.INTERNAL, CODE.DATA_LOSS]
    with pytest.raises(grpc.RpcError) as raised:
        stub(Retry(Timeout(10), tries=3))(b"ada")
    assert raised.value.code() is CODE.NOT_FOUND and greeter.hits == 1
    with pytest.raises(grpc.RpcError) as raised:
        stub(Retry(Timeout(10), tries=2))(b"ada")
    assert (raised.value.code(), raised.value.details(), greeter.hits) == (CODE.DATA_LOSS, "as told", 3)


@pytest.mark.parametrize(
    "code, status",
    [
        (CODE.UNAVAILABLE, "lost"),
        (CODE.RESOURCE_EXHAUSTED, "rejected"),
        (CODE.DEADLINE_EXCEEDED, "timeout"),
        (CODE.UNKNOWN, "error"),
        (CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    ],
)
def test_what_a_code_is_to_a_policy(stub, greeter, code, status):
    greeter.codes, recorder = [code], Recorder(Timeout(10))
    with pytest.raises(grpc.RpcError):
        stub(recorder)(b"ada")
    assert recorder.log[-1].question == status


def test_a_stub_that_the_policy_keeps_from_asking(stub, greeter):
    with pytest.raises(grpc.RpcError) as raised:
        stub(Closed())(b"ada")
    assert isinstance(raised.value, CallFailed) and raised.value.status == "rejected"
    assert raised.value.code() is CODE.UNAVAILABLE and "'rejected' after 0 attempts" in raised.value.details()
    future = stub(Closed()).future(b"ada")
    assert future.done() and future.exception() is not None and greeter.hits == 0


def test_the_shortest_limit_of_time_goes_to_the_server(stub, greeter):
    greet = stub(Timeout(50))
    greet(b"ada")
    greet(b"ada", timeout=30)
    token = current_deadline.set(time.monotonic() + 10)
    greet(b"ada", timeout=30)
    current_deadline.set(time.monotonic() - 1)
    with pytest.raises(grpc.RpcError) as raised:
        greet(b"ada")
    current_deadline.reset(token)
    assert raised.value.code() is CODE.DEADLINE_EXCEEDED and greeter.hits == 3
    assert [round(left, -1) for left in greeter.deadlines] == [50, 30, 10]


def test_a_hedged_stub_overtakes_and_cancels_the_loser(stub, greeter):
    assert stub(Hedge(Timeout(20), delay=0.05)).future(b"slow").result() == b"hello slow"
    assert greeter.cancelled.wait(10)  # long before the 20 s are over: the server learns that nobody waits


def test_a_stub_times_out(stub, greeter):
    with pytest.raises(grpc.RpcError) as raised:
        stub(Timeout(0.1))(b"slow")
    assert raised.value.code() is CODE.DEADLINE_EXCEEDED


# -- one policy, three ways in -----------------------------------------------------------------


def test_one_breaker_object_serves_all_three(session, orders, stub, greeter):
    """Not that it should; but it is one object, and knows what all of them have met."""
    breaker = CircuitBreaker(Timeout(5), size=3, minimum_calls=3)
    greeter.codes = [CODE.INTERNAL]
    guard_session(session, breaker).get(orders.url + "/broken")
    with pytest.raises(grpc.RpcError):
        stub(breaker)(b"ada")
    with pytest.raises(ValueError):
        guard(named("price"), breaker, timeout=False)()
    assert call(breaker, lambda *_: ("ok", None)).status == "rejected"
