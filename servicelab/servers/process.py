"""An HTTP server in a process of its own, with the same handle as one in the kernel."""

import cloudpickle

from servicelab.lifecycle import Server, ServerError
from servicelab.servers.arguments import check_factory, check_options
from servicelab.servers.parent import Child
from servicelab.trace import Trace


class HTTPProcess(Server):
    """A WSGI app in a child process: it has its own interpreter lock, and it can crash or be killed.

    ``factory`` is a function without arguments that returns the app. It is sent to the child with
    cloudpickle, so it may come from a notebook cell; what it uses is copied, not shared. A
    ``trace`` it uses (for a traced session, say) becomes the one that reports here. ``workers`` and
    ``trace`` are as for :class:`~servicelab.servers.http.HTTPServer`. The events of the child are
    joined to the trace before every reading.

    ``.pid`` is the child's process id, ``.errors`` the tracebacks of its handlers, ``.output`` the
    last 200 lines that it wrote to stdout or stderr. When the child dies, the handle says so, with
    the last of these lines. Raises :class:`~servicelab.lifecycle.ServerError` when ``factory`` is no
    factory, cannot be sent, fails, or when the child dies before it listens.
    """

    scheme = "http"

    def __init__(
        self,
        factory,
        name: str,
        *,
        trace: Trace | None = None,
        workers: int = 8,
        port: int = 0,
        lane: str | None = None,
    ):
        super().__init__(name, port, lane)
        check_factory(factory, name)
        check_options(name, trace, workers)
        self.factory = factory
        self.trace = trace
        self.workers = workers
        self._child = self._new_child()

    def _new_child(self):
        return Child("servicelab.servers.child", self.name, self.trace)

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

    def _state(self):
        if self.port is not None and not self.is_running:
            return f"died: {self._child.fate}"
        return super()._state()

    def _open(self):
        self._child = self._new_child()
        options = {
            "name": self.name,
            "lane": self.lane,
            "workers": self.workers,
            "port": self.wanted_port,
            "traced": self.trace is not None,
        }
        try:
            factory = cloudpickle.dumps(self.factory)
        except Exception as error:
            raise ServerError(
                f"the factory of {self.name!r} cannot be sent to a child process: {error}. "
                "Let it build what it needs itself, instead of using an object from the notebook."
            ) from error
        return self._child.start(options, factory)

    def _close(self):
        self._child.stop()
