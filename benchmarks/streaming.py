"""One feed six ways: how long an event takes to the reader, and how many bytes it costs on the wire.

``python -m benchmarks.streaming`` prints JSON. Server and readers are threads of one process, a proxy between them
counts the bytes (and adds its own share to each latency, the same for all). The ways take turns in several rounds, so
that a slow moment of the machine hits them alike. Reported are medians; ratios compare with the WebSocket. Polling asks
every 250 ms. The WebSocket compresses, as websockets does unless told otherwise, and one order is much like the next:
that is where its few bytes come from. What must hold on any machine (``passed``): polling is the slowest by far.
"""

import json
import statistics

from servicelab.clients.feed_readers import WAYS, deliver

ROUNDS = 3
EVENTS = 30


def run() -> dict:
    """For each way: latency, bytes and requests per event."""
    found = {name: [] for name in WAYS}
    for number in range(ROUNDS):
        for name, way in WAYS.items():
            found[name].append(deliver(way, EVENTS, 0.02, seed=number))
    latency = {name: statistics.median([x for each in runs for x in each.latencies]) for name, runs in found.items()}
    results = {}
    for name, runs in found.items():
        every = sorted(x for each in runs for x in each.latencies)
        results[name] = {
            "latency, median (ms)": round(latency[name] * 1e3, 2),
            "latency, 95th percentile (ms)": round(every[int(0.95 * len(every))] * 1e3, 2),
            "latency : WebSocket": round(latency[name] / latency["WebSocket"], 2),
            "bytes up per event": round(statistics.median(each.up for each in runs), 1),
            "bytes down per event": round(statistics.median(each.down for each in runs), 1),
            "requests per event": round(statistics.median(each.requests for each in runs), 2),
        }
    pushed = max(value for name, value in latency.items() if name != "polling")
    results["polling is the slowest"] = {
        "polling : slowest of the others": round(latency["polling"] / pushed, 1),
        "passed": latency["polling"] > 2 * pushed,
    }
    return results


if __name__ == "__main__":
    print(json.dumps(run(), indent=2, ensure_ascii=False))
