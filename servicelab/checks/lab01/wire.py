"""A server that misbehaves on the wire, byte by byte: a real socket, and a list of what to send when."""

import asyncio
import socket
from contextlib import closing, suppress

from servicelab.lifecycle import HOST
from servicelab.loop_server import LoopServer, accept_no_more, turns
from servicelab.trace import reply_id


class Wire(LoopServer):
    """Reads one request on each connection, and then follows ``steps``: pairs of a pause in seconds and bytes. Without
    any, it does not listen at its port.

    After the last step it closes its side and waits for the client to hang up. ``call`` is the id of the call under
    way, for the stamps in ``trace``; ``asked`` are the first lines of the requests.
    """

    scheme = "http"

    def __init__(self, steps, trace, call):
        super().__init__("shipping")
        self.steps, self.trace, self.call, self.asked, self._lines = steps, trace, call, [], []

    def is_alone(self, within: float) -> bool:
        """Has every client hung up, now or within so many seconds?"""

        async def alone():
            await turns()  # whoever is at the door comes in
            return not self._lines or not (await asyncio.wait(self._lines, timeout=within))[1]

        return self._do(alone)

    async def _begin(self):
        self._door = socket.socket()
        self._door.bind((HOST, 0))
        if self.steps:
            await asyncio.start_server(self._serve, sock=self._door)
        return self._door.getsockname()[1]

    async def _finish(self):
        await accept_no_more([self._door])
        self._door.close()

    async def _serve(self, reader, writer):
        self._lines.append(asyncio.current_task())
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError):
            asked = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(asked.partition(b"\r\n")[0].decode("latin-1"))
            self.trace.receive(self.call, self.name)
            hung_up = asyncio.ensure_future(reader.read())
            for pause, data in self.steps:
                await asyncio.wait([hung_up], timeout=pause)
                if hung_up.done():
                    return
                kind, id = ("reply", reply_id(self.call)) if data is self.steps[-1][1] else ("message", None)
                id = self.trace.send(self.name, "client", f"{len(data)} bytes", kind=kind, id=id)
                writer.write(data)
                self.trace.receive(id, "client")  # on the loopback, what is written has arrived
            writer.write_eof()
            await hung_up
