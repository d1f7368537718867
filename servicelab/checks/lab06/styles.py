"""Exercise 5, measure and decide: a style for each of three feeds, and what it costs.

What a style costs is measured when the check runs: real server, real reader, and a proxy that counts the bytes.
"""

import math
import statistics
from functools import cache
from numbers import Real
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
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

WORDS = words("""
no-plan: choose returns a style and numbers for each feed
    The task names the six styles, and what stands in the dict of each feed.
holds-connections: 50 000 readers, and nobody keeps a connection
    Which styles let go of the connection after the answer?
period-long: no reader's list is older than it may be
    How old is the list just before the next question?
period-short: the server gets no more requests than it can answer
    How many readers ask in one period?
no-browser: a page can read it
    Which of the six does a browser not speak without a translator in between?
too-late: it is on the screen in time
    How long does an event wait for the next question, on average, and what did you measure for the others?
one-way: customers can answer on it
    Which of the styles carry messages both ways on one connection?
many-bytes: it costs each reader no more bytes/s than it may
    What travels with each event, or with each question, and how many of these are there in a second?
bytes: you know beforehand what it costs, within a factor of 2
    What is multiplied: events, or questions? And in which unit is it wanted?
""")


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


class Shop(Stage):
    """Has what ``choose()`` returned: ``{feed: {"style": …, "bytes_per_second": …, "period": … for polling}}``."""

    def __init__(self, ask, choose):
        super().__init__(ask, choose)
        self.plans = self.call(choose, returns=dict, limit=12.0)

    def measure(self, name, style):
        """What a style costs, drawn as each event and when it arrived; marked is the latest of them."""
        self.ask.trace.clear()
        cost, ids = measure(style), []
        for number, latency in enumerate(cost.latencies, 1):
            ids.append(self.ask.trace.send(f"{name} feed", "reader", f"event {number}", at=number * _GAP))
            self.ask.trace.receive(ids[-1], "reader", at=number * _GAP + latency)
        self.last = ids[cost.latencies.index(max(cost.latencies))]
        return cost


def mistake(plan):
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


def figure(value):
    """A number for people: three figures, and no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


check_styles = scenario("06", 5, "Three feeds", WORDS, choose=Shop)


@check_styles.part
def the_feeds(shop):
    for name in FEEDS:
        wrong = mistake(shop.plans.get(name))
        yield "no-plan", not wrong, f"for {name}: {wrong}"
    for name, feed in FEEDS.items():
        yield from suits(shop, name, feed, **shop.plans[name])


def suits(shop, name, feed, style, bytes_per_second, period=None, **more):
    polls, cost, told = style == "polling", shop.measure(name, style), f"{name}: {style}"
    bytes_per_second, period = float(bytes_per_second), float(period) if polls else math.nan
    if not feed.connections:
        yield "holds-connections", polls, f"{told} keeps one for each"
        yield "period-long", period <= feed.late, f"{told}, each {period:g} s; {feed.late:g} s is the limit"
        asked = READERS / period
        yield (
            "period-short",
            asked <= MOST_REQUESTS,
            f"{told}; {READERS} readers / {period:g} s = {asked:.0f} requests/s",
        )
    else:
        yield "no-browser", style != "gRPC stream", told
        latency = period / 2 if polls else cost.latency
        happened = f"{told}; {'half the period is' if polls else 'the median was'} {latency * 1e3:.0f} ms"
        yield "too-late", latency <= feed.late, happened
        yield "one-way", not feed.both_ways or style in ("WebSocket", "Socket.IO"), f"{told} goes one way"
    needed = cost.bytes_per_event / period if polls else cost.bytes_per_event * feed.rate
    happened = f"{told}; {cost.bytes_per_event:.0f} bytes each, {figure(needed)} bytes/s, of {feed.most_bytes:g}"
    yield "many-bytes", needed <= feed.most_bytes, happened
    happened = f"{told}; you expect {figure(bytes_per_second)} bytes/s, and measured are {figure(needed)}"
    yield "bytes", needed / BAND <= bytes_per_second <= needed * BAND, happened
