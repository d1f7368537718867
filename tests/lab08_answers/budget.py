"""Exercise 4: two ways to decide, and the ways to be misled."""

import math


def heartbeats_first(shop):
    """The fewest heartbeats in a lease that are rarely lost in a row; then half of the late time for the lease."""
    for k in range(1, 12):
        for part in (0.72, 0.66, 0.6, 0.5):
            heartbeat = part * shop.late / (k - 0.2)
            buried = (1 - shop.loss) * shop.loss**k / heartbeat * shop.instances * 86400
            period = 1.9 * (1 - part) * shop.late
            if buried < 0.95 * shop.buried and shop.instances / heartbeat + shop.clients / period < shop.requests:
                return {"ttl": (k + 0.3) * heartbeat, "heartbeat": heartbeat, "period": period}


def grid(shop):
    """Every combination on a grid; the one with the most room to the nearest limit."""
    best, room = None, -math.inf
    for k in range(2, 9):
        for heartbeat in (0.5 * 1.1**n for n in range(32)):
            for period in (0.5 * 1.1**n for n in range(40)):
                ttl = (k + 0.25) * heartbeat
                used = max(
                    (shop.instances / heartbeat + shop.clients / period) / shop.requests,
                    (ttl - heartbeat / 2 + period / 2 * 1.0134) / shop.late,
                    (1 - shop.loss) * shop.loss**k / heartbeat * shop.instances * 86400 / shop.buried,
                )
                if -used > room:
                    best, room = {"ttl": ttl, "heartbeat": heartbeat, "period": period}, -used
    return best


def as_everybody(shop):
    """Three heartbeats to a lease, as one finds in examples."""
    return {"ttl": 9, "heartbeat": 3, "period": shop.clients / (shop.requests - shop.instances / 3) * 1.02}


def changed(**factors):
    def choose(shop):
        return {name: value * factors.get(name, 1) for name, value in grid(shop).items()}

    return choose


def forgets_heartbeats(shop):
    """Lookups may use the whole budget."""
    found = grid(shop)
    return found | {"period": shop.clients / shop.requests}


def forgets_the_refresh(shop):
    """The lease may use all of the late time."""
    found = grid(shop)
    factor = 0.95 * shop.late / (found["ttl"] - found["heartbeat"] / 2)
    return {"ttl": found["ttl"] * factor, "heartbeat": found["heartbeat"] * factor, "period": found["period"]}


def whole(shop):
    found = grid(shop)
    return found | {"ttl": math.floor(found["ttl"] / found["heartbeat"]) * found["heartbeat"]}


def one_less(shop):
    found = grid(shop)
    return found | {"ttl": found["ttl"] - found["heartbeat"]}


def slow_heart(shop):
    return grid(shop) | {"heartbeat": 20.0, "ttl": 15.0}


def a_tuple(shop):
    return tuple(grid(shop).values())


def as_text(shop):
    return {name: f"{value:.0f}s" for name, value in grid(shop).items()}


def forgets_one(shop):
    return {"ttl": 10, "period": 5}


def no_heartbeat(shop):
    return grid(shop) | {"heartbeat": 0}


RIGHT = {"heartbeats first": heartbeats_first, "a grid": grid}
WRONG = {
    "asks far too often": (changed(period=0.1), {"too-many-requests"}),
    "forgets the heartbeats": (forgets_heartbeats, {"forgot-heartbeats"}),
    "forgets the refresh": (forgets_the_refresh, {"forgot-refresh"}),
    "a lease for ever": (changed(ttl=10), {"too-late"}),
    "one heartbeat less": (one_less, {"buried-alive"}),
    "a whole multiple": (whole, {"whole-multiple"}),
    "a slow heart": (slow_heart, {"heartbeat-above-ttl"}),
    "a tuple": (a_tuple, {"wrong-type"}),
    "text": (as_text, {"wrong-type"}),
    "no heartbeat": (no_heartbeat, {"wrong-type"}),
    "forgets one": (forgets_one, {"wrong-type"}),
}
