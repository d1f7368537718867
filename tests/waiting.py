"""Waiting for what happens in other threads and processes, without a fixed sleep."""

import signal
import threading
import time
from contextlib import contextmanager

import pytest


def eventually(condition, limit: float = 10.0):
    """What ``condition()`` returns as soon as it is true, or the last it returned within ``limit`` seconds."""
    end = time.monotonic() + limit
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return found


def wait_until(condition, limit: float = 10.0) -> None:
    """The same where it has to happen: AssertionError if it does not."""
    assert eventually(condition, limit), "it did not happen"


def left() -> list[str]:
    """The names of the course's own threads that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("servicelab")]


@contextmanager
def interrupted_start(monkeypatch, name: str):
    """In the block an interrupt comes while the thread of this name begins to run; it must reach whoever began it."""
    begin = threading.Thread.start

    def start(thread):
        begin(thread)
        if thread.name == name:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading.Thread, "start", start)
        yield
