"""Load on a real server from real threads: open loop (requests come when they come) and closed loop.

In an **open loop** every request has a time at which it is *due*, whatever became of those before it: customers
do not know of each other. Latency counts from the due time. In a **closed loop** a client sends its
next request when its last one is answered, so a slow server slows its own load down, and what would
have come meanwhile is never measured (Gil Tene calls it coordinated omission).

Measured on Linux with two cores, 1 000 requests at 200/s to a server in the same kernel (eight workers,
10 ms of sleep): a request starts 0.10 ms after it is due in the median, 0.7 ms at the 99th percentile.
The oversleeping of the operating system is most of it (0.12 ms for ``time.sleep(0.01)``).
"""

import math
import threading
import time
from collections import Counter
from typing import NamedTuple

import requests

from servicelab.arguments import positive, seconds, whole
from servicelab.clients.session import status_of
from servicelab.lifecycle import join

MOST_CLIENTS = 512


class Sample(NamedTuple):
    """One request, times in seconds from the start of the load.

    ``end`` is None and ``status`` "unfinished" when it had no answer at the time limit; ``start`` is
    None as well when no client became free to send it.
    """

    due: float
    start: float | None
    end: float | None
    status: str

    @property
    def latency(self) -> float | None:
        """Seconds from when the request was due to its end: what the customer waited."""
        return None if self.end is None else self.end - self.due


class Samples(list):
    """The samples in order of due time.

    ``began`` is the start on ``time.monotonic()``, the clock of a trace. ``exhausted`` counts the
    requests that became due while every client was busy; they started late, and their ``start``
    says how late.
    """

    def __init__(self, samples=(), began=0.0, exhausted=0):
        super().__init__(samples)
        self.began = began
        self.exhausted = exhausted

    def __repr__(self):
        counted = ", ".join(f"{count} {status}" for status, count in Counter(s.status for s in self).most_common())
        counted = counted or "none"
        late = f"; {self.exhausted} started late, every client was busy" if self.exhausted else ""
        return f"<{len(self)} samples: {counted}{late}>"


def open_loop(send, due, clients: int = 64, limit: float = 30.0) -> Samples:
    """Call ``send()`` at each of the times ``due`` and return the samples.

    ``due`` are seconds from the start, ascending. ``clients`` threads wait for them: at most so many
    requests can be under way, a further one starts late and is recorded so. ``limit`` is how many seconds
    after the last due time the load ends at the latest; what is unanswered then is counted as unfinished.

    ``send`` returns a ``requests.Response``, a status, or None for "ok"; an exception of requests
    becomes its status ("timeout", "refused", "lost"). Any other exception is a mistake in ``send``:
    it ends the load and is raised here. An interrupt ends the load, too. Raises ValueError for times
    that are negative, not finite or not ascending, and for a bad ``clients`` or ``limit``.
    """
    times = [float(at) for at in due]
    for before, at in zip([0.0, *times], times):
        if not math.isfinite(at) or at < before:
            raise ValueError(f"due={at!r} after {before!r}: due times are seconds from the start, ascending from 0")
    _check(send, clients, limit)
    load = _Load(send, times, limit)
    return load.run(min(clients, len(times)), load.open_client, times[-1] if times else 0.0)


def closed_loop(send, clients: int, count: int, think: float = 0.0, limit: float = 30.0) -> Samples:
    """Let ``clients`` threads send ``count`` requests in all, each its next one when its last has ended.

    Between two requests a client thinks for ``think`` seconds. A sample's due time is its start: a
    closed loop knows no other. ``limit`` is how many seconds the load lasts at most. ``send`` and the
    errors are as for :func:`open_loop`.
    """
    _check(send, clients, limit)
    count, think = whole("count", count, "requests", least=0), seconds("think", think)
    load = _Load(send, [None] * count, limit, think)
    return load.run(min(clients, count), load.closed_client, 0.0)


class _Load:
    def __init__(self, send, times, limit, think=0.0):
        self.send, self.times, self.limit, self.think = send, times, limit, think
        self.samples: list[Sample | None] = [None] * len(times)
        self.next = 0
        self.exhausted = 0
        self.mistake = None
        self.began = math.inf
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.halt = threading.Event()

    def run(self, clients, work, last_due):
        self.clients = clients
        threads = [
            threading.Thread(target=self.client, args=(work,), name=f"servicelab load {number}", daemon=True)
            for number in range(1, clients + 1)
        ]
        try:
            for thread in threads:
                thread.start()
            self.began = time.monotonic() + 0.005  # for the threads to wake up
            self.go.set()
            end = self.began + last_due + self.limit
            for thread in threads:
                # In slices: on some systems a wait without end cannot be interrupted.
                while thread.is_alive() and time.monotonic() < end and not self.halt.is_set():
                    thread.join(0.1)
        finally:
            self.halt.set()
            self.go.set()
            join(threads, 0.5)
        if self.mistake is not None:
            raise self.mistake
        with self.lock:  # what still hangs can add nothing any more
            samples = [
                sample or Sample(due, None, None, "unfinished")
                for sample, due in zip(self.samples, self.times)
                if sample is not None or due is not None
            ]
        return Samples(sorted(samples, key=lambda sample: sample.due), self.began, self.exhausted)

    def client(self, work):
        self.go.wait()
        while not self.halt.is_set() and (index := self.take()) is not None:
            try:
                work(index)
            except BaseException as error:
                self.mistake = self.mistake or error
                self.halt.set()

    def take(self):
        with self.lock:
            if self.next == len(self.times):
                return None
            self.next += 1
            return self.next - 1

    def open_client(self, index):
        due = self.times[index]
        wait = self.began + due - time.monotonic()
        if wait < 0:
            # With fewer requests before it than there are clients, one was free, and only late to wake up.
            with self.lock:
                self.exhausted += index >= self.clients
        elif self.halt.wait(wait):
            return
        self.ask(index, due)

    def closed_client(self, index):
        self.ask(index, None)
        self.halt.wait(self.think)

    def ask(self, index, due):
        start = time.monotonic() - self.began
        due = start if due is None else due
        self.samples[index] = Sample(due, start, None, "unfinished")
        status = _status(self.send)
        end = time.monotonic() - self.began
        if not self.halt.is_set():
            self.samples[index] = Sample(due, start, end, status)


def _status(send) -> str:
    try:
        outcome = send()
    except requests.RequestException as error:
        return status_of(error)
    if outcome is None:
        return "ok"
    return status_of(outcome) if isinstance(outcome, requests.Response) else str(outcome)


def _check(send, clients, limit):
    if not callable(send):
        raise ValueError(f"send={send!r} must be a function without arguments that makes one request")
    whole("clients", clients, most=MOST_CLIENTS)
    positive("limit", limit, "seconds")
