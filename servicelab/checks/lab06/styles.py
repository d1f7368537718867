"""Exercise 5, measure and decide: a style for each of three feeds, and what it costs.

What a style costs is measured when the check runs: real server, real reader, and a proxy that counts the bytes.
"""

import math
import statistics
from functools import cache
from numbers import Real
from typing import NamedTuple

from servicelab.checks.exercise import exercise
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.clients.feed_readers import WAYS, Polling, deliver
from servicelab.faults import FaultProxy
from servicelab.servers.feed import Feed as Events

EVENT = {"order": 1017, "state": "packed"}
BAND = 2.0  # the bytes that are expected may be so many times too few or too many
_COUNT, _GAP = 15, 0.02  # events, and seconds between them


class Feed(NamedTuple):
    """What a feed demands: events/s, seconds from event to screen, bytes/s for each reader, open connections."""

    rate: float
    late: float
    most_bytes: float
    connections: bool = True
    both_ways: bool = False


#: vans: a map. support: a chat. stock: a list that may be ten minutes old, for 50 000 readers, on 100 connections.
FEEDS = {
    "vans": Feed(rate=20.0, late=0.06, most_bytes=2000.0),
    "support": Feed(rate=1.0, late=0.06, most_bytes=2000.0, both_ways=True),
    "stock": Feed(rate=1 / 60, late=600.0, most_bytes=10.0, connections=False),
}
READERS, MOST_REQUESTS = 50_000, 500.0  # of the stock; requests/s that its server can answer


class Cost(NamedTuple):
    """``latency``: the median, seconds. ``bytes_per_event``: both ways, everything included; of polling, those
    of one request that finds one event. ``latencies``: of each event, seconds."""

    latency: float
    bytes_per_event: float
    latencies: tuple[float, ...] = ()


def measure(style: str) -> Cost:
    """Measure one of the six styles of chapter 06. Polling asks four times a second here.

    Raises ValueError for a style that is none of them.
    """
    if style not in WAYS:
        raise ValueError(f"style={style!r} is none of {', '.join(map(repr, WAYS))}")
    found = deliver(WAYS[style], _COUNT, _GAP)
    size = _one_poll() if style == "polling" else found.up + found.down
    return Cost(statistics.median(found.latencies), size, tuple(found.latencies))


@cache
def _one_poll(count=10) -> float:
    """Bytes of a poll that finds one event; they are the same each time."""
    feed = Events()
    with WAYS["polling"].serve(feed, "polled", 4) as server, FaultProxy(server, "counting") as proxy:
        feed.publish(EVENT)
        reader = Polling(proxy)
        try:
            reader.ask()
            before = proxy.connections
            for _ in range(count):
                feed.publish(EVENT)
                reader.ask()
            after = proxy.connections
        finally:
            reader.close()
    return (after.up + after.down - before.up - before.down) / count


_HINTS = {
    "no-browser": "A page cannot read a gRPC stream without a translator in between.",
    "polling-fast": "An event waits for the next question, half a period on average. Let the server push.",
    "too-late": "Measure the latency of each style, and compare.",
    "many-bytes": "Each event costs a whole request here. measure(style).bytes_per_event × events per second.",
    "one-way": "Customers answer. Which of the styles carry messages both ways on one connection?",
    "holds-connections": "50 000 readers, 100 connections. Which style lets go of it after the answer?",
    "period-long": "The list may be ten minutes old, not more.",
    "period-short": "50 000 readers / period = requests per second, and 500 is what the server can answer.",
    "bytes": "bytes per event × events per second; for polling, bytes per request / period.",
}


@exercise("06", 5, "Three feeds", limit=40.0)
def check_styles(ask, choose):
    """``choose()`` returns ``{feed: {"style": …, "bytes_per_second": …, "period": … for polling}}``."""
    chosen = ask.call(choose, returns=dict, limit=20.0)
    for name in FEEDS:
        wrong = _wrong(chosen.get(name))
        ask.need(
            "wrong-type",
            f"choose returns a style and numbers for {name}",
            not wrong,
            f"for {name}: {wrong}",
            f"{{'style': one of {', '.join(WAYS)}, 'bytes_per_second': a number}}; with polling also 'period', in s.",
        )
    for name, feed in FEEDS.items():
        with section(ask):
            _examine(ask, name, feed, chosen[name])


def _wrong(plan):
    """What is wrong with the form of a plan, in words; "" when nothing is."""
    if not isinstance(plan, dict):
        return "there is nothing" if plan is None else f"it is {shown(plan)}, which is no dict"
    style = plan.get("style")
    if not isinstance(style, str) or style not in WAYS:
        return f"style={shown(style)} is none of the six"
    for one in ("bytes_per_second", "period")[: 2 if style == "polling" else 1]:
        value = plan.get(one)
        if one not in plan:
            return f"{one} is missing"
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value < math.inf:
            return f"{one}={shown(value)} must be a number"
        if one == "period" and value == 0:
            return "period=0 is no pause at all"
    return ""


def _examine(ask, name, feed, plan):
    style, period = plan["style"], plan.get("period", 0.25)
    cost = measure(style)
    mark = _draw(ask, name, cost)

    def expect(code, what, passed, happened):
        return ask.expect(code, f"{name}: {what}", passed, happened, _HINTS[code], mark)

    if not feed.connections:
        if not expect(
            "holds-connections", "nobody keeps a connection", style == "polling", f"{style} keeps one for each"
        ):
            return
        expect("period-long", "no reader's list is older than ten minutes", period <= feed.late, f"period {period:g} s")
        asked = READERS / period
        happened = f"{READERS} readers / {period:g} s = {asked:.0f} requests/s"
        what = f"the server gets at most {MOST_REQUESTS:.0f} requests/s"
        if not expect("period-short", what, asked <= MOST_REQUESTS, happened):
            return
    else:
        if not expect("no-browser", "a page can read it", style != "gRPC stream", "it is a gRPC stream"):
            return
        latency = period / 2 if style == "polling" else cost.latency
        code = "polling-fast" if style == "polling" else "too-late"
        told = "half the period is" if style == "polling" else "the median was"
        happened = f"{told} {latency * 1e3:.0f} ms"
        if not expect(code, f"on the screen within {feed.late * 1e3:.0f} ms", latency <= feed.late, happened):
            return
        carries = not feed.both_ways or style in ("WebSocket", "Socket.IO")
        expect("one-way", "customers can answer on it", carries, f"{style} goes one way")
    needed = cost.bytes_per_event / period if style == "polling" else cost.bytes_per_event * feed.rate
    happened = f"{cost.bytes_per_event:.0f} bytes each, {needed:.0f} bytes/s"
    expect("many-bytes", f"at most {feed.most_bytes:g} bytes/s for each reader", needed <= feed.most_bytes, happened)
    said = plan["bytes_per_second"]
    happened = f"you expect {_n(said)} bytes/s, and measured are {_n(needed)}"
    expect("bytes", f"the bytes/s, within a factor of {BAND:g}", needed / BAND <= said <= needed * BAND, happened)


def _n(value):
    """A number for people: three figures, and no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _draw(ask, name, cost):
    """What was measured, as a diagram: each event and when it arrived. The id of the latest of them."""
    ids = []
    for number, latency in enumerate(cost.latencies, 1):
        ids.append(ask.trace.send(f"{name} feed", "reader", f"event {number}", at=number * _GAP))
        ask.trace.receive(ids[-1], "reader", at=number * _GAP + latency)
    return ids[cost.latencies.index(max(cost.latencies))]
