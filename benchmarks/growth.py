"""What grows with what: a trace, a sweep, idle connections. Ten times as much should cost ten times as much.

``python -m benchmarks.growth`` prints JSON. Each row is measured in a process of its own, and lists all its sizes.

* *trace*: messages, each sent and received: MB that they take, seconds to draw the first 30 of them as a diagram.
* *sweep*: the same 48 runs of a simulated service with 1, 2 and 4 workers, and with a dask cluster of two: seconds,
  the start of processes included, but not that of the cluster.
* *idle connections*: through the fault proxy, in this process: MB for each that is open, and kB that is kept of each
  that has ended.

A chapter's time and memory are in ``chapters``, and twelve passes over it in ``day``.
"""

import gc
import json
import socket
import subprocess
import sys
import time

import psutil

MESSAGES = (10_000, 100_000, 1_000_000)
MOST_MB, MOST_SECONDS = 400, 1.0
CONNECTIONS = (200, 1_000)


def megabytes() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def trace(count: int) -> dict:
    from servicelab.trace import Trace
    from servicelab.views.spacetime import spacetime

    log = Trace()
    spacetime(log)  # what it imports counts for nobody
    before = megabytes()
    for number in range(count):
        at = number / 1000
        log.receive(log.send("client", "orders", "GET /orders", at=at), "orders", at=at + 0.002)
    memory = megabytes() - before
    took = []
    for _ in range(3):
        start = time.perf_counter()
        spacetime(log)
        took.append(time.perf_counter() - start)
    return {"MB": memory, "drawn in (s)": min(took)}


def load(rho, seed):
    """The mean wait of a simulated service: a run of the sweep."""
    import random

    from servicelab.sim import free_at

    rng = random.Random(seed)
    arrivals, now = [], 0.0
    for _ in range(50_000):
        now += rng.expovariate(rho)
        arrivals.append(now)
    begins = free_at(arrivals, [rng.expovariate(1.0) for _ in arrivals], workers=2)
    return float(sum(begins) - sum(arrivals)) / len(arrivals)


def sweep(workers: int) -> dict:
    """With 0 workers: dask, with two in processes of their own."""
    from servicelab.sim.sweep import sweep as swept

    def once():
        start = time.perf_counter()
        swept(load, {"rho": [0.3, 0.9, 1.5, 1.8]}, replications=12, jobs=workers or None)
        return time.perf_counter() - start

    if workers:
        return {"s": once()}
    import joblib
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        return {"s": once()}


def connections(count: int) -> dict:
    from servicelab.faults import FaultProxy

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as server, FaultProxy(server.getsockname()) as proxy:
        before, clients, accepted = megabytes(), [], []
        for _ in range(count):
            clients.append(socket.create_connection(proxy.address))
            accepted.append(server.accept()[0])
        opened = megabytes() - before
        for one in clients + accepted:
            one.close()
        while proxy.connections.open:
            time.sleep(0.05)
        kept = sum(sys.getsizeof(one) + sum(map(sys.getsizeof, one)) for one in proxy._records if one)
        return {"MB open": opened, "kB kept of each that ended": kept / 1e3 / count}


def one(what: str, size: int) -> dict:
    """``what(size)``, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", what, str(size)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip()[-300:]}
    return json.loads(done.stdout)


def run() -> dict:
    found = {f"trace of {count:,} messages": one("trace", count) for count in MESSAGES}
    largest = found[f"trace of {MESSAGES[-1]:,} messages"]
    largest["limits"] = f"{MOST_MB} MB, {MOST_SECONDS:g} s"
    largest["passed"] = largest.get("MB", 1e9) < MOST_MB and largest.get("drawn in (s)", 1e9) < MOST_SECONDS
    for workers, words in {1: "1 worker", 2: "2 workers", 4: "4 workers", 0: "dask"}.items():
        found[f"sweep of 48 runs, {words}"] = one("sweep", workers)
    for count in CONNECTIONS:
        found[f"{count:,} idle connections"] = one("connections", count)
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        what, size = sys.argv[1:]
        measured = {"trace": trace, "sweep": sweep, "connections": connections}[what](int(size))
        print(json.dumps({name: float(f"{value:.3g}") for name, value in measured.items()}))
    else:
        print(json.dumps(run(), indent=2, ensure_ascii=False))
