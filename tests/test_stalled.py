"""The machine that stalls: the command stands still, its status comes through, and nothing stays suspended."""

import signal
import sys

import pytest

from tests import stalled

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a system that can suspend a process")

#: Ends with 7 once it, or its child, has seen itself stand still for a tenth of a second.
WATCH = """
import time
while True:
    start = time.monotonic()
    time.sleep(0.005)
    if time.monotonic() - start > 0.1:
        raise SystemExit(7)
"""
CHILD = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {WATCH!r}]))"


@pytest.mark.parametrize("source", [WATCH, CHILD], ids=["the command", "its child"])
def test_the_command_stands_still_and_its_status_comes_through(source):
    status, stalls = stalled.run([sys.executable, "-c", source], seed=1)
    assert status == 7 and stalls >= 1


def test_without_a_seed_it_says_how_it_is_used(capsys):
    assert stalled.main(["python"]) == 2
    assert "python -m tests.stalled 7" in capsys.readouterr().err
