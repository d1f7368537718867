"""One feed of orders, handed out six ways. Short, and each as its documentation would write it.

| way           | who asks                | server                     |
|---------------|-------------------------|----------------------------|
| polling       | the client, again and   | :func:`web`                |
|               | again                   |                            |
| long polling  | the client; the answer  | :func:`web`                |
|               | waits for news          |                            |
| SSE           | nobody: one endless     | :func:`web`                |
|               | HTTP reply              |                            |
| WebSocket     | nobody; both may speak  | :func:`over_websocket`     |
| Socket.IO     | nobody; rooms, replies  | :func:`over_socketio`      |
| gRPC stream   | nobody; typed messages  | :func:`over_grpc`          |

Every reader says after which event it wants to go on. The readers are in ``servicelab.clients.feed_readers``.
"""

import json
from urllib.parse import parse_qs, urlsplit

from flask import Flask, jsonify, request
from flask_socketio import SocketIO, join_room

from servicelab.servers.events import event_stream, last_event_id, long_poll
from servicelab.servers.feed import Feed
from servicelab.servers.grpc import GRPCServer
from servicelab.servers.http import HTTPServer
from servicelab.servers.proto import load_proto
from servicelab.servers.socketio import SocketIOServer
from servicelab.servers.websocket import WebSocketServer

TRACKING = """
syntax = "proto3";
package tracking;

message After { int64 id = 1; }
message State { int64 id = 1; string data = 2; }

service Tracking {
  rpc Follow(After) returns (stream State);
}
"""


def web(feed: Feed, name: str, *, workers: int = 16, trace=None) -> HTTPServer:
    """Polling at /now, long polling at /wait, server-sent events at /events; ``?after=17`` says where to go on."""
    app = Flask(name)

    @app.get("/now")
    def now():
        return jsonify([[event.id, event.data] for event in feed.after(last_event_id(0))])

    @app.get("/wait")
    def wait():
        news = long_poll(feed, last_event_id(0), float(request.args.get("timeout", 25)))
        return jsonify([[event.id, event.data] for event in news])

    @app.get("/events")
    def events():
        return event_stream(feed.subscribe(last_event_id(0)))

    return HTTPServer(app, name, workers=workers, trace=trace)


def over_websocket(feed: Feed, name: str, **options) -> WebSocketServer:
    """Events as JSON texts ``{"id": 17, "data": …}``; without ``?after=`` from now on. ``options``: the server's."""

    def follow(connection):
        query = parse_qs(urlsplit(connection.request.path).query)
        with feed.subscribe(int(query["after"][0]) if "after" in query else None) as events:
            connection.when_closed(events.close)
            for event in events:
                connection.send(json.dumps({"id": event.id, "data": event.data}))

    return WebSocketServer(follow, name, **options)


def over_socketio(feed: Feed, name: str) -> SocketIOServer:
    """Events as Socket.IO events "order", with id and data, in the room "orders"; the client emits "follow" first.

    Who joins may see an event twice, in the replay and in the room: readers drop duplicates.
    """
    app = Flask(name)
    socketio = SocketIO(app, async_mode="threading")

    @socketio.on("follow")
    def follow(after):
        join_room("orders")
        for event in feed.after(after):
            socketio.emit("order", (event.id, event.data), to=request.sid)
        return feed.last

    feed.listen(lambda event: socketio.emit("order", (event.id, event.data), to="orders"))
    return SocketIOServer(socketio, name)


def over_grpc(feed: Feed, name: str, *, workers: int = 16) -> GRPCServer:
    """A server-streaming call, ``Tracking.Follow``."""
    messages, services, _ = load_proto(TRACKING)

    class Tracking(services.TrackingServicer):
        def Follow(self, after, context):
            with feed.subscribe(after.id) as events:
                if not context.add_callback(events.close):  # the caller has gone already
                    return
                for event in events:
                    yield messages.State(id=event.id, data=json.dumps(event.data))

    return GRPCServer([(services.add_TrackingServicer_to_server, Tracking())], name, workers=workers)
