"""What waits between a producer and a slower reader, and what is given up when it is too much.

Rules:

1. Items leave in the order in which they came in. There are never more than ``size`` of them.
2. What happens to an item that finds the buffer full is the *overflow*, one of four:

| overflow      | an item that finds it full                             | who pays                              |
|---------------|--------------------------------------------------------|---------------------------------------|
| "block"       | is not taken; the producer offers it again later       | the producer waits (back-pressure)    |
| "drop oldest" | pushes out the one that has waited longest             | the reader misses the past            |
| "drop newest" | is thrown away                                         | the reader misses the present         |
| "conflate"    | takes the place of the waiting item with the same key; | the reader misses what was overtaken, |
|               | a new key pushes out the oldest                        | and is never behind on any key        |

3. "conflate" replaces also when there is room: two values of one key never wait at once. The new value keeps the
   old one's turn.
4. The buffer counts: ``offered`` is always ``taken`` + ``dropped`` + ``conflated`` + ``refused`` + the items in it.

A buffer never waits. A thread, an event loop or a SimPy process that gets "full" waits in its own way and offers
again; each such offer counts as a new one.
"""

import math
import threading
from collections import OrderedDict
from enum import StrEnum

from servicelab import arguments

#: What to do with an item that finds the buffer full.
OVERFLOWS = ("block", "drop oldest", "drop newest", "conflate")


class Offer(StrEnum):
    """What became of an offered item."""

    KEPT = "kept"  # it waits now
    FULL = "full"  # "block": not taken, offer it again when there is room
    DROPPED_OLDEST = "dropped oldest"  # it waits now; the oldest was lost
    DROPPED_NEWEST = "dropped newest"  # it was lost
    CONFLATED = "conflated"  # it waits now in the place of an older one of its key


class BoundedBuffer:
    """At most ``size`` items, and a rule for the next one.

    | setting  | default | unit  | consequence                                                                        |
    |----------|---------|-------|------------------------------------------------------------------------------------|
    | size     | none    | items | the bound; an item read is at most size / (reader's rate) old. None: unbounded     |
    | overflow | "block" |       | one of the four in the table above                                                 |
    | key      | None    |       | for "conflate": a function that gives an item's key, as ``lambda order: order.id`` |

    ``most`` is the largest number that ever waited. Safe under threads. Raises ValueError for a size below 1, for an
    unknown overflow, and for a key without "conflate" or "conflate" without a key; TypeError for what is no number.
    """

    def __init__(self, size, overflow: str = "block", key=None):
        if size is not None and size != math.inf:
            arguments.whole("size", size, "the number of items that may wait; None sets no bound")
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow={overflow!r} must be one of {', '.join(map(repr, OVERFLOWS))}")
        if (overflow == "conflate") != (key is not None):
            raise ValueError(
                f"overflow={overflow!r} with key={key!r}: 'conflate' needs a key, such as key=lambda order: order.id, "
                "and the others need none"
            )
        if key is not None and not callable(key):
            raise TypeError(f"key={key!r} must be a function that gives an item's key")
        self.size = math.inf if size is None else size
        self.overflow = overflow
        self.key = key
        self.offered = self.taken = self.dropped = self.conflated = self.refused = self.most = 0
        self._items: OrderedDict = OrderedDict()  # key (or a running number) -> item
        self._number = 0
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._items)

    def __bool__(self):
        return True  # an empty buffer is a buffer: ``if buffer`` must not mean ``if it holds something``

    def __repr__(self):
        return (
            f"<buffer {len(self)} of {self.size}, {self.overflow}: {self.dropped} dropped, {self.conflated} conflated>"
        )

    @property
    def is_full(self) -> bool:
        return len(self._items) >= self.size

    def offer(self, item) -> Offer:
        """Bring an item; the answer says what became of it."""
        key = None if self.key is None else self.key(item)  # before the lock: who knows what it looks at
        with self._lock:
            self.offered += 1
            if self.key is None:
                key = self._number = self._number + 1
            elif key in self._items:
                self._items[key] = item
                self.conflated += 1
                return Offer.CONFLATED
            outcome = Offer.KEPT
            if len(self._items) >= self.size:
                if self.overflow == "block":
                    self.refused += 1
                    return Offer.FULL
                self.dropped += 1
                if self.overflow == "drop newest":
                    return Offer.DROPPED_NEWEST
                self._items.popitem(last=False)
                outcome = Offer.DROPPED_OLDEST
            self._items[key] = item
            self.most = max(self.most, len(self._items))
            return outcome

    def take(self):
        """The item that has waited longest. Raises IndexError when nothing waits: look at ``len(buffer)`` first."""
        with self._lock:
            if not self._items:
                raise IndexError("nothing waits in the buffer: look at len(buffer) before take()")
            self.taken += 1
            return self._items.popitem(last=False)[1]
