"""What all servers with a thread for each connection need: a listening socket, an end within a bound, silence."""

import contextlib
import ctypes
import logging
import os
import socket
import struct
import sys
import threading
import traceback

from servicelab.lifecycle import HOST, join

#: Connections which the operating system holds until they are accepted.
BACKLOG = 1024


def listen(port: int, send_buffer: int | None = None) -> socket.socket:
    """A socket that listens on 127.0.0.1. ``send_buffer``: bytes of the kernel's buffer for what each connection sends
    (Linux doubles it); None leaves it to the system, which lets it grow to megabytes. Raises OSError."""
    sock = hold(port)
    try:
        if send_buffer is not None:  # connections inherit it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def hold(port: int) -> socket.socket:
    """A socket that has the port and does not listen: it keeps the number for a server that is away. Whoever connects
    is refused, and the system gives the number to nobody. On Linux the server can listen beside it. Raises OSError."""
    sock = socket.socket()
    try:
        if os.name == "posix":  # elsewhere the option would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock


def unsent(sock: socket.socket) -> int | None:
    """Bytes that wait in the kernel because the peer has not acknowledged them; None where the system does not say.

    ``connection.socket`` of a WebSocket is such a socket. Source: SIOCOUTQ in tcp(7), SO_NWRITE in the BSDs.
    """
    try:
        if sys.platform == "linux":
            import fcntl
            import termios

            return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        return sock.getsockopt(socket.SOL_SOCKET, 0x1024) if sys.platform == "darwin" else None
    except OSError:  # it has been closed
        return None


def shut(sock: socket.socket) -> None:
    """End a connection whatever its threads are doing: those that read or write it wake up."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def started(thread: threading.Thread) -> bool:
    """Start it; False when the system starts no more threads."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def end(threads, name: str, errors: list[str], patience: float = 0.2) -> None:
    """Raise SystemExit in threads that run on. One that sleeps ends when it wakes; that is noted in ``errors``."""
    threads = list(threads)
    for thread in threads:
        if thread.is_alive() and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    if left := join(threads, patience):
        errors.append(
            f"{name}: {len(left)} handlers were still running after the server was stopped. Their connections were "
            "cut; they end as soon as what they wait for ends."
        )


class ErrorStream:
    """``wsgi.errors``: where Flask writes the traceback of a handler."""

    def __init__(self, errors: list[str]):
        self.errors = errors

    def write(self, text):
        if text.strip():
            self.errors.append(text.rstrip())

    def writelines(self, lines):
        self.write("".join(lines))

    def flush(self):
        pass


def traceback_text() -> str:
    """The traceback of the exception that is being handled."""
    return traceback.format_exc().rstrip()


def errors_logger(name: str, errors: list[str], level=logging.WARNING) -> logging.Logger:
    """A logger that appends what is of ``level`` or worse to ``errors`` and prints nothing."""
    logger = _Logger(f"servicelab {name}", level)  # not registered, so that it goes with its server
    logger.addHandler(_Append(errors))
    return logger


class _Logger(logging.Logger):
    """A logger that takes no lock to see that a record does not count. An interrupt that falls between the taking of
    logging's lock and the ``try`` after it leaves the lock taken, and every thread that logs waits for ever."""

    def isEnabledFor(self, level):
        return level >= self.level


class _Append(logging.Handler):
    def __init__(self, errors):
        super().__init__()
        self.errors = errors

    def emit(self, record):
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        self.errors.append(text)
