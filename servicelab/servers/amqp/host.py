"""A broker in a thread of this process: the event loop, the server on it, and the file behind it."""

import asyncio
import os
import sys
from functools import partial

from servicelab.lifecycle import ServerError
from servicelab.loop_server import LoopThread, accept_no_more, turns
from servicelab.servers.amqp.core import VirtualHost
from servicelab.servers.amqp.journal import NullJournal
from servicelab.servers.amqp.server import AmqpServer
from servicelab.servers.amqp.store import SQLiteJournal, StoreError

#: Seconds to open the file, read what is in it (10⁶ messages take some) and listen.
START_LIMIT = 60.0


class Host:
    """One life of a broker, with the same methods as :class:`~servicelab.servers.parent.Child`.

    ``died``, if given, is called with the reason when the file can no longer be written: then the broker ends as in a
    crash, because to serve on would be to confirm what is not kept.
    """

    pid = None

    def __init__(self, name: str, trace=None, errors: list[str] | None = None, died=None):
        self.name = name
        self.trace = trace
        self.errors: list[str] = [] if errors is None else errors
        self.fate = None
        self._died = died
        self._life = LoopThread(name, self.errors)
        self._server = None
        self._journal = NullJournal()

    @property
    def is_alive(self) -> bool:
        return self._life.is_alive and self.fate is None

    def obituary(self) -> str:
        return f"{self.name} is not running ({self.fate or 'ended'}): bring it back with .restart()"

    def start(self, options: dict) -> int:
        """Returns the port. Raises ServerError for a file that cannot be used, OSError for a port that is taken."""
        try:
            self._life.start()
            return self._life.run(self._begin, dict(options), limit=START_LIMIT)
        except BaseException as error:  # an interrupt, too
            self.kill()
            if isinstance(error, StoreError):
                raise ServerError(f"{self.name} could not open its file: {error}") from error
            raise

    def stop(self) -> None:
        """Say goodbye to the clients, write down what is left, end."""
        self._end("stopped")

    def kill(self) -> None:
        """End as a killed process would: connections are cut, what is not on disk is gone."""
        self._end("killed", kill=True)

    def ask(self, do: str, *arguments):
        """ "pause", "resume", "queues" or "depth" of the server, in its loop; returns what it returns."""
        if not self.is_alive:
            raise ServerError(self.obituary())

        async def answer():
            return getattr(self._server, do)(*arguments)

        return self._life.run(answer)

    def _end(self, fate, kill=False):
        kill = kill or self.fate is not None  # one that has died has nothing to say
        self.fate = self.fate or fate  # first: one that only begins looks for it
        self._life.end(partial(self._finish, kill))

    # -- in the loop's thread ---------------------------------------------------------------

    async def _begin(self, options) -> int:
        try:
            if file := options.pop("file"):
                self._journal = SQLiteJournal(file, self.name)  # here, where no interrupt comes: it locks the file
            loop, port = asyncio.get_running_loop(), options.pop("port")
            self._journal.failed = lambda error: loop.call_soon_threadsafe(self._fail, error)
            self._server = AmqpServer(VirtualHost(self._journal), trace=self.trace, **options)
            self._server.errors = self.errors
            return await self._listen(port)
        except BaseException:  # nobody may be there any more to end it
            await self._finish(kill=True)
            raise

    async def _listen(self, port):
        try:
            return await self._server.start(port)
        except OSError:
            raise
        except Exception as error:  # whatever a damaged page or message made of it
            raise ServerError(
                f"{self.name} could not read {self._journal.path}, which seems to be damaged "
                f"({type(error).__name__}: {error}): bring back a copy of it, or name another file"
            ) from error

    async def _finish(self, kill):
        server, self._server = self._server, None
        if server is not None:
            await accept_no_more(server.sockets)
            if kill:
                server.abort()
            else:
                await server.stop()
                self._journal.close(orderly=server.core.note_deliveries())
        self._journal.abandon()  # nothing is left to be written, unless this is a crash

    def _fail(self, error):
        if self.fate is not None:
            return
        self.fate = f"died: {error}"
        self.errors.append(str(error))
        if self._died is not None:
            self._died(str(error))
        self._dying = asyncio.get_running_loop().create_task(self._crash())

    async def _crash(self):
        await self._finish(kill=True)
        await turns()
        asyncio.get_running_loop().stop()


def end_process(why: str) -> None:
    """A process that cannot keep what it is given must not go on, nor leave it to its main thread to notice."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)
