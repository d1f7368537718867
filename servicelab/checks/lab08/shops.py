"""The shops of exercise 4, and what a choice costs in them: by formula, and in SimPy.

The formulas are :mod:`servicelab.theory`'s; the simulated registry keeps the lease objects of the real one.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from servicelab import theory
from servicelab.sim.discovery import Discovery
from servicelab.sim.registry import Instance

DAY, JITTER = 86400.0, 0.2
WAIT = 60.0  # seconds that a blocking query may wait; Consul's default is 300, its most 600
ONE_WAY = 0.001  # seconds
MOST_BEATS = 10_000  # are simulated
DEATHS = 6  # at as many ages of a heartbeat
#: A client's way of knowing, and its name in SimPy.
HOW = {"every call": "lease", "poll": "poll", "blocking query": "watch"}
WAYS = tuple(HOW)


@dataclass(frozen=True)
class Shop:
    """A shop, and what discovery may cost in it.

    | number    | unit  | meaning                                                                         |
    |-----------|-------|---------------------------------------------------------------------------------|
    | instances |       | how many keep a lease                                                           |
    | clients   |       | how many have to know of them                                                   |
    | calls     | /s    | that each client makes, to the instances in turn                                |
    | changes   | /day  | instances that come or go by design, all together                               |
    | loss      | share | of the heartbeats that get lost, each by itself                                 |
    | requests  | /s    | heartbeats and lookups that the registry may get, at most                       |
    | stale     | s     | until a client has heard of a change that the registry knows, on average        |
    | failed    | calls | that may fail when an instance dies, of all clients together, on average        |
    | buried    | /day  | living instances that may lose their lease, all together                        |
    """

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
#: Hidden. One grows and shrinks all day; one has clients by the hundred and hardly changes; one has more instances than
#: clients; one is seldom called and never the same.
CHECKED = (
    Shop(instances=20, clients=60, calls=2, changes=30_000, loss=0.10, requests=25, stale=4, failed=60, buried=100),
    Shop(instances=6, clients=300, calls=0.5, changes=50, loss=0.05, requests=60, stale=1, failed=110, buried=40),
    Shop(instances=400, clients=10, calls=20, changes=2000, loss=0.05, requests=125, stale=5, failed=10, buried=300),
    Shop(instances=40, clients=200, calls=0.02, changes=90_000, loss=0.02, requests=30, stale=0.5, failed=2, buried=20),
)


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
    refresh = stale_by(way, period)
    seconds = theory.lease_window(ttl, heartbeat).mean + refresh
    in_time = math.ceil(ttl / heartbeat - 0.02) - 1  # that which comes with the end comes too late
    return Cost(
        shop.instances / heartbeat + lookups_by(shop, way, period),
        refresh,
        shop.failing * seconds,
        buried(shop, in_time, heartbeat),
    )


def lookups_by(shop: Shop, way: str, period: float = 1.0) -> float:
    """Lookups/s. A blocking query is asked anew after each change, and when it has waited for ``WAIT``."""
    if way == "poll":
        return theory.lookup_rate(shop.clients, period)
    if way == "blocking query":
        return shop.clients * (shop.changes / DAY + 1 / WAIT)
    return shop.clients * shop.calls


def stale_by(way: str, period: float = 1.0) -> float:
    """Seconds from when the registry knows until a client does, on average."""
    if way == "poll":
        return theory.poll_window(period, JITTER).mean
    if way not in WAYS:
        raise ValueError(f"way={way!r} must be one of {', '.join(map(repr, WAYS))}")
    return theory.watch_window(ONE_WAY).mean if way == "blocking query" else 0.0


def buried(shop: Shop, in_time: int, heartbeat: float) -> float:
    """Living instances that lose their lease in a day when ``in_time`` heartbeats in a row are lost."""
    return (1 - shop.loss) * shop.loss**in_time / heartbeat * shop.instances * DAY


def hours(shop: Shop, heartbeat: float) -> float:
    """How long lost heartbeats are simulated (seconds): an hour for twenty instances, and in any case no longer than
    takes ``MOST_BEATS`` of them."""
    return min(3600.0 * 20, MOST_BEATS * heartbeat) / shop.instances


def simulate(shop: Shop, way: str, ttl: float, heartbeat: float, period: float = 1.0) -> Cost:
    """The same four numbers, counted in SimPy: deaths, a crowd of clients while instances come and go,
    and hours with lost heartbeats."""
    lease = {"ttl": ttl, "heartbeat": heartbeat}
    knows = {"period": period, "jitter": JITTER} if way == "poll" else {"period": WAIT, "jitter": 0.0}
    failed, stale = zip(*(_death(HOW[way], seed, lease, knows) for seed in range(DEATHS)))
    lossy = Discovery("poll", clients=1, rate=0.01, period=100, instances=shop.instances, loss=shop.loss, **lease)
    lossy.run(seconds := hours(shop, heartbeat))
    lost = sum(event.what == "expired" for event in lossy.registry.events)
    return Cost(
        _crowd(shop, way, lease, knows),
        0.0 if way == "every call" else float(np.mean(stale)),
        shop.failing * float(np.mean(failed)),
        lost / seconds * DAY,
    )


def _death(how, seed, lease, knows, clients=12):
    """One of two instances dies: the seconds' worth of calls that failed, and the mean staleness of the clients."""
    rate = 50 / lease["ttl"]  # so that in each lease as many fail
    world = Discovery(how, clients=clients, instances=2, rate=rate, seed=seed, **lease, **knows)
    dies = 2 * lease["ttl"] + (seed + 0.5) / DEATHS * lease["heartbeat"]
    dies += 2 * knows["period"] if how == "poll" else 3.0
    world.run(dies).instances["orders-1"].kill()
    world.run(dies + lease["ttl"] + (3 * knows["period"] if how == "poll" else 0.0) + 3.0)
    seconds = world.failed_calls(since=dies) / (clients * rate / 2)
    expired = [event.at for event in world.registry.events if event.what == "expired" and event.at >= dies]
    return seconds, world.dead_route_times("orders-1").mean() + dies - expired[0] if expired else math.inf


def _crowd(shop, way, lease, knows):
    """Heartbeats and lookups/s that reach the registry, while one instance more comes and goes at random."""
    begin, end = {
        "every call": (10.0, 110.0),
        "poll": (3 * knows["period"], 13 * knows["period"]),
        "blocking query": (10.0, 10.0 + 1.05 * WAIT),  # each is asked anew once
    }[way]
    calls = {"rate": shop.calls if way == "every call" else 0.01}
    world = Discovery(HOW[way], clients=shop.clients, instances=shop.instances, **calls, **lease, **knows)
    guest = Instance(world.env, world.registry, "orders-0", DAY, DAY)  # it sends no heartbeats
    world.instances[guest.id] = guest
    gap = world.draws.exponential("changes", DAY / shop.changes)

    def come_and_go():
        while True:
            yield world.env.timeout(gap())
            guest.leave() if guest.is_alive else guest.revive()

    world.env.process(come_and_go())
    world.run(end)
    return sum(begin <= at < end for at in world.registry.lookups + world.registry.heartbeats) / (end - begin)
