"""A handle for a RabbitMQ that somebody else runs, with the words of ours."""

import atexit
import secrets
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from servicelab.lifecycle import ServerError
from servicelab.table import Table

ANSWER_LIMIT = 5.0  # seconds

#: What the names of our queues begin with at a RabbitMQ that others may use, too. Another one in each kernel.
OURS = f"servicelab-{secrets.token_hex(4)}."


class RemoteBroker:
    """The RabbitMQ at ``url``, in the words of :class:`~servicelab.servers.amqp.handle.Broker`.

    How many messages are unacknowledged AMQP itself does not tell: None. It is not ours: it cannot be restarted,
    killed or paused from here, and :meth:`stop` only deletes the queues whose names :meth:`own` gave. The end of the
    kernel does so, too.

    Raises :class:`~servicelab.lifecycle.ServerError` when it does not answer, and for what cannot be done to it.
    """

    errors = ()
    pid = None

    def __init__(self, url: str, name: str = "broker", *, lane: str | None = None):
        parts = urlsplit(url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
            raise ServerError(
                f"SERVICELAB_AMQP_URL={url!r} is no address: write 'amqp://guest:guest@127.0.0.1:5672/%2F'"
            )
        query = parts.query
        if "heartbeat=" not in query:  # as for ours: a notebook is idle for minutes
            query = "&".join(filter(None, [query, "heartbeat=0"]))
        self.url = parts._replace(path=parts.path if len(parts.path) > 1 else "/%2F", query=query).geturl()
        self.name = name
        self.lane = lane or name
        self.port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
        self.address = (parts.hostname, self.port)
        self._seen: dict[str, None] = {}
        self._own: dict[str, None] = {}

    @property
    def is_running(self) -> bool:
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPConnectionError, OSError):
            return False
        return True

    def start(self):
        """Wait until it answers; returns self. It is not started: that is for whoever runs it."""
        end = time.monotonic() + ANSWER_LIMIT
        while not self.is_running:
            if time.monotonic() > end:
                raise ServerError(
                    f"no RabbitMQ answers at {self.address[0]}:{self.port} as this user within {ANSWER_LIMIT:.0f} s: "
                    "start it, or unset SERVICELAB_AMQP_URL to use the broker in the kernel"
                )
            time.sleep(0.1)
        return self

    def own(self, name: str) -> str:
        """A name for a queue of ours that no stranger's queue has: ``name`` with a prefix. See :meth:`stop`."""
        if not self._own:
            atexit.register(self.stop)  # a kernel may end without a clean-up
        self._own[OURS + name] = None
        return OURS + name

    def stop(self) -> None:
        """Delete the queues whose names :meth:`own` gave, if it answers. It is not ours to stop, nor are the others."""
        if not self._own:
            return
        with suppress(AMQPConnectionError, OSError), pika.BlockingConnection(pika.URLParameters(self.url)) as ours:
            channel = ours.channel()
            for name in self._own:
                channel.queue_delete(name)

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()

    def __repr__(self):
        return f"<{self.name}, a RabbitMQ at {self.address[0]}:{self.port}>"

    def queues(self, *names: str) -> Table:
        """These queues, or those that were asked about before: AMQP has no list of all. Missing ones are left out."""
        rows = []
        for name in names or tuple(self._seen):
            found = self._look(name)
            if found is not None:
                rows.append((name, found.message_count, None, found.consumer_count, None))
        return Table(("queue", "ready", "unacked", "consumers", "durable"), rows)

    def depth(self, queue: str) -> tuple[int, int | None]:
        """``(ready, None)``: AMQP does not tell how many are unacknowledged. (0, 0) when there is no such queue."""
        found = self._look(queue)
        return (found.message_count, None) if found is not None else (0, 0)

    def _look(self, name):
        self._seen[name] = None
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            return connection.channel().queue_declare(name, passive=True).method
        except ChannelClosedByBroker as error:
            if error.reply_code != 404:
                raise
            return None
        finally:
            connection.close()

    def kill(self):
        raise ServerError(
            f"{self.name} is a RabbitMQ of yours: from here it is not killed, restarted or paused; Broker() is"
        )

    restart = pause = resume = kill
