"""The doctor sees each failure, names it, and gives a mend. The failures are handed in."""

import importlib.metadata
import threading
from types import SimpleNamespace

import pytest

from servicelab import doctor as module
from servicelab.doctor import OK, PROBLEM, WARNING, Diagnosis, Finding, doctor
from tests.waiting import wait_until


def refuse(error):
    def raising(*args, **kwargs):
        raise error

    return raising


def refuse_after(real, number, error):
    """``real`` for ``number`` calls, then ``error``."""
    count = iter(range(number))

    def limited(*args, **kwargs):
        if next(count, None) is None:
            raise error
        return real(*args, **kwargs)

    return limited


class Garbler:
    """A listener that, like a meddling proxy, hands on other bytes than were sent."""

    def __init__(self, address):
        import socket

        self.real = socket.create_server(address)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.real.close()

    def __getattr__(self, name):
        return getattr(self.real, name)

    def accept(self):
        near, address = self.real.accept()
        near.recv(0)

        class Changed:
            def __enter__(inner):
                return inner

            def __exit__(inner, *error):
                near.close()

            def settimeout(inner, seconds):
                near.settimeout(seconds)

            def recv(inner, size):
                return near.recv(size)[::-1]

        return Changed(), address


def slow_clock():
    times = iter(i * 0.05 for i in range(1000))
    return lambda: next(times)


def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)


BROKEN = {
    "old python": (lambda: module.check_python(version=(3, 9, 1)), PROBLEM, "Python 3.9", "3.11 or later"),
    "browser kernel": (lambda: module.check_python(system="emscripten"), PROBLEM, "in the browser", "Binder"),
    "old library": (
        lambda: module.check_versions(["simpy>=4.1,<5"], lambda name: "3.0"),
        PROBLEM, "simpy is 3.0, wanted", "make env",
    ),
    "no library": (lambda: module.check_versions(["simpy>=4.1"], missing), PROBLEM, "simpy is missing", "make env"),
    "no chapters": (
        lambda: module.check_chapters(["nowhere"]), WARNING, "of 16, not whole: 00, 01", "git pull",
    ),
    "no notebook": (lambda: module.check_widgets(shell=SimpleNamespace()), WARNING, "no notebook", "JupyterLab"),
    "no labextension": (
        lambda: module.check_widgets(shell=SimpleNamespace(kernel=1), labextensions=["nowhere"]),
        WARNING, "half of it not seen", "jupyterlab_widgets",
    ),
    "no loopback": (
        lambda: module.check_loopback(refuse(OSError("not permitted"))), PROBLEM, "not permitted", "firewall",
    ),
    "garbled loopback": (lambda: module.check_loopback(Garbler), PROBLEM, "received b'gnip'", "inspection"),
    "few ports": (
        lambda: module.check_ports(refuse_after(module.socket.create_server, 3, OSError("no buffer space"))),
        PROBLEM, "only 3 of 40", "Stop other servers",
    ),
    "proxy": (
        lambda: module.check_proxy({"http": "http://proxy.example:3128"}, lambda host: False),
        WARNING, "through a proxy", "NO_PROXY=127.0.0.1",
    ),
    "few threads": (
        lambda: module.check_threads(refuse_after(threading.Thread.start, 7, RuntimeError("can't start new thread"))),
        PROBLEM, "only 7 of 150", "ulimit -u",
    ),
    "few files": (lambda: module.check_files(lambda: 64), PROBLEM, "64 at most", "ulimit -n 4096"),
    "little memory": (lambda: module.check_memory(lambda: 100e6), WARNING, "100 MB free", "Shut down other kernels"),
    "coarse clock": (
        lambda: module.check_clock(lambda seconds: None, slow_clock()), WARNING, "takes 50.0 ms", "processor busy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_failure_is_seen_named_and_comes_with_its_mend(name):
    check, verdict, found, mend = BROKEN[name]
    before = set(threading.enumerate())
    finding = check()
    assert finding.verdict == verdict
    assert found in finding.found
    assert mend in finding.mend
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_every_check_can_find_something_wrong():
    tested = {check.__code__.co_names for check, *_ in BROKEN.values()}
    assert {check.__name__ for check in module.CHECKS} <= {name for names in tested for name in names}


def test_no_widgets_library_is_one_clear_message(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    finding = module.check_widgets()
    assert finding.verdict == PROBLEM
    assert "no widgets" in finding.found
    assert "ipywidgets" in finding.mend and "make env" in finding.mend


def test_not_installed_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", missing)
    finding = module.check_versions()
    assert finding.verdict == PROBLEM and "pip install --no-deps -e ." in finding.mend


def test_a_chapter_without_its_lab_is_named(tmp_path):
    for name in ("notebooks/00-a.ipynb", "notebooks/01-b.ipynb", "labs/01-b.ipynb", "notebooks/02-c.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert module.check_chapters([tmp_path], 2).found == "2 chapters, and labs to all but the first"
    assert module.check_chapters([tmp_path], 3).found == "of 3, not whole: 02"


def test_a_container_limit_counts(monkeypatch):
    monkeypatch.setenv("MEM_LIMIT", "1")
    assert module.free_memory() == 0
    monkeypatch.delenv("MEM_LIMIT")
    assert module.free_memory() > 0


def test_this_machine_is_ready():
    before = set(threading.enumerate())
    diagnosis = doctor()
    assert diagnosis.passed, str(diagnosis)
    assert len(diagnosis.findings) == len(module.CHECKS)
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_check_that_fails_itself_is_a_problem_and_the_rest_go_on():
    diagnosis = doctor([refuse_named, module.check_python])
    assert [finding.verdict for finding in diagnosis.findings] == [PROBLEM, OK]
    assert "ValueError: odd" in str(diagnosis)
    assert not diagnosis.passed


def refuse_named():
    raise ValueError("odd")


def test_the_diagnosis_reads_as_text_and_as_html():
    diagnosis = Diagnosis(
        [Finding("ports", PROBLEM, "a <b>", "do & see"), Finding("memory", WARNING, "little", "close")]
    )
    assert "✗ problem" in str(diagnosis) and "do & see" in str(diagnosis)
    html = diagnosis._repr_html_()
    assert "a &lt;b&gt;" in html and "do &amp; see" in html and "1 of 2 checks found a problem" in html
    assert Diagnosis([Finding("memory", WARNING, "little", "close")]).passed
    assert Diagnosis([Finding("memory", OK, "enough")]).headline == "Ready: all 1 checks passed"
