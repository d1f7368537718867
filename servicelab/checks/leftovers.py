"""What somebody's code left running: named, and ended where that is possible.

:class:`Leftovers` notes which threads and servers there are; :meth:`Leftovers.end` ends whatever came since. A
thread that runs Python code ends by an exception raised in it. One that sleeps, or waits for a lock or a socket, cannot
be ended from outside; it is named as still running, and the exception waits for it to wake.
"""

import threading
import time
from typing import NamedTuple
from weakref import WeakKeyDictionary

from servicelab import lifecycle
from servicelab.checks.learner_traceback import their_frame
from servicelab.checks.limit import TimeLimit, forget_waiting, frame_of, raise_in

#: Seconds that a thread has to end by itself before it counts as left running, and to end when told to.
GRACE = 0.3
PATIENCE = 1.5

#: Threads of the tools around us, by the package of their class: never the learner's.
_TOOLS = {"tqdm", "ipykernel", "IPython", "zmq", "debugpy", "_pydevd_bundle"}

#: Threads of ours that could not be ended, and by its id the learner's frame that each of them waits in: nobody waits
#: for them again, or a lock that is never released would cost every later part PATIENCE seconds.
_given_up: WeakKeyDictionary[threading.Thread, int] = WeakKeyDictionary()


class Left(NamedTuple):
    """One thing left running. ``ended`` is False when it still runs."""

    kind: str  # "thread" or "server"
    name: str
    ended: bool

    def __str__(self):
        return f"{self.kind} {self.name!r}" + (" (ended now)" if self.ended else " (it could not be ended)")


class Leftovers:
    """Notes at birth what runs; :meth:`end` ends what came since and tells what that was."""

    def __init__(self):
        self._threads = set(threading.enumerate())
        self._servers = set(lifecycle.components())

    def end(self) -> list[Left]:
        """End every new server and thread. Never raises; what could not be ended says so."""
        left = []
        new_servers = [server for server in lifecycle.components() if server not in self._servers]
        if new_servers:
            end_handlers()
        for server in new_servers:
            left.append(Left("server", server.name, _stop(server)))
        return left + [Left("thread", thread.name, ended) for thread, ended in self._end_threads()]

    def _end_threads(self):
        _wait(lambda: not self._new_threads(), GRACE)
        threads = self._new_threads()
        _end(threads, lambda thread: True, SystemExit)  # of which a dying thread says nothing, even when it wakes late
        return [(thread, not thread.is_alive()) for thread in threads]

    def _new_threads(self):
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self._threads
            and thread is not threading.current_thread()
            and not isinstance(thread, threading._DummyThread)
            and not _is_ours(thread)
            and type(thread).__module__.partition(".")[0] not in _TOOLS
        ]


def end_handlers() -> None:
    """End the learner's code that still runs in the threads of our servers (an endless handler), so that the
    servers can stop. The threads themselves live on. One that waits where it could not be ended before is let be."""
    ours = [thread for thread in threading.enumerate() if _is_ours(thread)]
    for thread in _end(ours, lambda thread: _handled(thread) not in (0, _given_up.get(thread)), TimeLimit):
        _given_up[thread] = _handled(thread)


def _handled(thread) -> int:
    """The id of the learner's frame that ``thread`` is in, or 0. It is the same as long as the thread stays there."""
    frame = their_frame(frame_of(thread))
    return 0 if frame is None else id(frame)


def _is_ours(thread):
    return thread.name.startswith("servicelab ")


def _end(threads, still_runs, error):
    """Raise ``error`` in those of the threads that still run, again and again, for ``PATIENCE`` seconds. Returns those
    that run even then."""

    def busy():
        return [thread for thread in threads if thread.is_alive() and still_runs(thread)]

    end = time.monotonic() + PATIENCE
    while (rest := busy()) and time.monotonic() < end:
        for thread in rest:
            raise_in(thread, error)
        _wait(lambda: not busy(), 0.05)
    if rest:
        forget_waiting()
    return rest


def _stop(server):
    try:
        server.stop()
    except Exception:
        return False
    return True


def _wait(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
