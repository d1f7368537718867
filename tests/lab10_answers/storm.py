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
    """The largest attempt number of each layer, as if every call were repeated as often: a mistake."""
    return {layer: max(call.attempt for call in trace.calls if call.caller == layer) for layer in LAYERS}


def per_customer(trace, end):
    """Whom each call is divided by: a mistake."""
    customers = sum(call.caller == "client" for call in trace.calls)
    return {layer: sum(getattr(call, end) == layer for call in trace.calls) / customers for layer in LAYERS}


def as_fractions(trace):
    """A third, exact, from one pass through the calls."""
    made, got = Counter(), Counter()
    for call in trace.calls:
        made[call.caller] += 1
        got[call.callee] += 1
    return {layer: Fraction(made[layer], got[layer]) for layer in LAYERS}


def by_product(trace, load, capacity):
    return load * math.prod(amplification(trace).values()) < capacity


def by_counting(trace, load, capacity):
    """Another hand: who calls the bank, and who is a customer."""
    customers = sum(call.caller == "client" for call in trace.calls)
    at_bank = sum(call.callee == "bank" for call in trace.calls)
    return bool(at_bank / customers * load / capacity < 1)


def bounded_by(bound):
    """Load times a bound of the attempts that each costs."""
    return lambda trace, load, capacity: load * bound(amplification(trace).values()) < capacity


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


def but(make):
    """With another policy at payment."""
    return lambda: at_the_edge(payment=make())


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


def tries(*each, **budgets):
    """Each layer with so many tries, and the budgets that are named. Where payment tries once, it has breakers."""

    def policies():
        made = {
            layer: Retry(Timeout(5.0), tries=many, budget=budgets[layer]() if layer in budgets else None)
            for layer, many in zip(LAYERS, each)
        }
        return made if each[-1] > 1 else made | {"payment": for_each_bank()}

    return policies


RIGHT = {
    "budget at the edge": (amplification, by_product, at_the_edge),
    "a little everywhere": (by_parents, by_counting, a_little_everywhere),
    "a deadline outside": (as_fractions, by_product, deadline_outside),
}
FOUND = {
    "per customer": (lambda trace: per_customer(trace, "caller"), "amplification"),
    "calls received": (lambda trace: per_customer(trace, "callee"), "amplification"),
    "turned round": (lambda trace: {layer: 1 / many for layer, many in amplification(trace).items()}, "amplification"),
    "the largest attempt": (by_attempts, "amplification"),
    "the name of the loudest": (lambda trace: max(LAYERS, key=amplification(trace).get), "wrong-type"),
}
ENDS = {
    "the load fits": (lambda trace, load, capacity: load < capacity, "ends"),
    "the loudest layer": (bounded_by(max), "ends"),
    "the sum of the layers": (bounded_by(sum), "ends"),
    "only the retries": (bounded_by(lambda each: math.prod(each) - 1), "ends"),
    "retries are bad": (lambda trace, *_: not any(call.attempt > 1 for call in trace.calls), "ends"),
    "the largest attempts": (
        lambda trace, load, capacity: load * math.prod(by_attempts(trace).values()) < capacity,
        "ends",
    ),
    "in words": (lambda *asked: "yes" if by_product(*asked) else "no", "wrong-type"),
}
CURES = {
    "as it was": (tries(3, 3, 3), "too-many"),
    "two tries everywhere": (tries(2, 2, 2), "too-many"),
    "a budget only at the bottom": (tries(3, 3, 3, payment=small), "too-many"),
    "no budget at the edge": (tries(2, 1, 1), "too-many"),
    "the budget as delivered": (tries(3, 1, 1, gateway=RetryBudget), "too-many"),
    "the middle still multiplies": (tries(2, 3, 1, gateway=small), "too-many"),
    "bounds that multiply": (tries(2, 2, 2, **dict.fromkeys(LAYERS, lambda: small(5.0, 0.15))), "too-many"),
    "nobody retries": (tries(1, 1, 1), "lost"),
    "only payment retries": (
        lambda: at_the_edge(
            gateway=Timeout(5.0), payment=for_each_bank(lambda: Retry(breaker(), tries=2, budget=small()))
        ),
        "lost",
    ),
    "only orders retries": (tries(1, 2, 1, orders=small), "lost"),
    "numbers in place of policies": (lambda: dict.fromkeys(LAYERS, 2), "wrong-type"),
    "a hasty timeout": (lambda: at_the_edge(orders=Timeout(0.0005)), "well"),
    "no breaker": (but(lambda: Timeout(3.0)), "keeps-asking"),
    "the breaker as delivered": (but(lambda: for_each_bank(lambda: CircuitBreaker(Timeout(3.0)))), "keeps-asking"),
    "forty probes": (but(lambda: for_each_bank(lambda: breaker(permitted_half_open=40))), "keeps-asking"),
    "the breaker around the retry": (
        but(lambda: for_each_bank(lambda: breaker(Retry(Timeout(3.0), tries=4), minimum_calls=10))),
        "keeps-asking",
    ),
    "a breaker at the edge": (
        lambda: at_the_edge(gateway=Retry(breaker(Timeout(5.0)), tries=2, budget=small()), payment=Timeout(5.0)),
        "healthy-refused",
    ),
    "one breaker for both banks": (but(breaker), "healthy-refused"),
    "the same breaker twice": (but(lambda: dict.fromkeys(BANKS, breaker())), "healthy-refused"),
    "a minute of waiting": (but(lambda: for_each_bank(lambda: breaker(wait_open=60.0))), "stays-open"),
}
WRONG = {name: ((wrong, by_product, at_the_edge), {code}) for name, (wrong, code) in FOUND.items()}
WRONG |= {name: ((amplification, wrong, at_the_edge), {code}) for name, (wrong, code) in ENDS.items()}
WRONG |= {name: ((amplification, by_product, wrong), {code}) for name, (wrong, code) in CURES.items()}
