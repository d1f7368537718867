"""What the fault proxy costs: against a direct connection, both measured in turns in one run.

    python -m benchmarks.faults

The server runs in a child process, so that it does not share an interpreter lock with the proxy;
client and proxy share one, as they do in a notebook.
"""

import json
import socket
import statistics
import subprocess
import sys
import time

from servicelab.faults import FaultProxy, Latency

MEGABYTE = 1_000_000

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


def measure(rounds=5, calls=400, megabytes=100) -> dict:
    """Round trips of 64 bytes on an open connection (microseconds, p50) and downloads (MB/s), each as
    the median over ``rounds`` of direct and proxied in turns. The ratio is proxied / direct."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        address = "127.0.0.1", int(child.stdout.readline())
        with FaultProxy(address, "plain") as plain, FaultProxy(address, "late") as late:
            late.add(Latency(0.05))
            ways = {"direct": address, "proxied": plain.address}
            trips = {way: [] for way in ways}
            rates = {way: [] for way in [*ways, "proxied, 50 ms latency"]}
            for _ in range(rounds):
                for way, where in ways.items():
                    trips[way].append(round_trip(where, calls))
                for way, where in [*ways.items(), ("proxied, 50 ms latency", late.address)]:
                    rates[way].append(download(where, megabytes * MEGABYTE))
            errors = plain.errors + late.errors
        child.stdin.close()
    if errors:
        raise RuntimeError(f"the proxy had errors: {errors}")
    trip = {way: statistics.median(values) * 1e6 for way, values in trips.items()}
    rate = {way: statistics.median(values) / MEGABYTE for way, values in rates.items()}
    return {
        "round trip p50 (us), direct": trip["direct"],
        "round trip p50 (us), proxied": trip["proxied"],
        "added p50 (us)": trip["proxied"] - trip["direct"],
        "download (MB/s), direct": rate["direct"],
        "download (MB/s), proxied": rate["proxied"],
        "download (MB/s), proxied, 50 ms latency": rate["proxied, 50 ms latency"],
        "throughput ratio": rate["proxied"] / rate["direct"],
        "throughput ratio, 50 ms latency": rate["proxied, 50 ms latency"] / rate["direct"],
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
    print(json.dumps({name: round(value, 3) for name, value in measure().items()}, indent=2))
