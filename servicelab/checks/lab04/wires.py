"""A ZeroMQ context for each part of a check, which ends with it whatever the learner's code left open or waits for."""

import threading
from contextlib import closing

import zmq

from servicelab.checks.learner_traceback import told
from servicelab.checks.scenario import Aside, Stage
from servicelab.lifecycle import join


class Recorded(zmq.Context):
    """A context that knows which sockets were ``made`` with it. Nothing lingers, and nothing waits for ever."""

    made: list = None  # pyzmq lets nobody set what the class does not have

    def __init__(self):
        super().__init__()
        self.made = []
        self.linger, self.rcvtimeo, self.sndtimeo = 0, 6000, 6000  # ms, as the task says

    def socket(self, *args, **options):
        self.made.append(super().socket(*args, **options))
        return self.made[-1]


class WireStage(Stage):
    """Has a ``context`` for the learner's sockets, and ends it, and the calls that still wait in it, with the part.
    ``theirs`` are objects of the learner's that are closed first: their threads end, too."""

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.context, self.theirs, self.asides, self._own = Recorded(), [], [], []
        self._threads = set(threading.enumerate())
        self.use(closing(self))

    def make(self, *args, **options):
        """As ever, but threads that it begins go on: they end with the part."""
        self.theirs.append(super().make(*args, keep=True, **options))
        return self.theirs[-1]

    def socket(self, kind):
        """A socket of the check's own in the learner's context (``inproc`` is a matter of one context)."""
        self._own.append(zmq.Context.socket(self.context, kind))
        return self._own[-1]

    def aside(self, call) -> Aside:
        self.asides.append(Aside(call).start())
        return self.asides[-1]

    def became(self, aside, name) -> str:
        """What an aside did that did not bring what it should, to be added to a sentence; "" when it came back."""
        raised = f"; {name} raised {told(aside.error)}" if aside.error else ""
        return raised if aside.is_back else f"; {name} still waits"

    def none_open(self):
        """``(passed, happened)``: after close() of all of theirs no socket is open."""
        for one in self.theirs:
            self.call(one.close, keep=True)
        left = sum(not socket.closed for socket in self.context.made)
        return left == 0, f"{left} of {len(self.context.made)} sockets are open"

    def arrow(self, sender, receiver, label, arrived=True, at=None) -> str:
        """Draw a message, which is heard now or never; returns its id."""
        id = self.ask.trace.send(sender, receiver, label, at=at)
        if arrived:
            self.ask.trace.receive(id)
        else:
            self.ask.trace.lose(id, "never heard", at=at)
        return id

    def close(self):
        if all(one.is_back for one in self.asides):
            for one in self.theirs:
                self.ask.run(getattr(one, "close", None), limit=1.0, keep=True)
        # It wakes whoever waits in a socket, and comes back when all of them are closed. A socket is closed only when
        # nobody is in it any more: ZeroMQ forbids it.
        ending = Aside(lambda: zmq.Context.term(self.context)).start()
        for thread in set(threading.enumerate()) - self._threads:
            if not thread.name.startswith("servicelab"):
                join([thread], 0.5)
        if all(one.wait(1.0) for one in self.asides):
            for socket in self.context.made + self._own:
                socket.close(0)
            ending.wait(2.0)
