"""Servers that misbehave on the wire, byte by byte: a real socket, and a list of what to send when."""

import select
import socket
import threading
import time
from contextlib import suppress

from servicelab.lifecycle import HOST, Server
from servicelab.trace import reply_id

#: A step that closes the connection.
CLOSE = object()


def head(length: int) -> bytes:
    """The headers of an answer whose body has ``length`` bytes."""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()
    )


class Wire(Server):
    """Reads one request on each connection, and then follows ``steps``: pairs of a pause in seconds and bytes.

    After the last step it keeps silent until the client hangs up. ``call`` is the id of the call under way, for the
    stamps in ``trace``.
    """

    scheme = "http"

    def __init__(self, name, steps, trace, call):
        super().__init__(name)
        self.steps, self.trace, self.call = steps, trace, call
        self._connected, self._change = 0, threading.Condition()
        self._socket, self._threads, self._lines = None, [], []
        self._over = threading.Event()

    def is_alone(self, within: float) -> bool:
        """Has every client hung up, now or within so many seconds?"""
        with self._change:
            return self._change.wait_for(lambda: not self._connected, within)

    def _count(self, change):
        with self._change:
            self._connected += change
            self._change.notify_all()

    def _open(self):
        self._socket = socket.create_server((HOST, 0))
        self._start(self._accept)
        return self._socket.getsockname()[1]

    def _wait_until_it_answers(self):
        """It listens already; a trial connection would look like a client."""

    def _close(self):
        self._over.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._socket.close()
        for line in list(self._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(1.0)

    def _start(self, work, *args):
        thread = threading.Thread(target=work, args=args, name=f"servicelab {self.name} wire", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._over.is_set():
            try:
                ready, _, _ = select.select([self._socket], [], [], 0.1)
                if ready:
                    line, _ = self._socket.accept()
                    self._lines.append(line)
                    self._count(+1)
                    self._start(self._serve, line)
            except (OSError, ValueError):
                return

    def _serve(self, line):
        try:
            with line, suppress(OSError):
                if self._was_asked(line):
                    self.trace.receive(self.call, self.name)
                    work = self.trace.start_work(self.name, "answer")
                    self._answer(line)
                    self.trace.end_work(work)
        finally:
            self._count(-1)

    @staticmethod
    def _was_asked(line):
        asked = b""
        while b"\r\n\r\n" not in asked:
            piece = line.recv(4096)
            if not piece:
                return False
            asked += piece
        return True

    def _answer(self, line):
        for number, (pause, data) in enumerate(self.steps, 1):
            if self._hung_up(line, pause):
                return
            if data is CLOSE:
                return
            last = number == len(self.steps)
            label = f"{len(data)} bytes" if len(data) > 1 else "1 byte"
            id = self.trace.send(
                self.name,
                "client",
                label,
                kind="reply" if last else "message",
                id=reply_id(self.call) if last else None,
            )
            line.sendall(data)
            self.trace.receive(id, "client")  # on the loopback, what is written has arrived
        self._hung_up(line, 60.0)

    def _hung_up(self, line, seconds):
        """Wait, and tell whether the client hung up meanwhile (or the server is to stop)."""
        end = time.monotonic() + seconds
        while not self._over.is_set():
            ready, _, _ = select.select([line], [], [], max(0.0, min(end - time.monotonic(), 0.1)))
            if ready and not line.recv(4096):
                return True
            if time.monotonic() >= end:
                return False
        return True
