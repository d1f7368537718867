"""The records of a registry: which there are, how they hang together, and the index at which each last changed.

The names of services and nodes, and tags, match whatever their case, as in Consul; ids match exactly.

Nothing in here knows of time. :class:`~servicelab.leases.catalog.Catalog` adds it.
"""

from collections.abc import Iterable
from dataclasses import replace

from servicelab.leases.records import LOCAL, PASSING, Check, Index, Instance, Node, Service


class UnknownService(LookupError):
    """No service of that id is registered on that node."""


class UnknownCheck(LookupError):
    """No check of that id is registered on that node."""


class Store:
    """Nodes, services and checks with their indices; what can be read of a registry."""

    def __init__(self, index: Index):
        self._index = index
        self._nodes: dict[str, Node] = {}
        self._services: dict[tuple[str, str], Service] = {}
        self._checks: dict[tuple[str, str], Check] = {}
        self._by_name: dict[str, dict[tuple[str, str], None]] = {}
        self._of_service: dict[tuple[str, str], dict[tuple[str, str], None]] = {}  # checks; (node, "") for a node's
        self._name_index: dict[str, int] = {}
        self._vanished = 1
        #: Index of the last change of any node, any service, any check: what a list of all of them waits on.
        self.nodes_index = self.services_index = self.checks_index = 1

    # -- reading ----------------------------------------------------------------------------

    @property
    def index(self) -> int:
        """The index of the last write of all."""
        return self._index.value

    def index_of(self, name: str) -> int:
        """The index of the last change that concerns the service ``name``."""
        return self._name_index.get(name.lower(), self._vanished)

    def instances(self, name: str, *, passing: bool = False, tags: Iterable[str] = ()) -> list[Instance]:
        """The instances of a service, with every one of ``tags``; with ``passing`` only those of that status."""
        tags = {tag.lower() for tag in tags}
        found = [self._instance(self._services[key], key) for key in self._by_name.get(name.lower(), ())]
        if tags:
            found = [one for one in found if tags <= {tag.lower() for tag in one.service.tags}]
        return [one for one in found if one.status == PASSING] if passing else found

    def service(self, service_id: str, node: str = LOCAL) -> Instance | None:
        service = self._services.get((node.lower(), service_id))
        return self._instance(service) if service else None

    def services(self) -> dict[str, list[str]]:
        """Every service name as it is written, with the tags that its instances have."""
        found: dict[str, set[str]] = {}
        for service in self._services.values():
            found.setdefault(service.name, set()).update(service.tags)
        return {name: sorted(tags) for name, tags in sorted(found.items())}

    def check(self, check_id: str, node: str = LOCAL) -> Check:
        """Raises UnknownCheck."""
        try:
            return self._checks[node.lower(), check_id]
        except KeyError:
            raise UnknownCheck(f"no check {check_id!r} is registered on node {node!r}") from None

    def checks(self, *, service: str | None = None, node: str | None = None) -> list[Check]:
        """All checks, of one service name, or on one node."""
        return [
            check
            for check in self._checks.values()
            if (service is None or check.service.lower() == service.lower())
            and (node is None or check.node.lower() == node.lower())
        ]

    def nodes(self) -> list[Node]:
        return list(self._nodes.values())

    def node(self, name: str) -> Node | None:
        return self._nodes.get(name.lower())

    def on_node(self, node: str) -> list[Service]:
        return [service for service in self._services.values() if service.node.lower() == node.lower()]

    # -- for the catalog ------------------------------------------------------------------------

    def _instance(self, service: Service, key: tuple[str, str] | None = None) -> Instance:
        node, _ = key = key or service.key
        keys = [*self._of_service.get((node, ""), ()), *self._of_service.get(key, ())]
        return Instance(self._nodes[node], service, tuple([self._checks[key] for key in keys]))

    def _service(self, service_id: str, node: str) -> Service:
        try:
            return self._services[node.lower(), service_id]
        except KeyError:
            raise UnknownService(f"no service {service_id!r} is registered on node {node!r}") from None

    def _put_node(self, node: Node, index: int, keep: bool = False) -> bool:
        old = self.node(node.name)
        if old is not None and (keep or (old.address, old.meta) == (node.address, node.meta)):
            return False
        created = old.create_index if old else index
        self._nodes[node.key] = replace(node, create_index=created, modify_index=index)
        self.nodes_index = index
        return True

    def _rename_checks(self, service: Service, index: int) -> None:
        for key in self._of_service.get(service.key, ()):
            self._checks[key] = replace(self._checks[key], service=service.name, modify_index=index)

    def _forget_name(self, service: Service, index: int) -> None:
        name = service.name.lower()
        keys = self._by_name[name]
        del keys[service.key]
        self._touch(name, index)
        if not keys:
            del self._by_name[name], self._name_index[name]
            self._vanished = index

    def _names_on(self, node: str) -> set[str]:
        return {service.name for service in self.on_node(node)}

    def _concern(self, check: Check, index: int) -> None:
        """A check changed: note it with the services that it concerns, which are all on the node for a node's."""
        self.checks_index = index
        for name in [check.service] if check.service_id else self._names_on(check.node):
            self._touch(name, index, checks=True)

    def _touch(self, name: str, index: int, *, services: bool = False, checks: bool = False) -> None:
        self._name_index[name.lower()] = index
        if services:
            self.services_index = index
        if checks:
            self.checks_index = index
