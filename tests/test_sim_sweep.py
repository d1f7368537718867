"""Sweeps: the same numbers on any number of processes and on a dask cluster, and mistakes named."""

import logging
import pickle
import subprocess
import sys
import threading
import time
import warnings

import joblib
import numpy as np
import psutil
import pytest
import simpy

from servicelab.clients.errors import CallFailed, DeadlineExceeded, RequestFailed
from servicelab.clients.rpc import RPCFailed
from servicelab.lifecycle import ServerError
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.registry.api import Refused
from servicelab.sim import Draws, Service, poisson
from servicelab.sim.sweep import Sweep, seed_of, sweep

GRID = {"load": [0.3, 0.6], "workers": [1, 2, 3]}


def queue(load, workers, seed):
    """A small SimPy run that draws enough numbers to give any mix-up away."""
    env, draws = simpy.Environment(), Draws(seed)
    journeys = poisson(
        env, load * workers, Service(env, "orders", draws.exponential("work", 1.0), workers), draws, count=200
    )
    env.run()
    return {"latency": journeys.latency.mean(), "end": env.now}


@pytest.fixture(scope="module")
def serial():
    return sweep(queue, GRID, replications=2, seed=7).values


def equal(found: Sweep, expected):
    return all((found.values[name] == expected[name]).all() for name in ("latency", "end"))


# -- the result -----------------------------------------------------------------------------------------


def test_points_and_replications_are_where_they_belong():
    found = sweep(lambda a, b, seed: 10 * a + b, {"a": [1, 2, 3], "b": [4, 5]}, replications=3)
    assert found.mean().tolist() == [[14, 15], [24, 25], [34, 35]]
    assert found.values["value"].shape == (3, 2, 3)
    assert found.axes == {"a": [1, 2, 3], "b": [4, 5]}
    assert found.error().tolist() == [[0, 0]] * 3


def test_means_and_standard_errors_are_those_of_the_replications():
    found = sweep(queue, GRID, replications=5)
    values = found.values["latency"]
    assert found.mean("latency")[1, 2] == pytest.approx(sum(values[1, 2]) / 5)
    spread = sum((value - values[1, 2].mean()) ** 2 for value in values[1, 2]) / 4
    assert found.error("latency")[1, 2] == pytest.approx((spread / 5) ** 0.5)
    assert np.isnan(sweep(queue, GRID).error("end")).all()


def test_the_standard_error_covers_as_it_should():
    """Of 400 means of 10 normal draws each, 95% lie within 2.26 standard errors (Student, 9 degrees of freedom)."""
    found = sweep(lambda n, seed: np.random.default_rng(seed).standard_normal(), {"n": range(400)}, replications=10)
    covered = (np.abs(found.mean()) < 2.262 * found.error()).mean()
    assert covered == pytest.approx(0.95, abs=5 * (0.95 * 0.05 / 400) ** 0.5)


def test_the_table_has_a_row_for_each_point():
    found = sweep(
        lambda load, kind, seed: {"wait": load, "well": True}, {"load": [0.5, 1.0], "kind": ["a"]}, replications=2
    )
    table = found.table()
    assert table.headings == ["load", "kind", "wait", "± wait", "well", "± well"]
    assert list(table) == [[0.5, "a", 0.5, 0.0, 1.0, 0.0], [1.0, "a", 1.0, 0.0, 1.0, 0.0]]
    assert "± wait" in str(found) and "<table>" in found._repr_html_()


# -- seeds ----------------------------------------------------------------------------------------------


def test_each_task_has_a_seed_of_its_own_and_always_the_same():
    found = sweep(lambda a, b, seed: seed % 2**32, {"a": range(10), "b": range(10)}, replications=10, seed=3)
    values = found.values["value"]
    assert len(np.unique(values)) == 1000
    assert values[2, 5, 7] == seed_of(3, (2, 5), 7) % 2**32
    assert seed_of(1, (0,), 0) == seed_of(1, (0,), 0) == 14058964512135429690
    other = sweep(lambda a, b, seed: seed % 2**32, {"a": range(10), "b": range(10)}, replications=10, seed=4)
    assert not np.isin(other.values["value"], values).any()


def test_common_random_numbers_differ_between_replications_only():
    found = sweep(lambda a, seed: seed % 2**32, {"a": range(5)}, replications=4, common=True)
    values = found.values["value"]
    assert (values == values[0]).all() and len(set(values[0])) == 4

    def difference(common):
        latency = sweep(queue, {"load": [0.6, 0.62], "workers": [1]}, replications=30, common=common).values["latency"]
        return (latency[1, 0] - latency[0, 0]).std()

    assert difference(common=True) < 0.3 * difference(common=False)


def test_the_seed_makes_the_result():
    again, other = sweep(queue, GRID, seed=7), sweep(queue, GRID, seed=8)
    assert (again.values["end"] == sweep(queue, GRID, seed=7).values["end"]).all()
    assert (again.values["end"] != other.values["end"]).all()


# -- any number of processes, any backend -----------------------------------------------------------------


@pytest.mark.parametrize("backend, jobs", [("threading", 3), ("loky", 2)])
def test_the_result_does_not_depend_on_workers_or_backend(serial, backend, jobs):
    threads, children = set(threading.enumerate()), set(psutil.Process().children())
    with joblib.parallel_config(backend=backend):
        assert equal(sweep(queue, GRID, replications=2, seed=7, jobs=jobs), serial)
    assert _eventually(lambda: not _workers(children))
    # joblib tells its threads to end, and does not wait until they have
    assert _eventually(lambda: all(t in threads or type(t).__name__ == "TMonitor" for t in threading.enumerate()))


def _eventually(true, limit=10.0):
    until = time.monotonic() + limit
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


def _listening():
    """The addresses on which this process and its children listen."""
    return {
        socket.laddr.ip
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
        for socket in process.net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    }


def _workers(before):
    """New child processes, but for the two small trackers that Python and loky keep until the end."""
    new = []
    for child in psutil.Process().children():
        try:
            if child not in before and "resource_tracker" not in " ".join(child.cmdline()):
                new.append(child)
        except psutil.NoSuchProcess:
            pass
    return new


def test_parallel_config_decides_when_jobs_is_left_out(serial):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        names = sweep(lambda a, seed: float(threading.current_thread() is threading.main_thread()), {"a": range(6)})
        assert equal(sweep(queue, GRID, replications=2, seed=7), serial)
    assert names.values["value"].sum() == 0
    alone = sweep(lambda a, seed: float(threading.current_thread() is threading.main_thread()), {"a": range(3)})
    assert alone.values["value"].sum() == 3


@pytest.mark.parametrize("processes", [False, True])
def test_a_dask_cluster_gives_the_same_numbers(serial, processes):
    import distributed

    children, listened = set(psutil.Process().children()), _listening()
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=processes,
            host="127.0.0.1",
            protocol="tcp://",
            scheduler_port=0,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        warnings.simplefilter("ignore")
        found = sweep(queue, GRID, replications=2, seed=7, progress=True)
        assert _listening() == {"127.0.0.1"}
        # It did run there, not here.
        where = sweep(
            lambda a, seed: float(
                "distributed.worker" in sys.modules and threading.current_thread() is not threading.main_thread()
            ),
            {"a": [1, 2]},
        )
    assert equal(found, serial)
    assert where.values["value"].sum() == 2
    assert _eventually(lambda: not _workers(children)) and _listening() <= listened


NOTEBOOK = """
import joblib
from servicelab.sim.sweep import sweep

factor = 2.0
def scaled(a, seed):            # as in a notebook: in __main__, with a global and a lambda
    import os
    return {"value": (lambda x: factor * x)(a), "process": os.getpid(), "seed": seed % 1000}

found = sweep(scaled, {"a": [1, 2, 3]}, jobs=2, progress=True)
import os
assert os.getpid() not in found.values["process"], "it ran in this process"
print(found.mean("value").tolist(), found.values["seed"].ravel().tolist() ==
      sweep(scaled, {"a": [1, 2, 3]}).values["seed"].ravel().tolist())
"""


def test_one_after_another_starts_no_process_at_all():
    code = (
        "import psutil; from servicelab.sim.sweep import sweep; sweep(lambda a, seed: a, {'a': [1]}); "
        "print(psutil.Process().children())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "[]\n"


def test_functions_of_a_notebook_go_to_other_processes():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[2.0, 4.0, 6.0] True\n", done.stderr
    assert "3/3" in done.stderr  # the bar


def test_without_progress_nothing_is_written(capsys):
    sweep(lambda a, seed: a, {"a": [1, 2]})
    assert capsys.readouterr() == ("", "")


# -- mistakes ---------------------------------------------------------------------------------------------


def fails_at_two(a, seed):
    if a == 2:
        raise KeyError("quantity")
    return a


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_is_passed_on_and_says_where(jobs):
    children = set(psutil.Process().children())
    with pytest.raises(KeyError, match="quantity") as caught:
        sweep(fails_at_two, {"a": [1, 2, 3]}, jobs=jobs)
    assert any(note.startswith("at a=2, seed=") for note in caught.value.__notes__)
    assert _eventually(lambda: not _workers(children))


class TwoArguments(Exception):
    """One whose constructor takes more than the text that an exception keeps."""

    def __init__(self, status, attempts):
        super().__init__(f"{status} after {attempts}")


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("no")


ERRORS = {
    "two arguments": (lambda: TwoArguments("timeout", 3), (TwoArguments, RuntimeError), "timeout after 3"),
    "no pickle": (lambda: Unpicklable("deep inside"), (Unpicklable, RuntimeError), "deep inside"),
    "a lock in it": (lambda: ValueError("locked", threading.Lock()), (ValueError, RuntimeError), "locked"),
    "the course's": (lambda: CallFailed("rejected", 2, "pay()"), CallFailed, r"^pay\(\) ended with 'rejected' after 2"),
    "a session's": (lambda: RequestFailed("timeout", 2, "GET /"), RequestFailed, "^GET / ended with 'timeout' after 2"),
    "a deadline": (lambda: DeadlineExceeded("GET /"), DeadlineExceeded, "^GET / ended with 'deadline' after 0"),
    "gRPC's": (lambda: RPCFailed("rejected", 1, "Get"), RPCFailed, "^Get ended with 'rejected' after 1"),
    "the broker's": (lambda: AmqpError(404, "no queue 'x'"), AmqpError, "^404 NOT_FOUND - no queue 'x'"),
    "the registry's": (lambda: Refused(400, "bad TTL", {"A": "b"}), Refused, "^400 bad TTL"),
    "a server's": (lambda: ServerError("no port"), ServerError, "^no port"),
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("make", "kinds", "text"), ERRORS.values(), ids=ERRORS)
def test_any_error_comes_back_with_its_text_and_says_where(make, kinds, text, jobs):
    def fails(a, seed):
        if a == 2:
            raise make()
        return a

    with pytest.raises(kinds, match=text) as caught:
        sweep(fails, {"a": [1, 2, 3]}, jobs=jobs)
    assert any(note.startswith("at a=2, seed=") for note in caught.value.__notes__)
    if jobs == 2:
        assert "in fails" in caught.value.__notes__[-1], "where in the code"


def test_the_courses_own_exceptions_keep_what_they_carry():
    for make, _, text in ERRORS.values():
        if make().__class__.__module__.startswith("servicelab"):
            error = make()
            error.add_note("kept")
            again = pickle.loads(pickle.dumps(error))
            assert str(again) == str(error) and vars(again) == vars(error) and again.args == error.args, text


@pytest.mark.parametrize(
    "wrong, error, quoted",
    [
        (lambda: sweep(queue, {}), ValueError, "grid={} must map parameters to their values"),
        (lambda: sweep(queue, [0.5]), ValueError, r"grid=\[0.5\] must map"),
        (
            lambda: sweep(queue, {"load": 0.5, "workers": [1]}),
            ValueError,
            r"load=0.5 must be a list.*\{'load': \[0.5\]\}",
        ),
        (lambda: sweep(queue, {"load": [], "workers": [1]}), ValueError, r"load=\[\] has no values"),
        (lambda: sweep(queue, {"load": "0.5", "workers": [1]}), ValueError, "load='0.5' must be a list"),
        (lambda: sweep(queue, {**GRID, "seed": [1]}), ValueError, "seed must not be in it"),
        (lambda: sweep(queue, {"load": [0.5]}), TypeError, "must take load and seed: missing.*'workers'"),
        (lambda: sweep(queue, {**GRID, "speed": [1]}), TypeError, "unexpected keyword argument 'speed'"),
        (lambda: sweep(lambda load: 1.0, {"load": [0.5]}), TypeError, "unexpected keyword argument 'seed'"),
        (lambda: sweep("queue", GRID), TypeError, "function='queue' must be a function"),
        (lambda: sweep(queue, GRID, replications=0), ValueError, "replications=0"),
        (lambda: sweep(queue, GRID, seed=1.5), TypeError, "seed=1.5 must be a whole number"),
        (lambda: sweep(queue, GRID, seed=True), TypeError, "seed=True"),
        (lambda: sweep(queue, GRID, jobs=0), ValueError, "jobs=0 must be"),
        (lambda: sweep(queue, GRID, jobs="two"), TypeError, "jobs='two' must be"),
        (
            lambda: sweep(lambda a, seed: "fast", {"a": [1]}),
            TypeError,
            "returned 'fast' for 'value': it must return a num",
        ),
        (lambda: sweep(lambda a, seed: {"x": None}, {"a": [1]}), TypeError, "returned None for 'x'"),
        (lambda: sweep(lambda a, seed: {}, {"a": [1]}), TypeError, "returned {}"),
        (lambda: sweep(lambda a, seed: {str(a): 1}, {"a": [1, 2]}), ValueError, "same quantities"),
        (lambda: sweep(queue, GRID).mean(), ValueError, "quantity=None must be one of 'latency', 'end'"),
        (lambda: sweep(queue, GRID).error("wait"), ValueError, "quantity='wait' must be one of"),
    ],
)
def test_misuse_is_refused_by_name(wrong, error, quoted):
    with pytest.raises(error, match=quoted):
        wrong()
