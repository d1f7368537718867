"""Servers on real sockets, in the kernel or in a process of their own: one lifecycle for all."""

from importlib import import_module

# Imported when they are asked for: a child process that serves AMQP need not load Flask first (0.4 s).
_HOMES = {
    "Feed": "feed",
    "GRPCServer": "grpc",
    "HTTPProcess": "server_process",
    "HTTPServer": "http",
    "HeedsDeadline": "deadline",
    "Leaves": "leaves",
    "Outbox": "feed",
    "ServerProcess": "server_process",
    "ServerSentEvent": "events",
    "SocketIOServer": "socketio",
    "TCPBalancer": "tcp_balancer",
    "TLSServer": "tls",
    "WebSocketServer": "websocket",
    "event_stream": "events",
    "answers": "tls",
    "foreign": "program",
    "heeding_grpc": "deadline",
    "last_event_id": "events",
    "load_proto": "proto",
    "load_version": "proto",
    "long_poll": "events",
    "serve": "http",
}

__all__ = [
    "Feed",
    "GRPCServer",
    "HTTPProcess",
    "HTTPServer",
    "HeedsDeadline",
    "Leaves",
    "Outbox",
    "ServerProcess",
    "ServerSentEvent",
    "SocketIOServer",
    "TCPBalancer",
    "TLSServer",
    "WebSocketServer",
    "event_stream",
    "foreign",
    "heeding_grpc",
    "last_event_id",
    "load_proto",
    "load_version",
    "long_poll",
    "serve",
]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
