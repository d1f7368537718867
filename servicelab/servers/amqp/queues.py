"""A queue: its backlog, its consumers, and everything that makes a message leave it.

Time is an argument (seconds). A queue never looks at a clock and never waits: what has to happen later is in
:meth:`Queue.deadline`, and happens in :meth:`Queue.expire`.
"""

from servicelab.servers.amqp.arguments import QueueOptions
from servicelab.servers.amqp.backlog import Backlog, PriorityBacklog, QuorumBacklog
from servicelab.servers.amqp.consumers import Consumer, Rota
from servicelab.servers.amqp.message import OVERHEAD, Entry, Message


class Queue:
    """A classic or a quorum queue. ``broker`` is the virtual host that it belongs to; ``owner`` the connection that
    alone may use it, when it is exclusive."""

    def __init__(self, broker, name, options: QueueOptions, *, durable, owner=None, auto_delete=False, arguments=None):
        self.broker = broker
        self.name = name
        self.options = options
        self.durable = durable
        self.owner = owner
        self.auto_delete = auto_delete
        self.arguments = arguments or {}
        self.quorum = options.kind == "quorum"
        most = options.max_priority
        self.backlog = PriorityBacklog(most) if most else QuorumBacklog() if self.quorum else Backlog()
        self.rota = Rota(options.single)
        self.ready_bytes = 0
        self.unacked = 0
        self.deleted = False
        self.bounded = options.max_length is not None or options.max_bytes is not None
        self.timed = False  # whether any message of it may expire
        self.wakes = None  # the moment for which the broker has noted this queue
        self._number = 0
        self._used = 0.0

    @property
    def ready(self) -> int:
        return len(self.backlog)

    # -- in ---------------------------------------------------------------------------------

    def accepts(self, message: Message) -> bool:
        """False when it is full and refuses what is published rather than drop its oldest."""
        options = self.options
        if not self.bounded or options.overflow == "drop-head":
            return True
        return not self._over(len(self.backlog) + 1, self.ready_bytes + len(message.body))

    def push(self, now: float, message: Message) -> bool:
        """Take a message in. True when the journal was told of it."""
        self._number = number = self._number + 1
        entry = Entry(number, message, self._expiry(now, message))
        broker = self.broker
        backlog = self.backlog
        broker.held += len(message.body) + OVERHEAD
        stored = broker.keeps and self.durable and (message.properties.persistent or self.quorum)
        if not backlog and (consumer := self.rota.next()) is not None:
            if stored and not consumer.no_ack:
                self._store(now, entry)
            self._hand(consumer, entry)
        else:
            if stored:
                self._store(now, entry)
            backlog.add(entry)
            self.ready_bytes += len(message.body)
            if self.timed or self.rota.members:
                self.dispatch(now)
            if self.bounded:
                self._shorten(now)
        if entry.expires is not None:
            self.timed = True
            self.expire(now)
        if broker.observer is not None:
            broker.observer.depth(self)
        return stored

    def restore(self, number: int, message: Message, expires: float | None, returns: int, known: bool = False) -> None:
        """Put back what the journal had. If it is not ``known`` how often it came back, it says ``redelivered``."""
        self._number = max(self._number, number)
        entry = Entry(number, message, expires)
        entry.stored = True
        entry.redelivered = returns > 0 or not known
        entry.returns = returns
        self.timed = self.timed or expires is not None
        self.broker.held += len(message.body) + OVERHEAD
        self.ready_bytes += len(message.body)
        self.backlog.add(entry)

    def restored(self, now: float) -> None:
        """All is back. Some of it may be too old by now, or too much: what was unacknowledged waits again, too."""
        self.expire(now)
        if self.bounded:
            self._shorten(now)

    def requeue(self, now: float, entries: list[Entry], lost: bool = False) -> None:
        """Messages that a consumer gave back, or ``lost`` with its channel, wait again."""
        if self.deleted:
            self._let_go(entries)
            return
        for entry in entries:
            entry.redelivered = True
            self.unacked -= 1
            if self.quorum:
                self._requeue_in_quorum(now, entry, lost)
            else:
                self.backlog.give_back(entry)
                self.ready_bytes += len(entry.message.body)
        self.dispatch(now)
        if self.bounded:
            self._shorten(now)
        self._changed()

    def _requeue_in_quorum(self, now, entry, lost):
        """It counts how often a message came back. What a client gives back to a queue without a delivery limit goes
        to the end, lest a poison message should stop all others for ever."""
        limit, journal, old = self.options.delivery_limit, self.broker.journal, entry.number
        entry.returns += 1
        if limit is not None and entry.returns > limit:
            self._die(now, entry, "delivery_limit")
            return
        self.ready_bytes += len(entry.message.body)
        if limit is not None or lost:
            self.backlog.give_back(entry)
        else:
            self._number = entry.number = self._number + 1
            self.backlog.add(entry)
        if not entry.stored:
            return
        with journal.together():
            if entry.number != old:
                self._store(now, entry)
                journal.settle(self.name, old)
            journal.requeued(self.name, entry.number, entry.returns)

    def _store(self, now, entry):
        entry.stored = True
        expires = 0.0 if entry.expires is None else entry.expires + self.broker.epoch
        self.broker.journal.put(self.name, entry.number, entry.message.encode(expires))

    def _expiry(self, now, message):
        ttl, own = self.options.ttl, message.properties.expiration
        if own is not None and (ttl is None or own < ttl):
            ttl = own
        return None if ttl is None else now + ttl / 1000

    # -- out --------------------------------------------------------------------------------

    def dispatch(self, now: float) -> None:
        """Hand out what can be handed out."""
        backlog, rota = self.backlog, self.rota
        if self.timed:
            self.expire(now)
        while backlog and (consumer := rota.next()) is not None:
            entry = backlog.pop()
            self.ready_bytes -= len(entry.message.body)
            self._hand(consumer, entry)
            if self.timed:
                self.expire(now)  # the next one may have waited behind it longer than it lives

    def _hand(self, consumer: Consumer, entry: Entry) -> None:
        if consumer.no_ack:
            consumer.channel.deliver(consumer, entry)
            self._settle(entry)
        else:
            self.unacked += 1
            consumer.channel.deliver(consumer, entry)

    def take(self, now: float, no_ack: bool) -> Entry | None:
        """The next message for basic.get, or None."""
        self._used = now
        self.expire(now)
        if not self.backlog:
            return None
        entry = self.backlog.pop()
        self.ready_bytes -= len(entry.message.body)
        if no_ack:
            self._settle(entry)
        else:
            self.unacked += 1
        self.expire(now)
        self._changed()
        return entry

    def acknowledge(self, entries: list[Entry]) -> None:
        if self.deleted:
            self._let_go(entries)
            return
        self.unacked -= len(entries)
        for entry in entries:
            self._settle(entry)
        self._changed()

    def reject(self, now: float, entries: list[Entry]) -> None:
        """Rejected without requeue: a dead letter, or gone."""
        if self.deleted:
            self._let_go(entries)
            return
        self.unacked -= len(entries)
        for entry in entries:
            self._die(now, entry, "rejected")
        self._changed()

    def purge(self) -> int:
        """Remove what is ready; returns how many that were."""
        entries = self.backlog.clear()
        self.ready_bytes = 0
        for entry in entries:
            self._settle(entry)
        self._changed()
        return len(entries)

    def discard(self) -> int:
        """The queue is deleted: forget what is ready. What is unacknowledged is forgotten when it is settled."""
        self.deleted = True
        entries = self.backlog.clear()
        self._let_go(entries)
        return len(entries)

    def _settle(self, entry):
        self.broker.held -= len(entry.message.body) + OVERHEAD
        if entry.stored:
            entry.stored = False
            self.broker.journal.settle(self.name, entry.number)

    def _let_go(self, entries):
        for entry in entries:
            self.broker.held -= len(entry.message.body) + OVERHEAD

    def _die(self, now, entry, reason):
        if not entry.stored:
            self.broker.bury(now, self, entry.message, reason)
            self._settle(entry)
            return
        with self.broker.journal.together():
            self.broker.bury(now, self, entry.message, reason)
            self._settle(entry)

    # -- bounds and time --------------------------------------------------------------------

    def _over(self, length, size):
        options = self.options
        return (options.max_length is not None and length > options.max_length) or (
            options.max_bytes is not None and size > options.max_bytes
        )

    def _shorten(self, now):
        if self.options.overflow != "drop-head":
            return  # it refuses what is new; what it had accepted may come back whatever the length
        while self.backlog and self._over(len(self.backlog), self.ready_bytes):
            entry = self.backlog.pop()
            self.ready_bytes -= len(entry.message.body)
            self._die(now, entry, "maxlen")
        self.expire(now)

    def expire(self, now: float) -> None:
        """Let die what has died by ``now``, and note when the next one will."""
        if not self.timed:
            return
        entries = self.backlog.expired(now)
        for entry in entries:
            self.ready_bytes -= len(entry.message.body)
            self._die(now, entry, "expired")
        if entries:
            self._changed()
        self.broker.remind(self, self.backlog.deadline())

    def use(self, now: float) -> None:
        """Somebody declared, consumed or read it: the time of x-expires begins again."""
        self._used = now
        if self.options.expires is not None:
            self.broker.remind(self, self.idle_deadline())

    def idle_deadline(self) -> float | None:
        """When it is deleted for lack of use, in seconds, or None."""
        if self.options.expires is None or self.rota.members:
            return None
        return self._used + self.options.expires / 1000

    def _changed(self):
        if self.broker.observer is not None and not self.deleted:
            self.broker.observer.depth(self)
