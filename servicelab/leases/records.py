"""What a registry stores. All records are immutable: one that was handed out never changes under its reader."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

PASSING, WARNING, CRITICAL = "passing", "warning", "critical"
_SEVERITY = {PASSING: 0, WARNING: 1, CRITICAL: 2}

#: The node on which a service is, unless it says otherwise: the machine of the registry's own agent.
LOCAL = "servicelab"


def worst(statuses) -> str:
    """The worst of several statuses; without any it is ``passing``, as in Consul: nobody has complained."""
    return max(statuses, key=_SEVERITY.__getitem__, default=PASSING)


def check_status(status: str) -> str:
    """``status`` itself, or ValueError."""
    if status not in _SEVERITY:
        raise ValueError(f"status={status!r} must be one of {', '.join(_SEVERITY)}")
    return status


def parse_host(text: str) -> IPv4Address | IPv6Address | str:
    """An IP address, or the host name itself. ValueError for what is neither and could never be reached."""
    try:
        address = ip_address(text)
    except ValueError:
        label = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
        name = re.fullmatch(rf"({label}\.)*({label})\.?", text, re.ASCII | re.IGNORECASE)
        if name and len(text) <= 253 and not name[3].isdigit():  # no name ends in a number: "10.0.0.300" is none
            return text
    else:
        if not getattr(address, "scope_id", None):
            return address
    raise ValueError(
        f"address={text!r} must be an IPv4 or IPv6 address or a host name of ASCII letters, such as 'shop'"
    )


class Index:
    """A counter that only grows; every write to a registry takes the next number. It starts at 1, because a
    client that waits for "more than 0" would never wait."""

    def __init__(self):
        self.value = 1

    def grow(self) -> int:
        self.value += 1
        return self.value


@dataclass(frozen=True, slots=True)
class Node:
    """A machine."""

    name: str
    address: str = "127.0.0.1"
    meta: Mapping[str, str] = field(default_factory=dict)
    create_index: int = 0
    modify_index: int = 0

    def __post_init__(self):
        parse_host(self.address)

    @property
    def key(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Service:
    """One instance of a service, at ``address:port``. ``id`` is unique on its node, ``name`` is what clients ask for.

    Raises ValueError when a part cannot be.
    """

    id: str
    name: str
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    node: str = LOCAL
    weights: tuple[int, int] = (1, 1)  # while passing, while warning
    create_index: int = 0
    modify_index: int = 0

    def __post_init__(self):
        if self.address:
            parse_host(self.address)
        for name in ("id", "name", "node"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name}={value!r} must be a text such as 'orders-1'")
        if not isinstance(self.port, int) or isinstance(self.port, bool) or not 0 <= self.port <= 65535:
            raise ValueError(f"port={self.port!r} must be a whole number from 0 to 65535")
        object.__setattr__(self, "tags", tuple(self.tags))

    @property
    def key(self) -> tuple[str, str]:
        return self.node.lower(), self.id


@dataclass(frozen=True, slots=True)
class Check:
    """One reason to believe that a service works, or a whole node when ``service_id`` is empty.

    ``kind`` "ttl": the service itself must renew every ``ttl`` seconds. Any other kind ("http", "tcp", …) is made by
    somebody else, who reports the result; ``definition`` tells them how and is not looked at here. A service
    whose check has been critical for ``deregister_after`` seconds is removed. ``status`` is critical until somebody
    says better: a service which has never been heard of gets no calls.
    """

    id: str = ""
    name: str = ""
    service_id: str = ""
    kind: str = "ttl"
    ttl: float | None = None
    status: str = CRITICAL
    deregister_after: float | None = None
    notes: str = ""
    output: str = ""
    definition: Mapping = field(default_factory=dict)
    node: str = LOCAL
    service: str = ""  # the name of the service
    create_index: int = 0
    modify_index: int = 0

    def __post_init__(self):
        check_status(self.status)
        if (self.kind == "ttl") != (self.ttl is not None):
            raise ValueError(f"ttl={self.ttl!r} does not fit kind={self.kind!r}: a TTL check has one, no other has")
        for name in ("ttl", "deregister_after"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}={value} must be > 0 seconds and finite")

    @property
    def key(self) -> tuple[str, str]:
        return self.node.lower(), self.id

    @property
    def service_key(self) -> tuple[str, str]:
        """The key of its service; for a check of a node the id in it is empty."""
        return self.node.lower(), self.service_id


class Instance(NamedTuple):
    """A service instance with its node and with every check that concerns it: its own and its node's."""

    node: Node
    service: Service
    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        """The worst of its checks."""
        return self.checks[0].status if len(self.checks) == 1 else worst(check.status for check in self.checks)

    @property
    def address(self) -> str:
        """Where it listens: its own address or, without one, its node's."""
        return self.service.address or self.node.address


class LeaseEvent(NamedTuple):
    """Something happened at ``at``. ``what``:

    ============ ==================================================================
    registered   a new instance, or one that came again with other particulars
    renewed      a heartbeat that changed nothing but its lease
    status       a check went into another ``status``
    expired      a lease was not renewed in time; its check is critical now
    deregistered an instance left, was removed, or had been critical for too long
    evicted      an instance whose lease was not renewed was removed at once
    preserved    leases have run out, and are kept because too many have
    changed      anything else: a check was added or removed, a node
    ============ ==================================================================
    """

    at: float
    what: str
    node: str = ""
    service_id: str = ""
    service: str = ""
    check_id: str = ""
    status: str = ""
    index: int = 0
