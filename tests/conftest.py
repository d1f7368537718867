"""Fixtures and helpers for all tests."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.amqp_brokers import broker, channel, connection, session_broker  # noqa: F401  # fixtures, one of each a run

ROOT = Path(__file__).resolve().parent.parent
_figures: list[str] = []


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


@pytest.fixture
def report_figure():
    """Call it with a line that the end of the test run shows: measured times and sizes."""
    return _figures.append


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("measured")
        for line in sorted(_figures):
            terminalreporter.line(line)


@pytest.fixture
def no_progress_of_mine(tmp_path, monkeypatch):
    """A lone learner's surroundings, with a progress file of the test's own; returns ``monkeypatch``."""
    monkeypatch.setenv("SERVICELAB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.delenv("SERVICELAB_STRICT", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return monkeypatch
