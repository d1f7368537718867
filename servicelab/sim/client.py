"""A client: somebody who calls, and a policy that says for how long and how often."""

from simpy.events import PENDING

from servicelab.policies.drive import SimCaller
from servicelab.policies.status import Status
from servicelab.sim.alarm import Alarm
from servicelab.sim.call import Call
from servicelab.sim.message import Message
from servicelab.sim.place import require_place
from servicelab.trace import reply_id


class Client(SimCaller):
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
            return self._once(message)
        return self.drive(message)

    def attempt(self, message, timeout, number):
        """Attempt ``number``, as an event that will have its status as value."""
        return Attempt(self, message, timeout, number)

    begin = attempt  # what a hedge starts beside others is the same

    def _once(self, message):
        """The only attempt, without a timeout."""
        sent = Message(self.label or message.label, message.size)
        if self.trace is not None:
            self._began(sent, message, None, 1)
        status = yield from self.to.call(sent)
        if self.trace is not None:
            self._answered(sent, status)
        return status

    # -- what the trace is told -------------------------------------------------------------

    def _began(self, sent, message, timeout, number):
        name, callee = self.name or "client", getattr(self.to, "name", "")
        sent.id = self.trace.start_call(name, callee, sent.label, attempt=number, timeout=timeout, parent=message.id)
        self.trace.send(name, callee, sent.label, id=sent.id)

    def _answered(self, sent, status):
        if sent.abandoned:
            self.trace.lose(reply_id(sent.id), "came too late")
        else:
            self.trace.receive(reply_id(sent.id), self.name or "client")
            self.trace.end_call(sent.id, status)


class Attempt(Call):
    """One attempt of ``client``, under way; given up after ``timeout`` seconds (None: never)."""

    def __init__(self, client, message, timeout, number):
        self._client = client
        self._sent = sent = Message(client.label or message.label, message.size)
        if client.trace is not None:
            client._began(sent, message, timeout, number)
        Call.__init__(self, client.env, client.to.call(sent))
        if timeout is not None:
            client._alarm.watch(self, timeout)

    def abandon(self, status="cancelled"):
        """Nobody waits for the answer any more."""
        self._sent.abandoned = True
        if self._client.trace is not None:
            self._client.trace.end_call(self._sent.id, status)

    def time_is_up(self):
        if not self.triggered:
            self.abandon(Status.TIMEOUT)
            super().time_is_up()

    def _ended(self, status):
        if self._client.trace is not None:
            self._client._answered(self._sent, status)
        if self._value is PENDING:
            self.happen(status)
