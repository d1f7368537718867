"""A Socket.IO server: your Flask-SocketIO object on werkzeug's threaded server, fitted to the lifecycle.

Socket.IO begins with HTTP long polling and upgrades to a WebSocket when it can. What is changed around it: Nagle's
algorithm is off (it held each message back for 44 ms), nothing is printed, threads have names, and the end comes
within a bound: clients are told, then their sockets are cut, and no thread sleeps on until its next ping.

An idle client costs four threads here: one that handles the request, one that reads, one that writes, and one that
sleeps until the next ping; that one ends when its client leaves, and not up to 25 s later. Written against
Flask-SocketIO 5.7, python-engineio 4 and werkzeug 3.1.
"""

import functools
import json
import logging
import threading

from engineio import packet
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from engineio.socket import Socket
from flask_socketio import SocketIO
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from servicelab.lifecycle import HOST, Server, ServerError, join
from servicelab.servers import threads
from servicelab.servers.arguments import check_options
from servicelab.servers.http import keep_log
from servicelab.servers.message_stamps import Talk, talk_from
from servicelab.trace import Trace

#: What a Socket.IO packet begins with (Socket.IO protocol, revision 5, "Packet encoding").
PACKETS = {"0": "connect", "1": "disconnect", "2": "event", "3": "ack", "4": "refused", "5": "event", "6": "ack"}


class SocketIOServer(Server):
    """The Flask-SocketIO object ``socketio`` (and its Flask app) at ``http://127.0.0.1:port``.

    ``socketio`` is made with ``SocketIO(app, async_mode="threading")``; its handlers are Flask-SocketIO's own. What a
    handler raises is in ``.errors``. With a ``trace`` each message of a traced client is stamped when it is handed to
    its queue and when it has arrived. The queue of a client that does not read grows without bound: Socket.IO
    has no back-pressure.

    ``stop()`` disconnects every client, and after ``grace`` seconds cuts those that do not go. Raises
    :class:`~servicelab.lifecycle.ServerError` for another kind of object, another async mode, an object without an
    app, and when a fixed ``port`` is taken.
    """

    scheme = "http"
    grace = 0.5  # seconds

    def __init__(
        self, socketio: SocketIO, name: str, *, trace: Trace | None = None, port: int = 0, lane: str | None = None
    ):
        super().__init__(name, port, lane)
        check_options(name, trace, 1)
        mend = "make it with SocketIO(app, async_mode='threading')"
        if not isinstance(socketio, SocketIO):
            raise ServerError(f"{socketio!r} is no flask_socketio.SocketIO: {mend}")
        if socketio.server is None or not hasattr(socketio, "sockio_mw"):
            raise ServerError(f"this SocketIO object has no Flask app: {mend}")
        if socketio.async_mode != "threading":
            raise ServerError(f"async_mode={socketio.async_mode!r} does not run in a notebook's threads: {mend}")
        self.socketio = socketio
        self.app = socketio.sockio_mw.flask_app
        self.trace = trace
        self.errors: list[str] = []
        self._http = self._thread = None
        self._ended = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._talks: dict[str, Talk] = {}
        self._naps: dict[str, threading.Event] = {}  # of who waits for a client's next ping, set when the client leaves

    @property
    def clients(self) -> int:
        """How many clients are connected, by WebSocket or by polling."""
        return sum(not client.closed for client in list(self.socketio.server.eio.sockets.values()))

    def _open(self):
        self.errors.clear()
        self._ended.clear()
        self._talks.clear()
        keep_log(self.app)
        self._fit(self.socketio.server)
        sock = threads.listen(self.wanted_port)
        try:
            self._http = _HTTP(self, sock)
        finally:
            sock.close()  # werkzeug has a duplicate
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.02,), name=f"servicelab {self.name} accept", daemon=True
        )
        self._thread.start()
        return self._http.port

    def _fit(self, server):
        eio = server.eio
        server.logger = eio.logger = threads.errors_logger(self.name, self.errors, logging.ERROR)
        eio.start_service_task, eio.service_task_event = True, None  # also when it has been served before
        thread = functools.partial(_Thread, self)
        eio._async = {
            **eio._async,
            "thread": thread,
            "event": functools.partial(_Event, self._ended),
            "sleep": self._sleep,
            "websocket": functools.partial(SimpleWebSocketWSGI, thread_class=thread),
        }
        eio._trigger_event = functools.partial(self._trigger_event, type(eio)._trigger_event, eio)
        if self.trace is not None:
            eio.send_packet = functools.partial(self._send_packet, type(eio).send_packet, eio)

    def _close(self):
        http, eio = self._http, self.socketio.server.eio
        if http is None:
            return
        self._ended.set()
        for nap in list(self._naps.values()):
            nap.set()
        if self._thread.ident is not None:  # else the system started no more threads, and shutdown() waits for ever
            http.shutdown()
        closing = _Thread(self, target=self._say_goodbye, args=(eio,))
        if not threads.started(closing):
            self._threads.discard(closing)
        left = join([closing, *http.busy], self.grace)
        for sock in list(http.live):
            threads.shut(sock)
        everyone = [*left, *self._threads]
        if left := join(everyone, 0.3):
            threads.end(left, self.name, self.errors)
        join([self._thread], 1.0)
        http.server_close()
        eio.sockets = {}
        eio.__dict__.pop("send_packet", None)
        eio.__dict__.pop("_trigger_event", None)
        self._http = self._thread = None
        self._threads.clear()

    def _say_goodbye(self, eio):
        if eio.service_task_event is not None:  # of the task that looks for dead clients; see _Event
            eio.service_task_event.set()
        for client in list(eio.sockets.values()):
            client.close(wait=False, reason=eio.reason.SERVER_DISCONNECT)

    def _sleep(self, seconds=0):
        """Until the server ends; who waits for a client's next ping, until the client leaves."""
        client = getattr(threading.current_thread(), "client", None)
        if client is None:
            self._ended.wait(seconds)
            return
        nap = self._naps[client.sid] = threading.Event()
        if not (client.closing or self._ended.is_set()):  # either comes before naps are ended
            nap.wait(seconds)
        self._naps.pop(client.sid, None)
        if self._ended.is_set():
            raise SystemExit  # else it sends a ping while the client is being closed

    # -- what happens to clients, and the trace -----------------------------------------------

    def _send_packet(self, send, eio, sid, pkt):
        if pkt.packet_type == packet.MESSAGE and (talk := self._talks.get(sid)):
            talk.sends(describe(pkt.data))
        return send(eio, sid, pkt)

    def _trigger_event(self, trigger, eio, event, sid, *args, **kwargs):
        if event == "connect":
            environ = args[0]
            headers = {"traceparent": environ.get("HTTP_TRACEPARENT"), "tracestate": environ.get("HTTP_TRACESTATE")}
            if talk := talk_from(headers, self.lane, self.trace):
                self._talks[sid] = talk
        elif event == "message" and sid in self._talks:
            self._talks[sid].gets()
        elif event == "disconnect":
            if nap := self._naps.get(sid):
                nap.set()
            broken = (eio.reason.TRANSPORT_CLOSE, eio.reason.TRANSPORT_ERROR, eio.reason.PING_TIMEOUT)
            if (talk := self._talks.pop(sid, None)) and args and args[0] in broken:
                talk.breaks("connection broke")
        return trigger(eio, event, sid, *args, **kwargs)


def describe(data) -> str:
    """What a Socket.IO packet says: the event's name, or what kind of packet it is."""
    if not isinstance(data, str):
        return f"{len(data)} bytes"
    kind = PACKETS.get(data[:1], "packet")
    start = data.find("[")
    if kind == "event" and start >= 0:
        try:
            return str(json.loads(data[start:])[0])
        except (ValueError, IndexError):
            pass
    return kind


class _Event(threading.Event):
    """An event that is set when its server has ended: engineio's task makes the one that ends it when it begins to run,
    and on a busy machine that is after the server was stopped."""

    def __init__(self, ended: threading.Event):
        super().__init__()
        self._server_ended = ended

    def is_set(self):
        return super().is_set() or self._server_ended.is_set()


class _Thread(threading.Thread):
    """A thread of the server ``owner``: named, known, daemon, and silent when it fails."""

    def __init__(self, owner: SocketIOServer, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "daemon": True})
        self.owner = owner
        target = kwargs.get("target")
        self.client = target.__self__ if getattr(target, "__func__", None) is Socket._send_ping else None
        self.name = f"servicelab {owner.name} {getattr(target, '__name__', 'task').strip('_')}"
        owner._threads.add(self)

    def run(self):
        try:
            super().run()
        except BaseException as error:
            if not (isinstance(error, SystemExit) and self.owner._ended.is_set()):  # it ends threads so
                self.owner.errors.append(threads.traceback_text())
        finally:
            self.owner._threads.discard(self)


class _HTTP(ThreadedWSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: SocketIOServer, sock):
        self.owner = owner
        self.live = set()  # the clients' sockets
        self.busy = set()  # the threads that handle them
        super().__init__(HOST, sock.getsockname()[1], _fitted(owner.app, owner.errors), _Handler, fd=sock.fileno())

    def process_request(self, request, client_address):
        work = functools.partial(self.process_request_thread, request, client_address)
        thread = _Thread(self.owner, target=work)
        thread.name = f"servicelab {self.owner.name} connection"
        self.live.add(request)
        self.busy.add(thread)
        thread.start()

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.live.discard(request)
            self.busy.discard(threading.current_thread())

    def log(self, type, message, *args):
        if type in ("warning", "error"):
            self.owner.errors.append(message % args if args else message)

    def handle_error(self, request, client_address):
        self.owner.errors.append(threads.traceback_text())


def _fitted(app, errors):
    """``app``, which prints nothing, and raises nothing that werkzeug would let end the thread, such as SystemExit."""

    def guarded(environ, start_response):
        environ["wsgi.errors"] = threads.ErrorStream(errors)
        try:
            return app(environ, start_response)
        except Exception:
            raise
        except BaseException as error:
            raise RuntimeError(f"the handler left with {error!r}") from error

    return guarded


class _Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log(self, type, message, *args):
        pass  # one line for each request, on stderr
