"""Who is there, and until when: the logic of a service registry. No I/O, no clock and no thread is in here.

The same objects answer over HTTP (``servers.registry``) and in a simulation (``sim``): time is an argument in
seconds, from whatever clock the caller reads, and randomness is a ``random.Random`` that the caller supplies.

| module    | subject                                                                                             |
|-----------|-----------------------------------------------------------------------------------------------------|
| records   | what is stored: nodes, services, their checks; what can happen to them                              |
| deadlines | many deadlines that are moved often, and the first of them                                          |
| eviction  | what is done when a lease was not renewed: TTL expiry, self-preservation, never; panic threshold    |
| store     | the records, how they hang together, and an index that only grows                                   |
| catalog   | registrations, leases and health, in time                                                           |
| kv        | keys and values with check-and-set, on the same index                                               |

Not safe under threads: one thread (or one event loop, or one simulation) owns a catalog.
"""

from servicelab.leases.catalog import Catalog, NotATTLCheck
from servicelab.leases.eviction import NeverEvict, PanicThreshold, SelfPreservation, TTLExpiry
from servicelab.leases.kv import KV, Entry
from servicelab.leases.records import (
    CRITICAL,
    LOCAL,
    PASSING,
    WARNING,
    Check,
    Index,
    Instance,
    LeaseEvent,
    Node,
    Service,
    parse_host,
    worst,
)
from servicelab.leases.store import UnknownCheck, UnknownService

__all__ = [
    "CRITICAL",
    "Catalog",
    "Check",
    "Entry",
    "Index",
    "Instance",
    "KV",
    "LOCAL",
    "LeaseEvent",
    "NeverEvict",
    "Node",
    "NotATTLCheck",
    "PASSING",
    "PanicThreshold",
    "SelfPreservation",
    "Service",
    "TTLExpiry",
    "UnknownCheck",
    "UnknownService",
    "WARNING",
    "parse_host",
    "worst",
]
