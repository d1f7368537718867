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
| duration       | "10s" and back                                             |
| refused        | an answer other than 200                                   |

The logic of leases is in :mod:`servicelab.leases`.
"""

from servicelab.servers.registry.consul import RealConsul, start_registry
from servicelab.servers.registry.server import Registry

__all__ = ["RealConsul", "Registry", "start_registry"]
