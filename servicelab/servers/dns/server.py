"""A DNS server on a real socket: UDP and TCP on one port, in one thread.

UDP first: a query is one datagram, and so is its answer. Of an answer that is longer than the client takes (512 bytes
without EDNS, with it what it says) come the records that fit, with the flag TC, and the client may ask again by TCP,
where every message has its length in front and several may follow each other on one connection (RFC 7766).

What is no DNS message does no harm: too short to answer, or an answer itself, it is dropped; otherwise it is told
FORMERR. Either way ``counts["malformed"]`` grows.
"""

import asyncio
import socket
from collections import Counter
from functools import partial
from random import Random
from typing import NamedTuple

from dnslib import QTYPE, RCODE, DNSBuffer, DNSHeader, DNSRecord

from servicelab.leases import CRITICAL, WARNING
from servicelab.lifecycle import HOST, ServerError
from servicelab.loop_server import LoopServer, accept_no_more, turns
from servicelab.servers.arguments import check_options
from servicelab.servers.dns.zone import Zone, fitted, reply_to, room_for, trace_id_of
from servicelab.servers.registry import Registry
from servicelab.trace import Trace, new_id, reply_id

_HEADER = 12  # bytes
_IDLE = 10.0  # seconds for which a TCP connection may say nothing
_TRIES = 20  # free TCP ports to try until one is free for UDP, too


def _of_zone(name):
    return property(lambda self: getattr(self.zone, name), lambda self, value: setattr(self.zone, name, value))


class DNSServer(LoopServer):
    """A name server for the healthy instances of ``source``, at ``name``.``domain``.

    | setting      | default        | unit | consequence                                                            |
    |--------------|----------------|------|------------------------------------------------------------------------|
    | source       | none           |      | a ``servers.registry.Registry``, of which it tells the instances that  |
    |              |                |      | are not critical, as Consul does unless set to ``only_passing``; or a  |
    |              |                |      | function: ``source(service)`` returns the healthy ones, each with      |
    |              |                |      | ``id`` and ``port``, or None for an unknown service                    |
    | domain       | "service.shop" |      | the zone; see :mod:`servicelab.servers.dns.zone` for its names         |
    | ttl          | 5              | s    | how long resolvers keep an answer; whole seconds, 0 forbids it         |
    | negative_ttl | 1              | s    | how long they keep "no such name" and "nobody there"                   |
    | trace        | None           |      | stamps every query and reply                                           |
    | seed         | 1              |      | of the order of the records in an answer                               |

    ``ttl``, ``negative_ttl`` and ``silent`` may be changed while it runs: a ``silent`` server takes queries and
    answers none, as one behind a dead network. ``counts`` has the queries by kind ("udp", "tcp", "truncated",
    "nxdomain", "empty", "malformed", "error"), ``queries`` how many were taken by UDP and TCP together. What ``source``
    raises makes the answer SERVFAIL and is kept in ``errors``: a registry that is stopped, say. While a registry is
    paused the server is silent: it waits for it, and its clients for both.

    A query that brings no id (any client but :class:`servicelab.clients.discovery.DNSSource`) is drawn in the lane
    "client", and as if the wire took no time: nobody stamped its other end.

    Raises :class:`~servicelab.lifecycle.ServerError` for a setting of the wrong kind.
    """

    scheme = "dns"

    def __init__(
        self,
        source,
        name: str = "dns",
        *,
        domain: str = "service.shop",
        ttl: int = 5,
        negative_ttl: int = 1,
        trace: Trace | None = None,
        port: int = 0,
        seed: int = 1,
    ):
        super().__init__(name, port)
        self._registry = source if isinstance(source, Registry) else None
        if self._registry is not None:
            source = partial(_usable, source)
        elif not callable(source):
            raise ServerError(
                f"source={source!r} must be a Registry of the course, or a function of a service's name (a real Consul "
                "has a name server of its own, on port 8600)"
            )
        check_options(name, trace, 1)
        self.zone = Zone(source, domain, ttl, negative_ttl, Random(seed))
        self.domain, self.trace = self.zone.domain, trace
        self.silent = False
        self.counts: Counter[str] = Counter()
        self._sockets: list[socket.socket] = []
        self._listener = self._datagrams = None
        self._connections: set[asyncio.Transport] = set()

    ttl, negative_ttl = _of_zone("ttl"), _of_zone("negative_ttl")

    @property
    def queries(self) -> int:
        """Queries that came so far, by UDP and by TCP."""
        return self.counts["udp"] + self.counts["tcp"]

    # -- one message ---------------------------------------------------------------------------

    def answer(self, data: bytes, protocol: str) -> bytes | None:
        """The bytes of the reply to the message ``data`` by "udp" or "tcp"; None when there is nothing to say."""
        try:
            query = DNSRecord.parse(data)
        except Exception:  # the codec's own errors and those of the bytes it trips over
            self.counts["malformed"] += 1
            return self._complaint(data)
        if query.header.qr:  # an answer: to answer it would begin a game of ping-pong
            self.counts["malformed"] += 1
            return None
        self.counts[protocol] += 1
        stamp = _Stamp(self, query) if self.trace is not None else None
        if self.silent or (self._registry is not None and self._registry.is_paused):
            return None
        try:
            reply = self.zone.reply(query)
            packed = fitted(reply, room_for(query, protocol))
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            self.counts["error"] += 1
            reply = reply_to(query, RCODE.SERVFAIL)
            packed = bytes(reply.pack())
        if reply.header.tc:
            self.counts["truncated"] += 1
        elif reply.header.rcode == RCODE.NXDOMAIN:
            self.counts["nxdomain"] += 1
        elif reply.header.rcode == RCODE.NOERROR and not reply.rr:
            self.counts["empty"] += 1
        if stamp is not None:
            stamp.replied(reply)
        return packed

    @staticmethod
    def _complaint(data):
        """FORMERR for a message of which only the header can be read, if it is a query."""
        if len(data) < _HEADER or data[2] & 0x80:
            return None
        return bytes(reply_to(DNSRecord(DNSHeader.parse(DNSBuffer(data))), RCODE.FORMERR).pack())

    # -- life ---------------------------------------------------------------------------------

    async def _begin(self) -> int:
        self.counts.clear()
        tcp, udp = self._sockets = _both(self.wanted_port)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), sock=tcp)
        self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
        return tcp.getsockname()[1]

    async def _finish(self) -> None:
        await accept_no_more(self._sockets[:1])
        for transport in [*self._connections, self._datagrams]:
            if transport is not None:
                transport.abort()
        if self._listener is not None:
            self._listener.close()
        await turns()
        for one in self._sockets:
            one.close()
        self._sockets, self._listener, self._datagrams = [], None, None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        reply = self.server.answer(data, "udp")
        if reply is not None:
            self.transport.sendto(reply, address)

    def error_received(self, error):
        """A client that has closed its port before the answer came: its own affair."""


class _Connection(asyncio.Protocol):
    """One TCP connection: messages with their length in front, answered in turn."""

    def __init__(self, server):
        self.server = server
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport
        self.server._connections.add(transport)
        self._expect_more()

    def data_received(self, data):
        self.data += data
        self.timer.cancel()
        while len(self.data) >= 2 and len(self.data) >= 2 + (length := int.from_bytes(self.data[:2])):
            message, self.data = self.data[2 : 2 + length], self.data[2 + length :]
            reply = self.server.answer(message, "tcp")
            if reply is not None:
                self.transport.write(len(reply).to_bytes(2) + reply)
        self._expect_more()

    def _expect_more(self):
        self.timer = asyncio.get_running_loop().call_later(_IDLE, self.transport.abort)

    def pause_writing(self):
        self.transport.pause_reading()  # who does not read its answers is not asked for more questions

    def resume_writing(self):
        self.transport.resume_reading()

    def connection_lost(self, error):
        self.timer.cancel()
        self.server._connections.discard(self.transport)


class _Stamp:
    """One query in the trace, and its reply."""

    def __init__(self, server, query):
        self.server, self.trace = server, server.trace
        self.known = trace_id_of(query)
        self.id = self.known or new_id()
        now = self.trace.clock()
        if not self.known:
            self.trace.send("client", server.lane, _asked(query), id=self.id, at=now)
        self.trace.receive(self.id, server.lane, at=now)

    def replied(self, reply):
        now, id = self.trace.clock(), reply_id(self.id)
        self.trace.send(self.server.lane, "", _told(reply), id=id, kind="reply", at=now)
        if not self.known:
            self.trace.receive(id, "client", at=now)


def _asked(query) -> str:
    return f"{QTYPE.get(query.q.qtype)} {str(query.q.qname).rstrip('.')}" if query.questions else "no question"


def _told(reply) -> str:
    if reply.header.tc:
        return "truncated"
    if reply.header.rcode:
        return str(RCODE.get(reply.header.rcode))
    return f"{len(reply.rr)} records, TTL {reply.rr[0].ttl} s" if reply.rr else "no records"


def _usable(registry, service):
    """The instances of ``service`` that are not critical, with the weight of their status; None if it has none at all.
    Asked in the registry's own thread."""
    found = registry.ask(lambda catalog: catalog.instances(service))
    return [
        _At(one.service.id, one.service.port, one.address, one.service.weights[one.status == WARNING])
        for one in found
        if one.status != CRITICAL
    ] if found else None  # fmt: skip


class _At(NamedTuple):
    id: str
    port: int
    address: str
    weight: int


def _both(port) -> list[socket.socket]:
    """A TCP and a UDP socket on the same port. Raises OSError."""
    for left in range(_TRIES, 0, -1):
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((HOST, port))
            udp.bind((HOST, tcp.getsockname()[1]))
            return [tcp, udp]
        except BaseException as error:
            tcp.close()
            udp.close()
            if not isinstance(error, OSError) or port or left == 1:
                raise
