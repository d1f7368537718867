"""Finding an instance: a resolver for real calls, on a registry or a name server, with a policy that says when to ask.

In one line each::

    resolver = Resolver(registry, Watch(InstanceCache(), "orders", FullJitter(0.1, 5, Random(7)))).start()
    resolver = Resolver(registry, Poll(InstanceCache(), "orders", 2.0, Random(7))).start()
    resolver = Resolver(name_server, OnDemand(InstanceCache(), "orders")).start()

    session.get(resolver.pick().url + "/orders/1")

The first argument may be a registry of the course, the address of a Consul ("127.0.0.1:8500", as in
``CONSUL_HTTP_ADDR``), a DNS server of the course, or a *source* of your own: a function of a
:class:`~servicelab.policies.lookup.Lookup` that returns a :class:`~servicelab.policies.lookup.Found`.
"""

import threading
import time
from collections import Counter, deque
from contextlib import contextmanager

from servicelab.clients.instance_sources import DNSSource, Instance, RegistrySource
from servicelab.lifecycle import Component, ServerError, join
from servicelab.policies.balancer import RoundRobin
from servicelab.policies.lookup import Told, find
from servicelab.policies.resolver import Freshness, OnDemand, View, left
from servicelab.trace import Trace

__all__ = ["DNSSource", "Instance", "NobodyThere", "RegistrySource", "Resolver"]


class NobodyThere(LookupError):
    """The resolver knows of no instance; the text says whether that is news or silence."""


class Resolver(Component):
    """Who there is of a service, kept as ``policy`` says. It runs under ``name`` with the servers and stops with them.

    | argument | default       | consequence                                                                           |
    |----------|---------------|---------------------------------------------------------------------------------------|
    | source   | none          | whom to ask, see above                                                                |
    | policy   | none          | OnDemand asks within :meth:`instances`; Poll and Watch have a thread of their own.    |
    |          |               | It holds the cache and the service; a Recorder around it will do                      |
    | name     | "resolver"    | of the client in ``running()`` and in diagrams                                        |
    | balancer | RoundRobin()  | which instance :meth:`pick` gives                                                     |
    | trace    | None          | stamps every lookup, and every change of the instances as a state of ``name``         |

    ``lookups`` counts the questions by their status. ``heard`` are ``(at, ids)``, the last thousand changes of whom it
    would call, on the trace's clock; :meth:`left` reads dead-route times off them. A mistake in a source of your own
    ends the thread and is in ``errors``. Raises TypeError for a policy that is none of the three,
    :class:`~servicelab.lifecycle.ServerError` for a source that cannot be asked.
    """

    def __init__(self, source, policy, name: str = "resolver", *, balancer=None, trace: Trace | None = None):
        super().__init__(name)
        inner = getattr(policy, "policy", policy)
        if not (hasattr(inner, "cache") and hasattr(inner, "service") and hasattr(policy, "script")):
            raise TypeError(f"policy={policy!r} must be OnDemand, Poll or Watch: OnDemand(InstanceCache(), 'orders')")
        self.policy, self.cache, self.service = policy, inner.cache, inner.service
        self.balancer = RoundRobin() if balancer is None else balancer
        self.trace = trace
        self.clock = trace.clock if trace is not None else time.monotonic
        self.lookups: Counter[str] = Counter()
        self.errors: list[str] = []
        self.heard: deque[tuple] = deque(maxlen=1000)
        self._given, self._on_demand = source, isinstance(inner, OnDemand)
        self._source = self._thread = None
        self._halt, self._heard = threading.Event(), threading.Event()
        self._outstanding: Counter[Instance] = Counter()
        self._lock = threading.Lock()
        _check(source)

    # -- for calls ------------------------------------------------------------------------------

    def instances(self) -> tuple:
        """The instances to use now, in a fixed order. OnDemand asks first, if what is known is not fresh."""
        return self.view().instances

    def view(self) -> View:
        """The same with how fresh it is, its age in seconds and its version. Raises ServerError when stopped."""
        if not self.is_running:
            raise ServerError(f"{self.name} is not running: call .start() first")
        if self._on_demand:
            find(Told(self.policy, self._tell), self._ask, self.clock, self._sleep)
        return self.cache.view(self.service, self.clock())

    def pick(self):
        """One instance, as the balancer chooses. Raises :class:`NobodyThere`."""
        view = self.view()
        if not view.instances:
            why = "the source says so" if view.fresh is Freshness.NOBODY else "the source has not answered"
            raise NobodyThere(f"no instance of {self.service!r} is known: {why}")
        with self._lock:
            outstanding = [self._outstanding[instance] for instance in view.instances]
        return view.instances[self.balancer.pick(outstanding)]

    @contextmanager
    def using(self):
        """:meth:`pick` for the length of a ``with`` block, counted as a call under way for balancers that look."""
        instance = self.pick()
        with self._lock:
            self._outstanding[instance] += 1
        try:
            yield instance
        finally:
            with self._lock:
                self._outstanding[instance] -= 1

    def left(self, id: str, since: float) -> float:
        """When it stopped calling the instance ``id``, at ``since`` or later (seconds on its clock); inf if it still
        does. OnDemand notices only when it is asked."""
        return left(list(self.heard), id, since)

    # -- asking ---------------------------------------------------------------------------------

    def _ask(self, lookup):
        found = self._source(lookup)
        if self._halt.is_set():
            raise _Stopped  # what was cut short is no news of the source
        found = found._replace(instances=tuple(sorted(found.instances, key=str)))
        with self._lock:
            self.lookups[str(found.status)] += 1
        return found

    def _tell(self, answer):
        """The policy has taken in an answer: the trace and :meth:`start` hear of it."""
        view = self.cache.view(self.service, answer.at)
        with self._lock:
            news, self._told = view.version != self._told, view.version
        if news:
            self.heard.append((answer.at, frozenset(getattr(one, "id", one) for one in view.instances)))
        if news and self.trace is not None:
            self.trace.state(self.name, f"{len(view.instances)} of {self.service}", at=answer.at)
        self._heard.set()

    def _keep_up(self):
        """What the thread does: follow a script that has no end, until :meth:`stop`."""
        try:
            find(Told(self.policy, self._tell), self._ask, self.clock, self._sleep)
        except _Stopped:
            pass
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            self._heard.set()

    def _sleep(self, seconds):
        if self._halt.wait(seconds):
            raise _Stopped

    # -- life -----------------------------------------------------------------------------------

    def _open(self):
        self._halt.clear()
        self._heard.clear()
        self._told = self.cache.view(self.service, self.clock()).version
        self.lookups.clear()
        self.heard.clear()
        self.errors.clear()
        self._source = _source(self._given, self.name, self.trace)
        if not self._on_demand:
            self._thread = threading.Thread(target=self._keep_up, name=f"servicelab {self.name} watch", daemon=True)
            self._thread.start()

    def _opened(self, _):
        if self._thread is not None:
            self._heard.wait(self._patience)  # a dead registry is no reason not to start

    @property
    def _patience(self):
        return min(2.0, getattr(getattr(self.policy, "policy", self.policy), "timeout", 1.0) + 0.1)

    def _close(self):
        self._halt.set()
        if hasattr(self._source, "close"):
            self._source.close()
        if self._thread is not None:
            join([self._thread], 2.0)
        self._source = self._thread = None

    def _state(self):
        if not self.is_running:
            return "stopped"
        view = self.cache.view(self.service, self.clock())
        return f"{view.fresh}: {len(view.instances)} of {self.service}"


class _Stopped(Exception):
    """Ends a script that has no end."""


def _check(source):
    if not (callable(source) or isinstance(source, str) or _has_url(source)):
        raise ServerError(
            f"source={source!r} cannot be asked: give a registry, the address of a Consul, a DNS server, or a "
            "function of a Lookup"
        )


def _source(given, name, trace):
    if hasattr(given, "zone"):
        return DNSSource(given, name=name, trace=trace)
    if isinstance(given, str) or _has_url(given):
        return RegistrySource(given, name=name, trace=trace)
    return given


def _has_url(source):
    return hasattr(type(source), "url")  # a server that is stopped has one, and cannot tell it
