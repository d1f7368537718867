"""A broker for one part of a check, and the connections to it that the learner's code opens."""

import time
from contextlib import closing, redirect_stdout, suppress

from pika.exceptions import AMQPError

from servicelab.checks.scenario import Stage
from servicelab.clients.amqp import Consumer, connect
from servicelab.lifecycle import ServerError
from servicelab.servers.amqp import Broker


class BrokerStage(Stage):
    """A broker with a disk. ``connect()`` opens a connection in the lane "orders", and is what learners are given;
    ``attempts`` are the moments (seconds, monotonic) at which they called it. If nothing else is said, the diagram
    marks the last message that is one of ``marked``."""

    marked = ("deliver", "redeliver")

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.connections, self.attempts, self._mine, self._last = [], [], [], None
        self.broker = Broker("broker of the check", trace=ask.trace, lane="broker", durable=True)
        with redirect_stdout(None):  # it replaces that of another run, and says so: the learner did not
            self.broker.start()
        self.use(closing(self))
        self.url = self.broker.url  # it keeps its port; and nobody listens there while it is dead

    @property
    def last(self):
        return self._last or self.mark(*self.marked) or self.mark()

    @last.setter
    def last(self, id):
        self._last = id

    def mark(self, *starts: str) -> str | None:
        """The id of the last message whose label begins with one of ``starts``; without them the last of all."""
        messages = [m for m in self.ask.trace.messages if not starts or m.label.startswith(starts)]
        return messages[-1].id if messages else None

    def close(self):
        self.broker.trace = None  # what follows is no part of the learner's run
        with suppress(ServerError):  # who waits for a broker that is paused should not wait for this
            self.broker.kill()
        self.broker.stop()
        for connection in self.connections + self._mine:
            with suppress(Exception):  # whatever state a learner left it in
                connection.close()

    def connect(self):
        """Open a new connection to the broker. Raises pika's AMQPConnectionError when it is not there."""
        self.attempts.append(time.monotonic())
        connection = connect(self.url, "orders", self.ask.trace)
        self.connections.append(connection)
        return connection

    @property
    def left_open(self) -> int:
        """Connections that the learner opened and did not close."""
        return sum(connection.is_open for connection in self.connections)

    def channel(self):
        """A channel of the check's own, on a connection that is closed with the part."""
        self._mine.append(connect(self.url, "check"))
        return self._mine[-1].channel()

    def consumer(self, queue, handle, lane="consumer", **options) -> Consumer:
        """A started consumer, which ends with the part."""
        made = Consumer(self.url, queue, handle, name=f"check {lane}", lane=lane, trace=self.ask.trace, **options)
        return self.use(made)

    def bodies(self, queue: str) -> list[tuple[str | None, bytes]]:
        """Take everything out of ``queue``: ``(message id, body)`` of each. Empty when there is no such queue."""
        taken, channel = [], self.channel()
        with suppress(AMQPError):
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                taken.append((got[1].message_id, got[2]))
        return taken

    def queue(self, name: str):
        """``(name, ready, unacked, consumers, durable)`` of a queue, or None when there is none."""
        return next(iter(self.broker.queues(name).rows), None)

    def is_empty(self, queue: str) -> bool:
        return self.broker.depth(queue) == (0, 0)


def last_words(consumer) -> str:
    """What a consumer that died of an exception said last, to stand at the end of a sentence."""
    return f"; it ended with {consumer.errors[-1].strip().splitlines()[-1]}" if consumer.errors else ""


def wait_until(condition, limit: float = 3.0) -> bool:
    """Wait until ``condition()`` holds, for ``limit`` seconds at most; says whether it does."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.002)
    return True
