"""A server that misbehaves on the wire, byte by byte: a real socket, and a list of what to send when."""

import select
import socket
import threading
import time
from contextlib import suppress

from servicelab.lifecycle import HOST, Server
from servicelab.trace import reply_id

_SLICE = 0.05  # seconds between two looks at whether all is over


def head(length: int, status: str = "200 OK") -> bytes:
    """The headers of an answer whose body has ``length`` bytes."""
    lines = f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {length}", "Connection: close", "", ""
    return "\r\n".join(lines).encode()


class Wire(Server):
    """Reads one request on each connection, and then follows ``steps``: pairs of a pause in seconds and bytes.

    After the last step it ends its own half of the connection, as it announced, and waits for the client to hang up.
    ``call`` is the id of the call under way, for the stamps in ``trace``; ``asked`` are the first lines of the
    requests.
    """

    scheme = "http"

    def __init__(self, name, steps, trace, call):
        super().__init__(name)
        self.steps, self.trace, self.call, self.asked = steps, trace, call, []
        self._connected, self._change, self._over = 0, threading.Condition(), threading.Event()
        self._threads = []

    def is_alone(self, within: float) -> bool:
        """Has every client hung up, now or within so many seconds?"""
        with self._change:
            return self._change.wait_for(lambda: not self._connected, within)

    def _open(self):
        self._socket = socket.create_server((HOST, 0))
        self._socket.settimeout(_SLICE)
        self._start(self._accept)
        return self._socket.getsockname()[1]

    def _wait_until_it_answers(self):
        """It listens already; a trial connection would look like a client."""

    def _close(self):
        self._over.set()
        for thread in self._threads:
            thread.join(1.0)

    def _start(self, work, *args):
        self._threads.append(threading.Thread(target=work, args=args, name=f"servicelab {self.name} wire", daemon=True))
        self._threads[-1].start()

    def _count(self, change):
        with self._change:
            self._connected += change
            self._change.notify_all()

    def _accept(self):
        with self._socket:
            while not self._over.is_set():
                with suppress(TimeoutError):
                    line, _ = self._socket.accept()
                    self._count(+1)
                    self._start(self._serve, line)

    def _serve(self, line):
        try:
            with line, suppress(OSError):
                line.settimeout(_SLICE)
                if self._was_asked(line):
                    self._answer(line)
                    line.shutdown(socket.SHUT_WR)
                    self._hung_up(line, 60.0)
        finally:
            self._count(-1)

    def _was_asked(self, line):
        asked = b""
        while b"\r\n\r\n" not in asked and not self._over.is_set():
            with suppress(TimeoutError):
                piece = line.recv(4096)
                if not piece:
                    return False
                asked += piece
        self.asked.append(asked.partition(b"\r\n")[0].decode("latin-1"))
        self.trace.receive(self.call, self.name)
        return True

    def _answer(self, line):
        work = self.trace.start_work(self.name, "answer")
        for number, (pause, data) in enumerate(self.steps, 1):
            if self._hung_up(line, pause):
                break
            last = number == len(self.steps)
            label = f"{len(data)} bytes" if len(data) > 1 else "1 byte"
            kind, id = ("reply", reply_id(self.call)) if last else ("message", None)
            id = self.trace.send(self.name, "client", label, kind=kind, id=id)
            line.sendall(data)
            self.trace.receive(id, "client")  # on the loopback, what is written has arrived
        self.trace.end_work(work)

    def _hung_up(self, line, seconds):
        """Wait, and tell whether the client hung up meanwhile (or the server is to stop)."""
        end = time.monotonic() + seconds
        while not self._over.is_set():
            ready, _, _ = select.select([line], [], [], max(0.0, min(end - time.monotonic(), _SLICE)))
            if ready and not line.recv(4096):
                return True
            if time.monotonic() >= end:
                return False
        return True
