"""What a client may ask for when it declares a queue or an exchange, and whether it is what there is already."""

from dataclasses import dataclass

from servicelab.servers.amqp.errors import AmqpError, failed
from servicelab.servers.amqp.message import LONGEST_TTL
from servicelab.servers.amqp.tables import shown, type_name

CLASSIC_ONLY = ("x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator")
QUORUM_ONLY = (
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-quorum-initial-group-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
)
STREAM_ONLY = ("x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size", "x-queue-leader-locator")
COMPARED = (
    "x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-length",
    "x-max-length-bytes", "x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version",
    "x-single-active-consumer", "x-queue-type", "x-delivery-limit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """The arguments of a queue that this broker acts on. Times in milliseconds, sizes in bytes of body."""

    kind: str = "classic"
    ttl: int | None = None
    expires: int | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_key: str | None = None
    max_priority: int = 0
    single: bool = False
    delivery_limit: int | None = None


def queue_options(name: str, arguments: dict, *, durable: bool, exclusive: bool, auto_delete: bool) -> QueueOptions:
    """Raises AmqpError 406 as RabbitMQ does for what it does not accept, 540 for a stream."""

    def invalid(key, why):
        return failed(f"invalid arg '{key}' for queue '{name}' in vhost '/': {why}")

    def number(key, lowest=0, highest=None):
        if key not in arguments:
            return None
        value = arguments[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(key, f'"expected integer, got {type_name(value)}"')
        if value < 0:
            raise invalid(key, f"{{value_negative,{value}}}")
        if value < lowest:
            raise invalid(key, f"{{value_zero,{value}}}")
        if highest is not None and value > highest:
            raise invalid(key, f"{{{'max_value_exceeded' if highest == 255 else 'value_too_large'},{value}}}")
        return value

    def text(key, allowed=None, why=None):
        value = arguments.get(key)
        if key in arguments and not isinstance(value, str):
            raise invalid(key, f"{{unacceptable_type,{type_name(value)}}}")
        if value is not None and allowed and value not in allowed:
            raise invalid(key, why.format(value))
        return value

    kind = text("x-queue-type", ("classic", "quorum", "stream"), "\"unsupported queue type '{}'\"") or "classic"
    if kind == "stream":
        raise AmqpError(540, f"queue '{name}' in vhost '/': streams are not supported by this broker")
    for key in (QUORUM_ONLY if kind == "classic" else CLASSIC_ONLY) + STREAM_ONLY:
        if key in arguments:
            raise failed(f"invalid arg '{key}' for queue '{name}' in vhost '/' of queue type rabbit_{kind}_queue")
    text("x-queue-mode", ("default", "lazy"), "\"unsupported queue mode '{}'\"")
    if number("x-queue-version") not in (None, 1, 2):
        raise invalid("x-queue-version", f"\"unsupported queue version '{arguments['x-queue-version']}'\"")
    for key in ("x-dead-letter-exchange", "x-dead-letter-routing-key"):
        if key in arguments and not isinstance(arguments[key], str):
            raise failed(f"invalid type '{type_name(arguments[key])}' for arg '{key}' in queue '{name}' in vhost '/'")
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        raise invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
    single = arguments.get("x-single-active-consumer", False)
    if not isinstance(single, bool):
        raise invalid("x-single-active-consumer", f"{{unacceptable_type,{type_name(single)}}}")
    limit = arguments.get("x-delivery-limit")
    options = QueueOptions(
        kind=kind,
        ttl=number("x-message-ttl", highest=LONGEST_TTL),
        expires=number("x-expires", lowest=1, highest=LONGEST_TTL),
        max_length=number("x-max-length"),
        max_bytes=number("x-max-length-bytes"),
        overflow=text("x-overflow", ("drop-head", "reject-publish", "reject-publish-dlx"), "invalid_overflow")
        or "drop-head",
        dead_letter_exchange=arguments.get("x-dead-letter-exchange"),
        dead_letter_key=arguments.get("x-dead-letter-routing-key"),
        max_priority=number("x-max-priority", highest=255) or 0,
        single=single,
        # RabbitMQ 3.10 declares a quorum queue with any value here, and heeds it when it is a number of times.
        delivery_limit=limit if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0 else None,
    )
    if kind == "quorum":
        for wrong, what in ((auto_delete, "auto-delete"), (exclusive, "exclusive-owner"), (not durable, "non-durable")):
            if wrong:
                raise failed(f"invalid property '{what}' for queue '{name}' in vhost '/'")
    return options


def same(kind: str, name: str, what: str, received, current) -> None:
    """Raise AmqpError 406 when a property or argument of a declared thing is not the one that it has.

    Integers of all widths are alike, and so are both kinds of float, as in RabbitMQ; true is not 1.
    """
    if _class(received) != _class(current) or received != current:
        raise _inequivalent(kind, name, what, *(_quoted(value) for value in (received, current)))


def same_arguments(kind: str, name: str, received: dict, current: dict, compared=COMPARED) -> None:
    """The same for the arguments that make a difference; all others are ignored."""
    for key in compared:
        if key == "x-queue-type" and received.get(key, "classic") == "classic" == current.get(key, "classic"):
            continue  # what a queue is that says nothing
        if key in received and key in current:
            same(kind, name, key, received[key], current[key])
        elif key in received or key in current:
            said = (
                f"the value '{shown(table[key])}' of type '{type_name(table[key])}'" if key in table else "none"
                for table in (received, current)
            )  # fmt: skip
            raise _inequivalent(kind, name, key, *said)


def _inequivalent(kind, name, what, received, current):
    return failed(
        f"inequivalent arg '{what}' for {kind} '{name}' in vhost '/': received {received} but current is {current}"
    )


def _quoted(value):
    return "none" if value is None else f"'{shown(value)}'"


def _class(value):
    name = type_name(value)
    return "number" if isinstance(value, int) and name not in ("bool", "timestamp") else name.replace("float", "double")


def consumer_priority(queue: str, arguments: dict) -> int:
    """The priority that a consumer of ``queue`` asks for. Raises AmqpError 406 when it is no integer."""
    priority = arguments.get("x-priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int):
        why = f'"expected integer, got {type_name(priority)}"'
        raise failed(f"invalid arg 'x-priority' for queue '{queue}' in vhost '/': {why}")
    return priority
