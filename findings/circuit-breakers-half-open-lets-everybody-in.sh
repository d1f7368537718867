#!/usr/bin/env bash
# circuitbreaker 2.1.3, aiobreaker 1.2.0 and purgatory 3.0.1: a half-open breaker lets every caller through, not one.
#
# Half-open is there to ask a service that was down with *one* call; circuitbreaker's README says so: it "allows one
# test-execution". All three let pass whoever comes before the first trial has ended. If the service still hangs or is
# slow, that is everybody: 50 callers at once make 50 calls to a service that has just begun to get up, at every end of
# the timeout. It does not show with one thread, nor in a test that calls one after the other. While open, all three let
# nobody through, and pybreaker 1.4.1 lets through one; these are the controls. (pybreaker pays for it otherwise: it holds
# a lock during each call, see its issues 3 and 55.)
#
# Seen, of 50 callers at once: while open 0, half-open 50 (circuitbreaker, aiobreaker, purgatory); pybreaker 0 and 1
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check circuitbreaker==2.1.3 aiobreaker==1.2.0 \
    purgatory==3.0.1 pybreaker==1.4.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import contextlib
import datetime
import importlib.metadata
import sys
import threading
import time

import aiobreaker
import circuitbreaker
import purgatory
import pybreaker

CALLERS, FAILURES, OPEN, TRIAL = 50, 3, 1.0, 0.5  # OPEN and TRIAL in seconds
reached = []


def payment():
    reached.append(1)
    time.sleep(TRIAL)
    raise OSError("still down")


async def payment_async():
    reached.append(1)
    await asyncio.sleep(TRIAL)
    raise OSError("still down")


def by_threads(call):
    """How many of the callers reached the service, while the breaker is open and when it is half-open."""

    def caller():
        with contextlib.suppress(Exception):
            call()

    def at_once():
        reached.clear()
        threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(reached)

    for _ in range(FAILURES):
        caller()
    while_open = at_once()
    time.sleep(OPEN + 0.2)
    return while_open, at_once()


async def by_tasks(call):
    async def caller():
        with contextlib.suppress(Exception):
            await call()

    async def at_once():
        reached.clear()
        await asyncio.gather(*[caller() for _ in range(CALLERS)])
        return len(reached)

    for _ in range(FAILURES):
        await caller()
    while_open = await at_once()
    await asyncio.sleep(OPEN + 0.2)
    return while_open, await at_once()


def all_of_them():
    guarded = circuitbreaker.circuit(failure_threshold=FAILURES, recovery_timeout=OPEN)(payment)
    yield "circuitbreaker", by_threads(guarded)
    slow = aiobreaker.CircuitBreaker(fail_max=FAILURES, timeout_duration=datetime.timedelta(seconds=OPEN))
    yield "aiobreaker", asyncio.run(by_tasks(lambda: slow.call_async(payment_async)))
    factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=FAILURES, default_ttl=OPEN)
    yield "purgatory", asyncio.run(by_tasks(factory("payment")(payment_async)))
    one = pybreaker.CircuitBreaker(fail_max=FAILURES, reset_timeout=OPEN)
    yield "pybreaker", by_threads(lambda: one.call(payment))


found = dict(all_of_them())
for name, (while_open, half_open) in found.items():
    version = importlib.metadata.version(name)
    print(f"{name} {version}: of {CALLERS} callers at once, {while_open} got through while open, {half_open} half-open")
control = found.pop("pybreaker") == (0, 1)
sys.exit(0 if control and all(one == (0, CALLERS) for one in found.values()) else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
