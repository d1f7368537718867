"""A service registry on a real socket, with Consul's HTTP API: ``start_registry()``."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from tornado.netutil import bind_sockets

from servicelab.leases import LOCAL, Instance, TTLExpiry
from servicelab.lifecycle import HOST, ServerError
from servicelab.loop_server import LoopServer
from servicelab.servers.arguments import check_options
from servicelab.servers.registry.agent import Agent, Contents
from servicelab.servers.registry.http import Listener, application
from servicelab.table import Table
from servicelab.trace import Trace


class Registry(LoopServer):
    """A registry whose HTTP API is Consul's, in a thread of this kernel. The stock client works with it::

        registry = start_registry(trace=trace)
        consul = Consul(port=registry.port)

    ``eviction`` is a rule of :mod:`servicelab.leases.eviction`; the default, TTL expiry, is Consul's. ``seed`` draws
    the jitter of blocking queries and the phases of the checks the registry makes. With a ``trace`` every request and
    every change of a service's health is in it.

    How it differs from a real Consul stands in :mod:`servicelab.servers.registry`.

    ``kill()`` ends it without a goodbye, ``restart()`` brings it back to the same port with or without what it knew,
    ``pause()`` and ``resume()`` are a process that hangs. Raises ServerError.
    """

    scheme = "http"
    host = HOST

    def __init__(
        self, name: str = "registry", *, trace: Trace | None = None, port: int = 0, seed: int = 0,
        eviction: TTLExpiry | None = None, lane: str | None = None,
    ):  # fmt: skip
        super().__init__(name, port, lane)
        check_options(name, trace, 1)
        if not isinstance(eviction, TTLExpiry | None):
            raise ServerError(
                f"eviction={eviction!r} is no rule: use TTLExpiry(), SelfPreservation(rng) or NeverEvict()"
            )
        self.trace = trace
        self.eviction = eviction or TTLExpiry()
        #: How many requests of each kind came, as in ``registry.requests["PUT /v1/agent/check/pass/"]``.
        self.requests: Counter[str] = Counter()
        self._rng = Random(seed)
        self._contents = Contents(self.eviction)
        self._agent: Agent | None = None
        self._listener: Listener | None = None
        self._again_at: int | None = None  # the port to come back to
        self._is_cut = False

    # -- what it knows ------------------------------------------------------------------------

    def ask(self, question: Callable):
        """``question(catalog)``, asked in the registry's own thread, with all that is due done. Raises ServerError."""

        async def answer():
            self._agent.advance()
            return question(self._agent.catalog)

        return self._do(answer)

    def instances(self, name: str, passing: bool = False) -> list[Instance]:
        """The instances of a service. A paused registry answers here too: it is not asked over its socket."""
        return self.ask(lambda catalog: catalog.instances(name, passing=passing))

    @property
    def index(self) -> int:
        return self.ask(lambda catalog: catalog.index)

    @property
    def waiting(self) -> int:
        """How many blocking queries wait now."""

        async def count():
            return self._agent.waiting

        return self._do(count)

    def table(self) -> Table:
        """Every registered instance, with its checks."""

        def look(catalog):
            found = [one for name in catalog.services() for one in catalog.instances(name)]
            return catalog.index, [one for one in found if one.service.id != "consul"]

        index, found = self.ask(look)
        rows = [
            (
                one.service.name, one.service.id, f"{one.address}:{one.service.port}", one.status,
                ", ".join(f"{check.id} {check.status}" for check in one.checks if check.service_id) or None,
                ", ".join(one.service.tags) or None,
            )
            for one in found
        ]  # fmt: skip
        caption = f"{len(rows)} instances, index {index}"
        return Table(("service", "instance", "address", "status", "checks", "tags"), rows, caption)

    # -- what may befall it -----------------------------------------------------------------------

    def kill(self) -> None:
        """Die without a goodbye: connections are reset, waiting queries get no answer, the port refuses."""
        self._is_cut = True
        try:
            self.stop()
        finally:
            self._is_cut = False

    def restart(self, keep: bool = True) -> "Registry":
        """Come back to the same port, after a stop or a kill too. Without ``keep`` everything is forgotten, and the
        index starts again at 1: a client that waits for "more than 40" has to notice. Leases that ran out while it
        was down have run out."""
        if self.is_running:
            self.stop()
        if not keep:
            if self.trace is not None:
                for service in self._contents.catalog.on_node(LOCAL):
                    if service.id != "consul":
                        self.trace.state(service.id, "forgotten")
            self._contents = Contents(self.eviction)
        wanted, self.wanted_port = self.wanted_port, self._again_at or self.wanted_port
        try:
            return self.start()
        finally:
            self.wanted_port = wanted

    @property
    def is_paused(self) -> bool:
        """Does it hang?"""
        agent = self._agent
        return agent is not None and not agent.running.is_set()

    def pause(self) -> None:
        """Hang: accept connections, answer nothing, look after nothing. Leases go on running."""
        self._do_sync(lambda: self._agent.pause())
        self._note("paused")

    def resume(self) -> None:
        """Go on: requests that came meanwhile are answered now, and leases that ran out are found to have."""
        self._note("running")
        self._do_sync(lambda: self._agent.resume())

    # -- life -----------------------------------------------------------------------------------

    async def _begin(self) -> int:
        sockets = bind_sockets(self.wanted_port, HOST, backlog=1024)
        self._agent = Agent(self._contents, self.lane, self._rng, self.trace, self.errors)
        self._listener = Listener(application(self._agent, self.requests, self.errors))
        self._listener.add_sockets(sockets)
        if self._again_at is not None:
            self._note("running")
        self._again_at = sockets[0].getsockname()[1]
        return self._again_at

    async def _finish(self) -> None:
        """Stop listening, let waiting queries return what there is, as Consul does, or cut them."""
        if self._listener is None:
            return
        self._note("down")
        self._listener.stop()
        self._agent.is_cut = self._is_cut
        if self._is_cut:
            self._listener.cut()
        self._agent.close()
        if not self._is_cut:
            await asyncio.sleep(0)
        await self._listener.close_all_connections()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=0.5)
        self._agent = self._listener = None

    def _note(self, value: str) -> None:
        if self.trace is not None:
            self.trace.state(self.lane, value)

    def _do_sync(self, work):
        async def run():
            return work()

        return self._do(run)
