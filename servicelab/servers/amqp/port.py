"""One channel of a connection on the wire: content frames become messages, methods become calls, deliveries frames."""

import struct
from functools import lru_cache

from pamqp import commands

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.channel import reply_queue
from servicelab.servers.amqp.errors import AmqpError, failed
from servicelab.servers.amqp.message import Properties, properties, target
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
        self._size = 0
        self._parts: list[bytes] = []
        self._missing = -1  # bytes of the body still to come; -1 while a header is awaited

    # -- content ----------------------------------------------------------------------------

    def publish(self, now: float, payload: bytes) -> None:
        """Basic.Publish, without the four bytes of class and method."""
        if self._publish is not None:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
        self._publish = fields = _publish_fields(payload)
        self._missing = -1
        if fields[2]:
            raise AmqpError(540, "immediate=true")

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
            raise failed(f"message size {size} larger than max size {LARGEST}")
        self._size = self._missing = size
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
            self._complete(now, payload)

    def _complete(self, now, body):
        (where, mandatory, _), self._publish = self._publish, None
        if self.stamps is not None:
            self.stamps.published(self, where, self._properties)
        try:
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
        self._content(method, entry.message, _raw(entry, consumer.queue))
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

    def _content(self, method, message, raw):
        number, body = self.number, message.body
        connection = self.connection
        size = len(body)
        parts = connection.out
        parts.append(_FRAME.pack(1, number, len(method)))
        parts.append(method)
        parts.append(_CONTENT.pack(_END, 2, number, 12 + len(raw), 60, 0, size))
        parts.append(raw)
        most = connection.largest
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
        self.connection.send(wire.method_frame(self.number, method))

    # -- methods ----------------------------------------------------------------------------

    def method(self, now: float, method) -> None:
        """Do what a method other than basic.publish asks for. Raises AmqpError."""
        if self._publish is not None:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
        handler = _HANDLERS.get(type(method))
        if handler is None:
            if isinstance(method, _WITH_CONTENT):
                raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
            raise AmqpError(503, "unimplemented method")
        reply = handler(self, now, method)
        if reply is not None and not getattr(method, "nowait", False):
            self.send(reply)

    def close(self, now: float) -> None:
        self._publish = None
        self._parts = []
        self.channel.close(now)

    def _queue_name(self, name):
        if name:
            return name
        if not self.channel.last_queue:
            raise AmqpError(404, "no previously declared queue")
        return self.channel.last_queue

    def _declare_exchange(self, now, m):
        self.connection.broker.declare_exchange(
            m.exchange, m.exchange_type, passive=m.passive, durable=m.durable, auto_delete=m.auto_delete,
            internal=m.internal, arguments=m.arguments,
        )  # fmt: skip
        return commands.Exchange.DeclareOk()

    def _delete_exchange(self, now, m):
        self.connection.broker.delete_exchange(now, m.exchange, m.if_unused)
        return commands.Exchange.DeleteOk()

    def _bind_exchange(self, now, m):
        broker = self.connection.broker
        broker.bind(m.source, broker.exchange(m.destination), m.routing_key, m.arguments)
        return commands.Exchange.BindOk()

    def _unbind_exchange(self, now, m):
        broker = self.connection.broker
        broker.unbind(m.source, broker.exchanges.get(m.destination), m.routing_key, m.arguments)
        return commands.Exchange.UnbindOk()

    def _declare_queue(self, now, m):
        if reply_queue(self.connection.broker, m.queue):
            return wire.QueueDeclared(m.queue, 0, 1)
        queue = self.connection.broker.declare_queue(
            now, m.queue, passive=m.passive, durable=m.durable, exclusive=m.exclusive, auto_delete=m.auto_delete,
            arguments=m.arguments, owner=self.connection.session,
        )  # fmt: skip
        self.channel.last_queue = queue.name
        return wire.QueueDeclared(queue.name, queue.ready, len(queue.rota))

    def _bind_queue(self, now, m):
        name = self._queue_name(m.queue)
        key = name if not m.queue and not m.routing_key else m.routing_key
        broker = self.connection.broker
        if m.exchange:
            broker.exchange(m.exchange)  # RabbitMQ names a missing exchange first
        broker.bind(m.exchange, broker.queue(name, self.connection.session), key, m.arguments)
        return commands.Queue.BindOk()

    def _unbind_queue(self, now, m):
        name = self._queue_name(m.queue)
        broker = self.connection.broker
        broker.unbind(m.exchange, broker.queues.get(name), m.routing_key, m.arguments)
        return commands.Queue.UnbindOk()

    def _purge(self, now, m):
        queue = self.connection.broker.queue(self._queue_name(m.queue), self.connection.session)
        return commands.Queue.PurgeOk(queue.purge())

    def _delete_queue(self, now, m):
        count = self.connection.broker.delete_queue(
            now, self._queue_name(m.queue), if_unused=m.if_unused, if_empty=m.if_empty, owner=self.connection.session
        )
        return commands.Queue.DeleteOk(count)

    def _qos(self, now, m):
        if m.prefetch_size:
            raise AmqpError(540, f"prefetch_size!=0 ({m.prefetch_size})")
        self.channel.qos(now, m.prefetch_count, m.global_)
        return commands.Basic.QosOk()

    def _consume(self, now, m):
        def say(tag):
            if not m.nowait:
                self.send(commands.Basic.ConsumeOk(tag))

        self.channel.consume(
            now, self._queue_name(m.queue), m.consumer_tag, no_ack=m.no_ack, exclusive=m.exclusive,
            arguments=m.arguments, before=say,
        )  # fmt: skip

    def _cancel(self, now, m):
        if not m.nowait:
            self.send(commands.Basic.CancelOk(m.consumer_tag))
        self.channel.cancel(now, m.consumer_tag)

    def _get(self, now, m):
        found = self.channel.get(now, self._queue_name(m.queue), m.no_ack)
        if found is None:
            return commands.Basic.GetEmpty()
        self.got(*found)

    def ack(self, now, tag, multiple):
        if self.stamps is not None:
            self.stamps.answered(self, "ack")
        self.channel.ack(now, tag, multiple)

    def _ack(self, now, m):
        self.ack(now, m.delivery_tag, m.multiple)

    def _nack(self, now, m):
        if self.stamps is not None:
            self.stamps.answered(self, "nack requeue" if m.requeue else "reject")
        self.channel.nack(now, m.delivery_tag, getattr(m, "multiple", False), m.requeue)

    def _recover(self, now, m):
        if not m.requeue:
            raise AmqpError(540, "requeue=false")
        self.channel.recover(now)
        return commands.Basic.RecoverOk() if isinstance(m, commands.Basic.Recover) else None

    def _flow(self, now, m):
        if not m.active:
            raise AmqpError(540, "active=false")
        return commands.Channel.FlowOk(True)

    def _select_confirms(self, now, m):
        self.channel.select_confirms()
        return commands.Confirm.SelectOk()

    def _select_transaction(self, now, m):
        self.channel.select_transaction()
        return commands.Tx.SelectOk()

    def _commit(self, now, m):
        def done():
            if not self.channel.closed:
                self.send(commands.Tx.CommitOk())

        self.channel.commit(now, done)

    def _rollback(self, now, m):
        self.channel.rollback()
        return commands.Tx.RollbackOk()

    def _open(self, now, m):
        raise AmqpError(504, "second 'channel.open' seen")


def _raw(entry, queue):
    """The properties as they are delivered: a quorum queue says how often the message came back."""
    found = entry.message.properties
    if entry.returns and queue is not None and queue.quorum:
        return Properties(found.shown).with_headers({"x-delivery-count": Long(entry.returns)}).raw
    return found.shown


_WITH_CONTENT = (commands.Basic.Deliver, commands.Basic.GetOk, commands.Basic.Return)
_HANDLERS = {
    commands.Channel.Open: Port._open,
    commands.Channel.Flow: Port._flow,
    commands.Exchange.Declare: Port._declare_exchange,
    commands.Exchange.Delete: Port._delete_exchange,
    commands.Exchange.Bind: Port._bind_exchange,
    commands.Exchange.Unbind: Port._unbind_exchange,
    commands.Queue.Declare: Port._declare_queue,
    commands.Queue.Bind: Port._bind_queue,
    commands.Queue.Unbind: Port._unbind_queue,
    commands.Queue.Purge: Port._purge,
    commands.Queue.Delete: Port._delete_queue,
    commands.Basic.Qos: Port._qos,
    commands.Basic.Consume: Port._consume,
    commands.Basic.Cancel: Port._cancel,
    commands.Basic.Get: Port._get,
    commands.Basic.Ack: Port._ack,
    commands.Basic.Nack: Port._nack,
    commands.Basic.Reject: Port._nack,
    commands.Basic.Recover: Port._recover,
    commands.Basic.RecoverAsync: Port._recover,
    commands.Confirm.Select: Port._select_confirms,
    commands.Tx.Select: Port._select_transaction,
    commands.Tx.Commit: Port._commit,
    commands.Tx.Rollback: Port._rollback,
}
