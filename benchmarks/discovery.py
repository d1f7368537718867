"""What it costs to find an instance: from memory, by DNS, and from the registry over HTTP.

``python -m benchmarks.discovery`` prints JSON. All contestants take turns in one run, in one process, as in a notebook.
Three instances; the median of each round, and of the rounds the best (µs). Beside our name server stands the one that
comes with dnslib, with the same three records: a thread for every query, where ours has one for all.
"""

import json
import statistics
import time

import dns.message
import dns.query
import requests
from dnslib import RR
from dnslib.server import BaseResolver, DNSLogger
from dnslib.server import DNSServer as ThreadedServer

from servicelab.clients.discovery import Resolver
from servicelab.clients.instance_sources import RegistrySource
from servicelab.policies import InstanceCache, Lookup, OnDemand
from servicelab.servers.dns import DNSServer
from servicelab.servers.registry import Registry

NAME = "orders.service.shop."


class Fixed(BaseResolver):
    """Three SRV records for whoever asks."""

    def resolve(self, request, handler):
        reply = request.reply()
        for n in range(3):
            reply.add_answer(*RR.fromZone(f"{NAME} 5 SRV 1 1 {8000 + n} orders-{n}.{NAME}"))
            reply.add_ar(*RR.fromZone(f"orders-{n}.{NAME} 5 A 127.0.0.1"))
        return reply


def by_dns(port):
    query = dns.message.make_query(NAME, "SRV")
    return lambda: dns.query.udp(query, "127.0.0.1", port=port, timeout=5)


def median(call, count):
    times = []
    for _ in range(count):
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def measure(rounds=5, count=100) -> dict:
    theirs = ThreadedServer(Fixed(), port=0, address="127.0.0.1", logger=DNSLogger("-request,-reply"))
    theirs.start_thread()
    with Registry("bench registry") as registry, DNSServer(registry, "bench dns") as ours:
        for n in range(3):
            body = {"ID": f"orders-{n}", "Name": "orders", "Port": 8000 + n}
            requests.put(f"{registry.url}/v1/agent/service/register", json=body, timeout=5).raise_for_status()
        source = RegistrySource(registry)
        with Resolver(registry, OnDemand(InstanceCache(ttl=3600.0), "orders"), "bench resolver") as resolver:
            contestants = {
                "from memory": resolver.pick,
                "by DNS": by_dns(ours.port),
                "by DNS, dnslib's server": by_dns(theirs.server.server_address[1]),
                "by HTTP, a connection each": lambda: source(Lookup("orders", 5.0)),
            }
            found = {name: [] for name in contestants}
            for _ in range(rounds):
                for name, call in contestants.items():
                    found[name].append(median(call, count))
    theirs.stop()
    theirs.server.server_close()
    best = {name: min(times) for name, times in found.items()}
    return {
        "lookup (µs)": {name: round(1e6 * seconds, 1) for name, seconds in best.items()},
        "our name server / dnslib's": round(best["by DNS"] / best["by DNS, dnslib's server"], 2),
        "HTTP / DNS": round(best["by HTTP, a connection each"] / best["by DNS"], 2),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2, ensure_ascii=False))
