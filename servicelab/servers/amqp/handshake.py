"""The steps from the greeting to an open connection: start, log in, tune, open."""

import hmac

from pamqp import commands

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.channel import Session
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.stream import SMALLEST_FRAME

CAPABILITIES = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "consumer_priorities": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
    "direct_reply_to": True,
}


def server_properties(stamps: bool) -> dict:
    """What the broker says of itself. ``stamps``: whether it writes into a trace."""
    about = "an AMQP 0-9-1 broker to learn with, after RabbitMQ 3.10"
    properties = {"product": "Servicelab", "version": "3.10.8", "platform": "Python", "information": about}
    if stamps:
        properties["servicelab"] = True  # it stamps its side: a traced client need not guess at it
    return properties | {"capabilities": CAPABILITIES}


def log_in(connection, method) -> None:
    """StartOk: who is it?"""
    connection.properties = method.client_properties or {}
    name = connection.properties.get("connection_name")
    connection.name = name if isinstance(name, str) and name else "client"
    connection.user = user(method.mechanism, method.response, connection.server.users)
    if connection.user is None:
        if connection.capable("authentication_failure_close"):
            why = f"Login was refused using authentication mechanism {method.mechanism}. "
            error = AmqpError(403, why + "For details see the broker logfile.")
            connection.fail(connection.server.loop.time(), error)
        else:
            connection.end()
        return
    connection.state = "tune"
    server = connection.server
    connection.say(commands.Connection.Tune(server.channel_max, server.frame_max, server.heartbeat))


def user(mechanism: str, response: str, users: dict[str, str]) -> str | None:
    """The name of the user who has proved to be one of ``users``, else None.

    The SASL mechanisms are PLAIN (RFC 4616) and RabbitMQ's AMQPLAIN, a table with LOGIN and PASSWORD. Raises AmqpError
    503 for an unknown one, 502 for a response that is none.
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


def tune(connection, method) -> None:
    """TuneOk: it may ask for less than was offered."""
    for name, value, most in (
        ("channel_max", method.channel_max, connection.server.channel_max),
        ("frame_max", method.frame_max, connection.server.frame_max),
    ):
        if most and (value == 0 or value > most):
            raise AmqpError(530, f"negotiated {name} = {value} is higher than the maximum allowed value ({most})")
    if method.frame_max < SMALLEST_FRAME:
        least = f"is lower than the minimum allowed value ({SMALLEST_FRAME})"
        raise AmqpError(530, f"negotiated frame_max = {method.frame_max} {least}")
    connection.channel_max = method.channel_max
    connection.frame_max = method.frame_max
    connection.heartbeat = method.heartbeat
    connection.state = "open"


def open_host(connection, method) -> None:
    """Open: there is one virtual host."""
    if method.virtual_host != "/":
        raise AmqpError(530, f"vhost {method.virtual_host} not found")
    connection.session = Session(connection.broker, connection.user)
    connection.state = "running"
    connection.stamps = connection.server.stamps_for(connection)
    connection.say(commands.Connection.OpenOk())
    connection.begin_heartbeats()  # never before open-ok: clients do not expect one


STEPS = {
    ("start", commands.Connection.StartOk): log_in,
    ("tune", commands.Connection.TuneOk): tune,
    ("open", commands.Connection.Open): open_host,
}
