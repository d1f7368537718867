"""One client's connection through the proxy: two sockets, and a pipe for each direction."""

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
from typing import NamedTuple

from servicelab.faults.pipe import Pipe, Stage
from servicelab.faults.toxics import END, Cut
from servicelab.lifecycle import ServerError
from servicelab.trace import from_traceparent, reply_id

_TRACEPARENT = re.compile(rb"\ntraceparent:[ \t]*([0-9a-f-]{55})(?=\s)", re.IGNORECASE)
_REQUEST = re.compile(rb"[A-Z]{3,10} \S+ HTTP/1")
_LONGEST_HEADER = 100  # bytes of the last piece to look at again, in case the header was split

# A socket that is closed with a linger time of 0 sends RST instead of FIN (SO_LINGER in socket(7)).
_LINGER_0 = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Side(asyncio.Protocol):
    """One of the two sockets: ``reads`` is the pipe it feeds, ``writes`` the pipe that ends in it."""

    def __init__(self, connection, reads, writes):
        self.connection = connection
        self.reads = reads
        self.writes = writes

    def connection_made(self, transport):
        self.reads.source = self.writes.sink = transport
        transport.set_write_buffer_limits(high=512 * 1024)
        # asyncio leaves Nagle's algorithm on for an accepted socket (its proto is 0), and a reply that leaves in
        # two pieces then waits 40 ms for the acknowledgement of the first.
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.made(self, transport)

    def data_received(self, data):
        if self.reads is self.connection.upstream:
            self.connection.watch(data)
        self.reads.feed(data)

    def eof_received(self):
        self.reads.feed(END)
        return True  # keep the other half open

    def pause_writing(self):
        self.writes.sink_is_full = True
        self.writes.balance()

    def resume_writing(self):
        self.writes.sink_is_full = False
        self.writes.balance()

    def connection_lost(self, error):
        self.connection.lost(self, error)


class Record(NamedTuple):
    """What is kept of a connection: bytes that came and went in each direction, the toxics that acted, and its end in
    words (None: it is open)."""

    number: int
    from_client: int
    to_server: int
    from_server: int
    to_client: int
    acted: tuple[str, ...]
    end: str | None


class Connection:
    """The connection with the given number, counted from 1 in the order of acceptance."""

    def __init__(self, proxy, number, loop, accepted):
        self.number = number
        self.is_over = False
        self.end = None  # how it ended, in words
        self.upstream = Pipe("upstream", self, loop)
        self.downstream = Pipe("downstream", self, loop)
        self.client = Side(self, self.upstream, self.downstream)
        self.server = Side(self, self.downstream, self.upstream)
        self.acted = []  # names of the toxics that acted on it, in order
        self._proxy = proxy
        self._loop = loop
        self._open = {}  # side -> transport
        self._accepted = accepted  # the client's socket, until it has a transport
        self._dial = loop.create_task(self._connect())
        self._call = None  # id of the call that is under way on it
        self._tail = b""
        self._lost = set()  # ids
        self._unnamed = {}  # direction -> why it was lost, while the call's id is not known yet

    @property
    def record(self) -> Record:
        up, down = self.upstream, self.downstream
        return Record(self.number, up.came, up.went, down.came, down.went, tuple(self.acted), self.end)

    # -- life ---------------------------------------------------------------------------------

    def made(self, side, transport):
        self._open[side] = transport
        if self.is_over:
            transport.abort()
        elif side is self.client:
            transport.pause_reading()  # until there is someone to give it to
        else:  # before the first byte of the server is read
            for toxic in self._proxy.acting:
                self.apply(toxic)
            if not self.is_over:
                self._open[self.client].resume_reading()

    async def _connect(self):
        sock, self._accepted = self._accepted, None
        await self._loop.connect_accepted_socket(lambda: self.client, sock)
        try:
            host, port = self._proxy.upstream_address
            await self._loop.create_connection(lambda: self.server, host, port)
        except (OSError, UnicodeError, ServerError) as error:  # UnicodeError: a host name that cannot be one
            self._finish(f"upstream unreachable: {getattr(error, 'strerror', None) or error}")

    def lost(self, side, error):
        self._open.pop(side, None)
        # A side that breaks (RST) breaks the other, as without a proxy in between.
        self._finish("reset" if error else "closed", reset=error is not None)
        if not self._open:
            self._proxy.forget(self)

    def close_if_done(self):
        """Both sides have closed and all they said has been passed on."""
        if not self.is_over and self.upstream.is_done and self.downstream.is_done:
            self._finish("closed", flush=True)

    def cut(self, cut: Cut):
        """A toxic ends the connection; what it let through is still delivered, except by a reset."""
        if self.is_over:
            return
        why = f"cut by {cut.by.word} toxic"
        self.lose("upstream", why)
        self.lose("downstream", why)
        self._finish(why, reset=cut.reset, flush=not cut.reset)

    def _finish(self, how, *, reset=False, flush=False):
        if self.is_over:
            return
        self.is_over = True
        self.end = how
        self.upstream.stop()
        self.downstream.stop()
        for transport in list(self._open.values()):
            if reset:
                with contextlib.suppress(OSError):  # the peer was faster, and it is gone already
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            if flush:
                transport.close()
            else:
                transport.abort()

    def drop(self, how):
        """End it now, whatever waits (the proxy stops, or is down). Returns the task that connects it."""
        self._finish(how)
        for transport in list(self._open.values()):  # it may have been closing slowly
            transport.abort()
        self._dial.cancel()
        if self._accepted is not None:  # the task had not begun, and now never will
            self._accepted.close()
            self._accepted = None
            self._proxy.forget(self)
        return self._dial

    # -- toxics -------------------------------------------------------------------------------

    def apply(self, toxic):
        """Let a toxic act on this connection, or alter it, or let it go, as the toxicity has it."""
        if self.is_over or self.upstream.sink is None:
            return
        pipe = getattr(self, toxic.direction)
        stage = next((stage for stage in pipe.stages if stage.toxic.name == toxic.name), None)
        if stage is None:
            rng = random.Random(f"{self._proxy.seed}/{self.number}/{toxic.name}")
            draw = rng.random()
            if draw < toxic.toxicity:
                names = [other.name for other in self._proxy.acting]
                ahead = names[: names.index(toxic.name)]
                index = sum(stage.toxic.name in ahead for stage in pipe.stages)
                if toxic.name not in self.acted:
                    self.acted.append(toxic.name)
                pipe.add(Stage(toxic, pipe, rng, draw), index)
        elif stage.draw < toxic.toxicity:
            pipe.alter(stage, toxic)
        else:
            pipe.remove(stage)

    def leave(self, toxic):
        pipe = getattr(self, toxic.direction)
        for stage in [stage for stage in pipe.stages if stage.toxic.name == toxic.name]:
            pipe.remove(stage)
        self.close_if_done()

    # -- trace --------------------------------------------------------------------------------

    def watch(self, data):
        """Find out which call is under way, from its W3C traceparent header (HTTP/1)."""
        if self._proxy.trace is None:
            return
        if _REQUEST.match(data):  # a new request on a connection that is kept alive
            self._call = None
            self._unnamed.clear()
            self._tail = b""
        data = self._tail + data
        for found in _TRACEPARENT.finditer(data):
            ids = from_traceparent(found[1].decode().lower())
            if ids:
                self._call = ids[1]
                for direction, why in self._unnamed.items():
                    self.lose(direction, why)
                self._unnamed.clear()
        self._tail = data[-_LONGEST_HEADER:]

    def lose(self, direction, why):
        """Tell the trace that the request (upstream) or the reply (downstream) got lost here."""
        if self._proxy.trace is None:
            return
        if self._call is None:  # its header may come in the next piece
            self._unnamed.setdefault(direction, why)
            return
        id = self._call if direction == "upstream" else reply_id(self._call)
        if id not in self._lost:
            self._lost.add(id)
            self._proxy.trace.lose(id, why)
