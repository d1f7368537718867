"""A broker's exchanges, queues, bindings and messages as a journal keeps them, and back again."""

from servicelab.servers.amqp import arguments as args
from servicelab.servers.amqp import message
from servicelab.servers.amqp.journal import Snapshot
from servicelab.servers.amqp.queues import Queue
from servicelab.servers.amqp.wire import pack_table, unpack_table


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
