"""One client's connection: handshake, channels, heartbeats, back-pressure, and its end.

Whatever a client sends, the worst that happens is that its own connection is closed with the proper code.
"""

import struct

from pamqp import commands
from pamqp.frame import marshal

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.channel import Session
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.handshake import STEPS, server_properties
from servicelab.servers.amqp.port import Port
from servicelab.servers.amqp.stream import FrameStream

HANDSHAKE = 10.0  # seconds a client has to log in, as in RabbitMQ (handshake_timeout)
#: After a Connection.Close, from whichever end, what still comes is read and thrown away until the client closes its
#: socket: for as long as in RabbitMQ (seconds, CLOSING_TIMEOUT in rabbit_reader), and for so many bytes.
GOODBYE = 30.0
MOST_DISCARDED = 256 * 2**20
SHORT_GOODBYE = 2.0  # seconds: to a client that has not opened its connection yet, and to take our last words

_ACK = struct.Struct(">QB")
_PUBLISH, _ACK_METHOD = b"\x00\x3c\x00\x28", b"\x00\x3c\x00\x50"


class Connection(FrameStream):
    """What frames mean. ``server`` is the :class:`~servicelab.servers.amqp.server.AmqpServer`."""

    def __init__(self, server):
        super().__init__(server)
        self.broker = server.core
        self.stamps = None  # set when the client has said its name, and the server has a trace
        self.session: Session | None = None
        self.ports: dict[int, Port] = {}
        self.properties: dict = {}
        self.name = "client"
        self.user = ""
        self.clogged = False  # its socket takes no more
        self.channel_max = server.channel_max
        self.heartbeat = 0
        self._timer = None
        self._discarded = 0
        self._alike: tuple[Port, int] | None = None  # whose messages begin with ``beginning``, and the body's length

    # -- its life -----------------------------------------------------------------------------

    def connection_made(self, transport):
        super().connection_made(transport)
        self._timer = self.server.loop.call_later(HANDSHAKE, transport.abort)

    def connection_lost(self, error):
        self.state = "closed"
        if self._timer is not None:
            self._timer.cancel()
        self.server.connections.discard(self)
        self._leave(self.server.loop.time())
        self.out.clear()
        self.server.settle()

    def greet(self) -> None:
        """The client has sent the protocol header."""
        self.state = "start"
        about = server_properties(self.server.trace is not None)
        self.say(commands.Connection.Start(0, 9, about, "PLAIN AMQPLAIN", "en_US"))

    def data_received(self, data):
        if self.state == "closing":
            self._discarded += len(data)
            if self._discarded > MOST_DISCARDED:
                self.transport.abort()
                return
        super().data_received(data)

    # -- back-pressure ----------------------------------------------------------------------

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
        self.stop_reading()

    def _set_writable(self, writable):
        for port in self.ports.values():
            port.channel.writable = writable and not port.closing

    # -- frames -----------------------------------------------------------------------------

    def frame(self, now, kind, number, payload):
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
            self._refuse(now, port, error)

    def again(self, now, buffer, at):
        """A message began as the two before it: deal with its body, which lies ``at``, and return where the next frame
        does. 0 when it is not all there, or something has changed."""
        port, size = self._alike
        end = at + size
        if (
            end >= len(buffer)
            or buffer[end] != wire.END
            or self.ports.get(port.number) is not port
            or port.closing
            or port.expects_content()
        ):
            return 0
        try:
            port.again(now, buffer[at:end])
        except AmqpError as error:
            self._refuse(now, port, error)
        return end + 1

    def may_come_again(self, port, beginning: bytes, size: int) -> None:
        """``port`` has had two messages that began with these bytes, up to a body of ``size`` bytes."""
        self.beginning, self._alike = beginning, (port, size)

    def _refuse(self, now, port, error):
        if error.closes_connection:
            raise error
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
            self._say_goodbye(commands.Connection.CloseOk())
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
            self.spoke = self.heard
            self._timer = self.server.loop.call_later(self.heartbeat / 2, self._beat)

    def _beat(self):
        now = self.server.loop.time()
        self._timer = self.server.loop.call_later(self.heartbeat / 2, self._beat)
        if self.server.paused:
            return
        if now - self.heard > 2 * self.heartbeat and not self.blocked:
            self.transport.abort()  # two intervals of silence: it is gone (AMQP 0-9-1, 4.2.7)
        elif now - self.spoke >= self.heartbeat / 2:
            self.send(wire.HEARTBEAT_FRAME)

    # -- frames out -------------------------------------------------------------------------

    def say(self, method) -> None:
        """A method on channel 0."""
        self.send(marshal(method, 0))

    # -- memory -----------------------------------------------------------------------------

    def published(self) -> None:
        """It has published: when memory is short it is stopped, as in RabbitMQ, after its first message."""
        if self.server.memory_limit is not None:
            self.server.weigh()
        if self.server.alarm and not self.blocked:
            self.blocked = True
            self.stop_reading()
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
        self._leave(now)
        if self.state in ("header", "closing", "closed"):
            self.end()
            return
        class_id, method_id = getattr(error, "method", (0, 0))
        self._say_goodbye(commands.Connection.Close(error.code, error.reply_text, class_id, method_id))

    def _say_goodbye(self, method):
        limit = GOODBYE if self.state == "running" else SHORT_GOODBYE
        self.state = "closing"
        self.say(method)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.server.loop.call_later(limit, self.transport.abort)

    def _last_words(self, kind, number, payload):
        index = int.from_bytes(payload[:4], "big")
        if kind == wire.METHOD and number == 0:
            if index == commands.Connection.Close.index:
                self.say(commands.Connection.CloseOk())
            elif index == commands.Connection.CloseOk.index:
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
        self._timer = self.server.loop.call_later(SHORT_GOODBYE, self.transport.abort)
        self.transport.close()


def _ack_fields(payload):
    tag, bits = _ACK.unpack_from(payload, 4)
    return tag, bool(bits & 1)
