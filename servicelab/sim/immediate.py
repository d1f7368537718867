"""An event that wakes the one who waits for it at once."""

from simpy.events import Event


class Prompt(Event):
    """A tap on the shoulder, where SimPy's other events post a letter.

    ``event.succeed(value)`` puts an event into the environment's queue, from which it is delivered at the same
    simulated time, after whatever else is due by then. :meth:`happen` spares the queue and wakes the waiter
    directly. The result is the same, but for the order of things that happen at the very same time.
    """

    def happen(self, value):
        """Succeed with ``value``; a single waiter is woken before this returns."""
        callbacks = self.callbacks
        if len(callbacks) > 1:
            self.succeed(value)  # several waiters: let SimPy see to their order
            return
        self.callbacks, self._ok, self._value = None, True, value
        for callback in callbacks:
            callback(self)
