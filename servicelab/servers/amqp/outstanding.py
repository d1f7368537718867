"""What a channel's client has not acknowledged, and what its transaction holds back until it commits."""

from typing import NamedTuple

from servicelab.servers.amqp.consumers import Consumer
from servicelab.servers.amqp.errors import failed
from servicelab.servers.amqp.message import Entry, Message
from servicelab.servers.amqp.queues import Queue


class Unacked(NamedTuple):
    entry: Entry
    queue: Queue
    consumer: Consumer | None  # None: it was fetched with basic.get


class Outstanding(dict[int, Unacked]):
    """Unacknowledged deliveries. Tags only grow, so that "all up to here" needs no search: O(1) for each delivery."""

    def __init__(self):
        super().__init__()
        self._lowest = 1  # no smaller tag is in it

    def take(self, tag: int, multiple: bool, last: int) -> list[tuple[int, Unacked]]:
        """Remove one, or with ``multiple`` all up to ``tag``, where 0 stands for ``last``. Raises AmqpError 406."""
        if tag == 0 and multiple:
            tag = last
        elif tag not in self:
            raise failed(f"unknown delivery tag {tag}")
        if not multiple:
            return [(tag, self.pop(tag))]
        found = [(each, self.pop(each)) for each in range(self._lowest, tag + 1) if each in self]
        self._lowest = tag + 1
        return found

    def take_all(self) -> list[tuple[int, Unacked]]:
        found = list(self.items())
        self.clear()
        return found

    def put_back(self, taken: list[tuple[int, Unacked]]) -> None:
        """Undo :meth:`take`."""
        everything = sorted([*self.items(), *taken])
        self.clear()
        self.update(everything)
        self._lowest = min(self, default=self._lowest)


class Transaction:
    """Messages with their flag ``mandatory``, and settled deliveries with what is to become of them."""

    __slots__ = ("published", "settled")

    def __init__(self):
        self.published: list[tuple[Message, bool]] = []
        self.settled: list[tuple[str, list[tuple[int, Unacked]]]] = []
