"""What each method of a channel does: a call of the core, and the method that answers. ``m`` is the method, decoded.

As in RabbitMQ the answer comes first, and then what the call causes on the same channel: deliveries, and the
Basic.Cancel of a consumer whose queue was deleted. Such a function answers by itself; the others return the answer.
"""

from pamqp import commands

from servicelab.servers.amqp import wire
from servicelab.servers.amqp.errors import AmqpError


def _queue_name(port, name):
    if name:
        return name
    if not port.channel.last_queue:
        raise AmqpError(404, "no previously declared queue")
    return port.channel.last_queue


def _declare_exchange(port, now, m):
    port.connection.broker.declare_exchange(
        m.exchange, m.exchange_type, passive=m.passive, durable=m.durable, auto_delete=m.auto_delete,
        internal=m.internal, arguments=m.arguments,
    )  # fmt: skip
    return commands.Exchange.DeclareOk()


def _delete_exchange(port, now, m):
    port.connection.broker.delete_exchange(now, m.exchange, m.if_unused)
    return commands.Exchange.DeleteOk()


def _bind_exchange(port, now, m):
    broker = port.connection.broker
    broker.source(m.source, m.destination)
    broker.bind(m.source, broker.exchange(m.destination), m.routing_key, m.arguments)
    return commands.Exchange.BindOk()


def _unbind_exchange(port, now, m):
    broker = port.connection.broker
    broker.unbind(m.source, broker.exchanges.get(m.destination), m.routing_key, m.arguments)
    return commands.Exchange.UnbindOk()


def _declare_queue(port, now, m):
    if port.connection.broker.replies.know(m.queue):
        return wire.QueueDeclared(m.queue, 0, 1)
    queue = port.connection.broker.declare_queue(
        now, m.queue, passive=m.passive, durable=m.durable, exclusive=m.exclusive, auto_delete=m.auto_delete,
        arguments=m.arguments, owner=port.connection.session,
    )  # fmt: skip
    port.channel.last_queue = queue.name
    return wire.QueueDeclared(queue.name, queue.ready, len(queue.rota))


def _bind_queue(port, now, m):
    name = _queue_name(port, m.queue)
    key = name if not m.queue and not m.routing_key else m.routing_key
    broker = port.connection.broker
    broker.source(m.exchange)
    broker.bind(m.exchange, broker.queue(name, port.connection.session), key, m.arguments)
    return commands.Queue.BindOk()


def _unbind_queue(port, now, m):
    name = _queue_name(port, m.queue)
    broker = port.connection.broker
    broker.unbind(m.exchange, broker.queues.get(name), m.routing_key, m.arguments)
    return commands.Queue.UnbindOk()


def _purge(port, now, m):
    queue = port.connection.broker.queue(_queue_name(port, m.queue), port.connection.session)
    return commands.Queue.PurgeOk(queue.purge())


def _delete_queue(port, now, m):
    port.connection.broker.delete_queue(
        now, _queue_name(port, m.queue), if_unused=m.if_unused, if_empty=m.if_empty, owner=port.connection.session,
        before=lambda count: port.answer(m, commands.Queue.DeleteOk(count)),
    )  # fmt: skip


def _qos(port, now, m):
    if m.prefetch_size:
        raise AmqpError(540, f"prefetch_size!=0 ({m.prefetch_size})")
    port.answer(m, commands.Basic.QosOk())
    port.channel.qos(now, m.prefetch_count, m.global_)


def _consume(port, now, m):
    port.channel.consume(
        now, _queue_name(port, m.queue), m.consumer_tag, no_ack=m.no_ack, exclusive=m.exclusive,
        arguments=m.arguments, before=lambda tag: port.answer(m, commands.Basic.ConsumeOk(tag)),
    )  # fmt: skip


def _cancel(port, now, m):
    port.answer(m, commands.Basic.CancelOk(m.consumer_tag))
    port.channel.cancel(now, m.consumer_tag)


def _get(port, now, m):
    found = port.channel.get(now, _queue_name(port, m.queue), m.no_ack)
    if found is None:
        return commands.Basic.GetEmpty()
    port.got(*found)


def _ack(port, now, m):
    port.ack(now, m.delivery_tag, m.multiple)


def _nack(port, now, m):
    if port.stamps is not None:
        port.stamps.answered(port, "nack requeue" if m.requeue else "reject")
    port.channel.nack(now, m.delivery_tag, getattr(m, "multiple", False), m.requeue)


def _recover(port, now, m):
    if not m.requeue:
        raise AmqpError(540, "requeue=false")
    if isinstance(m, commands.Basic.Recover):
        port.answer(m, commands.Basic.RecoverOk())
    port.channel.recover(now)


def _flow(port, now, m):
    if not m.active:
        raise AmqpError(540, "active=false")
    return commands.Channel.FlowOk(True)


def _select_confirms(port, now, m):
    port.channel.select_confirms()
    return commands.Confirm.SelectOk()


def _select_transaction(port, now, m):
    port.channel.select_transaction()
    return commands.Tx.SelectOk()


def _commit(port, now, m):
    def done():
        if not port.channel.closed:
            port.send(commands.Tx.CommitOk())

    port.channel.commit(now, done)


def _rollback(port, now, m):
    port.channel.rollback()
    return commands.Tx.RollbackOk()


def _open(port, now, m):
    raise AmqpError(504, "second 'channel.open' seen")


WITH_CONTENT = (commands.Basic.Deliver, commands.Basic.GetOk, commands.Basic.Return)
HANDLERS = {
    commands.Channel.Open: _open,
    commands.Channel.Flow: _flow,
    commands.Exchange.Declare: _declare_exchange,
    commands.Exchange.Delete: _delete_exchange,
    commands.Exchange.Bind: _bind_exchange,
    commands.Exchange.Unbind: _unbind_exchange,
    commands.Queue.Declare: _declare_queue,
    commands.Queue.Bind: _bind_queue,
    commands.Queue.Unbind: _unbind_queue,
    commands.Queue.Purge: _purge,
    commands.Queue.Delete: _delete_queue,
    commands.Basic.Qos: _qos,
    commands.Basic.Consume: _consume,
    commands.Basic.Cancel: _cancel,
    commands.Basic.Get: _get,
    commands.Basic.Ack: _ack,
    commands.Basic.Nack: _nack,
    commands.Basic.Reject: _nack,
    commands.Basic.Recover: _recover,
    commands.Basic.RecoverAsync: _recover,
    commands.Confirm.Select: _select_confirms,
    commands.Tx.Select: _select_transaction,
    commands.Tx.Commit: _commit,
    commands.Tx.Rollback: _rollback,
}
