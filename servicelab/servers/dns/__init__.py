"""Service discovery by DNS: a name server for what a registry knows.

| module | subject                                                        |
|--------|----------------------------------------------------------------|
| zone   | which records there are, and every reply, without a socket     |
| server | UDP and TCP on one port, in one thread, with one lifecycle     |
"""

from servicelab.servers.dns.server import DNSServer

__all__ = ["DNSServer"]
