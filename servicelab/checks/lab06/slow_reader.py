"""The last part of exercise 3: a WebSocket behind the learner's buffer, whose reader does not read for a while."""

import json
import threading
import time

from websockets.exceptions import ConnectionClosed

from servicelab.clients.streams import open_websocket
from servicelab.servers.websocket import WebSocketServer

PATIENCE = 3.0  # seconds for all of the messages
SIZE, VANS, PUTS, EVERY = 40, 20, 1500, 150  # EVERY so many there is a chat message
FILL = "·" * 500  # 1 000 bytes as UTF-8, so that the kernel's buffers are full soon

_HINTS = {
    "server-grows": "What the kernel's buffers do not take waits in yours. Its bound is the server's.",
    "screen-stale": "What the reader sees last must be what was put last, for each van.",
    "chat-lost": "No chat message is given up while a position waits.",
}


def slow_reader(ask, buffer, blocks):
    """1500 messages while the reader does not read; then it does. ``blocks`` is the hint for a ``put`` that waits."""

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
                ask.need(code, f"the feed puts {PUTS} messages", False, str(flood), blocks, first)
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
