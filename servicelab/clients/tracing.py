"""Clients of long conversations that stamp what they say and hear: gRPC channels and Socket.IO clients.

For HTTP there is ``clients.traced``, for WebSocket ``clients.streams.open_websocket``, for server-sent events
``clients.sse.EventStream``. Written against grpcio 1.85 and python-socketio 5.
"""

import functools

import grpc
from engineio import packet

from servicelab.clients.rpc import STATUS, RPCFailed, with_timeout
from servicelab.clients.session import callee_of
from servicelab.policies.status import Status
from servicelab.servers.grpc import summary
from servicelab.servers.message_stamps import Talk
from servicelab.servers.socketio import describe
from servicelab.trace import Trace, current_call, reply_id


def traced_channel(channel: grpc.Channel, trace: Trace, name: str = "client", *, server: str = "server"):
    """``channel`` with every call, and each message of its streams, stamped into ``trace`` under ``name``.

    ``server`` is the lane of who is called, for what never arrives. A call ends as "ok", or with the status that a
    policy knows ("timeout", "lost", …), or the code's name. A message of a request stream is stamped when gRPC takes
    it, one of a response stream when it is read. A ``timeout`` of 0 or less is refused here with DEADLINE_EXCEEDED:
    gRPC might still run the handler.
    """
    if not isinstance(channel, grpc.Channel):
        raise TypeError(f"channel={channel!r} is no grpc.Channel: traced_channel(grpc.insecure_channel(target), trace)")
    return grpc.intercept_channel(channel, _Stamping(trace, name, server))


class _Stamping(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, trace, name, server):
        self.trace, self.name, self.server = trace, name, server

    def _begin(self, details):
        talk = Talk.opened_by(self.name, self.server, self.trace)
        ids = current_call.get()
        label = details.method.rpartition("/")[2]
        self.trace.start_call(
            self.name, self.server, label, id=talk.id, timeout=details.timeout, parent=ids[1] if ids else None
        )
        sent = with_timeout(details, details.timeout)
        if sent is None:
            self.trace.end_call(talk.id, Status.DEADLINE)
            raise RPCFailed(Status.DEADLINE, 0, details.method)
        return talk, label, sent._replace(metadata=[*(details.metadata or ()), *talk.headers.items()])

    def _asks(self, talk, label):
        self.trace.send(self.name, self.server, label, id=talk.id)

    def _end(self, talk, call, replied):
        code = call.code()
        if replied and code is grpc.StatusCode.OK:
            self.trace.receive(reply_id(talk.id), self.name)
        self.trace.end_call(talk.id, STATUS.get(code, code.name))

    def _when_done(self, talk, call, replied):
        def end(_=None):
            self._end(talk, call, replied)

        if call.done():
            end()
        else:
            call.add_done_callback(end)
        return call

    def intercept_unary_unary(self, continuation, details, request):
        talk, label, details = self._begin(details)
        self._asks(talk, label)
        return self._when_done(talk, continuation(details, request), True)

    def intercept_stream_unary(self, continuation, details, requests):
        talk, _, details = self._begin(details)
        return self._when_done(talk, continuation(details, self._saying(talk, requests)), True)

    def intercept_unary_stream(self, continuation, details, request):
        talk, label, details = self._begin(details)
        self._asks(talk, label)
        return self._hearing(talk, continuation(details, request))

    def intercept_stream_stream(self, continuation, details, requests):
        talk, _, details = self._begin(details)
        return self._hearing(talk, continuation(details, self._saying(talk, requests)))

    def _saying(self, talk, requests):
        for request in requests:
            talk.sends(summary(request))
            yield request

    def _hearing(self, talk, call):
        call.add_done_callback(lambda _: self._end(talk, call, False))
        return _Replies(talk, call)


class _Replies:
    """The call that a stream of replies is, and its replies, each stamped when it is read."""

    def __init__(self, talk, call):
        self._talk, self._call = talk, call

    def __iter__(self):
        return self

    def __next__(self):
        reply = next(self._call)
        self._talk.gets()
        return reply

    def __getattr__(self, name):
        return getattr(self._call, name)


def traced_socketio(client, trace: Trace, name: str = "client"):
    """Let a ``socketio.Client`` stamp its messages into ``trace`` under ``name``; call it before ``connect``.

    Returns the client. Events, answers to events, and the connecting itself are messages; pings are not.
    """
    eio, connect = client.eio, client.connect
    talk = None

    def connecting(url, headers=None, **options):
        nonlocal talk
        talk = Talk.opened_by(name, callee_of(url), trace)
        return connect(url, headers={**(headers or {}), **talk.headers}, **options)

    def sending(send, pkt):
        if pkt.packet_type == packet.MESSAGE and talk is not None:
            talk.sends(describe(pkt.data))
        return send(pkt)

    def triggering(trigger, event, *args, **options):
        if event == "message" and talk is not None:
            talk.gets()
        elif event == "disconnect" and talk is not None and args and args[0] == eio.reason.TRANSPORT_ERROR:
            talk.breaks("connection broke")
        return trigger(event, *args, **options)

    client.connect = connecting
    eio._send_packet = functools.partial(sending, eio._send_packet)
    eio._trigger_event = functools.partial(triggering, eio._trigger_event)
    return client
