"""A registry for each part of a check, never the learner's own, and what went wrong in threads of the learner's."""

import threading
from contextlib import ExitStack

import requests

from servicelab.checks.learner_traceback import told
from servicelab.checks.scenario import Stage
from servicelab.clients import traced
from servicelab.lifecycle import wait_until
from servicelab.servers.registry import Registry


class ThreadStage(Stage):
    """The learner's code has threads of its own: what ends them is noted in ``deaths``, and not printed. ``marked`` is
    the beginning of a label, or a tuple of them: the diagram marks the last request with such a label, or else the last
    message."""

    marked: str | tuple[str, ...] = ""

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.deaths, others, hook = [], set(threading.enumerate()), threading.excepthook

        def are_over():
            return all(one in others or one.name.startswith("servicelab ") for one in threading.enumerate())

        self.at_end(lambda: setattr(threading, "excepthook", hook))
        self.at_end(lambda: wait_until(are_over, 0.3))  # so that what ends them now is noted, too
        threading.excepthook = self.note

    def note(self, args):
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            self.deaths.append(told(args.exc_value))

    @property
    def last(self):
        found = self.asked(self.marked) or self.ask.trace.messages
        return found[-1].id if found else None

    @property
    def died(self) -> str:
        """What ended a thread of the learner's, to be added to what happened."""
        return f"; your thread ended: {self.deaths[-1]}" if self.deaths else ""

    def session(self, lane: str) -> requests.Session:
        return traced(self.use(requests.Session()), self.ask.trace, lane)

    def asked(self, starts="", since: float = 0.0) -> list:
        """The requests that were sent at ``since`` (seconds) or later, and whose label begins so."""
        sent = [m for m in self.ask.trace.messages if m.kind == "request" and m.sent is not None and m.sent >= since]
        return [m for m in sent if m.label.startswith(starts)]

    def at_end(self, function):
        """Call ``function()`` at the end of the part, before what was set up earlier is taken down."""
        self.use(ExitStack()).callback(function)


class RegistryStage(ThreadStage):
    """… and a registry in the lane "registry". It keeps its port; while it is dead, nobody listens there."""

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.registry = Registry("registry of the check", trace=ask.trace, seed=1, lane="registry").start()
        self.at_end(self.kill)

    def kill(self):
        if self.registry.is_running:
            self.registry.kill()  # who still waits for an answer should not wait for this


def urls(*numbers) -> list[str]:
    return [f"http://127.0.0.1:{8000 + number}" for number in numbers]
