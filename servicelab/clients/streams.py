"""Readers of streams that break: connect, read, lose, wait, come back, go on where it stopped.

    reader = Follow(events(url), Reconnect(FullJitter(0.1, 5.0, rng)), Resume())
    for event in reader: ...        # until reader.close(), from any thread

``Follow`` is the loop; ``events`` and ``messages`` say how to open the stream once more, over server-sent events and
over a WebSocket. What to do and when is decided by the policies, which SimPy runs as well: ``Reconnect``, ``Resume``,
``Heartbeat``.
"""

import contextlib
import functools
import json
import socket
import struct
import threading
import time

from socketio.packet import DISCONNECT
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from servicelab.arguments import in_reach
from servicelab.clients.session import callee_of
from servicelab.clients.sse import EventStream, StreamLost, StreamRefused
from servicelab.lifecycle import join
from servicelab.policies.heartbeat import Heartbeat
from servicelab.policies.reconnect import Reconnect, Resume, Seen
from servicelab.servers.events import number_of
from servicelab.servers.message_stamps import Talk
from servicelab.servers.threads import shut
from servicelab.servers.websocket import Stamping
from servicelab.trace import Trace


class Follow:
    """Iterates over the items of a stream, over as many connections as it takes.

    ``open_after(last)`` opens the stream at what comes after the number ``last`` (None: at what comes from now on) and
    returns something that iterates over ``(number, item)`` and has ``close()``. It raises :class:`StreamLost` where
    another attempt may help; anything else it raises ends the reading.

    Without ``resume`` each connection begins at now: what was sent meanwhile is lost, and what comes twice is seen
    twice. With it, duplicates are dropped; when a number is missing in the middle of a connection the reader asks
    again; when it is missing at the beginning of one, the sender no longer has it, and it is noted in
    ``resume.missing``.

    ``connections`` counts those that stood, ``losses`` the attempts and connections that failed, ``delays`` lists the
    seconds waited before each attempt but the first. ``last_error`` is the latest loss.
    """

    def __init__(self, open_after, reconnect: Reconnect, resume: Resume | None = None, *, clock=time.monotonic):
        if not isinstance(reconnect, Reconnect):
            raise TypeError(f"reconnect={reconnect!r} must be a Reconnect(FullJitter(0.1, 5.0, Random(7)))")
        if resume is not None and not isinstance(resume, Resume):
            raise TypeError(f"resume={resume!r} must be a Resume(), or None to begin at now each time")
        self.reconnect, self.resume, self.clock = reconnect, resume, clock
        self.connections = self.losses = 0
        self.delays: list[float] = []
        self.last_error: StreamLost | None = None
        self._open = open_after
        self._stream = None
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def __iter__(self):
        while not self.is_closed:
            stream = None
            try:
                stream = self._stream = self._open(None if self.resume is None else self.resume.last)
                self.connections += 1
                self.reconnect.opened(self.clock())
                if not self.is_closed:  # closed while it was being opened
                    yield from self._news(stream)
                if self.is_closed:
                    return
                raise StreamLost("something was missing")
            except StreamLost as error:
                if self.is_closed:
                    return
                self.last_error = error
                self.losses += 1
                delay = self.reconnect.lost(self.clock()) + (getattr(stream, "retry", None) or 0.0)
                self.delays.append(delay)
            finally:
                if stream is not None:
                    stream.close()
            self._closed.wait(in_reach(delay))

    def _news(self, stream):
        """The items that are new. Ends when one is missing that may still be had."""
        is_first = True
        for number, item in stream:
            if self.resume is not None and number is not None:
                seen = self.resume.take(number)
                if seen is Seen.DUPLICATE:
                    continue
                if seen is Seen.GAP:
                    if not is_first:
                        return
                    self.resume.skip_to(number)
                    self.resume.take(number)
            is_first = False
            yield item

    def close(self) -> None:
        """End the reading, from any thread, also in the middle of a wait."""
        self._closed.set()
        if self._stream is not None:
            self._stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


# -- how to open a stream once more -------------------------------------------------------------


def events(url: str, *, silence: float | None = None, trace: Trace | None = None, name: str = "client"):
    """Server-sent events from ``url``, for :class:`Follow`: asks with ``Last-Event-ID``. Items are ServerSentEvents;
    one whose id is no number is neither counted nor asked for again.

    ``silence``: seconds without a byte after which the connection is given up; the server's heartbeat must be shorter.
    The server's own ``retry`` is waited on top of the backoff.
    """
    return functools.partial(_Events, url, silence, trace, name)


class _Events:
    def __init__(self, url, silence, trace, name, after):
        self._stream = EventStream(url, "" if after is None else str(after), silence=silence, trace=trace, name=name)
        self.close = self._stream.close

    @property
    def retry(self):
        return self._stream.parser.retry

    def __iter__(self):
        for event in self._stream:
            yield number_of(event.id), event


def messages(
    url: str,
    *,
    number=lambda message: json.loads(message)["id"],
    heartbeat: Heartbeat | None = None,
    trace: Trace | None = None,
    name: str = "client",
    **options,
):
    """Messages of the WebSocket at ``url``, for :class:`Follow`: asks with ``?after=17``, which is this course's
    convention (WebSocket has none). Items are the messages, texts or bytes.

    ``number(message)`` is a message's number, by default the "id" of a JSON text. ``heartbeat`` decides when to ping
    and when the server counts as dead; without one nobody pings. ``options`` go to websockets' ``connect``.
    """
    return functools.partial(_Messages, url, number, heartbeat, trace, name, options)


class _Messages:
    def __init__(self, url, number, heartbeat, trace, name, options, after):
        if after is not None:
            url += f"{'&' if '?' in url else '?'}after={after}"
        self._number, self._heartbeat, self._is_closed = number, heartbeat, False
        self._connection = open_websocket(url, trace=trace, name=name, **{"ping_interval": None, **options})
        if heartbeat is not None:
            heartbeat.start(time.monotonic())

    def __iter__(self):
        while (message := self._next()) is not None:
            yield self._number(message), message

    def _next(self):
        connection, heartbeat = self._connection, self._heartbeat
        while True:
            try:
                if heartbeat is None:
                    return connection.recv()
                heartbeat.heard(connection.heard_at)
                now = time.monotonic()
                if heartbeat.is_dead(now):
                    raise StreamLost(f"nothing heard for {heartbeat.timeout} s")
                if heartbeat.is_due(now):
                    connection.ping()
                    heartbeat.pinged(now)
                return connection.recv(timeout=in_reach(heartbeat.wait(now)))
            except TimeoutError:
                continue
            except ConnectionClosed as error:
                if self._is_closed:
                    return None
                raise StreamLost(str(error)) from error

    def close(self):
        self._is_closed = True
        hang_up(self._connection)  # the server sees the end as well


def open_websocket(url: str, *, trace: Trace | None = None, name: str = "client", **options) -> "Connection":
    """websockets' client connection to ``url``; with a ``trace``, one that stamps its messages under ``name``.

    Never through a proxy of the environment. Raises StreamLost when it cannot be opened, StreamRefused when the server
    answers with another status than 101.
    """
    talk = Talk.opened_by(name, callee_of(url), trace) if trace is not None else None
    if talk is not None:
        options["additional_headers"] = {**(options.get("additional_headers") or {}), **talk.headers}
    make = functools.partial(Connection, talk)
    try:
        return connect(url, proxy=None, legacy=True, create_connection=make, **options)
    except InvalidStatus as error:
        if error.response.status_code == 503:  # it is shutting down, or asks for patience
            raise StreamLost(str(error)) from error
        raise StreamRefused(f"{url}: {error}") from error
    except (OSError, InvalidHandshake, ConnectionClosed, EOFError) as error:
        raise StreamLost(f"{url}: {error or type(error).__name__}") from error


def hang_up(connection: "Connection") -> None:
    """End a WebSocket connection without a farewell, which would wait for the answer of a peer that may be dead.

    From any thread. What has come and is not read yet is thrown away; a thread that waits in ``recv()`` finds the end.
    """
    connection.is_hung_up = True
    with contextlib.suppress(OSError):  # it has been closed
        # With a reset: a peer who waits for room in our window would not hear of an orderly end for a minute.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shut(connection.socket)
    connection.recv_messages.close()  # its reading thread stands still while much is unread, and would not see the end
    join([connection.recv_events_thread], 1.0)


def disconnect(client) -> None:
    """Disconnect a ``socketio.Client`` and wait until its threads have ended.

    Its own ``disconnect()`` waits for a farewell that its other thread has taken: 3 s, and its ``wait()`` sleeps one
    more (python-socketio 5, websocket-client 1).
    """
    eio = client.eio
    reader = eio.read_loop_task
    websocket = eio.ws.sock if eio.current_transport == "websocket" and eio.ws is not None else None
    if websocket is None:
        client.disconnect()
    elif eio.state == "connected":
        for namespace in client.namespaces:
            client._send_packet(client.packet_class(DISCONNECT, namespace=namespace))
        with eio.queue.all_tasks_done:  # until the writing thread has sent it
            eio.queue.all_tasks_done.wait_for(lambda: not eio.queue.unfinished_tasks, 1.0)
        shut(websocket)
        websocket.close()
    if eio.queue is not None:
        eio.queue.put(None)  # a writing thread that missed the end of the connection would wait for 50 s
    if reader is not None:
        join([reader], 2.0)
    if eio.http is not None:
        eio.http.close()


class Connection(Stamping, ClientConnection):
    """websockets' client connection that stamps its messages and knows when it last heard anything."""

    is_hung_up = False

    def __init__(self, talk: Talk | None, sock, protocol, **options):
        self.talk = talk
        self.heard_at = time.monotonic()
        if talk is not None:
            self.stamp(protocol)
        super().__init__(sock, protocol, **options)

    def process_event(self, event):
        self.heard_at = time.monotonic()
        try:
            super().process_event(event)
        except EOFError:  # nobody wants it any more
            if not self.is_hung_up:
                raise
