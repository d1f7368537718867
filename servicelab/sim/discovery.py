"""Clients that find their instances by a registry, and what it costs them when one is gone.

The resolvers are those of :mod:`servicelab.policies.resolver` and :mod:`servicelab.policies.watch`, unchanged: the
objects that drive real lookups. Four ways to know:

| ``how``  | the client                                         | after the registry knows, it takes        |
|----------|----------------------------------------------------|-------------------------------------------|
| "lease"  | asks before every call: only the lease is stale    | no time                                   |
| "watch"  | has a blocking query waiting at the registry       | one way of the network                    |
| "poll"   | asks every ``period`` seconds                      | up to the period, on average half         |
| "dns"    | keeps an answer for its TTL, ``period`` seconds    | what is left of the TTL                   |

The registry itself knows of a crash only when the lease has run out: that is part of every one of them.
"""

import math
from collections import Counter
from functools import partial

import numpy as np
import simpy

from servicelab.arguments import whole
from servicelab.leases import PASSING, Catalog, PanicThreshold, TTLExpiry
from servicelab.policies.backoff import FullJitter
from servicelab.policies.balancer import RandomChoice
from servicelab.policies.lookup import Told, sim_find
from servicelab.policies.resolver import InstanceCache, OnDemand, left
from servicelab.policies.watch import Poll, Watch
from servicelab.sim.call import Call
from servicelab.sim.draws import Draws
from servicelab.sim.message import Message
from servicelab.sim.place import require_law
from servicelab.sim.registry import Instance, Network, Registry
from servicelab.sim.service import Service
from servicelab.table import Table

NOBODY, UNREACHABLE = "nobody", "unreachable"
#: When the first client begins (seconds): the instances have registered by then.
START = 1.0
HOWS = ("lease", "watch", "poll", "dns")


class Caller:
    """A client: it keeps who is there as ``policy`` says, and makes a call every ``gap`` seconds (a number or a law),
    both from ``start`` seconds on.

    ``panic`` is a :class:`~servicelab.leases.PanicThreshold` or None; with one it needs to know of the sick, too.
    ``calls`` are ``(at, instance, status)``: "ok", "refused", "unreachable" for an instance behind a cut, "nobody" when
    it knows none. ``heard`` are ``(at, instances)``, one for each change of whom it would call.
    """

    def __init__(self, env, name, policy, registry, instances, gap, balancer, *, side="shop", panic=None, start=0.0):
        self.env, self.name, self.registry, self.instances = env, name, registry, instances
        self.gap, self.balancer, self.side, self.panic = require_law("gap", gap), balancer, side, panic
        self.cache, self.service = policy.cache, policy.service
        self._policy = Told(policy, self._note)
        self._ask = partial(registry.ask, side=side, passing=panic is None)
        self.calls: list[tuple] = []
        self.heard: list[tuple] = []
        self._on_demand = isinstance(policy, OnDemand)
        env.process(self._begin(start))

    @property
    def routes(self) -> list[str]:
        """Whom it would call now."""
        known = self.cache.view(self.service, self.env.now).instances
        if self.panic is not None:
            known = self.panic.choose(known)
        return [one.id for one in known if self.panic is not None or one.status == PASSING]

    def _begin(self, start):
        yield self.env.timeout(start)
        if not self._on_demand:
            self.env.process(sim_find(self.env, self._policy, self._ask))
        while True:
            yield self.env.timeout(self.gap())
            Call(self.env, self._call(self.env.now))

    def _call(self, at):
        if self._on_demand:
            yield from sim_find(self.env, self._policy, self._ask)
        routes = self.routes
        if not routes:
            self.calls.append((at, None, NOBODY))
            return
        target = self.instances[routes[self.balancer.pick([0] * len(routes))]]
        arrived = yield from self.registry.network.carry(self.side, target.side)
        status = (yield from target.call(Message("call"))) if arrived else UNREACHABLE
        self.calls.append((at, target.id, str(status)))

    def _note(self, found):
        routes = frozenset(self.routes)
        if not self.heard or self.heard[-1][1] != routes:
            self.heard.append((found.at, routes))

    def left(self, id: str, since: float) -> float:
        """When it stopped calling ``id``, at ``since`` or later (seconds); inf if it still does."""
        return left(self.heard, id, since)


class Discovery:
    """A shop of instances and clients around one registry.

    | setting   | default      | unit     | consequence                                                               |
    |-----------|--------------|----------|---------------------------------------------------------------------------|
    | how       | "poll"       |          | "lease", "watch", "poll", "dns"; see above                                |
    | clients   | 20           |          | how many ask                                                              |
    | instances | 4            |          | how many serve                                                            |
    | rate      | 10           | calls/s  | of each client, a Poisson stream                                          |
    | period    | 5            | s        | of polling; the TTL of DNS; a watch's ``wait``                            |
    | jitter    | 0.2          | of it    | of polling. 0: all clients begin together, and polls stay in step         |
    | ttl       | 10           | s        | of the lease                                                              |
    | heartbeat | ttl / 3.3    | s        | no whole part of the TTL, so that nothing comes at the very same time     |
    | keep      | None         | s        | the greatest age of a last known good; None: any; 0: thrown away          |
    | eviction  | TTLExpiry()  |          | SelfPreservation(rng, …), NeverEvict()                                    |
    | panic     | None         | share    | clients use all instances when fewer than this share are healthy          |
    | delay     | 0.001        | s        | one way of the network                                                    |
    | loss      | 0            | share    | of the messages to and from the registry                                  |
    | sides     | ("shop",)    |          | of the network; instances are dealt to these in turn                      |
    | askers    | sides        |          | the sides of the clients                                                  |
    | capacity  | None         | calls/s  | of one instance: exponential work, ten may wait. None: endless            |
    | answers   | None         | /s       | lookups that the registry can answer: exponential work. None: any number  |
    | seed      | 1            |          | of all the random numbers                                                 |
    | settings  |              |          | of every instance: deregister_after                                       |

    ``env``, ``network``, ``registry``, ``instances`` (by id: "orders-1", …) and ``clients`` are there to be used::

        shop = Discovery("dns", period=5)
        shop.run(100); shop.instances["orders-1"].kill(); shop.run(160)
        shop.dead_route_times("orders-1")

    Raises ValueError for a setting out of range.
    """

    def __init__(
        self, how="poll", *, clients=20, instances=4, rate=10.0, period=5.0, jitter=0.2, ttl=10.0, heartbeat=None,
        keep=None, eviction=None, panic=None, delay=0.001, loss=0.0, sides=("shop",), askers=None, capacity=None,
        answers=None, seed=1, **settings,
    ):  # fmt: skip
        if how not in HOWS:
            raise ValueError(f"how={how!r} must be one of {', '.join(HOWS)}")
        self.how, self.period, self.jitter, self.keep = how, period, jitter, keep
        self.env, self.draws = simpy.Environment(), Draws(seed)
        env, draws = self.env, self.draws
        self.network = Network(env, delay, draws.bernoulli("loss", loss) if loss else None)
        counter = answers and Service(env, "registry", draws.exponential("answers", 1 / answers))
        catalog = Catalog(TTLExpiry() if eviction is None else eviction)
        self.registry = Registry(env, self.network, catalog, rng=draws.rng("waits"), counter=counter)

        heartbeat = ttl / 3.3 if heartbeat is None else heartbeat
        phases = draws.uniform("phases", 0, heartbeat)
        work = capacity and draws.exponential("work", 1 / capacity)
        self.instances = {}
        for number, side in _deal(whole("instances", instances), sides):
            id = f"orders-{number}"
            serves = work and Service(env, id, work, queue_limit=10)
            self.instances[id] = Instance(
                env, self.registry, id, ttl, heartbeat, phase=phases, side=side, serves=serves, **settings
            )

        begins = draws.uniform("begins", 0, period)
        self.clients = []
        for number, side in _deal(whole("clients", clients), askers or sides):
            self.clients.append(
                Caller(
                    env,
                    f"client {number}",
                    self._policy(number),
                    self.registry,
                    self.instances,
                    draws.exponential(f"gaps {number}", 1 / rate),
                    RandomChoice(draws.rng(f"choice {number}")),
                    side=side,
                    panic=None if panic is None else PanicThreshold(panic),
                    start=START + (begins() if jitter else 0.0),
                )
            )

    def _policy(self, number):
        cache = InstanceCache(self.period if self.how == "dns" else 0.0, keep=self.keep)
        rng = self.draws.rng(f"policy {number}")
        if self.how == "poll":
            return Poll(cache, "orders", self.period, rng, jitter=self.jitter)
        if self.how == "watch":
            return Watch(cache, "orders", FullJitter(0.1, 10.0, rng), wait=self.period)
        return OnDemand(cache, "orders")

    def run(self, until: float) -> "Discovery":
        """Go on until ``until`` seconds; returns itself."""
        self.env.run(until=until)
        return self

    # -- what became of it ----------------------------------------------------------------------

    def dead_route_times(self, id: str) -> np.ndarray:
        """For each client: seconds from the death of ``id`` until it calls it no more (inf: it still does).
        Raises ValueError for an instance that lives."""
        died = self.instances[id].died
        if died is None:
            raise ValueError(f"{id!r} is alive: kill() it, or let it leave(), before you ask how long it was called")
        return np.array([client.left(id, died) - died for client in self.clients])

    def calls(self, since=0.0, until=math.inf) -> Counter:
        """How the calls that were made in ``since`` … ``until`` (seconds) ended."""
        return Counter(status for client in self.clients for at, _, status in client.calls if since <= at < until)

    def failed_calls(self, since=0.0, until=math.inf) -> int:
        """Calls that did not end with "ok"."""
        calls = self.calls(since, until)
        return calls.total() - calls["ok"]

    def usable(self, since=0.0, until=math.inf) -> float:
        """The share of calls that ended with "ok" (nan without any)."""
        calls = self.calls(since, until)
        return calls["ok"] / calls.total() if calls else math.nan

    def course(self, bin=1.0) -> tuple[np.ndarray, np.ndarray]:
        """Begins of bins of ``bin`` seconds, and the share of the calls of each that ended with "ok"."""
        at, ok = [], []
        for client in self.clients:
            for when, _, status in client.calls:
                at.append(when)
                ok.append(float(status == "ok"))
        edges = np.arange(0, self.env.now + bin / 2, bin)
        total, good = np.histogram(at, edges)[0], np.histogram(at, edges, weights=ok)[0]
        with np.errstate(invalid="ignore"):
            return edges[:-1], good / total

    def lookup_rate(self, bin=1.0) -> tuple[np.ndarray, np.ndarray]:
        """Begins of bins of ``bin`` seconds, and the lookups/s that reached the registry in each."""
        edges = np.arange(0, self.env.now + bin / 2, bin)
        return edges[:-1], np.histogram(self.registry.lookups, edges)[0] / bin

    def table(self) -> Table:
        """The calls so far, by how they ended."""
        calls = self.calls()
        return Table(("call ended", "number"), calls.most_common(), f"{calls.total()} calls, {self.how}")


def _deal(count, sides):
    """``(1, side), (2, side), …``: numbers, each with one of ``sides`` in turn."""
    return [(number + 1, sides[number % len(sides)]) for number in range(count)]
