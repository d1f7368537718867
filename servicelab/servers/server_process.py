"""Any server of the course in a process of its own: it has its own interpreter lock, and what it costs can be measured.

    with ServerProcess(lambda: WebSocketServer(echo, "orders"), "orders") as server:
        server.footprint()

Run as ``python -m servicelab.servers.server_process`` this module is the child.
"""

import gc
import pickle
import traceback
from typing import NamedTuple

import psutil

from servicelab import trace as trace_module
from servicelab.lifecycle import Server, ServerError
from servicelab.servers import child
from servicelab.servers.parent import Child
from servicelab.servers.process import HTTPProcess
from servicelab.trace import Trace


class Footprint(NamedTuple):
    """What a process holds: ``memory`` of its own (bytes, not what it shares with others), ``threads``,
    ``descriptors`` (open files and sockets)."""

    memory: int
    threads: int
    descriptors: int


class ServerProcess(HTTPProcess):
    """A server of any kind in a child process; ``factory()`` makes it there and does not start it.

    As for :class:`HTTPProcess`, the factory may come from a notebook cell, what it uses is copied, and a trace that it
    uses becomes the one that reports here (give the same one as ``trace``). Raises
    :class:`~servicelab.lifecycle.ServerError` when the factory fails or returns something else.
    """

    scheme = "tcp"

    def __init__(self, factory, name: str, *, trace: Trace | None = None, port: int = 0, lane: str | None = None):
        super().__init__(factory, name, trace=trace, port=port, lane=lane)

    def _new_child(self):
        return Child("servicelab.servers.server_process", self.name, self.trace)

    def _open(self):
        port = super()._open()
        self.scheme = self._child.ask("scheme")
        return port

    @property
    def target(self) -> str:
        """What a gRPC channel is made with."""
        host, port = self.address
        return f"{host}:{port}"

    def footprint(self) -> Footprint:
        """What the child holds now. Raises ServerError while it is not running."""
        return Footprint(*self._child.ask("footprint"))


def footprint() -> Footprint:
    """What this process holds, after a garbage collection."""
    gc.collect()
    process = psutil.Process()
    descriptors = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    return Footprint(process.memory_full_info().uss, process.num_threads(), descriptors)


def main():
    luggage = child.unpack()
    if luggage is None:
        return
    options, pipe = luggage.options, luggage.pipe
    trace_module.forwarding = child.PipeTrace(pipe)
    try:
        server = pickle.loads(luggage.cargo)()
        if not isinstance(server, Server) or server.is_running:
            raise ServerError(f"it must return a server that is not started, not {server!r}")
    except BaseException as error:
        why = f"the factory of {options['name']!r} failed in the child process: {error!r}\n"
        pipe.say(failed=why + child.last_lines(traceback.format_exc()))
        return
    server.name, server.lane, server.wanted_port = options["name"], options["lane"], options["port"]
    if options["traced"]:
        server.trace = trace_module.forwarding
    server.errors = child.PipeErrors(pipe)
    try:
        server.start()
    except ServerError as error:
        pipe.say(failed=str(error))
        return
    pipe.say(port=server.port)
    child.obey(luggage, lambda word: server.scheme if word == "scheme" else footprint())
    server.stop()


if __name__ == "__main__":
    child.end(main)
