"""A service registry with Consul's HTTP API, in the kernel.

| module         | subject                                                    |
|----------------|------------------------------------------------------------|
| server         | its life: start, kill, pause, restart                      |
| consul         | ours or a real Consul, by environment variable             |
| agent          | the running part: clock, timer, who waits                  |
| probes         | the HTTP and TCP checks it makes                           |
| http           | tornado's server around it, and the stamps                 |
| routes         | which path means what                                      |
| local          | Consul's endpoints for services and checks of this node    |
| catalog        | Consul's endpoints for catalog, health and status          |
| kv             | Consul's endpoints for keys and values                     |
| api            | what all endpoints share                                   |
| decode, shapes | from JSON to records, from records to JSON                 |
| values         | durations, numbers and booleans in texts                   |

The logic of leases is in :mod:`servicelab.leases`.

Known differences from Consul 1.x, all on purpose:

| subject            | Consul                                    | here                                                |
|--------------------|-------------------------------------------|-----------------------------------------------------|
| interval of checks | at least 1 s, and raised to that          | at least 10 ms (``decode.SHORTEST_INTERVAL``),      |
|                    |                                           | less is refused                                     |
| durations          | a number counts nanoseconds               | a number is refused: "10s" has its unit             |
| checks             | what cannot be made is critical           | is refused: a URL, a port or a header that cannot   |
|                    |                                           | be; script, gRPC, UDP, Docker, alias and OS service |
| removal            | a minute after it became critical at the  | when ``DeregisterCriticalServiceAfter`` says        |
|                    | earliest, looked at every 30 s            |                                                     |
| addresses          | any text                                  | an IP address or a host name, else refused          |
| ids                | of services and checks: the agent tells   | exact everywhere; the names of services and nodes,  |
|                    | upper from lower case, the catalog not    | and tags, match whatever their case, as in Consul   |
| half a surrogate   | becomes U+FFFD                            | is refused                                          |
| output of a check  | a new one may move the index, later       | moves no index while the status stays               |
| DNS                | NXDOMAIN also when nobody is healthy;     | :mod:`servicelab.servers.dns.zone`; TC is set       |
|                    | TC only with ``enable_truncate``          | whenever records are left out                       |

Not here, and answered 501 with the reason (``routes.NOT_OFFERED``): transactions, events, prepared queries, sessions,
snapshots, maintenance of a whole node, Raft and the operator, coordinates, peering, the service mesh, and the agent's
own affairs (join, leave, reload, monitor, metrics, host, version, token, health). Refused: other datacenters (500, as
in Consul), ``filter``, ``peer``, ``acquire`` and ``release`` of keys, access control (401, as in Consul with it off).

Ignored: ``EnableTagOverride`` (false), ``TaggedAddresses``, ``Locality``, ``near``, ``cached``, namespaces and
partitions, tokens; of checks ``SuccessBeforePassing``, ``FailuresBeforeWarning``, ``FailuresBeforeCritical``,
``OutputMaxSize``, ``DisableRedirects``, ``TLSServerName``, ``TLSSkipVerify``, ``TCPUseTLS``; of checks in the catalog
``Definition``. There is one server, and no gossip: ``serfHealth`` is always passing.
"""

from servicelab.servers.registry.consul import RealConsul, start_registry
from servicelab.servers.registry.server import Registry

__all__ = ["RealConsul", "Registry", "start_registry"]
