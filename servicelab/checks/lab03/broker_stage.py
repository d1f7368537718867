"""A broker for one part of a check, and the connections to it that the learner's code opens."""

import threading
import time
from contextlib import closing, suppress

from pika.exceptions import AMQPError

from servicelab.checks.learner_traceback import shown
from servicelab.clients.amqp import connect
from servicelab.lifecycle import ServerError
from servicelab.servers.amqp import Broker
from servicelab.trace import Trace


class Desk:
    """A broker with a disk, never the learner's own. ``connect()`` opens a connection in the lane ``lane``, and is what
    learners are given; ``tries`` are the moments (seconds, monotonic) at which they called it."""

    def __init__(self, ask, lane: str, guard=lambda connection: connection):
        self.ask, self.lane, self.guard = ask, lane, guard
        self.trace: Trace = ask.trace
        self.connections, self.tries = [], []
        self.broker = Broker("broker of the check", trace=ask.trace, lane="broker", durable=True).start()
        ask.use(closing(self))  # also when the learner's object cannot be made
        self.url = self.broker.url  # it keeps its port; and nobody listens there while it is dead

    def close(self):
        self.broker.trace = None  # what follows is no part of the learner's run
        with suppress(ServerError):  # who waits for a broker that is paused should not wait for this
            self.broker.kill()
        self.broker.stop()
        for connection in self.connections:
            with suppress(Exception):  # whatever state a learner left it in
                connection.close()

    def connect(self):
        """Open a new connection to the broker. Raises pika's AMQPConnectionError when it is not there."""
        self.tries.append(time.monotonic())
        connection = self.guard(connect(self.url, self.lane, self.trace))
        self.connections.append(connection)
        return connection

    @property
    def left_open(self) -> int:
        """Connections that somebody opened and did not close."""
        return sum(connection.is_open for connection in self.connections)

    def channel(self, lane: str = "check"):
        """A channel of the check's own; the broker stamps its messages in ``lane``."""
        connection = connect(self.broker, lane)
        self.connections.append(connection)
        return connection.channel()

    def bodies(self, queue: str) -> list[tuple[str | None, bytes]]:
        """Take everything out of ``queue``: ``(message id, body)`` of each."""
        taken, channel = [], self.channel()
        with suppress(AMQPError):  # there is no such queue
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    break
                taken.append((properties.message_id, body))
        return taken

    def is_durable(self, queue: str) -> bool:
        return any(row[-1] for row in self.broker.queues(queue).rows)

    def has(self, queue: str) -> bool:
        return bool(self.broker.queues(queue).rows)

    def mark(self, *starts: str) -> str | None:
        """The id of the last message whose label begins with one of ``starts``; without them the last of all."""
        messages = [m for m in self.trace.messages if not starts or m.label.startswith(starts)]
        return messages[-1].id if messages else None

    def make(self, kind, *args, methods=("close",), again=None, **more):
        """The learner's object, which needs these ``methods``. ``again``, the code, expectation and hint for an object
        that cannot be made although one before it could."""
        if again is not None:
            outcome = self.ask.run(lambda: kind(*args, **more), keep=True)
            code, what, hint = again
            if not outcome.returned:
                self.ask.need(code, what, False, str(outcome), hint, self.mark())
            return outcome.value
        made = self.ask.call(kind, *args, keep=True, **more)
        missing = [name for name in methods if not callable(getattr(made, name, None))]
        name = getattr(kind, "__name__", "your class")
        if missing:
            self.ask.need(
                "wrong-type",
                f"{name}(…) is an object with {' and '.join(f'{one}()' for one in methods)}",
                False,
                f"it is {shown(made)}, without {' and '.join(missing)}",
                "Keep the names that the task gives, and hand over the class itself.",
                self.mark(),
            )
        return made


def wait_until(condition, limit: float = 3.0) -> bool:
    """Wait until ``condition()`` holds, for ``limit`` seconds at most; says whether it does."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.002)
    return True


class Later(threading.Thread):
    """``steps`` one after another in a thread: functions, and pauses in seconds. ``at`` notes when each was done."""

    def __init__(self, *steps):
        super().__init__(name="servicelab check", daemon=True)
        self.steps, self.at = steps, []

    def run(self):
        for step in self.steps:
            step() if callable(step) else time.sleep(step)
            self.at.append(time.monotonic())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.join(10)
