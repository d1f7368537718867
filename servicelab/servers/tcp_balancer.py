"""A balancer that sees connections, and nothing of what is said on them."""

import asyncio
from contextlib import suppress

from servicelab.lifecycle import HOST
from servicelab.loop_server import LoopServer, accept_no_more


class TCPBalancer(LoopServer):
    """Passes each *connection* on to one of ``targets``, pairs ``(host, port)``; all that comes on it goes there.

    ``choose(number, peer)`` returns the index of the target for connection ``number`` (0, 1, …) from ``peer``, a pair
    ``(host, port)``; by default they come in turn. ``chosen`` are the choices so far. A target that cannot be reached
    closes the connection. Raises ValueError without targets.

    With ``accept_tls``, an ``ssl.SSLContext`` that asks for certificates, it speaks TLS to whoever comes, and with
    ``names`` closes the connection of those whose certificate has none of these DNS names. With ``connect_tls`` and
    ``target_name`` it speaks TLS to its targets, which must show that name.
    """

    scheme = "tcp"

    def __init__(
        self, targets, name="tcp balancer", choose=None, port=0,
        *, accept_tls=None, names=None, connect_tls=None, target_name=None,
    ):  # fmt: skip
        super().__init__(name, port)
        self.accept_tls, self.names = accept_tls, names
        self.connect_tls, self.target_name = connect_tls, target_name
        self.targets = list(targets)
        if not self.targets:
            raise ValueError(f"targets={targets!r} must hold at least one address, such as ('127.0.0.1', 8000)")
        self.choose = choose or (lambda number, peer: number % len(self.targets))
        self.chosen: list[int] = []
        self._server = None

    @property
    def target(self) -> str:
        """Where it listens, as a gRPC channel wants it. Raises ServerError while it is not running."""
        host, port = self.address
        return f"{host}:{port}"

    async def _begin(self) -> int:
        self.chosen = []
        self._server = await asyncio.start_server(self._accept, HOST, self.wanted_port, ssl=self.accept_tls)
        return self._server.sockets[0].getsockname()[1]

    async def _finish(self):
        if self._server is not None:
            await accept_no_more(self._server.sockets)
            self._server.close()
            self._server = None

    def _accept(self, reader, writer):
        # A task that is cancelled before it begins has no end of its own either.
        task = asyncio.get_running_loop().create_task(self._pass_on(reader, writer))
        task.add_done_callback(lambda _: writer.close())

    async def _pass_on(self, reader, writer):
        self.chosen.append(self.choose(len(self.chosen), writer.get_extra_info("peername")))
        if self.names is not None and not self.names & _names_of(writer.get_extra_info("peercert") or {}):
            return
        with suppress(OSError, asyncio.CancelledError):
            secured = {"ssl": self.connect_tls, "server_hostname": self.target_name} if self.connect_tls else {}
            from_target, to_target = await asyncio.open_connection(*self.targets[self.chosen[-1]], **secured)
            try:
                await asyncio.gather(_pump(reader, to_target), _pump(from_target, writer))
            finally:
                to_target.close()


async def _pump(reader, writer):
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
        else:  # TLS has no half-closed connections
            writer.close()


def _names_of(certificate):
    return {name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS"}
