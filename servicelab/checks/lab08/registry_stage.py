"""A registry for one part of a check, never the learner's own, and what went wrong in threads of the learner's."""

import threading
import time
from contextlib import closing, contextmanager

import requests

from servicelab.checks.learner_traceback import told
from servicelab.checks.section import section
from servicelab.clients import traced
from servicelab.leases import PASSING, Check, Service
from servicelab.servers.registry import Registry

NAME = "registry of the check"


class Stand:
    """A running registry on ``ask.trace``, in the lane "registry"."""

    def __init__(self, ask):
        self.ask, self.trace = ask, ask.trace
        self.registry = Registry(NAME, trace=ask.trace, seed=1, lane="registry").start()
        self.url = self.registry.url  # it keeps its port; while it is dead, nobody listens there
        self._sessions = []

    def close(self):
        for session in self._sessions:
            session.close()
        if self.registry.is_running:
            self.registry.kill()  # who still waits for an answer should not wait for this

    def session(self, lane: str) -> requests.Session:
        self._sessions.append(traced(requests.Session(), self.trace, lane))
        return self._sessions[-1]

    def enter(self, *numbers, tag="v1", status=PASSING):
        """Write ``orders-1`` … into the registry, for a long time."""
        for number in numbers:
            service = Service(f"orders-{number}", "orders", "127.0.0.1", 8000 + number, tags=(tag,))
            self._write("register", service, [Check(ttl=60, status=status)])

    def remove(self, number):
        self._write("deregister", f"orders-{number}")

    def _write(self, method, *args):
        agent = self.registry._agent  # its own loop writes, as it does for a request

        async def write():
            agent.write(getattr(agent.catalog, method), *args)

        self.registry._do(write)

    def passing(self) -> list[str]:
        return [one.service.id for one in self.registry.instances("orders", passing=True)]

    def asked(self, *starts: str, since: float = 0.0) -> list:
        """The requests that were sent at ``since`` (seconds) or later, and whose label begins so."""
        sent = [m for m in self.trace.messages if m.kind == "request" and m.sent is not None and m.sent >= since]
        return [m for m in sent if not starts or m.label.startswith(starts)]

    def mark(self, *starts: str) -> str | None:
        """The id of the last such request; if there is none, of any message."""
        found = self.asked(*starts) or self.trace.messages
        return found[-1].id if found else None


@contextmanager
def stand(ask, kind=Stand):
    """A part of a check, with a record and a registry of its own."""
    with section(ask), closing(kind(ask)) as made:
        yield made


def wait_until(condition, limit: float = 3.0) -> bool:
    """Wait until ``condition()`` holds, for ``limit`` seconds at most; says whether it does."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True


class Deaths:
    """Notes which exceptions ended threads, in place of Python's printing them."""

    def __enter__(self):
        self.told = []
        self._before, threading.excepthook = threading.excepthook, self._note
        return self

    def __exit__(self, *error):
        threading.excepthook = self._before

    def _note(self, args):
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            self.told.append(told(args.exc_value))

    def __str__(self):
        return f"; your thread ended: {self.told[-1]}" if self.told else ""
