"""A client: somebody who calls, and a policy that says for how long and how often."""

from functools import partial

from servicelab.policies.drive import sim_call
from servicelab.policies.status import Status
from servicelab.sim.alarm import Alarm
from servicelab.sim.call import Call
from servicelab.sim.message import Message
from servicelab.sim.place import require_place
from servicelab.trace import reply_id


class Client:
    """Calls the place ``to`` as ``policy`` says: once and without limit if it is None.

    Every attempt is a message of its own. When the policy's timeout ends an attempt the client goes its
    way with ``"timeout"``, but nobody tells the service: the abandoned call keeps its place in the queue, and
    later its worker, until it is done. (That is the work which a retry adds to an overloaded service.)
    So do the attempts that lose a hedge; in the trace they end as "cancelled".

    ``name`` is the client's lane in diagrams, "client" if it has none; ``label`` replaces the text on its messages.
    ``trace`` records each attempt with its number, its timeout in seconds and its end.

    Raises TypeError if ``to`` is no place or ``policy`` no policy.
    """

    def __init__(self, env, to, policy=None, name=None, trace=None, *, label=None):
        if policy is not None and not hasattr(policy, "script"):
            raise TypeError(f"policy={policy!r} is not a policy: it needs a method script(now), as Timeout(0.5) has")
        self.env = env
        self.to = require_place("to", to)
        self.policy = policy
        self.name = name
        self.trace = trace
        self.label = label
        self._alarm = Alarm(env)

    def call(self, message):
        """Call for ``message``: a generator that returns the last status, or what the policy makes of it."""
        if self.policy is None:
            return self._attempt(message, None, 1)
        return sim_call(self.env, self.policy, partial(self._attempt, message), partial(self._begin, message))

    def _begin(self, message, timeout, number):
        """An attempt beside others, for a policy that hedges: a call under way that may be abandoned."""
        attempt = Message(self.label or message.label, message.size)
        begun = Call(self.env, self._attempt(message, timeout, number, attempt))
        begun.abandon = partial(self._abandon, attempt)
        return begun

    def _abandon(self, attempt):
        attempt.abandoned = True
        if self.trace is not None:
            self.trace.end_call(attempt.id, "cancelled")

    def _attempt(self, message, timeout, number, attempt=None):
        """Attempt ``number``, given up after ``timeout`` seconds (None: never); returns its status."""
        if attempt is None:
            attempt = Message(self.label or message.label, message.size)
        if self.trace is not None:
            self._started(attempt, message, timeout, number)

        if timeout is None:
            status = yield from self.to.call(attempt)
        else:
            answer = Call(self.env, self.to.call(attempt))
            self._alarm.watch(answer, timeout)
            try:
                status = yield answer
            except Exception:  # interrupted: nobody waits for this answer any more
                self._abandon(attempt)
                raise
            if answer.is_late:
                attempt.abandoned = True
                if self.trace is not None:
                    answer.when_late = partial(self._came_too_late, attempt)

        if self.trace is not None:
            self._ended(attempt, status)
        return status

    def _started(self, attempt, message, timeout, number):
        name, callee = self.name or "client", getattr(self.to, "name", "")
        attempt.id = self.trace.start_call(
            name, callee, attempt.label, attempt=number, timeout=timeout, parent=message.id
        )
        self.trace.send(name, callee, attempt.label, id=attempt.id)

    def _ended(self, attempt, status):
        if not attempt.abandoned:
            self.trace.receive(reply_id(attempt.id), self.name or "client")
        elif status != Status.TIMEOUT:  # answered, after a hedge was won by another
            self._came_too_late(attempt)
        self.trace.end_call(attempt.id, status)

    def _came_too_late(self, attempt):
        self.trace.lose(reply_id(attempt.id), "came too late")
