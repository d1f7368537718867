"""Exercise 4, measure and decide: a way of knowing, a lease, a heartbeat and a period for a budget, in four shops."""

import math
from numbers import Real

from servicelab.checks.lab08.shops import CHECKED, WAYS, formulas
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.significant import three_digits as digits

LIMIT = 4.0  # seconds for the learner's function, for one shop
ROOM, NEAR = 1.001, 0.99  # of a limit, and of the largest share of a limit

WORDS = words("""
wrong-type: choose returns {"way": …, "ttl": …, "heartbeat": …, "binding": …}, and for "poll" a "period"
    Compare what you return with the list in the task, entry by entry.
heartbeat-above-ttl: the heartbeat comes before the lease ends
    What becomes of the lease of an instance that is well, between two heartbeats?
too-many-requests, stale: the clients hear of a change in time, and the registry bears the requests
    What makes a client ask, how soon after a change, and how often do all of them in a second? Does any period do for
    both limits here, or another way? If heartbeats are the larger part, what lets an instance send fewer of them?
too-late: few enough calls fail when an instance dies
    How many calls go to the dead one in a second? For how long does its lease last, and when do the clients hear of it?
buried-alive: few enough living instances lose their lease
    How many heartbeats in a row have to be lost for that? Does the last one of a lease come before it ends, or with it?
binding: the limit is named that this choice uses up the most
    Which share of each limit does your choice use in *this* shop?
""")


class Budget(Stage):
    def death(self, way, ttl, heartbeat, period=0.0):
        """Draw a death with these numbers; marked is the last question that is answered with the dead one."""
        ends = 2 * heartbeat + ttl
        every = {"poll": period, "every call": ttl / 6}.get(way, ends)
        for beat in range(3):
            self.draw("orders-1", "registry", "heartbeat", beat * heartbeat)
        for who, state, at in (("orders-1", "dead", 2.6 * heartbeat), ("registry", "critical", ends)):
            self.ask.trace.state(who, "passing", at=0.0)
            self.ask.trace.state(who, state, at=at)
        for back in (0, 6, 5, 4, 3, 2, 1):  # the first of them hears of it
            if (at := ends + (0.5 - back) * every) > 0:
                self.draw("gateway", "registry", "who is there?", at)


def mistake(chosen) -> str:
    """What is wrong with the form of it, in words; "" when nothing is."""
    if not isinstance(chosen, dict):
        return f"it returned {shown(chosen)}"
    way = chosen.get("way")
    for name in ("way", "ttl", "heartbeat", *["period"] * (way == "poll"), "binding"):
        if name not in chosen:
            return f"{name} is missing: it returned {shown(chosen)}"
        value, is_text = chosen[name], name in ("way", "binding")
        if name == "way" and not (isinstance(way, str) and way in WAYS):
            return f"way={shown(way)} is none"
        if not is_text and not (isinstance(value, Real) and value is not True and 0 < value < math.inf):
            return f"{name}={shown(value)} must be a number of seconds, above 0 and finite"
    return ""


def a_shop(b, shop):
    chosen = b.call(b.yours, shop, limit=LIMIT)
    wrong = mistake(chosen)
    yield "wrong-type", not wrong, wrong
    way, binding = chosen["way"], chosen["binding"]
    times = {name: float(chosen[name]) for name in ("ttl", "heartbeat", *["period"] * (way == "poll"))}
    ttl, heartbeat = times["ttl"], times["heartbeat"]
    b.death(way, **times)
    told = f"a heartbeat every {digits(heartbeat)} s, and a lease of {digits(ttl)} s"
    yield "heartbeat-above-ttl", heartbeat < ttl, told
    cost, beats = formulas(shop, way, **times), shop.instances / heartbeat
    shares = {name: spent / getattr(shop, name) for name, spent in cost._asdict().items()}
    told = f"way={way!r} makes {digits(cost.requests - beats)} lookups a second, to {digits(beats)} heartbeats"
    yield "too-many-requests", shares["requests"] <= ROOM, f"{told}, and {shop.requests:g} requests are allowed"
    told = f"with way={way!r} after {digits(cost.stale)} s, and {shop.stale:g} s are allowed"
    yield "stale", shares["stale"] <= ROOM, told
    told = (
        f"{digits(shop.failing)} calls/s go to the dead one, {digits(cost.failed)} in all, and {shop.failed:g} are "
        f"allowed: its lease lasts for {digits(ttl - heartbeat / 2)} s more, and the clients hear of it "
        f"{digits(cost.stale)} s later"
    )
    yield "too-late", shares["failed"] <= ROOM, told
    told = (
        f"{digits(cost.buried)} a day, and {shop.buried:g} are allowed: a lease of {digits(ttl / heartbeat)} heartbeats"
    )
    yield "buried-alive", shares["buried"] <= ROOM, f"{told}, of which {shop.loss:.0%} get lost"
    used = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    is_named = isinstance(binding, str) and shares.get(binding, 0) >= NEAR * max(shares.values())
    yield "binding", is_named, f"it named {shown(binding)}; used up are {used}"


check_budget = scenario("08", 4, "A budget for freshness", WORDS, go_on=True, choose=Budget)
check_budget.parts({title: [shop] for title, shop in CHECKED.items()}, a_shop)
