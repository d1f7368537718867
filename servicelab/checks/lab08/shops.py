"""The shops of exercise 4, and what a choice costs in them, by the formulas of :mod:`servicelab.theory`."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from servicelab import theory

DAY, JITTER = 86400.0, 0.2
WAIT = 60.0  # seconds that a blocking query may wait; Consul's default is 300, its most 600
ONE_WAY = 0.001  # seconds
WAYS = ("every call", "poll", "blocking query")  # of knowing


@dataclass(frozen=True)
class Shop:
    """A shop, and what discovery may cost in it: numbers, units and meaning are in the two tables of the task."""

    instances: int
    clients: int
    calls: float
    changes: float
    loss: float
    requests: float
    stale: float
    failed: float
    buried: float

    @property
    def failing(self) -> float:
        """Calls/s that go to one dead instance as long as all clients believe in it."""
        return theory.failed_calls(self.clients * self.calls, 1 / self.instances, 1.0)


PRACTICE = Shop(
    instances=10, clients=100, calls=5, changes=2000, loss=0.05, requests=40, stale=3, failed=400, buried=100
)
#: Hidden. One grows and shrinks all day; one has clients by the thousand and hardly changes; one has more instances
#: than clients; one is seldom called and never the same. Instances, clients, calls, changes, loss; then the limits.
CHECKED = {
    "nothing stays": Shop(20, 60, 2, 30_000, 0.10, requests=25, stale=4, failed=60, buried=100),
    "clients by the thousand": Shop(6, 2600, 0.06, 50, 0.05, requests=60, stale=1, failed=110, buried=40),
    "more instances than clients": Shop(400, 10, 20, 2000, 0.05, requests=125, stale=5, failed=10, buried=300),
    "seldom called": Shop(40, 200, 0.02, 90_000, 0.02, requests=30, stale=0.5, failed=2, buried=20),
}


def practice_shop() -> Shop:
    """A shop to try things on; the check has others."""
    return PRACTICE


class Cost(NamedTuple):
    """What a choice costs: ``requests`` (/s at the registry), ``stale`` (s), ``failed`` (calls a death), ``buried``
    (/day). A shop has a limit of each name."""

    requests: float
    stale: float
    failed: float
    buried: float


def formulas(shop: Shop, way: str, ttl: float, heartbeat: float, period: float = 1.0) -> Cost:
    """What ``way`` ("every call", "poll", "blocking query") costs in ``shop``, on paper, with a lease of ``ttl``, a
    heartbeat every ``heartbeat`` and, if it polls, a lookup every ``period`` seconds.

    Raises ValueError for another way, and for a heartbeat that is slower than the lease.
    """
    if way not in WAYS:
        raise ValueError(f"way={way!r} must be one of {', '.join(map(repr, WAYS))}")
    lookups, stale = {
        "every call": (shop.clients * shop.calls, 0.0),
        "poll": (theory.lookup_rate(shop.clients, period), theory.poll_window(period, JITTER).mean),
        "blocking query": (shop.clients * (shop.changes / DAY + 1 / WAIT), theory.watch_window(ONE_WAY).mean),
    }[way]  # a blocking query is asked anew after each change, and when it has waited for WAIT
    in_time = math.ceil(ttl / heartbeat - 1e-6) - 1  # heartbeats; that which comes with the end comes too late
    return Cost(
        shop.instances / heartbeat + lookups,
        stale,
        shop.failing * (theory.lease_window(ttl, heartbeat).mean + stale),
        (1 - shop.loss) * shop.loss**in_time / heartbeat * shop.instances * DAY,
    )
