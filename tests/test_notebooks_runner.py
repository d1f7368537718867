"""The runner itself: a notebook that leaves something, or that cannot run twice, must be caught."""

import os
import socket
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests import notebooks
from tests.notebooks import Session


def always(index):
    return True


def mapped():
    """A server that listens on 127.0.0.1 in IPv6's spelling, as gRPC does; where there is no IPv6, in the usual one."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::ffff:127.0.0.1", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("127.0.0.1", 0))


def test_who_listens_is_who_psutil_says():
    with socket.create_server(("127.0.0.2", 0)) as one, mapped():
        socket.create_connection(one.getsockname()).close()
        me = psutil.Process()
        links = [link.laddr for link in me.net_connections("tcp") if link.status == psutil.CONN_LISTEN]
        assert {(link.ip, link.port) for link in links} == {found[:2] for found in notebooks.listening(me)}
        assert ("127.0.0.2", one.getsockname()[1], "") in notebooks.listening(me)


SERVE = """
import socket
def listen(host="127.0.0.1"):
    listener = socket.create_server((host, 0))
    return listener
"""


@pytest.fixture
def session(tmp_path):
    """``session(source, …)`` starts a kernel on a throwaway notebook with these cells."""
    opened = []

    def make(*sources):
        root = tmp_path / f"root {len(opened)}"
        (root / "notebooks").mkdir(parents=True)
        book = new_notebook(cells=[new_code_cell(source) for source in sources])
        nbformat.write(book, root / "notebooks" / "small.ipynb")
        found = Session(root / "notebooks" / "small.ipynb", tmp_path / f"copy {len(opened)}", root=root)
        opened.append(found.__enter__())
        return found

    yield make
    for one in opened:
        one.__exit__()


def test_a_clean_notebook_leaves_nothing_and_is_measured(session):
    run = session(SERVE + "with listen() as server:\n    import time; time.sleep(1.5)", "x = 1")
    run.run_all(twice=always)
    run.run_all()
    assert run.leaks() == []
    assert run.stderr() == []
    assert run.report.opened == {0: set(), 1: set()}
    assert run.report.serving_cell() == 0 and run.report.serving_cell(least=5) is None
    assert run.report.cell_that_leaves_open() is None
    assert run.report.peak_memory > 10e6


@pytest.mark.parametrize(("looks", "peak"), [([30, 60, 30], 30), ([30, 60, 50, 30], 50)], ids=["once", "twice"])
def test_memory_counts_that_is_seen_twice_in_a_row(looks, peak):
    left = list(looks)
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=left.pop(0)))
    watcher = notebooks.Watcher(os.getpid(), set())
    watcher._processes = [process]
    for _ in looks:
        watcher.look(all_of_it=False)
    assert watcher.peak_memory == peak


def test_what_a_child_shares_with_the_kernel_counts_once():
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=80, shared=30))
    assert [notebooks.own_memory(process, is_child) for is_child in (False, True)] == [80, 50]


CHILD = "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"


def test_a_cell_with_a_child_is_taken_first_to_kill_and_to_restart(session):
    run = session(
        SERVE + "import subprocess, sys, time\nserver = listen()\ntime.sleep(1.5)",
        CHILD + "time.sleep(1.5)\nchild.terminate(); child.wait()",
        "server.close()",
    )
    run.run_all()
    assert run.report.children == {0: 0, 1: 1, 2: 0}
    assert [len(ports) for ports in run.report.opened.values()] == [1, 0, 0]
    assert run.report.serving_cell() == 1
    assert run.report.cell_that_leaves_open() == 1
    run.run_all(until=1)
    assert run.open_ports()


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='servicelab orders', "
         "daemon=True).start()", "thread 'servicelab orders'"),
        (SERVE + "kept = listen()", "socket still open: 127.0.0.1:"),
        ("import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
         "child process still runs"),
        ("open('left-over.csv', 'w').close()", "file left: notebooks/left-over.csv"),
        (SERVE + "listen('127.0.0.2').close()", "bound '127.0.0.2'"),
        # A child's socket is out of the audit hook's sight: the watcher has to see it.
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', \"import socket, time; "
         "s = socket.create_server(('127.0.0.2', 0)); time.sleep(2)\"])", "listened on 127.0.0.2"),
    ],
    ids=["thread", "socket", "child", "file", "short wide listener", "wide listener in a child"],
)  # fmt: skip
def test_what_a_notebook_leaves_is_named(session, source, caught):
    run = session(source)
    run.run_all()
    leaks = run.leaks(wait=0.5)
    assert len(leaks) == 1, leaks
    assert caught in leaks[0]


def test_a_cell_that_cannot_run_twice_is_caught_by_each_cell_twice(session):
    run = session("values = [1, 2]", "assert len(values) == 2\nvalues.append(3)", "values = [1, 2]")
    run.run_all()
    run.run_all()  # two whole passes do not see it …
    with pytest.raises(CellExecutionError):
        run.run_all(twice=always)  # … this does


def test_warnings_of_a_cell_are_seen(session):
    run = session("import warnings\nwarnings.warn('old')")
    run.run_all()
    assert "old" in run.stderr()[0]
    run = session("import warnings\nwarnings.warn('said once')")
    run.run_all(twice=always)  # Python says it the first time only
    assert "said once" in run.stderr()[0]


def test_interrupt_in_a_cell_then_run_on(session):
    run = session(SERVE + "import time\nwith listen() as server:\n    time.sleep(30)", "after = 1")
    assert run.interrupt_cell(0, after=0.5)
    run.run_cell(1)
    assert run.leaks() == []


INTERRUPTED = "try:\n    time.sleep(30)\nexcept KeyboardInterrupt:\n    raise {} from None"


def test_an_interrupt_that_a_library_replaces_is_one(session):
    serve = SERVE + "import time\nlistener = listen()\n"
    run = session(
        serve + INTERRUPTED.format("TypeError('expected list of unicode strings')"),
        serve + INTERRUPTED.format("TypeError('another')"),
    )
    assert run.interrupt_cell(0, after=0.2)
    with pytest.raises(CellExecutionError):
        run.interrupt_cell(1, after=0.2)


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("Half.__del__", "KeyboardInterrupt", False),
        ("tqdm.__del__", "AttributeError: 'tqdm_notebook' object has no attribute 'disp'", False),
        ("tqdm.__del__", "OSError: closed", True),
        ("Half.__del__", "AttributeError: 'Half' object has no attribute 'disp'", True),
    ],
)
def test_what_a_destructor_says_of_an_interrupt_is_no_warning(where, error, said):
    text = f"Exception ignored in: <function {where} at 0x7f>\nTraceback (most recent call last):\n  File …\n{error}\n"
    cell = {"outputs": [new_output("stream", name="stderr", text=text)]}
    assert bool(notebooks.stderr_of(cell)) == said


def test_cells_that_serve_for_long_are_interrupted_before_they_run(session):
    run = session(
        "import time\ntime.sleep(0.8)",
        SERVE
        + "begun = globals().get('begun', 0) + 1\nwith listen() as server:\n    time.sleep(0.1 if begun > 1 else 30)",
        "assert begun == 2",
    )
    run.run_all(interrupt_after=0.3, twice=lambda index: index == 1)
    assert run.report.interrupted == [1]
    assert run.report.seconds[1] < 20, "the time of an interrupted run counts"
    assert run.leaks() == []


def test_only_what_a_cell_needs_is_run_before_it(session):
    run = session("size = 2", "raise RuntimeError('nobody needs me')", "both = [size] * 2", "assert both == [2, 2]")
    run.run_what_it_needs(3)
    run.run_cell(3)


def test_a_killed_kernel_leaves_no_port(session):
    run = session(SERVE + "import time\nserver = listen()\ntime.sleep(30)")
    assert len(run.kill_in_cell(0, after=0.7)) == 1
    assert not psutil.pid_exists(run.pid)


def test_a_child_that_outlives_its_kernel_is_caught(session):
    # The child first: the kernel is killed as soon as something listens.
    child = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(15)'], "
    run = session(SERVE + child + "start_new_session=True)\nserver = listen()\ntime.sleep(30)")
    with pytest.raises(AssertionError, match="still running"):
        run.kill_in_cell(0, after=0.7, limit=3.0)


def test_a_restarted_kernel_leaves_no_port(session):
    run = session(SERVE + "server = listen()")
    run.run_all()
    assert len(run.open_ports()) == 1
    assert len(run.restart()) == 1
