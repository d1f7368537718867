"""A service registry with Consul's HTTP API, in the kernel.

| module   | subject                                                                      |
|----------|------------------------------------------------------------------------------|
| server   | its life: start, kill, pause, restart                                        |
| consul   | ours or a real Consul, by environment variable                               |
| agent    | the running part: clock, timer, who waits                                    |
| probes   | the HTTP and TCP checks it makes                                             |
| http     | tornado's server around it, and the stamps                                   |
| routes   | which path means what                                                        |
| api, kv  | Consul's endpoints                                                           |
| decode   | from JSON to records                                                         |
| shapes   | from records to JSON                                                         |
| duration | "10s" and back                                                               |
| refused  | an answer other than 200                                                     |

The logic of leases is in :mod:`servicelab.leases`.
"""

from servicelab.servers.registry.consul import RealConsul, start_registry
from servicelab.servers.registry.server import Registry

__all__ = ["RealConsul", "Registry", "start_registry"]
