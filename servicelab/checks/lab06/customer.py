"""A customer of a Socket.IO server who hears everything in the order in which it was sent.

python-socketio's client hands each event to a thread of its own, so nobody could say what came before what. This one
speaks the protocol itself, over one WebSocket (Engine.IO protocol 4, Socket.IO protocol 5).
"""

import json
import time
from typing import NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from servicelab.clients.session import callee_of
from servicelab.servers.message_stamps import Talk
from servicelab.servers.socketio import SocketIOServer, describe
from servicelab.servers.threads import shut
from servicelab.trace import Trace

PATIENCE = 1.5  # seconds for an answer


class Heard(NamedTuple):
    """An event as it came: its name, its first argument, and the id of the message in the trace."""

    event: str
    data: object
    id: str


class Customer:
    """One client, connected on birth; its messages are in ``trace`` under ``name``. Not for several threads.
    ``asides`` are the ids of messages that are no part of the story."""

    def __init__(self, server: SocketIOServer, trace: Trace, name: str, asides: set | None = None):
        self.name, self.heard, self.last = name, [], None  # last: the id of what was sent last
        self._talk = Talk.opened_by(name, callee_of(server.url), trace)
        self.asides = set() if asides is None else asides
        self._sent = self._got = self._number = 0
        url = f"ws://{server.url.removeprefix('http://')}/socket.io/?EIO=4&transport=websocket"
        self._connection = connect(
            url, proxy=None, legacy=True, compression=None, ping_interval=None, additional_headers=self._talk.headers
        )
        self._next(PATIENCE)  # Engine.IO's "open"
        self._send("0")
        self.sid = ""  # the id of this connection, which the server knows as request.sid
        self._wait(self._is_welcome)

    def call(self, event: str, *data) -> bool:
        """Emit, and wait until the handler has returned; says whether it has. What the handler has emitted to this
        customer stands in ``heard`` then."""
        self._number += 1
        self._send(f"2{self._number}{json.dumps([event, *data])}")
        return self._wait(lambda packet, ack=f"3{self._number}[": packet.startswith(ack))

    def answers(self, event: str) -> bool:
        """A :meth:`call` of the check's own: as if it had not been said, it is in ``asides`` and not in ``last``."""
        last, self.last = self.last, None
        answered = self.call(event)
        self.asides.add(self.last)
        if answered:
            self.asides.add(f"{self._talk.id}.down.{self._got}")
        self.last = last
        return answered

    def wait_for(self, event: str, seconds: float = PATIENCE) -> Heard | None:
        """The first ``event`` in ``heard``, waited for; None when it does not come."""
        end = time.monotonic() + seconds
        while not (found := [one for one in self.heard if one.event == event]):
            if self._next(end - time.monotonic()) is None:
                return None
        return found[0]

    def forget(self) -> None:
        self.heard.clear()

    def close(self) -> None:
        """Go without a word, as a phone in a tunnel does."""
        shut(self._connection.socket)
        self._connection.recv_events_thread.join(1.0)

    def _send(self, packet):
        self._sent += 1
        self.last = f"{self._talk.id}.up.{self._sent}"
        self._talk.sends(describe(packet))
        self._connection.send("4" + packet)

    def _is_welcome(self, packet):
        if packet.startswith("0"):
            self.sid = json.loads(packet[1:])["sid"]
        return bool(self.sid)

    def _wait(self, is_it):
        end = time.monotonic() + PATIENCE
        while (packet := self._next(end - time.monotonic())) is not None:
            if is_it(packet):
                return True
        return False

    def _next(self, seconds):
        """The next packet, without Engine.IO's envelope; None when none comes."""
        try:
            packet = self._connection.recv(timeout=max(0.0, seconds))
        except (TimeoutError, ConnectionClosed):
            return None
        if packet == "2":
            self._connection.send("3")
        if not packet.startswith("4"):
            return packet
        self._got += 1
        self._talk.gets()
        if packet.startswith("42"):
            event, *data = json.loads(packet[packet.index("[") :])
            self.heard.append(Heard(event, data[0] if data else None, f"{self._talk.id}.down.{self._got}"))
        return packet[1:]
