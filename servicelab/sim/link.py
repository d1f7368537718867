"""A link: the network between two places."""

from servicelab.sim.pause import Pause
from servicelab.sim.place import require_law, require_place, require_share
from servicelab.trace import reply_id


class Link:
    """A wire to the place ``to``: every message takes ``delay`` seconds there, every answer ``delay`` back.

    ``delay`` is a number of seconds or a law. ``loss`` says of each message and of each answer whether
    the wire drops it: None for never, or a law such as ``draws.bernoulli("loss", 0.01)``. A lost
    message makes no noise. Nobody tells the sender, no answer comes, and only a timeout ends the wait;
    a lost *answer* looks just the same, but the work has been done. ``trace`` notes losses.

    Raises ValueError for a negative delay or a loss that is no share, TypeError if ``to`` is no place.
    """

    def __init__(self, env, to, delay, loss=None, trace=None):
        self.env = env
        self.to = require_place("to", to)
        self.delay = require_law("delay", delay)
        self.loss = require_share("loss", loss)
        self.trace = trace
        self.name = getattr(to, "name", "")

    def call(self, message):
        """Carry ``message`` to the other end and its answer back; returns the status."""
        yield Pause(self.env, self.delay())
        if self.loss is not None and self.loss():
            yield self._silence(message.id)
        status = yield from self.to.call(message)
        yield Pause(self.env, self.delay())
        if self.loss is not None and self.loss():
            yield self._silence(message.id and reply_id(message.id))
        return status

    def _silence(self, lost_id):
        """An event that never happens: the rest of a lost message."""
        if self.trace is not None and lost_id:
            self.trace.lose(lost_id, "lost on the link")
        return self.env.event()
