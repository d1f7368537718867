"""Six readers of one feed, one for each way of :mod:`servicelab.servers.ways`; and what an idle one costs the server.

``WAYS`` is the table; each :class:`Way` has ``serve(feed, name, capacity)``, which makes a server, and
``read(server, after)``, which opens a reader: iterate for ``(id, data)``, ``close()`` from any thread, ``requests``
says how many HTTP requests or calls it has made.
"""

import http.client
import json
import random
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import grpc
import socketio

from servicelab.clients.sse import EventStream, StreamLost
from servicelab.clients.streams import disconnect, open_websocket
from servicelab.faults import FaultProxy
from servicelab.lifecycle import Server, join
from servicelab.servers.feed import Feed, Outbox
from servicelab.servers.proto import load_proto
from servicelab.servers.server_process import Footprint, ServerProcess
from servicelab.servers.threads import shut
from servicelab.servers.ways import TRACKING, over_grpc, over_socketio, over_websocket, web


class _Asking:
    """Asks again and again on one connection that is kept alive."""

    def __init__(self, server: Server, path: str, after: int, pause: float):
        self.requests = 0
        self._is_read = False
        self._path, self._after, self._pause = path, after, pause
        self._closed = threading.Event()
        self._connection = http.client.HTTPConnection(*server.address)
        self._connection.connect()

    def __iter__(self):
        self._is_read = True
        try:
            while not self._closed.is_set():
                yield from self.ask()
                self._closed.wait(self._pause)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not self._closed.is_set():
                raise StreamLost(str(error) or type(error).__name__) from error
        finally:
            self._connection.close()

    def ask(self) -> list:
        self.begin()
        reply = self._connection.getresponse()
        found = [(id, data) for id, data in json.loads(reply.read())]
        if found:
            self._after = found[-1][0]
        return found

    def begin(self):
        """Send the request, and leave the answer to come."""
        self.requests += 1
        self._connection.request("GET", f"{self._path}{'&' if '?' in self._path else '?'}after={self._after}")

    def close(self):
        self._closed.set()
        if self._connection.sock is not None:
            shut(self._connection.sock)
        if not self._is_read:  # http.client must not be closed under its reader, who closes it then
            self._connection.close()


class Polling(_Asking):
    """Asks every ``period`` seconds."""

    def __init__(self, server, after=0, *, period: float = 0.25):
        super().__init__(server, "/now", after, period)

    def idle(self):
        self.ask()


class LongPolling(_Asking):
    """Asks again as soon as it has an answer, which the server holds back for ``timeout`` seconds at most."""

    def __init__(self, server, after=0, *, timeout: float = 25.0):
        super().__init__(server, f"/wait?timeout={timeout:g}", after, 0.0)

    def idle(self):
        self.begin()


class Events:
    """One endless HTTP reply."""

    requests = 1

    def __init__(self, server, after=0):
        host, port = server.address
        self._stream = EventStream(f"http://{host}:{port}/events", after)
        self._is_closed = False

    def __iter__(self):
        try:
            for event in self._stream:
                yield int(event.id), json.loads(event.data)
        except StreamLost:
            if not self._is_closed:
                raise

    def idle(self):
        pass

    def close(self):
        self._is_closed = True
        self._stream.close()


class WebSocket:
    """Messages pushed by the server."""

    requests = 1

    def __init__(self, server, after=0):
        host, port = server.address
        self._connection = open_websocket(f"ws://{host}:{port}?after={after}", ping_interval=None)

    def __iter__(self):
        for message in self._connection:
            event = json.loads(message)
            yield event["id"], event["data"]

    def idle(self):
        pass

    def close(self):
        self._connection.close()


class SocketIO:
    """Socket.IO events; the connection begins as long polling and becomes a WebSocket."""

    requests = 3  # the handshake, one poll that carries it, the upgrade

    def __init__(self, server, after=0):
        host, port = server.address
        self._events = Outbox()
        self._client = socketio.Client(reconnection=False)
        self._client.on("order", lambda id, data: self._events.put((id, data)))
        self._client.connect(f"http://{host}:{port}", wait_timeout=10)
        self._client.call("follow", after)  # its answer says that we are in the room

    def __iter__(self):
        yield from self._events

    def idle(self):
        pass

    def close(self):
        disconnect(self._client)
        self._events.close()


class GRPCStream:
    """A server-streaming call."""

    requests = 1

    def __init__(self, server, after=0):
        messages, services, _ = load_proto(TRACKING)
        host, port = server.address
        # A connection of its own: channels to one address share theirs otherwise.
        self._channel = grpc.insecure_channel(f"{host}:{port}", [("grpc.use_local_subchannel_pool", 1)])
        try:
            self._call = services.TrackingStub(self._channel).Follow(messages.After(id=after), wait_for_ready=True)
        except BaseException:  # an interrupt: a call that waits until the server is ready would wait for ever
            self._channel.close()
            raise

    def __iter__(self):
        try:
            for state in self._call:
                yield state.id, json.loads(state.data)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                raise StreamLost(f"{error.code().name}: {error.details()}") from error

    def idle(self):
        pass

    def close(self):
        self._call.cancel()
        self._channel.close()


class Way(NamedTuple):
    """One way from a feed to a screen. ``capacity``: how many readers at once the server must be sized for."""

    name: str
    serve: Any  # (feed, name, capacity) -> Server, not started
    read: Any  # (server, after) -> reader


def _web(feed, name, capacity):
    return web(feed, name, workers=min(256, capacity + 4))


def _grpc(feed, name, capacity):
    return over_grpc(feed, name, workers=min(256, capacity + 4))


#: The six, in the order in which the chapter tells them.
WAYS = {
    way.name: way
    for way in (
        Way("polling", lambda feed, name, capacity: web(feed, name, workers=4), Polling),
        Way("long polling", _web, LongPolling),
        Way("SSE", _web, Events),
        Way("WebSocket", lambda feed, name, capacity: over_websocket(feed, name, ping_interval=None), WebSocket),
        Way("Socket.IO", lambda feed, name, capacity: over_socketio(feed, name), SocketIO),
        Way("gRPC stream", _grpc, GRPCStream),
    )
}


class Delivery(NamedTuple):
    """``latencies``: seconds from an event to the reader, for each event. ``up``, ``down``: bytes per event on the wire
    to and from the server, everything included but the opening. ``requests`` per event."""

    latencies: list[float]
    up: float
    down: float
    requests: float


def deliver(way: Way, count: int = 40, gap: float = 0.03, *, seed: int = 1, toxics=()) -> Delivery:
    """Publish ``count`` events at random moments, ``gap`` seconds apart on average, and see how they arrive.

    Server and reader are threads of this process; between them a proxy counts the bytes, with ``toxics`` if wanted. The
    first event, with which the connection is opened, is not counted. Raises StreamLost when an event does not arrive
    within 10 s.
    """
    rng, feed, arrived, news = random.Random(seed), Feed(), {}, threading.Condition()

    def read():
        with suppress(StreamLost):  # what is missing is missed below
            for id, _ in reader:
                with news:
                    arrived.setdefault(id, time.monotonic())
                    news.notify_all()

    def wait_for(last):
        with news:
            if not news.wait_for(lambda: len(arrived) >= last, 10.0):
                raise StreamLost(f"{way.name}: {last - len(arrived)} of {last} events did not arrive within 10 s")

    with way.serve(feed, f"{way.name} feed", 4) as server, FaultProxy(server) as proxy:
        for toxic in toxics:
            proxy.add(toxic)
        reader = way.read(proxy, 0)
        thread = threading.Thread(target=read, name=f"servicelab {way.name} reader", daemon=True)
        try:
            thread.start()
            feed.publish(_order(0))
            wait_for(1)
            before, requests = proxy.connections, reader.requests
            published = {}
            for number in range(1, count + 1):
                time.sleep(rng.expovariate(1 / gap))
                event = feed.publish(_order(number))
                published[event.id] = event.at
            wait_for(count + 1)
            after = proxy.connections
            requests = reader.requests - requests
        finally:
            reader.close()
            join([thread], 2.0)
    latencies = [arrived[id] - at for id, at in published.items()]
    return Delivery(latencies, (after.up - before.up) / count, (after.down - before.down) / count, requests / count)


def _order(number):
    return {"order": 1000 + number % 7, "state": "packed"}


class IdleCost(NamedTuple):
    """What one idle connection costs the server: ``memory`` (bytes), ``threads``, ``descriptors``; each a mean."""

    memory: float
    threads: float
    descriptors: float
    count: int


def idle_cost(way: Way, count: int = 200) -> IdleCost:
    """Open ``count`` readers of a feed that is silent, and see what the server's process grows by.

    The server runs in a process of its own and is started twice: sized for none, and sized for ``count`` and with
    as many. So the workers that a pool must have for them are counted as theirs. The kernel's
    buffers are not in the memory. Takes some seconds.
    """

    def serve(capacity):
        serve_way = way.serve
        return ServerProcess(lambda: serve_way(Feed(), "feed", capacity), f"{way.name} measured")

    with serve(0) as server:
        # The first connection loads code and fills caches once and for all.
        reader = way.read(server, 0)
        reader.idle()
        _settled(server)
        reader.close()
        before = _settled(server)
    with serve(count) as server, ExitStack() as readers:
        for _ in range(count):
            reader = way.read(server, 0)
            readers.callback(reader.close)
            reader.idle()
        after = _settled(server)
    return IdleCost(*((b - a) / count for a, b in zip(before, after)), count)


def _settled(server, patience: float = 8.0) -> Footprint:
    """The server's footprint once threads and descriptors have been the same three times running."""
    seen, end = [], time.monotonic() + patience
    while time.monotonic() < end:
        seen.append(server.footprint())
        if len({found[1:] for found in seen[-3:]}) == 1 and len(seen) >= 3:
            break
        time.sleep(0.1)
    return seen[-1]
