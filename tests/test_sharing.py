"""How the tests are shared out among the workers of `make test`."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.sharing import BROWSERS, NOTEBOOKS, NOTEBOOKS_AT_ONCE, PAGES, ROOT, Sharing, group_of, name_of, order_of


def test_a_file_a_folder_and_a_notebook_stay_together_and_answers_go_where_there_is_room():
    assert group_of("tests/test_trace.py::test_one") == group_of("tests/test_trace.py::test_two[a::b[0]-1]")
    assert group_of("tests/some/test_one.py::test") == group_of("tests/some/test_two.py::test")
    answer = "tests/test_labs.py::test_the_solution_is_accepted[01 {}]"
    assert group_of(answer.format("stock")) != group_of(answer.format("cache"))
    for path in NOTEBOOKS:
        first, second = (f"tests/test_notebooks.py::test_{n}[{name_of(path)}]" for n in ("one", "two"))
        assert group_of(first) == group_of(second)
    groups = {group_of(f"tests/test_notebooks.py::test_one[{name_of(path)}]") for path in NOTEBOOKS}
    assert len(groups) == len(NOTEBOOKS)


def test_there_are_few_browsers():
    tests = [f"tests/test_browser.py::test_one[{name_of(path)}]" for path in PAGES]
    assert len({group_of(test) for test in [*tests, "tests/test_browser.py::test_two"]}) == BROWSERS


def test_the_longest_come_first():
    sizes = [path.stat().st_size for path in NOTEBOOKS]
    assert sizes == sorted(sizes, reverse=True)
    files = [Path("tests/test_labs.py"), Path("tests/test_trace.py"), Path("tests/test_browser.py")]
    assert [path.stem for path in sorted(files, key=order_of)] == ["test_browser", "test_trace", "test_labs"]


class Worker:
    """What the scheduler sees of a worker: it is told the places of tests in the list of all."""

    shutting_down = False

    def __init__(self):
        self.gateway, self.told = SimpleNamespace(id=str(id(self))), []

    def send_runtest_some(self, places):
        self.told += places

    def shutdown(self):
        self.shutting_down = True


def test_few_notebooks_run_at_once_and_no_worker_hoards(pytestconfig):
    tests = [f"tests/test_notebooks.py::test_{n}[{name_of(path)}]" for path in NOTEBOOKS for n in range(3)]
    tests += [f"tests/test_labs.py::test_answer[{n}]" for n in range(10 * len(NOTEBOOKS))]
    config = SimpleNamespace(option=SimpleNamespace(), getvalue=lambda name: ["popen"] * 6)
    sharing, workers = Sharing(config), [Worker() for _ in range(6)]
    for worker in workers:
        sharing.add_node(worker)
        sharing.add_node_collection(worker, tests)
    sharing.schedule()
    done = []
    while any(worker.told for worker in workers):
        at_work = {group_of(tests[place]) for worker in workers for place in worker.told if place < 3 * len(NOTEBOOKS)}
        assert len(at_work) <= NOTEBOOKS_AT_ONCE or len(done) > len(tests) - 6
        assert all(len(worker.told) <= 4 for worker in workers)
        for worker in workers:
            if len(worker.told) > 1 or worker.shutting_down and worker.told:
                done.append(worker.told.pop(0))
                sharing.mark_test_complete(worker, done[-1])
    assert sorted(done) == list(range(len(tests)))


def test_pytest_xdist_keeps_to_it():
    """It has overlooked groups without a word before."""
    pytest.importorskip("xdist")
    files = ["tests/test_trace.py", "tests/test_doctor.py", "tests/test_sim_draws.py"]
    command = [sys.executable, "-m", "pytest", "-v", "-n", "2", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    workers = defaultdict(set)
    for worker, file in re.findall(r"^\[(gw\d)\] .* (tests/\w+\.py)::", done.stdout, re.M):
        workers[file].add(worker)
    assert set(workers) == set(files)
    assert all(len(found) == 1 for found in workers.values()), workers
    assert len(set.union(*workers.values())) == 2
