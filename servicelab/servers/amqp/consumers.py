"""Consumers, and whose turn it is."""

from collections import deque


class Consumer:
    """One subscription of a channel to a queue. ``limit`` is how many unacknowledged messages it may have, 0: any."""

    __slots__ = ("tag", "channel", "queue", "no_ack", "exclusive", "priority", "arguments", "limit", "unacked",
                 "resting", "wire")  # fmt: skip

    def __init__(self, tag, channel, queue, *, no_ack=False, exclusive=False, priority=0, arguments=None, limit=0):
        self.tag = tag
        self.channel = channel
        self.queue = queue
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.priority = priority
        self.arguments = arguments or {}
        self.limit = limit
        self.unacked = 0
        self.resting = False  # it could not take a message when its turn came, and has to be woken
        self.wire = None  # whatever the channel's sink wants to keep with it

    def ready(self) -> bool:
        """Whether it can take a message now."""
        channel = self.channel
        if not channel.writable:
            return False
        if self.no_ack:
            return True
        return (not self.limit or self.unacked < self.limit) and (
            not channel.limit or channel.outstanding < channel.limit
        )


class Rota:
    """The consumers of a queue: the highest priority first, in turn among equals, those that cannot take one skipped.

    With ``single`` only one of them is active: the one that has been there longest.
    """

    def __init__(self, single: bool = False):
        self.single = single
        self.members: list[Consumer] = []
        self._turn: deque[Consumer] = deque()

    def __len__(self):
        return len(self.members)

    def add(self, consumer: Consumer) -> None:
        self.members.append(consumer)
        if not self.single or len(self.members) == 1:
            self._enter(consumer)

    def remove(self, consumer: Consumer) -> None:
        was_active = self.members and self.members[0] is consumer
        self.members.remove(consumer)
        if consumer in self._turn:
            self._turn.remove(consumer)
        if self.single and was_active and self.members:
            self._enter(self.members[0])

    def wake(self, consumer: Consumer) -> bool:
        """It may be able again. True when it was resting and has a turn now."""
        if not consumer.resting or (self.single and self.members[0] is not consumer):
            return False
        self._enter(consumer)
        return True

    def next(self) -> Consumer | None:
        """Who takes the next message, or None."""
        turn = self._turn
        while turn:
            consumer = turn[0]
            if consumer.ready():
                if len(turn) > 1:
                    self._behind(turn.popleft())
                return consumer
            consumer.resting = True
            turn.popleft()
        return None

    def _enter(self, consumer):
        consumer.resting = False
        self._behind(consumer)

    def _behind(self, consumer):
        """Behind the last of those with at least its priority."""
        turn = self._turn
        at = len(turn)
        while at and turn[at - 1].priority < consumer.priority:
            at -= 1
        turn.insert(at, consumer)
