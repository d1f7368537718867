"""What a broker asks of a disk: the protocol of a journal, the one that keeps nothing, and the way back from one.

Only durable exchanges, durable queues, bindings between durable ends and persistent messages in durable queues are
told to a journal (of a quorum queue: all messages). A ``spec`` is a dict of strings, numbers, booleans and None,
which JSON can hold; its ``arguments`` are an AMQP table in base 64 (see ``wire.pack_table``).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from servicelab.servers.amqp import arguments as args
from servicelab.servers.amqp import message
from servicelab.servers.amqp.queues import Queue
from servicelab.servers.amqp.wire import pack_table, unpack_table


@dataclass
class Snapshot:
    """What a journal held when it was opened.

    ``exchanges`` and ``queues``: spec by name. ``bindings``: specs. ``messages``: ``(queue, id, message, delivery
    count)``, where the ids of one queue grow in the order of the queue. ``orderly``: the broker had an end in which it
    could write down what had been delivered; after a crash nobody knows.
    """

    exchanges: dict[str, dict] = field(default_factory=dict)
    queues: dict[str, dict] = field(default_factory=dict)
    bindings: list[dict] = field(default_factory=list)
    messages: Iterable[tuple[str, int, bytes, int]] = ()
    orderly: bool = False


class Journal(Protocol):
    """Everything is called from the broker's thread, and in the order in which it happened."""

    def declare_exchange(self, name: str, spec: dict) -> None: ...
    def delete_exchange(self, name: str) -> None: ...
    def declare_queue(self, name: str, spec: dict) -> None: ...
    def delete_queue(self, name: str) -> None:
        """The queue with all its messages."""

    def bind(self, spec: dict) -> None: ...
    def unbind(self, spec: dict) -> None: ...
    def put(self, queue: str, id: int, message: bytes) -> None: ...
    def settle(self, queue: str, id: int) -> None:
        """The message is acknowledged, dropped, purged or has died: it must not come back."""

    def requeued(self, queue: str, id: int, delivery_count: int) -> None:
        """A message came back, and its count must survive. Of classic queues it is told at an orderly end."""

    def together(self) -> AbstractContextManager:
        """After a crash all messages put and settled in this block are there as told, or none of it has happened."""

    def sync(self, done: Callable[[], None]) -> None:
        """Call ``done`` in the broker's thread when everything said so far is on disk."""

    def load(self) -> Snapshot: ...
    def close(self, orderly: bool = False) -> None:
        """The end; ``orderly``: nothing is missing."""

    def abandon(self) -> None:
        """The end of a killed process. After :meth:`close` it changes nothing."""


class NullJournal:
    """Keeps nothing: a broker with it forgets everything when it ends, as one without a file should."""

    def declare_exchange(self, name, spec): ...
    def delete_exchange(self, name): ...
    def declare_queue(self, name, spec): ...
    def delete_queue(self, name): ...
    def bind(self, spec): ...
    def unbind(self, spec): ...
    def put(self, queue, id, message): ...
    def settle(self, queue, id): ...
    def requeued(self, queue, id, delivery_count): ...

    def together(self):
        return nullcontext()

    def sync(self, done):
        done()

    def load(self):
        return Snapshot()

    def close(self, orderly=False): ...
    def abandon(self): ...


def binding_spec(exchange, destination, key, arguments) -> dict:
    """One binding of ``exchange``, for a journal."""
    kind = "queue" if isinstance(destination, Queue) else "exchange"
    table = pack_table(arguments)
    return {"source": exchange.name, "destination": destination.name, "kind": kind, "key": key, "arguments": table}


def refill(broker, now: float, snapshot: Snapshot) -> None:
    """Put everything of ``snapshot`` into an empty ``broker`` that tells no journal."""
    for name, spec in snapshot.exchanges.items():
        table = unpack_table(spec["arguments"])
        properties = {key: spec[key] for key in ("durable", "auto_delete", "internal")}
        broker.declare_exchange(name, spec["type"], arguments=table, **properties)
    for name, spec in snapshot.queues.items():
        properties = {"durable": True, "auto_delete": spec["auto_delete"]}
        options = args.queue_options(name, table := unpack_table(spec["arguments"]), exclusive=False, **properties)
        broker.queues[name] = Queue(broker, name, options, arguments=table, **properties)
        broker.queues[name].use(now)
    for spec in snapshot.bindings:
        ends = broker.queues if spec["kind"] == "queue" else broker.exchanges
        if spec["source"] in broker.exchanges and spec["destination"] in ends:
            end = ends[spec["destination"]]
            broker.bind(spec["source"], end, spec["key"], unpack_table(spec["arguments"]))
    for name, number, data, returns in snapshot.messages:
        found, expires = message.decode(data)
        broker.queues[name].restore(
            number, found, expires - broker.epoch if expires else None, returns, snapshot.orderly
        )
