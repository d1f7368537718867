"""Exercise 5, measure and decide: the life of a token, and for how long a service believes what it was told of it."""

from functools import cache
from math import isfinite
from numbers import Real
from random import Random
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

OUT, ASKS = 60.0, 2.0  # seconds; questions/s
MORE, DRAWN = 1.03, 20_000  # chance; events that are simulated


class Shop(NamedTuple):
    """``callers`` call each of ``services`` at random, ``rate`` times a second each. A token is good for ``leeway``
    seconds beyond its life. ``opaque``: nobody can read it, so a service has to ask the auth server."""

    callers: int
    services: int
    rate: float
    leeway: float
    opaque: bool


#: To try things on.
PRACTICE = {
    "bus": Shop(40, 3, 2.0, 2.0, False), "kiosk": Shop(10, 4, 5.0, 2.0, True), "archive": Shop(400, 1, 0.001, 2.0, False)
}  # fmt: skip
#: Hidden: what the check asks for, and why it is asked.
CHECKED = {
    "life": Shop(100, 4, 2.0, 5.0, False),
    "rare": Shop(600, 2, 1 / 900, 10.0, False),
    "cache": Shop(20, 5, 3.0, 5.0, True),
    "rare-cache": Shop(250, 2, 1 / 600, 5.0, True),
    "neither": Shop(300, 2, 1.0, 5.0, False),
    "cache-neither": Shop(40, 5, 1.0, 5.0, True),
}

WORDS = words("""
wrong-type: decide returns None or a pair: a life of 5 s or more, and None or a cache time of 0 s or more
    Compare what you return with the last lines of the task.
unreadable: where nobody can read a token, a service has to ask
    What does a service do with a token that says nothing to it?
stays-in: a caller who is revoked is out in less than a minute
    Until when does a service let him in, if he has just got a token, and the service has just asked? What is leeway?
asks: the auth server is asked twice a second at most
    Who asks it, and for what? Does a new token have an old answer? How often does a caller renew, and how often a
    service?
gives-up: where it can be done, decide says how
    How many asks does a caller make who calls every ten minutes? And how long may the other of the two numbers be?
impossible: where no settings do, decide returns None
    What is the least number of questions, with the longest life and cache that are short enough?
""")


def stays_in(shop: Shop, life: float, cache: float | None) -> float:
    """The most seconds that a caller is still let in after he was revoked."""
    return min(life + shop.leeway, float("inf") if cache is None else cache)


@cache
def asked(shop: Shop, life: float, cache: float | None) -> tuple[float, float]:
    """Tokens, and introspections, that the auth server is asked for each second, simulated for one caller for long.

    Whoever calls with a token in its last second gets a new one first. A service that has not asked about this token
    within ``cache`` seconds asks when a call comes. Between what is asked no call need be drawn: they come at random.
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


def simulated(shop: Shop, life: float, cache: float | None) -> Table:
    """What becomes of these settings: how long a revoked caller stays in at most, and who asks how often."""
    tokens, told = asked(shop, life, cache)
    rows = [("seconds for which a revoked caller may still get in", stays_in(shop, life, cache))]
    rows += [("tokens a second", tokens), ("introspections a second", told), ("together", tokens + told)]
    return Table(("what", "how much"), rows, f"a life of {life:g} s, cache {cache}")


class Decided(Stage):
    def __init__(self, ask, decide):
        super().__init__(ask, decide)
        self.say("you", "shop", "decide")

    def say(self, sender, to, label):
        self.last = self.ask.trace.send(sender, to, label)
        self.ask.trace.receive(self.last)

    def decide(self, shop):
        found = self.call(self.yours, shop, limit=9.0)
        self.say("you", "shop", shown(found, 40))
        if found is None:
            return None
        pair = found if isinstance(found, tuple | list) and len(found) == 2 else (None, None)
        numbers = [one for one in pair if isinstance(one, Real) and isfinite(one) and not isinstance(one, bool)]
        fits = pair[0] in numbers and pair[0] >= 5 and (pair[1] is None or (pair[1] in numbers and pair[1] >= 0))
        if not fits:
            self.refuse("wrong-type", f"of {shop} it returned {shown(found)}")
        return pair


check_lives = scenario("13", 5, "How long a token lives", WORDS, go_on=True, decide=Decided)


def add(name, shop):
    def part(d):
        found = d.decide(shop)
        told = f"{shop}: {found}"
        if name.endswith("neither"):
            yield "impossible", found is None, f"{told}; there is no such pair"
            return
        yield "gives-up", found is not None, f"{told}, and there is such a pair"
        life, kept = found
        yield "unreadable", kept is not None or not shop.opaque, told
        stays = stays_in(shop, life, kept)
        yield "stays-in", stays < OUT, f"{told}; a revoked caller is in for up to {stays:.3g} s"
        questions = sum(asked(shop, life, kept))
        yield "asks", questions <= MORE * ASKS, f"{told}; {questions:.3g} questions a second"

    part.__name__ = f"shop_{name.replace('-', '_')}"
    check_lives.part(part)


for name, shop in CHECKED.items():
    add(name, shop)
