"""How the tests are shared out among the workers of `make test`."""

import re
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.sharing import BROWSERS, NOTEBOOKS, ROOT, group_of, name_of, order_of


def test_a_file_and_a_notebook_stay_together_and_answers_go_where_there_is_room():
    assert group_of("tests/test_trace.py::test_one") == group_of("tests/test_trace.py::test_two[a::b[0]-1]")
    answer = "tests/test_labs.py::test_the_solution_is_accepted[01 {}]"
    assert group_of(answer.format("stock")) != group_of(answer.format("cache"))
    for path in NOTEBOOKS:
        first, second = (f"tests/test_notebooks.py::test_{n}[{name_of(path)}]" for n in ("one", "two"))
        assert group_of(first) == group_of(second)
    groups = {group_of(f"tests/test_notebooks.py::test_one[{name_of(path)}]") for path in NOTEBOOKS}
    assert len(groups) == len(NOTEBOOKS)


def test_there_are_few_browsers():
    tests = [f"tests/test_browser.py::test_one[{name_of(path)}]" for path in NOTEBOOKS]
    assert len({group_of(test) for test in [*tests, "tests/test_browser.py::test_two"]}) == BROWSERS


def test_the_longest_come_first():
    sizes = [path.stat().st_size for path in NOTEBOOKS]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(["test_trace", "test_labs", "test_browser"], key=order_of)[0] == "test_browser"


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
