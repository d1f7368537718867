"""Exercise 3, build: what waits for a slow reader, and what may be given up."""

import sys
import threading
import time
from contextlib import suppress
from itertools import islice
from math import inf
from pathlib import Path

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Aside, Stage, scenario, words

LONG, SHORT = 1.0, 0.5  # seconds for which a reader waits
LOOKS = 4  # in turn at a thread, half a millisecond apart, that find it at the same line and in want of no processor
LINES = 50  # of put and get together, between which the two meet
PUTS = 40  # into a full buffer, within LONG: who waits for even 1/40 of that is not in time

WORDS = words("""
order: what went in first comes out first, and get(0) takes what is there
    Where do you append, and where do you take? And does get look when it has no time to wait?
size: as many as `size` fit in, and no more, and len says how many wait
    Memory is the only other bound, and it is the whole server's. Look before you append. What does your len count?
conflation: van A moves again and again while nobody reads: only its last position comes out, where the first one stood
    Which of two positions of one van does anybody want? When would a van that moves often be sent, behind all others?
merged: two messages of one chat are two, and so are a position and a chat that have the same key
    Which kind may be replaced, and by what do you recognise it?
full-first: a position that replaces another needs no room, full or not
    Which question comes first: is it full, or does one of this van wait?
drops-which: for what does not fit the first position in the queue is given up
    Which of those that wait is given up, and may the new one be? What do you still know of one that is gone?
drops-chat: what people write is never given up
    What may be given up, and what do you do when there is nothing of that kind?
answer: put says True when the message is in, and False when it is not, since there are nothing but chats
    Does every way through put end with an answer? What does the server believe when you say True?
counts: conflated is how many waiting positions were replaced, dropped how many were given up, or did not get in
    Where is a position replaced, and is what it replaces still there? When is one lost with none in its place? And
    whose are the counters?
same-dict: the very dict that went in comes out, and nobody has written in it
    In the buffers of how many readers does this dict lie?
shared: the buffers of two readers have nothing in common
    What of yours is there once for all objects?
blocks-producer: put never waits, neither for room nor for a reader who waits in get
    Who else gets nothing while put stands still? And what does your get hold while it waits?
wait: get waits for the next message as long as it was told, and has it as soon as it comes
    What does get do when something is there, and what when nothing is, until when? What wakes it, and only that reader?
not-locked: one thread puts while the other gets: nothing is lost, comes twice, or is overlooked
    Between looking and acting, what can the other thread do?
""")
#: Of each part: code, what goes in, what comes out, the size; then conflated, dropped, and what the last put said.
FLOWS = {
    "a queue": (
        ("order", "B1 chat1 A1", "B1 chat1 A1", 3, 0, 0, True),
        ("drops-which", "D1 C1 A1 E1 B1 F1 G1", "A1 E1 B1 F1 G1", 5, 0, 2, True)),
    "positions": (
        ("conflation", "A1 A2 A3 A4 A5 A6 A7 A8", "A8", 3, 7, 0, True),
        ("conflation", "B1 A1 B2", "B2 A1", 3, 1, 0, True),
        ("conflation", "A1 get A2", "A2", 3, 0, 0, True)),
    "what people write": (
        ("merged", "chat1 chat2 chat3", "chat1 chat2 chat3", 3, 0, 0, True),
        ("merged", "chatA A1", "chatA A1", 3, 0, 0, True),
        ("merged", "A1 chatA A2", "A2 chatA", 3, 1, 0, True)),
    "a full buffer": (
        ("drops-which", "C1 A1 B1 chat1", "A1 B1 chat1", 3, 0, 1, True),
        ("drops-chat", "chat1 B1 A1 C1", "chat1 A1 C1", 3, 0, 1, True),
        ("drops-which", "B1 A1", "A1", 1, 0, 1, True),
        ("drops-which", "A1 B1 C1 A2", "C1 A2", 2, 0, 2, True),
        ("full-first", "C1 A1 B1 A2", "C1 A2 B1", 3, 1, 0, True),
        ("full-first", "chat1 A1 chat2 A2", "chat1 A2 chat2", 3, 1, 0, True),
        ("drops-which", "A1 B1 C1 A2 D1", "B1 C1 D1", 3, 1, 1, True),
        ("drops-chat", "chat1 chat2 chat3 chat4", "chat1 chat2 chat3", 3, 0, 0, False),
        ("drops-chat", "chat1 chat2 chat3 A1", "chat1 chat2 chat3", 3, 0, 1, False)),
}  # fmt: skip


def message_of(word):
    """Of "A3", the third position of van A; of "chat3", a message of chat 17; of "chatA", one that has van A's key."""
    if word.startswith("chat"):
        return {"kind": "chat", "key": "van A" if word == "chatA" else "chat 17", "text": word}
    return {"kind": "position", "key": f"van {word[0]}", "text": word}


def word_of(found):
    return found["text"] if isinstance(found, dict) and "text" in found else shown(found, 20)


class Line(Stage):
    """The learner's buffer between a feed and a reader."""

    def new(self, size=3, *words):
        buffer = self.make(self.yours, size, methods=("put", "get", "__len__"))
        for word in words:
            self.put(buffer, message_of(word))
        return buffer

    def put(self, buffer, message):
        self.draw("feed", "buffer", message["text"])
        return self.call(buffer.put, message)

    def get(self, buffer, timeout=0.0):
        """The message that comes out, or None."""
        found = self.call(buffer.get, timeout, returns=(dict, type(None)))
        self.draw("buffer", "reader", word_of(found))
        return found

    def timed(self, call, *args):
        began = time.monotonic()
        return call(*args), time.monotonic() - began

    def rest(self, buffer):
        """The words of all that comes out."""
        return [word_of(found) for found in islice(iter(lambda: self.get(buffer), None), 100)]

    def flows(self, *flows):
        for flow in flows:
            yield from self.flow(*flow)

    def flow(self, code, into, out, size, conflated, dropped, is_in):
        self.ask.trace.clear()
        buffer, most, out = self.new(size), 0, out.split()
        for word in into.split():
            said = self.get(buffer) if word == "get" else self.put(buffer, message_of(word))
            waited = self.call(len, buffer, returns=int)
            most = max(most, waited)
        found = self.rest(buffer)
        told = f"{into} went in, size {size}; out came {' '.join(found[:12]) or 'nothing'}"
        yield "size", max(most, len(found)) <= size, told
        is_short = code in ("order", "drops-which") and 0 < waited < len(out)
        yield "size" if is_short else code, found == out, told
        yield "size", waited == len(out), f"{told}; len was {waited} before"
        yield "answer", bool(said) == is_in, f"{told}; the last put said {shown(said)}"
        for name, wanted in (("conflated", conflated), ("dropped", dropped)):
            counted = shown(getattr(buffer, name, "not there"), 20)
            yield "counts", counted == str(wanted), f"{told}; {name} is {counted}"


check_buffer = scenario("06", 3, "A buffer that does not grow", WORDS, Buffer=Line)
check_buffer.parts(FLOWS, Line.flows)
part = check_buffer.part


class Stepped(Aside):
    """A call in a thread that does ``then`` before it runs line number ``before`` of the learner's module."""

    def __init__(self, module, call, before=0, then=None):
        super().__init__(call, self._trace)
        self._module, self._before, self._then, self._lines = module, before, then, 0

    def _trace(self):
        sys.settrace(lambda frame, *_: self._at if frame.f_globals.get("__name__") == self._module else None)

    def _at(self, frame, event, arg):
        self._lines += event == "line"
        if event == "line" and self._lines == self._before:
            self._then()
        return self._at

    def go_on(self, is_enough=lambda: False):
        """Wait until it is back, or that is enough, or it has gone far, or waits for somebody else: looked at so often
        it stands at one line. Who waits for the processor does not, so that a busy machine makes no difference."""
        seen, looks, far = None, 0, self._lines + LINES
        while not (self.is_back or is_enough()) and looks < LOOKS and self._lines < far:
            seen, looks = (seen, looks + 1) if seen == self._lines and not self._is_ready() else (self._lines, 0)
            time.sleep(0.0005)  # it has the interpreter to itself

    def _is_ready(self):
        """Does it want the processor, and nothing else? Only Linux says so: proc_pid_stat(5), state R."""
        with suppress(OSError):
            stat = Path(f"/proc/self/task/{self._thread.native_id}/stat").read_text()
            return stat.rpartition(") ")[2].startswith("R")


@part
def two_readers(line):
    """A1 goes into the buffers of both, the very same dict; A2 into that of the first."""
    first, second, one, other = message_of("A1"), message_of("A2"), line.new(), line.new()
    for buffer, message in ((one, first), (other, first), (one, second)):
        line.put(buffer, message)
    found, latest = line.get(other), line.get(one)
    told = f"A1 went into both buffers, A2 into one of them; out of the other came {shown(found)}"
    yield "same-dict", first == message_of("A1"), f"A1 is now {shown(first)}"
    yield "shared", found == first, told
    yield "same-dict", found is first, f"{told}, which is a copy"
    yield "same-dict", latest is second, f"A2 replaced A1; out came {shown(latest)}, which is not the dict that went in"


@part
def put_never_waits(line):
    buffer = line.new(3, "chat1", "chat2", "chat3")
    took = line.ask.run(lambda: [buffer.put(message_of("chat4")) for _ in range(PUTS)], limit=LONG).seconds
    yield "blocks-producer", took < LONG, f"{PUTS} times put, with a full buffer, took {took:.1f} s"


@part
def a_reader_that_waits(line):
    buffers = line.new(3, "A1"), line.new()
    found, took = line.timed(line.get, buffers[0], LONG)
    yield "wait", found and took < LONG / 2, f"A1 was there; get({LONG:g}) returned {shown(found)} after {took:.1f} s"
    found, took = line.timed(line.get, buffers[0], SHORT)
    yield "wait", took > 0.8 * SHORT, f"get({SHORT:g}) returned {shown(found)} after {took:.2f} s"
    mine = line.yours.__module__
    readers = [Stepped(mine, lambda buffer=buffer: (buffer.get(LONG), time.monotonic())) for buffer in buffers]
    for reader in readers:
        reader.start().go_on()
    for new, buffer, reader in (("chat1", buffers[1], readers[1]), ("A1", buffers[0], readers[0])):
        began = time.monotonic()
        _, took = line.timed(line.put, buffer, message_of(new))
        yield "blocks-producer", took < LONG / 2, f"while readers waited in get({LONG:g}), put took {took:.1f} s"
        reader.wait(2 * LONG)
        found, at = reader.answer or (reader.error, inf)
        told = f"{new} came, while readers waited at two buffers; get returned {shown(found, 60)}"
        yield "wait", isinstance(found, dict) and at - began < LONG / 2, f"{told} after {at - began:.1f} s"


def meet(line, buffer, new, turn, other):
    """``new`` is put before line ``turn`` of ``get``, and stops before its own line ``other`` until ``get`` is back.
    Who has the lock goes on. Did they meet, and stop there; what came out; and what was raised or late, in words."""
    begun, stopped, mine, began = [], threading.Event(), line.yours.__module__, time.monotonic()

    def put():
        begun.append(feed.start())
        feed.go_on(stopped.is_set)

    feed = Stepped(mine, lambda: buffer.put(message_of(new)), other, lambda: stopped.set() or reader.go_on())
    reader = Stepped(mine, lambda: buffer.get(2 * LONG), turn, put)
    reader.start().go_on(lambda: begun)
    is_met = bool(begun)
    if not is_met:  # get is back before this line, or waits
        line.put(buffer, message_of("chat1"))
    reader.wait(3 * LONG)
    took = time.monotonic() - began
    wrong = f"; get came back after {took:.1f} s" if took > LONG else ""
    wrong += "".join(f"; {one.error!r}" for one in (reader, *begun) if one.wait(LONG) and one.error)
    first = [word_of(reader.answer)] if reader.answer else []
    return is_met, stopped.is_set(), first + line.rest(buffer), wrong


@part
def one_puts_while_the_other_gets(line):
    for waiting, new, kept in (("A1 B1", "A2", "A2 B1"), ("A1 B1 chat1", "D1", "B1 chat1 D1"), ("", "A1", "A1")):
        turn = other = 1
        apart = 0  # meetings in a row that did not come about: one may be a machine that stood still
        while apart < 3 and turn + other < LINES:
            line.ask.trace.clear()
            is_met, stopped, found, wrong = meet(line, line.new(3, *waiting.split()), new, turn, other)
            told = f"{waiting or 'nothing'} waited, and put({new}) met get: out came {' '.join(found)}{wrong}"
            right = set(kept.split()) <= set(found) and len(set(found)) == len(found) and not wrong
            yield "not-locked", right or not is_met, told
            apart = 0 if is_met else apart + 1
            if is_met:
                turn, other = (turn, other + 1) if stopped else (turn + 1, 1)
