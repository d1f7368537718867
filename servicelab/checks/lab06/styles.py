"""Exercise 5, measure and decide: a style for each of three feeds, and what it costs.

What a style costs is measured when the check runs: real server, real reader, and a proxy that counts the bytes.
"""

import statistics
from contextlib import closing
from functools import cache
from math import inf
from numbers import Real
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients.feed_readers import WAYS, Polling, deliver
from servicelab.faults import FaultProxy
from servicelab.servers.feed import Feed as Events
from servicelab.significant import three_digits

COUNT, GAP = 15, 0.02  # events that are measured, and seconds between them
#: Of each feed: events/s, seconds until an event is on the screen, bytes/s for each reader. vans: a map. support: a
#: chat. stock: a list that may be ten minutes old, for 50 000 readers, on 100 connections.
FEEDS = {"vans": (20.0, 0.06, 2000), "support": (1.0, 0.06, 2000), "stock": (1 / 60, 600.0, 10)}
READERS, MOST_REQUESTS = 50_000, 500.0  # of the stock; requests/s that its server can answer

WORDS = words("""
no-plan: choose returns a style and numbers for each feed
    The task names the six styles, and what stands in the dict of each feed.
holds-connections: 50 000 readers, and nobody keeps a connection
    Which styles let go of the connection after the answer?
period: no reader's list is older than it may be, and the server gets no more requests than it can answer
    How old is the list just before the next question? And how many readers ask in one period?
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
    found = deliver(WAYS[style], COUNT, GAP)
    size = _one_poll() if style == "polling" else found.up + found.down
    return Cost(statistics.median(found.latencies), size, tuple(found.latencies))


@cache
def _one_poll(count=10) -> float:
    """Bytes of a poll that finds one event; they are the same each time."""
    feed, sizes = Events(), []
    with WAYS["polling"].serve(feed, "polled", 4) as server, FaultProxy(server) as proxy, closing(Polling(proxy)) as me:
        for _ in range(count + 1):
            feed.publish({"order": 1017, "state": "packed"})
            me.ask()
            sizes.append(proxy.connections.up + proxy.connections.down)
    return (sizes[-1] - sizes[0]) / count


def mistake(plan) -> str:
    """What is wrong with the form of a plan, in words."""
    if not isinstance(plan, dict):
        return f"it is {shown(plan)}, which is no dict"
    style = plan.get("style")
    if not isinstance(style, str) or style not in WAYS:
        return f"style={shown(style)} is none of the six"
    for one in ("bytes_per_second", "period")[: 1 + (style == "polling")]:
        value = plan.get(one, "missing")
        if not isinstance(value, Real) or not 0 <= value < inf:
            return f"{one} is missing" if one not in plan else f"{one}={shown(value)} must be a number"
    return "period=0 is no pause at all" if style == "polling" and value == 0 else ""


class Feeds(Stage):
    def cost(self, name, style, period):
        """The seconds and the bytes of an event, or of a question; each event is drawn when it arrived, and the latest
        of them marked."""
        if style == "polling":
            return float(period) / 2, _one_poll()
        for _ in range(3):  # a busy machine makes it later than it is
            cost = measure(style)
            if cost.latency <= FEEDS[name][1]:
                break
        for number, latency in enumerate(cost.latencies, 1):
            id = self.ask.trace.send(f"{name} feed", "reader", f"event {number}", at=number * GAP)
            self.ask.trace.receive(id, "reader", at=number * GAP + latency)
            self.last = id if latency == max(cost.latencies) else self.last
        return cost[:2]

    def suits(self, name, /, style, bytes_per_second, period=None, **more):
        told, (rate, late, most) = f"{name}: {style}", FEEDS[name]
        self.draw(f"{name} feed", "reader", style, 0.0)
        if name == "stock":
            yield "holds-connections", style == "polling", f"{told} keeps one for each"
            asked, told = READERS / period, f"{told}, each {float(period):g} s"
            yield "period", period <= late, f"{told}; {late:g} s is the limit"
            yield (
                "period",
                asked <= MOST_REQUESTS,
                f"{told}; {READERS} readers make {float(asked):.0f} requests/s",
            )
        yield "no-browser", style != "gRPC stream", told
        yield "one-way", name != "support" or style in ("WebSocket", "Socket.IO"), f"{told} goes one way"
        latency, size = self.cost(name, style, period)
        yield "too-late", latency <= late, f"{told}; an event waits for {latency * 1e3:.0f} ms (the median)"
        needed = size / float(period) if style == "polling" else size * rate
        told += f"; {size:.0f} bytes each, {three_digits(needed)} bytes/s"
        yield "many-bytes", needed <= most, f"{told}, of {most}"
        told += f"; you expect {three_digits(float(bytes_per_second))} bytes/s"
        yield "bytes", needed / 2 <= bytes_per_second <= needed * 2, told


check_styles = scenario("06", 5, "Three feeds", WORDS, choose=Feeds)


@check_styles.part
def the_feeds(feeds):
    plans = feeds.call(feeds.yours, returns=dict, limit=12.0)
    for name in FEEDS:
        wrong = mistake(plans.get(name))
        yield "no-plan", not wrong, f"for {name}: {wrong}"
    for name in FEEDS:
        yield from feeds.suits(name, **plans[name])
