"""The broker as a notebook sees it: ``start_broker()``, in the kernel, in a child process, or a RabbitMQ by its URL."""

import contextlib
import functools
import os
import pickle
import time
from pathlib import Path
from urllib.parse import quote

from servicelab.lifecycle import HOST, Server, ServerError
from servicelab.scratch import Scratch
from servicelab.servers.amqp.host import Host, end_process
from servicelab.servers.amqp.remote import RemoteBroker
from servicelab.servers.parent import Child
from servicelab.servers.threads import hold
from servicelab.table import Table
from servicelab.trace import Trace

#: RabbitMQ's default; loopback only, as there.
GUEST = {"guest": "guest"}
#: Seconds; what RabbitMQ suggests to a client (https://www.rabbitmq.com/docs/heartbeats).
HEARTBEAT = 60
#: Seconds for which a restart tries to get its port back.
AGAIN = 2.0


class Broker(Server):
    """An AMQP 0-9-1 broker on 127.0.0.1, in a thread of the kernel or, with ``process=True``, in a child process.

    ``url`` is ready for ``pika.URLParameters(broker.url)``. It turns heartbeats off, unless ``heartbeat`` (seconds) is
    given: pika answers them only while it is being called, and a notebook is idle for minutes.

    What survives :meth:`restart` and :meth:`kill` is what survives them in RabbitMQ, durable queues and exchanges with
    the persistent messages in them, *if there is a disk*:

    ==================  ===========================================================================
    neither argument    no disk: a restart forgets everything, as if RabbitMQ's disk had been wiped
    ``durable=True``    a temporary file that lives until :meth:`stop`
    ``file="shop.db"``  this file; it stays, and the next broker with it goes on from there
    ==================  ===========================================================================

    ``users`` are names and passwords; the first is the one in ``url``. ``memory_limit`` (bytes) is what messages may
    take up before publishers are blocked. With a ``trace`` everything that happens is stamped, in ``lane``.
    ``.errors`` lists what went wrong inside, ``.pid`` is the child's process id.

    A file that can no longer be written (a full disk) ends the broker as a crash would: nothing is confirmed that is
    not kept. Raises :class:`~servicelab.lifecycle.ServerError` for a file that is not a broker's or is in use by
    another, a taken port, or an argument out of range.
    """

    scheme = "amqp"

    def __init__(
        self,
        name: str = "broker",
        *,
        trace: Trace | None = None,
        file=None,
        durable: bool = False,
        port: int = 0,
        process: bool = False,
        users: dict[str, str] | None = None,
        memory_limit: int | None = None,
        heartbeat: int | None = None,
        lane: str | None = None,
    ):
        super().__init__(name, port, lane)
        _check(trace, file, durable, users, memory_limit, heartbeat)
        self.trace = trace
        self.file = None if file is None else os.path.abspath(file)
        self.durable = durable
        self.process = process
        self.users = dict(users or GUEST)
        self.memory_limit = memory_limit
        self.heartbeat = heartbeat
        self._folder = None
        self._place = None  # a socket that keeps its port while it is away
        self._engine = self._new_engine()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        host, port = self.address
        user, password = next(iter(self.users.items()))
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"amqp://{login}@{host}:{port}/%2F?heartbeat={self.heartbeat or 0}"

    @property
    def address(self) -> tuple[str, int]:
        if self.port is not None and not self.is_running:
            raise ServerError(self._engine.obituary())
        return super().address

    @property
    def is_running(self) -> bool:
        return self.port is not None and self._engine.is_alive

    @property
    def pid(self) -> int | None:
        """The process id of the child; None in the kernel."""
        return self._engine.pid if self.port is not None else None

    @property
    def errors(self) -> list[str]:
        return self._engine.errors

    def _state(self):
        if self.port is None:
            return "stopped"
        return f"at amqp://{HOST}:{self.port}" if self.is_running else self._engine.fate

    # -- what is in it ------------------------------------------------------------------------

    def queues(self, *names: str) -> Table:
        """The queues, or those of these names: messages ready and unacknowledged, consumers, durable or not."""
        rows = [row for row in self._rows() if not names or row[0] in names]
        return Table(("queue", "ready", "unacked", "consumers", "durable"), rows)

    def depth(self, queue: str) -> tuple[int, int]:
        """``(ready, unacknowledged)`` messages in ``queue``; (0, 0) when there is no such queue."""
        self.address  # noqa: B018 -- raises when it does not run
        return tuple(self._engine.ask("depth", queue))

    def own(self, name: str) -> str:
        """``name``: here nobody else has a queue. At a RabbitMQ it gets a prefix."""
        return name

    def _rows(self):
        self.address  # noqa: B018
        return self._engine.ask("queues")

    # -- what can be done to it ---------------------------------------------------------------

    def pause(self) -> None:
        """Read and send nothing until :meth:`resume`; connections stay open, as when a process is suspended."""
        self._engine.ask("pause")

    def resume(self) -> None:
        self._engine.ask("resume")

    def kill(self) -> None:
        """End it as ``kill -9`` does: connections are cut, what is not on disk is gone. :meth:`restart` brings it back.

        The child really is killed; in the kernel all sockets are closed without a word, as the system does for a
        killed process, and what waits to be written is dropped.
        """
        self.address  # noqa: B018
        self._engine.kill()
        self._hold_port()
        self._note("killed")

    def restart(self):
        """Stop it, if it runs, and start it again on the same port with the same file; returns self.

        Raises ServerError when somebody else has had the port for :data:`AGAIN` seconds.
        """
        if self.port is None:
            return self.start()
        self._engine.stop()
        self._hold_port()
        end = time.monotonic() + AGAIN
        while True:
            try:
                self._begin(self.port)
                break
            except OSError as error:  # somebody else wanted this very number, or the system wants to give it only once
                self._let_port_go()
                if time.monotonic() > end:
                    told = f"{self.name} could not listen on port {self.port} again: {error.strerror}"
                    raise ServerError(told) from error
            time.sleep(0.05)
        self._let_port_go()
        self._wait_until_it_answers()
        self._note("restarted")
        return self

    def start(self):
        """Start, wait until it answers, return self. One that was killed is restarted, with what is in its file."""
        return self if self.is_running else self.restart() if self.port is not None else super().start()

    # -- its life -----------------------------------------------------------------------------

    def _open(self):
        if self.durable:
            self._folder = Scratch("broker")
        return self._begin(self.wanted_port)

    def _begin(self, port):
        self._engine = self._new_engine()
        options = {
            "port": port,
            "file": os.path.join(self._folder.name, "broker.db") if self._folder else self.file,
            "users": self.users,
            "memory_limit": self.memory_limit,
            "heartbeat": HEARTBEAT if self.heartbeat is None else self.heartbeat,
            "lane": self.lane,
        }
        if self.process:
            return self._engine.start(pickle.dumps(functools.partial(Host, died=end_process)), options)
        return self._engine.start(options)

    def _new_engine(self):
        if self.process:
            return Child(self.name, self.trace)
        return Host(self.name, self.trace)

    def _close(self):
        self._let_port_go()
        self._engine.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _hold_port(self):
        """While it is away, another server of the machine may be given its number."""
        if self._place is None:
            with contextlib.suppress(OSError):  # it has been given away
                self._place = hold(self.port)

    def _let_port_go(self):
        if self._place is not None:
            self._place.close()
            self._place = None

    def _note(self, what):
        if self.trace is not None:
            self.trace.state(self.lane, what)


def start_broker(name: str = "broker", **options) -> "Broker | RemoteBroker":
    """A started :class:`Broker` with these ``options``.

    When the environment variable SERVICELAB_AMQP_URL names a RabbitMQ, a handle for that with the same words instead
    (see :class:`~servicelab.servers.amqp.remote.RemoteBroker`): the same cells then run on the real one. It keeps its
    own files and ports, so only ``lane`` of the options counts there.
    """
    broker = Broker(name, **options)  # also refuses what would only be refused without the variable
    url = os.environ.get("SERVICELAB_AMQP_URL")
    if url:
        return RemoteBroker(url, name, lane=broker.lane).start()
    return broker.start()


def _check(trace, file, durable, users, memory_limit, heartbeat):
    if trace is not None and not isinstance(trace, Trace):
        raise ServerError(f"trace={trace!r} is no servicelab.trace.Trace(): leave it out, or give one")
    if file is not None and not isinstance(file, (str, Path)):
        raise ServerError(f"file={file!r} is no path: give one such as 'broker.db', or leave it out")
    if file is not None and durable:
        raise ServerError(f"durable=True is for a temporary file, and file={str(file)!r} names one: leave out either")
    if users is not None and not (
        isinstance(users, dict) and users and all(isinstance(word, str) and word for word in [*users, *users.values()])
    ):
        raise ServerError("users must be names with passwords, such as {'shop': 'a password'}")
    if memory_limit is not None and (
        not isinstance(memory_limit, int) or isinstance(memory_limit, bool) or memory_limit <= 0
    ):
        raise ServerError(f"memory_limit={memory_limit!r} must be > 0 bytes")
    if heartbeat is not None and (
        not isinstance(heartbeat, int) or isinstance(heartbeat, bool) or not 0 <= heartbeat <= 65535
    ):
        raise ServerError(f"heartbeat={heartbeat!r} must be 0 (none) to 65535 seconds")
