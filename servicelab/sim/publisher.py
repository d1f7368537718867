"""A publisher: hands tasks to a queue, and either asks whether they have arrived, or does not."""

from servicelab.arguments import seconds, whole
from servicelab.policies.status import Status
from servicelab.sim.alarm import Alarm
from servicelab.sim.call import Call
from servicelab.sim.place import require_place
from servicelab.sim.task import Letter, Task
from servicelab.trace import reply_id

OK = Status.OK


class Publisher:
    """Makes a task of every message that it is called with, and publishes it to the place ``to``, a queue.

    Without ``confirm`` it answers ``"ok"`` at once, whatever becomes of the letter. With ``confirm`` it waits for the
    broker's word, up to ``timeout`` seconds (None: for as long as it takes); if that is no, or does not come, it waits
    for ``pause`` seconds and publishes the task again, in a new letter, up to ``attempts`` times in all (None: until it
    is confirmed). A broker that stored a letter and could not say so then has two of them.

    ``to`` may be a ``Link`` before the queue. ``persistent`` marks the letters. ``tasks`` are all tasks so far.
    ``trace`` records letters and confirms; its lane is ``name``.

    Raises TypeError if ``to`` is no place, ValueError for a negative time or less than one attempt.
    """

    def __init__(
        self,
        env,
        to,
        name="orders",
        *,
        confirm=False,
        persistent=False,
        timeout=None,
        pause=0.1,
        attempts=None,
        trace=None,
    ):
        self.env = env
        self.to = require_place("to", to)
        self.name = name
        self.confirm = confirm
        self.persistent = persistent
        self.timeout = timeout if timeout is None else seconds("timeout", timeout)
        self.pause = seconds("pause", pause)
        self.attempts = attempts if attempts is None else whole("attempts", attempts)
        self.trace = trace
        self.tasks = []
        self._alarm = Alarm(env)

    def call(self, message):
        """Publish ``message`` as a task; returns ``"ok"``, or the last status when the attempts are used up."""
        task = Task(len(self.tasks), message.label, self.env.now)
        self.tasks.append(task)
        if not self.confirm:
            Call(self.env, self._publish(task, message))
            return OK
        attempt = 1
        while True:
            status = yield from self._ask(task, message)
            if status == OK:
                task.confirmed = self.env.now
                return OK
            if attempt == self.attempts:
                return status
            attempt += 1
            yield self.env.timeout(self.pause)

    def _ask(self, task, message):
        """One attempt, given up after the timeout."""
        answer = Call(self.env, self._publish(task, message))
        if self.timeout is not None:
            self._alarm.watch(answer, self.timeout)
        return (yield answer)

    def _publish(self, task, message):
        letter = Letter(task, self.persistent, self.confirm, message.size)
        if self.trace is not None:
            letter.id = self.trace.send(self.name, getattr(self.to, "name", ""), message.label, kind="message")
        status = yield from self.to.call(letter)
        if self.trace is not None and self.confirm and status != Status.ERROR:
            self.trace.receive(reply_id(letter.id), self.name)
        return status
