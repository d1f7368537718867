"""Who a client is: the SASL mechanisms PLAIN (RFC 4616) and RabbitMQ's AMQPLAIN (a table with LOGIN and PASSWORD)."""

import hmac

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.errors import AmqpError


def user(mechanism: str, response: str, users: dict[str, str]) -> str | None:
    """The name of the user who has proved to be one of ``users``, else None.

    Raises AmqpError 503 for an unknown mechanism, 502 for a response that is none.
    """
    data = response.encode(errors="surrogateescape")
    if mechanism == "PLAIN":
        parts = data.split(b"\0")
        if len(parts) != 3:
            raise AmqpError(502, "a PLAIN response has three parts")
        name, password = parts[1], parts[2]
    elif mechanism == "AMQPLAIN":
        try:
            table, _ = wire.read_table(len(data).to_bytes(4, "big") + data, 0)
            name, password = (str(table[key]).encode() for key in ("LOGIN", "PASSWORD"))
        except (ValueError, KeyError, IndexError):
            raise AmqpError(502, "an AMQPLAIN response is a table with LOGIN and PASSWORD") from None
    else:
        raise AmqpError(503, f"unknown authentication mechanism '{mechanism}'")
    known = users.get(name.decode(errors="replace"))
    if known is None or not hmac.compare_digest(known.encode(), password):
        return None
    return name.decode(errors="replace")
