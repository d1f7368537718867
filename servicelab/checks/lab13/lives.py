"""Exercise 5, measure and decide: the life of a token, and for how long a service believes what it was told of it."""

from functools import cache
from math import inf, isfinite
from numbers import Real
from random import Random
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

OUT, ASKS, MORE, DRAWN = 60.0, 2.0, 1.03, 20_000  # seconds; questions/s; chance; events that are simulated

WORDS = words("""
not-a-pair: decide returns None or a pair: a life of 5 s or more, and None or a cache time of 0 s or more
    Compare what you return with the lines of the task: both are finite numbers, in this order.
unreadable, stays-in: a revoked caller is out in less than a minute; where nobody can read a token, services ask
    If he has just got a token, and the service has just asked, until when is he let in? What is leeway?
asks: the auth server is asked twice a second at most
    Who asks it, and for what? Does a new token have an old answer? How often does a caller renew, or a service ask?
gives-up, impossible: where it can be done, decide says how, and only where it cannot, None
    What do the longest life and cache that are short enough cost? Which pairs do you not try? What of rare callers?
""")


class Shop(NamedTuple):
    """``rate``: calls/s of a caller at a service. ``leeway``: s beyond a token's life. ``opaque``: none can read it."""

    callers: int
    services: int
    rate: float
    leeway: float
    opaque: bool


#: To try things on; the check has others, and says why it asks for each.
PRACTICE = {"bus": Shop(40, 3, 2.0, 2.0, False), "kiosk": Shop(10, 4, 5.0, 2.0, True)}
PRACTICE["archive"] = Shop(400, 1, 0.001, 2.0, False)
CHECKED = {
    "busy": Shop(100, 4, 2.0, 5.0, False), "rare": Shop(260, 5, 1 / 500, 5.0, False),
    "opaque": Shop(22, 5, 3.0, 10.0, True), "rare and opaque": Shop(560, 2, 1 / 600, 5.0, True),
    "too many": Shop(360, 5, 1 / 500, 5.0, False), "too many and opaque": Shop(28, 5, 1.0, 5.0, True),
    "much leeway": Shop(20, 2, 1.0, 300.0, False),
}  # fmt: skip


def stays_in(shop: Shop, life: float, cache: float | None) -> float:
    """The most seconds that a caller is still let in after he was revoked."""
    return min(life + shop.leeway, inf if cache is None else cache)


@cache
def asked(shop: Shop, life: float, cache: float | None) -> tuple[float, float]:
    """Tokens, and introspections, that the auth server is asked for each second, simulated for one caller for long.

    Whoever calls with a token in its last second gets a new one first. A service that has not asked about this token
    within ``cache`` seconds asks at the next call. The calls in between need not be drawn, for they come at random.
    """
    dice, now, tokens, told = Random(1), 0.0, 0, 0
    while tokens + told < DRAWN:
        tokens, end = tokens + 1, now + min(life, DRAWN) - 1  # from a life so long on, renewals count for nothing
        first = dice.randrange(shop.services)
        for service in range(shop.services if cache is not None else 0):
            at = now if service == first else now + dice.expovariate(shop.rate)
            while at < end:
                told += 1
                at += cache + dice.expovariate(shop.rate)
        now = end + dice.expovariate(shop.rate * shop.services)
    return tokens * shop.callers / now, told * shop.callers / now


class Decided(Stage):
    def decide(self, shop):
        self.say("you", "shop", f"{shop.callers} callers")
        found = self.call(self.yours, shop, limit=9.0)
        life, kept = found if isinstance(found, tuple | list) and len(found) == 2 else (None, None)
        fits = all(isinstance(one, Real) and isfinite(one) for one in (life, kept or 0)) and life >= 5
        if found is not None and not (fits and (kept or 0) >= 0):
            self.refuse("not-a-pair", f"of {shop} it returned {shown(found)}")
        return found


check_lives = scenario("13", 5, "How long a token lives", WORDS, decide=Decided)


@check_lives.part
def seven_shops(d):
    for name, shop in CHECKED.items():
        found = d.decide(shop)
        told, is_due = f"{name}, {shop}: {found}", not name.startswith("too many")
        yield "gives-up" if is_due else "impossible", (found is not None) == is_due, told
        if is_due:
            yield "unreadable", found[1] is not None or not shop.opaque, told
            stays, each = stays_in(shop, *found), sum(asked(shop, *found))
            yield "stays-in", stays < OUT, f"{told}; a revoked caller is in for up to {stays:.0f} s"
            yield "asks", each <= MORE * ASKS, f"{told}; {each:.3g} questions a second"
