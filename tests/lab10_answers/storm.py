"""Exercise 5: three ways to count, to foretell and to cure; and to cut too much, too little, or at the wrong place."""

import math
from collections import Counter
from fractions import Fraction
from random import Random

from servicelab.policies import CircuitBreaker, Deadline, Exponential, FullJitter, Retry, RetryBudget, Timeout

LAYERS, BANKS = ("gateway", "orders", "payment"), ("bank", "other bank")


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
    """The largest attempt number of each layer, as if every call were repeated as often."""
    return {layer: max(call.attempt for call in trace.calls if call.caller == layer) for layer in LAYERS}


def as_fractions(trace):
    """A third, exact, from one pass through the calls."""
    made, got = Counter(), Counter()
    for call in trace.calls:
        made[call.caller] += 1
        got[call.callee] += 1
    return {layer: Fraction(made[layer], got[layer]) for layer in LAYERS}


# -- does it end by itself?


def by_product(trace, load, capacity):
    """A right answer."""
    return load * math.prod(amplification(trace).values()) < capacity


def by_counting(trace, load, capacity):
    """Another hand: who calls the bank, and who is a customer."""
    customers = sum(call.caller == "client" for call in trace.calls)
    at_bank = sum(call.callee == "bank" for call in trace.calls)
    return bool(at_bank / customers * load / capacity < 1)


def load_fits(trace, load, capacity):
    return load < capacity


def loudest_layer(trace, load, capacity):
    return load * max(amplification(trace).values()) < capacity


def sum_of_layers(trace, load, capacity):
    return load * sum(amplification(trace).values()) < capacity


def only_the_retries(trace, load, capacity):
    return load * (math.prod(amplification(trace).values()) - 1) < capacity


def retries_are_bad(trace, load, capacity):
    return not any(call.attempt > 1 for call in trace.calls)


def most_attempts(trace, load, capacity):
    return load * math.prod(by_attempts(trace).values()) < capacity


def in_words(trace, load, capacity):
    return "yes" if by_product(trace, load, capacity) else "no"


# -- the policies


def small(reserve=3.0, ratio=0.1):
    return RetryBudget(ratio, min_per_second=0, reserve=reserve)


def breaker(inner=None, **more):
    settings = {"size": 10, "minimum_calls": 5, "wait_open": 0.5, "permitted_half_open": 2, **more}
    return CircuitBreaker(inner or Timeout(3.0), **settings)


def for_each_bank(make=breaker):
    return {bank: make() for bank in BANKS}


def at_the_edge(**changed):
    backoff = FullJitter(0.005, 0.05, Random(1))
    return {
        "gateway": Retry(Timeout(5.0), tries=2, backoff=backoff, budget=small()),
        "orders": Timeout(4.0),
        "payment": for_each_bank(),
        **changed,
    }


def a_little_everywhere():
    def both():
        return Retry(breaker(), tries=2, budget=small(2.0, 0.05))

    upper = {layer: Retry(Timeout(5.0), tries=2, budget=small(2.0, 0.05)) for layer in LAYERS[:2]}
    return {**upper, "payment": for_each_bank(both)}


def deadline_outside():
    """A third: one deadline around all, more tries, a breaker that counts by time."""
    retry = Retry(Timeout(2.0), tries=3, backoff=Exponential(0.002, 0.01), budget=small(4.0))
    by_time = {bank: breaker(window="time", size=10, failure_rate=0.3, wait_open=0.8) for bank in BANKS}
    return {"gateway": Deadline(5.0, retry), "orders": Timeout(4.0), "payment": by_time}


def breaker_at_the_edge():
    return {
        "gateway": Retry(breaker(Timeout(5.0)), tries=2, budget=small()),
        "orders": Timeout(5.0),
        "payment": Timeout(5.0),
    }


def one_breaker():
    return at_the_edge(payment=breaker())


def same_breaker_twice():
    return at_the_edge(payment=dict.fromkeys(BANKS, breaker()))


def no_breaker():
    return at_the_edge(payment=Timeout(3.0))


def breaker_as_delivered():
    return at_the_edge(payment=for_each_bank(lambda: CircuitBreaker(Timeout(3.0))))


def breaker_around_the_retry():
    """It counts four attempts as one call."""
    return at_the_edge(payment=for_each_bank(lambda: breaker(Retry(Timeout(3.0), tries=4), minimum_calls=10)))


def a_minute_of_waiting():
    return at_the_edge(payment=for_each_bank(lambda: breaker(wait_open=60.0)))


def _tries(gateway=1, orders=1, payment=1, **budgets):
    """Each layer with so many tries. Where payment tries once, it has breakers; else only its tries."""
    tries = {"gateway": gateway, "orders": orders}
    upper = {
        layer: Retry(Timeout(5.0), tries=many, budget=budgets.get(f"{layer}_budget")) for layer, many in tries.items()
    }
    last = Retry(Timeout(5.0), tries=payment, budget=budgets.get("payment_budget"))
    return {**upper, "payment": last if payment > 1 else for_each_bank()}


def untouched():
    return _tries(3, 3, 3)


def nobody_retries():
    return _tries()


def only_payment():
    return _tries() | {"payment": for_each_bank(lambda: Retry(breaker(), tries=2, budget=small()))}


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


def hasty():
    """A timeout that the work below cannot keep."""
    return at_the_edge(orders=Timeout(0.0005))


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
    "budget at the edge": (amplification, by_product, at_the_edge),
    "a little everywhere": (by_parents, by_counting, a_little_everywhere),
    "a deadline outside": (as_fractions, by_product, deadline_outside),
}
FOUND = {
    "per customer": (per_customer, {"amplification"}),
    "calls received": (received, {"amplification"}),
    "the name of the loudest": (the_loudest, {"wrong-type"}),
    "turned round": (turned_round, {"amplification"}),
    "the largest attempt": (by_attempts, {"amplification"}),
}
ENDS = {
    "the load fits": (load_fits, {"ends"}),
    "the loudest layer": (loudest_layer, {"ends"}),
    "the sum of the layers": (sum_of_layers, {"ends"}),
    "only the retries": (only_the_retries, {"ends"}),
    "retries are bad": (retries_are_bad, {"ends"}),
    "the largest attempts": (most_attempts, {"ends"}),
    "in words": (in_words, {"wrong-type"}),
}
CURES = {
    "as it was": (untouched, {"too-many"}),
    "nobody retries": (nobody_retries, {"lost"}),
    "only payment retries": (only_payment, {"lost"}),
    "only orders retries": (only_orders, {"lost"}),
    "a budget only at the bottom": (budget_only_at_the_bottom, {"too-many"}),
    "no budget at the edge": (edge_without_budget, {"too-many"}),
    "the budget as delivered": (budget_as_delivered, {"too-many"}),
    "two tries everywhere": (two_tries_everywhere, {"too-many"}),
    "the middle still multiplies": (middle_still_multiplies, {"too-many"}),
    "bounds that multiply": (bounds_that_multiply, {"too-many"}),
    "numbers in place of policies": (tries_only, {"wrong-type"}),
    "a hasty timeout": (hasty, {"well"}),
    "no breaker": (no_breaker, {"keeps-asking"}),
    "the breaker as delivered": (breaker_as_delivered, {"keeps-asking"}),
    "forty probes": (
        lambda: at_the_edge(payment=for_each_bank(lambda: breaker(permitted_half_open=40))),
        {"keeps-asking"},
    ),
    "the breaker around the retry": (breaker_around_the_retry, {"keeps-asking"}),
    "a breaker at the edge": (breaker_at_the_edge, {"healthy-refused"}),
    "one breaker for both banks": (one_breaker, {"healthy-refused"}),
    "the same breaker twice": (same_breaker_twice, {"healthy-refused"}),
    "a minute of waiting": (a_minute_of_waiting, {"stays-open"}),
}
WRONG = {name: ((wrong, by_product, at_the_edge), codes) for name, (wrong, codes) in FOUND.items()}
WRONG |= {name: ((amplification, wrong, at_the_edge), codes) for name, (wrong, codes) in ENDS.items()}
WRONG |= {name: ((amplification, by_product, wrong), codes) for name, (wrong, codes) in CURES.items()}
