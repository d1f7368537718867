"""Servers that live in an event loop, which runs in a thread of its own."""

import asyncio
import concurrent.futures
import threading

from servicelab.lifecycle import Server, ServerError, join

#: Seconds in which the loop must do what it is asked; it needs well under one.
LIMIT = 5.0


class LoopThread:
    """An event loop in a daemon thread. It prints nothing: what nobody handles in it is appended to ``errors``.

    It lives once: ``start()``, any number of ``run(…)`` from any thread, ``end()``. What it opens is closed by ``end``
    whatever came between, an interrupt or a system that starts no more threads.
    """

    def __init__(self, name: str, errors: list[str]):
        self.name = name
        self.errors = errors
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = None
        self._ending: concurrent.futures.Future | None = None
        self._asked: set[concurrent.futures.Future] = set()
        self._is_over = False
        self._lock = threading.Lock()

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Raises RuntimeError when the system starts no more threads."""
        self.loop = loop = asyncio.SelectorEventLoop()  # on every system: tornado and add_reader need one
        loop.set_exception_handler(self._note)
        # Names of hosts are looked up in threads, which are to have a name of ours.
        names = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix=f"servicelab {self.name} resolver")
        loop.set_default_executor(names)
        self._thread = threading.Thread(target=self._work, name=f"servicelab {self.name} loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            raise

    def run(self, work, *args, limit: float = LIMIT):
        """What the coroutine function ``work`` returns. Raises ServerError when it has not in ``limit`` seconds, and
        when the loop has ended."""
        with self._lock:
            if self._is_over or not self.is_alive:
                raise ServerError(f"{self.name} is not running: call .start() first")
            asked = asyncio.run_coroutine_threadsafe(work(*args), self.loop)
            self._asked.add(asked)
        try:
            return asked.result(limit)
        except concurrent.futures.CancelledError:
            raise ServerError(f"{self.name} was stopped before it could answer") from None
        except TimeoutError:
            if asked.done():  # it is the work's own
                raise
            raise ServerError(f"{self.name} did not answer within {limit:g} s") from None
        finally:
            asked.cancel()  # an interrupt: nobody waits for it any more
            self._asked.discard(asked)

    def end(self, finish=None) -> None:
        """Let the coroutine function ``finish`` close what was opened, cancel what is left, and end the thread.

        It may be called again, and when the loop never ran. What ``finish`` raises is raised when all is closed. A loop
        that is busy for longer than LIMIT ends by itself once it is not.
        """
        if self.loop is None:
            return
        try:
            if self.is_alive:
                self._begin_to_end(finish).result(LIMIT)
        except concurrent.futures.CancelledError:
            self.errors.append(f"{self.name} was stopped before it had closed everything")
        except TimeoutError:
            if self._ending.done():  # it is the work's own
                raise
            self._ending.cancel()
            self.errors.append(f"{self.name} did not close everything within {LIMIT:g} s")
        finally:
            with self._lock:
                self._is_over = True
                if self.is_alive and self._ending is not None:  # an interrupt leaves it time to close everything
                    self._ending.add_done_callback(lambda _: self.loop.call_soon_threadsafe(self.loop.stop))
            if self._thread is not None:
                join([self._thread], LIMIT)
            if not self.is_alive:
                self.loop.close()
            for asked in list(self._asked):
                asked.cancel()

    def _begin_to_end(self, finish):
        """The future of the end. There is one, whoever asks how often: an interrupted ``end`` is called again."""
        with self._lock:
            if self._ending is None:
                self._ending = asyncio.run_coroutine_threadsafe(self._wind_up(finish), self.loop)
            return self._ending

    def _work(self):
        self.loop.run_forever()

    async def _wind_up(self, finish):
        try:
            if finish is not None:
                await finish()
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await turns()

    def _note(self, loop, told):
        self.errors.append(f"{told.get('message')}: {told.get('exception')!r}")


class LoopServer(Server):
    """A server in a :class:`LoopThread`.

    Subclasses implement ``async _begin()``, which returns the port on which it listens then, and ``async _finish()``,
    which closes everything, also when ``_begin`` was cut short. Both run in the loop's thread, where no interrupt
    comes. ``_do(work, *args)`` has the loop run a coroutine function, and raises ServerError while it does not run.
    """

    def __init__(self, name: str, port: int = 0, lane: str | None = None):
        super().__init__(name, port, lane)
        #: What went wrong inside, if anything ever does: nothing is printed.
        self.errors: list[str] = []
        self._life: LoopThread | None = None

    async def _begin(self) -> int:
        raise NotImplementedError

    async def _finish(self) -> None:
        raise NotImplementedError

    def _open(self):
        self.errors.clear()
        self._life = LoopThread(self.name, self.errors)
        self._life.start()
        return self._life.run(self._begin)

    def _close(self):
        if self._life is not None:
            self._life.end(self._finish)
            self._life = None

    def _wait_until_it_answers(self):
        """It listens when ``_begin`` has returned, and a trial connection would be counted."""

    def _do(self, work, *args):
        life = self._life
        if life is None:
            raise ServerError(f"{self.name} is not running: call .start() first")
        return life.run(work, *args)


async def accept_no_more(sockets) -> None:
    """Let the running loop accept nobody more on these, before their server is closed.

    asyncio forgets to close a connection that is just being accepted when its server closes (CPython 3.11): its client
    would wait for ever. So hear no more of them, and let those under way arrive, which takes three turns.
    """
    for sock in sockets:
        asyncio.get_running_loop().remove_reader(sock.fileno())
    await turns()


async def turns() -> None:
    """Some turns of the running loop, in which transports that were closed really close."""
    for _ in range(4):
        await asyncio.sleep(0)
