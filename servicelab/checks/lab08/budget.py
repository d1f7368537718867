"""Exercise 4, measure and decide: a way of knowing, a lease, a heartbeat and a period for a budget, in four shops.

The formulas decide; what they accept is tried in SimPy. Both are in :mod:`servicelab.checks.lab08.shops`.
"""

import math
from numbers import Real

from servicelab.checks.exercise import exercise
from servicelab.checks.lab08.shops import (
    CHECKED,
    DAY,
    WAYS,
    buried,
    formulas,
    hours,
    lookups_by,
    simulate,
)
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section

ROOM = 1.1  # a simulated mean may lie so far above its limit
LIMIT = 10.0  # seconds for the learner's function, for one shop
_TIMES = {way: ("ttl", "heartbeat") + (("period",) if way == "poll" else ()) for way in WAYS}

_HINTS = {
    "asks-every-call": "clients × calls lookups/s. Ask before every call where calls are few, and only there.",
    "no-period-will-do": "To hear of a change in time, the clients would have to poll more often than the registry can "
    "answer, whatever the period. Is there a way that asks only when something has changed, or only when it has to?",
    "woken-too-often": "Each change wakes every client: clients × changes / 86 400 lookups/s. Where the list is never "
    "the same for long, a client must be allowed not to hear of everything.",
    "forgot-heartbeats": "The lookups alone are within the budget. Each instance sends its heartbeats, too: "
    "instances / heartbeat.",
    "heartbeats-alone": "Here the heartbeats alone are too many; the lookups hardly count. Send fewer, and make the "
    "lease longer, up to where too many calls fail.",
    "too-many-requests": "instances / heartbeat + clients / period. Which of the two is the larger part?",
    "stale": "After a change a client needs half a period on average to hear of it.",
    "forgot-refresh": "The lease alone is short enough. After it has run out, a client still needs half a period on "
    "average to hear of it.",
    "too-late": "clients × calls / instances go to the dead one each second, for ttl - heartbeat / 2 until the "
    "registry knows, and until the clients do.",
    "buried-alive": "A lease with room for k heartbeats runs out when k in a row are lost: about loss**k for each. One "
    "more in the lease makes it rarer by the factor 1 / loss.",
    "whole-multiple": "With a lease of exactly k heartbeats the k-th comes with its end, which is too late. Choose "
    "a lease of k and a bit: 4.3 heartbeats, not 4.",
}
_UNITS = {"requests": "requests/s", "stale": "s", "failed": "calls", "buried": "a day"}
_NOT_RETURNED = {
    "time-limit": "A coarse grid is enough: the heartbeats in a lease are a whole number k, each time on a grid may be "
    "a tenth longer than the one before, and two of the ways need no period.",
    "not-callable": "Hand over the function itself, without calling it: choose, not choose(shop).",
}


@exercise("08", 4, "A budget for freshness", limit=75.0)
def check_budget(ask, choose):
    """Let ``choose(shop)`` decide for four shops; when the formulas accept all of it, try it in SimPy."""
    choices = {}
    for number, shop in enumerate(CHECKED, 1):
        where = f"shop {number} of {len(CHECKED)} ({shop.instances} instances, {shop.clients} clients)"
        with section(ask):
            choices[where] = shop, _on_paper(ask, where, shop, choose)
    if all(one.passed for one in ask.expectations):
        for where, (shop, choice) in choices.items():
            _in_simpy(ask, where, shop, choice)


def _on_paper(ask, where, shop, choose):
    """What the learner chose for this shop, when it is a choice; what the formulas make of it is expected."""
    choice = _asked(ask, where, shop, choose)
    way, ttl, heartbeat = choice["way"], choice["ttl"], choice["heartbeat"]
    mark = _draw(ask.trace, **choice)
    if heartbeat >= ttl:
        what, happened = "the heartbeat comes before the lease ends", f"every {heartbeat:g} s, and a lease of {ttl:g} s"
        hint = "The lease of an instance that is well would run out between two heartbeats: it flaps."
        ask.need("heartbeat-above-ttl", f"{where}: {what}", False, happened, hint, mark)
    cost = formulas(shop, **choice)

    def expect(name, code, what, words):
        kept = getattr(cost, name) <= getattr(shop, name) * 1.001
        happened = f"{_n(getattr(cost, name))} {_UNITS[name]}: {words}"
        ask.expect(code, f"{where}: {what}", kept, happened, _HINTS[code], mark)

    lookups, beats = lookups_by(shop, way, choice.get("period", 1.0)), shop.instances / heartbeat
    expect(
        "requests",
        _why_so_many(shop, way, lookups, beats),
        f"at most {shop.requests:g} requests/s at the registry",
        f"{_n(beats)} heartbeats and {_n(lookups)} lookups each second, with way={way!r}",
    )
    expect(
        "stale",
        "no-period-will-do" if _no_period(shop) else "stale",
        f"a client hears of a change within {shop.stale:g} s, on average",
        f"half of the period of {choice.get('period', 0):g} s, and a little more for the jitter",
    )
    lease = ttl - heartbeat / 2
    expect(
        "failed",
        "forgot-refresh" if shop.failing * lease <= shop.failed else "too-late",
        f"when an instance dies, at most {shop.failed:g} calls fail, on average",
        f"{shop.failing:g} calls/s go to it, for {_n(lease)} s until the lease has run out and {_n(cost.stale)} s more "
        "until the clients know",
    )
    rare_with_all = buried(shop, math.floor(ttl / heartbeat + 0.02), heartbeat) <= shop.buried < cost.buried
    expect(
        "buried",
        "whole-multiple" if rare_with_all else "buried-alive",
        f"at most {shop.buried:g} living instances are buried in a day, with {shop.loss:.0%} of the heartbeats lost",
        f"a lease of {_n(ttl / heartbeat)} heartbeats",
    )
    return choice


def _in_simpy(ask, where, shop, choice):
    seen, paper = simulate(shop, **choice), formulas(shop, **choice)
    # Burials are rare, so that a count of them may be far from its mean.
    most = {name: ROOM * getattr(shop, name) for name in seen._fields}
    most["buried"] = 2 * shop.buried + 5 * DAY / hours(shop, choice["heartbeat"])
    over = [name for name in seen._fields if getattr(seen, name) > most[name]]
    told = "; ".join(f"{name} {_n(getattr(seen, name))}, by formula {_n(getattr(paper, name))}" for name in over)
    ask.expect("simulated", f"{where}: the same in SimPy", not over, told, "Leave a little room to each limit.")


def _why_so_many(shop, way, lookups, beats):
    """The code of too many requests: which part of them it is that can be mended."""
    if way != "poll" and lookups > shop.requests / 2:
        return "asks-every-call" if way == "every call" else "woken-too-often"
    if beats > shop.requests:
        return "heartbeats-alone"
    if way == "poll" and _no_period(shop):
        return "no-period-will-do"
    return "too-many-requests" if lookups > shop.requests else "forgot-heartbeats"


def _no_period(shop):
    """Would clients that poll often enough to be up to date ask more than the registry can answer?"""
    return shop.clients / (2 * shop.stale) > shop.requests


def _asked(ask, where, shop, choose):
    """What the learner's function chose for this shop, once it has the form that was asked for."""
    outcome = ask.run(choose, shop, limit=LIMIT)
    if not outcome.returned:
        hint = _NOT_RETURNED.get(outcome.how, "Read the last line first: it is where your code stood.")
        ask.need(outcome.how, f"{where}: choose returns within {LIMIT:g} s", False, str(outcome), hint)
    chosen = outcome.value
    if wrong := _wrong(chosen):
        what = 'choose returns {"way": …, "ttl": …, "heartbeat": …}, and for "poll" a "period"'
        hint = f"The way is one of {', '.join(map(repr, WAYS))}; the others are plain numbers of seconds."
        if chosen is None:
            hint = "Does every path through your function end with a return?"
        ask.need("wrong-type", f"{where}: {what}", False, wrong, hint)
    return {"way": chosen["way"]} | {name: float(chosen[name]) for name in _TIMES[chosen["way"]]}


def _wrong(chosen):
    """What is wrong with the form of it, in words; "" when nothing is."""
    if not isinstance(chosen, dict):
        return f"it returned {shown(chosen)}"
    if not isinstance(chosen.get("way"), str) or chosen["way"] not in WAYS:
        return f"way={shown(chosen['way'])} is none" if "way" in chosen else f"way is missing: {shown(chosen)}"
    for name in _TIMES[chosen["way"]]:
        if name not in chosen:
            return f"{name} is missing: it returned {shown(chosen)}"
        value = chosen[name]
        if not isinstance(value, Real) or isinstance(value, bool):
            return f"{name}={shown(value)} must be a number of seconds"
        if not (math.isfinite(value) and value > 0):
            return f"{name}={shown(value)} must be above 0, and finite"
    return ""


def _n(value):
    """A number for people: three figures, and no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _draw(trace, way, ttl, heartbeat, period=0.0):
    """A death with these numbers, as a diagram: the id of the last message that keeps the dead one in use."""
    for beat in range(3):
        id = trace.send("orders-1", "registry", "heartbeat", at=beat * heartbeat)
        trace.receive(id, "registry", at=beat * heartbeat + 0.02)
    trace.state("orders-1", "passing", at=0.0)
    trace.state("orders-1", "dead", at=2.6 * heartbeat)
    ends = 2 * heartbeat + ttl
    trace.state("registry", "passing", at=0.02)
    trace.state("registry", "critical", at=ends)
    if way == "blocking query":
        asked = trace.send("gateway", "registry", "who is there, after this?", at=0.1)
        trace.receive(asked, "registry", at=0.12)
        told = trace.send("registry", "gateway", "one less", at=ends + 0.02)
        trace.receive(told, "gateway", at=ends + 0.04)
        return id
    every, mark = (period, id) if way == "poll" else (ttl / 6, id)
    for at in (ends + (0.5 - back) * every for back in range(6, -1, -1)):
        if at <= 0:
            continue
        id = trace.send("gateway", "registry", "who is there?", at=at)
        trace.receive(id, "registry", at=at + 0.02)
        mark = id if at < ends else mark
    return mark
