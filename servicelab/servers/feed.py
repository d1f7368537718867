"""A feed: numbered events that are kept for a while, for readers who come, go, and come back.

    feed = Feed()
    feed.publish({"order": 17, "state": "packed"})
    with feed.subscribe(after=0) as events:
        for event in events: ...

It is the part that all ways of streaming share: polling asks ``after(last)``, long polling ``wait(last, timeout)``, and
whoever pushes reads a subscription. What becomes of a reader that is slower than the producer is decided by the
:class:`~servicelab.policies.BoundedBuffer` of its subscription.
"""

import threading
import time
from collections import deque
from typing import Any, NamedTuple

from servicelab import arguments
from servicelab.policies.buffer import BoundedBuffer, Offer


class Event(NamedTuple):
    """``id`` counts from 1; ``at`` is when it was published (seconds, on the feed's clock)."""

    id: int
    data: Any
    at: float


class Outbox:
    """A buffer between a thread that puts and a thread that gets, each of which may wait.

    ``buffer`` decides what happens when it is full. With "block", ``put`` waits: back-pressure. Safe under threads.
    Iterating gives items until the outbox is closed. It is a context manager that closes.
    """

    def __init__(self, buffer: BoundedBuffer | None = None):
        self.buffer = BoundedBuffer(None) if buffer is None else buffer
        self.is_closed = False
        self._changed = threading.Condition()

    def put(self, item, timeout: float | None = None) -> Offer:
        """Offer ``item``, and wait up to ``timeout`` seconds (None: for ever) for room in a buffer that blocks.

        ``Offer.FULL`` says that there was none in time, or that the outbox is closed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self.is_closed:
                left = None if end is None else end - time.monotonic()
                if not (self.buffer.overflow == "block" and self.buffer.is_full) or (left is not None and left <= 0):
                    outcome = self.buffer.offer(item)
                    self._changed.notify_all()
                    return outcome
                self._changed.wait(arguments.in_reach(left))
        return Offer.FULL

    def get(self, timeout: float | None = None):
        """The next item; None after ``timeout`` seconds without one, and when the outbox is closed."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.is_closed or len(self.buffer), arguments.in_reach(timeout))
            if came and not self.is_closed:
                item = self.buffer.take()
                self._changed.notify_all()
                return item
            return None

    def close(self) -> None:
        """Wake everybody; what still waits in the buffer is not delivered."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def __iter__(self):
        while (item := self.get()) is not None:
            yield item

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Subscription(Outbox):
    """A reader's place at a feed; leaves it when closed."""

    def __init__(self, feed: "Feed", buffer):
        super().__init__(buffer)
        self.feed = feed

    def close(self):
        self.feed.forget(self)
        super().close()


class Feed:
    """Events in order, the last ``keep`` of them kept.

    ``clock`` gives the time in seconds. Safe under threads. Raises ValueError for a ``keep`` below 1.
    """

    def __init__(self, keep: int = 10_000, clock=time.monotonic):
        arguments.whole("keep", keep, "how many events a reader who comes back can still get")
        self.clock = clock
        self.is_closed = False
        self._events: deque[Event] = deque(maxlen=keep)
        self._count = 0
        self._subscriptions: list[Subscription] = []
        self._listeners: list = []
        self._changed = threading.Condition(threading.RLock())
        self._turn = threading.RLock()

    @property
    def last(self) -> int:
        """The id of the latest event; 0 before the first."""
        return self._count

    @property
    def first(self) -> int:
        """The id of the oldest event that is kept; ``last + 1`` when there is none."""
        with self._changed:
            return self._events[0].id if self._events else self._count + 1

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def publish(self, data) -> Event:
        """Append an event and hand it to all subscribers. Waits for those whose buffer blocks and is full, and so do
        other publishers meanwhile: nobody overtakes."""
        with self._turn:
            with self._changed:
                self._count += 1
                event = Event(self._count, data, self.clock())
                self._events.append(event)
                self._changed.notify_all()
                waiting = [reader for reader in self._subscriptions if reader.put(event, 0) is Offer.FULL]
                for listener in self._listeners:
                    listener(event)
            for reader in waiting:  # without the feed's lock: readers may come, read and leave
                reader.put(event)
        return event

    def after(self, id: int) -> list[Event]:
        """The events that are kept with a number above ``id``."""
        with self._changed:
            return [event for event in self._events if event.id > id]

    def wait(self, after: int, timeout: float) -> list[Event]:
        """The same, after waiting up to ``timeout`` seconds for the first. Empty when none came or the feed closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed or self._count > after, arguments.in_reach(timeout))
            return [] if self.is_closed else self.after(after)

    def subscribe(self, after: int | None = None, buffer: BoundedBuffer | None = None) -> Subscription:
        """Everything that is published from now on, and before it what is kept with a number above ``after``.

        None: nothing of the past. What does not fit into a buffer that blocks is not replayed beyond its size: give
        it room. Without ``buffer`` the subscription may grow without bound.
        """
        reader = Subscription(self, buffer)
        with self._changed:
            for event in self.after(after) if after is not None else ():
                reader.buffer.offer(event)
            self._subscriptions.append(reader)
            if self.is_closed:
                reader.close()
        return reader

    def listen(self, function) -> None:
        """Call ``function(event)`` for everything that is published from now on, in the publisher's thread and in
        order. It must not wait: the feed does."""
        with self._changed:
            self._listeners.append(function)

    def forget(self, reader) -> None:
        with self._changed:
            if reader in self._subscriptions:
                self._subscriptions.remove(reader)

    def close(self) -> None:
        """End every subscription and every wait."""
        with self._changed:
            self.is_closed = True
            readers = list(self._subscriptions)
            self._changed.notify_all()
        for reader in readers:
            reader.close()
