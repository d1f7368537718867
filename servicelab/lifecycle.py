"""One life for everything that runs in a notebook: start, work, stop, gone.

A subclass says how to open and how to close; everything a notebook needs besides is here. What runs has a name and is
a context manager. When a cell is run again, the new one of that name replaces the old one and says so. ``running()``
lists what runs, ``stop_all()`` ends it, and the end of the kernel does the same.

A :class:`Server` also listens, on 127.0.0.1, on a port that the system chooses.
"""

import atexit
import socket
import threading
import time

from servicelab.table import Table

HOST = "127.0.0.1"

_running: dict[str, "Component"] = {}
_lock = threading.RLock()


class ServerError(RuntimeError):
    """Something could not start, or did not go away; the text says what, and what to do."""


class Component:
    """What runs under a name: a server, a consumer, a resolver.

    ``name`` is unique among what runs. ``lane`` is the name under which diagrams show what it does: its own, unless
    several share one.

    Subclasses implement :meth:`_open` and :meth:`_close` (end everything that ``_open`` began, within 2 s). ``_close``
    must also cope with an ``_open`` that was cut short, and with being called a second time. Raises
    :class:`ServerError`.
    """

    def __init__(self, name: str, lane: str | None = None):
        if not isinstance(name, str) or not name:
            raise ServerError(f"a server needs a name such as 'orders', not {name!r}")
        self.name = name
        self.lane = lane or name
        self._is_open = False

    # -- for subclasses ---------------------------------------------------------------------

    def _open(self):
        raise NotImplementedError

    def _opened(self, result) -> None:
        """Wait until it works; ``result`` is what ``_open`` returned."""

    def _close(self) -> None:
        raise NotImplementedError

    def _state(self) -> str:
        return "running" if self.is_running else "stopped"

    # -- for everyone -----------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return self._is_open

    def start(self):
        """Start, wait until it works, return self. Replaces what runs under the same name."""
        with _lock:
            if self.is_running:
                return self
            self.stop()  # what is left of one that died
            old = _running.get(self.name)
            if old is not None:
                port, ran = getattr(old, "port", None), old.is_running
                old.stop()
                if ran:  # one that crashed is not missed
                    print(f"{self.name}: replaced the one that ran" + (f" on port {port}" if port else ""))
            try:
                result = self._open()
                self._is_open = True
                self._opened(result)
                _running[self.name] = self
            except BaseException:
                self._is_open = False
                self._end()
                raise
        return self

    def stop(self) -> None:
        """Stop, and return when it is gone. Stopping twice is fine."""
        with _lock:
            if not self._is_open:
                return
            self._is_open = False
            if _running.get(self.name) is self:
                del _running[self.name]
            self._end()

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()

    def __repr__(self):
        return f"<{self.name} {self._state()}>"

    def _end(self):
        try:
            self._close()
        except BaseException:  # an interrupt while it ends must not leave half of it behind
            self._close()
            raise


class Server(Component):
    """A named server on a real socket.

    ``port`` 0 (the default) lets the system choose; the chosen one is in ``.port`` after :meth:`start`. ``lane`` is the
    service that diagrams show behind this address: its own, unless it stands in front of another (a proxy).

    Subclasses implement :meth:`_open` (bind, begin to serve, return the port) and :meth:`_close`, as for
    :class:`Component`.
    """

    scheme = "tcp"

    def __init__(self, name: str, port: int = 0, lane: str | None = None):
        super().__init__(name, lane)
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
            raise ServerError(f"port={port!r} is no port: use 0 and let the system choose a free one")
        self.wanted_port = port
        self._port: int | None = None

    @property
    def port(self) -> int | None:
        return self._port if self._is_open else None

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

    def _state(self) -> str:
        return f"at {self.url}" if self.is_running else "stopped"

    def _opened(self, port):
        self._port = port
        self._wait_until_it_answers()

    def _wait_until_it_answers(self):
        if not wait_until(lambda: is_listening(self.port), 5.0):
            raise ServerError(f"{self.name} did not answer on port {self.port} within 5 s")

    def start(self):
        """Start, wait until it answers, return self. Replaces a running server of the same name."""
        try:
            return super().start()
        except OSError as error:
            holder = server_at(self.wanted_port)
            raise ServerError(
                f"{self.name} could not listen on {HOST}:{self.wanted_port}: {error.strerror or error}"
                + (f" by your server {holder.name!r}" if holder else "")
                + ". Use port=0 and let the system choose a free one."
            ) from error

    def stop(self) -> None:
        """Stop, and return when the port is free again. Stopping twice is fine."""
        port = self.port
        super().stop()
        if port is not None and not wait_until(lambda: not is_listening(port), 2.0):
            raise ServerError(f"{self.name} was stopped, but port {port} still answers")


def running() -> Table:
    """What runs, as a table."""
    rows = [(one.name, type(one).__name__, one._state().removeprefix("at ")) for one in components()]
    return Table(("name", "kind", "address"), rows, f"{len(rows)} running" if rows else "nothing is running")


def stop_all() -> int:
    """Stop everything that runs; returns how many there were. One that fails does not spare the rest."""
    found = components()
    errors = []
    for one in reversed(found):
        try:
            one.stop()
        except Exception as error:
            errors.append(error)
    if errors:
        raise ServerError("; ".join(str(error) for error in errors))
    return len(found)


def server_at(port: int) -> Server | None:
    """The running server that listens on ``port``."""
    return next((one for one in components() if isinstance(one, Server) and one.port == port), None)


def components() -> list[Component]:
    """What runs, in the order in which it was started."""
    # Without the lock, which is held while a server ends and waits for its handlers: they may ask.
    return list(_running.values())


def is_listening(port: int) -> bool:
    """Does anything accept connections on 127.0.0.1:port?"""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            # When nobody listens, Linux may give us that very port and connect us to ourselves.
            return connection.getsockname() != connection.getpeername()
    except OSError:
        return False


def join(threads, limit: float) -> list[threading.Thread]:
    """Wait at most ``limit`` seconds in all; returns the threads that still run. One that was never started is not
    waited for; one whose ``start()`` was interrupted, or is under way in another thread, is."""
    end = time.monotonic() + limit
    threads = [thread for thread in threads if thread is not threading.current_thread()]
    for thread in threads:
        while _is_starting(thread) and time.monotonic() < end:
            time.sleep(0.001)
        if thread.is_alive():
            thread.join(max(0.0, end - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


def _is_starting(thread):
    """It is on its way, and ``Thread.join`` would refuse it: the system's thread may exist, and even have its ident,
    before it says that it has started."""
    return not thread.is_alive() and thread in threading.enumerate()


def wait_until(condition, limit: float = 3.0) -> bool:
    """Wait until ``condition()`` holds, for ``limit`` seconds at most; says whether it does."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return condition()  # it may have come true while the machine stood still
        time.sleep(0.005)
    return True


atexit.register(stop_all)
