"""Exercise 3, build: what waits for a slow reader, and what may be given up.

First the rules one by one, without sockets; then a WebSocket whose reader does not read for a while.
"""

import json
import threading
import time

from websockets.exceptions import ConnectionClosed

from servicelab.checks.exercise import exercise
from servicelab.checks.section import section
from servicelab.checks.theirs import shown
from servicelab.clients.streams import open_websocket
from servicelab.servers.websocket import WebSocketServer

PATIENCE = 3.0  # seconds for one call of the learner's
SIZE, VANS, PUTS, EVERY = 40, 20, 1500, 150  # of the slow reader's part: EVERY so many there is a chat message
FILL = "·" * 500  # 1 000 bytes as UTF-8, so that the kernel's buffers are full soon

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
    "server-grows": "What the kernel's buffers do not take waits in yours. Its bound is the server's.",
    "screen-stale": "What the reader sees last must be what was put last, for each van.",
    "chat-lost": "No chat message is given up while a position waits.",
}


@exercise("06", 3, "A buffer that does not grow", limit=60.0)
def check_buffer(ask, Buffer):
    """Put ``Buffer(size)`` between a feed and a slow reader."""
    for examine in (_order, _bound, _newest, _turn, _chats, _kinds, _room, _chat_first, _only_chats, _waits):
        with section(ask):
            examine(Bench(ask, Buffer))
        if any(not one.passed and one.code in ("order", "blocks-producer") for one in ask.expectations):
            return
    with section(ask):
        _slow_reader(ask, Buffer)


class Bench:
    """The learner's buffer; what goes in and comes out is in the trace. A message is written ``"A3"``, the third
    position of van A, or ``"chat3"``, the third message of the chat."""

    def __init__(self, ask, Buffer, size=3):
        self.ask, self.size, self.mark, self.chat_key = ask, size, None, "chat 17"
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

    def put(self, *words):
        """Puts them; returns what the last ``put`` said."""
        for word in words:
            self.mark = self.ask.trace.send("feed", "buffer", word)
            self.ask.trace.receive(self.mark, "buffer")
            outcome = self.ask.run(self.buffer.put, self.message(word), limit=PATIENCE)
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
    bench.expect("order", "A1, chat1, B1 go in, and come out in that order", found == ["A1", "chat1", "B1"], told)
    bench.expect("empty", "… and then get(0.01) returns None", bench.get(0.01) is None, "it returned something else")


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


def _waits(bench):
    """A reader waits in ``get`` while the feed puts."""
    found, waiting = [], threading.Event()

    def read():
        waiting.set()
        began = time.monotonic()
        try:
            found.append((bench.buffer.get(2.0), time.monotonic() - began))
        except Exception as error:
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


def _slow_reader(ask, Buffer):
    """1500 messages while the reader does not read; then it does."""
    buffer = Bench(ask, Buffer, SIZE).buffer

    def serve_it(connection):
        while not closing.is_set():
            message = buffer.get(0.05)
            if message is None:
                closing.wait(0.002)
            else:
                connection.send(json.dumps(message, ensure_ascii=False))

    closing = threading.Event()
    with WebSocketServer(
        serve_it, "slow feed of the check", trace=ask.trace, lane="server", send_buffer=20_000, compression=None
    ) as server:
        reader = open_websocket(server.url, trace=ask.trace, name="reader", compression=None, ping_interval=None)
        try:
            flood = ask.run(_flood, buffer, limit=PATIENCE)
            first = next((m.id for m in ask.trace.messages), None)
            if not flood.returned:
                code = "blocks-producer" if flood.how == "time-limit" else flood.how
                hint = _HINTS["blocks-producer"]
                ask.need(code, f"the feed puts {PUTS} messages", False, str(flood), hint, first)
            most, last, chats = flood.value
            heard = _read_all(reader)
        finally:
            closing.set()
            reader.close()
    mark = ask.trace.messages[-1].id if ask.trace.messages else None
    told = f"{most} messages waited in the server, about {most} kB for one reader"
    what = f"{PUTS} messages for a reader that does not read: at most {SIZE} wait"
    ask.expect("server-grows", what, most <= SIZE, told, _HINTS["server-grows"], mark)
    stale = [van for van, text in last.items() if heard.get(van) != text]
    told = f"of {VANS} vans, {len(stale)} stand where they were long ago"
    ask.expect(
        "screen-stale", "it reads again: each van is where it is now", not stale, told, _HINTS["screen-stale"], mark
    )
    got = heard["chats"]
    told = f"{len(got)} of {len(chats)} came"
    ask.expect(
        "chat-lost", "… and every chat message has come, in order", got == chats, told, _HINTS["chat-lost"], mark
    )


def _flood(buffer):
    """Returns the most that waited, the last text of each van, and the texts of the chat."""
    most, last, chats = 0, {}, []
    for number in range(PUTS):
        if number % EVERY == EVERY - 1:
            message = {"kind": "chat", "key": "chat 17", "text": f"chat {number}", "fill": FILL}
            chats.append(message["text"])
        else:
            van = f"van {number % VANS}"
            message = {"kind": "position", "key": van, "text": f"{van} at {number}", "fill": FILL}
            last[van] = message["text"]
        buffer.put(message)
        most = max(most, len(buffer))
        if number < 3 * VANS:
            time.sleep(0.001)  # the kernel's buffers fill first
    return most, last, chats


def _read_all(reader):
    """What the reader's screen shows in the end: the last text of each van, and all chats."""
    screen = {"chats": []}
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        try:
            message = json.loads(reader.recv(timeout=0.25))
        except (TimeoutError, ConnectionClosed):
            break
        if message["kind"] == "chat":
            screen["chats"].append(message["text"])
        else:
            screen[message["key"]] = message["text"]
    return screen
