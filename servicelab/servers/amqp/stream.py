"""A socket that carries frames: cuts them out of what arrives, and collects what leaves until the turn is over."""

import asyncio
import struct

from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.wire import END

GREETING = b"AMQP\x00\x00\x09\x01"
HIGH_WATER = 256 * 1024  # bytes that may wait in a connection's buffers before deliveries to it stop
SMALLEST_FRAME = 4096  # bytes; AMQP 0-9-1, frame-min-size
CHUNK = 64 * 1024  # bytes of frames that are collected before they are written

REST = 0.002  # seconds; also how soon reads must follow one another to be a run
RUN = 16  # reads that answered nobody before the first rest
FULL = 16 * 1024  # bytes: a read this long has brought enough; to rest would only fill the socket's buffer
#: Unacknowledged messages on a channel. With so many in hand a client has work for two milliseconds (pika needs 30 µs
#: for each): it is not waiting for the one that is being delivered.
PLENTY = 64

_HEAD = struct.Struct(">BHI")


class Pace:
    """When to let a client go on before its socket is read again: what network cards call interrupt coalescing.

    A client that publishes and waits for nothing sends a message every 30 µs. To wake up for each of them costs more
    than the message does, and in a notebook, where client and broker share one interpreter lock, every waking also
    takes the lock from a client in full stride. So the socket of such a client rests for two milliseconds, and what
    has come by then is read at once. A rest begins only after a run of reads that nobody waits for an answer to. So
    the price is small: who ends such a stream with a question may get the answer two milliseconds later, once.
    """

    __slots__ = ("_last", "_run")

    def __init__(self):
        self._last = 0.0  # when it was read; the end of its rest, if it rested then
        self._run = 0

    def rests(self, now: float, size: int, answered: bool) -> bool:
        """Whether to rest after a read of ``size`` bytes at ``now`` (seconds).

        ``answered``: it made the broker say something that somebody may be waiting for.
        """
        self._run = 0 if answered or now - self._last > REST else self._run + 1
        rest = self._run >= RUN and size < FULL
        self._last = now + REST if rest else now
        return rest

    def wakes(self, now: float) -> None:
        """The rest is over. On a busy machine it is so late, which does not mean that the stream has ended."""
        self._last = max(now, self._last)


class FrameStream(asyncio.Protocol):
    """The server's end of a socket. A subclass says what the frames mean: ``greet``, ``frame``, ``again``, ``fail``
    and ``end``."""

    def __init__(self, server):
        self.server = server
        self.transport = None
        self.state = "header"  # then start, tune, open, running, closing (we said close), closed
        self.frame_max = SMALLEST_FRAME  # until they have agreed
        self.blocked = False  # it publishes while memory is short: nothing of it is read
        self.beginning = b""  # of its messages, all but the body, when they begin alike: ``again`` knows them
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
            server.loop.call_later(REST, self._wake)

    def _wake(self):
        self._pace.wakes(self.server.loop.time())
        self.listen()

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
                beginning = self.beginning
                if (
                    beginning
                    and buffer.startswith(beginning, at)
                    and (past := self.again(now, buffer, at + len(beginning)))
                ):
                    at = past
                    continue
                kind, number, length = _HEAD.unpack_from(buffer, at)
                if length > self.frame_max:  # RabbitMQ takes 8 bytes more than it sends, and than its text says
                    most = f"{{frame_too_large,{length},{self.frame_max - 8}}}"
                    raise AmqpError(501, f"type {kind}, all octets = <<>>: {most}")
                end = at + 7 + length
                if end >= size:
                    break
                if buffer[end] != END:
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
