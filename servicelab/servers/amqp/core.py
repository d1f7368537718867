"""The virtual host: exchanges, queues and bindings, and the way of a message through them.

No I/O, no clock, no thread: ``now`` (seconds) is an argument everywhere, and what falls due later is asked for with
:meth:`VirtualHost.next_deadline` and done with :meth:`VirtualHost.expire`. So the same broker serves real sockets, is
driven by SimPy, and is tested against a plain model.

A client is a :class:`~servicelab.servers.amqp.channel.Session` with channels; see there for publish and consume.
"""

import itertools
import secrets
from heapq import heappop, heappush

from servicelab.servers.amqp import arguments as args
from servicelab.servers.amqp import exchanges
from servicelab.servers.amqp.deadletter import circles, letter
from servicelab.servers.amqp.errors import AmqpError, failed, locked, not_found, refused
from servicelab.servers.amqp.journal import NullJournal, Snapshot, binding_spec, refill
from servicelab.servers.amqp.message import Message
from servicelab.servers.amqp.queues import Queue
from servicelab.servers.amqp.replies import Replies
from servicelab.servers.amqp.routing import Router
from servicelab.servers.amqp.tables import type_name
from servicelab.servers.amqp.wire import pack_table

#: Messages that a broker marks as delivered before when it ends. It takes up to 1 s; more are too many to wait for.
MOST_NOTED = 100_000
ON_DEFAULT = "operation not permitted on the default exchange"


class VirtualHost:
    """The broker without its sockets.

    ``journal`` is told what must survive (see :mod:`servicelab.servers.amqp.journal`). ``observer``, if given, is
    told ``depth(queue)`` after every change of a queue, ``lost(queue, message, why)`` and ``dead(queue, message,
    reason, exchange)``. ``epoch``: seconds to add to ``now`` to get the time of day.
    ``held`` is how many bytes all messages take up, as far as a broker can know.
    """

    def __init__(self, journal=None, *, observer=None, epoch: float = 0.0):
        self.journal = journal if journal is not None else NullJournal()
        self.keeps = not isinstance(self.journal, NullJournal)
        self.observer = observer
        self.epoch = epoch
        self.held = 0
        self.restored = False
        self.exchanges = {
            name: exchanges.KINDS[kind](name, durable=True) for name, kind in exchanges.PREDECLARED.items()
        }
        self.exchanges["amq.rabbitmq.trace"] = exchanges.Topic("amq.rabbitmq.trace", durable=True, internal=True)
        self.queues: dict[str, Queue] = {}
        self.replies = Replies()
        self.confirming: dict = {}  # channels that have confirms to send
        self._waiting: list = []  # what is to be done once the journal is on disk
        self._timers: list = []
        self._ties = itertools.count()
        self._graves: list = []
        self._burying = False
        self._router = Router(self.exchanges, self.queues)
        self.route = self._router.route

    # -- exchanges --------------------------------------------------------------------------

    def exchange(self, name: str):
        """Raises AmqpError 404."""
        found = self.exchanges.get(name)
        if found is None:
            raise not_found("exchange", name)
        return found

    def declare_exchange(
        self, name, kind="direct", *, passive=False, durable=False, auto_delete=False, internal=False, arguments=None
    ):
        arguments = arguments or {}
        if name == "":
            raise refused(ON_DEFAULT)
        if passive:
            return self.exchange(name)
        if kind not in exchanges.KINDS:
            raise AmqpError(503, f"unknown exchange type '{kind}'")
        alternate = arguments.get("alternate-exchange", "")
        if not isinstance(alternate, str):
            kind_ = type_name(alternate)
            raise failed(f"invalid type '{kind_}' for arg 'alternate-exchange' in exchange '{name}' in vhost '/'")
        found = self.exchanges.get(name)
        if found is not None:
            wanted = (("type", kind), ("durable", durable), ("auto_delete", auto_delete), ("internal", internal))
            for what, value in wanted:
                args.same("exchange", name, what, value, getattr(found, what))
            args.same_arguments("exchange", name, arguments, found.arguments, ("alternate-exchange",))
            return found
        if name.startswith("amq."):
            raise refused(f"exchange name '{name}' contains reserved prefix 'amq.*'")
        properties = {"durable": durable, "auto_delete": auto_delete, "internal": internal}
        found = self.exchanges[name] = exchanges.KINDS[kind](name, arguments=arguments, **properties)
        self._router.forget()
        if durable:
            self.journal.declare_exchange(name, {"type": kind, **properties, "arguments": pack_table(arguments)})
        return found

    def delete_exchange(self, now: float, name: str, if_unused: bool = False) -> None:
        """No error when there is none, as since RabbitMQ 3.2."""
        if name == "":
            raise refused(ON_DEFAULT)
        found = self.exchanges.get(name)
        if found is None:
            return
        if found.system:
            raise refused(f"deletion of system exchange '{name}' in vhost '/' not allowed")
        if if_unused and found.bindings:
            raise failed(f"exchange '{name}' in vhost '/' in use")
        self._remove_exchange(found)

    def _remove_exchange(self, found):
        del self.exchanges[found.name]
        self._router.forget()
        for destination, key, _ in list(found.bindings):
            self._forget_binding(found, destination, key, found.bindings[destination, key, _])
        found.bindings.clear()
        self._unbind_all(found)
        if found.durable:
            self.journal.delete_exchange(found.name)

    # -- bindings ---------------------------------------------------------------------------

    def source(self, name: str, destination: str | None = None):
        """The exchange ``name`` as the source of a binding, which RabbitMQ looks at first. Raises AmqpError.

        ``destination``: the name of the other end, when that is an exchange.
        """
        if "" in (name, destination):
            raise refused(ON_DEFAULT)
        return self.exchange(name)

    def bind(self, source: str, destination, key: str = "", arguments: dict | None = None) -> None:
        """``destination`` is a Queue or an exchange."""
        exchange = self.source(source, destination.name)
        if exchange.bind(destination, key, arguments or {}):
            self._router.forget()
            if self._keeps_binding(exchange, destination):
                self.journal.bind(binding_spec(exchange, destination, key, arguments or {}))

    def unbind(self, source: str, destination, key: str = "", arguments: dict | None = None) -> None:
        """No error when there is no such binding. ``destination`` may be None: nothing of that name exists."""
        if source == "" or getattr(destination, "name", None) == "":
            raise refused(ON_DEFAULT)
        exchange = self.exchanges.get(source)
        if exchange is not None and destination is not None and exchange.unbind(destination, key, arguments or {}):
            self._router.forget()
            self._forget_binding(exchange, destination, key, arguments or {})
            self._maybe_auto_delete(exchange)

    def _unbind_all(self, destination):
        for exchange in list(self.exchanges.values()):
            gone = exchange.forget(destination)
            for key, arguments in gone:
                self._forget_binding(exchange, destination, key, arguments)
            if gone:
                self._maybe_auto_delete(exchange)

    def _maybe_auto_delete(self, exchange):
        if exchange.auto_delete and not exchange.bindings and self.exchanges.get(exchange.name) is exchange:
            self._remove_exchange(exchange)

    def _forget_binding(self, exchange, destination, key, arguments):
        if self._keeps_binding(exchange, destination):
            self.journal.unbind(binding_spec(exchange, destination, key, arguments))

    def _keeps_binding(self, exchange, destination):
        return exchange.durable and destination.durable

    # -- queues -----------------------------------------------------------------------------

    def queue(self, name: str, owner=None) -> Queue:
        """Raises AmqpError 404, or 405 when it is exclusive to another than ``owner``."""
        found = self.queues.get(name)
        if found is None:
            raise not_found("queue", name)
        if found.owner is not None and found.owner is not owner:
            raise locked(name)
        return found

    def declare_queue(
        self, now: float, name: str = "", *, passive=False, durable=False, exclusive=False, auto_delete=False,
        arguments=None, owner=None,
    ) -> Queue:  # fmt: skip
        arguments = arguments or {}
        if passive:
            found = self.queue(name, owner)
            found.use(now)
            return found
        if name.startswith("amq."):
            raise refused(f"queue name '{name}' contains reserved prefix 'amq.*'")
        durable = durable and not exclusive  # it ends with its connection, whatever was asked for
        found = self.queues.get(name) if name else None
        if found is not None:
            if found.owner is not (owner if exclusive else None):
                raise locked(name)
            args.same("queue", name, "durable", durable, found.durable)
            args.same("queue", name, "auto_delete", auto_delete, found.auto_delete)
            args.same_arguments("queue", name, arguments, found.arguments)
            found.use(now)
            return found
        name = name or f"amq.gen-{secrets.token_urlsafe(16)}"
        options = args.queue_options(name, arguments, durable=durable, exclusive=exclusive, auto_delete=auto_delete)
        found = Queue(
            self, name, options, durable=durable, owner=owner if exclusive else None, auto_delete=auto_delete,
            arguments=arguments,
        )  # fmt: skip
        self.queues[name] = found
        self._router.forget()
        found.use(now)
        if found.durable:
            spec = {"durable": True, "auto_delete": auto_delete, "arguments": pack_table(arguments)}
            self.journal.declare_queue(name, spec)
        if self.observer is not None:
            self.observer.depth(found)
        return found

    def delete_queue(
        self, now: float, name: str, *, if_unused=False, if_empty=False, owner=None, before=lambda count: None
    ) -> int:
        """Returns how many messages were ready in it; 0 when there is no such queue.

        ``before(count)`` is called with that number before its consumers are told.
        """
        if name not in self.queues:
            before(0)
            return 0
        found = self.queue(name, owner)
        if found.quorum and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            raise AmqpError(
                540,
                f"cannot delete queue '{name}' in vhost '/'. queue.delete operations with {flag} flag set are not "
                "supported by quorum queues",
            )
        if if_unused and found.rota.members:
            raise failed(f"queue '{name}' in vhost '/' in use")
        if if_empty and found.ready:
            raise failed(f"queue '{name}' in vhost '/' not empty")
        return self.remove_queue(now, found, before)

    def remove_queue(self, now: float, found: Queue, before=lambda count: None) -> int:
        """Delete it, whatever uses it: its consumers are told. Returns how many messages were ready."""
        del self.queues[found.name]
        self._router.forget()
        self._unbind_all(found)
        count = found.discard()
        if found.durable:
            self.journal.delete_queue(found.name)
        before(count)
        for consumer in list(found.rota.members):
            consumer.channel.lose_consumer(consumer)
        found.rota.members.clear()
        if self.observer is not None:
            self.observer.gone(found)
        return count

    def left(self, now: float, queue: Queue) -> None:
        """A consumer of ``queue`` is gone: its time of x-expires begins, or it goes too."""
        queue.use(now)
        if queue.auto_delete and not queue.rota.members and not queue.deleted:
            self.remove_queue(now, queue)

    # -- the way of a message ---------------------------------------------------------------

    def deliver(self, now: float, message: Message, queues) -> tuple[bool, bool]:
        """Put ``message`` into ``queues``. ``(accepted, stored)``: whether none refused, whether a disk has to."""
        accepted, stored = True, False
        for queue in queues:
            if queue.bounded and not queue.accepts(message):
                accepted = False
                if queue.options.overflow == "reject-publish-dlx":
                    self.bury(now, queue, message, "maxlen")
                elif self.observer is not None:
                    self.observer.lost(queue, message, "queue full")
            elif queue.push(now, message):
                stored = True
        return accepted, stored

    def bury(self, now: float, queue: Queue, message: Message, reason: str) -> None:
        """``message`` died in ``queue``: publish it to the queue's dead letter exchange, if there is one."""
        exchange = queue.options.dead_letter_exchange
        if exchange is None or exchange not in self.exchanges:
            if self.observer is not None:
                self.observer.lost(queue, message, reason)
            return
        self._graves.append((queue, message, reason, self.exchanges[exchange]))
        if self._burying:  # one letter at a time: a letter may push another one out of a full queue
            return
        self._burying = True
        try:
            while self._graves:
                self._send_letter(now, *self._graves.pop(0))
        finally:
            self._burying = False

    def _send_letter(self, now, queue, message, reason, exchange):
        dead = letter(message, queue.name, reason, exchange.name, queue.options.dead_letter_key, now + self.epoch)
        if self.observer is not None:
            self.observer.dead(queue, message, reason, exchange.name)
        if self.exchanges.get(exchange.name) is not exchange:
            return
        for each in self.route(dead):
            if circles(dead, each.name):
                if self.observer is not None:
                    self.observer.lost(each, dead, "dead letter cycle")
            else:
                self.deliver(now, dead, (each,))

    # -- time and disk ----------------------------------------------------------------------

    def remind(self, queue: Queue, at: float | None) -> None:
        """Look at ``queue`` again at ``at`` (seconds)."""
        if at is not None and (queue.wakes is None or at < queue.wakes):
            queue.wakes = at
            heappush(self._timers, (at, next(self._ties), queue))

    def next_deadline(self) -> float | None:
        """When :meth:`expire` has something to do next, in seconds, or None."""
        timers = self._timers
        while timers and (timers[0][2].deleted or timers[0][0] != timers[0][2].wakes):
            heappop(timers)
        return timers[0][0] if timers else None

    def expire(self, now: float) -> None:
        """Let messages and unused queues end whose time has come."""
        while (at := self.next_deadline()) is not None and at <= now:
            queue = heappop(self._timers)[2]
            queue.wakes = None
            idle = queue.idle_deadline()
            if idle is not None and idle <= now:
                self.remove_queue(now, queue)
                continue
            queue.expire(now)
            self.remind(queue, idle)

    def after_disk(self, done) -> None:
        """Call ``done()`` once everything so far is on disk."""
        self._waiting.append(done)

    @property
    def unsynced(self) -> bool:
        """Whether somebody waits for the disk: :meth:`sync` has to be called soon."""
        return bool(self._waiting)

    def sync(self) -> None:
        """Ask the journal once for all who wait."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []

            def done():
                for each in waiting:
                    each()

            self.journal.sync(done)

    def note_deliveries(self) -> bool:
        """The end: tell the journal what came back. False if something is still out, or it is too much to write now."""
        came_back = [
            (queue.name, entry.number)
            for queue in self.queues.values() if not queue.quorum  # which told it all the time
            for entry in queue.backlog if entry.stored and entry.redelivered
        ]  # fmt: skip
        if len(came_back) > MOST_NOTED or any(queue.unacked for queue in self.queues.values()):
            return False
        for name, number in came_back:
            self.journal.requeued(name, number, 1)
        return True

    def restore(self, now: float, snapshot: Snapshot) -> None:
        """Become what ``snapshot`` says. Only for a broker that nobody has used yet; ``epoch`` must be right."""
        self.restored = True
        journal, self.journal, self.keeps = self.journal, NullJournal(), False
        try:
            refill(self, now, snapshot)
        finally:
            self.journal, self.keeps = journal, not isinstance(journal, NullJournal)
        for queue in list(self.queues.values()):
            queue.restored(now)
            if self.observer is not None:
                self.observer.depth(queue)
