"""A stream in SimPy: a producer, a buffer, a reader that may be slower, and what connects them.

::

    env = simpy.Environment()
    channel = Channel(env, BoundedBuffer(100, "drop oldest"))
    producer = Producer(env, channel, gap=draws.exponential("gap", 0.010))
    reader = Reader(env, channel, work=0.020)
    env.run(until=60)
    reader.ages, channel.buffer.dropped, channel.depth

The buffer, the heartbeat and the reconnecting are the very policies that the real servers and clients use. What a
stream can look like at most is in ``theory``: ``buffer_growth``, ``time_to_fill``, ``freshness_bound``,
``credit_rate``, ``silence_window``.
"""

from typing import NamedTuple

from servicelab.arguments import seconds, whole
from servicelab.policies.buffer import BoundedBuffer, Offer
from servicelab.policies.status import Status
from servicelab.sim.message import Message
from servicelab.sim.place import require_law, require_place


class Item(NamedTuple):
    """One thing in a stream: its number from 1, what it is about, and when it was made (seconds)."""

    number: int
    key: int
    at: float


class Channel:
    """A buffer between a process that puts and a process that gets.

    ``depth`` is a list of ``(seconds, items that wait)``, one entry for each change. With a buffer that blocks, ``put``
    waits until there is room. Raises TypeError when ``buffer`` is no BoundedBuffer.
    """

    def __init__(self, env, buffer: BoundedBuffer):
        if not isinstance(buffer, BoundedBuffer):
            raise TypeError(f"buffer={buffer!r} must be a BoundedBuffer(100, 'drop oldest')")
        self.env = env
        self.buffer = buffer
        self.depth = [(env.now, len(buffer))]
        self._room = env.event()
        self._news = env.event()

    def put(self, item):
        """Offer ``item`` until it is taken: a generator that returns the last outcome."""
        while (outcome := self.buffer.offer(item)) is Offer.FULL:
            yield self._room
        self._changed()
        self._news = self._wake(self._news)
        return outcome

    def get(self):
        """The next item: a generator."""
        while not len(self.buffer):
            yield self._news
        item = self.buffer.take()
        self._changed()
        self._room = self._wake(self._room)
        return item

    def _wake(self, event):
        if not event.callbacks:
            return event  # nobody waits
        event.succeed()
        return self.env.event()

    def _changed(self):
        self.depth.append((self.env.now, len(self.buffer)))


class CreditChannel(Channel):
    """Flow control by credit: the producer may have ``window`` items on the way or unread, and not one more.

    An item takes ``delay`` seconds to the reader's buffer, the credit for one that was read as long back. So the
    reader's buffer never holds more than ``window``, and the producer, not the network, feels a slow reader. TCP's
    receive window and HTTP/2's WINDOW_UPDATE work so, counting bytes. ``blocked`` sums up the seconds that ``put``
    waited. Raises ValueError for a window below 1 and a negative delay.
    """

    def __init__(self, env, window: int, delay: float = 0.0):
        whole("window", window)
        super().__init__(env, BoundedBuffer(window, "block"))
        self.window = self.credits = window
        self.delay = seconds("delay", delay)
        self.blocked = 0.0

    def put(self, item):
        began = self.env.now
        while not self.credits:
            yield self._room
        self.blocked += self.env.now - began
        self.credits -= 1
        self.env.process(self._carry(item))
        return Offer.KEPT

    def get(self):
        while not len(self.buffer):
            yield self._news
        item = self.buffer.take()
        self._changed()
        self.env.process(self._return_credit())
        return item

    def _carry(self, item):
        yield self.env.timeout(self.delay)
        self.buffer.offer(item)
        self._changed()
        self._news = self._wake(self._news)

    def _return_credit(self):
        yield self.env.timeout(self.delay)
        self.credits += 1
        self._room = self._wake(self._room)


class Producer:
    """Makes an item every ``gap`` seconds (a number or a law), about ``keys`` things in turn, and puts it into
    ``channel``.

    Stops after ``count`` items (None: never). While the channel makes it wait it makes nothing: ``blocked`` sums up
    these seconds, ``made`` counts the items.
    """

    def __init__(self, env, channel, gap, *, count: int | None = None, keys: int = 1):
        self.env, self.channel, self.gap = env, channel, require_law("gap", gap)
        self.count = count if count is None else whole("count", count)
        self.keys = whole("keys", keys)
        self.made = 0
        self.blocked = 0.0
        env.process(self._produce())

    def _produce(self):
        while self.count is None or self.made < self.count:
            yield self.env.timeout(self.gap())
            self.made += 1
            made_at = self.env.now
            yield from self.channel.put(Item(self.made, self.made % self.keys, made_at))
            self.blocked += self.env.now - made_at


class Reader:
    """Reads ``channel``, ``work`` seconds an item (a number or a law).

    ``ages`` lists how old each item was when it was taken up (its freshness, seconds), ``numbers`` which it was,
    ``times`` when that was. ``work`` may be changed while the simulation runs.
    """

    def __init__(self, env, channel, work):
        self.env, self.channel, self.work = env, channel, require_law("work", work)
        self.ages: list[float] = []
        self.numbers: list[int] = []
        self.times: list[float] = []
        env.process(self._read())

    def _read(self):
        while True:
            item = yield from self.channel.get()
            self.ages.append(self.env.now - item.at)
            self.numbers.append(item.number)
            self.times.append(self.env.now)
            yield self.env.timeout(self.work())


# -- connections that break ----------------------------------------------------------------------


def find_death(env, heartbeat, dies: float, delay: float = 0.0):
    """A process that watches a peer which dies at ``dies`` (seconds): returns when the heartbeat takes it for dead.

    The peer answers each ping that reaches it alive; a ping or an answer takes ``delay`` seconds. Run it with
    ``env.run(env.process(find_death(…)))``.
    """
    seconds("dies", dies)
    seconds("delay", delay)

    def pong():
        yield env.timeout(delay)
        if env.now < dies:
            yield env.timeout(delay)
            heartbeat.heard(env.now)

    heartbeat.start(env.now)
    while not heartbeat.is_dead(env.now):
        if heartbeat.is_due(env.now):
            heartbeat.pinged(env.now)
            env.process(pong())
        yield env.timeout(heartbeat.wait(env.now))
    return env.now


class ReconnectStorm:
    """``clients`` connections that break at once, at ``env.now``, and come back as their policies say.

    ``place`` is what takes a connection: a ``Client`` with a timeout in front of a ``Service``, whose work is the price
    of one handshake. It refuses for the first ``down`` seconds. ``policies`` is one ``Reconnect`` for each client.

    ``attempts`` lists when each attempt was made, ``back`` when each client was connected again, both in seconds from
    the break and in order of time.
    """

    def __init__(self, env, place, policies, down: float = 0.0):
        self.env = env
        self.place = require_place("place", place)
        self.began = env.now
        self.down = seconds("down", down)
        self.attempts: list[float] = []
        self.back: list[float] = []
        self.clients = 0
        for reconnect in policies:
            self.clients += 1
            reconnect.opened(env.now)
            env.process(self._come_back(reconnect))

    def _come_back(self, reconnect):
        while True:
            yield self.env.timeout(reconnect.lost(self.env.now))
            since = self.env.now - self.began
            self.attempts.append(since)
            if since < self.down:
                continue  # refused at once
            if (yield from self.place.call(Message("connect"))) == Status.OK:
                reconnect.opened(self.env.now)
                self.back.append(self.env.now - self.began)
                return

    def peak(self, width: float = 1.0) -> int:
        """The most attempts within any ``width`` seconds."""
        most = first = 0
        for last, at in enumerate(self.attempts):
            while at - self.attempts[first] >= width:
                first += 1
            most = max(most, last - first + 1)
        return most
