"""Exercise 4, measure and decide: a way of knowing, a lease, a heartbeat and a period for a budget, in four shops."""

import math
from numbers import Real

from servicelab.checks.lab08.shops import CHECKED, WAYS, buried, formulas, lookups_by
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.significant import three_digits

LIMIT = 4.0  # seconds for the learner's function, for one shop
LIMITS = ("requests", "stale", "failed", "buried")
ROOM, NEAR = 1.001, 0.99  # of a limit, and of the largest share of a limit
_TIMES = {way: ("ttl", "heartbeat") + (("period",) if way == "poll" else ()) for way in WAYS}

WORDS = words("""
wrong-type: choose returns {"way": …, "ttl": …, "heartbeat": …, "binding": …}, and for "poll" a "period"
    Compare what you return with the list in the task, entry by entry.
heartbeat-above-ttl: the heartbeat comes before the lease ends
    What becomes of the lease of an instance that is well, between two heartbeats?
asks-every-call: the registry gets no more requests than it may: the lookups of clients that ask before every call
    How many calls does this shop make in a second?
woken-too-often: the registry gets no more requests than it may: the lookups of clients whose question waits
    What ends such a question, and how often does each of these happen in a second, to all clients together?
no-period-will-do: the clients hear of a change in time, and the registry bears their questions
    How often would they have to poll for that? Which way asks only when something has changed, or when it must?
forgot-heartbeats: the registry gets no more requests than it may: heartbeats and lookups together
    The lookups alone are within the budget. Who else asks the registry for something?
heartbeats-alone: the registry gets no more requests than it may: the heartbeats
    The lookups hardly count here. What lets an instance send fewer heartbeats, and what does that cost?
too-many-requests: the registry gets no more requests than it may: the lookups of clients that poll
    Which of the two is the larger part here, and which number makes it smaller?
stale: a client hears of a change in time, on average
    How long after a change does a client ask that polls?
forgot-refresh: few enough calls fail when an instance dies
    The lease alone is short enough. When does a client hear that it has run out?
too-late: few enough calls fail when an instance dies
    How many calls go to the dead one in a second, and for how long after its death does its lease last?
buried-alive: few enough living instances lose their lease
    How many heartbeats in a row have to be lost for that, and how much rarer is it with one more?
whole-multiple: few enough living instances lose their lease
    When does the last heartbeat of your lease come, and when does the lease end?
binding: the limit is named that this choice uses up the most
    Which share of each limit does your choice use in *this* shop?
""")


class Budget(Stage):
    """What the learner's function chose for a shop, once it has the form that was asked for."""

    def choose(self, shop):
        chosen = self.call(self.yours, shop, limit=LIMIT)
        wrong = _wrong(chosen)
        if not wrong:
            choice = {"way": chosen["way"]} | {name: float(chosen[name]) for name in _TIMES[chosen["way"]]}
            self.last = _draw(self.ask.trace, **choice)
        return wrong, {} if wrong else choice, {} if wrong else chosen["binding"]


check_budget = scenario("08", 4, "A budget for freshness", WORDS, go_on=True, choose=Budget)


@check_budget.part
def nothing_stays(b):
    yield from _judged(b, CHECKED[0])


@check_budget.part
def clients_by_the_hundred(b):
    yield from _judged(b, CHECKED[1])


@check_budget.part
def more_instances_than_clients(b):
    yield from _judged(b, CHECKED[2])


@check_budget.part
def seldom_called(b):
    yield from _judged(b, CHECKED[3])


def _judged(b, shop):
    wrong, choice, binding = b.choose(shop)
    yield "wrong-type", not wrong, wrong
    way, ttl, heartbeat = choice["way"], choice["ttl"], choice["heartbeat"]
    beats = f"a heartbeat every {three_digits(heartbeat)} s, and a lease of {three_digits(ttl)} s"
    yield "heartbeat-above-ttl", heartbeat < ttl, beats
    cost = formulas(shop, **choice)
    shares = {name: getattr(cost, name) / getattr(shop, name) for name in LIMITS}
    fits = {name: share <= ROOM for name, share in shares.items()}
    lookups = lookups_by(shop, way, choice.get("period", 1.0))
    told = (
        f"way={way!r} makes {three_digits(shop.instances / heartbeat)} heartbeats and {three_digits(lookups)} lookups "
        f"a second, and {shop.requests:g} requests are allowed"
    )
    yield _why_so_many(shop, way, lookups, shop.instances / heartbeat), fits["requests"], told
    code = "no-period-will-do" if _no_period(shop) else "stale"
    yield code, fits["stale"], f"after {three_digits(cost.stale)} s, and {shop.stale:g} s are allowed"
    in_time = shop.failing * (ttl - heartbeat / 2) <= shop.failed
    told = (
        f"{three_digits(shop.failing)} calls/s go to the dead one, {three_digits(cost.failed)} in all, and "
        f"{shop.failed:g} are allowed: its lease lasts for {three_digits(ttl - heartbeat / 2)} s more, and the clients "
        f"hear of it {three_digits(cost.stale)} s later"
    )
    yield "forgot-refresh" if in_time else "too-late", fits["failed"], told
    with_all = buried(shop, math.floor(ttl / heartbeat + 0.02), heartbeat)
    told = (
        f"{three_digits(cost.buried)} a day, and {shop.buried:g} are allowed: a lease of "
        f"{three_digits(ttl / heartbeat)} heartbeats, of which {shop.loss:.0%} get lost"
    )
    yield "whole-multiple" if with_all <= shop.buried < cost.buried else "buried-alive", fits["buried"], told
    used = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    named = isinstance(binding, str) and shares.get(binding, 0) >= NEAR * max(shares.values())
    yield "binding", named, f"it named {shown(binding)}; used up are {used}"


def _why_so_many(shop, way, lookups, beats):
    """The code of too many requests: which part of them it is that can be mended."""
    if way != "poll" and lookups > beats:
        return "asks-every-call" if way == "every call" else "woken-too-often"
    if beats > shop.requests:
        return "heartbeats-alone"
    if way == "poll" and _no_period(shop):
        return "no-period-will-do"
    return "too-many-requests" if lookups > shop.requests else "forgot-heartbeats"


def _no_period(shop):
    """Would clients that poll often enough to be up to date ask more than the registry can answer?"""
    return shop.clients / (2 * shop.stale) > shop.requests


def _wrong(chosen):
    """What is wrong with the form of it, in words; "" when nothing is."""
    if not isinstance(chosen, dict):
        return f"it returned {shown(chosen)}"
    if not isinstance(chosen.get("way"), str) or chosen["way"] not in WAYS:
        return f"way={shown(chosen['way'])} is none" if "way" in chosen else f"way is missing: {shown(chosen)}"
    for name in (*_TIMES[chosen["way"]], "binding"):
        if name not in chosen:
            return f"{name} is missing: it returned {shown(chosen)}"
        value = chosen[name]
        if name != "binding" and (not isinstance(value, Real) or isinstance(value, bool)):
            return f"{name}={shown(value)} must be a number of seconds"
        if name != "binding" and not (math.isfinite(value) and value > 0):
            return f"{name}={shown(value)} must be above 0, and finite"
    return ""


def _draw(trace, way, ttl, heartbeat, period=0.0):
    """A death with these numbers, as a diagram: the id of the last message that keeps the dead one in use."""
    for beat in range(3):
        id = trace.send("orders-1", "registry", "heartbeat", at=beat * heartbeat)
        trace.receive(id, "registry", at=beat * heartbeat + 0.02)
    ends = 2 * heartbeat + ttl
    for who, state, at in (
        ("orders-1", "passing", 0.0), ("orders-1", "dead", 2.6 * heartbeat), ("registry", "passing", 0.02),
        ("registry", "critical", ends),
    ):  # fmt: skip
        trace.state(who, state, at=at)
    every = {"poll": period, "every call": ttl / 6}.get(way, ends)
    for at in (ends + (0.5 - back) * every for back in range(6, -1, -1)):
        if at > 0:
            asked = trace.send("gateway", "registry", "who is there?", at=at)
            trace.receive(asked, "registry", at=at + 0.02)
            id = asked if at < ends else id
    return id
