"""Recorded runs for the tests of what draws them."""

from servicelab.trace import Trace, reply_id


def call(
    trace, caller, callee, label, start, latency, work, *, attempt=1, timeout=None, queue=0.0, inner=(), parent=None
):
    """A call that succeeds: request, queue, work with the ``inner`` calls in its middle, reply. Returns its id."""
    id = trace.start_call(caller, callee, label, attempt=attempt, timeout=timeout, parent=parent, at=start)
    trace.send(caller, callee, label, id=id, at=start)
    trace.receive(id, callee, at=start + latency)
    now = start + latency + queue
    trace.start_work(callee, label, id=id, at=now)
    now += work / 2
    for nested_callee, nested_label, *how, deeper in inner:
        nested_id = call(trace, callee, nested_callee, nested_label, now, *how, inner=deeper, parent=id)
        now = next(one.end for one in trace.calls if one.id == nested_id)
    now += work / 2
    trace.end_work(id, at=now)
    trace.send(callee, caller, "200", id=reply_id(id), kind="reply", at=now)
    trace.receive(reply_id(id), caller, at=now + latency)
    trace.end_call(id, "ok", at=now + latency)
    return id


def nested():
    """client → gateway → orders → inventory, then payment."""
    trace = Trace()
    last = [("inventory", "GET /stock/17", 0.001, 0.0095, []), ("payment", "POST /payments", 0.0022, 0.0132, [])]
    call(trace, "client", "gateway", "POST /orders", 100, 0.0018, 0.003,
         inner=[("orders", "POST /orders", 0.0015, 0.004, last)])  # fmt: skip
    return trace


def late_reply():
    """The first attempt times out, the second succeeds, then the first reply comes."""
    trace = Trace()
    id = trace.start_call("client", "orders", "GET /orders/17", timeout=0.5, at=0)
    trace.send("client", "orders", "GET /orders/17", id=id, at=0)
    trace.receive(id, at=0.002)
    trace.start_work("orders", id=id, at=0.002)
    trace.end_call(id, "timeout", at=0.5)
    call(trace, "client", "orders", "GET /orders/17", 0.56, 0.002, 0.012, attempt=2, timeout=0.5)
    trace.end_work(id, at=0.8)
    trace.send("orders", "client", "200", id=reply_id(id), kind="reply", at=0.8)
    return trace


def retries():
    """Two requests are dropped, with timeouts of 3 s; the third succeeds."""
    trace = Trace()
    for number in (1, 2):
        start = (number - 1) * 3.01
        id = trace.start_call("client", "payment", "POST /payments", attempt=number, timeout=3.0, at=start)
        trace.send("client", "payment", "POST /payments", id=id, at=start)
        trace.lose(id, "dropped by the proxy", at=start + 0.004)
        trace.end_call(id, "timeout", at=start + 3.0)
    call(trace, "client", "payment", "POST /payments", 6.02, 0.004, 0.02, attempt=3, timeout=3.0)
    return trace


def queueing():
    """Eight requests and one worker."""
    trace = Trace()
    free = 0.0
    for number in range(8):
        arrives = 0.009 * number + 0.004
        queue = max(0.0, free - arrives)
        call(trace, "client", "orders", f"order {number + 1}", 0.009 * number, 0.004, 0.015, queue=queue)
        free = arrives + queue + 0.015
    return trace
