"""The broker's core against a plain model: whatever clients do, nothing is lost or doubled in silence.

The model of a queue is a list. It does not say who gets a message, for that is the broker's choice, but checks every
choice: that the message was the first one, that the consumer had room and its turn, that ``redelivered`` is said of
just those that were delivered before, and that nobody who could work is left waiting. The disk is a list of changes
that reach it only when the test says so, and a power cut forgets the rest.
"""

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from servicelab.servers.amqp import message
from servicelab.servers.amqp.channel import Session
from servicelab.servers.amqp.core import VirtualHost
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.journal import Snapshot
from servicelab.servers.amqp.message import OVERHEAD

LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
LONGEST, FULL, TTL, RETURNS = 3, 2, 1.0, 1  # messages, messages, seconds, times
QUEUES = {
    "plain": (False, {}),
    "kept": (True, {}),
    "short": (False, {"x-max-length": LONGEST, **LETTERS}),
    "full": (True, {"x-max-length": FULL, "x-overflow": "reject-publish"}),
    "brief": (False, {"x-message-ttl": int(TTL * 1000), **LETTERS}),
    "quorum": (True, {"x-queue-type": "quorum", "x-delivery-limit": RETURNS, **LETTERS}),
    "endless": (True, {"x-queue-type": "quorum"}),
    "single": (False, {"x-single-active-consumer": True}),
    "dead": (True, {}),
}
QUORUM = ("quorum", "endless")
KEPT = [name for name, (durable, _) in QUEUES.items() if durable]
FANOUT = ("plain", "kept", "full")  # bound to the exchange "all"
LIFE = 40  # steps that a broker lives at least: a power cut takes away all that the model has built up
names = st.sampled_from([*QUEUES, "quorum", "quorum"])  # it has the most to get wrong
PROPERTIES = {True: b"\x10\x00\x02", False: b"\x00\x00"}  # delivery_mode 2, and none


class SlowDisk:
    """What was said to it is on disk after :meth:`flush`, and gone after a power cut."""

    def __init__(self):
        self.exchanges, self.queues, self.bindings, self.messages = {}, {}, [], {}
        self.pending, self.waiting = [], []

    def declare_exchange(self, name, spec):
        self.pending.append(lambda: self.exchanges.update({name: spec}))

    def declare_queue(self, name, spec):
        self.pending.append(lambda: self.queues.update({name: spec}))

    def bind(self, spec):
        self.pending.append(lambda: self.bindings.append(spec))

    def put(self, queue, id, message):
        self.pending.append(lambda: self.messages.update({(queue, id): (message, 0)}))

    def settle(self, queue, id):
        self.pending.append(lambda: self.messages.pop((queue, id)))

    def requeued(self, queue, id, delivery_count):
        key = queue, id
        self.pending.append(lambda: self.messages.update({key: (self.messages[key][0], delivery_count)}))

    def sync(self, done):
        self.waiting.append(done)

    def flush(self):
        pending, self.pending = self.pending, []
        for change in pending:
            change()
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()

    def load(self):
        rows = [(queue, id, *found) for (queue, id), found in sorted(self.messages.items())]
        return Snapshot(dict(self.exchanges), dict(self.queues), list(self.bindings), rows)

    def after_a_power_cut(self):
        again = SlowDisk()
        again.exchanges, again.queues, again.bindings = self.exchanges, self.queues, self.bindings
        again.messages = dict(self.messages)
        return again


@dataclass(eq=False)
class Copy:
    """A message in one queue of the model."""

    body: bytes
    place: int
    stored: bool
    persistent: bool = False
    expires: float | None = None
    redelivered: bool = False
    returns: int = 0
    back: float = math.inf  # when it came back, if those that come back go first

    @property
    def turn(self):
        return self.back, self.place

    def __repr__(self):
        return f"<{self.body}, place {self.place}{', again' * self.redelivered}>"


@dataclass(eq=False)
class Subscriber:
    channel: "Client"
    queue: str
    prefetch: int
    no_ack: bool
    unacked: int = 0

    def __repr__(self):
        return f"<{self.unacked} of prefetch {self.prefetch}, {self.queue}>"

    @property
    def has_room(self):
        return self.channel.channel.writable and (self.no_ack or not self.prefetch or self.unacked < self.prefetch)


@dataclass(eq=False)
class Client:
    """A channel, and what its client has been told; it is the channel's sink."""

    told: list
    channel: object = None
    last: int = 0
    transaction: bool = False
    unacked: dict = field(default_factory=dict)  # tag: (queue, copy, subscriber or None)
    held: list = field(default_factory=list)  # what a transaction holds back: ("publish", …) or (what, settled)
    subscribers: dict = field(default_factory=dict)

    def __repr__(self):
        return f"<{self.unacked}, held {self.held}>"

    def in_hand(self):
        uncommitted = [settled for what, settled in self.held if what != "publish"]
        return [*self.unacked.values(), *(row for settled in uncommitted for row in settled.values())]

    def deliver(self, consumer, tag, entry):
        self.last += 1
        assert tag == self.last
        self.told.append((consumer.queue.name, self, consumer.tag, tag, entry.message.body, entry.redelivered))

    def returned(self, message, code, text):
        self.told.append(("returned", message.body))

    def confirmed(self, number, multiple, accepted):
        self.told.append(("confirmed", number, multiple, accepted))

    def cancelled(self, tag):
        raise AssertionError("no queue is deleted here")


class AgainstTheModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now, self.bodies, self.tags, self.age = 0.0, 0, 0, 0
        self.told = []
        self.disk = SlowDisk()
        self.places, self.comings_back = defaultdict(int), itertools.count()
        self.ready = {name: [] for name in QUEUES}
        self.on_disk = {name: [] for name in KEPT}
        self.born(VirtualHost(self.disk))
        self.disk.flush()

    def born(self, core):
        """A new life of the broker: nobody is connected."""
        self.core = core
        core.declare_exchange("all", "fanout", durable=True)
        for name, (durable, arguments) in QUEUES.items():
            core.declare_queue(self.now, name, durable=durable, arguments=arguments)
        for name in FANOUT:
            core.bind("all", core.queues[name])
        self.session = Session(core)
        self.clients, self.order = [], {name: [] for name in QUEUES}
        self.publisher = self.connect()
        self.publisher.channel.select_confirms()
        self.published, self.open_confirms = 0, {}

    def connect(self, transaction=False):
        client = Client(self.told, transaction=transaction)
        client.channel = self.session.channel(client)
        if transaction:
            client.channel.select_transaction()
        return client

    # -- what the model does with messages ----------------------------------------------------

    def arrive(self, queue, body, persistent):
        """A message joins ``queue``; returns its copy."""
        durable = QUEUES[queue][0]
        self.places[queue] += 1
        expires = self.now + TTL if queue == "brief" else None
        stored = durable and (persistent or queue in QUORUM)
        copy = Copy(body, self.places[queue], stored, persistent, expires)
        self.ready[queue].append(copy)
        return copy

    def come_back(self, queue, copy, lost):
        """A client gives ``copy`` back, or has ``lost`` it with its channel.

        A classic queue has its old place for it. A quorum queue puts it first, or, if nothing limits how often that may
        happen, last.
        """
        copy.redelivered = True
        if queue in QUORUM:
            copy.returns += 1
            if queue == "quorum" and copy.returns > RETURNS:
                self.arrive("dead", copy.body, copy.persistent)
                return
            if queue == "quorum" or lost:
                copy.back = next(self.comings_back)
            else:
                self.places[queue] += 1
                copy.place, copy.back = self.places[queue], math.inf
        self.ready[queue].append(copy)
        self.ready[queue].sort(key=lambda copy: copy.turn)

    def settle_events(self):
        """Check everything that clients were told and was not checked yet; "dead" last, where letters arrive."""
        for queue in [*(name for name in QUEUES if name != "dead"), "dead"]:
            self.hear_what_fits(queue)
            while event := self.next_delivery(queue):
                self.hear(event)
            self.shorten(queue)
        for client in self.clients:
            client.unacked = dict(sorted(client.unacked.items()))
        for event in list(self.told):
            if event[0] == "confirmed":
                self.told.remove(event)
                self.hear_confirm(*event[1:])
            elif event[0] == "committed":
                self.told.remove(event)
                self.must_be_on_disk(event[1])
        assert self.told == [], "something was told that nobody expects"

    def hear_what_fits(self, queue):
        """Check deliveries of ``queue`` as long as they fit what the model knows so far.

        One call of the broker may do several things to a queue; the model does one of them, hears what follows from
        it, and does the next.
        """
        self.expire(queue)
        while event := self.next_delivery(queue):
            subscriber, ready = event[1].subscribers[event[2]], self.ready[queue]
            if not (ready and (ready[0].body, ready[0].redelivered) == event[4:] and subscriber.has_room):
                break
            self.hear(event)

    def next_delivery(self, queue):
        return next((event for event in self.told if event[0] == queue), None)

    def hear(self, event):
        """A delivery: it must have been the first message, and for one whose turn it was."""
        self.told.remove(event)
        queue, client, tag_of_consumer, tag, body, redelivered = event
        subscriber = client.subscribers[tag_of_consumer]
        assert subscriber.has_room, "a consumer got more than its prefetch"
        assert queue != "single" or self.order[queue][0] is subscriber, "only the first consumer is active"
        assert self.ready[queue], "a message came from nowhere"
        copy = self.ready[queue].pop(0)
        assert (copy.body, copy.redelivered) == (body, redelivered), "not the next one, or not said to be again"
        if not subscriber.no_ack:
            subscriber.unacked += 1
            client.unacked[tag] = queue, copy, subscriber

    def shorten(self, queue):
        while queue == "short" and len(self.ready[queue]) > LONGEST:
            copy = self.ready[queue].pop(0)
            self.arrive("dead", copy.body, copy.persistent)

    def expire(self, queue):
        while self.ready[queue] and (self.ready[queue][0].expires or 1e9) <= self.now:
            copy = self.ready[queue].pop(0)
            self.arrive("dead", copy.body, copy.persistent)

    def hear_confirm(self, number, multiple, accepted):
        assert number in self.open_confirms
        for each in [each for each in self.open_confirms if each == number or (multiple and each < number)]:
            expected, copies = self.open_confirms.pop(each)
            assert accepted == expected
            self.must_be_on_disk(copies)

    def must_be_on_disk(self, copies):
        for queue, copy in copies:
            held = copy in self.ready[queue] or copy in self.unacked(queue)
            assert not held or copy.body in self.written(queue), "said to be safe, and not on disk"

    def unacked(self, queue):
        """What clients hold: a settlement that is not committed has not happened."""
        return [copy for client in self.clients for where, copy, _ in client.in_hand() if where == queue]

    def written(self, queue):
        return [message.decode(data)[0].body for (where, _), (data, _) in self.disk.messages.items() if where == queue]

    # -- publishing -----------------------------------------------------------------------------

    @rule(
        key=st.sampled_from([*QUEUES, "quorum", "quorum", "kept", "nowhere", "all"]),
        count=st.integers(1, 4), persistent=st.booleans(), mandatory=st.booleans(),
    )  # fmt: skip
    def publish(self, key, count, persistent, mandatory):
        for _ in range(count):
            self.publish_one(key, persistent, mandatory)

    def publish_one(self, key, persistent, mandatory):
        self.bodies += 1
        body = b"%d" % self.bodies
        exchange, queues = ("all", FANOUT) if key == "all" else ("", [key] if key in QUEUES else [])
        accepted, copies = True, []
        for queue in queues:
            if queue == "full" and len(self.ready[queue]) >= FULL:
                accepted = False
            else:
                copies.append((queue, self.arrive(queue, body, persistent)))
        self.published += 1
        self.open_confirms[self.published] = accepted, [(queue, copy) for queue, copy in copies if copy.stored]
        channel = self.publisher.channel
        where = message.target(exchange, "" if exchange else key)
        routed = channel.publish(self.now, where, message.properties(PROPERTIES[persistent]), body, mandatory)
        assert routed == bool(queues)
        if mandatory and not queues:
            self.told.remove(("returned", body))
        self.say_confirms()
        self.settle_events()

    def say_confirms(self):
        confirming, self.core.confirming = self.core.confirming, {}
        for channel in confirming:
            channel.say_confirms()

    # -- consuming ------------------------------------------------------------------------------

    @initialize(queues=st.lists(names, min_size=2, max_size=8), prefetch=st.sampled_from([1, 2, 5]), data=st.data())
    def begin_with_consumers(self, queues, prefetch, data):
        for queue in queues:
            self.consume_one(queue, prefetch, False, queue == queues[0], data)

    @rule(
        queues=st.lists(names, min_size=1, max_size=3), prefetch=st.sampled_from([0, 1, 2, 5]),
        no_ack=st.sampled_from([False, False, True]), new=st.booleans(), data=st.data(),
    )  # fmt: skip
    def consume(self, queues, prefetch, no_ack, new, data):
        for queue in queues:
            self.consume_one(queue, prefetch, no_ack, new, data)

    def consume_one(self, queue, prefetch, no_ack, new, data):
        if (new and len(self.clients) < 4) or not self.clients:
            self.clients.append(self.connect(data.draw(st.sampled_from([False, False, True]))))
        client = data.draw(st.sampled_from(self.clients))
        self.tags += 1
        tag = f"tag {self.tags}"
        client.subscribers[tag] = subscriber = Subscriber(client, queue, prefetch, no_ack)
        self.order[queue].append(subscriber)
        client.channel.qos(self.now, prefetch, False)
        client.channel.consume(self.now, queue, tag, no_ack=no_ack)
        self.settle_events()

    @precondition(lambda self: self.age > LIFE // 2 and any(client.subscribers for client in self.clients))
    @rule(data=st.data())
    def cancel(self, data):
        client = data.draw(st.sampled_from([client for client in self.clients if client.subscribers]))
        tag = data.draw(st.sampled_from(list(client.subscribers)))
        subscriber = client.subscribers.pop(tag)
        self.order[subscriber.queue].remove(subscriber)
        client.channel.cancel(self.now, tag)
        self.settle_events()

    @precondition(lambda self: self.clients)
    @rule(queue=names, no_ack=st.booleans(), data=st.data())
    def get(self, queue, no_ack, data):
        client = data.draw(st.sampled_from(self.clients))
        found = client.channel.get(self.now, queue, no_ack)
        assert (found is None) == (not self.ready[queue])
        if found is None:
            return
        tag, entry, _ = found
        copy = self.ready[queue].pop(0)
        client.last += 1
        assert (entry.message.body, entry.redelivered, tag) == (copy.body, copy.redelivered, client.last)
        if not no_ack:
            client.unacked[tag] = queue, copy, None
        self.settle_events()

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def stall(self, data):
        data.draw(st.sampled_from(self.clients)).channel.writable = False

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def resume(self, data):
        data.draw(st.sampled_from(self.clients)).channel.resume(self.now)
        self.settle_events()

    # -- acknowledging --------------------------------------------------------------------------

    def holding(self):
        return [client for client in self.clients if client.unacked]

    def apply(self, what, settled, lost=False):
        """What the broker has done with ``settled``, {tag: (queue, copy, subscriber)}, queue by queue."""
        for *_, subscriber in settled.values():
            if subscriber is not None:
                subscriber.unacked -= 1
        for each in dict.fromkeys(queue for queue, _, _ in settled.values()):
            for copy in [copy for queue, copy, _ in settled.values() if queue == each]:
                if what == "requeue":
                    self.come_back(each, copy, lost)
                elif what == "reject" and "x-dead-letter-exchange" in QUEUES[each][1]:
                    self.arrive("dead", copy.body, copy.persistent)
            self.hear_what_fits(each)
            self.shorten(each)
            self.hear_what_fits("dead")

    @precondition(lambda self: self.holding())
    @rule(data=st.data(), multiple=st.booleans(), what=st.sampled_from(["ack", "ack", "requeue", "requeue", "reject"]))
    def settle(self, data, multiple, what):
        client = data.draw(st.sampled_from(self.holding()))
        tag = data.draw(st.sampled_from(list(client.unacked)))
        tags = [each for each in client.unacked if each == tag or (multiple and each < tag)]
        settled = {each: client.unacked.pop(each) for each in tags}
        if what == "ack":
            client.channel.ack(self.now, tag, multiple)
        else:
            client.channel.nack(self.now, tag, multiple, what == "requeue")
        if client.transaction:
            client.held.append((what, settled))
        else:
            self.apply(what, settled)
        self.settle_events()

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def a_tag_that_is_not_unacknowledged_is_refused(self, data):
        client = data.draw(st.sampled_from(self.clients))
        wrong = data.draw(st.integers(1, client.last + 3).filter(lambda tag: tag not in client.unacked))
        for refused in (client.channel.ack, client.channel.nack):
            with pytest.raises(AmqpError, match=f"406 .*unknown delivery tag {wrong}"):
                refused(self.now, wrong, data.draw(st.booleans()))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), close=st.booleans())
    def recover_or_close(self, data, close):
        client = data.draw(st.sampled_from(self.clients))
        if close:
            self.clients.remove(client)
            for subscriber in client.subscribers.values():
                self.order[subscriber.queue].remove(subscriber)
            self.roll_back(client)
        settled, client.unacked = client.unacked, {}
        if close:
            client.channel.close(self.now)
        else:
            client.channel.recover(self.now)
        self.apply("requeue", settled, lost=close)
        self.settle_events()

    # -- transactions ---------------------------------------------------------------------------

    def in_transaction(self):
        return [client for client in self.clients if client.transaction]

    def roll_back(self, client):
        for what, settled in client.held:
            if what != "publish":
                client.unacked.update(settled)
        client.unacked = dict(sorted(client.unacked.items()))
        client.held = []

    @precondition(lambda self: self.in_transaction())
    @rule(
        data=st.data(), queue=st.sampled_from(["plain", "kept", "quorum", "single", "dead"]), persistent=st.booleans()
    )
    def publish_in_a_transaction(self, data, queue, persistent):
        client = data.draw(st.sampled_from(self.in_transaction()))
        self.bodies += 1
        body = b"%d" % self.bodies
        client.held.append(("publish", (queue, body, persistent)))
        where = message.target("", queue)
        assert client.channel.publish(self.now, where, message.properties(PROPERTIES[persistent]), body)
        self.settle_events()

    @precondition(lambda self: self.in_transaction())
    @rule(data=st.data())
    def commit(self, data):
        client = data.draw(st.sampled_from(self.in_transaction()))
        held, client.held = client.held, []
        stored = []
        client.channel.commit(self.now, lambda: self.told.append(("committed", stored)))
        for what, arguments in held:
            if what == "publish":
                copy = self.arrive(*arguments)
                stored += [(arguments[0], copy)] if copy.stored else []
                self.hear_what_fits(arguments[0])
        for what, settled in held:
            if what != "publish":
                self.apply(what, settled)
        self.settle_events()

    @precondition(lambda self: self.in_transaction())
    @rule(data=st.data())
    def rollback(self, data):
        client = data.draw(st.sampled_from(self.in_transaction()))
        self.roll_back(client)
        client.channel.rollback()
        self.settle_events()

    # -- time, disk, power ----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.core.expire(self.now)
        self.settle_events()
        assert (self.core.next_deadline() or 1e9) > self.now

    @precondition(lambda self: self.age > LIFE)
    @rule(queue=names)
    def purge(self, queue):
        assert self.core.queues[queue].purge() == len(self.ready[queue])
        self.ready[queue].clear()

    @precondition(lambda self: self.core.unsynced)
    @rule()
    def ask_the_disk(self):
        self.core.sync()

    @rule()
    def reach_the_disk(self):
        self.core.sync()
        self.disk.flush()
        for queue in KEPT:
            copies = [copy for copy in self.ready[queue] + self.unacked(queue) if copy.stored]
            self.on_disk[queue] = [(copy.body, copy.place, copy.returns, copy.persistent) for copy in copies]
            assert sorted(self.written(queue)) == sorted(copy.body for copy in copies)
        self.say_confirms()
        self.settle_events()
        assert self.open_confirms == {}

    @precondition(lambda self: self.age > LIFE)
    @rule()
    def power_cut(self):
        self.age = 0
        self.disk = self.disk.after_a_power_cut()
        core = VirtualHost(self.disk)
        core.restore(self.now, self.disk.load())
        assert sorted(core.queues) == sorted(KEPT)
        self.told.clear()
        self.clients = []
        for queue in QUEUES:
            self.ready[queue] = []
            self.places[queue] = 0
        for queue in KEPT:
            for body, place, returns, persistent in sorted(self.on_disk[queue], key=lambda row: row[1]):
                copy = Copy(body, place, True, persistent, None, True, returns)
                self.ready[queue].append(copy)
                self.places[queue] = place
        self.born(core)
        self.disk.flush()

    # -- always ---------------------------------------------------------------------------------

    @invariant()
    def the_counts_agree(self):
        self.age += 1
        held = 0
        for name, queue in self.core.queues.items():
            unacked = self.unacked(name)
            assert (queue.ready, queue.unacked) == (len(self.ready[name]), len(unacked))
            assert queue.ready_bytes == sum(len(copy.body) for copy in self.ready[name])
            assert [entry.message.body for entry in queue.backlog] == [copy.body for copy in self.ready[name]]
            held += sum(len(copy.body) + OVERHEAD for copy in self.ready[name] + unacked)
        assert self.core.held == held

    @invariant()
    def nobody_waits_beside_a_message(self):
        for queue, subscribers in self.order.items():
            if self.ready[queue]:
                active = subscribers[:1] if queue == "single" else subscribers
                assert not any(subscriber.has_room for subscriber in active)


AgainstTheModel.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None, derandomize=True)
TestTheBroker = AgainstTheModel.TestCase


def test_a_full_queue_that_refuses_does_not_drop_what_it_had_accepted():
    """Found by the machine above: a channel closed, and its messages came back into a queue that was full meanwhile."""
    core, now = VirtualHost(), 0.0
    core.declare_queue(now, "full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    session = Session(core)
    publisher, client = session.channel(Client([])), session.channel(Client([]))
    for body in (b"1", b"2"):
        publisher.publish(now, message.target("", "full"), message.properties(b"\0\0"), body)
        if body == b"1":
            client.get(now, "full")
    client.close(now)
    assert [entry.message.body for entry in core.queues["full"].backlog] == [b"1", b"2"]
