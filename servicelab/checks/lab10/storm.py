"""Exercise 5, find and cure: a retry storm in a running shop. Every number here is a count; no clock decides."""

import math
from numbers import Real

from servicelab.checks.exercise import exercise
from servicelab.checks.lab10.four_tier_shop import LAYERS, TowerShop, tower_shop
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section

#: Shops to be measured: tries of each layer. What is not named tries once.
SHOPS = ({"gateway": 3, "payment": 4}, {"orders": 5}, {"gateway": 2, "orders": 3})
CUSTOMERS = 60
MOST = 1.3  # calls at the bank for each call of a customer while the bank is down
LIMIT = 10.0  # seconds for a function of the learner's; it needs milliseconds

_HINTS = {
    "per-customer": "That is calls made per customer. Who multiplies shows when you divide by the calls that this "
    "layer itself received.",
    "calls-received": "Those are the calls that came to each layer. How many did it make of one of them?",
    "amplification": "Calls with this layer as caller, divided by calls with it as callee.",
    "together": "Each layer keeps within bounds, and bounds multiply, too. One place to retry is enough.",
    "edge": "One layer retries, as it should, but without a bound. A RetryBudget; and count what is in it at the start "
    "(reserve=100) and what time puts in (min_per_second=10).",
    "layers": "Layers multiply. Who is nearest to the customer can survive a loss anywhere below; the others pass on "
    "what they get: Timeout alone.",
}


@exercise("10", 5, "A retry storm", limit=60.0)
def check_storm(ask, amplification, policies):
    """Let ``amplification(trace)`` measure three shops, and put ``policies()`` to work in a fourth."""
    for number, tries in enumerate(SHOPS, 1):
        with section(ask):
            _measure(ask, number, tries, amplification)
    with section(ask):
        chosen = _chosen(ask, policies)
        mark = None
        with TowerShop(chosen, ask.trace) as shop:
            mark = _well(ask, shop)
            _lost(ask, shop, mark)
    with section(ask), TowerShop(_chosen(ask, policies), ask.trace) as shop:
        _outage(ask, shop)


def _measure(ask, number, tries, amplification):
    with tower_shop(tries, ask.trace) as shop:
        shop.customers(2)  # while all is well nobody retries; only the outage tells
        mark = len(ask.trace)
        shop.outage()
        shop.customers(2, clients=1)
    trace = ask.trace = ask.trace.since(mark)  # which the report draws
    found = ask.call(amplification, trace, returns=dict, limit=LIMIT)
    first = _first_of(trace.calls, "gateway")
    numbers = all(isinstance(found.get(layer), Real) for layer in LAYERS)
    if not numbers:
        what, hint = "amplification returns a dict from each layer to a number", f"Keys {', '.join(LAYERS)}."
        ask.need("wrong-type", what, False, f"it returned {shown(found)}", hint, first)
    right = {layer: tries.get(layer, 1) for layer in LAYERS}
    code, hint = _misled(found, right)
    what = f"shop {number}: " + ", ".join(f"{layer} makes {many} of each call" for layer, many in right.items())
    worst = max(LAYERS, key=right.get)
    repeated = next((call.id for call in trace.calls if call.caller == worst and call.attempt == 2), first)
    ask.expect(
        code,
        what,
        _alike(found, right),
        "it said " + ", ".join(f"{layer} {found[layer]:.3g}" for layer in LAYERS),
        hint,
        repeated,
    )


def _misled(found, right):
    if _alike(found, right):
        return "amplification", ""
    product, through = 1, {}
    for layer in LAYERS:
        product *= right[layer]
        through[layer] = product
    if _alike(found, through):
        return "per-customer", _HINTS["per-customer"]
    if _alike(found, {layer: through[layer] / right[layer] for layer in LAYERS}):
        return "calls-received", _HINTS["calls-received"]
    return "amplification", _HINTS["amplification"]


def _alike(found, right):
    return all(math.isclose(found[layer], right[layer], rel_tol=0.02) for layer in LAYERS)


def _chosen(ask, policies):
    chosen = ask.call(policies, returns=dict, limit=LIMIT)
    right = set(chosen) >= set(LAYERS) and all(callable(getattr(chosen[layer], "script", None)) for layer in LAYERS)
    if not right:
        ask.need(
            "wrong-type",
            "policies returns a dict from each layer to a policy",
            False,
            f"it returned {shown(chosen)}",
            f"Keys {', '.join(LAYERS)}; values such as Timeout(1.0) or Retry(Timeout(1.0), tries=2).",
        )
    return chosen


def _well(ask, shop):
    samples = shop.customers(10)
    calls = ask.trace.calls
    ended = [sample.status for sample in samples]
    ask.need(
        "well",
        "while all is well, ten customers are served with one call each at the bank",
        ended == ["ok"] * 10 and _count(calls, "bank") == 10,
        f"they got {', '.join(sorted(set(ended)))}, with {_count(calls, 'bank')} calls at the bank",
        "Is a timeout shorter than the work below it?",
        _first_of(calls, "client"),
    )
    return _first_of(calls, "client")


def _lost(ask, shop, mark):
    """One reply is lost, at each place in turn, with good calls in between."""
    for name in ("bank", "payment", "orders"):
        shop.customers(15)
        before = len(ask.trace)
        shop.lose_reply(name)
        status = shop.customers(1)[0].status
        calls = ask.trace.since(before).calls
        many = _count(calls, name)
        lost = next((call.id for call in calls if call.callee == name and call.status == "lost"), mark)
        ask.expect(
            f"lost-{name}",
            f"a reply of {name} is lost: the customer is served all the same",
            status == "ok",
            f"the customer got {status}; {name} was called {'once' if many == 1 else f'{many} times'}",
            "Somebody above must try again. One layer is enough, if it is above every place where a reply can be lost.",
            lost,
        )


def _outage(ask, shop):
    shop.customers(20)
    before, sent = len(ask.trace), 0
    shop.outage()
    while sent < CUSTOMERS:
        shop.customers(10, clients=1)
        sent += 10
        calls = ask.trace.since(before).calls
        if _count(calls, "bank") > 3 * CUSTOMERS:
            break  # enough is known
    ask.trace = ask.trace.since(before)  # which the report draws
    per_call = _count(calls, "bank") / sent
    amplified = {layer: _made(calls, layer) / max(1, _count(calls, layer)) for layer in LAYERS}
    loud = [layer for layer in LAYERS if amplified[layer] > MOST]
    code = f"{loud[-1]}-multiplies" if loud else "together-too-many"
    told = ", ".join(f"{layer} × {many:.2f}" for layer, many in amplified.items())
    repeated = next((call for call in calls if call.attempt > 1 and (not loud or call.caller == loud[-1])), calls[0])
    ask.expect(
        code,
        f"the bank is down: at most {MOST} calls reach it for each of {CUSTOMERS} customers",
        per_call <= MOST,
        f"{per_call:.2f} calls per customer: {told}",
        _hint(loud),
        repeated.id,
    )


def _hint(loud):
    if not loud:
        return _HINTS["together"]
    return _HINTS["edge" if loud == ["gateway"] else "layers"]


def _count(calls, callee):
    return sum(call.callee == callee for call in calls)


def _made(calls, caller):
    return sum(call.caller == caller for call in calls)


def _first_of(calls, caller):
    return next((call.id for call in calls if call.caller == caller), None)
