"""A customer of a Socket.IO server who hears everything in the order in which it was sent.

python-socketio's client hands each event to a thread of its own, so nobody could say what came before what. This one
speaks the protocol itself, over one WebSocket (Engine.IO protocol 4, Socket.IO protocol 5).
"""

import json
import time
from typing import NamedTuple

from websockets.exceptions import ConnectionClosed

from servicelab.clients.session import callee_of
from servicelab.clients.streams import open_websocket
from servicelab.lifecycle import join
from servicelab.servers.message_stamps import Talk
from servicelab.servers.socketio import SocketIOServer, describe
from servicelab.servers.threads import shut
from servicelab.trace import Trace

PATIENCE = 1.5  # seconds for an answer
LOOK = 0.05  # seconds until it is asked again whether the handler has failed


class Heard(NamedTuple):
    """An event as it came: its name, its first argument, and the id of the message in the trace."""

    event: str
    data: object
    id: str


class Customer:
    """One client, connected on birth; its messages are in ``trace`` under ``name``. Not for several threads.
    ``heard`` is what came, ``sid`` the id by which the server knows the connection, ``last`` that of the last message
    in the trace which it sent."""

    def __init__(self, server: SocketIOServer, trace: Trace, name: str):
        self.name, self.heard, self.last, self._errors = name, [], "", server.errors
        self._talk, self._sent, self._got = Talk.opened_by(name, callee_of(server.url), trace), 0, 0
        url, headers = f"ws{server.url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket", self._talk.headers
        self._line = open_websocket(url, compression=None, ping_interval=None, additional_headers=headers)
        self._send("0")
        self.sid = json.loads(self._until("40")[2:] or '{"sid": ""}')["sid"]

    def call(self, event: str, *data) -> bool:
        """Emit, and wait until the handler has returned; says whether it has, and none has failed meanwhile. What it
        emitted to this customer stands in ``heard`` then."""
        number, failed = self._sent, len(self._errors)
        self._send(f"2{number}{json.dumps([event, *data])}")
        return bool(self._until(f"43{number}[", lambda: len(self._errors) > failed))

    def catch_up(self) -> None:
        """Hear all that the server has sent so far. It answers an Engine.IO "upgrade" behind all that, with a "noop";
        nobody else notices."""
        self._line.send("5")
        self._until("6")

    def wait_for(self, event: str) -> None:
        self._until("no packet", lambda: event in [one.event for one in self.heard])

    def close(self) -> None:
        """Go without a word, as a phone in a tunnel does."""
        shut(self._line.socket)
        join([self._line.recv_events_thread], 1.0)

    def _send(self, packet):
        self._sent += 1
        self.last = f"{self._talk.id}.up.{self._sent}"
        self._talk.sends(describe(packet))
        self._line.send("4" + packet)

    def _until(self, start, is_over=lambda: False):
        """The next packet that begins like this; "" when none comes, or it is over."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not is_over():
            try:
                packet = self._line.recv(timeout=LOOK)
            except TimeoutError:
                continue
            except ConnectionClosed:
                break
            if packet.startswith("4"):
                self._got += 1
                self._talk.gets()
            if packet.startswith("42"):
                event, *data = json.loads(packet[packet.index("[") :])
                self.heard.append(Heard(event, data[0] if data else None, f"{self._talk.id}.down.{self._got}"))
            if packet.startswith(start):
                return packet
        return ""
