"""Fixtures and helpers for all tests."""

import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.accessibility import axe  # noqa: F401  # a fixture
from tests.sharing import Sharing, order_of

ROOT = Path(__file__).resolve().parent.parent

# Hypothesis measures examples, and fails those that take long: a machine may stand still for a moment.
settings.register_profile("course", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("course")


def require(name: str) -> str:
    """The path of a program that a test needs and a learner's machine may lack.

    Where it is missing the test is skipped with the reason; with CI=true it fails instead, so that
    nothing goes untested there without notice. Programs of the environment itself count too.
    """
    if name == "chromium":
        from tests.browser import find_chromium

        found = find_chromium()
    else:
        found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found:
        return found
    reason = f"{name} is not installed on this machine"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI=true requires it")
    pytest.skip(reason)


def pytest_xdist_make_scheduler(config, log):
    return Sharing(config, log)


def pytest_collection_modifyitems(items):
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"{unstable[0]} has another name in each worker: give parametrize(…, ids=…)")
    items.sort(key=lambda item: order_of(item.path))


@pytest.fixture
def report_figure(record_property):
    """Call it with a line that the end of the test run shows: measured times and sizes."""
    return lambda line: record_property("figure", line)


def pytest_terminal_summary(terminalreporter):
    reports = [report for some in terminalreporter.stats.values() for report in some]
    figures = {line for one in reports for name, line in getattr(one, "user_properties", ()) if name == "figure"}
    if figures:
        terminalreporter.section("measured")
        for line in sorted(figures):
            terminalreporter.line(line)


@pytest.fixture
def nothing_is_left():
    """At the end of the test no server runs, and no thread that was not there at its beginning."""
    from servicelab import lifecycle

    before = set(threading.enumerate())
    yield
    assert list(lifecycle.running().rows) == []
    end = time.monotonic() + 10  # a handler or a load that was given up may still be on its way out
    while (left := [t for t in threading.enumerate() if t not in before]) and time.monotonic() < end:
        time.sleep(0.05)
    assert [t.name for t in left] == []


@pytest.fixture
def no_progress_of_mine(tmp_path, monkeypatch):
    """A lone learner's surroundings, with a progress file of the test's own; returns ``monkeypatch``."""
    monkeypatch.setenv("SERVICELAB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr("servicelab.checks.report.GRADER", "")
    monkeypatch.setattr("servicelab.checks.report.STRICT", False)
    return monkeypatch
