"""One of the two sockets of a connection through the proxy, in the proxy's loop.

It does what asyncio's transports do, for a stream that is only passed on. They copy what the other end does not take
at once, twice and more, and read 256 kB at most; here it waits as the pieces that came, and reads grow with the stream.
A delayed download is half as fast again, and any costs a fifth less of the processor.
"""

import contextlib
import os
import socket
import struct
from collections import deque

from servicelab.faults.toxics import END

#: Bytes to read at once: the least, and the most on a connection whose sender always has more.
LEAST, MOST = 64 * 1024, 1024 * 1024

# A socket that is closed with a linger time of 0 sends RST instead of FIN (SO_LINGER in socket(7)).
_LINGER_0 = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Side:
    """The socket ``sock`` of a ``connection``: ``reads`` is the pipe it feeds, ``writes`` the pipe that ends in it.

    It begins to read with :meth:`resume_reading`. When it is closed, by either end, ``connection.lost(side, error)`` is
    called once, in a later turn of the loop.
    """

    def __init__(self, connection, loop, sock, reads, writes):
        self.held = 0  # bytes that wait for the socket to take them
        self._connection = connection
        self._loop = loop
        self._sock = sock
        self.reads = reads
        self._writes = writes
        self._waiting = deque()
        self._size = LEAST
        self._ends = self._is_closing = self._is_over = False
        reads.source = writes.sink = self
        sock.setblocking(False)
        # Nagle's algorithm is on for an accepted socket, and a reply that leaves in two pieces then waits 40 ms for the
        # acknowledgement of the first.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_extra_info(self, name):
        """As transports have it: the ``"socket"``."""
        return self._sock if name == "socket" else None

    # -- reading ------------------------------------------------------------------------------

    def resume_reading(self):
        if not self._is_closing:
            self._loop.add_reader(self._sock, self._read)

    def pause_reading(self):
        if not self._is_closing:
            self._loop.remove_reader(self._sock)

    def _read(self):
        try:
            data = self._sock.recv(self._size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._leave(error)
            return
        if not data:
            self.pause_reading()  # and keep the other half open
            self.reads.feed(END)
            return
        if len(data) == self._size < MOST:
            self._size *= 2
        self._connection.watch(self.reads, data)
        self.reads.feed(data)

    # -- writing ------------------------------------------------------------------------------

    def write(self, data):
        if self._is_closing:
            return
        if not self._waiting:
            data = self._send(data)
            if not data:
                return
            self._loop.add_writer(self._sock, self._write)
        self._waiting.append(data)
        self.held += len(data)

    def write_eof(self):
        """Close this half when all that waits is written."""
        self._ends = True
        if not self._waiting:
            self._shut()

    def _send(self, data):
        """What the socket did not take of it."""
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return data
        except OSError as error:
            self._leave(error)
            return None
        return memoryview(data)[sent:] if sent < len(data) else None

    def _write(self):
        while self._waiting:
            data = self._waiting.popleft()
            self.held -= len(data)
            rest = self._send(data)
            if rest:
                self._waiting.appendleft(rest)
                self.held += len(rest)
                break
        if self._is_over:
            return
        if not self._waiting:
            self._loop.remove_writer(self._sock)
            if self._ends:
                self._shut()
            if self._is_closing:
                self._leave()
        self._writes.balance()

    def _shut(self):
        with contextlib.suppress(OSError):  # the peer was faster, and it is gone already
            self._sock.shutdown(socket.SHUT_WR)

    # -- the end ------------------------------------------------------------------------------

    def close(self):
        """Close it when all that waits is written."""
        self.pause_reading()
        self._is_closing = True
        if not self._waiting:
            self._leave()

    def abort(self, reset=False):
        """Close it now, with a TCP RST if ``reset``."""
        if reset and not self._is_over:
            with contextlib.suppress(OSError):  # the peer was faster, and it is gone already
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self._leave()

    def _leave(self, error=None):
        if self._is_over:
            return
        self._is_closing = self._is_over = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._waiting.clear()
        self.held = 0
        self._loop.call_soon(self._close, error)

    def _close(self, error):
        self._sock.close()
        self._connection.lost(self, error)


async def dial(loop, host, port):
    """A socket that is connected to ``host``. Raises OSError when none of its addresses answers."""
    failed = OSError(f"{host} has no address")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name: that takes a thread
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            return sock
        except BaseException as error:
            if sock is not None:
                sock.close()
            if not isinstance(error, OSError):
                raise
            failed = error
    raise failed
