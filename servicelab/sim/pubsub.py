"""PUB/SUB in SimPy: who is not yet known misses events, and who reads too slowly loses them at a high-water mark.

::

    env = simpy.Environment()
    shipping = Subscriber(env, delay=0.040, work=0.020, room=200)
    orders = Publisher(env, 1 / 200, [shipping])
    env.run(until=3)
    shipping.missed, shipping.dropped, len(shipping.heard), shipping.waiting
"""

from servicelab.arguments import positive, seconds
from servicelab.policies.buffer import BoundedBuffer
from servicelab.sim.call import Call
from servicelab.sim.stream import Channel, Item, Reader

#: How often something travels the line until the publisher knows of a subscriber: signature, version, the rest of the
#: greeting, READY, SUBSCRIBE. A reading of ZMTP (https://rfc.zeromq.org/spec/23/), and what was measured on loopback.
WAYS = 5
#: Seconds that each of them takes besides the line. A little more than nothing, as it was measured.
ANSWER = 0.0002


class Subscriber:
    """Connects at ``joins`` (s) over a line of ``delay`` seconds each way, and works ``work`` seconds on each event.

    ``room`` events wait for it, the marks at both ends together; one that finds them there is dropped. ``known`` is
    when the publisher knows of it (s), None before. ``missed`` counts the events that were published from ``joins`` to
    then, ``dropped`` those that found no room, ``heard`` has the numbers of those it has taken up; ``lost`` maps each
    number that it will never hear to "missed" or "dropped". Raises ValueError for a negative time and a room below 1.
    """

    def __init__(self, env, delay: float = 0.0, work: float = 0.0, room: int = 2000, joins: float = 0.0):
        self.env, self.delay, self.joins = env, seconds("delay", delay), seconds("joins", joins)
        self.channel = Channel(env, BoundedBuffer(room, "drop newest"))
        self.reader = Reader(env, self.channel, seconds("work", work))
        self.known: float | None = None
        self.lost: dict[int, str] = {}
        env.process(self._join())

    @property
    def heard(self) -> list[int]:
        return self.reader.numbers

    @property
    def waiting(self) -> int:
        return len(self.channel.buffer)

    @property
    def missed(self) -> int:
        return sum(why == "missed" for why in self.lost.values())

    @property
    def dropped(self) -> int:
        return sum(why == "dropped" for why in self.lost.values())

    def told(self, number: int) -> None:
        """An event is published now."""
        if self.known is not None:
            Call(self.env, self._carry(Item(number, 0, self.env.now)))
        elif self.env.now >= self.joins:
            self.lost[number] = "missed"

    def _join(self):
        yield self.env.timeout(self.joins)
        for _ in range(WAYS):
            yield self.env.timeout(self.delay + ANSWER)
        self.known = self.env.now

    def _carry(self, item):
        yield self.env.timeout(self.delay)
        before = self.channel.buffer.dropped
        yield from self.channel.put(item)
        if self.channel.buffer.dropped > before:
            self.lost[item.number] = "dropped"


class Publisher:
    """Publishes an event each ``period`` seconds to ``subscribers``, from now on; it waits for nobody.

    ``published`` counts them. Raises ValueError for a period that is not above 0.
    """

    def __init__(self, env, period: float, subscribers):
        self.env, self.period, self.subscribers = env, positive("period", period, "seconds"), list(subscribers)
        self.published = 0
        env.process(self._publish())

    def _publish(self):
        while True:
            self.published += 1
            for one in self.subscribers:
                one.told(self.published)
            yield self.env.timeout(self.period)
