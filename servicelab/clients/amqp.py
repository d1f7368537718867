"""pika, unmodified: a connection that stamps its messages when a trace is given, and a consumer in a thread of its own.

What a learner writes stays plain pika: ``channel.basic_publish(…)``, ``on_message(channel, method, properties, body)``.
"""

import ctypes
import itertools
import socket
import threading
import traceback
from contextlib import suppress

import pika

from servicelab.clients.amqp_stamps import Stamps
from servicelab.lifecycle import Component, ServerError, join, server_at
from servicelab.trace import Trace

_numbers = itertools.count(1)


def connect(broker, name: str = "client", trace: Trace | None = None) -> pika.BlockingConnection:
    """A pika connection to ``broker``: a handle of ours, a fault proxy in front of one, or a URL.

    The broker shows it as ``name#1``, ``name#2``, … With a ``trace`` its channels stamp what they publish and what is
    delivered to them, in the lane ``name``; without one nothing is stamped. Heartbeats are off unless a URL asks for
    them: pika answers them only while it is being called, and a notebook is idle for minutes.

    A pika connection belongs to the thread that uses it. In a ``with`` block an interrupt ends it at once.

    Raises what pika raises (``AMQPConnectionError`` when nobody listens), and ValueError for a broker or trace that is
    none.
    """
    if trace is not None and not isinstance(trace, Trace):
        raise ValueError(f"trace={trace!r} is no servicelab.trace.Trace(): leave it out, or give one")
    parameters = pika.URLParameters(_url(broker))
    if "heartbeat" not in _url(broker):
        parameters.heartbeat = 0
    connection_name = f"{name}#{next(_numbers)}"
    parameters.client_properties = {"connection_name": connection_name}
    if trace is None:
        return _Connection(parameters)
    parameters.client_properties["servicelab"] = True  # the broker stamps its side of such connections
    behind = server_at(parameters.port)
    lane = behind.lane if behind is not None else getattr(broker, "lane", "broker")
    stamps = Stamps(trace, name, lane, connection_name)
    connection = _TracedConnection(parameters, stamps)
    stamps.alone = not connection._impl.server_properties.get("servicelab")
    return connection


def _url(broker) -> str:
    try:
        url = broker if isinstance(broker, str) else getattr(broker, "url", None)
    except ServerError as error:
        if getattr(broker, "port", None) is None:
            raise
        raise pika.exceptions.AMQPConnectionError(str(error)) from error  # killed: nobody listens at its port
    if not isinstance(url, str):
        raise ValueError(f"broker={broker!r} is no broker: give start_broker(), a proxy, or 'amqp://127.0.0.1:5672'")
    if not url.startswith("amqp"):  # a proxy in front of an address
        host, port = broker.address
        return f"amqp://{host}:{port}"
    return url


class _Connection(pika.BlockingConnection):
    """pika's own, but that a ``with`` block that is interrupted hangs up and does not say goodbye.

    The interrupt may have come in the middle of a frame; then the broker would never understand the goodbye, and pika
    would wait for its answer.
    """

    def __exit__(self, kind, error, traceback):
        if kind is None or issubclass(kind, Exception):
            return super().__exit__(kind, error, traceback)
        _let_go(self)


class _TracedConnection(_Connection):
    def __init__(self, parameters, stamps):
        self._stamps = stamps
        super().__init__(parameters)

    def channel(self, channel_number=None):
        return self._stamps.on(super().channel(channel_number))


class _Crash(BaseException):
    """Ends a callback as the end of its process would."""


class Consumer(Component):
    """Consumes ``queue`` in a thread and on a connection of its own, as a program of its own would.

    ``on_message(channel, method, properties, body)`` is pika's callback and acknowledges by itself, unless
    ``auto_ack``. ``prefetch`` messages at most are sent to it unacknowledged; 0 is AMQP's default: no limit. Further
    ``options`` go to pika's ``basic_consume`` (``arguments``, ``exclusive``, ``consumer_tag``). ``trace`` as for
    :func:`connect`; ``name`` is its lane there, or ``lane`` if several consumers share one. One of the same name is
    replaced. ``prepare(channel)`` is called before it consumes: to instrument the channel, say.

    It ends by :meth:`stop`, which lets the message in hand be finished (with ``auto_ack``, all that pika holds: for
    the broker they are done) and gives up on it after a second; by :meth:`crash`; when ``on_message`` raises;
    and when the broker goes. In the last three cases the broker gets no goodbye, puts back what was not acknowledged,
    and :attr:`is_running` turns False. ``.handled`` counts the callbacks that returned, ``.errors`` has the
    tracebacks of the others. :meth:`start` begins again, after the end too.

    Raises what pika raises when there is no such queue (``ChannelClosedByBroker`` with code 404) or no broker, and
    ServerError when ``on_message`` cannot be called or ``prefetch`` is out of range.
    """

    def __init__(
        self,
        broker,
        queue,
        on_message,
        *,
        name="consumer",
        prefetch=0,
        auto_ack=False,
        trace=None,
        lane=None,
        prepare=None,
        **options,
    ):
        super().__init__(name, lane)
        if not callable(on_message):
            raise ServerError(
                f"on_message={on_message!r} cannot be called: give a function (channel, method, properties, body)"
            )
        if not isinstance(prefetch, int) or isinstance(prefetch, bool) or not 0 <= prefetch <= 65535:
            raise ServerError(f"prefetch={prefetch!r} must be 0 (no limit) to 65535 messages")
        self.broker = broker
        self.queue = queue
        self.on_message = on_message
        self.prefetch = prefetch
        self.auto_ack = auto_ack
        self.trace = trace
        self.prepare = prepare
        self.options = options
        self.handled = 0
        self.errors: list[str] = []
        self._fate = None
        self._connection = self._channel = self._thread = None
        self._lock = threading.Lock()
        self._is_working = self._is_over = False

    @property
    def is_running(self) -> bool:
        return self._is_open and self._fate is None and self._thread is not None and self._thread.is_alive()

    def _state(self):
        if self._is_open and self._fate is not None:
            return self._fate
        return f"consumes {self.queue!r}" if self.is_running else "stopped"

    def crash(self) -> None:
        """End as a killed process does: the connection is cut without a goodbye, the callback goes no further.

        Called from ``on_message`` itself it does not return. Called from elsewhere it returns when the thread has
        ended; a callback that sleeps ends when it wakes, at the latest.
        """
        if self._thread is None:
            raise ServerError(f"{self.name} is not running: call .start() first")
        self._end_with("crashed")
        if self.trace is not None:
            self.trace.state(self.lane, "crashed")
        self._forget()
        if threading.current_thread() is self._thread:
            raise _Crash
        self._abort_callback()
        join([self._thread], 2.0)

    # -- start and stop ---------------------------------------------------------------------

    def _open(self):
        self._fate = self._thread = None
        self._is_over = False
        self._connection = connect(self.broker, self.lane, self.trace)
        self._channel = self._connection.channel()
        if self.prepare is not None:
            self.prepare(self._channel)
        if self.prefetch:
            self._channel.basic_qos(prefetch_count=self.prefetch)
        self._channel.basic_consume(self.queue, self._handle, auto_ack=self.auto_ack, **self.options)
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"servicelab {self.name} consumer")
        self._thread.start()

    def _close(self):
        connection, thread = self._connection, self._thread
        if connection is None:
            return
        if thread is None or thread.ident is None:  # the start was cut short
            with suppress(Exception):
                connection.close()
        elif thread is threading.current_thread():
            self._end_with("stopped")
            self._channel.stop_consuming()
        else:
            self._end_with("stopped")
            with suppress(pika.exceptions.AMQPError):
                connection.add_callback_threadsafe(self._channel.stop_consuming)
            if join([thread], 1.0):
                self._forget()
                self._abort_callback()
                join([thread], 0.5)
        self._connection = None

    # -- in its thread ----------------------------------------------------------------------

    def _run(self):
        connection = self._connection
        try:
            self._channel.start_consuming()
            self._end_with("cancelled by the broker")
            connection.close()
        except _Crash:
            pass
        except BaseException as error:  # exit(), and what ends an endless callback, too: a thread has nobody to tell
            if self._fate is None:  # else it is only what a cut connection looks like from inside
                self.errors.append(traceback.format_exc())
            self._end_with(f"died: {type(error).__name__}: {error}".rstrip(": "))
        finally:
            if threading.current_thread() is self._thread:  # else it was stopped long ago, and has begun again
                self._is_over = True
            _let_go(connection)

    def _handle(self, channel, method, properties, body):
        with self._lock:
            if self._is_over or threading.current_thread() is not self._thread:
                raise _Crash  # pika hands over what it holds, cut or not; a program has ended by then
            self._is_working = True
        try:
            self.on_message(channel, method, properties, body)
            self.handled += 1
            if self._fate is not None and not self.auto_ack:  # stop: pika would go through all that it holds first
                channel.stop_consuming()
        finally:
            with self._lock:
                self._is_working = False

    def _end_with(self, fate):
        """The first reason counts."""
        with self._lock:
            self._fate = self._fate or fate

    # -- as a killed process would ------------------------------------------------------------

    def _forget(self):
        """Cut the connection, and let go of what pika holds beyond the message in hand."""
        self._is_over = True
        if self._connection is not None:
            cut(self._connection)
            self._channel._pending_events.clear()

    def _abort_callback(self):
        with self._lock:
            if self._is_working:  # else the cut connection ends the thread
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(_Crash))


def _socket(connection):
    return connection._impl._transport._sock


def cut(connection) -> None:
    """End its socket without a word to the broker; also from another thread than the connection's own."""
    with suppress(AttributeError, OSError):  # it is closed already
        _socket(connection).shutdown(socket.SHUT_RDWR)


def _let_go(connection):
    """Close what pika still holds of a connection that is cut: its socket and its selector."""
    cut(connection)
    for _ in range(3):
        with suppress(Exception, _Crash):
            if connection.is_closed:
                return
            connection.process_data_events(0)  # notices that the socket is gone, and cleans up
