"""A consumer: takes letters from a queue, does the work, acknowledges. And dies, when it is told to.

A letter passes four points at which its consumer may die, and what becomes of the task depends on which:

| point          | with acknowledgement                        | with auto-ack                        |
|----------------|---------------------------------------------|--------------------------------------|
| BEFORE_ARRIVAL | the letter goes back: done once             | it was gone when it was sent: lost   |
| BEFORE_WORK    | the letter goes back: done once             | lost                                 |
| BEFORE_ACK     | the letter goes back, work is done: *twice* | done once; what waited here is lost  |
| AFTER_ACK      | done once                                   | done once; what waited here is lost  |
"""

import simpy

from servicelab.arguments import seconds, whole
from servicelab.sim.call import Call
from servicelab.sim.place import require_law

BEFORE_ARRIVAL = "before it arrives"
BEFORE_WORK = "before the work"
BEFORE_ACK = "before the ack"
AFTER_ACK = "after the ack"
POINTS = (BEFORE_ARRIVAL, BEFORE_WORK, BEFORE_ACK, AFTER_ACK)


class Consumer:
    """Works on the letters of ``queue``, one at a time: ``work`` seconds each (a number or a law).

    ``prefetch`` letters may be sent to it and not yet acknowledged; None: any number. It acknowledges when the work is
    done; with ``auto_ack`` the queue forgets a letter as it sends it, and ``prefetch`` means nothing. ``delay`` is how
    many seconds a letter, an acknowledgement or the news of its death takes between queue and consumer.

    ``keys`` makes it idempotent: a set, shared by all who do this work, of the numbers of the tasks that were done. A
    letter whose number is in it is acknowledged without work. The number goes in *with* the effect of the work, as
    in one transaction; with ``keys_first=True`` it goes in before the work, a common mistake.

    ``fails`` is None or a function of the task that says whether the work fails: then it has no effect, and the letter
    goes back, or with ``requeue=False`` is refused. ``crash`` is None or a function of the letter that says, as it is
    sent, at which of ``POINTS`` the consumer will die of it (None: not at all). It is up again ``restart`` seconds
    after its death (None: never). :meth:`kill` does the same from outside, at any moment. What it had been sent and had
    not acknowledged the queue then gives to others. When the *broker* goes down a consumer finishes what it is at,
    though nobody will take the acknowledgement, and connects again.

    Raises ValueError for a negative time or a prefetch below 1.
    """

    def __init__(
        self,
        env,
        name,
        queue,
        work,
        *,
        prefetch=1,
        auto_ack=False,
        delay=0.0,
        keys=None,
        keys_first=False,
        fails=None,
        requeue=True,
        crash=None,
        restart=None,
        trace=None,
    ):
        self.env = env
        self.name = name
        self.queue = queue
        self.work = require_law("work", work)
        self.prefetch = prefetch if prefetch is None else whole("prefetch", prefetch)
        self.auto_ack = auto_ack
        self.delay = seconds("delay", delay)
        self.keys = keys
        self.keys_first = keys_first
        self.fails = fails
        self.requeue = requeue
        self.crash = crash
        self.restart = restart if restart is None else seconds("restart", restart)
        self.trace = trace
        self.deaths = 0
        self._start()

    def kill(self):
        """Die now. Does nothing if it is dead already."""
        if self.is_up:
            self._die()
            self._process.interrupt("killed")

    # -- its life ---------------------------------------------------------------------------

    def _start(self):
        self.is_up = True
        self.channel = None  # the present one, while there is a connection
        self._news = self.env.event()  # something came, or the connection went
        self._at_work = None
        self._process = self.env.process(self._live())

    def _live(self):
        try:
            while True:
                letter, point = yield from self._next()
                yield from self._handle(letter, point)
        except (simpy.Interrupt, _Dead):
            if self.is_up:  # otherwise kill() has seen to the rest
                self._die()
        except Exception:  # a mistake in the work: what it was sent goes back all the same
            self._die()
            raise

    def _next(self):
        """The next letter, and the point at which it will be the end of us."""
        while True:
            if self.channel is None:
                yield from self.queue.subscribe(self)
            if self.channel.inbox:
                return self.channel.inbox.popleft()
            self._news = self.env.event()
            yield self._news

    def _handle(self, letter, point):
        channel, task, failed = self.channel, letter.task, False
        known = self.keys is not None and task.number in self.keys
        if self.keys is not None and self.keys_first:
            self.keys.add(task.number)
        if point == BEFORE_WORK:
            raise _Dead
        if task.began is None:
            task.began = self.env.now
        if not known:
            failed = yield from self._work_on(task, letter)
        if point == BEFORE_ACK:
            raise _Dead
        if not self.auto_ack:
            self._tell(channel, letter, "nack" if failed else "ack")
        if point == AFTER_ACK:
            raise _Dead

    def _work_on(self, task, letter):
        if self.trace is not None:
            self._at_work = self.trace.start_work(self.name, task.label)
        yield self.env.timeout(self.work())
        self._stop_work()
        if self.fails is not None and self.fails(task):
            return True
        # Somebody else may have been at the same task: the key is unique, and the second commit fails.
        if self.keys is None or self.keys_first or task.number not in self.keys:
            task.done.append(self.env.now)
        if self.keys is not None:
            self.keys.add(task.number)
        return False

    def _stop_work(self):
        if self._at_work is not None:
            self.trace.end_work(self._at_work)
            self._at_work = None

    def _die(self):
        self.is_up = False
        self.deaths += 1
        self._stop_work()
        if self.trace is not None:
            self.trace.state(self.name, "down")
        channel, self.channel = self.channel, None
        if channel is not None:
            Call(self.env, self._hang_up(channel))
        if self.restart is not None:
            Call(self.env, self._rise())

    def _rise(self):
        yield self.env.timeout(self.restart)
        if self.trace is not None:
            self.trace.state(self.name, "up")
        self._start()

    # -- the wire ---------------------------------------------------------------------------

    def _sent(self, channel, letter):
        """The queue sends ``letter``."""
        Call(self.env, self._carry(channel, letter, self.crash(letter) if self.crash is not None else None))

    def _carry(self, channel, letter, point):
        id = None
        if self.trace is not None:
            again = " again" if letter.redelivered else ""
            id = self.trace.send(self.queue.name, self.name, letter.label + again, kind="message")
        if point == BEFORE_ARRIVAL:
            yield self.env.timeout(self.delay / 2)
            if channel is self.channel:
                self.kill()
            yield self.env.timeout(self.delay / 2)
        elif self.delay:
            yield self.env.timeout(self.delay)
        if channel is not self.channel:  # dead, or cut off, or already on another
            if id:
                self.trace.lose(id, "nobody there")
            return
        if id:
            self.trace.receive(id, self.name)
        channel.inbox.append((letter, point))
        self._wake_up()

    def _tell(self, channel, letter, what):
        Call(self.env, self._carry_back(channel, letter, what))

    def _carry_back(self, channel, letter, what):
        id = self.trace and self.trace.send(self.name, self.queue.name, what, kind="message")
        if self.delay:
            yield self.env.timeout(self.delay)
        if id:
            self.trace.receive(id) if channel.is_open else self.trace.lose(id, "connection gone")
        if what == "ack":
            self.queue.ack(channel, letter)
        else:
            self.queue.nack(channel, letter, self.requeue)

    def _hang_up(self, channel):
        if self.delay:
            yield self.env.timeout(self.delay)
        self.queue.close(channel)

    def _cut_off(self):
        """The broker has gone down, and what was sent here and not looked at with it."""
        self.channel = None
        self._wake_up()

    def _wake_up(self):
        if not self._news.triggered:
            self._news.succeed()

    def __repr__(self):
        return f"<{self.name}: {'up' if self.is_up else 'down'}, died {self.deaths} times>"


class _Dead(Exception):
    """Ends the life of a consumer from inside."""
