"""What the fault proxy costs: against a direct connection, both measured in turns in one run.

    python -m benchmarks.faults

The server runs in a child process, so that it does not share an interpreter lock with the proxy; client and proxy share
one, as they do in a notebook. Beside them stands a bare relay, two threads with ``recv`` and ``sendall``: what any
proxy in Python costs. Throughput has to be 0.7 of a direct connection's, and 0.4 with 50 ms of latency (``limit``).

A download is long (1 GB), since its first byte comes 50 ms late: 100 MB arrive directly in 25 ms, and by a proxy that
costs nothing but those 50 ms would seem to pass at a third of that rate. A relay copies each byte in and out, as much
as client and server together do; of two processors it can hardly leave more than 0.6 of a direct connection's rate.
Larger buffers, buffers that are used again and ``os.splice`` change little: they save a sixth of the processor time
for a byte at most. So what the proxy adds to it is a ratio of its own, that to the bare relay, and has to be 0.8 (it is
0.9 on a machine with much other work, where all of these ratios are lower).
"""

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time

from servicelab.faults import FaultProxy, Latency

MEGABYTE = 1_000_000

#: The least throughput, as a share of a direct connection's.
LIMITS = {"proxied": 0.7, "proxied, 50 ms latency": 0.4}
#: The proxy's least throughput, as a share of a bare relay's.
OF_RELAY = 0.8

# For each connection: b"e" echoes 64 bytes at a time, b"d" sends as many bytes as the next 8 bytes say.
SERVER = """
import socket, struct, sys, threading
def run(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        if sock.recv(1) == b"e":
            while data := sock.recv(64):
                sock.sendall(data)
        else:
            size, block = struct.unpack("!Q", sock.recv(8, socket.MSG_WAITALL))[0], bytes(1 << 20)
            while size > 0:
                sock.sendall(block[:size])
                size -= len(block)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
def accept():
    while True:
        threading.Thread(target=run, args=(server.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()  # until the benchmark closes the pipe, or dies
"""


def relay(address) -> tuple[str, int]:
    """The address of a bare relay to ``address``. Its threads end with their connections, or with the process."""

    def accept():
        while True:
            ends = listener.accept()[0], socket.create_connection(address)
            for sock in ends:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in (ends, ends[::-1]):
                threading.Thread(target=carry, args=(source, sink), daemon=True).start()

    def carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()


def measure(rounds=9, calls=400, megabytes=1000) -> dict:
    """Round trips of 64 bytes on an open connection (microseconds, p50) and downloads (MB/s), each as the median over
    ``rounds`` of all ways in turns. A ratio is the median of those to the other way's download in the same round."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        address = "127.0.0.1", int(child.stdout.readline())
        with FaultProxy(address, "plain") as plain, FaultProxy(address, "late") as late:
            late.add(Latency(0.05))
            ways = {"direct": address, "bare relay": relay(address), "proxied": plain.address}
            delayed = {"proxied, 50 ms latency": late.address}
            trips = {way: [] for way in ways}
            rates = {way: [] for way in ways | delayed}
            for _ in range(rounds):
                for way, where in ways.items():
                    trips[way].append(round_trip(where, calls))
                for way, where in (ways | delayed).items():
                    rates[way].append(download(where, megabytes * MEGABYTE))
            errors = plain.errors + late.errors
        child.stdin.close()
    if errors:
        raise RuntimeError(f"the proxy had errors: {errors}")
    trip = {way: statistics.median(values) * 1e6 for way, values in trips.items()}
    rate = {way: statistics.median(values) / MEGABYTE for way, values in rates.items()}

    def share(way, of, limit=None):
        ratio = statistics.median(mine / theirs for mine, theirs in zip(rates[way], rates[of]))
        return {"ratio": round(ratio, 3)} | ({} if limit is None else {"limit": limit, "passed": ratio >= limit})

    return {
        "round trip p50 (us)": {way: round(value, 1) for way, value in trip.items()},
        "added p50 (us)": {way: round(trip[way] - trip["direct"], 1) for way in ("bare relay", "proxied")},
        "download (MB/s)": {way: round(value) for way, value in rate.items()},
        **{f"throughput, {way}": share(way, "direct", limit) for way, limit in LIMITS.items()},
        "throughput, bare relay": share("bare relay", "direct"),
        "throughput, proxied to bare relay": share("proxied", "bare relay", OF_RELAY),
    }


def round_trip(address, calls) -> float:
    """The median seconds of a 64-byte round trip."""
    message, took = bytes(64), []
    with socket.create_connection(address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"e")
        for _ in range(calls):
            start = time.perf_counter()
            sock.sendall(message)
            if len(sock.recv(64, socket.MSG_WAITALL)) != 64:
                raise RuntimeError("the connection ended early")
            took.append(time.perf_counter() - start)
    return statistics.median(took)


def download(address, size) -> float:
    """Bytes per second of one download of ``size`` bytes."""
    buffer, got = bytearray(1 << 20), 0
    with socket.create_connection(address) as sock:
        start = time.perf_counter()
        sock.sendall(b"d" + size.to_bytes(8, "big"))
        while got < size:
            more = sock.recv_into(buffer)
            if not more:
                raise RuntimeError(f"the connection ended after {got} of {size} bytes")
            got += more
        return size / (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
