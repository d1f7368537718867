"""PUB/SUB over ZeroMQ with the course's lifecycle: who publishes numbered events, and who counts what he hears.

    with Publisher("orders") as orders, Subscriber(orders, "shipping") as shipping:
        orders.every(0.01)

An event has three frames: its topic, its number as text, its body. The number is 1 for the first event of a publisher,
and there is no gap: so whoever hears can tell what was not heard.

Each has a ZeroMQ context of its own, whose end closes the socket whatever came between. Socket options are pyzmq's
names: ``Publisher("orders", SNDHWM=10)``. The source of their meaning and defaults is ``zmq_setsockopt(3)``.
"""

import threading
import time

import zmq

from servicelab import arguments
from servicelab.lifecycle import HOST, Component, Server, ServerError, join

#: Seconds after which a thread that hears nothing looks whether it is to end.
LOOK = 0.02


class Publisher(Server):
    """A socket that publishes numbered events, by hand (:meth:`publish`) or at a steady pace (:meth:`every`).

    ``kind`` is zmq.PUB, or zmq.XPUB, which hears who subscribes (:meth:`subscriptions`). ``port`` 0 lets the system
    choose. ``options`` are set before it binds. Raises :class:`~servicelab.lifecycle.ServerError` for another kind of
    socket or an option that it does not have.
    """

    def __init__(self, name: str = "orders", *, kind: int = zmq.PUB, port: int = 0, lane=None, **options):
        super().__init__(name, port, lane)
        if kind not in (zmq.PUB, zmq.XPUB):
            raise ServerError(f"kind={kind!r} does not publish: use zmq.PUB or zmq.XPUB")
        self.kind = kind
        self.options = options
        #: How many events were published since the start; the next one's number is one more.
        self.published = 0
        self._lock = threading.Lock()  # a socket is for one thread at a time
        self._wires = self._pace = None
        self._over = threading.Event()

    def publish(self, topic: str = "order.paid", body: bytes = b"") -> int:
        """Publish one event now; returns its number. It never waits for anybody. Raises ServerError when stopped."""
        with self._lock:
            if self._wires is None:
                raise ServerError(f"{self.name} is not running: call .start() first")
            self._wires.socket.send_multipart([topic.encode(), b"%d" % (self.published + 1), body])
            self.published += 1
            return self.published

    def every(self, period: float, count: int | None = None, topic: str = "order.paid", body: bytes = b"") -> None:
        """Publish an event each ``period`` seconds in a thread: ``count`` of them (None: until the stop).

        What was due while the machine stood still is made up for at once. Raises ValueError, and ServerError while it
        still publishes or when it is stopped.
        """
        arguments.positive("period", period, "seconds", "0.01 is a hundred events a second")
        if count is not None:
            arguments.whole("count", count, "None goes on until the stop")
        if self._pace is not None and self._pace.is_alive():
            raise ServerError(f"{self.name} publishes already: call .wait() or .stop() first")
        if self._wires is None:
            raise ServerError(f"{self.name} is not running: call .start() first")
        self._over = threading.Event()
        self._pace = threading.Thread(
            target=self._publish_all,
            args=(self._over, period, count, topic, body),
            name=f"servicelab {self.name} publisher",
            daemon=True,
        )
        self._pace.start()

    def wait(self, limit: float = 60.0) -> bool:
        """Wait until :meth:`every` has published all; False if it has not within ``limit`` seconds."""
        return self._pace is None or not join([self._pace], limit)

    def subscriptions(self) -> list[tuple[bool, str]]:
        """What an XPUB socket was told since the last time: (True, prefix) for a subscription, (False, prefix) for its
        end, some milliseconds after the peer has gone. The same prefix a second time is reported only with
        ``XPUB_VERBOSE=1``. Raises ServerError for a PUB."""
        if self.kind != zmq.XPUB:
            raise ServerError(f"{self.name} is a PUB socket and hears nobody: make it with kind=zmq.XPUB")
        told = []
        with self._lock:
            while self._wires is not None and self._wires.socket.poll(0):
                first, *prefix = self._wires.socket.recv()
                told.append((bool(first), bytes(prefix).decode(errors="replace")))
        return told

    def _publish_all(self, over, period, count, topic, body):
        due, number = time.monotonic(), 0
        while (count is None or number < count) and not over.wait(max(0.0, due - time.monotonic())):
            try:
                self.publish(topic, body)
            except ServerError:
                return  # stopped meanwhile
            due, number = due + period, number + 1

    def _open(self):
        self.published = 0
        with self._lock:
            self._wires = _Wires(self.kind, self.options, self.name)
            try:
                self._wires.socket.bind(f"tcp://{HOST}:{self.wanted_port or '*'}")
            except zmq.ZMQError as error:
                raise OSError(error.errno, error.strerror) from error
            return int(self._wires.socket.LAST_ENDPOINT.rpartition(b":")[2])

    def _wait_until_it_answers(self):
        """It listens once it is bound, and a trial connection would be one peer too many."""

    def _close(self):
        self._over.set()
        if self._pace is not None:
            join([self._pace], 1.0)
        with self._lock:
            if self._wires is not None:
                self._wires.end()
            self._wires = None


class Subscriber(Component):
    """Counts what it hears, in a thread: ``heard`` is the number of each event, in the order in which they came.

    ``publisher`` is a :class:`Publisher`, anything else with an ``address`` (a FaultProxy before it), or a text such as
    ``"tcp://127.0.0.1:5555"``. ``topics`` are prefixes: "" is everything, and none at all is silence. ``pace``: seconds
    that it works on each event before it takes the next. ``options`` are set before it connects. Raises
    :class:`~servicelab.lifecycle.ServerError` for an option that a SUB socket does not have, and ValueError.
    """

    def __init__(self, publisher, name: str = "shipping", *, topics=("",), pace: float = 0.0, lane=None, **options):
        super().__init__(name, lane)
        self.publisher = publisher
        self.topics = (topics,) if isinstance(topics, str) else tuple(topics)
        self.pace = arguments.seconds("pace", pace)
        self.options = options
        self.heard: list[int] = []
        self._over, self._thread = threading.Event(), None

    @property
    def dropped(self) -> int:
        """How many events are missing between the first and the last that it heard: the sum of the gaps."""
        return self.heard[-1] - self.heard[0] + 1 - len(self.heard) if self.heard else 0

    def _open(self):
        address = getattr(self.publisher, "address", self.publisher)
        if not isinstance(address, str):
            address = "tcp://{}:{}".format(*address)
        self.heard, self._over = [], threading.Event()
        wires = _Wires(zmq.SUB, self.options, self.name)
        try:
            for topic in self.topics:
                wires.socket.subscribe(topic)
            wires.socket.connect(address)
            self._thread = threading.Thread(
                target=self._hear,
                args=(wires, self._over, self.heard),
                name=f"servicelab {self.name} subscriber",
                daemon=True,
            )
            self._thread.start()
        except BaseException:
            self._over.set()
            if self._thread is None or self._thread.ident is None:  # nobody else has the socket
                wires.end()
            raise

    def _hear(self, wires, over, heard):
        try:
            while not over.is_set():
                if wires.socket.poll(round(LOOK * 1000)):
                    heard.append(int(wires.socket.recv_multipart()[1]))
                    if self.pace:
                        over.wait(self.pace)
        finally:
            wires.end()

    def _close(self):
        self._over.set()
        if self._thread is not None:
            join([self._thread], 2.0)


class _Wires:
    """A context and its one socket."""

    def __init__(self, kind, options, name):
        self.context = zmq.Context()
        try:
            self.socket = self.context.socket(kind)
            self.socket.LINGER = 0
            for option, value in options.items():
                setattr(self.socket, option, value)
        except (AttributeError, TypeError, zmq.ZMQError) as error:
            self.end()
            raise ServerError(f"{name}: {option}={value!r} is no option of this socket: {error}") from None
        except BaseException:
            self.end()
            raise

    def end(self):
        self.context.destroy(linger=0)
