"""HTTP servers on real sockets: ``serve(app, "orders")`` in the kernel, or in a process of its own."""

import logging
import threading
import time

from flask.logging import default_handler

import servicelab.servers.routes  # noqa: F401  # several threads may build apps
from servicelab.lifecycle import Server, join
from servicelab.servers.arguments import check_app, check_options
from servicelab.servers.engine import Engine
from servicelab.servers.server_process import HTTPProcess
from servicelab.servers.stamps import Stamped
from servicelab.trace import Trace


class HTTPServer(Server):
    """A WSGI app (a Flask app, say) behind a socket, served by threads of this kernel.

    ``workers`` is the exact number of requests that are handled at the same time; the others wait
    in one queue, first come first served. An idle kept-alive connection occupies no worker. With a
    ``trace`` every request is stamped: *receive* when it could be read (it may then wait for a
    worker), *start_work* when a worker takes it up, *end_work* when its reply is ready, *send* when
    the reply leaves; without one nothing is stamped and nothing costs anything.

    ``lane`` is the service that diagrams show, if it is not to be ``name``: two servers of one service have one lane.

    A handler that raises answers with status 500; its traceback is in ``.errors``, as is what a
    Flask app logs; nothing is printed. ``stop()`` gives requests in flight ``grace`` seconds, then
    cuts their connections; a handler that sleeps on is left to end by itself.

    Raises :class:`~servicelab.lifecycle.ServerError` when ``app`` is no app, ``workers`` is not in 1…256, or a fixed
    ``port`` is taken.
    """

    scheme = "http"
    grace = 0.5  # seconds

    def __init__(
        self, app, name: str, *, trace: Trace | None = None, workers: int = 8, port: int = 0, lane: str | None = None
    ):
        super().__init__(name, port, lane)
        check_app(app, name)
        check_options(name, trace, workers)
        self.app = app
        self.trace = trace
        self.workers = workers
        self.errors: list[str] = []
        self._engine = None
        self._thread = None

    def _open(self):
        self.errors.clear()
        keep_log(self.app)
        app = Stamped(self.app, self.lane, self.trace) if self.trace is not None else self.app
        clock = self.trace.clock if self.trace is not None else time.monotonic
        self._engine = engine = Engine(self.wanted_port, app, self.name, self.workers, self.errors, clock, self.grace)
        try:
            engine.prepare()
        except OSError as error:
            raise engine.bind_failure or error from None
        self._thread = threading.Thread(target=engine.serve, name=f"servicelab {self.name} selector", daemon=True)
        self._thread.start()
        return engine.bind_addr[1]

    def _close(self):
        if self._engine is not None:
            self._engine.end()
            if self._thread is not None:
                join([self._thread], 1.0)
            self._engine = self._thread = None


def keep_log(app):
    """Let a Flask app log to its server's error list only, also when the notebook has configured logging."""
    logger = getattr(app, "logger", None)
    if isinstance(logger, logging.Logger):
        logger.propagate = False
        if default_handler not in logger.handlers:
            logger.addHandler(default_handler)


def serve(
    app,
    name: str,
    *,
    trace: Trace | None = None,
    workers: int = 8,
    port: int = 0,
    lane: str | None = None,
    process: bool = False,
):
    """Start a server for ``app`` and return its handle: ``.url``, ``.port``, ``.errors``, ``.stop()``.

    A running server of the same name is replaced. With ``process=True`` the server runs in a child
    process, and ``app`` is a function without arguments that builds the app there. See
    :class:`HTTPServer` and :class:`~servicelab.servers.server_process.HTTPProcess` for arguments and errors.
    """
    kind = HTTPProcess if process else HTTPServer
    return kind(app, name, trace=trace, workers=workers, port=port, lane=lane).start()
