"""Exercise 5, find and cure: a retry storm in a running shop. Every number here is a count; no clock decides."""

import math
from collections import Counter
from numbers import Real

from servicelab.checks.lab10.four_tier_shop import BANKS, LAYERS, TowerShop, stormy_shop
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.trace import Trace

#: Shops: how many calls each layer makes of one that fails, customers per second, calls per second that the bank can
#: do, and whether it comes back by itself, as a run of servicelab.sim.outage shows (tests/test_lab10.py). The first
#: tells the product from a sum, from its largest factor, and from the retries alone.
OUTAGES = (
    ({"gateway": 3, "orders": 1.5, "payment": 2}, 12, 100, False),
    ({"gateway": 1, "orders": 1, "payment": 1.5}, 55, 100, True),
)
CUSTOMERS, MOST, CALLS = 60, 1.3, 20
WAIT = 1.0  # seconds after which the bank's customers are served again

WORDS = words(f"""
wrong-type: amplification returns a dict from each layer to a number, ends_by_itself a bool, policies a dict of policies
    Its keys are {", ".join(LAYERS)}. What does every path through your function return?
amplification: for each layer the calls that it makes for each call that it gets, be it a whole number or not
    Which calls have this layer as their caller, and which as their callee? Who multiplies shows when you divide.
ends: an outage stays when its cause is gone, or ends by itself: ends_by_itself foretells it
    How many calls a second does the bank get while nothing succeeds, all layers together? And how many can it do?
well: while all is well, four customers are served with one call each at the bank
    Is a timeout shorter than the work below it?
lost: one reply is lost, of the bank, of payment or of orders: the customer is served
    Who stands above the place where this reply was lost, and tries again?
too-many: the bank is down: at most {MOST} calls for each of {CUSTOMERS} customers at every layer
    Layers multiply, and so do their bounds: which of them have to retry? What bounds the retries of one layer when all
    of them fail? Count the start, too.
keeps-asking: the bank is down: of {CUSTOMERS} customers' calls at most {CALLS} reach it
    Who stops asking, after how many calls? What does it count as one call, and how much is its minimum?
healthy-refused: meanwhile all customers of the other bank are served
    Which calls does your breaker stop, and which of them fail together?
stays-open: {WAIT:g} s after the bank is well again, its customers are served
    How long does your breaker wait before it tries again?
""")


class Measured(Stage):
    """Shops of which the learner gets the record of an outage."""

    def outage(self, tries):
        """The trace of two customers of such a shop while the bank is down."""
        self.ask.trace = Trace()
        with stormy_shop(self.ask.trace, **tries) as shop:
            shop.customers(2, clients=1)
        self.last = next(call.id for call in shop.trace.calls if call.attempt == 2)
        return shop.trace


class Cured(Stage):
    """A shop with the learner's policies."""

    def __init__(self, ask, policies):
        super().__init__(ask, policies)
        chosen = self.call(policies, returns=dict)
        if without := [layer for layer in LAYERS if not _is_policy(chosen.get(layer))]:
            told = f"for {' and '.join(without)} there is no policy"
            told += f", nor a dict with one for each of {' and '.join(BANKS)}" * ("payment" in without)
            self.refuse("wrong-type", f"{told}: policies returned {shown(chosen)}")
        self.shop = self.use(TowerShop(chosen, ask.trace))

    def served(self, count, since=None, **more):
        """How many of so many customers are served. ``calls`` are those since then, or only theirs."""
        before = len(self.ask.trace) if since is None else since
        samples = self.shop.customers(count, **more)
        self.calls = self.ask.trace.since(before).calls
        self.made, self.got = (Counter(getattr(one, end) for one in self.calls) for end in ("caller", "callee"))
        self.last = [call.id for call in self.calls if call.caller == "client"][-1]
        return sum(sample.status == "ok" for sample in samples)


def _is_policy(one):
    if isinstance(one, dict):
        return set(one) == set(BANKS) and all(map(_is_policy, one.values()))
    return callable(getattr(one, "script", None))


check_storm = scenario("10", 5, "A retry storm", WORDS, amplification=Measured, ends_by_itself=Measured, policies=Cured)


def _told(found):
    return ", ".join(f"{layer} {float(found[layer]):.3g}" for layer in LAYERS)


@check_storm.part("amplification")
def who_multiplies(m):
    tries, *_ = OUTAGES[0]
    found = m.call(m.yours, m.outage(tries), returns=dict)
    numbers = all(isinstance(found.get(layer), Real) for layer in LAYERS)
    yield "wrong-type", numbers, f"amplification returned {shown(found)}"
    alike = all(math.isclose(found[layer], tries[layer], rel_tol=0.02) for layer in LAYERS)
    yield "amplification", alike, f"{_told(tries)} was right; it said {_told(found)}"


@check_storm.part("ends_by_itself")
def when_the_cause_is_gone(m):
    for tries, load, capacity, ends in OUTAGES:
        said = m.call(m.yours, m.outage(tries), load, capacity)
        yield "wrong-type", isinstance(said, bool), f"ends_by_itself returned {shown(said)}"
        told = f"{load} customers/s, a bank that can do {capacity}/s, and of each call that it gets a layer makes "
        yield "ends", said == ends, f"{told}{_told(tries)}; it said {said}"


def a_reply_is_lost(c, name):
    served = c.served(4)
    yield "well", served == c.got["bank"] == 4, f"{served} of 4 were served, with {c.got['bank']} calls at the bank"
    c.shop.loses = name
    served = c.served(1)
    c.last = next((call.id for call in c.calls if call.callee == name and call.status == "lost"), c.last)
    yield "lost", served == 1, f"{name} was called {c.got[name]} × in all, and the customer was not served"


LOSSES = {f"a reply of {name} is lost": (name,) for name in ("bank", "payment", "orders")}
check_storm.parts(LOSSES, a_reply_is_lost, "policies")


@check_storm.part("policies")
def bank_is_down(c):
    c.served(4)
    before, sent = len(c.ask.trace), 0
    c.shop.is_down = True
    while sent < CUSTOMERS and c.got["bank"] <= 3 * CUSTOMERS:
        c.shop.sleep(WAIT if sent == CUSTOMERS // 2 else 0)  # a breaker that has opened begins to probe
        c.served(10, before, clients=1)
        sent += 10
    amplified = {layer: c.made[layer] / max(1, c.got[layer]) for layer in LAYERS}
    loud = [layer for layer in LAYERS if amplified[layer] > MOST]
    c.last = next((call.id for call in c.calls if call.attempt > 1 and call.caller in (loud[-1:] or LAYERS)), c.last)
    most = max(c.got[name] for name in (*LAYERS, "bank")) / sent
    yield "too-many", most <= MOST, f"{most:.2f} calls per customer; made of each call: {_told(amplified)}"
    yield "keeps-asking", c.got["bank"] <= CALLS, f"{c.got['bank']} calls reached the bank"
    served = 0
    for _ in range(3):
        c.served(6, clients=1)  # a breaker of both is open now, however long ago that was
        served += c.served(4, bank="other bank", clients=1)
    yield "healthy-refused", served == 12, f"{served} of 12 were served"
    c.shop.is_down = False
    for _ in range(2):  # a probe of the outage may count with the first one after it, and open it again
        c.shop.sleep(WAIT)
        c.served(6, clients=1)  # probes may be among them
        served = c.served(6, clients=1)
        if served == 6:
            break
    yield "stays-open", served == 6, f"{served} of 6 were served"
