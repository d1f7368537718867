"""The proxy: it listens, connects every client to the upstream server, and keeps the toxics."""

import asyncio
import os
import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

from servicelab.faults.connection import Connection, Record
from servicelab.faults.toxics import Cut, Down, Toxic, alter, make
from servicelab.lifecycle import HOST, Server, ServerError, server_at
from servicelab.loop_server import LoopServer
from servicelab.table import Table


class Connections(Table):
    """The connections so far, the latest 20 as rows.

    ``count`` all of them, ``open`` those under way, ``failed`` those for which the upstream could
    not be reached; ``up`` and ``down``: bytes that were passed on to the server and to the client;
    ``acted``: for each connection, in order, the names of the toxics that acted on it.
    """

    def __init__(self, records: list[Record]):
        self.count = len(records)
        self.open = sum(one.end is None for one in records)
        self.failed = sum((one.end or "").startswith("upstream") for one in records)
        self.up = sum(one.to_server for one in records)
        self.down = sum(one.to_client for one in records)
        self.acted = [one.acted for one in records]
        super().__init__(
            ("connection", "from client", "to server", "from server", "to client", "toxics", "state"),
            [(*one[:5], ", ".join(one.acted) or None, one.end or "open") for one in records[-20:]],
            f"{self.count} connections, {self.open} open, {self.failed} failed; "
            f"{self.up} bytes up, {self.down} bytes down",
        )


class FaultProxy(LoopServer):
    """A TCP proxy in front of ``upstream``, with faults that can be changed while it runs.

    ``upstream`` is a :class:`~servicelab.lifecycle.Server`, a ``(host, port)`` or a URL such as
    ``"http://127.0.0.1:8000"``. ``trace``: when a toxic drops data or cuts a connection, the trace
    learns which message that was, and why; it needs HTTP/1 with a ``traceparent`` header. ``seed``
    makes the random choices repeatable. ``name`` is by default the upstream's with "-faults" added.

    Diagrams show what happens behind it in the upstream's lane. Raises
    :class:`~servicelab.lifecycle.ServerError` for an upstream that is none of these. An upstream
    that cannot be reached is no error of the proxy: the client's connection is closed and counted
    in ``connections.failed``.
    """

    def __init__(self, upstream, name=None, *, trace=None, seed=0, port=0):
        server, address, scheme = _upstream(upstream)
        if trace is not None and not hasattr(trace, "lose"):
            raise ServerError(f"trace={trace!r} is no trace: use Trace() from servicelab.trace, or leave it out")
        behind = server.lane if server else f"port {address[1]}"
        super().__init__(f"{server.name if server else behind}-faults" if name is None else name, port)
        self.lane = server.lane if server else getattr(upstream, "lane", self.name)
        self.scheme = scheme
        self.trace = trace
        self.seed = seed
        self._server_behind = server if isinstance(upstream, Server) else None
        self._address = address
        self._toxics: list[Toxic] = []
        self._records: list[Record | None] = []  # of those that are gone, in order; None: it is in _live
        self._live: set[Connection] = set()
        self._loop = self._socket = None
        self._listens = False
        self._lock = threading.RLock()

    # -- toxics -------------------------------------------------------------------------------

    @property
    def toxics(self) -> Table:
        """The toxics that are on, in the order in which data passes them."""
        rows = [
            (t.name, t.word, t.settings or None, None if isinstance(t, Down) else t.direction, t.toxicity)
            for t in self._toxics
        ]
        caption = f"{len(rows)} on" if rows else "no toxics: everything passes"
        return Table(("name", "toxic", "settings", "direction", "toxicity"), rows, caption)

    def add(self, toxic, **settings) -> Toxic:
        """Switch a toxic on: ``add(Latency(0.2))`` or ``add("latency", latency=0.2)``; returns it.

        It acts on open connections too. One of the same name is replaced, so a cell can be run
        again. Raises ValueError for an unknown word or a setting out of range.
        """
        toxic = make(toxic, settings)
        self._do(self._put, toxic)
        return toxic

    def update(self, name, **changes) -> Toxic:
        """Alter a toxic that is on, as in ``update("latency", latency=0.4)``; returns the new one.

        Data that waits is judged again by the new settings. Raises ValueError.
        """
        toxic = alter(self._find(name), changes)
        self._do(self._put, toxic)
        return toxic

    def remove(self, name) -> None:
        """Switch off a toxic, by its name, or by its word when only one of that kind is on.

        Data it held goes on at once; connections from which it dropped data are closed. Raises ValueError.
        """
        self._do(self._take, self._find(name))

    def clear(self) -> None:
        """Switch off all toxics."""
        for toxic in list(self._toxics):
            self._do(self._take, toxic)

    @contextmanager
    def applying(self, *toxics):
        """Toxics for the length of a ``with`` block: ``with proxy.applying(Latency(0.2), Down()): …``.

        Afterwards they are off, and one that they had replaced is back.
        """
        toxics = [make(toxic, {}) for toxic in toxics]
        before = {toxic.name: toxic for toxic in self._toxics}
        try:
            for toxic in toxics:
                self.add(toxic)
            yield self
        finally:
            for toxic in toxics:
                if toxic.name in before:
                    self.add(before[toxic.name])
                elif any(toxic.name == other.name for other in self._toxics):
                    self.remove(toxic.name)

    @property
    def connections(self) -> Connections:
        """What went through since :meth:`start`, as a table and as numbers."""

        async def look():
            live = {connection.number: connection.record for connection in self._live}
            return Connections([one or live[number] for number, one in enumerate(self._records, 1)])

        return self._do(look)

    def _find(self, name) -> Toxic:
        if isinstance(name, Toxic):
            name = name.name
        for toxic in self._toxics:
            if toxic.name == name:
                return toxic
        alike = [toxic for toxic in self._toxics if toxic.word == name]
        if len(alike) == 1:
            return alike[0]
        names = ", ".join(toxic.name for toxic in alike or self._toxics)
        if alike:
            raise ValueError(f"{name!r} could be any of {names}: give the full name")
        raise ValueError(f"{name!r} is not on; " + (f"on are: {names}" if names else "no toxic is: add it first"))

    # -- in the loop's thread (or in the caller's, while the proxy is stopped) ------------------

    async def _put(self, toxic):
        old = next((other for other in self._toxics if other.name == toxic.name), None)
        if old is not None and (type(old) is not type(toxic) or old.direction != toxic.direction):
            await self._take(old)
            old = None
        if old is None:
            self._toxics.append(toxic)
        else:
            self._toxics[self._toxics.index(old)] = toxic
        if toxic in self.acting:
            for connection in list(self._live):
                connection.apply(toxic)
        await self._listen_or_refuse()

    async def _take(self, toxic):
        if toxic not in self._toxics:
            return
        self._toxics.remove(toxic)
        for connection in list(self._live):
            connection.leave(toxic)
        await self._listen_or_refuse()

    @property
    def acting(self) -> list[Toxic]:
        """The toxics that act on connections."""
        return [toxic for toxic in self._toxics if not isinstance(toxic, Down)]

    @property
    def upstream_address(self) -> tuple[str, int]:
        """Where the server is now. Raises ServerError while it is stopped."""
        return self._server_behind.address if self._server_behind else self._address

    def _accept(self):
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):  # the client has gone again
            return
        except OSError as error:  # no file descriptors left: come back when some may be
            self.errors.append(f"accept: {error}")
            self._loop.remove_reader(self._socket)
            self._loop.call_later(0.1, self._look_again)
            return
        self._records.append(None)
        self._live.add(Connection(self, len(self._records), self._loop, sock))

    def forget(self, connection):
        """It is gone: of its machinery, some kB, nothing is kept."""
        if connection in self._live:
            self._live.remove(connection)
            self._records[connection.number - 1] = connection.record

    async def _listen_or_refuse(self):
        if self._loop is None:  # the proxy is stopped
            return
        down = next((toxic for toxic in self._toxics if isinstance(toxic, Down)), None)
        if down is None and not self._listens:
            self._socket.listen(1024)
            self._loop.add_reader(self._socket, self._accept)
            self._listens = True
        elif down is not None:
            if self._listens:
                self._stop_listening()
                # Bound and not listening: connections are refused, and the system gives nobody the number.
                self._socket = _bound(self._socket_port)
            for connection in list(self._live):
                connection.cut(Cut(down))
                connection.drop("")

    def _look_again(self):
        if self._listens:
            self._loop.add_reader(self._socket, self._accept)

    def _stop_listening(self):
        if self._listens:
            self._loop.remove_reader(self._socket)
            self._listens = False
        self._socket.close()

    # -- life ---------------------------------------------------------------------------------

    async def _begin(self) -> int:
        self._records, self._live = [], set()
        self._socket = _bound(self.wanted_port)
        self._socket_port = self._socket.getsockname()[1]
        self._loop = asyncio.get_running_loop()
        await self._listen_or_refuse()
        return self._socket_port

    def _close(self):
        with self._lock:
            super()._close()

    async def _finish(self):
        if self._loop is None:
            return
        self._stop_listening()
        self._loop = None
        dials = [connection.drop("proxy stopped") for connection in list(self._live)]
        await asyncio.gather(*dials, return_exceptions=True)
        for _ in range(100):  # transports close in the turns of the loop that follow
            if not self._live:
                break
            await asyncio.sleep(0)

    def _do(self, work, *args):
        """Run a coroutine function in the loop and wait for it, or here while the proxy is stopped."""
        with self._lock:
            if self._life is not None:
                return super()._do(work, *args)
            try:
                work(*args).send(None)  # without a loop there is nothing to wait for
            except StopIteration as end:
                return end.value


def _upstream(upstream):
    """(server or None, address or None, scheme) of what was given as upstream."""
    mend = "use a server, ('127.0.0.1', 8000) or 'http://127.0.0.1:8000'"
    if isinstance(upstream, Server):
        return upstream, None, upstream.scheme
    scheme, address = "tcp", getattr(upstream, "address", upstream)  # of a RabbitMQ elsewhere, say
    if isinstance(upstream, str):
        try:
            parts = urlsplit(upstream)
            scheme, address = parts.scheme, (parts.hostname, parts.port)
        except ValueError:  # a port that is no number
            address = None
    try:
        host, port = address
    except (TypeError, ValueError):
        raise ServerError(f"upstream={upstream!r} is no server and no address: {mend}") from None
    if not isinstance(host, str) or not host or not isinstance(port, int) or not 0 < port <= 65535:
        raise ServerError(f"upstream={upstream!r} is no server and no address: {mend}")
    # A server of ours at that address lends its name and lane; the address stays what was asked for.
    return (server_at(port) if host in (HOST, "localhost") else None), (host, port), scheme


def _bound(port) -> socket.socket:
    """A socket with the number taken, which does not listen yet. Raises OSError."""
    sock = socket.socket()
    try:
        if os.name == "posix":  # elsewhere the option would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
