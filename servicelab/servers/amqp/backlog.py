"""The messages of a queue that wait for a consumer, in the order in which they will be delivered."""

from collections import deque
from heapq import heappop, heappush

from servicelab.servers.amqp.message import Entry


class Backlog:
    """First in, first out; what comes back takes its old place.

    New entries have the highest numbers, so a deque keeps them in order. Those that came back wait in a heap, and the
    next one is the lower of the two heads: O(log n) for a requeue in whatever order consumers give messages back.
    """

    def __init__(self):
        self._fresh: deque[Entry] = deque()
        self._back: list[tuple[int, Entry]] = []

    def __len__(self):
        return len(self._fresh) + len(self._back)

    def __iter__(self):
        yield from sorted([*self._fresh, *(entry for _, entry in self._back)], key=lambda entry: entry.number)

    def add(self, entry: Entry) -> None:
        self._fresh.append(entry)

    def give_back(self, entry: Entry) -> None:
        heappush(self._back, (entry.number, entry))

    def head(self) -> Entry | None:
        if self._back and (not self._fresh or self._back[0][0] < self._fresh[0].number):
            return self._back[0][1]
        return self._fresh[0] if self._fresh else None

    def pop(self) -> Entry:
        """Raises IndexError when it is empty."""
        if self._back and (not self._fresh or self._back[0][0] < self._fresh[0].number):
            return heappop(self._back)[1]
        return self._fresh.popleft()

    def expired(self, now: float) -> list[Entry]:
        """Take away what has died at the head. What dies further back is found when it gets there, as in RabbitMQ."""
        found = []
        while (entry := self.head()) is not None and entry.expires is not None and entry.expires <= now:
            found.append(self.pop())
        return found

    def deadline(self) -> float | None:
        entry = self.head()
        return None if entry is None else entry.expires

    def clear(self) -> list[Entry]:
        found = list(self)
        self._fresh.clear()
        self._back.clear()
        return found


class QuorumBacklog(Backlog):
    """What comes back goes first, in the order in which it came back, as in RabbitMQ's quorum queues."""

    def __init__(self):
        super().__init__()
        self._back: deque[Entry] = deque()

    def __iter__(self):
        yield from self._back
        yield from self._fresh

    def give_back(self, entry):
        self._back.append(entry)

    def head(self):
        return self._back[0] if self._back else self._fresh[0] if self._fresh else None

    def pop(self):
        return (self._back or self._fresh).popleft()


class PriorityBacklog(Backlog):
    """One backlog for each priority that came; the highest goes first.

    A queue that is too long loses its head, as in RabbitMQ: the oldest of the highest priority. Nor does anything die
    of age but at the head, so that a message can outlive its time behind one of higher priority
    (https://www.rabbitmq.com/priority.html#interaction-with-other-features).
    """

    def __init__(self, most: int):
        self._most = most
        self._levels: dict[int, Backlog] = {}
        self._order: list[int] = []  # a heap of negated priorities that may have messages

    def __len__(self):
        return sum(len(level) for level in self._levels.values())

    def __iter__(self):
        for priority in sorted(self._levels, reverse=True):
            yield from self._levels[priority]

    def _level(self, entry):
        priority = min(entry.message.properties.priority, self._most)
        if priority not in self._levels:
            self._levels[priority] = Backlog()
            heappush(self._order, -priority)
        return self._levels[priority]

    def add(self, entry):
        self._level(entry).add(entry)

    def give_back(self, entry):
        self._level(entry).give_back(entry)

    def _highest(self):
        while self._order:
            level = self._levels[-self._order[0]]
            if level:
                return level
            del self._levels[-heappop(self._order)]
        return None

    def head(self):
        level = self._highest()
        return level.head() if level else None

    def pop(self):
        level = self._highest()
        if level is None:
            raise IndexError("pop from an empty backlog")
        return level.pop()

    def clear(self):
        found = list(self)
        self._levels.clear()
        self._order.clear()
        return found
