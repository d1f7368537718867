"""The running part of a registry: its clock, its timer, who waits, which checks it makes. One event loop owns it.

Because nothing else touches it, a query that finds nothing new and begins to wait cannot miss a change in between,
and a change wakes each waiting query once.
"""

import asyncio
import copy
import time
from collections.abc import Callable
from random import Random

from servicelab.leases import KV, PASSING, Catalog, Check, Index, LeaseEvent, Node, Service
from servicelab.leases.records import LOCAL
from servicelab.lifecycle import HOST
from servicelab.servers.registry.probes import Probes
from servicelab.trace import Trace

#: A blocking query waits 5 minutes unless it says otherwise, and at most 10; both get up to a sixteenth more, so that
#: queries that began together do not end together. https://developer.hashicorp.com/consul/api-docs/features/blocking
DEFAULT_WAIT, LONGEST_WAIT, JITTER = 300.0, 600.0, 1 / 16


class Contents:
    """What a registry knows, and what a restart keeps or loses. A real Consul server knows itself, too."""

    def __init__(self, eviction):
        self.index = Index()
        self.catalog = Catalog(copy.deepcopy(eviction), index=self.index)
        self.kv = KV(self.index)

    def introduce(self, now: float) -> None:
        """Enter the node itself, unless it is there already."""
        if not self.catalog.nodes():
            self.catalog.set_node(now, Node(LOCAL, HOST))
            alive = Check(
                "serfHealth", "Serf Health Status", kind="", status=PASSING, output="Agent alive and reachable"
            )
            self.catalog.add_check(now, alive)
            self.catalog.register(now, Service("consul", "consul", port=8300))


class Agent:
    """Runs ``contents`` in the event loop in which it is made. Raises what the catalog raises."""

    def __init__(self, contents: Contents, lane: str, rng: Random, trace: Trace | None, errors: list[str]):
        self.catalog, self.kv, self.index = contents.catalog, contents.kv, contents.index
        self.lane, self.rng, self.trace = lane, rng, trace
        self.clock = trace.clock if trace is not None else time.monotonic
        self.is_closing = self.is_cut = False
        self.running = asyncio.Event()
        self.running.set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[asyncio.Future, tuple[Callable[[], int], int]] = {}
        self._woken_at = self.index.value
        self._shown: dict[str, str] = {}
        self._probes = Probes(self, errors)
        contents.introduce(self.clock())
        self.advance()
        self._probes.follow(self.catalog)

    # -- writing ----------------------------------------------------------------------------

    def write(self, method: Callable, *args, **kwargs) -> list[LeaseEvent]:
        """Call ``method(now, …)`` of the catalog; record what happened, wake who waited for it."""
        now = self.advance()  # first, and by itself: what was due has happened, also when the call is refused
        events = method(now, *args, **kwargs)
        self._after(events)
        return events

    def write_kv(self, method: Callable, *args, **kwargs) -> bool:
        done = method(*args, **kwargs)
        self._wake()
        return done

    def advance(self) -> float:
        """Do what is due. Returns the time."""
        now = self.clock()
        self._after(self.catalog.advance(now))
        return now

    # -- waiting ----------------------------------------------------------------------------

    async def changed(self, index_of: Callable[[], int], seen: int, wait: float | None, gone: asyncio.Future) -> None:
        """Return when ``index_of()`` is more than ``seen``, when the wait is over, or when the client has ``gone``.

        An index that fell behind ``seen``, because the registry lost its contents, is no change: like Consul's, the
        query waits on and returns the smaller index in the end. It is the client who must start again from it.
        """
        wait = DEFAULT_WAIT if not wait or wait < 0 else min(wait, LONGEST_WAIT)
        end = self._loop.time() + wait * (1 + self.rng.random() * JITTER)
        while index_of() <= seen and not self.is_closing and not gone.done():
            woken = self._loop.create_future()
            timer = self._loop.call_at(end, _wake, woken)
            gone.add_done_callback(lambda _, woken=woken: _wake(woken))
            self._waiting[woken] = index_of, seen
            try:
                await woken
            finally:
                timer.cancel()
                del self._waiting[woken]
            if self._loop.time() >= end:
                break
        await self.running.wait()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    # -- life -------------------------------------------------------------------------------

    def pause(self) -> None:
        self.running.clear()
        self._probes.stop()
        if self._timer is not None:
            self._timer.cancel()

    def resume(self) -> None:
        """Go on. The leases went on running while it was paused: what ran out is found out now."""
        self.running.set()
        self.advance()
        self._probes.follow(self.catalog)

    def close(self) -> None:
        """Let every waiting query return, stop the timer and the checks."""
        self.is_closing = True
        self.running.set()
        if self._timer is not None:
            self._timer.cancel()
        self._probes.close()
        for woken in list(self._waiting):
            _wake(woken)

    # -- parts ------------------------------------------------------------------------------

    def _after(self, events: list[LeaseEvent]) -> None:
        if self.trace is not None:
            for event in events:
                self._show(event)
            if self._shown.get(self.lane) == "self-preservation" and not self.catalog.overdue:
                self._state(self.lane, "running", self.clock())
        if any(event.what in ("registered", "changed", "deregistered", "evicted") for event in events):
            self._probes.follow(self.catalog)
        self._wake()
        if self._timer is not None:
            self._timer.cancel()
        due = self.catalog.next_deadline()
        if due is not None and not self.is_closing and self.running.is_set():
            self._timer = self._loop.call_later(max(0.0, due - self.clock()), self.advance)

    def _wake(self) -> None:
        if self.index.value == self._woken_at:
            return
        self._woken_at = self.index.value
        for woken, (index_of, seen) in self._waiting.items():
            if index_of() > seen:
                _wake(woken)

    def _show(self, event: LeaseEvent) -> None:
        """States in the diagram: of an instance, in the lane of its id; of the registry, when it keeps everybody."""
        if event.what == "preserved":
            self._state(self.lane, "self-preservation", event.at)
        elif event.what == "evicted":
            self._state(event.service_id, "evicted", event.at)
        elif event.service_id:
            instance = self.catalog.service(event.service_id, event.node)
            gone = event.what == "deregistered" or instance is None
            self._state(event.service_id, "deregistered" if gone else instance.status, event.at)

    def _state(self, who: str, value: str, at: float) -> None:
        if self._shown.get(who) != value:
            self._shown[who] = value
            self.trace.state(who, value, at=at)


def _wake(woken: asyncio.Future) -> None:
    if not woken.done():
        woken.set_result(None)
