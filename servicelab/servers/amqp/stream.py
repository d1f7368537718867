"""A socket that carries frames: cuts them out of what arrives, and collects what leaves until the turn is over."""

import asyncio
import struct

from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.pace import REST, Pace

GREETING = b"AMQP\x00\x00\x09\x01"
HIGH_WATER = 256 * 1024  # bytes that may wait in a connection's buffers before deliveries to it stop
SMALLEST_FRAME = 4096  # bytes; AMQP 0-9-1, frame-min-size
CHUNK = 64 * 1024  # bytes of frames that are collected before they are written

_HEAD = struct.Struct(">BHI")


class FrameStream(asyncio.Protocol):
    """The server's end of a socket. A subclass says what the frames mean: ``greet``, ``frame``, ``fail`` and
    ``end``."""

    def __init__(self, server):
        self.server = server
        self.transport = None
        self.state = "header"  # then start, tune, open, running, closing (we said close), closed
        self.frame_max = SMALLEST_FRAME  # until they have agreed
        self.blocked = False  # it publishes while memory is short: nothing of it is read
        self.out: list[bytes] = []
        self.heard = self.spoke = 0.0  # when, in seconds
        self._waiting = 0  # bytes in ``out``
        self._buffer = b""
        self._pace = Pace()

    # -- bytes in ---------------------------------------------------------------------------

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self.server.connections.add(self)
        if self.server.paused:
            transport.pause_reading()

    def data_received(self, data):
        server = self.server
        self.heard = now = server.loop.time()
        self._buffer = self._buffer + data if self._buffer else data
        server.answered = False
        self.work(now)
        # Never with a trace: what it shows is when things happened, to the microsecond.
        if server.trace is None and self._pace.rests(now, len(data), server.answered):
            self.stop_reading()
            server.loop.call_later(REST, self.listen)

    def eof_received(self):
        return False  # the transport closes itself

    def stop_reading(self) -> None:
        """Until :meth:`listen`."""
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def listen(self) -> None:
        """Read again, beginning with what was left."""
        if self.state == "closed" or self.blocked or self.server.paused:
            return
        self.heard = self.server.loop.time()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self.work(self.heard)

    # -- frames in --------------------------------------------------------------------------

    def work(self, now: float) -> None:
        """Deal with the frames in the buffer."""
        try:
            if self.state != "header" or self._read_greeting():
                self._cut_frames(now)
        except AmqpError as error:
            if self.state == "closing":
                self._buffer = b""  # what is thrown away need not be frames
            else:
                self.fail(now, error)
        except Exception as error:  # a fault of ours: it costs this connection, not the broker
            self.server.note_fault(error)
            self.fail(now, AmqpError(541))
        self.server.settle()

    def _read_greeting(self):
        """False while it has not come, or when it is for a protocol that we do not speak."""
        if len(self._buffer) < 8 and GREETING.startswith(self._buffer):
            return False
        if self._buffer[:8] != GREETING:
            self.transport.write(GREETING)
            self.end()
            return False
        self._buffer = self._buffer[8:]
        self.greet()
        return True

    def _cut_frames(self, now):
        buffer, at = self._buffer, 0
        size = len(buffer)
        try:
            while size - at >= 8 and not self.blocked and not self.server.paused:
                kind, number, length = _HEAD.unpack_from(buffer, at)
                if length > self.frame_max:  # RabbitMQ takes 8 bytes more than it sends, and than its text says
                    most = f"{{frame_too_large,{length},{self.frame_max - 8}}}"
                    raise AmqpError(501, f"type {kind}, all octets = <<>>: {most}")
                end = at + 7 + length
                if end >= size:
                    break
                if buffer[end] != 0xCE:
                    raise AmqpError(501, f"type {kind}, {length} octets: {{invalid_frame_end_marker,{buffer[end]}}}")
                start, at = at + 7, end + 1
                self.frame(now, kind, number, buffer[start:end])
                if self.state == "closed":
                    at = size
        finally:
            self._buffer = buffer[at:] if at else buffer

    # -- frames out -------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """A frame that is, for all we know, waited for."""
        self.server.answered = True
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
                self.spoke = self.server.loop.time()
                self.transport.write(data)
