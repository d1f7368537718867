"""Any server of the course in a process of its own, with the same handle as in the kernel.

with ServerProcess(lambda: WebSocketServer(echo, "orders"), "orders") as server:
    server.footprint()
"""

import functools
import gc
from typing import NamedTuple

import cloudpickle

from servicelab.lifecycle import Server, ServerError
from servicelab.servers.arguments import check_factory, check_options
from servicelab.servers.parent import Child
from servicelab.trace import Trace


class Footprint(NamedTuple):
    """What a process holds: ``memory`` of its own (bytes, not what it shares with others), ``threads``,
    ``descriptors`` (open files and sockets)."""

    memory: int
    threads: int
    descriptors: int


class ServerProcess(Server):
    """A server in a child process: it has its own interpreter lock, and it can crash or be killed.

    ``factory`` is a function without arguments that makes the server there and does not start it. It is sent to the
    child with cloudpickle, so it may come from a notebook cell; what it uses is copied, not shared. A trace that it
    uses becomes the one that reports here (give the same one as ``trace``). The events of the child are joined to the
    trace before every reading.

    ``.pid`` is the child's process id, ``.errors`` what its server notes as such, ``.output`` the last 200 lines that
    it wrote to stdout or stderr. When the child dies, the handle says so, with the last of these lines. Raises
    :class:`~servicelab.lifecycle.ServerError` when ``factory`` is no factory, cannot be sent, fails or returns
    something else, or when the child dies before it listens.
    """

    scheme = "tcp"

    def __init__(self, factory, name: str, *, trace: Trace | None = None, port: int = 0, lane: str | None = None):
        super().__init__(name, port, lane)
        check_factory(factory, name)
        check_options(name, trace, 1)
        self.factory = factory
        self.trace = trace
        self._child = Child(name, trace)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self.port is not None else None

    @property
    def errors(self) -> list[str]:
        self._child.feed()
        return self._child.errors

    @property
    def output(self):
        return self._child.output

    @property
    def is_running(self) -> bool:
        return self.port is not None and self._child.is_alive

    @property
    def address(self) -> tuple[str, int]:
        if self.port is not None and not self.is_running:
            raise ServerError(self._child.obituary())
        return super().address

    @property
    def target(self) -> str:
        """What a gRPC channel is made with."""
        host, port = self.address
        return f"{host}:{port}"

    def footprint(self) -> Footprint:
        """What the child holds now. Raises ServerError while it is not running."""
        return Footprint(*self._child.ask("footprint"))

    def _state(self):
        if self.port is not None and not self.is_running:
            return f"died: {self._child.fate}"
        return super()._state()

    def _open(self):
        self._child = Child(self.name, self.trace)
        try:
            cargo = cloudpickle.dumps(functools.partial(_Served, self.factory))
        except Exception as error:
            raise ServerError(
                f"the factory of {self.name!r} cannot be sent to a child process: {error}. "
                "Let it build what it needs itself, instead of using an object from the notebook."
            ) from error
        port = self._child.start(cargo, {"lane": self.lane, "port": self.wanted_port})
        self.scheme = self._child.ask("scheme")
        return port

    def _close(self):
        self._child.stop()


class HTTPProcess(ServerProcess):
    """A WSGI app in a child process; ``factory`` is a function without arguments that returns the app.

    ``workers`` and ``trace`` are as for :class:`~servicelab.servers.http.HTTPServer`, the rest as for
    :class:`ServerProcess`.
    """

    scheme = "http"

    def __init__(self, factory, name: str, *, workers: int = 8, **options):
        super().__init__(factory, name, **options)
        check_options(name, None, workers)
        self.factory = functools.partial(_app_server, factory, name, workers)


def _app_server(factory, name, workers):
    from servicelab.servers.http import HTTPServer  # here: that module needs this one

    return HTTPServer(factory(), name, workers=workers)


class _Served:
    """In the child: the server, with the methods that :mod:`servicelab.servers.child` calls."""

    def __init__(self, factory, name, trace, errors):
        self.factory, self.name, self.trace, self.errors = factory, name, trace, errors

    def start(self, options) -> int:
        server = self.server = self.factory()
        if not isinstance(server, Server) or server.is_running:
            raise ServerError(f"the factory of {self.name!r} must return a server that is not started, not {server!r}")
        server.name, server.lane, server.wanted_port = self.name, options["lane"], options["port"]
        if self.trace is not None:
            server.trace = self.trace
        server.errors = self.errors
        return server.start().port

    def ask(self, word: str):
        return self.server.scheme if word == "scheme" else footprint()

    def stop(self) -> None:
        self.server.stop()


def footprint() -> Footprint:
    """What this process holds, after a garbage collection."""
    import psutil  # here: only who measures waits for it

    gc.collect()
    process = psutil.Process()
    descriptors = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    return Footprint(process.memory_full_info().uss, process.num_threads(), descriptors)
