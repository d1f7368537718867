"""One life for every server of the course: start, answer, stop, gone.

A subclass says how to open and how to close; everything a notebook needs besides is here. A server
listens on 127.0.0.1 on a port that the system chooses, has a name, and is a context manager. When
a cell is run again, the new server of that name replaces the old one and says so. ``running()``
lists what runs, ``stop_all()`` ends it, and the end of the kernel does the same.
"""

import atexit
import socket
import threading
import time

from servicelab.table import Table

HOST = "127.0.0.1"

_servers: dict[str, "Server"] = {}
_lock = threading.RLock()


class ServerError(RuntimeError):
    """A server could not start, or did not go away; the text says which and what to do."""


class Server:
    """A named server on a real socket.

    ``name`` is unique among running servers. ``port`` 0 (the default) lets the system choose; the
    chosen one is in ``.port`` after :meth:`start`. ``lane`` is the name under which diagrams show
    what happens behind this address: its own, unless it stands in front of another (a proxy).

    Subclasses implement :meth:`_open` (bind, begin to serve, return the port) and :meth:`_close`
    (end everything that ``_open`` began, within 2 s). Raises :class:`ServerError`.
    """

    scheme = "tcp"

    def __init__(self, name: str, port: int = 0):
        if not isinstance(name, str) or not name:
            raise ServerError(f"a server needs a name such as 'orders', not {name!r}")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
            raise ServerError(f"port={port!r} is no port: use 0 and let the system choose a free one")
        self.name = name
        self.lane = name
        self.wanted_port = port
        self.port: int | None = None

    # -- for subclasses ---------------------------------------------------------------------

    def _open(self) -> int:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    # -- for everyone -----------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """``(host, port)``. Raises ServerError while it is not running."""
        if self.port is None:
            raise ServerError(f"{self.name} is not running: call .start() first")
        return HOST, self.port

    @property
    def url(self) -> str:
        host, port = self.address
        return f"{self.scheme}://{host}:{port}"

    @property
    def is_running(self) -> bool:
        return self.port is not None

    def start(self):
        """Start, wait until it answers, return self. Replaces a running server of the same name."""
        if self.is_running:
            return self
        with _lock:
            old = _servers.get(self.name)
            if old is not None:
                port = old.port
                old.stop()
                print(f"{self.name}: replaced the one that ran on port {port}")
            try:
                self.port = self._open()
                self._wait_until_it_answers()
            except BaseException as error:
                self._close()
                self.port = None
                if isinstance(error, OSError) and not isinstance(error, ServerError):
                    raise ServerError(
                        f"{self.name} could not listen on {HOST}:{self.wanted_port}: {error.strerror or error}. "
                        "Use port=0 and let the system choose a free one."
                    ) from error
                raise
            _servers[self.name] = self
        return self

    def stop(self) -> None:
        """Stop, and return when the port is free again. Stopping twice is fine."""
        with _lock:
            if not self.is_running:
                return
            port, self.port = self.port, None
            if _servers.get(self.name) is self:
                del _servers[self.name]
            self._close()
        if not _wait_for(lambda: not is_listening(port), 2.0):
            raise ServerError(f"{self.name} was stopped, but port {port} still answers")

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()

    def __repr__(self):
        return f"<{self.name} at {self.url}>" if self.is_running else f"<{self.name}, stopped>"

    def _wait_until_it_answers(self):
        if not _wait_for(lambda: is_listening(self.port), 5.0):
            raise ServerError(f"{self.name} did not answer on port {self.port} within 5 s")


def running() -> Table:
    """The running servers as a table."""
    with _lock:
        rows = [(server.name, type(server).__name__, server.url) for server in _servers.values()]
    return Table(("name", "kind", "address"), rows, f"{len(rows)} running" if rows else "nothing is running")


def stop_all() -> int:
    """Stop every running server; returns how many there were. One that fails does not spare the rest."""
    with _lock:
        servers = list(_servers.values())
    errors = []
    for server in reversed(servers):
        try:
            server.stop()
        except Exception as error:
            errors.append(error)
    if errors:
        raise ServerError("; ".join(str(error) for error in errors))
    return len(servers)


def server_at(port: int) -> Server | None:
    """The running server that listens on ``port``."""
    with _lock:
        return next((server for server in _servers.values() if server.port == port), None)


def is_listening(port: int) -> bool:
    """Does anything accept connections on 127.0.0.1:port?"""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_for(condition, limit: float) -> bool:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


atexit.register(stop_all)
