"""A WebSocket server: one thread for each connection, in which your handler talks with it.

It is ``websockets.sync.server``, fitted to the lifecycle. The handler gets websockets' own connection (``recv``,
``send``, iteration, ``ping``, ``broadcast``), so what is learnt here holds outside. One method is added,
``when_closed``. What is changed: nothing is printed, threads have names, and the end comes within a bound, whatever
handlers and clients do.

Written against websockets 17.
"""

import functools
import inspect
import threading

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.sync.server import ServerConnection, serve

from servicelab.lifecycle import Server, ServerError, join
from servicelab.servers import threads
from servicelab.servers.arguments import check_options
from servicelab.servers.message_stamps import Talk, joined, talk_from
from servicelab.trace import Trace

_OURS = {"handler", "host", "port", "sock", "ssl", "logger", "create_connection", "close_timeout", "kwargs"}
OPTIONS = sorted(set(inspect.signature(serve).parameters) - _OURS)


class WebSocketServer(Server):
    """WebSocket connections to ``ws://127.0.0.1:port``, each handled by ``handler(connection)`` in its own thread.

    When the handler returns, the connection is closed with code 1000; when it raises, with 1011, and the traceback is
    in ``.errors``. That the client has gone (``ConnectionClosed``) is no error and may be left to raise. With a
    ``trace`` each message of a traced client is stamped when it leaves and when it has arrived (the handler may read
    it later), and a broken connection names what was lost on it.

    ``options`` are those of ``websockets.sync.server.serve``: ``ping_interval`` and ``ping_timeout`` (seconds, 20 and
    20; None for no heartbeat), ``max_queue`` (frames that may wait for the handler, 16), ``max_size`` (bytes,
    2**20), ``compression``, ``process_request`` (to answer an ordinary HTTP request, for a page, say), ….
    ``send_buffer``: bytes in the kernel for what is sent on each connection; the system's own choice grows.

    ``stop()`` closes every connection with code 1001; after ``grace`` seconds it cuts those whose client does not
    answer. ``.connections`` are the open ones. Raises :class:`~servicelab.lifecycle.ServerError` for a handler or an
    option that cannot be one, and when a fixed ``port`` is taken.
    """

    scheme = "ws"
    grace = 0.5  # seconds

    def __init__(
        self,
        handler,
        name: str,
        *,
        trace: Trace | None = None,
        port: int = 0,
        lane: str | None = None,
        send_buffer: int | None = None,
        **options,
    ):
        super().__init__(name, port, lane)
        check_options(name, trace, 1)
        _check_handler(handler, name)
        for option, value in options.items():
            if option not in OPTIONS:
                raise ServerError(f"{option}={value!r}: a WebSocketServer knows {', '.join(OPTIONS)}")
        self.handler = handler
        self.trace = trace
        self.send_buffer = send_buffer
        self.options = options
        self.errors: list[str] = []
        self._server = self._thread = None
        self._live: set[Connection] = set()

    @property
    def connections(self) -> set[ServerConnection]:
        """The open connections, for ``websockets.sync.server.broadcast`` for instance."""
        return self._server.connections if self._server is not None else set()

    def _open(self):
        self.errors.clear()
        self._live = set()
        self._is_ending = False
        sock = threads.listen(self.wanted_port, self.send_buffer)
        try:
            self._server = serve(
                self._handle,
                sock=sock,
                logger=threads.errors_logger(self.name, self.errors),
                close_timeout=self.grace,
                create_connection=functools.partial(Connection, self),
                **self.options,
            )
        except BaseException as error:
            sock.close()
            if isinstance(error, (TypeError, ValueError, NotImplementedError)):
                raise ServerError(f"{self.name}: {error} (options of websockets.sync.server.serve)") from error
            raise
        self._thread = threading.Thread(target=self._accept, name=f"servicelab {self.name} accept", daemon=True)
        self._thread.start()
        return sock.getsockname()[1]

    def _accept(self):
        try:
            self._server.serve_forever()
        except RuntimeError:  # the system starts no more threads
            server = self._server
            server.socket.close()
            with server.lock:  # shutdown() would wait for ever for one that never began
                server.handler_threads = {thread for thread in server.handler_threads if thread.ident is not None}
            self.errors.append(threads.traceback_text())

    def _handle(self, connection):
        try:
            self.handler(connection)
        except ConnectionClosed:  # the client has gone
            pass
        except Exception:
            raise
        except BaseException as error:  # websockets would let it end the thread, and leave the client without a word
            if not self._is_ending:
                raise RuntimeError(f"the handler left with {error!r}") from error

    def _close(self):
        server = self._server
        if server is None:
            return
        self._is_ending = True
        server.SHUTDOWN_POLLING_INTERVAL = 0.01
        if self._thread is None or self._thread.ident is None:  # the system started no more threads
            server.socket.close()
            server.serve_forever()  # sees that, and lets go of what it holds
        # shutdown() says goodbye to every client and waits for every handler, without a bound.
        closing = threading.Thread(target=server.shutdown, name=f"servicelab {self.name} closing", daemon=True)
        says_goodbye = threads.started(closing)
        if not says_goodbye or join([closing], self.grace):
            with server.lock:
                handlers = list(server.handler_threads)
            for connection in list(self._live):
                threads.shut(connection.socket)
            if left := join(handlers, 0.1):
                threads.end(left, self.name, self.errors)
            with server.lock:
                server.handler_threads.clear()
            if says_goodbye:
                join([closing], 1.0)
            else:
                server.shutdown()  # nothing is left for which it waits
        join([self._thread] if self._thread else [], 1.0)
        readers = [thread for connection in list(self._live) for thread in connection.threads]
        join(readers, 1.0)
        self._server = self._thread = None


class Stamping:
    """Mixed into a connection of websockets: stamps each message at the protocol, whatever API sent it."""

    talk: Talk | None = None

    def stamp(self, protocol) -> None:
        """Let ``protocol`` tell the talk what it sends."""

        def telling(send):
            def stamped(data, fin=True):
                if self.talk is not None:
                    self.talk.sends(data)
                return send(data, fin)

            return stamped

        for name in ("send_text", "send_binary"):  # with which every message begins, in pieces or not
            setattr(protocol, name, telling(getattr(protocol, name)))

    def process_event(self, event) -> None:
        ends = isinstance(event, Frame) and event.fin and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
        if self.talk is not None and ends:
            self.talk.gets()
        super().process_event(event)

    def recv_events(self) -> None:
        super().recv_events()
        if self.talk is not None and self.protocol.close_code in (None, 1006):
            self.talk.breaks("connection broke")


class Connection(Stamping, ServerConnection):
    """websockets' connection, whose threads have names and whose messages are stamped."""

    def __init__(self, owner: WebSocketServer, sock, protocol, server, **options):
        self._owner = owner
        self._told = []  # functions to be called at the end; None once they have been
        self._telling = threading.Lock()
        if owner.trace is not None:
            self.stamp(protocol)
        owner._live.add(self)
        threading.current_thread().name = f"servicelab {owner.name} connection"
        try:
            super().__init__(sock, protocol, server, **options)
        except RuntimeError:  # the system starts no more threads: nobody reads here, and nobody would let it go
            owner._live.discard(self)
            sock.close()
            raise
        self.recv_events_thread.name = f"servicelab {owner.name} reading"

    def when_closed(self, function) -> None:
        """Call ``function`` when the connection has ended, whoever ended it; at once if it has.

        For a handler that waits for something else than this connection, such as the next event of a feed: it could
        not notice. gRPC's context has ``add_callback`` for the same.
        """
        with self._telling:
            if self._told is not None:
                self._told.append(function)
                return
        function()

    @property
    def threads(self):
        return [thread for thread in (self.recv_events_thread, self.keepalive_thread) if thread is not None]

    def process_event(self, event):
        if isinstance(event, Request):
            self.talk = talk_from(joined(event.headers.raw_items()), self._owner.lane, self._owner.trace)
        super().process_event(event)

    def start_keepalive(self):
        super().start_keepalive()
        if self.keepalive_thread is not None:
            self.keepalive_thread.name = f"servicelab {self._owner.name} heartbeat"

    def recv_events(self):
        try:
            super().recv_events()
        finally:
            self._owner._live.discard(self)
            with self._telling:
                told, self._told = self._told, None
            for function in told:
                try:
                    function()
                except BaseException:
                    self._owner.errors.append(threads.traceback_text())


def _check_handler(handler, name):
    mend = f"WebSocketServer(handler, {name!r}) takes a function of one argument, the connection"
    if not callable(handler) or inspect.isclass(handler):
        raise ServerError(f"{handler!r} is no handler: {mend}")
    if inspect.iscoroutinefunction(handler):
        raise ServerError(f"{handler.__name__} is a coroutine function, and this server has no event loop: {mend}")
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise ServerError(
            f"{getattr(handler, '__name__', handler)!r} cannot be called with a connection: {mend}"
        ) from None
    except ValueError:  # written in C: it does not say
        pass
