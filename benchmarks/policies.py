"""What a policy costs per call, beside pybreaker's and tenacity's cost for the same.

``python -m benchmarks.policies`` prints JSON. All contestants make the same call, a function that returns at once, and
take turns in one run, so that a slow moment of the machine hits them alike. Reported is a good round (one in twenty is
better; what comes on top of it is the work of others on the machine) in µs per call *above the bare call*: driver,
clock, script and the ``Timeout(1)`` inside included. What the breaker adds to a call that has a Timeout is given as
well. The breaker may cost 1.3 times what pybreaker costs (``limit``).

Neither library does quite the same: pybreaker counts failures in a row and has no window, no slow calls and one probe
at a time; tenacity and our Retry end after a first success here. pybreaker 1.4 holds its lock during the call, so
calls of one breaker wait for each other; the second measurement shows it: eight threads, one call of 20 ms each.
"""

import contextlib
import gc
import json
import statistics
import threading
import time
from collections.abc import Callable

import pybreaker
import tenacity

from servicelab.policies import Bulkhead, CircuitBreaker, Retry, Timeout, call

LIMIT = 1.3  # times pybreaker
REPLY = ("ok", None)


def answered(timeout, number):
    """An attempt that costs nothing."""
    return REPLY


def ours(policy) -> Callable[[int], None]:
    def run(count):
        for _ in range(count):
            call(policy, answered)

    return run


def theirs(wrapped) -> Callable[[int], None]:
    """``wrapped(function, *arguments)`` is how the library makes a call."""

    def run(count):
        for _ in range(count):
            wrapped(answered, None, 1)

    return run


def refusing(breaker) -> Callable[[int], None]:
    def run(count):
        for _ in range(count):
            with contextlib.suppress(pybreaker.CircuitBreakerError):
                breaker.call(answered, None, 1)

    return run


def bare(count):
    for _ in range(count):
        answered(None, 1)


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker(Timeout(1), size=1, wait_open=1e6)
    call(breaker, lambda timeout, number: ("error", None))
    return breaker


def their_opened() -> pybreaker.CircuitBreaker:
    breaker = pybreaker.CircuitBreaker(reset_timeout=10**6)
    breaker.open()
    return breaker


def costs(calls: int = 2_000, rounds: int = 100) -> dict:
    """µs per call above the bare call, and whether our policies keep to the limit."""
    contestants = {
        "bare": bare,
        "Timeout": ours(Timeout(1)),
        "CircuitBreaker, count window": ours(CircuitBreaker(Timeout(1))),
        "CircuitBreaker, time window": ours(CircuitBreaker(Timeout(1), window="time", size=0.05)),
        "CircuitBreaker, open": ours(opened()),
        "Bulkhead": ours(Bulkhead(Timeout(1))),
        "Retry": ours(Retry(Timeout(1))),
        "pybreaker": theirs(pybreaker.CircuitBreaker().call),
        "pybreaker, open": refusing(their_opened()),
        "tenacity": theirs(tenacity.Retrying(stop=tenacity.stop_after_attempt(3))),
    }
    times = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            gc.collect()
            start = time.perf_counter()
            run(calls)
            times[name].append((time.perf_counter() - start) / calls * 1e6)
    best = {name: sorted(spent)[rounds // 20] for name, spent in times.items()}
    above = {name: cost - best["bare"] for name, cost in best.items() if name != "bare"}
    ratio = above["CircuitBreaker, count window"] / above["pybreaker"]
    return {
        **{f"{name} (µs/call)": round(cost, 2) for name, cost in above.items()},
        "CircuitBreaker above Timeout (µs/call)": round(above["CircuitBreaker, count window"] - above["Timeout"], 2),
        "tenacity : Retry": round(above["tenacity"] / above["Retry"], 2),
        "CircuitBreaker, time window : pybreaker": round(above["CircuitBreaker, time window"] / above["pybreaker"], 2),
        "CircuitBreaker : pybreaker": round(ratio, 2), "limit": LIMIT, "passed": ratio <= LIMIT,
    }  # fmt: skip


def crowd(threads: int = 8, seconds: float = 0.02) -> dict:
    """Milliseconds until ``threads`` calls of ``seconds`` each, begun at the same moment, are all answered."""

    def slow(timeout, number):
        time.sleep(seconds)
        return REPLY

    def together(make_call):
        start = threading.Barrier(threads + 1)

        def work():
            start.wait()
            make_call()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        start.wait()
        began = time.perf_counter()
        for worker in workers:
            worker.join()
        return (time.perf_counter() - began) * 1e3

    mine, other = CircuitBreaker(Timeout(1)), pybreaker.CircuitBreaker()
    spent = {"CircuitBreaker": [], "pybreaker": []}
    for _ in range(5):
        spent["CircuitBreaker"].append(together(lambda: call(mine, slow)))
        spent["pybreaker"].append(together(lambda: other.call(slow, None, 1)))
    return {f"{name} (ms)": round(statistics.median(times), 1) for name, times in spent.items()}


def run() -> dict:
    """Both, as one dict."""
    return {"cost of a call": costs(), "eight calls of 20 ms at once": crowd()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2, ensure_ascii=False))
