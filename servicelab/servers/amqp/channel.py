"""What a client does: a session (its connection) with channels that publish, consume and acknowledge.

Plain logic: what has to be said to the client goes to the channel's ``sink``.
"""

import secrets
from typing import Protocol

from servicelab.servers.amqp.arguments import consumer_priority
from servicelab.servers.amqp.confirms import Confirms
from servicelab.servers.amqp.consumers import Consumer
from servicelab.servers.amqp.errors import AmqpError, failed, refused
from servicelab.servers.amqp.message import Entry, Message, Properties, Target
from servicelab.servers.amqp.outstanding import Outstanding, Transaction, Unacked
from servicelab.servers.amqp.queues import Queue
from servicelab.servers.amqp.replies import REPLY_TO, is_address


class Sink(Protocol):
    """The client's end of a channel. Over a socket it makes frames; a test or a simulation brings its own."""

    def deliver(self, consumer: Consumer, tag: int, entry: Entry) -> None: ...
    def returned(self, message: Message, code: int, text: str) -> None: ...
    def cancelled(self, consumer_tag: str) -> None: ...
    def confirmed(self, number: int, multiple: bool, accepted: bool) -> None: ...


class Session:
    """One client's connection: it owns channels and exclusive queues."""

    def __init__(self, broker, user: str = "guest"):
        self.broker = broker
        self.user = user
        self.channels: list[Channel] = []

    def channel(self, sink: Sink) -> "Channel":
        channel = Channel(self, sink)
        self.channels.append(channel)
        return channel

    def close(self, now: float) -> None:
        """Everything unacknowledged goes back to its queue; exclusive queues are deleted."""
        for channel in list(self.channels):
            channel.close(now)
        for queue in [queue for queue in self.broker.queues.values() if queue.owner is self]:
            self.broker.remove_queue(now, queue)


class Channel:
    """A channel. ``writable`` is set to False, and :meth:`resume` called later, when its client cannot take more."""

    def __init__(self, session: Session, sink: Sink):
        self.session = session
        self.broker = session.broker
        self.sink = sink
        self.consumers: dict[str, Consumer] = {}
        self.unacked = Outstanding()
        self.writable = True
        self.closed = False
        self.prefetch = 0  # for consumers to come
        self.limit = 0  # of all consumers together
        self.outstanding = 0  # what consumers have not acknowledged
        self.confirms: Confirms | None = None
        self.last_queue = ""
        self._tag = 0
        self._reply: Consumer | None = None  # of answers by direct reply-to
        self._address = ""  # theirs
        self._transaction: Transaction | None = None

    # -- publishing -------------------------------------------------------------------------

    def publish(self, now: float, target: Target, properties: Properties, body: bytes, mandatory: bool = False) -> bool:
        """Returns whether a queue was found (True while a transaction holds it back). Raises AmqpError."""
        broker = self.broker
        exchange = broker.exchange(target.exchange)
        if exchange.internal:
            raise refused(f"cannot publish to internal exchange '{exchange.name}' in vhost '/'")
        if not properties.plain:
            properties = self._checked(properties)
        message = Message(target, properties, body)
        number = self.confirms.number() if self.confirms is not None else 0
        if self._transaction is not None:
            self._transaction.published.append((message, mandatory))
            return True
        return self._publish(now, message, mandatory, number)

    def _checked(self, properties):
        """``properties``, if this client may send them, with its address in the place of REPLY_TO."""
        if properties.fault is not None:
            raise failed(properties.fault)
        if properties.user_id is not None and properties.user_id != self.session.user:
            user = self.session.user
            raise failed(f"user_id property set to '{properties.user_id}' but authenticated user was '{user}'")
        if properties.reply_to != REPLY_TO:
            return properties
        if self._reply is None:
            raise failed("fast reply consumer does not exist")
        return properties.replaced(reply_to=self._address)

    def _publish(self, now, message, mandatory, number):
        broker = self.broker
        target = message.target
        stored = False
        accepted = True
        if is_address(target):
            routed = broker.replies.deliver(message)
        else:
            queues = broker.route(message)
            routed = bool(queues)
            accepted, stored = broker.deliver(now, message, queues)
        if not routed and mandatory:
            self.sink.returned(message, 312, "NO_ROUTE")
        if number:
            self._confirm(number, accepted, stored)
            if not routed:
                self.say_confirms()  # no queue has to be waited for: RabbitMQ says so before any later answer
        return routed

    def _confirm(self, number, accepted, stored):
        def decided():
            (self.confirms.done if accepted else self.confirms.refused)(number)
            self.broker.confirming[self] = None

        if stored:
            self.confirms.waits(number)
            self.broker.after_disk(decided)
        else:
            decided()

    def say_confirms(self) -> None:
        """Tell the publisher what has been decided since the last time."""
        if self.confirms is not None and not self.closed:
            for answer in self.confirms.answers():
                self.sink.confirmed(*answer)

    def select_confirms(self) -> None:
        if self._transaction is not None:
            raise failed("cannot switch from tx to confirm mode")
        self.confirms = self.confirms or Confirms()

    # -- consuming --------------------------------------------------------------------------

    def consume(
        self, now: float, queue: str, tag: str = "", *, no_ack=False, exclusive=False, arguments=None, before=None
    ) -> str:
        """Subscribe; returns the consumer's tag. ``before(tag)`` is called before the first delivery can happen."""
        arguments = arguments or {}
        if queue == REPLY_TO:
            return self._consume_replies(tag, no_ack, before)
        if tag in self.consumers or (self._reply is not None and self._reply.tag == tag):
            raise AmqpError(530, f"attempt to reuse consumer tag '{tag}'")
        found = self.broker.queue(queue, self.session)
        if found.quorum and self.limit:
            raise AmqpError(540, f"queue '{queue}' in vhost '/' does not support global qos")
        priority = consumer_priority(queue, arguments)
        others = found.rota.members
        if (others and (exclusive or others[0].exclusive)) or (exclusive and found.options.single):
            raise refused(f"queue '{queue}' in vhost '/' in exclusive use")
        tag = tag or f"amq.ctag-{secrets.token_urlsafe(16)}"
        consumer = Consumer(
            tag, self, found, no_ack=no_ack, exclusive=exclusive, priority=priority, arguments=arguments,
            limit=self.prefetch,
        )  # fmt: skip
        self.consumers[tag] = consumer
        if before is not None:
            before(tag)
        found.use(now)
        found.rota.add(consumer)
        found.dispatch(now)
        found._changed()
        return tag

    def _consume_replies(self, tag, no_ack, before):
        if self._reply is not None:
            raise failed("reply consumer already set")
        if not no_ack:
            raise failed("reply consumer cannot acknowledge")
        tag = tag or f"amq.ctag-{secrets.token_urlsafe(16)}"
        self._reply = Consumer(tag, self, None, no_ack=True)
        self._address = self.broker.replies.listen(self._reply)
        if before is not None:
            before(tag)
        return tag

    def cancel(self, now: float, tag: str) -> None:
        """What it has not acknowledged stays with the channel. No error when there is no such consumer."""
        if self._reply is not None and self._reply.tag == tag:
            self.broker.replies.leave(self._address)
            self._reply = None
            return
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            self._leave(now, consumer)

    def _leave(self, now, consumer):
        queue = consumer.queue
        queue.rota.remove(consumer)
        self.broker.left(now, queue)
        if queue.rota.members and not queue.deleted:
            queue.dispatch(now)  # a single active consumer has a successor

    def lose_consumer(self, consumer: Consumer) -> None:
        """Its queue was deleted: tell the client."""
        if self.consumers.pop(consumer.tag, None) is not None:
            self.sink.cancelled(consumer.tag)

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Called by a queue for a consumer that is ready."""
        self._tag = tag = self._tag + 1
        if not consumer.no_ack:
            self.unacked[tag] = Unacked(entry, consumer.queue, consumer)
            consumer.unacked += 1
            self.outstanding += 1
        self.sink.deliver(consumer, tag, entry)

    def get(self, now: float, queue: str, no_ack: bool = False) -> tuple[int, Entry, Queue] | None:
        """Fetch one message: ``(delivery tag, entry, queue)``, or None when there is none."""
        found = self.broker.queue(queue, self.session)
        found.use(now)
        entry = found.take(now, no_ack)
        if entry is None:
            return None
        self._tag += 1
        if not no_ack:
            self.unacked[self._tag] = Unacked(entry, found, None)
        return self._tag, entry, found

    def qos(self, now: float, count: int, everyone: bool) -> None:
        """``everyone``: for all consumers of the channel together; otherwise for each of those to come. 0: any."""
        if not everyone:
            self.prefetch = count
            return
        self.limit = count
        self._wake(now)

    def resume(self, now: float) -> None:
        """The client can take more again."""
        self.writable = True
        self._wake(now)

    def _wake(self, now):
        for consumer in list(self.consumers.values()):
            self._wake_one(now, consumer)

    # -- acknowledging ----------------------------------------------------------------------

    def ack(self, now: float, tag: int, multiple: bool = False) -> None:
        """Raises AmqpError 406 for an unknown delivery tag. With ``multiple``, 0 means all."""
        if not multiple and self._transaction is None:
            found = self.unacked.pop(tag, None)
            if found is None:
                raise failed(f"unknown delivery tag {tag}")
            found.queue.acknowledge([found.entry])
            self._freed(now, found)
            return
        self._settle(now, "ack", self.unacked.take(tag, multiple, self._tag))

    def nack(self, now: float, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        self._settle(now, "requeue" if requeue else "reject", self.unacked.take(tag, multiple, self._tag))

    def recover(self, now: float) -> None:
        """Requeue everything that this channel has not acknowledged."""
        self._apply(now, "requeue", self.unacked.take_all())

    def _settle(self, now, what, settled):
        if self._transaction is not None:
            self._transaction.settled.append((what, settled))
        else:
            self._apply(now, what, settled)

    def _apply(self, now, what, settled):
        by_queue: dict[Queue, list[Entry]] = {}
        for _, found in settled:
            by_queue.setdefault(found.queue, []).append(found.entry)
            if found.consumer is not None:
                found.consumer.unacked -= 1
                self.outstanding -= 1
        for queue, entries in by_queue.items():
            if what == "ack":
                queue.acknowledge(entries)
            elif what == "reject":
                queue.reject(now, entries)
            else:
                queue.requeue(now, entries, lost=self.closed)
        if self.limit:
            self._wake(now)
        else:
            for consumer in {found.consumer: None for _, found in settled}:
                self._wake_one(now, consumer)

    def _freed(self, now, found):
        consumer = found.consumer
        if consumer is None:
            return
        consumer.unacked -= 1
        self.outstanding -= 1
        if self.limit:
            self._wake(now)
        elif consumer.resting:
            self._wake_one(now, consumer)

    def _wake_one(self, now, consumer):
        if consumer is None or not consumer.resting or not consumer.ready():
            return
        if self.consumers.get(consumer.tag) is not consumer:
            return  # it was cancelled; its tag may have a new owner by now
        if consumer.queue.rota.wake(consumer):
            consumer.queue.dispatch(now)
            consumer.queue._changed()

    # -- transactions -----------------------------------------------------------------------

    def select_transaction(self) -> None:
        if self.confirms is not None:
            raise failed("cannot switch from confirm to tx mode")
        self._transaction = self._transaction or Transaction()

    def commit(self, now: float, done) -> None:
        """Publish and settle what was held back; ``done()`` is called once it is on disk."""
        transaction = self._current_transaction()
        self._transaction = Transaction()
        with self.broker.journal.together():
            for message, mandatory in transaction.published:
                if message.target.exchange in self.broker.exchanges:
                    self._publish(now, message, mandatory, 0)
            for what, settled in transaction.settled:
                self._apply(now, what, settled)
        self.broker.after_disk(done)

    def rollback(self) -> None:
        """Forget what was published; what was acknowledged is unacknowledged again, and not delivered again."""
        transaction = self._current_transaction()
        self._transaction = Transaction()
        self.unacked.put_back([each for _, settled in transaction.settled for each in settled])

    def _current_transaction(self):
        if self._transaction is None:
            raise failed("channel is not transactional")
        return self._transaction

    # -- the end ----------------------------------------------------------------------------

    def close(self, now: float) -> None:
        """Consumers leave, and everything that is not acknowledged goes back to its queue."""
        if self.closed:
            return
        self.closed = True
        self.writable = False
        if self._transaction is not None:
            self.rollback()
        if self._reply is not None:
            self.cancel(now, self._reply.tag)
        consumers, self.consumers = list(self.consumers.values()), {}
        for consumer in consumers:
            if not consumer.queue.deleted:
                consumer.queue.rota.remove(consumer)
        self.recover(now)
        for queue in {consumer.queue: None for consumer in consumers}:
            if not queue.deleted:
                self.broker.left(now, queue)
                if not queue.deleted:
                    queue.dispatch(now)
        self.broker.confirming.pop(self, None)
        if self in self.session.channels:
            self.session.channels.remove(self)
