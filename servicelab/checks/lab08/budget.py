"""Exercise 4, measure and decide: a way of knowing, a lease, a heartbeat and a period for a budget, in four shops."""

import math
from numbers import Real

from servicelab.checks.lab08.shops import CHECKED, WAYS, formulas
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.significant import three_digits

LIMIT = 4.0  # seconds for the learner's function, for one shop
ROOM, NEAR = 1.001, 0.99  # of a limit, and of the largest share of a limit

WORDS = words("""
wrong-type: choose returns {"way": …, "ttl": …, "heartbeat": …, "binding": …}, and for "poll" a "period"
    Compare what you return with the list in the task, entry by entry.
heartbeat-above-ttl: the heartbeat comes before the lease ends
    What becomes of the lease of an instance that is well, between two heartbeats?
too-many-requests: the registry gets no more requests than it may, heartbeats and lookups together
    Which of the two is the larger part here? What makes a client ask, and how often does that happen to all of them
    in a second? What lets an instance send fewer heartbeats, and what does that cost?
no-period-will-do: the clients hear of a change in time, and the registry bears their questions
    How often would they have to poll for that? Which way asks only when something has changed, or when it must?
stale: a client hears of a change in time, on average
    How long after a change does a client ask that polls?
too-late: few enough calls fail when an instance dies
    How many calls go to the dead one in a second? For how long does its lease last, and when do the clients hear of it?
buried-alive: few enough living instances lose their lease
    How many heartbeats in a row have to be lost for that? Does the last one of a lease come before it ends, or with it?
binding: the limit is named that this choice uses up the most
    Which share of each limit does your choice use in *this* shop?
""")


class Budget(Stage):
    def death(self, way, ttl, heartbeat, period=0.0):
        """Draw a death with these numbers, and mark the last message that keeps the dead one in use."""
        ends = 2 * heartbeat + ttl
        every = {"poll": period, "every call": ttl / 6}.get(way, ends)
        for beat in range(3):
            self.draw("orders-1", "registry", "heartbeat", beat * heartbeat)
        for who, state, at in (("orders-1", "dead", 2.6 * heartbeat), ("registry", "critical", ends)):
            self.ask.trace.state(who, "passing", at=0.0)
            self.ask.trace.state(who, state, at=at)
        for at in (ends + (0.5 - back) * every for back in range(6, -1, -1)):
            last = self.last
            if at > 0:
                self.draw("gateway", "registry", "who is there?", at)
            self.last = self.last if at < ends else last


def _wanted(way):
    return ("ttl", "heartbeat", "period", "binding") if way == "poll" else ("ttl", "heartbeat", "binding")


def _wrong(chosen):
    """What is wrong with the form of it, in words; "" when nothing is."""
    if not isinstance(chosen, dict):
        return f"it returned {shown(chosen)}"
    for name in ("way", *_wanted(chosen.get("way"))):
        if name not in chosen:
            return f"{name} is missing: it returned {shown(chosen)}"
        value = chosen[name]
        if name == "way" and not (isinstance(value, str) and value in WAYS):
            return f"way={shown(value)} is none"
        if name in ("way", "binding"):
            continue
        if not isinstance(value, Real) or isinstance(value, bool):
            return f"{name}={shown(value)} must be a number of seconds"
        if not (math.isfinite(value) and value > 0):
            return f"{name}={shown(value)} must be above 0, and finite"
    return ""


check_budget = scenario("08", 4, "A budget for freshness", WORDS, go_on=True, choose=Budget)
for shop, title in zip(
    CHECKED, ("nothing_stays", "clients_by_the_hundred", "more_instances_than_clients", "seldom_called")
):

    def part(b, shop=shop):
        chosen = b.call(b.yours, shop, limit=LIMIT)
        wrong = _wrong(chosen)
        yield "wrong-type", not wrong, wrong
        way, binding = chosen["way"], chosen["binding"]
        times = {name: float(chosen[name]) for name in _wanted(way)[:-1]}
        b.death(way, **times)
        ttl, heartbeat = times["ttl"], times["heartbeat"]
        told = f"a heartbeat every {three_digits(heartbeat)} s, and a lease of {three_digits(ttl)} s"
        yield "heartbeat-above-ttl", heartbeat < ttl, told
        cost = formulas(shop, way, **times)
        shares = {name: getattr(cost, name) / getattr(shop, name) for name in cost._fields}
        is_in_vain = way == "poll" and shop.clients / (2 * shop.stale) > shop.requests
        told = (
            f"way={way!r} makes {three_digits(cost.requests - shop.instances / heartbeat)} lookups a second, "
            f"to {three_digits(shop.instances / heartbeat)} heartbeats, and {shop.requests:g} requests are allowed"
        )
        yield "no-period-will-do" if is_in_vain else "too-many-requests", shares["requests"] <= ROOM, told
        told = f"after {three_digits(cost.stale)} s, and {shop.stale:g} s are allowed"
        yield "no-period-will-do" if is_in_vain else "stale", shares["stale"] <= ROOM, told
        told = (
            f"{three_digits(shop.failing)} calls/s go to the dead one, {three_digits(cost.failed)} in all, and "
            f"{shop.failed:g} are allowed: its lease lasts for {three_digits(ttl - heartbeat / 2)} s more, and the "
            f"clients hear of it {three_digits(cost.stale)} s later"
        )
        yield "too-late", shares["failed"] <= ROOM, told
        told = (
            f"{three_digits(cost.buried)} a day, and {shop.buried:g} are allowed: a lease of "
            f"{three_digits(ttl / heartbeat)} heartbeats, of which {shop.loss:.0%} get lost"
        )
        yield "buried-alive", shares["buried"] <= ROOM, told
        used = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        is_named = isinstance(binding, str) and shares.get(binding, 0) >= NEAR * max(shares.values())
        yield "binding", is_named, f"it named {shown(binding)}; used up are {used}"

    part.__name__ = title
    check_budget.part(part)
