"""A server that misbehaves on the wire, byte by byte: a real socket, and a list of what to send when."""

import asyncio
from contextlib import suppress

from servicelab.lifecycle import HOST
from servicelab.loop_server import LoopServer, accept_no_more, turns
from servicelab.trace import reply_id


def head(length: int, status: str = "200 OK") -> bytes:
    """The headers of an answer whose body has ``length`` bytes."""
    lines = f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {length}", "Connection: close", "", ""
    return "\r\n".join(lines).encode()


class Wire(LoopServer):
    """Reads one request on each connection, and then follows ``steps``: pairs of a pause in seconds and bytes.

    After the last step it closes its side, as it announced, and waits for the client to hang up. ``call`` is the id of
    the call under way, for the stamps in ``trace``; ``asked`` are the first lines of the requests.
    """

    scheme = "http"

    def __init__(self, name, steps, trace, call):
        super().__init__(name)
        self.steps, self.trace, self.call, self.asked = steps, trace, call, []
        self._server, self._lines = None, []

    def is_alone(self, within: float) -> bool:
        """Has every client hung up, now or within so many seconds?"""

        async def alone():
            await turns()  # whoever is at the door comes in
            return not self._lines or not (await asyncio.wait(self._lines, timeout=within))[1]

        return self._do(alone)

    async def _begin(self):
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        return self._server.sockets[0].getsockname()[1]

    async def _finish(self):
        if self._server is not None:
            await accept_no_more(self._server.sockets)
            self._server.close()

    def _accept(self, reader, writer):
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        task.add_done_callback(lambda _: writer.close())
        self._lines.append(task)

    async def _serve(self, reader, writer):
        with suppress(OSError, asyncio.IncompleteReadError):
            asked = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(asked.partition(b"\r\n")[0].decode("latin-1"))
            self.trace.receive(self.call, self.name)
            hung_up = asyncio.ensure_future(reader.read())
            await self._answer(writer, hung_up)
            await hung_up

    async def _answer(self, writer, hung_up):
        for pause, data in self.steps:
            await asyncio.wait([hung_up], timeout=pause)
            if hung_up.done():
                return
            is_last = data is self.steps[-1][1]
            kind, id = ("reply", reply_id(self.call)) if is_last else ("message", None)
            id = self.trace.send(self.name, "client", f"{len(data)} bytes", kind=kind, id=id)
            writer.write(data)
            self.trace.receive(id, "client")  # on the loopback, what is written has arrived
        writer.write_eof()
