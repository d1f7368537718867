"""The breaker on a real server for eight seconds: recorded under threads, replayed to the letter.

A Flask server is well, fails, is well, hangs, fails in part, is slow, and is well again. Six threads call it through a
breaker with a count window, six through one with a time window. Nothing here asserts how long anything took: the times
that the run had are in the log, and a fresh breaker that is told the same must say and do the same.
"""

import threading
import time
from collections import Counter
from random import Random

import pytest
import requests
from flask import Flask

from servicelab.clients.session import attempt
from servicelab.policies import CircuitBreaker, Recorder, State, Timeout, Try, call, replay
from servicelab.servers import serve
from tests.breaker_model import Model, follow_log

#: From when on (seconds) the server does what.
PHASES = [(0.0, "well"), (0.8, "errors"), (1.8, "well"), (2.8, "hangs"), (4.1, "in part"), (5.6, "slow"), (6.7, "well")]
END = 8.0

SETTINGS = {
    "count": {"window": "count", "size": 20, "minimum_calls": 10},
    "time": {"window": "time", "size": 0.5, "minimum_calls": 6},
}
COMMON = {
    "failure_rate": 0.4,
    "slow_call_rate": 0.7,
    "slow_after": 0.06,
    "wait_open": 0.15,
    "permitted_half_open": 3,
    "max_wait_half_open": 0.4,
    "ignored": frozenset({"HTTP 404"}),
}


def breaker(kind, **other):
    return CircuitBreaker(Timeout(0.12), name=kind, **SETTINGS[kind] | COMMON | other)


def moody(start):
    """An app that keeps to PHASES from ``start`` (seconds on the monotonic clock) on."""
    app, chance = Flask("payment"), Random(7)

    @app.get("/pay")
    def pay():
        phase = [name for since, name in PHASES if time.monotonic() - start >= since][-1]
        if phase == "hangs":
            time.sleep(0.3)
        elif phase == "slow":
            time.sleep(0.08)
        if phase == "errors" or (phase == "in part" and chance.random() < 0.5):
            return "out of order", 500
        if chance.random() < 0.05:
            return "no such order", 404
        return "paid"

    return app


@pytest.fixture(scope="module")
def run():
    """The recorders of the run, by the kind of window."""
    recorders = {kind: Recorder(breaker(kind)) for kind in SETTINGS}
    start = time.monotonic()

    def client(recorder, pause):
        with requests.Session() as session:
            session.trust_env = False
            send = attempt(session, "GET", server.url + "/pay")
            while time.monotonic() < start + END:
                call(recorder, send)
                time.sleep(pause)

    with serve(moody(start), "payment", workers=16) as server:
        threads = [
            threading.Thread(target=client, args=(recorder, 0.02 + 0.003 * number), daemon=True)
            for recorder in recorders.values()
            for number in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    return recorders


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_run_had_what_a_breaker_has_to_cope_with(run, kind, report_figure):
    log, changes = run[kind].log, run[kind].policy.changes
    assert {entry.answer.status for entry in log if entry.answer} >= {"ok", "error", "timeout", "HTTP 404"}
    assert any(entry.question == "rejected" for entry in log)
    assert {state for _, state in changes} == set(State)
    said = Counter("try" if isinstance(entry.question, Try) else entry.question for entry in log)
    report_figure(
        f"breaker on a real server, {kind} window: {said['try']} attempts, {said['rejected']} calls turned "
        f"away, {len(changes)} changes of state; replayed identically"
    )


@pytest.mark.parametrize("kind", SETTINGS)
def test_calls_overlapped(run, kind):
    under_way, most = set(), 0
    for entry in run[kind].log:
        (under_way.add if isinstance(entry.question, Try) else under_way.discard)(entry.call)
        most = max(most, len(under_way))
    assert most >= 3, "one call after the other would prove little"


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_fresh_breaker_says_and_does_the_same(run, kind):
    fresh = breaker(kind)
    assert replay(run[kind].log, fresh) == run[kind].log
    assert fresh.changes == run[kind].policy.changes
    now = run[kind].log[-1].now
    assert fresh.metrics(now) == run[kind].policy.metrics(now)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize(
    "other",
    [
        {"failure_rate": 0.95},
        {"slow_after": 0.5},
        {"wait_open": 0.3},
        {"permitted_half_open": 4},
        {"ignored": {"timeout"}},
    ],
    ids=str,
)
def test_a_breaker_with_another_setting_does_not(run, kind, other):
    fresh = breaker(kind, **other)
    assert (replay(run[kind].log, fresh), fresh.changes) != (run[kind].log, run[kind].policy.changes)


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_plain_model_would_have_done_the_same(run, kind):
    model = Model(**SETTINGS[kind] | COMMON, successes={"ok"})
    assert follow_log(model, run[kind].log) == []
    assert model.changes == run[kind].policy.changes
