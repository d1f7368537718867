"""A message queue: letters wait in it until a consumer acknowledges them; and the broker that keeps it.

::

    env = simpy.Environment()
    mails = Queue(env, "mails")
    orders = Publisher(env, mails, "orders")
    for name in ("worker A", "worker B"):
        Consumer(env, name, mails, work=draws.exponential(name, 0.010))
    journeys = poisson(env, 120, orders, draws, count=1000)
    env.run()
    mails.depth.ready, waits(orders.tasks)

What a letter goes through, and what a fault makes of it, follows RabbitMQ 3.10:

| setting        | what it does                                                                                    |
|----------------|-------------------------------------------------------------------------------------------------|
| durable        | the queue is there after a restart of its broker, and with it the persistent letters on its disk |
| max_length     | no more letters than this are ready; None: any number                                           |
| overflow       | "drop-head": the oldest goes; "reject-publish": the new one is rejected                         |
| ttl            | a letter that has been in the queue for this many seconds, and is ready, goes; None: never      |
| delivery_limit | a letter that came back more often than this goes (delivered limit + 1 times); None: never      |
| dead_letter    | the queue to which those go that go for one of these reasons; None: they are dropped            |

Source: rabbitmq.com/docs, the pages "Classic queues", "Queue length limit", "Time-to-live" and "Quorum queues"
(delivery limit).
"""

from collections import Counter, deque

import numpy as np

from servicelab.arguments import seconds, whole
from servicelab.policies.status import Status
from servicelab.sim.call import Call
from servicelab.sim.place import require_law
from servicelab.sim.task import Letter, Task
from servicelab.trace import reply_id

OK, ERROR, REJECTED = Status.OK, Status.ERROR, Status.REJECTED


class Broker:
    """What keeps queues, and takes them down with it.

    ``disk`` is how long it takes (seconds, a number or a law) until a persistent letter is on disk; the confirm comes
    then. :meth:`restart` is a power cut: what is not on disk by then is gone.
    """

    def __init__(self, env, name="broker", disk=0.0, trace=None):
        self.env = env
        self.name = name
        self.disk = require_law("disk", disk)
        self.trace = trace
        self.queues = []
        self.is_up = True
        self.lives = 1  # one more after every restart
        self._is_back = env.event()

    def restart(self, down=0.0):
        """Cut the power now and come back after ``down`` seconds. Nobody is connected any more.

        Raises RuntimeError if it is down already.
        """
        seconds("down", down)
        if not self.is_up:
            raise RuntimeError(f"{self.name} is down already: wait until it is back before you cut its power again")
        self.is_up = False
        if self.trace is not None:
            self.trace.state(self.name, "down")
        for queue in self.queues:
            queue._lose_what_is_not_on_disk()
        Call(self.env, self._come_back(down))

    def _come_back(self, down):
        yield self.env.timeout(down)
        self.is_up = True
        self.lives += 1
        if self.trace is not None:
            self.trace.state(self.name, "up")
        self._is_back.succeed()
        self._is_back = self.env.event()

    def wait_until_up(self):
        """A generator that returns when the broker is up."""
        while not self.is_up:
            yield self._is_back


class Queue:
    """A queue called ``name``: a place that keeps what it is called with, first in, first out.

    ``status = yield from queue.call(letter)`` publishes: it answers ``"ok"`` when the letter is in the queue (a
    persistent letter in a durable queue: on disk), ``"rejected"`` when the queue is full and refuses, ``"error"`` when
    the broker is down or goes down before it can say so. Who does not want to know need not wait: see ``Publisher``.

    The settings are those of the table above, times in seconds. ``broker`` is one that several queues share; without it
    the queue has one of its own. After a restart a queue that is not durable is declared again at once, and empty.
    ``depth`` is the record of how many letters were ready and unacknowledged; ``gone`` counts, by reason, those that
    left in another way than by an acknowledgement. ``trace`` records letters, deliveries and acknowledgements.

    Raises ValueError for a setting out of range, TypeError for a ``dead_letter`` that is no queue.
    """

    def __init__(
        self,
        env,
        name="queue",
        broker=None,
        *,
        durable=False,
        max_length=None,
        overflow="drop-head",
        ttl=None,
        delivery_limit=None,
        dead_letter=None,
        trace=None,
    ):
        if overflow not in ("drop-head", "reject-publish"):
            raise ValueError(f'overflow={overflow!r} must be "drop-head" or "reject-publish"')
        if dead_letter is not None and not isinstance(dead_letter, Queue):
            raise TypeError(f"dead_letter={dead_letter!r} must be a Queue: make it first, then name it here")
        self.env = env
        self.name = name
        self.broker = Broker(env, trace=trace) if broker is None else broker
        self.durable = durable
        self.max_length = max_length if max_length is None else whole("max_length", max_length, least=0)
        self.overflow = overflow
        self.ttl = ttl if ttl is None else seconds("ttl", ttl)
        self.delivery_limit = delivery_limit
        if delivery_limit is not None:
            whole("delivery_limit", delivery_limit, least=0)
        self.dead_letter = dead_letter
        self.trace = trace
        self.ready = 0
        self.unacked = 0
        self.gone = Counter()
        self.depth = Depth(env)
        self._letters = deque()  # by place; some may have gone meanwhile, their ``waiting`` is False
        self._places = 0
        self._channels = deque()  # the one whose turn it is first
        self.broker.queues.append(self)

    # -- for publishers ---------------------------------------------------------------------

    def call(self, message):
        """Publish ``message``, a letter or any other: returns ``"ok"``, ``"rejected"`` or ``"error"``."""
        life = self.broker.lives
        if not self.broker.is_up:
            if self.trace is not None and message.id:
                self.trace.lose(message.id, "broker down")
            return ERROR
        if self.trace is not None and message.id:
            self.trace.receive(message.id, self.name)
        if self.overflow == "reject-publish" and self.max_length is not None and self.ready >= self.max_length:
            self.gone["rejected"] += 1
            return self._answer(message, REJECTED)

        letter = message if isinstance(message, Letter) else Letter(Task(self._places, message.label, self.env.now))
        self._put(letter)
        if self.durable and letter.persistent:
            written = self.env.timeout(self.broker.disk())
            written.callbacks.append(lambda _: self._store(letter, life))  # also when the publisher has left
            yield written
            if not letter.stored:
                return ERROR  # the connection broke; whether the letter was stored nobody said
        return self._answer(message, OK)

    def _store(self, letter, life):
        letter.stored = self.broker.is_up and self.broker.lives == life

    def _answer(self, message, status):
        if self.trace is not None and message.id and getattr(message, "confirm", True):
            label = "confirm" if status == OK else "nack"
            self.trace.send(self.name, "", label, id=reply_id(message.id), kind="reply")
        return status

    def _put(self, letter):
        """A letter joins the end of the queue."""
        self._places += 1
        letter.place, letter.since = self._places, self.env.now
        letter.redelivered = False
        self._letters.append(letter)
        self._now_ready(letter)
        if self.ttl is not None:
            Call(self.env, self._expire(letter, letter.place))
        self._deliver()
        if self.max_length is not None:
            while self.ready > self.max_length:
                self._drop(self._take_first(), "too many")
        self._note()

    def _expire(self, letter, place):
        yield self.env.timeout(self.ttl)
        # One that a consumer has is not touched; it goes when it comes back.
        if letter.waiting and letter.place == place:
            letter.waiting = False
            self.ready -= 1
            self._drop(letter, "expired")
            self._note()

    def _drop(self, letter, why):
        self.gone[why] += 1
        if self.dead_letter is not None:
            letter.returns = 0
            letter.stored = letter.persistent  # brokers move it without a gap
            self.dead_letter._put(letter)

    # -- for consumers ----------------------------------------------------------------------

    def subscribe(self, consumer):
        """A generator: wait until the broker is up, then give ``consumer`` a channel, and send it letters."""
        yield from self.broker.wait_until_up()
        consumer.channel = channel = Channel(self, consumer)
        self._channels.append(channel)
        self._deliver()
        self._note()

    def ack(self, channel, letter):
        """``letter`` is done with. On a channel that has been closed this means nothing."""
        if channel.unacked.pop(letter.place, None) is not None:
            self.unacked -= 1
            self._deliver()
            self._note()

    def nack(self, channel, letter, requeue=True):
        """``letter`` could not be done: it goes back to its place in the queue, or is dead-lettered."""
        if channel.unacked.pop(letter.place, None) is not None:
            self.unacked -= 1
            self._return(letter) if requeue else self._drop(letter, "refused")
            self._deliver()
            self._note()

    def close(self, channel):
        """The consumer has gone: what it had not acknowledged goes back."""
        if channel.is_open:
            self._end(channel)
            for letter in channel.unacked.values():
                self._return(letter)
            channel.unacked.clear()
            self._deliver()
            self._note()

    def _end(self, channel):
        channel.is_open = False
        self._channels.remove(channel)
        self.unacked -= len(channel.unacked)

    def _return(self, letter):
        letter.returns += 1
        letter.redelivered = True
        if self.delivery_limit is not None and letter.returns > self.delivery_limit:
            return self._drop(letter, "delivered too often")
        if self.ttl is not None and self.env.now - letter.since >= self.ttl:
            return self._drop(letter, "expired")
        # To where it was. Those that come back are the oldest, so this is a short walk.
        behind = (index for index, other in enumerate(self._letters) if other.place > letter.place)
        self._letters.insert(next(behind, len(self._letters)), letter)
        self._now_ready(letter)

    def _deliver(self):
        """Hand over what is ready, the channels taking turns, as long as one has room."""
        while self.ready:
            for _ in range(len(self._channels)):
                channel = self._channels[0]
                self._channels.rotate(-1)
                if channel.has_room:
                    break
            else:
                return
            letter = self._take_first()
            letter.task.deliveries += 1
            if not channel.auto_ack:
                channel.unacked[letter.place] = letter
                self.unacked += 1
            channel.consumer._sent(channel, letter)

    def _take_first(self):
        while True:
            letter = self._letters.popleft()
            if letter.waiting:
                letter.waiting = False
                self.ready -= 1
                return letter

    def _now_ready(self, letter):
        letter.waiting = True
        self.ready += 1

    # -- for the broker ---------------------------------------------------------------------

    def _lose_what_is_not_on_disk(self):
        """The power is cut: connections end, and what is on disk waits for the broker to come back."""
        letters = [letter for letter in self._letters if letter.waiting]
        for channel in list(self._channels):
            self._end(channel)
            for letter in channel.unacked.values():
                letter.redelivered = True
                letters.append(letter)
            channel.unacked.clear()
            channel.consumer._cut_off()
        kept = [letter for letter in letters if self.durable and letter.persistent and letter.stored]
        self.gone["restart"] += len(letters) - len(kept)
        for letter in letters:
            letter.waiting = False
        self._letters.clear()
        self.ready = 0
        for letter in sorted(kept, key=lambda letter: letter.place):
            self._letters.append(letter)
            self._now_ready(letter)
        self._note()

    def _note(self):
        self.depth.note(self.ready, self.unacked)

    def __repr__(self):
        return f"<{self.name}: {self.ready} ready, {self.unacked} unacknowledged, {len(self._channels)} consumers>"


class Channel:
    """A consumer's subscription: what it was sent and has not acknowledged, and what it has not looked at yet."""

    def __init__(self, queue, consumer):
        self.queue = queue
        self.consumer = consumer
        self.auto_ack = consumer.auto_ack
        self.unacked = {}  # by place, in order of delivery
        self.inbox = deque()
        self.is_open = True

    @property
    def has_room(self) -> bool:
        """Whether the prefetch limit allows one more. It limits what is unacknowledged, so auto-ack knows no limit."""
        prefetch = self.consumer.prefetch
        return self.auto_ack or prefetch is None or len(self.unacked) < prefetch


class Depth:
    """How many letters a queue held over time: three arrays, a step wherever one of the numbers changes.

    A letter is *ready* until it is sent to a consumer, then *unacked* until that acknowledges it.
    """

    def __init__(self, env):
        self._steps = [(env.now, 0, 0)]
        self._env = env

    def note(self, ready, unacked):
        """The numbers as from now."""
        if self._steps[-1][0] == self._env.now:
            self._steps.pop()
        self._steps.append((self._env.now, ready, unacked))

    @property
    def time(self) -> np.ndarray:
        """When the numbers changed, in seconds."""
        return np.array([step[0] for step in self._steps], dtype=float)

    @property
    def ready(self) -> np.ndarray:
        """Letters ready to be delivered, from each time on."""
        return np.array([step[1] for step in self._steps], dtype=int)

    @property
    def unacked(self) -> np.ndarray:
        """Letters delivered and not acknowledged, from each time on."""
        return np.array([step[2] for step in self._steps], dtype=int)

    def at(self, times) -> np.ndarray:
        """Letters in the queue, ready and unacked together, at each of ``times`` (seconds)."""
        steps = np.searchsorted(self.time, times, side="right") - 1
        return np.where(steps < 0, 0, (self.ready + self.unacked)[steps])

    def area(self, until: float) -> float:
        """Letters × seconds in the queue from the beginning to ``until``: by Little's law, all their times together."""
        time = np.append(np.minimum(self.time, until), until)
        return float(np.sum((self.ready + self.unacked) * np.diff(time)))
