"""The numbers of chapter 11, each in its band: crashes, repetitions, memories, sagas; and what it is built on."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from math import exp, inf
from random import Random

import numpy as np
import pytest
import redis
import simpy

from servicelab import theory
from servicelab.faults import FaultProxy, ResetPeer
from servicelab.lifecycle import ServerError, components
from servicelab.policies import IdempotencyKeys, Retry, Timeout, sim_call
from servicelab.servers.mortal import Mortal, die
from servicelab.servers.redis import start_redis
from servicelab.views.demos.promises import WRITES, Promises, busy_minutes
from tests import cells
from tests.conftest import require
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_is_left")

# -- formulas against dice ----------------------------------------------------------------------


@pytest.mark.parametrize("rate, gap", [(100, 0.01), (100, 0.04), (200, 0.02)])
def test_a_crash_loses_who_stands_in_the_gap(rate, gap):
    dice = np.random.default_rng(1)
    lost = [np.sum(dice.uniform(0, 1, dice.poisson(rate)) > 1 - gap) for _ in range(5000)]
    assert np.mean(lost) == pytest.approx(theory.lost_per_crash(rate, gap), rel=0.08)
    assert np.mean(np.array(lost) > 0) == pytest.approx(theory.dirty_window(rate, gap), abs=0.03)


def repeated(p, q, tries, calls=8_000):
    """(executions, attempts, failed but done) for each call, with the course's Retry in SimPy."""
    env, dice, executed, attempts, failed = simpy.Environment(), Random(2), [], [], []

    def caller(number):
        def attempt(timeout, which):
            attempts.append(number)
            yield env.timeout(1)
            if dice.random() < p:
                return "lost"
            executed.append(number)
            return "lost" if dice.random() < q else "ok"

        if (yield from sim_call(env, Retry(Timeout(5), tries=tries), attempt)) != "ok":
            failed.append(number)

    for number in range(calls):
        env.process(caller(number))
    env.run()
    return len(executed) / calls, len(attempts) / calls, len(set(failed) & set(executed)) / calls


def test_only_a_lost_reply_repeats_the_work():
    few, many = repeated(0.3, 0.1, 200), repeated(0.1, 0.3, 200)
    assert few[0] == pytest.approx(theory.executions(0.1), rel=0.03) and theory.executions(0.1, p=0.9) == 1 / 0.9
    assert many[0] == pytest.approx(theory.executions(0.3), rel=0.04)
    assert few[1] == pytest.approx(1 / 0.63, rel=0.04) and many[1] == pytest.approx(1 / 0.63, rel=0.04)


def test_who_gives_up_says_failed_to_some_for_whom_it_was_done():
    executed, _, failed = repeated(0.2, 0.2, 3)
    assert failed == pytest.approx(theory.failed_but_done(0.2, 0.2, 3), abs=0.009)
    assert theory.failed_but_done(0.2, 0.2, 3) == pytest.approx(0.0387, abs=0.0001)
    assert executed == pytest.approx(theory.executions(0.2, 0.2, 3), rel=0.03)
    assert theory.executions(0, 1, 3) == 0 and theory.executions(1, 0, 3) == 3


@pytest.mark.parametrize("window, delay", [(300, 60), (300, 120)])
def test_what_comes_after_the_window_is_done_again(window, delay):
    dice, keys, come = Random(3), IdempotencyKeys(keep=window), []
    for n in range(10_000):
        come += [(n, n), (n + dice.expovariate(1 / delay), n)]
    again = [keys.ask(n, n, at).word for at, n in sorted(come)].count("new") / 10_000 - 1
    assert again == pytest.approx(theory.forgotten(window, delay), abs=0.01) and theory.forgotten(0, 1) == 1


def test_the_other_formulas():
    assert theory.outbox_lag(98, 1, 100) == 0.5 and theory.outbox_lag(110, 1, 100) == inf
    assert theory.dirty_window(5, 0.2) == pytest.approx(1 - exp(-1))
    assert [theory.stale_reads(*nrw) for nrw in ((3, 1, 1), (5, 2, 2), (3, 2, 2))] == pytest.approx([2 / 3, 0.3, 0])
    assert 1 - theory.stale_reads(3, 1, 1, versions=5) == pytest.approx(0.868, abs=0.001)


@pytest.mark.parametrize(
    "wrong, quoted",
    [
        (lambda: theory.executions(1), "q=1"),
        (lambda: theory.lost_per_crash(-1, 1), "lam=-1"),
        (lambda: theory.forgotten(1, 0), "delay=0"),
        (lambda: theory.stale_reads(3, 4, 1), "r=4"),
        (lambda: theory.outbox_lag(1, 0, 1), "poll=0"),
        (lambda: theory.failed_but_done(2, 0, 1), "2 must be a probability"),
        (lambda: IdempotencyKeys(keep=0), "keep=0"),
    ],
)
def test_misuse_is_refused(wrong, quoted):
    with pytest.raises(ValueError, match=quoted):
        wrong()


# -- keys ---------------------------------------------------------------------------------------


def test_a_key_is_new_once_then_outstanding_then_finished_then_forgotten():
    keys = IdempotencyKeys(keep=10)
    assert keys.ask("a", "mug", 0) == ("new", None) and keys.ask("a", "mug", 1) == ("outstanding", None)
    assert keys.ask("a", "cup", 1).word == "other payload"
    keys.finish("a", "paid")
    assert keys.ask("a", "mug", 9.9) == ("finished", "paid") and keys.ask("a", "cup", 9.9).word == "other payload"
    assert keys.ask("a", "mug", 10).word == "new" and len(keys) == 1


def test_a_released_key_may_be_tried_again_and_only_an_outstanding_one_can_be_finished():
    keys = IdempotencyKeys()
    keys.ask("a", "mug", 0)
    keys.release("a")
    assert keys.ask("a", "mug", 0).word == "new"
    keys.finish("a", "paid")
    for wrong in (lambda: keys.finish("a", "twice"), lambda: keys.release("a"), lambda: keys.finish("b", "")):
        with pytest.raises(KeyError, match="is not outstanding"):
            wrong()


def test_of_many_at_once_one_is_new():
    keys, heard, start = IdempotencyKeys(), [], threading.Barrier(8)

    class Slow(str):
        def __hash__(self):  # each look takes a while, so that a race shows at once
            time.sleep(0.01)
            return super().__hash__()

    def ask():
        start.wait()
        heard.append(keys.ask(Slow("a"), "mug", 0).word)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == ["new"] + ["outstanding"] * 7


# -- a process that is made to be killed --------------------------------------------------------


def write_for_ever(file):
    with open(file, "w") as lines:
        while True:
            print("one", file=lines, flush=True)
            time.sleep(0.001)


def test_a_kill_leaves_what_was_written_and_no_process(tmp_path):
    with Mortal(write_for_ever, str(tmp_path / "lines")) as process:
        wait_until(lambda: (tmp_path / "lines").exists() and (tmp_path / "lines").stat().st_size > 10)
        pid, alive = process.pid, process.fate
        process.kill()
        assert alive is None and process.fate < 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_may_die_by_itself_or_end_well_or_fail():
    with Mortal(die) as process:
        assert process.wait() < 0
    with Mortal(len, "abc") as process:
        assert process.wait() == 0
    with Mortal(int, "mug") as process, pytest.raises(ServerError, match="invalid literal.*'mug'"):
        process.wait()


def test_it_ends_when_whoever_started_it_is_killed(tmp_path):
    program = f"""
import sys
from servicelab.servers.mortal import Mortal
from tests.test_chapter_11 import write_for_ever
with Mortal(write_for_ever, {str(tmp_path / "lines")!r}) as process:
    print(process.pid, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert int(starter.stdout.readline()) > 0
        starter.kill()
    file = tmp_path / "lines"

    def is_still():
        size = file.stat().st_size if file.exists() else 0
        time.sleep(0.2)
        return size == (file.stat().st_size if file.exists() else 0)

    wait_until(is_still)


def test_what_cannot_be_sent_is_an_error():
    with pytest.raises(ServerError, match="cannot be sent"), Mortal(print, threading.Lock()):
        pass
    for ask in (Mortal(print).kill, Mortal(print).wait):
        with pytest.raises(ServerError, match="has no process"):
            ask()
    assert components() == []


# -- redis --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_redis(tmp_path_factory):
    """The address of a real redis-server. It wants to be told a port: where another process was quicker, the next."""
    program, folder = require("redis-server"), tmp_path_factory.mktemp("redis")
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis("127.0.0.1", port, retry=None) as client:
                wait_until(lambda: process.poll() is not None or answers(client), limit=30)  # noqa: B023
            if process.poll() is None:
                yield "127.0.0.1", port
                return
        finally:
            process.kill()
            process.wait()
    pytest.fail("redis-server got none of five ports")


def answers(client):
    with contextlib.suppress(redis.ConnectionError):
        return client.ping()


@pytest.fixture(params=["fake", "real"])
def some_redis(request, monkeypatch):
    """Which Redis the chapter's cells get: its own, or a real one by its address."""
    if request.param == "real":
        monkeypatch.setenv("SERVICELAB_REDIS", "{}:{}".format(*request.getfixturevalue("real_redis")))
    return request.param


def test_redis_reserves_a_key_and_its_client_repeats_a_command_by_itself(some_redis):
    with start_redis() as server, FaultProxy(server, "lossy redis") as wire:
        direct, client = redis.Redis(*server.address), redis.Redis(*wire.address)
        key, orders = server.own("key"), server.own("orders")
        assert client.set(key, "mine", nx=True, ex=60) and client.set(key, "yours", nx=True) is None
        client.incr(orders)
        wire.add(ResetPeer())
        mender = threading.Thread(
            target=lambda: (wait_until(lambda: direct.get(orders) == b"2"), wire.remove("reset_peer_downstream"))
        )
        mender.start()
        said = client.incr(orders)
        mender.join()
        assert said == int(direct.get(orders)) > 2  # the second order was counted again
        client.close()
        direct.close()


def test_the_chapters_cells_count_too_often_on_either_redis(some_redis):
    code = cells.code_of(cells.notebook_of("11"))
    page = cells.run(code, cells.needed(code, "c-redis-run", also=["c-redis-tools"]))
    said, counted = page["count_two"]()
    assert said == counted > 2
    assert page["count_two"](retry=page["RedisRetry"](page["NoBackoff"](), 0)) == ("ConnectionError", 2)


def test_a_redis_of_somebody_else_keeps_what_is_not_ours(monkeypatch, real_redis):
    monkeypatch.setenv("SERVICELAB_REDIS", "{}:{}".format(*real_redis))
    with redis.Redis(*real_redis) as direct:
        direct.set("theirs", "1")
        with start_redis() as ours:
            direct.set(ours.own("key"), "1")
            assert ours.address == real_redis and len(direct.keys()) == 2
        assert direct.keys() == [b"theirs"]
        direct.flushall()


@pytest.mark.parametrize("address, said", [("nowhere", "is no address"), ("127.0.0.1:9", "no Redis answers")])
def test_an_address_at_which_no_redis_answers_is_an_error(address, said, monkeypatch):
    monkeypatch.setenv("SERVICELAB_REDIS", address)
    with pytest.raises(ServerError, match=said):
        start_redis()


# -- the panel ----------------------------------------------------------------------------------


def test_the_panel_loses_and_pays_twice_by_the_formulas_and_has_a_zero_for_each_counter():
    fell = [len(busy_minutes(seed, False, 0.2, 30, 0, "no keys")[2]) for seed in range(20)]
    assert np.mean(fell) == pytest.approx(30 * theory.lost_per_crash(20, 0.2), rel=0.1)
    orders, _, _, twice = busy_minutes(1, True, 0, 0, 0.1, "no keys")
    assert len(twice) == pytest.approx(0.1 * len(orders), rel=0.1)
    late = busy_minutes(1, True, 0, 0, 0.1, "for a minute")[3]
    assert len(late) / len(twice) == pytest.approx(theory.forgotten(60, 60), rel=0.15)
    panel = Promises(seed=1)
    panel.set(writes=WRITES[1], keys="for a day", lost=30, crashes=30)
    assert "0 orders are in the books" in panel.alt and "0 orders are paid more than once" in panel.alt
    panel.close()
