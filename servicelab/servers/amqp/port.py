"""One channel of a connection on the wire: content frames become messages, methods become calls, deliveries frames."""

import struct
from functools import lru_cache

from pamqp import commands
from pamqp.frame import marshal

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.errors import AmqpError, failed
from servicelab.servers.amqp.message import Properties, properties, target
from servicelab.servers.amqp.methods import HANDLERS, WITH_CONTENT
from servicelab.servers.amqp.stream import PLENTY
from servicelab.servers.amqp.tables import Long

#: A message's body in bytes, as RabbitMQ's default (https://www.rabbitmq.com/configure.html, max_message_size).
LARGEST = 134_217_728

_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">cBHIHHQ")  # the end of a method frame, then a header frame up to the properties
_BODY = struct.Struct(">cBHI")
_CONFIRM = struct.Struct(">BHIHHQBc")
_END = b"\xce"


@lru_cache(maxsize=4096)
def _publish_fields(payload: bytes):
    """``(target, mandatory, immediate)`` of basic.publish after class and method."""
    try:
        exchange, at = wire.read_short_string(payload, 2)
        key, at = wire.read_short_string(payload, at)
        bits = payload[at]
        if at + 1 != len(payload):
            raise ValueError("bytes too many")
    except (ValueError, IndexError) as error:
        raise AmqpError(502, f"cannot decode Basic.Publish: {error}") from None
    return target(exchange, key), bool(bits & 1), bool(bits & 2)


def _properties(raw: bytes) -> Properties:
    return properties(raw) if len(raw) <= 200 else Properties(raw)


class Port:
    """The protocol's end of a :class:`~servicelab.servers.amqp.channel.Channel`: its sink, and what feeds it."""

    def __init__(self, connection, number: int):
        self.connection = connection
        self.number = number
        self.stamps = connection.stamps
        self.channel = connection.session.channel(self)
        self.closing = False  # we have sent channel.close and wait for close-ok
        self._publish = None  # what basic.publish said, while its content is awaited
        self._properties = None
        self._method = b""
        self._heads = self._begun = None  # the payloads that began this message, and the one before it
        self._alike = None  # of both: what basic.publish said, and the properties
        self._parts: list[bytes] = []
        self._missing = -1  # bytes of the body still to come; -1 while a header is awaited

    # -- content ----------------------------------------------------------------------------

    def publish(self, now: float, payload: bytes) -> None:
        """Basic.Publish, without the four bytes of class and method."""
        if self._publish is not None:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
        self._publish = _publish_fields(payload)
        self._method = payload
        self._missing = -1

    def header(self, now: float, payload: bytes) -> None:
        if self._publish is None or self._missing >= 0:
            what = "content body" if self._publish is not None else "method"
            raise AmqpError(505, f"expected {what} frame, got non {what} frame instead")
        if len(payload) < 14:
            raise AmqpError(502, "content header is cut short")
        kind, _, size = struct.unpack_from(">HHQ", payload)
        if kind != wire.BASIC:
            raise AmqpError(505, f"expected content header for class 60, got one for class {kind} instead")
        self._properties = _properties(payload[12:])
        if size > LARGEST:
            self._publish = None
            error = failed(f"message size {size} is larger than configured max size {LARGEST}")
            error.method = (60, 40)
            raise error
        self._missing = size
        self._heads = self._method, payload
        if size == 0:
            self._complete(now, b"")

    def body(self, now: float, payload: bytes) -> None:
        if self._publish is None or self._missing < 0:
            what = "content header for class 60" if self._publish is not None else "method"
            got = "content header" if self._publish is not None else "method"
            raise AmqpError(505, f"expected {what}, got non {got} frame instead")
        self._missing -= len(payload)
        if self._missing > 0:
            self._parts.append(payload)
        elif self._missing < 0:
            raise AmqpError(501, f"content body is {-self._missing} bytes longer than announced")
        elif self._parts:
            self._parts.append(payload)
            whole, self._parts = b"".join(self._parts), []
            self._complete(now, whole)
        else:
            self._compare(len(payload))
            self._complete(now, payload)

    def again(self, now: float, body: bytes) -> None:
        """One more message that is like the last one in all but what its body says."""
        self._publish, self._properties = self._alike
        self._complete(now, body)

    def _compare(self, size):
        """Did this message begin as the one before it? Then the next one may, too."""
        begun = self._heads
        if begun == self._begun:
            method, header = begun
            self._alike = self._publish, self._properties
            beginning = b"".join((
                _FRAME.pack(1, self.number, 4 + len(method)), b"\x00\x3c\x00\x28", method,
                _END, _FRAME.pack(2, self.number, len(header)), header, _BODY.pack(_END, 3, self.number, size),
            ))  # fmt: skip
            self.connection.may_come_again(self, beginning, size)
        self._begun = begun

    def _complete(self, now, body):
        (where, mandatory, immediate), self._publish = self._publish, None
        if self.stamps is not None:
            self.stamps.published(self, where, self._properties)
        try:
            if immediate:
                raise AmqpError(540, "immediate=true")
            routed = self.channel.publish(now, where, self._properties, body, mandatory)
        except AmqpError as error:
            error.method = (60, 40)
            raise
        if not routed and self.stamps is not None:
            self.stamps.unroutable(where, mandatory)
        self.connection.published()

    def expects_content(self) -> bool:
        return self._publish is not None

    # -- what the channel says to its client (its sink) -------------------------------------

    def deliver(self, consumer, tag, entry) -> None:
        head = consumer.wire
        if head is None:
            head = consumer.wire = b"\x00\x3c\x00\x3c" + wire.short_string(consumer.tag)
        again = b"\1" if entry.redelivered else b"\0"
        method = b"".join((head, tag.to_bytes(8, "big"), again, entry.message.target.route))
        awaited = self.channel.outstanding < PLENTY
        self._content(method, entry.message, _raw(entry, consumer.queue), awaited)
        if self.stamps is not None:
            self.stamps.delivered(self, tag, entry)

    def got(self, tag, entry, queue) -> None:
        method = b"".join((
            b"\x00\x3c\x00\x47", tag.to_bytes(8, "big"), b"\1" if entry.redelivered else b"\0",
            entry.message.target.route, queue.ready.to_bytes(4, "big"),
        ))  # fmt: skip
        self._content(method, entry.message, _raw(entry, queue))
        if self.stamps is not None:
            self.stamps.delivered(self, tag, entry)

    def returned(self, message, code, text) -> None:
        method = b"\x00\x3c\x00\x32" + code.to_bytes(2, "big") + wire.short_string(text) + message.target.route
        self._content(method, message, message.properties.raw)
        if self.stamps is not None:
            self.stamps.returned(self, message)

    def confirmed(self, number, multiple, accepted) -> None:
        if accepted:
            self.connection.send(_CONFIRM.pack(1, self.number, 13, 60, 80, number, multiple, _END))
        else:  # basic.nack
            self.connection.send(_CONFIRM.pack(1, self.number, 13, 60, 120, number, multiple, _END))
        if self.stamps is not None:
            self.stamps.confirmed(self, number, multiple, accepted)

    def cancelled(self, tag) -> None:
        if self.connection.capable("consumer_cancel_notify"):
            self.send(commands.Basic.Cancel(tag, True))

    def _content(self, method, message, raw, awaited=True):
        number, body = self.number, message.body
        connection = self.connection
        if awaited:
            connection.server.answered = True
        size = len(body)
        parts = connection.out
        parts.append(_FRAME.pack(1, number, len(method)))
        parts.append(method)
        parts.append(_CONTENT.pack(_END, 2, number, 12 + len(raw), 60, 0, size))
        parts.append(raw)
        most = connection.frame_max - 8
        if 0 < size <= most:
            parts.append(_BODY.pack(_END, 3, number, size))
            parts.append(body)
        else:
            for at in range(0, size, most):
                part = body[at : at + most]
                parts.append(_BODY.pack(_END, 3, number, len(part)))
                parts.append(part)
        parts.append(_END)
        connection.grown(size + 200)

    def send(self, method) -> None:
        self.connection.send(marshal(method, self.number))

    # -- methods ----------------------------------------------------------------------------

    def method(self, now: float, method) -> None:
        """Do what a method other than basic.publish asks for. Raises AmqpError."""
        if self._publish is not None:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
        handler = HANDLERS.get(type(method))
        if handler is None:
            if isinstance(method, WITH_CONTENT):
                raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
            raise AmqpError(503, "unimplemented method")
        reply = handler(self, now, method)
        if reply is not None:
            self.answer(method, reply)

    def answer(self, method, reply) -> None:
        """``reply`` to ``method``, unless that asked for none."""
        if not getattr(method, "nowait", False):
            self.send(reply)

    def close(self, now: float) -> None:
        self._publish = None
        self._parts = []
        self.channel.close(now)

    def ack(self, now: float, tag: int, multiple: bool) -> None:
        if self.stamps is not None:
            self.stamps.answered(self, "ack")
        self.channel.ack(now, tag, multiple)


def _raw(entry, queue):
    """The properties as they are delivered: a quorum queue says how often the message came back."""
    found = entry.message.properties
    if queue is not None and queue.quorum:
        return Properties(found.shown).with_headers({"x-delivery-count": Long(entry.returns)}).raw
    return found.shown
