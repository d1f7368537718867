"""Exercise 3: buffers with a bound, and what they hold up, merge or lose."""

import threading
import time
from collections import OrderedDict, deque


class Buffer:
    """A list under a Condition, in small parts; each mistake replaces one."""

    def __init__(self, size):
        self.size, self.waiting = size, deque()
        self.changed = threading.Condition()
        self.conflated = self.dropped = 0

    def __len__(self):
        return len(self.waiting)

    def put(self, message):
        with self.changed:
            is_in = self.replace(message) or self.append(message)
            self.changed.notify()
            return is_in

    def same(self, one, other):
        return one["kind"] == other["kind"] == "position" and one["key"] == other["key"]

    def replace(self, message):
        for turn, old in enumerate(self.waiting):
            if self.same(old, message):
                self.waiting[turn] = message
                self.conflated += 1
                return True
        return False

    def append(self, message):
        if len(self.waiting) >= self.size and not self.make_room(message):
            return False
        self.waiting.append(message)
        return True

    def make_room(self, message):
        for turn, old in enumerate(self.waiting):
            if old["kind"] == "position":
                del self.waiting[turn]
                self.dropped += 1
                return True
        self.dropped += message["kind"] == "position"
        return False

    def get(self, timeout):
        with self.changed:
            self.changed.wait_for(lambda: self.waiting, timeout)
            return self.waiting.popleft() if self.waiting else None


class ByKey:
    """An ordered dict: positions by van, chats by a number."""

    def __init__(self, size):
        self.size, self.items, self.number = size, OrderedDict(), 0
        self.lock, self.news = threading.Lock(), threading.Semaphore(0)
        self.conflated = self.dropped = 0

    def __len__(self):
        return len(self.items)

    def put(self, message):
        with self.lock:
            self.number += 1
            is_position = message["kind"] == "position"
            key = ("position", message["key"]) if is_position else ("chat", self.number)
            if key in self.items:
                self.items[key] = message
                self.conflated += 1
                return True
            if len(self.items) >= self.size:
                oldest = next((key for key in self.items if key[0] == "position"), None)
                self.dropped += oldest is not None or is_position
                if oldest is None:
                    return False
                del self.items[oldest]
                self.items[key] = message
                return True
            self.items[key] = message
            self.news.release()
            return True

    def get(self, timeout):
        if not self.news.acquire(timeout=timeout):
            return None
        with self.lock:
            return self.items.popitem(last=False)[1]


class LooksAgain:
    """A plain lock, and a reader that looks every millisecond."""

    def __init__(self, size):
        self.size, self.waiting, self.lock = size, [], threading.Lock()
        self.conflated = self.dropped = 0

    def __len__(self):
        with self.lock:
            return len(self.waiting)

    def put(self, message):
        with self.lock:
            kinds = [(old["kind"], old["key"]) for old in self.waiting]
            if message["kind"] == "position" and ("position", message["key"]) in kinds:
                self.waiting[kinds.index(("position", message["key"]))] = message
                self.conflated += 1
                return True
            if len(kinds) >= self.size:
                positions = [turn for turn, (kind, _) in enumerate(kinds) if kind == "position"]
                self.dropped += bool(positions) or message["kind"] == "position"
                if not positions:
                    return False
                del self.waiting[positions[0]]
            self.waiting.append(message)
            return True

    def get(self, timeout):
        end = time.monotonic() + timeout
        while True:
            with self.lock:
                if self.waiting:
                    return self.waiting.pop(0)
            if time.monotonic() >= end:
                return None
            time.sleep(0.001)


class Unbounded(Buffer):
    def append(self, message):
        self.waiting.append(message)
        return True


class DropsOldest(Buffer):
    """deque(maxlen=size)."""

    def __init__(self, size):
        super().__init__(size)
        self.waiting = deque(maxlen=size)

    def append(self, message):
        self.dropped += len(self.waiting) == self.size
        self.waiting.append(message)
        return True


class DropsNewest(Buffer):
    """The newest order is turned away."""

    def make_room(self, message):
        self.dropped += 1
        return False


class KeepsTheFirst(Buffer):
    """Conflates, and throws the wrong one of the two away."""

    def replace(self, message):
        if any(self.same(old, message) for old in self.waiting):
            self.conflated += 1
            return True
        return False


class NoConflation(Buffer):
    def replace(self, message):
        return False


class ToTheEnd(Buffer):
    """The new position goes to the end of the queue."""

    def replace(self, message):
        for old in self.waiting:
            if self.same(old, message):
                self.waiting.remove(old)
                self.conflated += 1
                break
        return False


class ConflatesChats(Buffer):
    def same(self, one, other):
        return one["kind"] == other["kind"] and one["key"] == other["key"]


class ByKeyAlone(Buffer):
    """A chat about van A replaces its position, and the other way round; two chats are two."""

    def same(self, one, other):
        return one["key"] == other["key"] and "position" in (one["kind"], other["kind"])


class AlwaysYes(Buffer):
    def put(self, message):
        super().put(message)
        return True


class SaysNothing(Buffer):
    def put(self, message):
        super().put(message)


class CountsNothing(Buffer):
    def __init__(self, size):
        super().__init__(size)
        del self.dropped, self.conflated

    dropped = property(lambda self: 0, lambda self, value: None, lambda self: None)
    conflated = property(lambda self: 0, lambda self, value: None, lambda self: None)


class LosesPatience(Buffer):
    """A moment must do."""

    def get(self, timeout):
        return super().get(min(timeout, 0.1))


class SleepsItsTime(Buffer):
    """Nobody wakes it."""

    def get(self, timeout):
        if not self.waiting:
            time.sleep(timeout)
        return super().get(0)


class SleepsWithTheLock(Buffer):
    def get(self, timeout):
        with self.changed:
            if not self.waiting:
                time.sleep(timeout)
            return self.waiting.popleft() if self.waiting else None


class LooksOnlyWhileThereIsTime(LooksAgain):
    """get(0) does not even look."""

    def get(self, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if (found := super().get(0)) is not None:
                return found
            time.sleep(0.001)


class LocksOnlyGet(Buffer):
    def put(self, message):
        is_in = self.replace(message) or self.append(message)
        with self.changed:
            self.changed.notify()
        return is_in


class ChangesTheMessage(Buffer):
    """Writes the new position into the old dict."""

    def replace(self, message):
        for old in self.waiting:
            if self.same(old, message):
                old.update(message)
                self.conflated += 1
                return True
        return False


class OneQueueForAll(Buffer):
    everybodys = deque()

    def __init__(self, size):
        super().__init__(size)
        self.waiting = self.everybodys


class Stack(Buffer):
    def get(self, timeout):
        with self.changed:
            self.changed.wait_for(lambda: self.waiting, timeout)
            return self.waiting.pop() if self.waiting else None


class FullFirst(Buffer):
    """Makes room, and only then sees that it needed none."""

    def put(self, message):
        with self.changed:
            if len(self.waiting) >= self.size and not self.make_room(message):
                return False
            if not self.replace(message):
                self.waiting.append(message)
            self.changed.notify()
            return True


class WaitsALittle(Buffer):
    """Perhaps there is room in a moment."""

    def make_room(self, message):
        if not super().make_room(message):
            self.changed.wait_for(lambda: len(self.waiting) < self.size, 0.1)
        return len(self.waiting) < self.size


class CountsRefusedChats(Buffer):
    def make_room(self, message):
        made = super().make_room(message)
        self.dropped += not made and message["kind"] == "chat"
        return made


class NewOnesAreNotCounted(Buffer):
    def make_room(self, message):
        made = super().make_room(message)
        self.dropped -= not made and message["kind"] == "position"
        return made


class ReplacedIsDropped(Buffer):
    """A position is gone, so it was dropped."""

    def replace(self, message):
        replaced = super().replace(message)
        self.conflated -= replaced
        self.dropped += replaced
        return replaced


class Copies(Buffer):
    def append(self, message):
        return super().append(dict(message))


class ThreeIsEnough(Buffer):
    def __init__(self, size):
        super().__init__(3)


class WaitsForEver(Buffer):
    def get(self, timeout):
        return super().get(None if timeout else 0)


class TakesWithoutTheLock(Buffer):
    """Waits under the lock, and takes after it."""

    def get(self, timeout):
        with self.changed:
            self.changed.wait_for(lambda: self.waiting, timeout)
        return self.waiting.popleft() if self.waiting else None


class LooksWithoutTheLock(Buffer):
    """Is it full? Then it takes the lock and makes room."""

    def put(self, message):
        with self.changed:
            if self.replace(message):
                return True
        full = len(self.waiting) >= self.size
        with self.changed:
            if full and not self.make_room(message):
                return False
            self.waiting.append(message)
            self.changed.notify()
            return True


class OneConditionForAll(Buffer):
    """Wakes another's reader."""

    changed_for_all = threading.Condition()

    def __init__(self, size):
        super().__init__(size)
        self.changed = self.changed_for_all


class WakesForChats(Buffer):
    def put(self, message):
        with self.changed:
            is_in = self.replace(message) or self.append(message)
            if message["kind"] == "chat":
                self.changed.notify()
            return is_in


class OnePlaceFree(Buffer):
    def append(self, message):
        if len(self.waiting) >= self.size - 1 and not self.make_room(message):
            return False
        self.waiting.append(message)
        return True


class CountsVans(Buffer):
    def __len__(self):
        return len({(one["kind"], one["key"]) for one in self.waiting})


class DropsTheLongestUnchanged(Buffer):
    """Who has just been replaced has waited for a moment only, it thinks."""

    def put(self, message):
        self.times = {**getattr(self, "times", {}), message["text"]: time.monotonic()}
        return super().put(message)

    def make_room(self, message):
        positions = [one for one in self.waiting if one["kind"] == "position"]
        if positions:
            self.waiting.remove(min(positions, key=lambda one: self.times[one["text"]]))
            self.dropped += 1
            return True
        return super().make_room(message)


class RemembersTheSent(Buffer):
    """Counts a van's next position as conflated, though the last one has been sent."""

    def __init__(self, size):
        super().__init__(size)
        self.known = set()

    def append(self, message):
        self.conflated += message["kind"] == "position" and message["key"] in self.known
        self.known.add(message["key"])
        return super().append(message)


RIGHT = {"a deque under a Condition": Buffer, "by key": ByKey, "a lock and a look": LooksAgain}
WRONG = {
    "without a bound": (Unbounded, {"unbounded"}),
    "drops the oldest": (DropsOldest, {"drops-chat"}),
    "drops the newest": (DropsNewest, {"drops-which"}),
    "keeps the first position": (KeepsTheFirst, {"stale"}),
    "waits a little": (WaitsALittle, {"blocks-producer"}),
    "no conflation": (NoConflation, {"not-conflated"}),
    "to the end of the queue": (ToTheEnd, {"turn"}),
    "conflates chats": (ConflatesChats, {"conflates-chat"}),
    "by key alone": (ByKeyAlone, {"kinds-mixed"}),
    "full is asked first": (FullFirst, {"full-first"}),
    "another size": (ThreeIsEnough, {"drops-which"}),
    "always yes": (AlwaysYes, {"says-yes"}),
    "says nothing": (SaysNothing, {"says-no"}),
    "counts nothing": (CountsNothing, {"counts-dropped"}),
    "a refused chat is counted": (CountsRefusedChats, {"counts-dropped"}),
    "a new position is not counted": (NewOnesAreNotCounted, {"counts-dropped"}),
    "replaced is dropped": (ReplacedIsDropped, {"counts-conflated"}),
    "waits a moment": (LosesPatience, {"no-wait"}),
    "waits for ever": (WaitsForEver, {"time-limit"}),
    "sleeps its time": (SleepsItsTime, {"late"}),
    "sleeps with the lock": (SleepsWithTheLock, {"blocks-producer"}),
    "get(0) does not look": (LooksOnlyWhileThereIsTime, {"order"}),
    "only get has the lock": (LocksOnlyGet, {"not-locked"}),
    "takes without the lock": (TakesWithoutTheLock, {"not-locked"}),
    "looks without the lock": (LooksWithoutTheLock, {"not-locked"}),
    "one condition for all": (OneConditionForAll, {"late"}),
    "wakes for chats only": (WakesForChats, {"late"}),
    "one place stays free": (OnePlaceFree, {"too-small"}),
    "len counts vans": (CountsVans, {"not-len"}),
    "drops the longest unchanged": (DropsTheLongestUnchanged, {"drops-which"}),
    "remembers the sent": (RemembersTheSent, {"counts-conflated"}),
    "changes the message": (ChangesTheMessage, {"changes-message"}),
    "a copy comes out": (Copies, {"changes-message"}),
    "one queue for all": (OneQueueForAll, {"shared-by-all"}),
    "last in, first out": (Stack, {"order"}),
}
