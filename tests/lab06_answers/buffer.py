"""Exercise 3: buffers with a bound, and what they hold up, merge or lose."""

import threading
import time
from collections import OrderedDict, deque

from tests.lab11_answers import but


class Buffer:
    """A deque under a Condition."""

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


class LooksAgain(Buffer):
    """A plain lock, and a reader that looks every millisecond."""

    def put(self, message):
        with self.changed:
            return self.replace(message) or self.append(message)

    def get(self, timeout):
        end = time.monotonic() + timeout
        while True:
            with self.changed:
                if self.waiting:
                    return self.waiting.popleft()
            if time.monotonic() >= end:
                return None
            time.sleep(0.001)


# -- mistakes ------------------------------------------------------------------------------------------


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

    known = frozenset()

    def append(self, message):
        self.conflated += message["kind"] == "position" and message["key"] in self.known
        self.known |= {message["key"]}
        return super().append(message)


class NewsOfOne(Buffer):
    """An Event says that something came, and each get takes it back."""

    def __init__(self, size):
        super().__init__(size)
        self.news = threading.Event()

    def put(self, message):
        is_in = super().put(message)
        self.news.set()
        return is_in

    def get(self, timeout):
        if not self.news.wait(timeout):
            return None
        self.news.clear()
        return super().get(0)


FULL, FOUND = "if len(self.waiting) >= self.size", "if self.same(old, message):"
REPLACE, LOST = "self.waiting[turn] = message", 'self.dropped += message["kind"] == "position"'
ROOM, IN = 'if old["kind"] == "position":', "is_in = self.replace(message) or self.append(message)"
WAIT = "self.changed.wait_for(lambda: self.waiting, timeout)"
TAKE = "return self.waiting.popleft() if self.waiting else None"
TAKE_IT = "return first and self.waiting.remove(first) or first"
LOCK, SLEEP = "with self.changed:\n           ", "self.waiting or time.sleep(timeout)"
RIGHT = {"a deque under a Condition": Buffer, "by key": ByKey, "a lock and a look": LooksAgain}
WRONG = {
    "without a bound": ([f"{FULL} => if False"], "size"),
    "another size": (["size, deque() => 3, deque()"], "size"),
    "one place stays free": ([f"{FULL} => if len(self.waiting) >= self.size - 1"], "size"),
    "len counts vans": (["return len(self.waiting) => return len({one['key'] for one in self.waiting})"], "size"),
    "last in, first out": (["popleft => pop"], "order"),
    "get(0) does not look": ([f"{TAKE} => {TAKE.replace('if', 'if timeout and')}"], "order"),
    "drops the oldest": (
        ["deque() => deque(maxlen=size)", f"{FULL} => self.dropped += len(self) == self.size\n        if False"],
        "drops-chat"),
    "drops the newest": ([f"{ROOM} => if False:"], "drops-which"),
    "keeps the first position": ([f"{REPLACE} => pass"], "conflation"),
    "no conflation": ([f"{FOUND} => if False:"], "conflation"),
    "to the end of the queue": ([f"{REPLACE} => del self.waiting[turn]; self.waiting.append(message)"], "conflation"),
    "conflates chats": (['other["kind"] == "position" => other["kind"]'], "merged"),
    "by key alone": ([f"{FOUND} => if old['key'] == message['key'] and 'position' in (old['kind'], message['kind']):"],
                     "merged"),
    "always yes": (["return is_in => return True"], "answer"),
    "says nothing": (["return is_in => return"], "answer"),
    "counts nothing": (["+= 1 => += 0", f"{LOST} => pass"], "counts"),
    "a refused chat is counted": ([f"{LOST} => self.dropped += 1"], "counts"),
    "a new position is not counted": ([f"{LOST} => pass"], "counts"),
    "replaced is dropped": (["self.conflated += 1 => self.dropped += 1"], "counts"),
    "waits a little": ([f"{LOST} => {LOST}; self.changed.wait_for(lambda: len(self.waiting) < self.size, 0.1)"],
                       "blocks-producer"),
    "sleeps with the lock": ([f"{WAIT} => {SLEEP}"], "blocks-producer"),
    "sleeps its time": ([f"{LOCK} {WAIT} => {SLEEP}\n        {LOCK}"], "wait"),
    "waits a moment": (["lambda: self.waiting, timeout => lambda: self.waiting, min(timeout, 0.1)"], "wait"),
    "waits for ever": (["lambda: self.waiting, timeout => lambda: self.waiting, None if timeout else 0"], "time-limit"),
    "one condition for all": (
        ["class Buffer: => class Buffer:\n    everybodys = threading.Condition()",
         "self.changed = threading.Condition() => self.changed = self.everybodys"], "wait"),
    "wakes for chats only": (["self.changed.notify() => message['kind'] == 'chat' and self.changed.notify()"], "wait"),
    "only get has the lock": ([f"{LOCK} {IN} => {IN}\n        {LOCK}"], "not-locked"),
    "takes without the lock": ([f"    {TAKE} => {TAKE}"], "not-locked"),
    "waits first": ([f"{WAIT} => self.changed.wait(timeout)"], "wait"),
    "looks with the lock, takes with it again": (
        [f"    {TAKE} => first = self.waiting[0] if self.waiting else None\n        {LOCK} {TAKE_IT}"], "not-locked"),
    "looks, and waits then": (
        [f"{LOCK} {WAIT} => if not self.waiting:\n            with self.changed:\n                "
         f"self.changed.wait(timeout)\n        {LOCK}"], "not-locked"),
    "changes the message": ([f"{REPLACE} => old.update(message)"], "same-dict"),
    "a copy comes out": (["self.waiting.append(message) => self.waiting.append(dict(message))"], "same-dict"),
    "a copy in its place": ([f"{REPLACE} => self.waiting[turn] = dict(message)"], "same-dict"),
    "one queue for all": (
        ["class Buffer: => class Buffer:\n    all = deque()", "size, deque() => size, self.all"], "shared"),
}  # fmt: skip
WRONG = {name: (but(Buffer, *changes), {code}) for name, (changes, code) in WRONG.items()}
WRONG |= {
    "full is asked first": (FullFirst, {"full-first"}),
    "looks without the lock": (LooksWithoutTheLock, {"not-locked"}),
    "drops the longest unchanged": (DropsTheLongestUnchanged, {"drops-which"}),
    "one event, many messages": (NewsOfOne, {"order"}),
    "remembers the sent": (RemembersTheSent, {"counts"}),
}
