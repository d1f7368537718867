"""A service registry in SimPy: the lease logic of the real one, with a network in between that can be cut.

Three things, and what each does in life:

* :class:`Network`: wires that take time, lose messages, and can be cut between two *sides*.
* :class:`Registry`: keeps a :class:`servicelab.leases.Catalog`, the very object that answers over HTTP in
  ``servers.registry``. It takes heartbeats, and answers lookups at once or when something has changed.
* :class:`Instance`: registers, sends heartbeats, and can be killed, sent home or cut off.

Who asks is in :mod:`servicelab.sim.discovery`.
"""

from collections import defaultdict
from random import Random
from typing import NamedTuple

from servicelab.arguments import positive, seconds
from servicelab.leases import PASSING, Catalog, Check, Service, UnknownCheck, UnknownService
from servicelab.policies.lookup import Found
from servicelab.policies.status import Status
from servicelab.policies.watch import WAIT_JITTER
from servicelab.sim.alarm import Alarm
from servicelab.sim.call import Call
from servicelab.sim.first_of import FirstOf
from servicelab.sim.message import Message
from servicelab.sim.place import require_law, require_share

REGISTRY = "registry"


class Network:
    """The wires: a message takes ``delay`` seconds (a number or a law). Those to and from the registry are dropped when
    ``loss`` says so (None, or a law such as ``draws.bernoulli("loss", 0.05)``).

    Everybody is on a *side*, a name of your choice; the registry is on the side "registry". ``cut("west", "registry")``
    drops everything between the two, both ways, until ``heal()``. Raises ValueError for a bad delay or loss.
    """

    def __init__(self, env, delay=0.001, loss=None):
        self.env = env
        self.delay = require_law("delay", delay)
        self.loss = require_share("loss", loss)
        self._cut: set[frozenset] = set()

    def cut(self, side: str, other: str) -> None:
        self._cut.add(frozenset((side, other)))

    def heal(self) -> None:
        """All cuts are mended."""
        self._cut.clear()

    def is_cut(self, side: str, other: str) -> bool:
        return frozenset((side, other)) in self._cut

    def carry(self, side: str, other: str):
        """Carry one message: ``arrived = yield from network.carry("west", "registry")``."""
        yield self.env.timeout(self.delay())
        if self.is_cut(side, other):
            return False
        return self.loss is None or REGISTRY not in (side, other) or not self.loss()


class Known(NamedTuple):
    """An instance as the registry tells of it: who, and how it is ("passing", "warning", "critical")."""

    id: str
    status: str


class Registry:
    """The registry on a :class:`Network`.

    | setting | default   | unit | consequence                                                                         |
    |---------|-----------|------|-------------------------------------------------------------------------------------|
    | catalog | Catalog() |      | its eviction rule: TTLExpiry(), SelfPreservation(rng, …), NeverEvict()              |
    | rng     | Random(1) |      | spreads the ends of blocking queries over wait/16                                   |
    | counter | None      |      | a ``Service`` that every lookup passes, if it is to have a limited capacity         |

    ``lookups`` and ``heartbeats`` are the times (seconds) at which they arrived, ``events`` all that happened in the
    catalog. ``is_down`` while it has crashed.
    """

    def __init__(
        self, env, network: Network, catalog: Catalog | None = None, *, rng: Random | None = None, counter=None
    ):
        self.env, self.network, self.counter = env, network, counter
        self.catalog = Catalog() if catalog is None else catalog
        self.rng = Random(1) if rng is None else rng
        self.lookups: list[float] = []
        self.heartbeats: list[float] = []
        self.events: list = []
        self.is_down = False
        self._alarm = Alarm(env)
        self._waiting = defaultdict(list)  # service: the events of blocking queries
        self._rota = env.event()  # happens when there is a new first deadline
        env.process(self._keep_time())

    # -- what happens to it ---------------------------------------------------------------------

    def crash(self) -> None:
        """From now on nobody is answered; who is waiting loses the connection."""
        self.is_down = True
        for service in list(self._waiting):
            self._wake(service)

    def restart(self, catalog: Catalog | None = None) -> None:
        """Answer again, with what was known (the leases that nobody could renew have run out meanwhile), or with the
        ``catalog`` given, whose index begins anew: an empty one does not know anybody until the next heartbeats."""
        self.is_down = False
        if catalog is not None:
            self.catalog = catalog
        self._record(self.catalog.advance(self.env.now))

    # -- lookups ----------------------------------------------------------------------------------

    def ask(self, lookup, side="shop", passing=True):
        """Answer a :class:`~servicelab.policies.lookup.Lookup`: a generator that returns a ``Found``, for ``sim_find``.

        Its instances are :class:`Known`; without ``passing`` the sick ones are among them. Lost on the way, it ends
        with "timeout" after the lookup's timeout.
        """
        answer = Call(self.env, self._answer(lookup, side, passing))
        self._alarm.watch(answer, lookup.timeout)
        found = yield answer
        return Found(Status.TIMEOUT, self.env.now) if found == Status.TIMEOUT else found

    def _answer(self, lookup, side, passing):
        if not (yield from self.network.carry(side, REGISTRY)):
            yield self.env.event()  # lost: nobody will ever hear
        found = Found(Status.REFUSED, self.env.now)
        if not self.is_down:
            self.lookups.append(self.env.now)
            if self.counter is not None and (yield from self.counter.call(Message("lookup"))) != Status.OK:
                return Found(Status.REJECTED, self.env.now)
            found = yield from self._look(lookup, passing)
        if not (yield from self.network.carry(REGISTRY, side)):
            yield self.env.event()
        return found

    def _look(self, lookup, passing):
        if lookup.index:
            end = self.env.now + lookup.wait * (1 + self.rng.random() * WAIT_JITTER)
            while self.catalog.index_of(lookup.service) <= lookup.index and self.env.now < end:
                changed = self.env.event()
                self._waiting[lookup.service].append(changed)
                yield FirstOf(self.env, changed, self.env.timeout(end - self.env.now))
                if self.is_down:
                    return Found(Status.LOST, self.env.now)
        instances = self.catalog.instances(lookup.service, passing=passing)
        known = tuple(Known(instance.service.id, instance.status) for instance in instances)
        return Found(Status.OK, self.env.now, known, self.catalog.index_of(lookup.service))

    # -- heartbeats -------------------------------------------------------------------------------

    def tell(self, what, side):
        """Carry ``what(catalog, now)`` to the catalog: a generator that returns whether it knew whom it was about, or
        None if nobody heard."""
        if not (yield from self.network.carry(side, REGISTRY)) or self.is_down:
            return None
        self.heartbeats.append(self.env.now)
        try:
            self._record(what(self.catalog, self.env.now))
        except (UnknownCheck, UnknownService):
            return False
        return True

    # -- time -------------------------------------------------------------------------------------

    def _keep_time(self):
        """Sleep until the next lease runs out, and let the catalog do what is due. In a crash nobody looks."""
        while True:
            due = self.catalog.next_deadline()
            if due is None or due == float("inf"):
                yield self._rota
            else:
                yield FirstOf(self.env, self._rota, self.env.timeout(max(0.0, due - self.env.now)))
            if self.is_down:
                yield self._rota
            else:
                self._record(self.catalog.advance(self.env.now))

    def _record(self, events):
        self.events += events
        for service in {event.service for event in events if event.what != "renewed"}:
            self._wake(service)
        self._rota, old = self.env.event(), self._rota
        old.succeed()

    def _wake(self, service):
        for changed in self._waiting.pop(service, ()):
            if not changed.triggered:
                changed.succeed()


class Instance:
    """One instance of ``service``, which renews a lease of ``ttl`` seconds every ``period`` seconds.

    | setting          | default   | unit | consequence                                                                |
    |------------------|-----------|------|----------------------------------------------------------------------------|
    | ttl              | none      | s    | its check is critical when no heartbeat came for so long                   |
    | period           | ttl / 3.3 | s    | between heartbeats. In a whole part of the TTL, the last comes with its end|
    | phase            | period    | s    | a number or a law: it registers at once, and its first heartbeat follows   |
    |                  |           |      | after so long. Draw it, or all beat together                               |
    | side             | "shop"    |      | where it is on the network                                                 |
    | deregister_after | None      | s    | critical for so long, it is removed                                        |
    | serves           | None      |      | a place for its calls, such as a ``Service``; None answers "ok" at once    |

    ``died`` is when it was killed or went home (seconds), None while it lives. Raises ValueError for bad times.
    """

    def __init__(
        self, env, registry, id, ttl, period=None, *, service="orders", phase=None, side="shop", deregister_after=None,
        serves=None,
    ):  # fmt: skip
        self.env, self.registry, self.id, self.service, self.side = env, registry, id, service, side
        self.ttl = seconds("ttl", ttl)
        self.period = positive("period", ttl / 3.3 if period is None else period, "seconds", "between two heartbeats")
        self.deregister_after, self.serves = deregister_after, serves
        self.died: float | None = None
        self._life = 0
        self._phase = require_law("phase", self.period if phase is None else phase)
        env.process(self._live())

    @property
    def is_alive(self) -> bool:
        return self.died is None

    def kill(self) -> None:
        """It is gone, and has told nobody."""
        self._life += 1
        self.died = self.env.now if self.died is None else self.died

    def leave(self) -> None:
        """It takes itself off the register, and is gone."""
        self.kill()
        Call(self.env, self.registry.tell(lambda catalog, now: catalog.deregister(now, self.id), self.side))

    def revive(self) -> None:
        """It is back, and registers at once."""
        self.died = None
        self._life += 1
        self.env.process(self._live())

    def flap(self, up, down):
        """Be killed and come back, again and again, ``up`` and ``down`` seconds long (numbers or laws)."""
        up, down = require_law("up", up), require_law("down", down)

        def swing():
            while True:
                yield self.env.timeout(up())
                self.kill()
                yield self.env.timeout(down())
                self.revive()

        return self.env.process(swing())

    def call(self, message):
        """A call to it, as a place: "refused" when it is dead."""
        if not self.is_alive:
            return Status.REFUSED
        if self.serves is None:
            return Status.OK
        return (yield from self.serves.call(message))

    def _live(self):
        life = self._life
        Call(self.env, self.registry.tell(self._register, self.side))
        yield self.env.timeout(self._phase())
        while life == self._life:
            Call(self.env, self._beat())
            yield self.env.timeout(self.period)

    def _beat(self):
        """One heartbeat. Whom the registry does not know registers again, as Eureka's clients do."""
        life = self._life
        known = yield from self.registry.tell(self._renew, self.side)
        if known is False and life == self._life:
            yield from self.registry.tell(self._register, self.side)

    def _renew(self, catalog, now):
        return catalog.renew(now, f"service:{self.id}", PASSING)

    def _register(self, catalog, now):
        check = Check(ttl=self.ttl, status=PASSING, deregister_after=self.deregister_after)
        return catalog.register(now, Service(self.id, self.service), [check])
