"""A broker for one part of a check, and the connections to it that the learner's code opens."""

import time
from contextlib import closing, redirect_stdout, suppress
from functools import partial

from pika.exceptions import AMQPError

from servicelab.checks.scenario import Stage
from servicelab.clients.amqp import Consumer, connect
from servicelab.lifecycle import ServerError, wait_until
from servicelab.servers.amqp import Broker

MANY = 60  # messages handled, of fewer: they go round
MOST_STEPS = 12
STEPS = "basic_get", "basic_publish", "basic_ack", "basic_nack", "basic_reject"


class BrokerStage(Stage):
    """A broker with a disk. ``connect()`` opens a connection in the lane "orders", and is what learners are given;
    ``attempts`` are the moments of these calls. The diagram marks the last message that is one of ``marked``."""

    marked = ("deliver", "redeliver")

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.connections, self.attempts, self._mine = [], [], []
        self.processes, self.steps, self.dies_after, self.died = 0, [], None, ""
        self.broker = Broker("broker of the check", trace=ask.trace, lane="broker", durable=True)
        with redirect_stdout(None):  # it replaces that of another run, and says so: the learner did not
            self.broker.start()
        self.use(closing(self))
        self.url = self.broker.url  # it keeps its port; and nobody listens there while it is dead

    @property
    def last(self):
        messages = self.ask.trace.messages
        marked = [one.id for one in messages if one.label.startswith(self.marked)] or [one.id for one in messages]
        return marked[-1] if marked else None

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
        self.connections.append(connect(self.url, "orders", self.ask.trace))
        return self.connections[-1]

    def left_open(self) -> int:
        """How many of the learner's connections are open."""
        return sum(connection.is_open for connection in self.connections)

    def channel(self, *lane):
        """A channel of the check's own, with confirms, on a connection that is closed with the part."""
        self._mine.append(connect(self.url, *lane))
        channel = self._mine[-1].channel()
        channel.confirm_delivery()
        return channel

    def with_dead_letters(self, queue):
        """A channel to publish on, after it has declared the queue, and one for its dead letters."""
        out = self.channel("orders", self.ask.trace)
        out.queue_declare(f"{queue}.dead", durable=True)
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.dead"}
        out.queue_declare(queue, durable=True, arguments=dead)
        return out

    def taken(self, queue: str) -> list[tuple]:
        """Take everything out of ``queue``: ``(properties, body)`` of each. Empty when there is no such queue."""
        taken, channel = [], self.channel()
        with suppress(AMQPError):
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                taken.append(got[1:])
        return taken

    # -- processes of the learner's, and their death -----------------------------------------------

    def consume(self, queue, handle, lane, prefetch):
        """Start a process that consumes, and ends with the part; what it does on its channel are steps."""
        self.processes += 1
        lane = f"{lane} {self.processes}"
        options = {"prefetch": prefetch, "trace": self.ask.trace, "prepare": self.counted}
        self.current = Consumer(self.url, queue, handle, name=f"check {lane}", lane=lane, **options)
        return self.use(self.current)

    def settles(self, queue) -> bool:
        """Let the process take what there is, and stop it: is all of it settled, and did the process live? ``lives``
        and ``told`` say how it stands."""
        current = self.current
        wait_until(lambda: self.broker.depth(queue) == (0, 0) or not current.is_running or current.handled > MANY, 2.0)
        (ready, unacked), dead = self.broker.depth(queue), self.broker.depth(f"{queue}.dead")[0]
        self.lives = current.is_running
        current.stop()
        self.told = f"{ready} ready, {unacked} unacknowledged, prefetch {current.prefetch}, {dead} dead letters"
        self.told += last_words(current)
        return self.lives and ready + unacked == 0

    def step(self, what):
        """It has done ``what``; and dies, if that was step ``dies_after``."""
        self.steps.append(what)
        if len(self.steps) - 1 == self.dies_after and not self.died:
            self.died = f"it died after its step {len(self.steps)}, {what}"
            self.die()

    def die(self):
        self.current.crash()

    def counted(self, channel):
        """The channel, with steps that are counted."""
        for name in STEPS:
            setattr(channel, name, partial(self._count, name, getattr(channel, name)))
        return channel

    def _count(self, name, act, *args, **more):
        result = act(*args, **more)  # it has left when this returns
        self.step(name)
        return result

    def deaths(self):
        """Stages on which the learner's process dies, after one of its steps each; and one on which it does not."""
        for at in range(MOST_STEPS):
            with self.ask.new_trace():
                one = type(self)(self.ask, self.yours)
                one.dies_after = at
                yield one
            if not one.died:
                return


def last_words(consumer) -> str:
    """What a consumer that died of an exception said last, to stand at the end of a sentence."""
    return f"; it ended with {consumer.errors[-1].strip().splitlines()[-1]}" if consumer.errors else ""
