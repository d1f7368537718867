"""The parent's side of a child process that serves: how it is started, asked, fed from, and ended.

The child runs :mod:`servicelab.servers.child`. Its standard input carries what it is to serve and then commands; when
it closes, because the parent stops the server or because the parent is gone for whatever reason, the child ends. Its
standard output carries one JSON object a line: the port, the trace's events, the errors, the answers to commands. What
the child prints goes to ``.output``.
"""

import collections
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

from servicelab.lifecycle import HOST, ServerError, join, server_at
from servicelab.trace import Trace

#: Seconds in which the child must have imported Python and what it serves, and listen.
START_LIMIT = 30.0
#: Seconds in which it must have ended: the grace for requests in flight, and some more.
STOP_LIMIT = 1.5
#: Seconds in which it must answer a command; it needs well under one.
ANSWER_LIMIT = 5.0
#: Such a limit is waited for in slices of so many seconds.
SLICE = 0.1


class Child:
    """The process of the server ``name``, seen from its parent.

    ``trace`` receives the child's events before every reading. ``errors`` holds what the child reports as such,
    ``pid`` is its process id. A child is started once;
    to start again, make another.
    """

    def __init__(self, name: str, trace: Trace | None = None):
        self.name = name
        self.trace = trace
        self.errors: list[str] = []
        self._output: collections.deque[str] = collections.deque(maxlen=200)
        self._process = None
        self._threads = []
        self._news = threading.Condition()
        self._first = None  # the first thing the child says: its port, or why there is none
        self._asked = 0
        self._answers = {}
        self._over = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> collections.deque[str]:
        """The last 200 lines that it wrote to stdout or stderr; once it has died, with its last words."""
        if self._process is not None and not self.is_alive:
            join(self._threads, 0.5)  # a grandchild that lives on may hold the pipe open
        return self._output

    @property
    def fate(self) -> str:
        """How it ended: "exit status 3", "killed by SIGKILL"."""
        return _how(self._process.returncode if self._process is not None else None)

    # -- its life -----------------------------------------------------------------------------

    def start(self, cargo: bytes, options: dict) -> int:
        """Start it with ``cargo``, the pickled function that makes what serves (see :mod:`servicelab.servers.child`),
        and its ``options`` (JSON); returns the port on which it listens.

        Raises ServerError when it refuses or dies, OSError when it could not have the port.
        """
        # The path comes first: it may be needed to unpack the cargo.
        head = {"path": sys.path, "name": self.name, "traced": self.trace is not None, "options": options}
        luggage = json.dumps(head).encode() + b"\n" + cargo
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "servicelab.servers.child", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # the kernel's interrupt goes to its whole process group
        )
        self._threads = [
            threading.Thread(target=work, args=(pipe,), daemon=True, name=f"servicelab {self.name} {word}")
            for work, pipe, word in (
                (self._listen, self._process.stdout, "events"),
                (self._copy, self._process.stderr, "output"),
            )
        ]
        for thread in self._threads:
            thread.start()
        self._tell(len(luggage).to_bytes(8, "big") + luggage)
        port = self._wait_for_port()
        if self.trace is not None:
            self.trace.feeds.append(self.feed)
        return port

    def stop(self) -> None:
        """Let it end by itself, within STOP_LIMIT; then kill it. Stopping twice is fine."""
        if self._process is None:
            return
        try:
            with contextlib.suppress(OSError):
                self._process.stdin.close()  # the sign to end
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT)
        finally:  # also on an interrupt
            self.kill()

    def kill(self) -> None:
        """End it at once, with SIGKILL, and take in what it had still said."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
        for thread, pipe in zip(self._threads, (process.stdout, process.stderr)):
            if not join([thread], 0.5):
                pipe.close()
        if self.trace is not None and self.feed in self.trace.feeds:
            self.trace.feeds.remove(self.feed)

    def obituary(self, when="") -> str:
        """That it has died, how, and what it last wrote."""
        last = "\n  ".join(list(self.output)[-8:])
        return (
            f"the process of {self.name!r} has died{' ' * bool(when)}{when}: {self.fate}. "
            f"Start it again with .start(). " + (f"It last wrote:\n  {last}" if last else "It wrote nothing.")
        )

    # -- commands -----------------------------------------------------------------------------

    def ask(self, do: str, *arguments, limit=ANSWER_LIMIT):
        """Let it do something and return the answer (both as JSON); ServerError when it says no, or nothing."""
        if not self.is_alive:
            raise ServerError(self.obituary())
        with self._news:
            self._asked += 1
            number = self._asked
            self._tell(json.dumps({"number": number, "do": do, "arguments": arguments}).encode() + b"\n")
            for _ in range(math.ceil(limit / SLICE)):  # a machine that stands still for a while costs one of them
                if self._news.wait_for(lambda: number in self._answers or self._over, SLICE):
                    break
            answer = self._answers.pop(number, None)
        if answer is None:
            raise ServerError(self.obituary() if self._over else f"{self.name} did not answer within {limit:g} s")
        if "failed" in answer:
            raise ServerError(answer["failed"])
        return answer["value"]

    def feed(self) -> None:
        """Wait until everything that the child has recorded up to now is here."""
        with contextlib.suppress(ServerError):
            self.ask("feed", limit=1.0)

    # -- the pipes ----------------------------------------------------------------------------

    def _tell(self, data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has died; whoever waits for the answer will see
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _wait_for_port(self) -> int:
        end = time.monotonic() + START_LIMIT
        with self._news:
            while self._first is None and not self._over:
                if time.monotonic() > end:
                    raise ServerError(f"{self.name}: its process did not listen within {START_LIMIT:.0f} s")
                self._news.wait(0.1)
        first = self._first or {}
        if "port" in first:
            return first["port"]
        if "errno" in first:
            raise OSError(first["errno"], first["failed"])
        if "failed" in first:
            raise ServerError(first["failed"])
        self._process.wait(STOP_LIMIT)
        raise ServerError(self.obituary("before it could listen"))

    def _listen(self, pipe):
        for line in pipe:
            try:
                news = json.loads(line)
            except ValueError:
                self._output.append(line.decode(errors="replace").rstrip())
                continue
            if "events" in news:
                if self.trace is not None:
                    self.trace.extend(_named(event) for event in news["events"])
            elif "error" in news:
                self.errors.append(news["error"])
            else:
                with self._news:
                    if "answer" in news:
                        self._answers[news["answer"]] = news
                    else:
                        self._first = news
                    self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _copy(self, pipe):
        for line in pipe:
            self._output.append(line.decode(errors="replace").rstrip())


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
