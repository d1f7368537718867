"""The errors of AMQP 0-9-1, and which of them close a channel and which the connection.

Codes and names: https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants. Texts have RabbitMQ 3.10's form:
the name of the code, a dash, and what was wrong with which thing.
"""

NAMES = {
    312: "NO_ROUTE",
    320: "CONNECTION_FORCED",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}
HARD = {320, 501, 502, 503, 504, 505, 530, 540, 541}


class AmqpError(Exception):
    """A client broke a rule. ``code`` decides whether its channel or its whole connection is closed."""

    def __init__(self, code: int, reason: str = ""):
        self.code = code
        self.text = f"{NAMES[code]} - {reason}" if reason else NAMES[code]
        super().__init__(f"{code} {self.text}")

    def __reduce__(self):  # its constructor takes no text, which is what an exception hands on otherwise
        return AmqpError, (self.code, self.text.partition(" - ")[2])

    @property
    def reply_text(self) -> str:
        """``text`` as a short string holds it: at most 255 bytes."""
        return self.text.encode()[:255].decode(errors="ignore")

    @property
    def closes_connection(self) -> bool:
        return self.code in HARD


def not_found(kind: str, name: str) -> AmqpError:
    """404 for a ``kind`` ("queue" or "exchange") that does not exist."""
    return AmqpError(404, f"no {kind} '{name}' in vhost '/'")


def refused(reason: str) -> AmqpError:
    return AmqpError(403, reason)


def failed(reason: str) -> AmqpError:
    """406: the thing exists, but is not as the client says, or an argument has no such value."""
    return AmqpError(406, reason)


def locked(queue: str) -> AmqpError:
    return AmqpError(
        405,
        f"cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally declared on "
        "another connection or the exclusive property value does not match that of the original declaration.",
    )
