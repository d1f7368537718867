"""Many small services at once, such as the shards behind a search page: one datagram in, one out, after some time.

UDP, because a page that asks a hundred of them over TCP needs a hundred connections, and fifty pages five thousand.
"""

import asyncio
import time

from servicelab.arguments import whole
from servicelab.lifecycle import HOST, Component, ServerError
from servicelab.loop_server import LoopThread


class Leaves(Component):
    """``n`` UDP services in one thread, the i-th at ``addresses[i]``.

    A question is any datagram. Leaf ``i`` answers with its number, after ``takes(i, question)`` seconds (``question``
    as text). ``served`` lists ``(leaf, seconds)`` of all answers: what the leaf's own stopwatch says, from the question
    to the answer. Raises ServerError for a ``takes`` that cannot be called, ValueError for ``n`` out of 1 … 500.
    """

    def __init__(self, n: int, takes, name: str = "leaves"):
        super().__init__(name)
        if not callable(takes):
            raise ServerError(f"takes={takes!r} must be a function (leaf, question) that returns seconds")
        self.n = whole("n", n, "leaves", most=500)
        self.takes = takes
        self.addresses: list[tuple[str, int]] = []
        self.served: list[tuple[int, float]] = []
        self.errors: list[str] = []
        self._loop = None

    def _open(self):
        self.served.clear()
        self._loop = LoopThread(self.name, self.errors)
        self._loop.start()
        self.addresses = self._loop.run(self._listen)

    async def _listen(self):
        loop, self._transports = asyncio.get_running_loop(), []
        for number in range(self.n):
            transport, _ = await loop.create_datagram_endpoint(lambda n=number: _Leaf(self, n), (HOST, 0))
            self._transports.append(transport)
        return [one.get_extra_info("sockname")[:2] for one in self._transports]

    async def _hang_up(self):
        for transport in self._transports:
            transport.close()

    def _close(self):
        if self._loop is not None:
            self._loop.end(self._hang_up)
            self._loop = None


class _Leaf(asyncio.DatagramProtocol):
    def __init__(self, leaves, number):
        self.leaves, self.number = leaves, number

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        wait = self.leaves.takes(self.number, data.decode("utf-8", "replace"))
        asyncio.get_running_loop().call_later(wait, self.answer, sender, time.monotonic())

    def answer(self, sender, since):
        self.leaves.served.append((self.number, time.monotonic() - since))
        if not self.transport.is_closing():
            self.transport.sendto(str(self.number).encode(), sender)
