"""An HTTP server in a process of its own, with the same handle as one in the kernel.

The child is ``python -m servicelab.servers.child``. Its standard input carries the app and then
short commands; when it closes, because the parent stops the server or because the parent is gone
for whatever reason, the child ends. Its standard output carries one JSON object a line: the port,
the trace's events, the handlers' errors. What the app itself prints goes to ``.output``.
"""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import cloudpickle

from servicelab.lifecycle import HOST, Server, ServerError, server_at
from servicelab.servers.arguments import check_factory, check_options
from servicelab.trace import Trace

#: Seconds in which the child must have imported Python, Flask and the app, and listen.
START_LIMIT = 30.0
#: Seconds in which it must have ended: the grace for requests in flight, and some more.
STOP_LIMIT = 1.5


class HTTPProcess(Server):
    """A WSGI app in a child process: it has its own interpreter lock, and it can crash or be killed.

    ``factory`` is a function without arguments that returns the app. It is sent to the child with
    cloudpickle, so it may come from a notebook cell; what it uses is copied, not shared. A
    ``trace`` it uses (for a traced session, say) becomes the one that reports here. ``workers`` and
    ``trace`` are as for :class:`~servicelab.servers.http.HTTPServer`. The events of the child are
    joined to the trace before every reading.

    ``.pid`` is the child's process id, ``.errors`` the tracebacks of its handlers, ``.output`` the
    last 200 lines that it wrote to stdout or stderr. When the child dies, the handle says so, with
    the last of these lines. Raises :class:`~servicelab.lifecycle.ServerError` when ``factory`` is no
    factory, cannot be sent, fails, or when the child dies before it listens.
    """

    scheme = "http"

    def __init__(
        self,
        factory,
        name: str,
        *,
        trace: Trace | None = None,
        workers: int = 8,
        port: int = 0,
        lane: str | None = None,
    ):
        super().__init__(name, port, lane)
        check_factory(factory, name)
        check_options(name, trace, workers)
        self.factory = factory
        self.trace = trace
        self.workers = workers
        self._errors: list[str] = []
        self.output: collections.deque[str] = collections.deque(maxlen=200)
        self._child = None
        self._threads = []
        self._news = threading.Condition()
        self._answer = None  # the first thing the child says: its port, or why there is none
        self._asked = self._answered = 0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def errors(self) -> list[str]:
        self._feed()
        return self._errors

    @property
    def is_running(self) -> bool:
        return self.port is not None and self._child is not None and self._child.poll() is None

    @property
    def address(self) -> tuple[str, int]:
        if self.port is not None and not self.is_running:
            raise ServerError(self._obituary())
        return super().address

    def _state(self):
        if self.port is not None and not self.is_running:
            return f"died: {_how(self._child.returncode)}"
        return super()._state()

    # -- start and stop ---------------------------------------------------------------------

    def _open(self):
        self._errors.clear()
        self.output.clear()
        self._answer = None
        self._asked = self._answered = 0
        luggage = self._pack()
        self._child = subprocess.Popen(
            [sys.executable, "-u", "-m", "servicelab.servers.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # the kernel's interrupt goes to its whole process group
        )
        self._threads = [
            threading.Thread(
                target=self._listen, args=(self._child.stdout,), daemon=True, name=f"servicelab {self.name} events"
            ),
            threading.Thread(
                target=self._copy, args=(self._child.stderr,), daemon=True, name=f"servicelab {self.name} output"
            ),
        ]
        for thread in self._threads:
            thread.start()
        self._tell(len(luggage).to_bytes(8, "big") + luggage)
        port = self._wait_for_port()
        if self.trace is not None:
            self.trace.feeds.append(self._feed)
        return port

    def _pack(self) -> bytes:
        options = {
            "name": self.name,
            "lane": self.lane,
            "workers": self.workers,
            "port": self.wanted_port,
            "traced": self.trace is not None,
        }
        try:
            factory = cloudpickle.dumps(self.factory)
        except Exception as error:
            raise ServerError(
                f"the factory of {self.name!r} cannot be sent to a child process: {error}. "
                "Let it build what it needs itself, instead of using an object from the notebook."
            ) from error
        # The path comes first: the factory may need it to be unpacked.
        return json.dumps({"path": sys.path, "options": options}).encode() + b"\n" + factory

    def _wait_for_port(self) -> int:
        end = time.monotonic() + START_LIMIT
        with self._news:
            while self._answer is None:
                if time.monotonic() > end:
                    raise ServerError(f"{self.name}: its process did not listen within {START_LIMIT:.0f} s")
                self._news.wait(0.1)
        if "port" in self._answer:
            return self._answer["port"]
        if "failed" in self._answer:
            raise ServerError(self._answer["failed"])
        self._child.wait(STOP_LIMIT)
        self._threads[1].join(0.5)
        raise ServerError(self._obituary("before it could listen"))

    def _close(self):
        child = self._child
        if child is None:
            return
        if self.trace is not None and self._feed in self.trace.feeds:
            self.trace.feeds.remove(self._feed)
        with contextlib.suppress(OSError):
            child.stdin.close()  # the sign to end
        try:
            child.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also on an interrupt
            if child.poll() is None:
                child.kill()
                child.wait()
        for thread, pipe in zip(self._threads, (child.stdout, child.stderr)):
            if thread.ident is not None:
                thread.join(0.5)
            if not thread.is_alive():
                pipe.close()
        self._child = None

    # -- the pipes --------------------------------------------------------------------------

    def _tell(self, data: bytes) -> bool:
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except (OSError, ValueError):  # it has died; whoever waits for the answer will see
            return False
        return True

    def _listen(self, pipe):
        for line in pipe:
            try:
                news = json.loads(line)
            except ValueError:
                self.output.append(line.decode(errors="replace").rstrip())
                continue
            if "events" in news:
                if self.trace is not None:
                    self.trace.extend(_named(event) for event in news["events"])
            elif "error" in news:
                self._errors.append(news["error"])
            else:
                with self._news:
                    if "fed" in news:
                        self._answered = news["fed"]
                    else:
                        self._answer = news
                    self._news.notify_all()
        with self._news:
            self._answer = self._answer or {"died": True}
            self._answered = float("inf")
            self._news.notify_all()

    def _copy(self, pipe):
        for line in pipe:
            self.output.append(line.decode(errors="replace").rstrip())

    def _feed(self):
        """Wait until everything that the child has recorded up to now is here."""
        if not self.is_running:
            return
        with self._news:
            self._asked += 1
            asked = self._asked
            if self._tell(b"feed %d\n" % asked):
                self._news.wait_for(lambda: self._answered >= asked, 1.0)

    def _obituary(self, when="") -> str:
        last = "\n  ".join(list(self.output)[-8:])
        return (
            f"the process of {self.name!r} has died{' ' * bool(when)}{when}: {_how(self._child.returncode)}. "
            f"Start it again with .start(). " + (f"It last wrote:\n  {last}" if last else "It wrote nothing.")
        )


def _named(event):
    """An event from JSON, the address in it replaced by the name of our server that listens there."""
    at, what, id, who, whom, label, more = event
    host, _, port = whom.rpartition(":")
    if host == HOST and port.isdigit() and (server := server_at(int(port))):
        whom = server.lane
    return at, what, id, who, whom, label, tuple(more)


def _how(code) -> str:
    if code is None:
        return "it no longer answers"
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _environment():
    # The child must find this very package, also when it is not installed.
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
