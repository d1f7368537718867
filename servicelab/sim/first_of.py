"""Waiting for whichever comes first."""

from simpy.events import Event


class FirstOf(Event):
    """Happens when the first of ``events`` happens, and has that event as its value.

    The hourglass beside the telephone: ``first = yield FirstOf(env, answer, env.timeout(0.5))``.
    SimPy says the same with ``answer | timer``; this event makes no dictionary of what has happened,
    and costs half as much. If the first of them fails, so does this one, with the same exception.

    Raises ValueError if there are no events: nobody would ever be first.
    """

    def __init__(self, env, *events):
        super().__init__(env)
        if not events:
            raise ValueError("FirstOf() needs at least one event: with none, nobody is ever first")
        for event in events:
            if event.processed:
                self._first(event)
            else:
                event.callbacks.append(self._first)

    def _first(self, event):
        if self.triggered:
            if not event.ok:
                event.defused = True  # a failure that came second is nobody's business any more
        elif event.ok:
            self.succeed(event)
        else:
            event.defused = True
            self.fail(event.value)
