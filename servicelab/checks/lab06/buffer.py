"""Exercise 3, build: what waits for a slow reader, and what may be given up."""

import itertools
import sys
import threading
import time

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Aside, Stage, scenario, words

PATIENCE = 3.0  # seconds for one call of the learner's
MOMENT, SHORT = 0.1, 0.02  # seconds in which another thread gets its turn
PUTS = 40  # into a full buffer, within SOON seconds: who waits for even 1/40 of that is not in time
SOON = 1.0

WORDS = words("""
order: what went in first comes out first, get(0) takes what is there, and put says True
    Where do you append, and where do you take? And does get look when it has no time to wait?
too-small: as many as `size` fit in
    Which is missing, and what stands in its place?
unbounded: no more than `size` messages wait
    Memory is the only other bound, and it is the whole server's. Look before you append.
not-len: len says how many wait
    What does yours count?
stale: van A moves eight times while nobody reads: its last position comes out
    Which of two positions of one van does anybody want?
not-conflated: … and only that
    What is a waiting position worth when there is a newer one of the same van?
turn: … in the place in the queue where the first one stood
    Behind all others, when would a van that moves often be sent?
conflates-chat: two messages of one chat are two messages
    Which kind may be replaced, and which not?
kinds-mixed: a position and a chat that have the same key are two things
    By what do you recognise what may be replaced?
full-first: a position that replaces another needs no room, full or not
    Which question comes first: is it full, or does one of this van wait?
drops-which: for what does not fit the first position in the queue is given up
    Which of those that wait is given up, and may the new one be? What do you still know of one that is gone?
drops-chat: what people write is never given up
    What may be given up, and what do you do when there is nothing of that kind?
says-no: put says True when the message is in
    Does every way through put end with an answer?
says-yes: put says False when it is not, since there are nothing but chats
    What does the server believe when you say True?
counts-conflated: conflated is how many waiting positions were replaced
    Where is a position replaced, and nowhere else? Is what it replaces still there?
counts-dropped: dropped is how many positions were given up, a new one that did not get in among them, and no chats
    In which cases is a position lost without a newer one in its place?
changes-message: the very dict that went in comes out, and nobody has written in it
    In the buffers of how many readers does this dict lie?
shared-by-all: the buffers of two readers have nothing in common
    What of yours is there once for all objects?
blocks-producer: put never waits, neither for room nor for a reader who waits in get
    Who else gets nothing while put stands still? And what does your get hold while it waits?
no-wait: get waits for the next message, as long as it was told
    What does get do when nothing is there yet, and until when?
late: … and get(2) has it as soon as it comes
    What wakes it, and only that reader?
not-locked: one thread puts while the other gets: nothing is lost or comes twice
    Between looking and acting, what can the other thread do?
""")


class Line(Stage):
    """The learner's buffer between a feed and a reader. A message is written ``"A3"`` (the third position of van A),
    ``"chat3"`` (a message of chat 17), or ``"chatA"`` (of a chat whose key is that of van A)."""

    def __init__(self, ask, Buffer):
        super().__init__(ask, Buffer)
        self.renew()

    def renew(self, size=3):
        self.ask.trace.clear()
        self.size, self.longest = size, 0
        self.buffer = self.make(self.yours, size, methods=("put", "get", "__len__"))

    def put(self, *messages):
        """Puts them, each a word or a message; what the last ``put`` said. At the word "get()" one comes out."""
        for message in messages:
            if message == "get()":
                self.get()
                continue
            message = message_of(message) if isinstance(message, str) else message
            self.last = self.ask.trace.send("feed", "buffer", dict(message)["text"])
            self.ask.trace.receive(self.last, "buffer")
            outcome = self.ask.run(self.buffer.put, message, limit=PATIENCE)
            if outcome.how == "time-limit":
                self.refuse("blocks-producer", f"put waited, with {self.size} messages in the buffer")
            said = outcome.value if outcome.returned else self.call(self.buffer.put, message)  # which says what it was
            self.longest = max(self.longest, self.call(len, self.buffer, returns=int))
        return said

    def get(self, timeout=0.0, buffer=None):
        """The message that comes out, or None."""
        found = self.call((self.buffer if buffer is None else buffer).get, timeout, returns=(dict, type(None)))
        if found is not None:
            self.ask.trace.receive(self.ask.trace.send("buffer", "reader", found["text"]), "reader")
        return found

    def rest(self, buffer=None):
        """The words of all that comes out."""
        found = []
        while len(found) < 100 and (message := self.get(buffer=buffer)) is not None:
            found.append(message["text"])
        return found

    def count(self, name):
        return shown(getattr(self.buffer, name, "not there"), 20)


def message_of(word):
    if word.startswith("chat"):
        return {"kind": "chat", "key": "van A" if word == "chatA" else "chat 17", "text": word}
    return {"kind": "position", "key": f"van {word[0]}", "text": word}


check_buffer = scenario("06", 3, "A buffer that does not grow", WORDS, Buffer=Line)
part = check_buffer.part


def flow(line, code, into, out, size=3, is_in=True, conflated=0, dropped=0):
    """These go in one after the other, those come out; and what put said of the last, and what was counted."""
    into, out = into.split(), out.split()
    line.renew(size)
    said = line.put(*into)
    waited = line.call(len, line.buffer)
    found = line.rest()
    told = f"{', '.join(into)} went in, size {size}; out came {', '.join(found[:12]) or 'nothing'}"
    yield "unbounded", max(line.longest, len(found)) <= size, told
    if found != out:
        chats = [[word for word in words if word.startswith("chat")] for words in (found, out)]
        wrong = code if code not in ("drops-which", "drops-chat") else code if chats[0] == chats[1] else "drops-chat"
        wrong = "stale" if wrong == "not-conflated" and found[-1:] != out[-1:] else wrong
        wrong = "too-small" if wrong == "order" and found and set(found) != set(out) else wrong
        yield wrong, False, told
    yield "not-len", waited == len(out), f"{told}; len was {waited} before"
    yield "says-no" if is_in else "says-yes", bool(said) == is_in, f"{told}; the last put said {shown(said)}"
    for name, wanted in (("conflated", conflated), ("dropped", dropped)):
        yield f"counts-{name}", line.count(name) == str(wanted), f"{told}; {name} is {line.count(name)}"


@part
def a_queue(line):
    yield from flow(line, "order", "B1 chat1 A1", "B1 chat1 A1")
    began = time.monotonic()
    found = line.get(4 * MOMENT)
    took = time.monotonic() - began
    yield (
        "no-wait",
        took > 3 * MOMENT,
        f"nothing was there; get({4 * MOMENT:g}) returned {shown(found)} after {took:.2f} s",
    )
    yield from flow(line, "drops-which", "D1 C1 A1 E1 B1 F1 G1", "A1 E1 B1 F1 G1", size=5, dropped=2)


@part
def positions(line):
    yield from flow(line, "not-conflated", "A1 A2 A3 A4 A5 A6 A7 A8", "A8", conflated=7)
    yield from flow(line, "turn", "B1 A1 B2", "B2 A1", conflated=1)
    yield from flow(line, "stale", "A1 get() A2", "A2")


@part
def what_people_write(line):
    yield from flow(line, "conflates-chat", "chat1 chat2 chat3", "chat1 chat2 chat3")
    yield from flow(line, "kinds-mixed", "chatA A1", "chatA A1")
    yield from flow(line, "kinds-mixed", "A1 chatA A2", "A2 chatA", conflated=1)


@part
def a_full_buffer(line):
    yield from flow(line, "drops-which", "C1 A1 B1 chat1", "A1 B1 chat1", dropped=1)
    yield from flow(line, "drops-which", "chat1 B1 A1 C1", "chat1 A1 C1", dropped=1)
    yield from flow(line, "drops-which", "B1 A1", "A1", size=1, dropped=1)
    yield from flow(line, "drops-which", "A1 B1 C1 A2", "C1 A2", size=2, dropped=2)
    yield from flow(line, "full-first", "C1 A1 B1 A2", "C1 A2 B1", conflated=1)
    yield from flow(line, "full-first", "chat1 A1 chat2 A2", "chat1 A2 chat2", conflated=1)
    yield from flow(line, "drops-which", "A1 B1 C1 A2 D1", "B1 C1 D1", conflated=1, dropped=1)
    for new, dropped in (("chat4", 0), ("A1", 1)):
        into = f"chat1 chat2 chat3 {new}"
        yield from flow(line, "drops-chat", into, "chat1 chat2 chat3", is_in=False, dropped=dropped)


@part
def two_readers(line):
    """A1 goes into the buffers of both, the very same dict; A2 into that of the first."""
    first, other = message_of("A1"), line.make(line.yours, 3)
    line.put(first)
    line.call(other.put, first)
    line.put("A2")
    found = line.get(buffer=other)
    told = f"A1 went into both buffers, A2 into one of them; out of the other came {shown(found)}"
    yield "changes-message", first == message_of("A1"), f"A1 is now {shown(first)}"
    yield "shared-by-all", found == first, told
    yield "changes-message", found is first, f"{told}, which is a copy"


@part
def put_never_waits(line):
    line.put("chat1", "chat2", "chat3")
    began = time.monotonic()
    line.ask.run(lambda: [line.buffer.put(message_of("chat4")) for _ in range(PUTS)], limit=SOON)
    took = time.monotonic() - began
    yield "blocks-producer", took < SOON, f"{PUTS} times put, with a full buffer, took {took:.1f} s"


@part
def a_reader_that_waits(line):
    def read():
        began = time.monotonic()
        return line.buffer.get(2.0), time.monotonic() - began

    for new in ("chat1", "A1"):
        line.renew()
        other = line.make(line.yours, 3)
        another, reader = Aside(lambda other=other: other.get(2.0)).start(), Aside(read)
        another.wait(MOMENT)
        reader.start().wait(MOMENT)
        began = time.monotonic()
        line.put(new)
        took = time.monotonic() - began
        yield "blocks-producer", took < SOON, f"while a reader waited in get(2), put took {took:.1f} s"
        reader.wait(PATIENCE)
        found, seconds = reader.answer or (reader.error, PATIENCE)
        told = f"{new} came, while another reader waited at another buffer; get returned {shown(found, 60)}"
        yield "late", isinstance(found, dict) and seconds < 1.5, f"{told} after {seconds:.1f} s"
        line.call(other.put, message_of("A1"))
        another.wait(PATIENCE)


def stopping(line, call, before, then):
    """``call``, in a thread that does ``then`` before the learner's line number ``before``."""
    mine, lines = line.yours.__module__, itertools.count(1)

    def at_line(frame, event, arg):
        if event == "line" and next(lines) == before:
            then()
        return at_line

    return Aside(call, lambda: sys.settrace(lambda f, *_: at_line if f.f_globals.get("__name__") == mine else None))


def meet(line, new, turn, other):
    """``new`` is put before line ``turn`` of ``get``, and stops before its own line ``other`` until ``get`` is back.
    Who has the lock goes on. Was there this line, and that one then; what came out, and what was raised, in words."""
    stopped, met = threading.Event(), []

    def put():
        feed.start()
        end = time.monotonic() + SHORT
        while not (stopped.wait(0.001) or feed.is_back or time.monotonic() > end):
            pass
        met.append(stopped.is_set())

    feed = stopping(line, lambda: line.buffer.put(message_of(new)), other, lambda: stopped.set() or reader.wait(SHORT))
    reader = stopping(line, lambda: line.buffer.get(SOON), turn, put)
    reader.start().wait(PATIENCE)
    errors = "".join(f"; {one.error!r}" for one in (reader, feed) if met and one.wait(PATIENCE) and one.error)
    found = [reader.answer["text"]] if reader.answer else []
    return bool(met), met == [True], found + line.rest(), errors


@part
def one_puts_while_the_other_gets(line):
    for waiting, new, kept in (("A1 B1", "A2", "A2 B1"), ("A1 B1 chat1", "D1", "B1 chat1 D1")):
        turn = other = begun = 1
        while begun and turn + other < 50:
            line.renew()
            line.put(*waiting.split())
            begun, stopped, found, errors = meet(line, new, turn, other)
            right = set(kept.split()) <= set(found) and len(set(found)) == len(found) and not errors
            told = f"{waiting} waited, and put({new}) met get: out came {', '.join(found)}{errors}"
            yield "not-locked", right or not begun, told
            turn, other = (turn, other + 1) if stopped else (turn + 1, 1)
