"""Exercise 4: three ways to decide, and the ways to be misled."""

import math
from functools import cache

from servicelab.checks.lab08 import formulas

DAY, WAIT = 86400, 60
LIMITS = ("requests", "stale", "failed", "buried")


def used(shop, choice):
    """The share of the tightest limit that a choice uses up."""
    return max(cost / getattr(shop, name) for name, cost in zip(LIMITS, formulas(shop, **choice)))


def named(choose):
    """What ``choose`` decides, and the limit that it uses up the most."""

    def named_choice(shop, *args):
        choice = choose(shop, *args)
        costs = dict(zip(LIMITS, formulas(shop, **choice)))
        return choice | {"binding": max(LIMITS, key=lambda name: costs[name] / getattr(shop, name))}

    return named_choice


@cache
def grid(shop, ways=("every call", "poll", "blocking query")):
    """Every combination on a grid; the one with the most room to the nearest limit."""
    choices = [
        {"way": way, "heartbeat": heartbeat, "ttl": (k + 0.3) * heartbeat} | ({"period": p} if way == "poll" else {})
        for way in ways
        for k in range(2, 7)
        for heartbeat in (0.3 * 1.2**n for n in range(17))
        for p in ([0.3 * 1.25**n for n in range(15)] if way == "poll" else [None])
    ]
    return min(choices, key=lambda choice: used(shop, choice))


def lookups(shop, way, period):
    return {
        "every call": shop.clients * shop.calls,
        "blocking query": shop.clients * (shop.changes / DAY + 1 / WAIT),
        "poll": shop.clients / period,
    }[way]


def by_hand(shop):
    """From k follow the shortest heartbeat that is bearable and the longest that is in time: the first k with room."""
    for way, refresh in (("every call", 0.0), ("blocking query", 0.001), ("poll", 0.8 * shop.stale)):
        period = 2 * refresh
        left = shop.requests - lookups(shop, way, period or 1)
        for k in range(1, 10):
            if left > 0:
                rare = (1 - shop.loss) * shop.loss**k * shop.instances * DAY / shop.buried
                least = 1.02 * max(shop.instances / left, rare)
                most = (shop.failed * shop.instances / (shop.clients * shop.calls) - 1.02 * refresh) / (k - 0.2)
                if least < 0.98 * most:
                    heartbeat = math.sqrt(least * most)
                    return {"way": way, "ttl": (k + 0.3) * heartbeat, "heartbeat": heartbeat, "period": period or 1}


def the_cheapest_way(shop):
    """The way with the fewest lookups when the list is as fresh as it has to be; then a grid for the lease alone."""
    way = min(("every call", "blocking query", "poll"), key=lambda way: lookups(shop, way, 1.5 * shop.stale))
    choices = [
        {"way": way, "heartbeat": heartbeat / 10, "ttl": (k + 0.25) * heartbeat / 10, "period": 1.5 * shop.stale}
        for k in range(1, 9)
        for heartbeat in range(2, 80)
    ]
    return min(choices, key=lambda choice: used(shop, choice))


def changed(base=grid, **factors):
    def choose(shop):
        return {name: value if name == "way" else value * factors.get(name, 1) for name, value in base(shop).items()}

    return choose


def polls_everywhere(shop):
    """As fresh as it has to be, whatever the registry says to that."""
    found = grid(shop, ("poll",))
    return found if used(shop, found) <= 1 else grid(shop) | {"way": "poll", "period": 1.9 * shop.stale}


def watches_everywhere(shop):
    return grid(shop) | {"way": "blocking query"}


def asks_before_every_call(shop):
    return grid(shop) | {"way": "every call"}


def one_choice_for_all(shop):
    """What one finds in examples."""
    return {"way": "poll", "ttl": 10, "heartbeat": 3, "period": 5}


def forgets_the_minute(shop):
    """A question that waits is asked anew when something has changed, and never else."""
    return grid(shop) if shop.clients < 1000 else {"way": "blocking query", "heartbeat": 0.35, "ttl": 1.5}


def forgets_heartbeats(shop):
    """Lookups may use the whole budget."""
    found = grid(shop)
    return found | {"period": shop.clients / shop.requests} if found["way"] == "poll" else found


def beats_as_everywhere(shop):
    """Four to a lease, one every 3 s where there is time for it, however many instances there are."""
    found = grid(shop)
    return found | {"ttl": 4.3 * 3, "heartbeat": 3} if shop.instances > 100 else found


def forgets_the_refresh(shop):
    """The lease may use all of the time that there is."""
    found = grid(shop)
    if found["way"] != "poll":
        return found
    seconds = shop.failed * shop.instances / (shop.clients * shop.calls)
    factor = 0.95 * seconds / (found["ttl"] - found["heartbeat"] / 2)
    return found | {"ttl": found["ttl"] * factor, "heartbeat": found["heartbeat"] * factor}


def polls_too_seldom(shop):
    """Few enough calls fail, since the lease is short; but the list is old."""
    if shop.instances != 20:
        return grid(shop)
    return {"way": "poll", "heartbeat": 1.56, "ttl": 4.05 * 1.56, "period": 2.03 * shop.stale}


def whole(shop):
    found = grid(shop)
    return found | {"ttl": math.floor(found["ttl"] / found["heartbeat"]) * found["heartbeat"]}


def one_less(shop):
    found = grid(shop)
    return found | {"ttl": found["ttl"] - found["heartbeat"]}


def slow_heart(shop):
    return named(grid)(shop) | {"heartbeat": 20.0, "ttl": 15.0}


def a_tuple(shop):
    return tuple(grid(shop).values())


def as_text(shop):
    return named(grid)(shop) | {"ttl": "10s"}


def another_way(shop):
    return named(grid)(shop) | {"way": "DNS"}


def forgets_the_limit(shop):
    """A blind search, whose result nobody has looked at."""
    return grid(shop)


def always_names(limit):
    def choose(shop):
        return grid(shop) | {"binding": limit}

    return choose


def names_the_number(shop):
    """The value of the limit, where its name is asked for."""
    found = named(grid)(shop)
    return found | {"binding": getattr(shop, found["binding"])}


def names_the_loosest(shop):
    costs = dict(zip(LIMITS, formulas(shop, **grid(shop))))
    return grid(shop) | {"binding": min(LIMITS, key=lambda name: costs[name] / getattr(shop, name))}


def names_the_largest_number(shop):
    """Compares costs and not shares."""
    costs = dict(zip(LIMITS, formulas(shop, **grid(shop))))
    return grid(shop) | {"binding": max(LIMITS, key=costs.get)}


def forgets_the_way(shop):
    return {"ttl": 10, "heartbeat": 3, "period": 5, "binding": "failed"}


def forgets_the_period(shop):
    return {"way": "poll", "ttl": 10, "heartbeat": 3, "binding": "failed"}


def no_heartbeat(shop):
    return named(grid)(shop) | {"heartbeat": 0}


RIGHT = {
    "a grid": named(grid), "by hand": named(by_hand), "the cheapest way first": named(the_cheapest_way),
}  # fmt: skip
_CHOICES = {
    "polls everywhere": (polls_everywhere, {"too-many-requests"}),
    "blocking queries everywhere": (watches_everywhere, {"too-many-requests"}),
    "forgets the minute": (forgets_the_minute, {"too-many-requests"}),
    "asks before every call": (asks_before_every_call, {"too-many-requests"}),
    "one choice for all": (one_choice_for_all, {"too-late", "too-many-requests"}),
    "asks far too often": (changed(period=0.1), {"too-many-requests"}),
    "forgets the heartbeats": (forgets_heartbeats, {"too-many-requests"}),
    "heartbeats as everywhere": (beats_as_everywhere, {"too-many-requests"}),
    "polls too seldom": (polls_too_seldom, {"stale"}),
    "forgets the refresh": (forgets_the_refresh, {"too-late"}),
    "a lease for ever": (changed(ttl=10), {"too-late"}),
    "one heartbeat less": (one_less, {"buried-alive"}),
    "a whole multiple": (whole, {"buried-alive"}),
}
WRONG = {name: (named(choose), codes) for name, (choose, codes) in _CHOICES.items()}
WRONG |= {
    "a slow heart": (slow_heart, {"heartbeat-above-ttl"}),
    "a tuple": (a_tuple, {"wrong-type"}),
    "text": (as_text, {"wrong-type"}),
    "a way that is none": (another_way, {"wrong-type"}),
    "forgets the way": (forgets_the_way, {"wrong-type"}),
    "forgets the period": (forgets_the_period, {"wrong-type"}),
    "forgets the limit": (forgets_the_limit, {"wrong-type"}),
    "no heartbeat": (no_heartbeat, {"wrong-type"}),
    "always the requests": (always_names("requests"), {"binding"}),
    "always the failed calls": (always_names("failed"), {"binding"}),
    "the number of the limit": (names_the_number, {"binding"}),
    "the loosest": (names_the_loosest, {"binding"}),
    "the largest number": (names_the_largest_number, {"binding"}),
}
