"""A call under way: it goes on by itself while its caller does something else.

Most calls need nothing of the kind, ``yield from place.call(message)`` follows them step by step.
Two callers cannot do so: an open loop of arrivals, which never waits, and a client with a timeout,
which waits for a while. They start a :class:`Call`. It does what ``env.process(...)`` does, and for
a call it does it more cheaply: it takes its first step at once, where a process first asks the
environment for an event in order to begin, and its end needs no place in the environment's queue
either. (Two fewer events of the six that a request costs with processes and a ``Resource``.)
"""

from simpy.events import PENDING

from servicelab.policies.status import Status
from servicelab.sim.immediate import Prompt

TIMEOUT = Status.TIMEOUT


class Call(Prompt):
    """Follows the generator ``steps``, and happens when it returns, with what it returned as value.

    ``answer = Call(env, place.call(message))``, then ``status = yield answer``, or nothing at all: a
    call that nobody waits for goes on to its end. An exception in it is a mistake in the model and
    stops ``env.run()`` on the spot. Unlike a process it cannot be interrupted, and inside it
    ``env.active_process`` says nothing of use. Who waits may be told that it takes too long (:meth:`time_is_up`).

    Raises TypeError if ``steps`` is not a generator, or yields something that is no SimPy event.
    """

    def __init__(self, env, steps):
        if not hasattr(steps, "throw"):
            raise TypeError(f"{steps!r} is not a generator: call(message) of a place must contain a yield")
        self.env = env  # as Event.__init__ does, without the price of calling it
        self.callbacks = []
        self._steps = steps
        self._step(_BEGIN)

    def time_is_up(self):
        """Happen with ``"timeout"``, unless it has happened; the steps go on to their end."""
        if self._value is PENDING:
            self.happen(TIMEOUT)

    def _ended(self, value):
        """The steps have come to their end, and returned ``value``."""
        if self._value is PENDING:
            self.happen(value)

    def _step(self, event):
        """Take the next step now that ``event`` has happened."""
        steps = self._steps
        while True:
            try:
                if event._ok:
                    event = steps.send(event._value)
                else:
                    event.defused = True
                    event = steps.throw(event._value)
            except StopIteration as end:
                self._ended(end.value)
                return
            try:
                callbacks = event.callbacks
            except AttributeError:
                raise TypeError(f"a place yielded {event!r}, which is no event: yield env.timeout(seconds)") from None
            if callbacks is not None:
                callbacks.append(self._step)
                return
            # It has happened already: no need to wait.


class _Begin:
    """What the first step follows upon: an event that has happened with nothing to tell."""

    _ok, _value = True, None


_BEGIN = _Begin()
