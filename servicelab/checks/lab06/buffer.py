"""Exercise 3, build: what waits for a slow reader, and what may be given up.

The rules one by one, without sockets; then :mod:`servicelab.checks.lab06.slow_reader`.
"""

import threading
import time
from contextlib import suppress

from servicelab.checks.exercise import exercise
from servicelab.checks.lab06.slow_reader import SIZE, slow_reader
from servicelab.checks.learner_traceback import shown
from servicelab.checks.limit import TimeLimit
from servicelab.checks.section import section

PATIENCE = 3.0  # seconds for one call of the learner's
MOMENT = 0.5  # seconds in which another thread gets its turn

_HINTS = {
    "order": "First in, first out: what waited longest goes first.",
    "empty": "Nothing there: wait up to `timeout` seconds, then return None.",
    "unbounded": "Look at the length before you append. Memory is the only other bound, and it is the whole server's.",
    "not-conflated": "A waiting position of the same van is worth nothing any more: replace it.",
    "stale": "The newest position is the one that anybody wants. Never turn it away while an older position waits.",
    "turn": "Replace it where it stands. At the end of the queue a van that moves often would never be sent.",
    "conflates-chat": "Two messages of one chat are two messages. Only positions are replaced.",
    "kinds-mixed": "A chat and a position may have the same key. Look at the kind as well.",
    "drops-chat": "What people write is never given up. To make room, drop the position that has waited longest.",
    "drops-which": "Drop the position that has waited longest, and nothing else.",
    "says-yes": "put returns False when the message is not in: the server then cuts the reader off, and it comes back.",
    "says-no": "put returns True when the message is in, also when it has replaced another or pushed one out.",
    "blocks-producer": "put never waits. One slow reader would hold up the feed, and all the others with it.",
    "counts": "conflated: positions that were replaced. dropped: positions that were given up, the new one included.",
    "no-wait": "with self.changed: self.changed.wait_for(lambda: self.waiting, timeout), and a notify in put.",
    "late": "A notify in put, under the same Condition, wakes the waiting get.",
    "changes-message": "The same dict lies in the buffers of all readers. Replace it in the queue, "
    "self.waiting[turn] = message, and leave the dict itself alone.",
    "shared-by-all": "Each reader has a buffer of his own: set its queue up in __init__, not in the class.",
    "not-locked": "put looks, and then acts; in between the other thread may take away what was looked at. All of "
    "put, and the taking in get, in `with self.changed:`.",
}


@exercise("06", 3, "A buffer that does not grow", limit=60.0)
def check_buffer(ask, Buffer):
    """Put ``Buffer(size)`` between a feed and a slow reader."""
    for examine in (
        _order,
        _bound,
        _newest,
        _turn,
        _chats,
        _kinds,
        _room,
        _chat_first,
        _only_chats,
        _readers,
        _threads,
        _waits,
    ):
        with section(ask):
            examine(Bench(ask, Buffer))
        if any(not one.passed and one.code in ("order", "blocks-producer") for one in ask.expectations):
            return
    with section(ask):
        slow_reader(ask, Bench(ask, Buffer, SIZE).buffer, _HINTS["blocks-producer"])


class Bench:
    """The learner's buffer; what goes in and comes out is in the trace. A message is written ``"A3"``, the third
    position of van A, or ``"chat3"``, the third message of the chat."""

    def __init__(self, ask, Buffer, size=3):
        self.ask, self.kind, self.size, self.mark, self.chat_key = ask, Buffer, size, None, "chat 17"
        self.buffer = ask.call(Buffer, size, limit=PATIENCE)
        if not all(callable(getattr(self.buffer, name, None)) for name in ("put", "get", "__len__")):
            what, hint = (
                "a Buffer has put, get and len",
                "def put(self, message), def get(self, timeout), def __len__(self).",
            )
            ask.need("wrong-type", what, False, f"it is {shown(self.buffer)}", hint)

    def message(self, word):
        if word.startswith("chat"):
            return {"kind": "chat", "key": self.chat_key, "text": word}
        return {"kind": "position", "key": f"van {word[0]}", "text": word}

    def put(self, *messages):
        """Puts them, each a word or a message; returns what the last ``put`` said."""
        for message in messages:
            message = self.message(message) if isinstance(message, str) else message
            word = dict(message)["text"]
            self.mark = self.ask.trace.send("feed", "buffer", word)
            self.ask.trace.receive(self.mark, "buffer")
            outcome = self.ask.run(self.buffer.put, message, limit=PATIENCE)
            if outcome.how == "time-limit":
                told = f"put({word}) waited, with {self.size} messages in the buffer"
                self.need("blocks-producer", "put never waits", False, told)
            if not outcome.returned:
                hint = "Read the last line first: it is where your code stood."
                self.ask.need(outcome.how, f"put({word}) returns", False, str(outcome), hint, self.mark)
        return outcome.value

    def get(self, timeout=0.0):
        found = self.ask.call(self.buffer.get, timeout, limit=PATIENCE)
        if found is None:
            return None
        if not isinstance(found, dict) or "text" not in found:
            what, hint = "get returns a message as it was put, or None", "Return the dict that put was given."
            self.ask.need("wrong-type", what, False, f"it returned {shown(found)}", hint, self.mark)
        id = self.ask.trace.send("buffer", "reader", found["text"])
        self.ask.trace.receive(id, "reader")
        return found["text"]

    def rest(self, most=300):
        """Everything that comes out."""
        found = []
        while len(found) < most and (word := self.get()) is not None:
            found.append(word)
        return found

    def expect(self, code, what, passed, happened):
        return self.ask.expect(code, what, passed, happened, _HINTS[code], self.mark)

    def need(self, code, what, passed, happened):
        self.ask.need(code, what, passed, happened, _HINTS[code], self.mark)


def _words(found):
    return (", ".join(found[:8]) + (f", … ({len(found)})" if len(found) > 8 else "")) or "nothing"


def _order(bench):
    bench.put("A1", "chat1", "B1")
    found = bench.rest()
    told = f"out came {_words(found)}"
    if len(found) < 3:
        told += f"; then get(0) returned None, and len(buffer) was {shown(len(bench.buffer))}"
    what = "A1, chat1, B1 go in, and come out in that order, with get(0)"
    if bench.expect("order", what, found == ["A1", "chat1", "B1"], told):
        more = bench.get(0.01)
        bench.expect("empty", "… and then get(0.01) returns None", more is None, f"it returned {shown(more)}")


def _bound(bench):
    sizes = []
    for number in range(30):
        bench.put(f"{'ABCDEFGHIJ'[number % 10]}{number}")
        sizes.append(len(bench.buffer))
    found = bench.rest()
    most = max(max(sizes), len(found))
    told = f"{most} waited at once"
    bench.expect(
        "unbounded", f"30 positions of 10 vans, size {bench.size}: no more than {bench.size} wait", most <= 3, told
    )


def _newest(bench):
    bench.put(*(f"A{number}" for number in range(1, 9)))
    found = bench.rest()
    told = f"out came {_words(found)}"
    code = "stale" if found[-1:] != ["A8"] else "not-conflated"
    bench.expect(code, "eight positions of van A while nobody reads: one comes out, the eighth", found == ["A8"], told)


def _turn(bench):
    bench.put("A1", "B1", "A2")
    found = bench.rest()
    told = f"out came {_words(found)}"
    in_turn = [word[0] for word in found][:2] == ["A", "B"]
    bench.expect("turn", "A1, B1, A2 go in: van A is still first", in_turn, told)


def _chats(bench):
    bench.put("chat1", "chat2", "chat3")
    found = bench.rest()
    told = f"out came {_words(found)}"
    bench.expect(
        "conflates-chat", "three messages of one chat: all come out", found == ["chat1", "chat2", "chat3"], told
    )


def _kinds(bench):
    bench.chat_key = "van A"
    bench.put("chat1", "A1")
    found = bench.rest()
    told = f"out came {_words(found)}"
    bench.expect("kinds-mixed", "a chat about van A, and its position: both come out", found == ["chat1", "A1"], told)


def _full(bench, words, wanted, what):
    said = bench.put(*words)
    found = bench.rest()
    told = f"out came {_words(found)}"
    chats = [word for word in words if word.startswith("chat")]
    right = [word for word in found if word.startswith("chat")] == chats
    if len(found) <= bench.size:  # otherwise it has no bound, which has been said
        code = "drops-which" if right else "drops-chat"
        bench.expect(code, what, found == wanted, told)
    bench.expect("says-no", "… and put returned True", bool(said), f"it returned {shown(said)}")
    return found == wanted


def _room(bench):
    what = "A1, B1, C1, then chat1, size 3: A1 makes room"
    if not _full(bench, ["A1", "B1", "C1", "chat1"], ["B1", "C1", "chat1"], what):
        return
    told = f"dropped is {shown(getattr(bench.buffer, 'dropped', 'not there'))}"
    bench.expect("counts", "… and dropped is 1", getattr(bench.buffer, "dropped", None) == 1, told)
    bench.put("A1", "A2", "B1", "A3")
    if sorted(bench.rest()) != ["A3", "B1"]:
        return
    told = f"conflated is {shown(getattr(bench.buffer, 'conflated', 'not there'))}"
    bench.expect("counts", "A1, A2, B1, A3: conflated is 2", getattr(bench.buffer, "conflated", None) == 2, told)


def _chat_first(bench):
    what = "chat1, A1, B1, then C1: chat1 stays, though it is the oldest"
    _full(bench, ["chat1", "A1", "B1", "C1"], ["chat1", "B1", "C1"], what)


def _only_chats(bench):
    bench.put("chat1", "chat2", "chat3")
    said = {word: bench.put(word) for word in ("A1", "chat4")}
    told = ", ".join(f"put({word}) returned {shown(answer)}" for word, answer in said.items())
    found = bench.rest()
    if len(found) > bench.size:
        return  # it has no bound, which has been said
    right = not any(said.values())
    bench.expect("says-yes", "three chats wait, size 3: A1 and chat4 do not fit, and put returns False", right, told)
    told = f"out came {_words(found)}"
    bench.expect("drops-chat", "… and the three are still there", found == ["chat1", "chat2", "chat3"], told)


def _readers(bench):
    """Two readers. A1 is put into the buffers of both, the very same dict; A2 into that of the first."""
    first, other = bench.message("A1"), Bench(bench.ask, bench.kind, bench.size)
    for one in (bench, other):
        one.put(first)
    bench.put("A2")
    found, changed = other.rest(), first != bench.message("A1")
    told = f"for the other reader out came {_words(found)}" + (f"; A1 has become {shown(first)}" if changed else "")
    code = "changes-message" if changed else "shared-by-all"
    what = "A1 goes into the buffers of two readers, A2 into one of them: the other still has A1"
    bench.expect(code, what, found == ["A1"] and not changed, told)


class _Watched(dict):
    """A message that tells when somebody reads in it."""

    def __init__(self, message, read):
        super().__init__(message)
        self.read = read

    def __getitem__(self, key):
        self.read()
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.read()
        return super().get(key, default)


def _threads(bench):
    """A1 and B1 wait. While ``put(A2)`` looks at one of them, the reader's thread calls ``get``."""
    found, putting, trace = [], threading.Event(), bench.ask.trace

    def look():
        if putting.is_set():
            putting.clear()
            reader.start()
            reader.join(MOMENT)  # who has the lock goes on without it

    def take():
        with suppress(Exception, TimeLimit):  # which ends a reader that still waits when the check is interrupted
            found.append(bench.buffer.get(MOMENT)["text"])
            trace.receive(trace.send("buffer", "reader", found[-1]), "reader")

    reader = threading.Thread(target=take, name="servicelab check reader", daemon=True)
    for word in ("A1", "B1"):
        bench.put(_Watched(bench.message(word), look))
    putting.set()
    bench.mark = trace.send("feed", "buffer", "A2")
    outcome = bench.ask.run(bench.buffer.put, bench.message("A2"), limit=PATIENCE)
    trace.receive(bench.mark, "buffer")
    putting.clear()
    if reader.ident is None:
        return  # it did not look at what waits, and so was not disturbed
    reader.join(PATIENCE)
    found += bench.rest()
    told = f"out came {_words(found)}, and B1 was lost" if outcome.returned else f"put(A2): {outcome}"
    what = "A1 and B1 wait; the reader takes one while put(A2) is at work: B1 is not lost"
    bench.expect("not-locked", what, outcome.returned and "B1" in found, told)


def _waits(bench):
    """A reader waits in ``get`` while the feed puts."""
    found, waiting = [], threading.Event()

    def read():
        waiting.set()
        began = time.monotonic()
        try:
            found.append((bench.buffer.get(2.0), time.monotonic() - began))
        except (Exception, TimeLimit) as error:
            found.append((error, time.monotonic() - began))

    reader = threading.Thread(target=read, name="servicelab check reader", daemon=True)
    reader.start()
    waiting.wait(1.0)
    time.sleep(0.1)
    early = not reader.is_alive()
    began = time.monotonic()
    bench.put("chat1")
    put = time.monotonic() - began
    reader.join(4.0)
    told = f"it returned {shown(found[0][0], 60)} after {found[0][1]:.2f} s" if found else "it never returned"
    bench.expect("no-wait", "get(2.0) waits for the next message", not early, f"with nothing there {told}")
    if early:
        return
    bench.expect("blocks-producer", "… put does not wait for that", put < 1.0, f"put waited {put:.2f} s")
    in_time = bool(found) and isinstance(found[0][0], dict) and found[0][1] < 1.5
    bench.expect("late", "… and get has it as soon as it comes", in_time or put >= 1.0, told)
