"""A broker in a thread of this process: the event loop, the server on it, and the file behind it."""

import asyncio
import concurrent.futures
import contextlib
import os
import sys
import threading

from servicelab.lifecycle import HOST, ServerError
from servicelab.servers.amqp.core import VirtualHost
from servicelab.servers.amqp.journal import NullJournal
from servicelab.servers.amqp.server import AmqpServer
from servicelab.servers.amqp.store import SQLiteJournal, StoreError

#: Seconds to open the file, read what is in it (10⁶ messages take some) and listen.
START_LIMIT = 60.0
#: Seconds in which the loop must carry out a command; it needs well under one.
ANSWER_LIMIT = 5.0


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
        self._thread = self._loop = self._end = self._server = None
        self._journal = NullJournal()

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and self.fate is None

    def obituary(self) -> str:
        return f"{self.name} is not running ({self.fate or 'ended'}): bring it back with .restart()"

    def start(self, options: dict) -> int:
        """Returns the port. Raises ServerError for a file that cannot be used, OSError for a port that is taken."""
        started = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=self._run, args=(started, dict(options)), daemon=True, name=f"servicelab {self.name} loop"
        )
        try:
            self._thread.start()
            return started.result(START_LIMIT)
        except StoreError as error:
            raise ServerError(f"{self.name} could not open its file: {error}") from error
        except concurrent.futures.TimeoutError:
            self.kill()
            raise ServerError(f"{self.name} did not listen within {START_LIMIT:.0f} s") from None
        except BaseException:  # an interrupt, too
            self.kill()
            raise

    def stop(self) -> None:
        """Say goodbye to the clients, write down what is left, end."""
        self._finish("stopped", kill=False)

    def kill(self) -> None:
        """End as a killed process would: connections are cut, what is not on disk is gone."""
        self._finish("killed", kill=True)

    def ask(self, do: str, *arguments):
        """ "pause", "resume", "queues" or "depth" of the server, in its loop; returns what it returns."""
        if not self.is_alive:
            raise ServerError(self.obituary())
        answer = concurrent.futures.Future()

        def call():
            try:
                answer.set_result(getattr(self._server, do)(*arguments))
            except BaseException as error:
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        try:
            return answer.result(ANSWER_LIMIT)
        except concurrent.futures.TimeoutError:
            raise ServerError(f"{self.name} did not answer within {ANSWER_LIMIT:g} s") from None

    # -- in the loop's thread ---------------------------------------------------------------

    def _run(self, started, options):
        try:
            if file := options.pop("file"):
                self._journal = SQLiteJournal(file, self.name)  # here, where no interrupt comes: it locks the file
            asyncio.run(self._serve(started, options))
        except BaseException as error:
            if started.done() or not isinstance(error, StoreError):
                self.errors.append(f"{type(error).__name__}: {error}")
            if not started.done():
                started.set_exception(error)
        finally:
            self._journal.abandon()  # nothing is left to be written, unless this is a crash

    async def _serve(self, started, options):
        self._end = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        if self.fate is not None:
            return  # ended before it began
        self._journal.failed = lambda error: self._loop.call_soon_threadsafe(self._fail, error)
        port = options.pop("port")
        self._server = server = AmqpServer(VirtualHost(self._journal), trace=self.trace, **options)
        server.errors = self.errors
        try:
            started.set_result(await self._start(server, port))
            kill = await self._end
        except BaseException:
            server.abort()
            raise
        await self._accept_no_more()
        if kill:
            server.abort()
        else:
            await server.stop()
            self._journal.close(orderly=self._server.core.note_deliveries())

    async def _start(self, server, port):
        try:
            return await server.start(HOST, port)
        except OSError:
            raise
        except Exception as error:  # whatever a damaged page or message made of it
            raise ServerError(
                f"{self.name} could not read {self._journal.path}, which seems to be damaged "
                f"({type(error).__name__}: {error}): bring back a copy of it, or name another file"
            ) from error

    async def _accept_no_more(self):
        """asyncio forgets to close a connection that is just being accepted when its server closes (Python 3.11):
        its client would wait for ever. So hear no more of them, and let those under way arrive, which takes 3 turns."""
        for listener in self._server._server.sockets:
            self._loop.remove_reader(listener.fileno())
        for _ in range(4):
            await asyncio.sleep(0)

    def _fail(self, error):
        if self._end.done():
            return
        self.fate = f"died: {error}"
        self.errors.append(str(error))
        self._end.set_result(True)
        if self._died is not None:
            self._died(str(error))

    def _finish(self, fate, kill):
        thread = self._thread
        if thread is None:
            return
        self.fate = self.fate or fate  # first: a thread that only begins looks for it once it can be told

        def end():
            if not self._end.done():
                self._end.set_result(kill)

        with contextlib.suppress(RuntimeError, AttributeError):  # it has ended, or never began
            self._loop.call_soon_threadsafe(end)
        if thread.ident is not None:
            thread.join(2.0)


def end_process(why: str) -> None:
    """A process that cannot keep what it is given must not go on, nor leave it to its main thread to notice."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)
