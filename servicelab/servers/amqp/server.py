"""The broker on a socket: an asyncio server around the core. All of it runs in the thread of its event loop."""

import asyncio
import socket
import time
import traceback

from servicelab.servers.amqp.connection import Connection
from servicelab.servers.amqp.core import VirtualHost
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.tracing import Observer, Stamps
from servicelab.servers.threads import listen

FAREWELL = 0.25  # seconds that clients have to answer when the broker stops; an idle pika does not listen
LOW_WATER = 0.9  # of the memory limit: publishers go on below it


class AmqpServer:
    """``core`` behind a socket.

    ``users``: passwords by name. With a ``trace`` everything is stamped, the broker's lane being ``lane``.
    ``heartbeat`` in seconds (0: none) is what is proposed to clients, as are ``frame_max`` (bytes) and
    ``channel_max``. ``memory_limit`` in bytes: when the messages held take more, publishing connections are blocked
    until it is 10% less again. None: no limit.
    """

    def __init__(
        self, core: VirtualHost, *, users=None, trace=None, lane="broker", heartbeat=60, frame_max=131072,
        channel_max=2047, memory_limit=None,
    ):  # fmt: skip
        self.core = core
        self.users = {"guest": "guest"} if users is None else dict(users)
        self.trace = trace
        self.lane = lane
        self.heartbeat = heartbeat
        self.frame_max = frame_max
        self.channel_max = channel_max
        self.memory_limit = memory_limit
        self.connections: set[Connection] = set()
        self.errors: list[str] = []  # faults of the broker itself; a client's are the client's business
        self.alarm = False
        self.paused = False
        self.answered = False  # in this turn something was said, or will be, that somebody may be waiting for
        self.loop: asyncio.AbstractEventLoop | None = None
        self.sockets: list[socket.socket] = []  # on which it listens
        self._server = None
        self._dirty: set[Connection] = set()
        self._ended = False
        self._soon = False
        self._syncing = False
        self._timer = None
        self._timer_at = None
        if trace is not None:
            core.observer = Observer(trace, lane)

    # -- life -------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; returns the port. Brings back what the journal holds. Raises OSError for a taken one."""
        self.loop = asyncio.get_running_loop()
        self.core.epoch = time.time() - self.loop.time()
        if self.core.keeps and not self.core.restored:
            self.core.restore(self.loop.time(), self.core.journal.load())
        self.sockets = [listen(port)]
        self._server = await self.loop.create_server(lambda: Connection(self), sock=self.sockets[0])
        self._rearm()
        return self.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Tell every client, then close. Messages that the journal has stay there."""
        if self._server is None:
            return
        self._server.close()
        now = self.loop.time()
        self.paused = False
        for connection in list(self.connections):
            connection.blocked = False
            connection.fail(now, AmqpError(320, "broker forced connection closure with reason 'shutdown'"))
            if not connection.transport.is_closing():
                connection.transport.resume_reading()
        self._flush()
        end = now + FAREWELL
        while self.connections and self.loop.time() < end:
            await asyncio.sleep(0.002)
        self.abort()

    def abort(self) -> None:
        """Cut every connection without a word, as when the process is killed."""
        self._ended = True  # the core that is left is a corpse: nothing may reach its journal any more
        if self._server is not None:
            self._server.close()
            self._server = None
        for sock in self.sockets:
            sock.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._timer_at = None
        for connection in list(self.connections):
            connection.cut()

    def pause(self) -> None:
        """Read nothing and deliver nothing, as a process that is stopped; sockets stay open."""
        if not self.paused:
            self.paused = True
            for connection in list(self.connections):
                connection.hold()
            self._say("paused")

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self._say("running")
            self._on_time()
            for connection in list(self.connections):
                connection.listen()
                connection.let_flow()

    # -- what others may ask -----------------------------------------------

    def queues(self) -> list[tuple[str, int, int, int, bool]]:
        """``(name, ready, unacked, consumers, durable)`` of each."""
        return [
            (queue.name, queue.ready, queue.unacked, len(queue.rota), queue.durable)
            for queue in list(self.core.queues.values())
        ]

    def depth(self, queue: str) -> tuple[int, int]:
        """``(ready, unacked)``; (0, 0) when there is no such queue."""
        found = self.core.queues.get(queue)
        return (found.ready, found.unacked) if found is not None else (0, 0)

    # -- for connections --------------------------------------------------------------------

    def touched(self, connection: Connection) -> None:
        """``connection`` has something to write: it will be, at the end of this turn."""
        self._dirty.add(connection)
        if not self._soon:
            self._soon = True
            self.loop.call_soon(self._late)

    def settle(self) -> None:
        """The end of a turn: everything that the frames just read have caused is said."""
        if self._ended:
            return
        core = self.core
        if core.unsynced:
            self.answered = True
            if not core.keeps:
                core.sync()
            elif not self._syncing:
                self._syncing = True
                self.loop.call_soon(self._sync)
        if core.confirming:
            channels, core.confirming = core.confirming, {}
            for channel in channels:
                channel.say_confirms()
        if self.memory_limit is not None:
            self.weigh()
        if core.next_deadline() != self._timer_at:
            self._rearm()
        self._flush()

    def weigh(self) -> None:
        """Sound the memory alarm, or end it. Only with a memory limit."""
        held = self.core.held
        if not self.alarm and held > self.memory_limit:
            self.alarm = True
            self._say("memory alarm")
        elif self.alarm and held <= LOW_WATER * self.memory_limit:
            self.alarm = False
            self._say("memory alarm over")
            for connection in list(self.connections):
                connection.unblock()

    def note_fault(self, error: Exception) -> None:
        """A fault of the broker: keep where it happened."""
        self.errors.append("".join(traceback.format_exception(error)))
        del self.errors[:-20]

    def stamps_for(self, connection: Connection) -> Stamps | None:
        return None if self.trace is None else Stamps(self.trace, self.lane, connection)

    # -- inside -----------------------------------------------------------------------------

    def _late(self):
        self._soon = False
        if self._dirty:
            self.settle()

    def _flush(self):
        while self._dirty:
            self._dirty.pop().flush()

    def _sync(self):
        self._syncing = False
        if not self._ended:
            self.core.after_disk(self.settle)
            self.core.sync()

    def _rearm(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at = self.core.next_deadline()
        if at is not None:
            self._timer = self.loop.call_at(at, self._on_time)

    def _on_time(self):
        due, self._timer, self._timer_at = self._timer_at, None, None
        if not self.paused:
            self.core.expire(max(self.loop.time(), due or 0.0))  # the loop may wake us a clock tick early
            self.settle()

    def _say(self, state):
        if self.trace is not None:
            self.trace.state(self.lane, state)
