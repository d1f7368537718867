"""The trace joins what both ends of a message stamped, whoever stamped it and in whatever order."""

import copy
import pickle
import threading

import pytest

from servicelab import trace as trace_module
from servicelab.trace import Event, Trace, from_traceparent, new_id, reply_id, to_traceparent


@pytest.fixture
def trace():
    return Trace(clock=lambda: 99.0)


def exchange(trace, *, status="ok", request_lost=None, reply_lost=None, reply_sent=3.0, end=4.0):
    """One call from client to orders: sent at 1, received at 2, answered at 3, ended at 4."""
    call = trace.start_call("client", "orders", "GET /", timeout=2.5, at=1.0)
    trace.send("client", "orders", "GET /", id=call, at=1.0)
    if request_lost:
        trace.lose(call, request_lost, at=1.5)
    else:
        trace.receive(call, "orders", at=2.0)
        trace.start_work("orders", "GET /", id=call, at=2.0)
        trace.end_work(call, at=reply_sent)
        trace.send("orders", "", "200", id=reply_id(call), kind="reply", at=reply_sent)
        if status == "ok":
            trace.receive(reply_id(call), "client", at=end)
        if reply_lost:
            trace.lose(reply_id(call), reply_lost, at=reply_sent)
    trace.end_call(call, status, at=end)
    return call


def test_a_call_its_messages_and_its_work_are_joined(trace):
    call = exchange(trace)
    request, reply = trace.messages
    assert (request.id, request.sender, request.receiver, request.sent, request.received) == (
        call,
        "client",
        "orders",
        1.0,
        2.0,
    )
    assert (reply.sender, reply.receiver, reply.kind, reply.sent, reply.received, reply.lost) == (
        "orders",
        "client",
        "reply",
        3.0,
        4.0,
        None,
    )
    [record] = trace.calls
    assert (record.start, record.end, record.status, record.timeout) == (1.0, 4.0, "ok", 2.5)
    [work] = trace.work
    assert (work.who, work.start, work.end) == ("orders", 2.0, 3.0)


def test_the_order_in_which_the_stamps_arrive_does_not_matter(trace):
    exchange(trace)
    other = Trace()
    other.extend(reversed(trace.events))
    assert other.messages == trace.messages
    assert other.calls == trace.calls


def test_a_lost_message_says_why(trace):
    exchange(trace, status="timeout", request_lost="dropped by the proxy")
    [request] = trace.messages
    assert (request.received, request.lost, request.lost_at) == (None, "dropped by the proxy", 1.5)


@pytest.mark.parametrize("reply_sent", [3.0, 5.0])
def test_a_reply_after_the_caller_gave_up_came_too_late(trace, reply_sent):
    exchange(trace, status="timeout", reply_sent=reply_sent)
    assert trace.messages[1].lost == "came too late"


def test_a_request_nobody_received_has_no_answer_once_its_call_has_ended(trace):
    call = trace.start_call("client", "orders", "GET /", at=1.0)
    trace.send("client", "orders", "GET /", id=call, at=1.0)
    assert trace.messages[0].lost is None  # still under way
    trace.end_call(call, "timeout", at=2.0)
    assert trace.messages[0].lost == "no answer"


def test_a_request_answered_by_a_server_that_does_not_stamp_is_only_a_call(trace):
    call = trace.start_call("client", "elsewhere:80", "GET /", at=1.0)
    trace.send("client", "elsewhere:80", "GET /", id=call, at=1.0)
    trace.receive(reply_id(call), "client", at=2.0)
    trace.end_call(call, "ok", at=2.0)
    assert trace.messages == []
    assert trace.calls[0].status == "ok"


def test_since_a_mark(trace):
    exchange(trace)
    mark = len(trace)
    second = exchange(trace)
    assert [message.id for message in trace.since(mark).messages] == [second, reply_id(second)]


def test_an_empty_trace_is_true():
    assert Trace()
    assert len(Trace()) == 0


def test_feeds_are_asked_before_every_reading(trace):
    trace.feeds.append(lambda: trace.add(trace_module.Event(1.0, "state", "", "breaker", label="open")))
    assert len(trace) == 1
    assert [change.value for change in trace.changes] == ["open", "open"]
    assert len(trace.since(0).events) == 3


def test_a_pickled_trace_becomes_the_one_that_reports_to_the_parent(monkeypatch):
    here = Trace()
    monkeypatch.setattr(trace_module, "forwarding", here)
    assert pickle.loads(pickle.dumps(Trace())) is here


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda trace: pickle.loads(pickle.dumps(trace))])
def test_a_copy_of_a_trace_holds_its_events_and_goes_on_alone(trace, copied):
    trace.feeds.append(lambda: trace.feeds.clear() or trace.state("child", "up", at=3.0))
    trace.send("ann", "orders", "POST", at=1.0)
    other = copied(trace)
    assert other.events == trace.events and len(other) == 2
    other.state("breaker", "open", at=5.0)
    trace.state("breaker", "closed", at=6.0)
    assert (len(trace), len(other), other.events[-1].label) == (3, 3, "open")


def test_a_copy_keeps_a_clock_that_cannot_be_pickled():
    trace = Trace(lambda: 7.0)
    for other in (copy.copy(trace), copy.deepcopy({"trace": trace})["trace"]):
        other.state("breaker", "open")
        assert other.events[-1].at == 7.0


def test_traceparent_there_and_back():
    call = new_id()
    header = to_traceparent("ab", call)
    assert from_traceparent(header) == ("ab".rjust(32, "0"), call)


TRACE, CALL = "1" * 32, "2" * 16


@pytest.mark.parametrize(
    "value, valid",
    [
        (f"00-{TRACE}-{CALL}-01", True),
        (f"01-{TRACE}-{CALL}-01", True),  # a later version
        (f"cc-{TRACE}-{CALL}-01-what-the-future-will-be-like", True),
        (f"cc-{TRACE}-{CALL}-01-", True),
        (f"cc-{TRACE}-{CALL}-01.more", False),
        (f"00-{TRACE}-{CALL}-01-more", False),  # ours has no more
        (f"00-{TRACE}-{CALL}-01-", False),
        (f"ff-{TRACE}-{CALL}-01", False),
        (f"00-{'0' * 32}-{CALL}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{'A' * 32}-{CALL}-01", False),
        (f"00-{TRACE}-{CALL}-01\n", False),
        (f"00-{TRACE}-{CALL}-01,00-{TRACE}-{CALL}-01", False),  # it came twice
        (f"00-{'g' * 32}-{CALL}-01", False),
        ("00-abc-def-01", False),
        ("nonsense", False),
        ("", False),
        (None, False),
        (17, False),  # in AMQP a header may be anything
        (b"00", False),
    ],
)
def test_a_traceparent_that_is_not_valid_is_ignored(value, valid):
    assert from_traceparent(value) == ((TRACE, CALL) if valid else None)


def test_work_on_an_id_that_was_worked_on_before_is_work_of_its_own(trace):
    first = trace.start_work("orders", id="a", at=1.0)
    second = trace.start_work("orders", id="a", at=2.0)
    trace.end_work(first, at=4.0)
    trace.end_work(second, at=3.0)
    child = [Event(2.5, "work", "a", "payment"), Event(5.0, "done", "a")]  # in a process of its own, where "a" is new
    trace.extend(child[:1])
    trace.extend(child[1:])
    assert [(w.who, w.start, w.end) for w in trace.work] == [
        ("orders", 1.0, 4.0), ("orders", 2.0, 3.0), ("payment", 2.5, 5.0),
    ]  # fmt: skip
    assert len({work.id for work in trace.work}) == 3 and first == "a"


def test_many_threads_lose_nothing(trace):
    def write():
        for _ in range(200):
            trace.end_work(trace.start_work("orders"))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trace.work) == 1600
    assert all(work.end is not None for work in trace.work)


def test_the_table_tells_what_was_lost(trace):
    exchange(trace)
    exchange(trace, status="timeout", request_lost="dropped")
    text = str(trace.table())
    assert "3 messages" in text
    assert "lost: dropped" in text
    assert "2 of 3 messages, the first 2" in str(trace.table(most=2))
