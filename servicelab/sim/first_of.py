"""Waiting for whichever comes first."""

from simpy.events import PENDING

from servicelab.sim.immediate import Prompt


class FirstOf(Prompt):
    """Happens when the first of ``events`` happens, and has that event as its value.

    The hourglass beside the telephone: ``first = yield FirstOf(env, answer, env.timeout(0.5))``.
    SimPy says the same with ``answer | timer``, and keeps a dictionary of what has happened; this event
    costs half as much. If the first of them fails, so does this one, with the same exception.

    Raises ValueError if there are no events: nobody would ever be first.
    """

    def __init__(self, env, *events):
        self.env = env  # as Event.__init__ does, without the price of calling it
        self.callbacks = []
        if not events:
            raise ValueError("FirstOf() needs at least one event: with none, nobody is ever first")
        for event in events:
            if event.callbacks is None:  # it has happened already
                self._first(event)
            else:
                event.callbacks.append(self._first)

    def _first(self, event):
        if self._value is not PENDING:
            if not event._ok:
                event.defused = True  # a failure that came second is nobody's business any more
        elif event._ok:
            self.happen(event)
        else:
            event.defused = True
            self.fail(event._value)
