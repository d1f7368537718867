"""Registrations, leases and health, with an index that only grows.

Rules:

* A service may have several checks; the worst of them, and of its node's, is its status.
* A TTL check that nobody renews for its TTL is handed to the eviction rule. Under :class:`TTLExpiry` its check becomes
  critical. A heartbeat that comes later makes it passing again.
* A service whose check was critical for ``deregister_after`` seconds without a break is removed.
* Every write that changes something takes the next index. A heartbeat that only renews changes nothing, and
  neither does another output with the same status (Consul holds such a change back for minutes).
* What a service is asked for has an index of its own: it moves when an instance of that service, or a check that
  concerns it, changes. While a service has no instance, its index is that of the last time any service vanished.

``advance(now)`` does what time does, up to ``now``; every writing method calls it first, so nothing can happen before
something that was due earlier. ``next_deadline()`` says when there will be something to do. Both work at the exact
moments that are due, so a run does not depend on how often they are called.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from servicelab.leases.deadlines import Deadlines
from servicelab.leases.eviction import TTLExpiry
from servicelab.leases.records import CRITICAL, LOCAL, PASSING, Check, Index, LeaseEvent, Node, Service, check_status
from servicelab.leases.store import Store


class NotATTLCheck(ValueError):
    """Only a TTL check can be renewed; others are made by the registry."""


class Catalog(Store):
    """The contents of one registry. ``eviction`` is a rule of :mod:`servicelab.leases.eviction`."""

    def __init__(self, eviction: TTLExpiry | None = None, *, index: Index | None = None):
        self.eviction = eviction or TTLExpiry()
        super().__init__(index or Index())
        self._now: float | None = None
        self._expiry = Deadlines()
        self._overdue: dict[tuple[str, str], None] = {}  # run out, and not yet ended by the rule
        self._sweep: float | None = None  # when the rule looks at them again
        self._leases = 0
        self._reap = Deadlines()

    # -- writing ----------------------------------------------------------------------------

    def register(
        self, now: float, service: Service, checks: Iterable[Check] = (), *, replace_checks: bool = False
    ) -> list[LeaseEvent]:
        """Register an instance with its checks, or register it anew: its TTLs start again, the status of a check that
        was there already stays. With ``replace_checks`` its other checks go. Returns what happened."""
        events = self.advance(now)
        checks = self._complete(service, list(checks))
        index = self._index.value + 1
        changed = self._put_node(Node(service.node), index, keep=True)
        old = self._services.get(service.key)
        if old is not None and old.name != service.name:
            self._forget_name(old, index)
        if old is None or replace(service, create_index=old.create_index, modify_index=old.modify_index) != old:
            changed = True
            created = old.create_index if old else index
            self._services[service.key] = replace(service, create_index=created, modify_index=index)
            self._by_name.setdefault(service.name.lower(), {})[service.key] = None
            if old is not None and old.name != service.name:
                self._rename_checks(service, index)
        if replace_checks:
            kept = {check.key for check in checks}
            for key in [key for key in self._of_service.get(service.key, ()) if key not in kept]:
                self._drop_check(key)
                changed = True
        for check in checks:
            changed |= self._put_check(now, check, index)
        if changed:
            self._index.grow()
            self._touch(service.name, index, services=True, checks=True)
            instance = self._instance(self._services[service.key])
            events.append(
                LeaseEvent(now, "registered", service.node, service.id, service.name, "", instance.status, index)
            )
        return events

    def deregister(self, now: float, service_id: str, node: str = LOCAL) -> list[LeaseEvent]:
        """Remove an instance and its checks. Raises UnknownService."""
        events = self.advance(now)
        self._remove(now, self._service(service_id, node), "deregistered", events)
        return events

    def add_check(self, now: float, check: Check) -> list[LeaseEvent]:
        """Add a check to a service, or to a node. Raises UnknownService, and ValueError for a check without an id."""
        if not check.id:
            raise ValueError("a check that is added by itself needs an id, such as 'orders-1:disk'")
        events = self.advance(now)
        if check.service_id:
            check = replace(check, service=self._service(check.service_id, check.node).name)
        index = self._index.value + 1
        changed = self._put_node(Node(check.node), index, keep=True)
        if self._put_check(now, check, index) or changed:
            self._index.grow()
            self._concern(check, index)
            status = self._checks[check.key].status
            events.append(
                LeaseEvent(now, "changed", check.node, check.service_id, check.service, check.id, status, index)
            )
        return events

    def remove_check(self, now: float, check_id: str, node: str = LOCAL) -> list[LeaseEvent]:
        """Raises UnknownCheck."""
        events = self.advance(now)
        check = self.check(check_id, node)
        index = self._index.grow()
        self._drop_check(check.key)
        self._concern(check, index)
        events.append(LeaseEvent(now, "changed", node, check.service_id, check.service, check_id, "", index))
        return events

    def renew(
        self, now: float, check_id: str, status: str = PASSING, output: str = "", node: str = LOCAL
    ) -> list[LeaseEvent]:
        """A heartbeat: the service says how it is, and its TTL starts again. Raises UnknownCheck, NotATTLCheck."""
        check_status(status)
        events = self.advance(now)
        check = self.check(check_id, node)
        if check.ttl is None:
            raise NotATTLCheck(f"check {check_id!r} has no TTL to renew: it is a check of kind {check.kind!r}")
        self.eviction.renewed(now)
        self._expiry.set(check.key, now + check.ttl)
        self._overdue.pop(check.key, None)
        events += self._set_status(now, check, status, output, "status") or [
            LeaseEvent(now, "renewed", node, check.service_id, check.service, check_id, status, self._index.value)
        ]
        return events

    def report(self, now: float, check_id: str, status: str, output: str = "", node: str = LOCAL) -> list[LeaseEvent]:
        """The result of a check that somebody else made (HTTP, TCP). Raises UnknownCheck."""
        check_status(status)
        events = self.advance(now)
        return events + self._set_status(now, self.check(check_id, node), status, output, "status")

    def set_node(self, now: float, node: Node) -> list[LeaseEvent]:
        """Add a node or change its particulars; that concerns every service on it."""
        events = self.advance(now)
        index = self._index.value + 1
        if self._put_node(node, index):
            self._index.grow()
            for name in self._names_on(node.name):
                self._touch(name, index)
            events.append(LeaseEvent(now, "changed", node.name, index=index))
        return events

    def remove_node(self, now: float, name: str) -> list[LeaseEvent]:
        """Remove a node with all that is on it; one that is not there may be removed."""
        events = self.advance(now)
        node = self.node(name)
        if node is not None:
            for service in self.on_node(name):
                self._remove(now, service, "deregistered", events)
            for key in list(self._of_service.get((node.key, ""), ())):
                self._drop_check(key)
            del self._nodes[node.key]
            self.nodes_index = self.checks_index = index = self._index.grow()
            events.append(LeaseEvent(now, "changed", name, index=index))
        return events

    # -- time -------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`advance` will have something to do (seconds), or None."""
        sweep, reap = self._next_sweep(), self._reap.first()
        return min((at for at in (sweep, reap) if at is not None), default=None)

    def advance(self, now: float) -> list[LeaseEvent]:
        """Do all that is due up to ``now``. Raises ValueError when time runs backwards."""
        if self._now is not None and now < self._now:
            raise ValueError(f"now={now} lies before {self._now}, when something was done already")
        if self._now is None:
            self.eviction.begin(now)
        events: list[LeaseEvent] = []
        while (due := self.next_deadline()) is not None and due <= now:
            if due == self._next_sweep():
                self._end_leases(due, events)
            else:
                check = self._checks[self._reap.take_first()]
                self._remove(due, self._services[check.service_key], "deregistered", events)
        self._now = now
        return events

    @property
    def overdue(self) -> int:
        """How many leases have run out and were kept by the eviction rule."""
        return len(self._overdue)

    # -- parts ------------------------------------------------------------------------------

    @staticmethod
    def _complete(service: Service, checks: list[Check]) -> list[Check]:
        """Fill in what a check inherits from its service; Consul's ids: service:ID, or service:ID:1, :2, …"""
        done = []
        for number, check in enumerate(checks, 1):
            id = check.id or f"service:{service.id}" + (f":{number}" if len(checks) > 1 else "")
            name = check.name or f"Service '{service.name}' check"
            done.append(
                replace(check, id=id, name=name, service_id=service.id, service=service.name, node=service.node)
            )
        return done

    def _put_check(self, now: float, check: Check, index: int) -> bool:
        old = self._checks.get(check.key)
        if old is not None:
            check = replace(
                check,
                status=old.status,
                output=old.output,
                create_index=old.create_index,
                modify_index=old.modify_index,
            )
            if check != old:
                reap = self._reap.get(old.key) if old.deregister_after == check.deregister_after else None
                self._drop_check(old.key)
                if reap is not None:
                    self._reap.set(check.key, reap)
        self._overdue.pop(check.key, None)
        if check.ttl is not None:
            self._expiry.set(check.key, now + check.ttl)
        if check == old:
            return False
        self._leases += check.ttl is not None
        self._checks[check.key] = replace(check, create_index=old.create_index if old else index, modify_index=index)
        self._of_service.setdefault(check.service_key, {})[check.key] = None
        return True

    def _drop_check(self, key) -> None:
        check = self._checks.pop(key)
        self._leases -= check.ttl is not None
        del self._of_service[check.service_key][key]
        self._expiry.clear(key)
        self._reap.clear(key)
        self._overdue.pop(key, None)

    def _set_status(self, now, check: Check, status: str, output: str, what: str) -> list[LeaseEvent]:
        """``critical`` since when, and what is to follow, is kept in ``_reap``."""
        if status != CRITICAL or not check.service_id or check.deregister_after is None:
            self._reap.clear(check.key)
        elif check.key not in self._reap:
            self._reap.set(check.key, now + check.deregister_after)
        if status == check.status:
            if output != check.output:
                self._checks[check.key] = replace(check, output=output)
            return []
        index = self._index.grow()
        self._checks[check.key] = replace(check, status=status, output=output, modify_index=index)
        self._concern(check, index)
        return [LeaseEvent(now, what, check.node, check.service_id, check.service, check.id, status, index)]

    def _next_sweep(self) -> float | None:
        if self._overdue:
            return self._sweep
        first = self._expiry.first()
        at = math.inf if first is None else self.eviction.next_sweep(first)
        return None if at == math.inf else at

    def _end_leases(self, due: float, events: list[LeaseEvent]) -> None:
        """Let the eviction rule end leases that have run out by ``due``."""
        for key in self._expiry.take(due):
            self._overdue[key] = None
        for key in self.eviction.sweep(due, tuple(self._overdue), self._leases):
            if key not in self._overdue:
                continue  # another check of the same instance ended before, and took it along
            del self._overdue[key]
            check = self._checks[key]
            if self.eviction.removes and check.service_id:
                self._remove(due, self._services[check.service_key], "evicted", events)
                continue
            output = "TTL expired"
            if check.output:
                output += f" (last output before timeout follows): {check.output}"
            events += self._set_status(due, check, CRITICAL, output, "expired")
        if self._overdue:
            self._sweep = due + self.eviction.interval
            events.append(LeaseEvent(due, "preserved", index=self._index.value))

    def _remove(self, now: float, service: Service, what: str, events: list[LeaseEvent]) -> None:
        index = self._index.grow()
        for key in list(self._of_service.get(service.key, ())):
            self._drop_check(key)
        self._of_service.pop(service.key, None)
        del self._services[service.key]
        self._forget_name(service, index)
        self.services_index = self.checks_index = index
        events.append(LeaseEvent(now, what, service.node, service.id, service.name, "", "", index))
