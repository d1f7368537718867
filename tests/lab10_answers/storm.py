"""Exercise 5: three cures, and the ways to cut too much, too little, or at the wrong place."""

from collections import Counter
from random import Random

from servicelab.policies import CircuitBreaker, Exponential, FullJitter, Retry, RetryBudget, Timeout

LAYERS = ("gateway", "orders", "payment")


def amplification(trace):
    calls = trace.calls
    return {layer: sum(c.caller == layer for c in calls) / sum(c.callee == layer for c in calls) for layer in LAYERS}


def by_parents(trace):
    """Another hand: how many calls name the same parent?"""
    callers = Counter((call.caller, call.parent) for call in trace.calls if call.parent)
    return {
        layer: sum(many for (who, _), many in callers.items() if who == layer) / sum(who == layer for who, _ in callers)
        for layer in LAYERS
    }


def by_attempts(trace):
    """A third, from the attempt numbers."""
    return {layer: max(call.attempt for call in trace.calls if call.caller == layer) for layer in LAYERS}


def small(reserve=3.0, ratio=0.1):
    return RetryBudget(ratio, min_per_second=0, reserve=reserve)


def at_the_edge():
    backoff = FullJitter(0.005, 0.05, Random(1))
    return {
        "gateway": Retry(Timeout(5.0), tries=2, backoff=backoff, budget=small()),
        "orders": Timeout(4.0),
        "payment": Timeout(3.0),
    }


def a_little_everywhere():
    return {layer: Retry(Timeout(5.0), tries=2, budget=small(2.0, 0.05)) for layer in LAYERS}


def breaker_at_the_edge():
    breaker = CircuitBreaker(Timeout(5.0), size=20, minimum_calls=10, wait_open=60.0)
    retry = Retry(breaker, tries=3, backoff=Exponential(0.002, 0.01))
    return {"gateway": retry, "orders": Timeout(5.0), "payment": Timeout(5.0)}


def _tries(gateway=1, orders=1, payment=1, **budgets):
    tries = {"gateway": gateway, "orders": orders, "payment": payment}
    return {
        layer: Retry(Timeout(5.0), tries=many, budget=budgets.get(f"{layer}_budget")) for layer, many in tries.items()
    }


def untouched():
    return _tries(3, 3, 3)


def nobody_retries():
    return _tries()


def only_payment():
    return _tries(payment=2, payment_budget=small())


def only_orders():
    return _tries(orders=2, orders_budget=small())


def budget_only_at_the_bottom():
    return _tries(3, 3, 3, payment_budget=small())


def edge_without_budget():
    return _tries(gateway=2)


def budget_as_delivered():
    return _tries(gateway=3, gateway_budget=RetryBudget())


def two_tries_everywhere():
    return _tries(2, 2, 2)


def middle_still_multiplies():
    return _tries(gateway=2, orders=3, gateway_budget=small())


def bounds_that_multiply():
    return {layer: Retry(Timeout(5.0), tries=2, budget=small(5.0, 0.15)) for layer in LAYERS}


def impatient():
    return {**at_the_edge(), "gateway": Retry(Timeout(0.0005), tries=2, budget=small())}


def tries_only():
    return {"gateway": 2, "orders": 1, "payment": 1}


def per_customer(trace):
    customers = sum(call.caller == "client" for call in trace.calls)
    return {layer: sum(call.caller == layer for call in trace.calls) / customers for layer in LAYERS}


def received(trace):
    customers = sum(call.caller == "client" for call in trace.calls)
    return {layer: sum(call.callee == layer for call in trace.calls) / customers for layer in LAYERS}


def the_loudest(trace):
    found = amplification(trace)
    return max(found, key=found.get)


def turned_round(trace):
    return {layer: 1 / many for layer, many in amplification(trace).items()}


RIGHT = {
    "budget at the edge": (amplification, at_the_edge),
    "a little everywhere": (by_parents, a_little_everywhere),
    "a breaker at the edge": (by_attempts, breaker_at_the_edge),
}
LOST = {"lost-bank", "lost-payment", "lost-orders"}
WRONG = {
    "as it was": ((amplification, untouched), {"payment-multiplies"}),
    "nobody retries": ((amplification, nobody_retries), LOST),
    "only payment retries": ((amplification, only_payment), {"lost-payment", "lost-orders"}),
    "only orders retries": ((amplification, only_orders), {"lost-orders"}),
    "a budget only at the bottom": ((amplification, budget_only_at_the_bottom), {"orders-multiplies"}),
    "no budget at the edge": ((amplification, edge_without_budget), {"gateway-multiplies"}),
    "the budget as delivered": ((amplification, budget_as_delivered), {"gateway-multiplies"}),
    "two tries everywhere": ((amplification, two_tries_everywhere), {"payment-multiplies"}),
    "the middle still multiplies": ((amplification, middle_still_multiplies), {"orders-multiplies"}),
    "bounds that multiply": ((amplification, bounds_that_multiply), {"together-too-many"}),
    "numbers in place of policies": ((amplification, tries_only), {"wrong-type"}),
    "per customer": ((per_customer, at_the_edge), {"per-customer"}),
    "calls received": ((received, at_the_edge), {"calls-received"}),
    "the name of the loudest": ((the_loudest, at_the_edge), {"wrong-type"}),
    "turned round": ((turned_round, at_the_edge), {"amplification"}),
}
