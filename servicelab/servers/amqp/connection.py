"""One client's connection: handshake, frames, heartbeats, back-pressure, and its end.

Whatever a client sends, the worst that happens is that its own connection is closed with the proper code.
"""

import asyncio
import struct

from pamqp import commands

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.channel import Session
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.handshake import STEPS, server_properties
from servicelab.servers.amqp.port import Port

GREETING = b"AMQP\x00\x00\x09\x01"
HANDSHAKE = 10.0  # seconds a client has to log in, as in RabbitMQ (handshake_timeout)
GOODBYE = 2.0  # seconds it has to answer our connection.close
HIGH_WATER = 256 * 1024  # bytes that may wait in a connection's buffers before deliveries to it stop
CHUNK = 64 * 1024  # bytes of frames that are collected before they are written

_HEAD = struct.Struct(">BHI")
_ACK = struct.Struct(">QB")
_PUBLISH, _ACK_METHOD = b"\x00\x3c\x00\x28", b"\x00\x3c\x00\x50"


class Connection(asyncio.Protocol):
    """The server's end of a socket. ``server`` is the :class:`~servicelab.servers.amqp.server.AmqpServer`."""

    def __init__(self, server):
        self.server = server
        self.broker = server.core
        self.stamps = None  # set when the client has said its name, and the server has a trace
        self.session: Session | None = None
        self.ports: dict[int, Port] = {}
        self.properties: dict = {}
        self.name = "client"
        self.user = ""
        self.state = "header"  # then start, tune, open, running, closing (we said close), closed
        self.out: list[bytes] = []
        self.largest = server.frame_max - 8  # bytes of payload in one frame
        self.blocked = False  # it publishes while memory is short: nothing of it is read
        self.clogged = False  # its socket takes no more
        self._waiting = 0  # bytes in ``out``
        self._buffer = b""
        self.channel_max = server.channel_max
        self.heartbeat = 0
        self._heard = self._spoke = 0.0
        self._timer = None
        self.transport = None

    # -- the socket -------------------------------------------------------------------------

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self.server.connections.add(self)
        self._timer = self.server.loop.call_later(HANDSHAKE, self._too_slow)
        if self.server.paused:
            transport.pause_reading()

    def data_received(self, data):
        self._heard = now = self.server.loop.time()
        self._buffer = self._buffer + data if self._buffer else data
        self.work(now)

    def eof_received(self):
        return False  # the transport closes itself

    def connection_lost(self, error):
        self.state = "closed"
        if self._timer is not None:
            self._timer.cancel()
        self.server.connections.discard(self)
        self._leave(self.server.loop.time())
        self.out.clear()
        self.server.settle()

    def pause_writing(self):
        self.clogged = True
        self._set_writable(False)

    def resume_writing(self):
        self.clogged = False
        self.let_flow()

    def let_flow(self) -> None:
        """Deliver again, if nothing stands in the way."""
        if not self.clogged and not self.server.paused and self.state == "running":
            now = self.server.loop.time()
            for port in list(self.ports.values()):
                if not port.closing:
                    port.channel.resume(now)
            self.server.settle()

    def hold(self) -> None:
        """The server is paused: read and deliver nothing."""
        self._set_writable(False)
        self._pause_reading()

    def _set_writable(self, writable):
        for port in self.ports.values():
            port.channel.writable = writable and not port.closing

    def _pause_reading(self):
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def listen(self) -> None:
        """Read again, beginning with what was left."""
        if self.state == "closed" or self.blocked or self.server.paused:
            return
        self._heard = self.server.loop.time()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self.work(self._heard)

    # -- frames in --------------------------------------------------------------------------

    def work(self, now: float) -> None:
        """Deal with the frames in the buffer."""
        try:
            self._frames(now)
        except AmqpError as error:
            self.fail(now, error)
        except Exception as error:  # a fault of ours: it costs this connection, not the broker
            self.server.errors.append(f"{type(error).__name__}: {error}")
            self.server.note_fault(error)
            self.fail(now, AmqpError(541))
        self.server.settle()

    def _frames(self, now):
        if self.state == "header" and not self._greet():
            return
        buffer, at = self._buffer, 0
        size = len(buffer)
        try:
            while size - at >= 8 and not self.blocked and not self.server.paused:
                kind, number, length = _HEAD.unpack_from(buffer, at)
                if length > self.largest and self.state != "closing":
                    most = f"{{frame_too_large,{length},{self.largest}}}"
                    raise AmqpError(501, f"type {kind}, all octets = <<>>: {most}")
                end = at + 7 + length
                if end >= size:
                    break
                if buffer[end] != 0xCE:
                    raise AmqpError(501, f"type {kind}, {length} octets: {{invalid_frame_end_marker,{buffer[end]}}}")
                start, at = at + 7, end + 1
                self._frame(now, kind, number, buffer[start:end])
                if self.state == "closed":
                    at = size
        finally:
            self._buffer = buffer[at:] if at else buffer

    def _greet(self):
        if len(self._buffer) < 8 and GREETING.startswith(self._buffer):
            return False
        if self._buffer[:8] != GREETING:
            self.transport.write(GREETING)
            self.end()
            return False
        self._buffer = self._buffer[8:]
        self.state = "start"
        self.say(
            commands.Connection.Start(0, 9, server_properties(self.server.trace is not None), "PLAIN AMQPLAIN", "en_US")
        )
        return True

    def _frame(self, now, kind, number, payload):
        if self.state == "closing":
            self._last_words(kind, number, payload)
            return
        if kind == wire.HEARTBEAT:
            if payload:
                raise AmqpError(501, f"type 8, all octets = {len(payload)}: a heartbeat has no content")
            if number:
                raise AmqpError(505, f"unexpected heartbeat on channel {number}")
            return
        if self.state != "running" or number == 0:
            if kind != wire.METHOD:
                raise AmqpError(505, "expected method frame, got non method frame instead")
            method = wire.decode_method(payload)
            self._on_connection(now, method)
            return
        port = self.ports.get(number)
        if port is None or port.closing:
            self._without_port(now, port, kind, number, payload)
            return
        try:
            if kind == wire.METHOD:
                head = payload[:4]
                if head == _PUBLISH:
                    port.publish(now, payload[4:])
                elif head == _ACK_METHOD and len(payload) == 13 and not port.expects_content():
                    port.ack(now, *_ack_fields(payload))
                else:
                    self._on_channel(now, port, wire.decode_method(payload))
            elif kind == wire.BODY:
                port.body(now, payload)
            elif kind == wire.HEADER:
                port.header(now, payload)
            else:
                raise AmqpError(501, f"unknown frame type {kind}")
        except AmqpError as error:
            if kind == wire.METHOD and not hasattr(error, "method"):
                error.method = struct.unpack_from(">HH", payload) if len(payload) >= 4 else (0, 0)
            if error.closes_connection:
                raise
            self._close_channel(now, port, error)

    def _without_port(self, now, port, kind, number, payload):
        """A frame for a channel that is not open, or that we have closed."""
        if port is not None:  # what was under way when we closed it is thrown away
            if kind == wire.METHOD:
                index = int.from_bytes(payload[:4], "big")
                if index == commands.Channel.CloseOk.index:
                    del self.ports[number]
                elif index == commands.Channel.Close.index:
                    port.send(commands.Channel.CloseOk())
                    del self.ports[number]
            return
        method = wire.decode_method(payload) if kind == wire.METHOD else None
        if not isinstance(method, commands.Channel.Open):
            if isinstance(method, commands.Channel.CloseOk):
                return
            raise AmqpError(504, "expected 'channel.open'")
        if self.channel_max and len(self.ports) >= self.channel_max:
            most = self.channel_max
            raise AmqpError(
                530, f"number of channels opened ({len(self.ports)}) has reached the negotiated channel_max ({most})"
            )
        port = self.ports[number] = Port(self, number)
        port.channel.writable = not self.clogged
        port.send(commands.Channel.OpenOk())

    def _on_channel(self, now, port, method):
        if isinstance(method, commands.Channel.Close):
            port.channel.say_confirms()
            port.close(now)
            del self.ports[port.number]
            port.send(commands.Channel.CloseOk())
        elif isinstance(method, commands.Channel.CloseOk):
            del self.ports[port.number]
            port.close(now)
        else:
            port.method(now, method)

    def _close_channel(self, now, port, error):
        port.closing = True
        port.close(now)
        class_id, method_id = getattr(error, "method", (0, 0))
        port.send(commands.Channel.Close(error.code, error.reply_text, class_id, method_id))

    # -- the connection's own methods -------------------------------------------------------

    def _on_connection(self, now, method):
        if isinstance(method, commands.Connection.Close):
            self._leave(now)
            self.say(commands.Connection.CloseOk())
            self.end()
        elif (step := STEPS.get((self.state, type(method)))) is not None:
            step(self, method)
        elif isinstance(method, commands.Connection.UpdateSecret) and self.state == "running":
            self.say(commands.Connection.UpdateSecretOk())
        elif self.state == "running" and isinstance(method, commands.Connection.CloseOk):
            pass
        else:
            raise AmqpError(504, f"unexpected method in connection state {self.state}")

    def capable(self, what: str) -> bool:
        """Whether the client said that it understands ``what``."""
        capabilities = self.properties.get("capabilities")
        return isinstance(capabilities, dict) and capabilities.get(what) is True

    # -- time -------------------------------------------------------------------------------

    def begin_heartbeats(self) -> None:
        """The handshake is over."""
        self._timer.cancel()
        self._timer = None
        if self.heartbeat:
            self._spoke = self._heard
            self._timer = self.server.loop.call_later(self.heartbeat / 2, self._beat)

    def _beat(self):
        now = self.server.loop.time()
        self._timer = self.server.loop.call_later(self.heartbeat / 2, self._beat)
        if self.server.paused:
            return
        if now - self._heard > 2 * self.heartbeat and not self.blocked:
            self.transport.abort()  # two intervals of silence: it is gone (AMQP 0-9-1, 4.2.7)
        elif now - self._spoke >= self.heartbeat / 2:
            self.send(wire.HEARTBEAT_FRAME)

    def _too_slow(self):
        self.transport.abort()

    # -- frames out -------------------------------------------------------------------------

    def say(self, method) -> None:
        """A method on channel 0."""
        self.send(wire.method_frame(0, method))

    def send(self, frame: bytes) -> None:
        self.out.append(frame)
        self.grown(len(frame))

    def grown(self, size: int) -> None:
        """``size`` bytes were appended to ``out``."""
        if not self._waiting:
            self.server.touched(self)
        self._waiting += size
        if self._waiting > CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        self._waiting = 0
        if self.out and self.transport is not None:
            data = b"".join(self.out)
            self.out.clear()
            if not self.transport.is_closing():
                self._spoke = self.server.loop.time()
                self.transport.write(data)

    # -- memory -----------------------------------------------------------------------------

    def published(self) -> None:
        """It has published: when memory is short it is stopped, as in RabbitMQ, after its first message."""
        if self.server.memory_limit is not None:
            self.server.weigh()
        if self.server.alarm and not self.blocked:
            self.blocked = True
            self._pause_reading()
            if self.capable("connection.blocked"):
                self.say(commands.Connection.Blocked("low on memory"))
            if self.stamps is not None:
                self.stamps.blocked(self, True)

    def unblock(self) -> None:
        if self.blocked:
            self.blocked = False
            if self.capable("connection.blocked"):
                self.say(commands.Connection.Unblocked())
            if self.stamps is not None:
                self.stamps.blocked(self, False)
            self.server.loop.call_soon(self.listen)

    # -- the end ----------------------------------------------------------------------------

    def fail(self, now: float, error: AmqpError) -> None:
        """Close the connection for ``error``, and say why to a client that can hear it."""
        if self.state in ("closing", "closed"):
            self.end()
            return
        self._leave(now)
        if self.state == "header":
            self.end()
            return
        class_id, method_id = getattr(error, "method", (0, 0))
        self.state = "closing"
        self.say(commands.Connection.Close(error.code, error.reply_text, class_id, method_id))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.server.loop.call_later(GOODBYE, self.transport.abort)

    def _last_words(self, kind, number, payload):
        index = int.from_bytes(payload[:4], "big")
        if kind == wire.METHOD and number == 0:
            if index == commands.Connection.Close.index:
                self.say(commands.Connection.CloseOk())
            if index in (commands.Connection.CloseOk.index, commands.Connection.Close.index):
                self.end()

    def _leave(self, now):
        """Take its session out of the broker. What it has not acknowledged goes back."""
        ports, self.ports = self.ports, {}
        session, self.session = self.session, None
        if session is not None:
            if self.stamps is not None:
                self.stamps.left(self, ports)
            session.close(now)

    def cut(self) -> None:
        """Reset the socket; nothing is said, and nothing is settled."""
        self.state = "closed"
        self.out.clear()
        if self._timer is not None:
            self._timer.cancel()
        self.session = None  # what it held is not requeued: the broker is dead
        self.transport.abort()

    def end(self) -> None:
        """Write what is left and close the socket."""
        self.flush()
        self.state = "closed"
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.server.loop.call_later(GOODBYE, self.transport.abort)
        self.transport.close()


def _ack_fields(payload):
    tag, bits = _ACK.unpack_from(payload, 4)
    return tag, bool(bits & 1)
