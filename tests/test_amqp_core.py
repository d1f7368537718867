"""The broker's core on its own: no socket, no clock, no thread. Time is what the test says it is.

Only what a client cannot see, or not in time: the rest stands in amqp_functional, on both brokers.
"""

from contextlib import nullcontext

import pytest

from servicelab.servers.amqp import core
from servicelab.servers.amqp.arguments import queue_options
from servicelab.servers.amqp.backlog import Backlog, PriorityBacklog
from servicelab.servers.amqp.channel import Session
from servicelab.servers.amqp.confirms import Confirms
from servicelab.servers.amqp.core import VirtualHost
from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.exchanges import headers_match, topic_matches
from servicelab.servers.amqp.journal import Snapshot
from servicelab.servers.amqp.message import Entry, Message, Properties, decode, target
from servicelab.servers.amqp.tables import Byte, Long, Timestamp, read_table, table_bytes, type_name

NO_PROPERTIES, PERSISTENT = Properties(b"\0\0"), Properties(b"\x10\x00\x02")


class Client:
    """A session with one channel, and everything that was said to it."""

    def __init__(self, broker):
        self.session = Session(broker)
        self.channel = self.session.channel(self)
        self.deliveries, self.returns, self.cancels, self.answers = [], [], [], []

    def deliver(self, consumer, tag, entry):
        self.deliveries.append((consumer.tag, tag, entry.message.body.decode(), entry.redelivered))

    def returned(self, message, code, text):
        self.returns.append((message.body.decode(), code))

    def cancelled(self, tag):
        self.cancels.append(tag)

    def confirmed(self, number, multiple, accepted):
        self.answers.append((number, multiple, accepted))

    def publish(self, body, key="q", exchange="", now=0.0, mandatory=False, properties=NO_PROPERTIES):
        self.channel.publish(now, target(exchange, key), properties, body.encode(), mandatory)

    def fetch(self, queue="q", now=0.0, no_ack=True):
        """The body of the next message, or None."""
        found = self.channel.get(now, queue, no_ack)
        return found and found[1].message.body.decode()

    def drain(self, queue="q", now=0.0):
        found = []
        while (body := self.fetch(queue, now)) is not None:
            found.append(body)
        return found

    @property
    def bodies(self):
        return [body for _, _, body, _ in self.deliveries]

    def heard(self):
        """What the publisher has been told since the last time."""
        self.channel.broker.sync()
        self.channel.say_confirms()
        found, self.answers = self.answers, []
        return found


class Disk:
    """A journal in memory that is on disk when the test says so."""

    def __init__(self):
        self.kept = Snapshot()
        self.rows, self.waiting = {}, []

    def declare_exchange(self, name, spec):
        self.kept.exchanges[name] = spec

    def declare_queue(self, name, spec):
        self.kept.queues[name] = spec

    def delete_queue(self, name):
        del self.kept.queues[name]
        self.rows = {key: row for key, row in self.rows.items() if key[0] != name}

    def bind(self, spec):
        self.kept.bindings.append(spec)

    def unbind(self, spec):
        self.kept.bindings.remove(spec)

    def put(self, queue, id, message):
        assert (queue, id) not in self.rows
        self.rows[queue, id] = [message, 0]

    def settle(self, queue, id):
        del self.rows[queue, id]

    def requeued(self, queue, id, delivery_count):
        self.rows[queue, id][1] = delivery_count

    def together(self):
        return nullcontext()

    def sync(self, done):
        self.waiting.append(done)

    def write(self):
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()

    def load(self):
        rows = [(queue, id, *row) for (queue, id), row in sorted(self.rows.items())]
        return Snapshot(self.kept.exchanges, self.kept.queues, self.kept.bindings, rows)


def headers(table, **texts):
    return NO_PROPERTIES.replaced(headers=table_bytes(table), **texts)


@pytest.fixture
def broker():
    return VirtualHost()


@pytest.fixture
def client(broker):
    broker.declare_queue(0.0, "q")
    return Client(broker)


# -- routing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a.b", "a.b", True), ("a.b", "a.c", False), ("*", "a", True), ("*", "", False), ("#", "", True),
        ("*.#", "", False), ("a.*", "a", False), ("a.*", "a.b.c", False), ("a.#", "a", True), ("a.#", "a.b.c", True),
        ("#.z", "z", True), ("#.z", "a.b.z", True), ("#.z", "a.z.b", False), ("#.b.#", "a.b.c", True),
        ("*.*", "a.", True), ("a..b", "a..b", True), ("a.*.b", "a..b", True), ("#.#", "", True), ("", "", True),
        ("", "a", False), ("#.a.#.b.#", "x.a.y.y.b", True), ("#.a.#.b.#", "x.b.y.a", False),
    ],
)  # fmt: skip
def test_topic_patterns(pattern, key, matches):
    assert topic_matches(pattern, tuple(key.split(".")) if key else ()) is matches


def test_a_topic_pattern_of_many_hashes_takes_no_exponential_time():
    assert not topic_matches(".".join(["#", "a"] * 40), tuple("a" * 39 + "b"))


@pytest.mark.parametrize(
    ("arguments", "table", "matches"),
    [
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}, True),
        ({"a": "1", "b": "2"}, {"a": "1"}, False),
        ({"x-match": "any", "a": "1", "b": "2"}, {"b": "2"}, True),
        ({"x-match": "any", "a": "1"}, {"a": "2"}, False),
        ({"x-match": "any"}, {"a": "2"}, False),
        ({}, {"a": "2"}, True),
        ({"a": None}, {"a": "anything"}, True),
        ({"a": None}, {}, False),
        ({"x-a": "1"}, {}, True),
        ({"x-match": "all-with-x", "x-a": "1"}, {}, False),
        ({"x-match": "any-with-x", "x-a": "1"}, {"x-a": "1"}, True),
        ({"a": Byte(5)}, {"a": Long(5)}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": "1"}, {"a": 1}, False),
    ],
)
def test_headers_exchange(arguments, table, matches):
    assert headers_match(arguments, table) is matches


def test_a_route_that_was_remembered_is_forgotten_when_a_binding_changes(broker, client):
    broker.declare_exchange("in", "direct")
    client.publish("before", key="k", exchange="in")
    broker.bind("in", broker.queue("q"), "k")
    client.publish("bound", key="k", exchange="in")
    broker.unbind("in", broker.queue("q"), "k")
    client.publish("after", key="k", exchange="in")
    assert client.drain() == ["bound"]


# -- queues and consumers -----------------------------------------------------------------------


def test_a_message_says_redelivered_only_when_it_was_delivered_before(broker, client):
    client.publish("a")
    first, second = Client(broker), Client(broker)
    first.channel.qos(0.0, 1, False)
    first.channel.consume(0.0, "q", "one")
    client.publish("b")
    second.channel.consume(0.0, "q", "two")
    first.session.close(0.0)
    assert first.deliveries == [("one", 1, "a", False)]
    assert second.deliveries == [("two", 1, "b", False), ("two", 2, "a", True)]


def test_consumers_take_turns_and_a_full_one_is_passed_over(broker, client):
    clients = [Client(broker) for _ in range(2)]
    clients[0].channel.qos(0.0, 1, False)
    for number, each in enumerate(clients):
        each.channel.consume(0.0, "q", str(number))
    for body in "abcd":
        client.publish(body)
    assert [each.bodies for each in clients] == [["a"], ["b", "c", "d"]]
    clients[0].channel.ack(0.0, 1)
    client.publish("e")
    client.publish("f")
    assert sorted(clients[0].bodies + clients[1].bodies) == list("abcdef")
    assert len(clients[0].bodies) == 2


def test_a_client_that_cannot_take_more_gets_nothing_until_it_can(client):
    client.channel.consume(0.0, "q", "c", no_ack=True)
    client.channel.writable = False
    client.publish("a")
    client.publish("b")
    assert client.bodies == []
    client.channel.resume(0.0)
    assert client.bodies == ["a", "b"]


def test_a_deleted_queue_cancels_its_consumers_and_forgets_what_they_hold(broker, client):
    client.publish("a")
    client.publish("b")
    client.channel.qos(0.0, 1, False)
    client.channel.consume(0.0, "q", "c")
    assert broker.delete_queue(0.0, "q") == 1
    assert client.cancels == ["c"]
    client.channel.nack(0.0, 1)
    assert broker.held == 0


# -- time, bounds, death ------------------------------------------------------------------------


def test_the_shorter_of_two_times_to_live_counts(broker, client):
    broker.declare_queue(0.0, "t", arguments={"x-message-ttl": 500})
    client.publish("long", "t", properties=NO_PROPERTIES.replaced(expiration="60000"))
    assert broker.next_deadline() == 0.5
    client.publish("short", "q", now=0.1, properties=NO_PROPERTIES.replaced(expiration="200"))
    assert broker.next_deadline() == pytest.approx(0.3)
    broker.expire(0.29)
    assert (broker.queues["t"].ready, broker.queues["q"].ready) == (1, 1)
    broker.expire(0.31)
    assert (broker.queues["t"].ready, broker.queues["q"].ready) == (1, 0)
    broker.expire(0.5)
    assert broker.queues["t"].ready == 0
    assert broker.next_deadline() is None
    assert broker.held == 0


def test_an_expired_message_is_not_delivered_even_if_nobody_looked_at_the_clock(broker, client):
    client.publish("old", properties=NO_PROPERTIES.replaced(expiration="10"))
    client.publish("new")
    client.channel.consume(1.0, "q", "c")
    assert client.bodies == ["new"]


def test_an_unused_queue_expires(broker, client):
    broker.declare_queue(0.0, "x", arguments={"x-expires": 1000})
    client.fetch("x", now=0.5)
    broker.expire(1.2)
    assert "x" in broker.queues
    client.channel.consume(1.3, "x", "c")
    broker.expire(9.0)
    assert "x" in broker.queues
    client.channel.cancel(9.0, "c")
    broker.expire(10.0)
    assert "x" not in broker.queues


def test_a_dead_letter_tells_its_story(broker, client):
    broker.epoch = 1000.0
    back = {"x-dead-letter-exchange": "amq.direct", "x-dead-letter-routing-key": "grave"}
    broker.declare_queue(0.0, "work", arguments=back)
    broker.bind("amq.direct", broker.queue("q"), "grave")
    client.publish("m", "work", properties=headers({"n": Byte(1)}, expiration="50"))
    broker.expire(0.05)
    letter = client.channel.get(0.0, "q", True)[1].message
    assert (letter.target.exchange, letter.target.key, letter.properties.expiration) == ("amq.direct", "grave", None)
    story = {
        "count": 1, "reason": "expired", "queue": "work", "time": 1000, "exchange": "", "routing-keys": ["work"],
        "original-expiration": "50",
    }  # fmt: skip
    table = letter.properties.headers
    assert table["x-death"] == [story]
    assert (table["n"], type_name(table["n"])) == (1, "byte")
    assert type_name(table["x-death"][0]["count"]) == "long"

    client.channel.publish(0.1, target("", "work"), letter.properties, b"again", False)
    client.channel.nack(0.1, client.channel.get(0.1, "work")[0], requeue=False)
    table = client.channel.get(0.1, "q", True)[1].message.properties.headers
    assert [(death["reason"], death["count"]) for death in table["x-death"]] == [("rejected", 1), ("expired", 1)]
    assert table["x-first-death-reason"] == "expired"


def test_a_circle_that_nobody_rejected_in_ends(broker, client):
    for name, other in (("a", "b"), ("b", "a")):
        circle = {"x-message-ttl": 10, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": other}
        broker.declare_queue(0.0, name, arguments=circle)
    client.publish("m", "a")
    for step in range(1, 10):
        broker.expire(step * 0.01)
    assert (broker.queues["a"].ready, broker.queues["b"].ready, broker.held) == (0, 0, 0)


def test_a_cascade_of_full_queues_needs_no_deep_stack(broker, client):
    for number in range(200):
        more = {"x-max-length": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"c{number + 1}"}
        broker.declare_queue(0.0, f"c{number}", arguments=more)
    broker.declare_queue(0.0, "c200")
    client.publish("m", "c0")
    assert client.drain("c200") == ["m"]


def test_a_quorum_queue_puts_what_comes_back_in_front_if_it_has_a_limit_and_else_at_the_end(broker, client):
    for arguments, order in (({"x-delivery-limit": 9}, "cabd"), ({}, "dcab")):
        broker.declare_queue(0.0, "qq", durable=True, arguments={"x-queue-type": "quorum"} | arguments)
        for body in "abcd":
            client.publish(body, "qq")
        tags = [client.channel.get(0.0, "qq")[0] for _ in range(3)]
        for place in (2, 0, 1):
            client.channel.nack(0.0, tags[place])
        assert client.drain("qq") == list(order)
        for body in "abcd":
            client.publish(body, "qq")
        other = Client(broker)
        for _ in range(3):
            other.channel.get(0.0, "qq")
        other.session.close(0.0)
        assert client.drain("qq") == list("abcd")
        broker.delete_queue(0.0, "qq")


def test_a_quorum_queue_s_file_follows_a_message_to_the_end():
    disk = Disk()
    broker = VirtualHost(disk)
    broker.declare_queue(0.0, "qq", durable=True, arguments={"x-queue-type": "quorum"})
    client = Client(broker)
    for body in "ab":
        client.publish(body, "qq")
    client.channel.nack(0.0, client.channel.get(0.0, "qq")[0])
    assert [(id, row[1]) for (_, id), row in sorted(disk.rows.items())] == [(2, 0), (3, 1)]
    again = VirtualHost(disk)
    again.restore(0.0, disk.load())
    assert Client(again).drain("qq") == ["b", "a"]
    assert disk.rows == {}


@pytest.mark.parametrize(
    "nonsense", [Byte(5), "text", [Byte(5)], [{}], [{"queue": "work", "reason": "rejected", "count": "many"}], {}, None]
)
def test_a_client_may_write_nonsense_into_x_death(broker, client, nonsense):
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    broker.declare_queue(0.0, "work", arguments=letters)
    client.publish("m", "work", properties=headers({"x-death": nonsense}))
    client.channel.nack(0.0, client.channel.get(0.0, "work")[0], requeue=False)
    found = client.channel.get(0.0, "q", True)[1].message.properties.headers["x-death"][0]
    assert (found["queue"], found["count"]) == ("work", 1)


def test_a_queue_that_says_it_is_classic_is_the_same_as_one_that_says_nothing(broker, client):
    broker.declare_queue(0.0, "q", arguments={"x-queue-type": "classic"})
    for wrong in ("quorum", {}, None):
        with pytest.raises(AmqpError, match="inequivalent arg 'x-queue-type'"):
            broker.declare_queue(0.0, "q", arguments={"x-queue-type": wrong})


def test_priorities_go_first_and_keep_their_order():
    backlog = PriorityBacklog(5)
    entries = [Entry(n, Message(target("", ""), Properties(bytes((8, 0, p))), b"")) for n, p in enumerate((0, 9, 5, 1))]
    for entry in entries:
        backlog.add(entry)
    assert backlog.pop() is entries[1]
    backlog.give_back(entries[1])
    assert [backlog.pop().number for _ in range(4)] == [1, 2, 3, 0]
    assert not backlog
    with pytest.raises(IndexError):
        backlog.pop()


def test_a_backlog_sorts_what_comes_back_in_any_order():
    backlog = Backlog()
    entries = [Entry(number, None) for number in range(6)]
    for entry in entries:
        backlog.add(entry)
    taken = [backlog.pop() for _ in range(4)]
    for place in (2, 0, 3, 1):
        backlog.give_back(taken[place])
    assert [entry.number for entry in backlog] == [0, 1, 2, 3, 4, 5]
    assert [backlog.pop().number for _ in range(6)] == [0, 1, 2, 3, 4, 5]


# -- publishing ---------------------------------------------------------------------------------


def test_confirms_never_speak_for_a_message_that_waits_for_the_disk():
    disk = Disk()
    broker = VirtualHost(disk)
    client = Client(broker)
    broker.declare_queue(0.0, "durable", durable=True)
    broker.declare_queue(0.0, "q")
    client.channel.select_confirms()
    client.publish("1", "q", properties=PERSISTENT)
    client.publish("2", "durable", properties=PERSISTENT)
    client.publish("3", "durable")
    client.publish("4", "q")
    assert client.heard() == [(1, False, True), (3, False, True), (4, False, True)]
    disk.write()
    assert client.heard() == [(2, False, True)]
    client.publish("5")
    assert client.heard() == [(5, False, True)]


def test_many_confirms_are_one_answer():
    confirms = Confirms()
    for _ in range(5):
        confirms.number()
    for number in (1, 2, 3):
        confirms.done(number)
    confirms.waits(4)
    confirms.done(5)
    assert list(confirms.answers()) == [(3, True, True), (5, False, True)]
    confirms.done(4)
    assert list(confirms.answers()) == [(4, False, True)]
    assert list(confirms.answers()) == []


def test_a_transaction_happens_at_once_or_not_at_all(broker, client):
    client.publish("old")
    client.channel.select_transaction()
    tag = client.channel.get(0.0, "q")[0]
    client.publish("new")
    client.channel.ack(0.0, tag)
    assert broker.queues["q"].ready == 0
    client.channel.rollback()
    assert client.channel.unacked.keys() == {tag}
    client.publish("new")
    client.channel.ack(0.0, tag)
    done = []
    client.channel.commit(0.0, lambda: done.append(True))
    assert not done
    broker.sync()
    assert done
    assert (client.drain(), client.channel.unacked) == (["new"], {})


# -- the journal --------------------------------------------------------------------------------


def test_what_must_survive_a_crash_does_and_nothing_else():
    disk = Disk()
    broker = VirtualHost(disk)
    client = Client(broker)
    broker.declare_exchange("lasting", "topic", durable=True)
    broker.declare_exchange("passing", "topic")
    broker.declare_queue(0.0, "durable", durable=True)
    broker.declare_queue(0.0, "q")
    broker.declare_queue(0.0, "mine", durable=True, exclusive=True, owner=client.session)
    for exchange in ("lasting", "passing"):
        for queue in ("durable", "q"):
            broker.bind(exchange, broker.queue(queue), "#", {"n": Byte(1)})
    for body, properties in (("kept", PERSISTENT), ("passing", NO_PROPERTIES), ("acked", PERSISTENT)):
        client.publish(body, "x", "lasting", properties=properties)
    held = client.channel.get(0.0, "durable")
    assert held[1].message.body == b"kept"
    for _ in range(2):
        client.channel.ack(0.0, client.channel.get(0.0, "durable")[0])

    assert [(each["source"], each["destination"]) for each in disk.kept.bindings] == [("lasting", "durable")]
    again = VirtualHost(disk)
    again.restore(5.0, disk.load())
    assert set(again.queues) == {"durable"}
    assert ("lasting" in again.exchanges, "passing" in again.exchanges) == (True, False)
    reader = Client(again)
    entry = reader.channel.get(5.0, "durable", True)[1]
    assert (entry.message.body, entry.redelivered) == (b"kept", True)
    assert disk.rows == {}
    reader.publish("routed again", "x", "lasting", properties=PERSISTENT)
    assert reader.drain("durable", 5.0) == ["routed again"]


def test_a_message_on_its_way_to_a_consumer_is_on_disk_until_it_is_acknowledged():
    disk = Disk()
    broker = VirtualHost(disk)
    broker.declare_queue(0.0, "d", durable=True)
    client = Client(broker)
    client.channel.consume(0.0, "d", "c")
    client.publish("m", "d", properties=PERSISTENT)
    assert (client.bodies, list(disk.rows)) == (["m"], [("d", 1)])
    client.channel.ack(0.0, 1)
    assert disk.rows == {}


def test_a_message_expires_by_the_time_of_day_also_when_the_broker_was_down():
    disk = Disk()
    broker = VirtualHost(disk, epoch=1000.0)
    broker.declare_queue(0.0, "d", durable=True, arguments={"x-message-ttl": 10_000})
    Client(broker).publish("m", "d", properties=PERSISTENT)
    soon, late = VirtualHost(disk, epoch=1007.0), VirtualHost(disk, epoch=1011.0)
    soon.restore(0.0, disk.load())
    assert soon.next_deadline() == pytest.approx(3.0)
    late.restore(0.0, disk.load())
    assert late.queues["d"].ready == 0


def test_a_dead_letter_is_on_disk_before_the_original_leaves_it():
    disk = Disk()
    order = []
    disk.put, disk.settle = lambda q, id, m: order.append(("put", q)), lambda q, id: order.append(("settle", q))
    broker = VirtualHost(disk)
    broker.declare_queue(0.0, "grave", durable=True)
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}
    broker.declare_queue(0.0, "work", durable=True, arguments=letters)
    client = Client(broker)
    client.publish("m", "work", properties=PERSISTENT)
    client.channel.nack(0.0, client.channel.get(0.0, "work")[0], requeue=False)
    assert order == [("put", "work"), ("put", "grave"), ("settle", "work")]


def test_a_message_on_disk_is_the_message():
    properties = headers({"a": Timestamp(7), "b": [Byte(1), None, {"c": "ü"}], "d": b"\xff"}, message_id="id")
    message = Message(target("x", "ключ"), properties, b"\0body")
    found, expires = decode(message.encode(12.5))
    assert (found.target.key, found.properties.raw, found.body, expires) == ("ключ", properties.raw, b"\0body", 12.5)


# -- tables and errors --------------------------------------------------------------------------


def test_a_table_comes_back_with_its_types():
    table = {"n": Byte(5), "l": Long(5), "t": Timestamp(9), "s": "text", "f": 1.5, "v": None, "y": True, "a": [{}]}
    data = table_bytes(table)
    found, end = read_table(data, 0)
    assert (found, end) == (table, len(data))
    assert [type(value) for value in found.values()] == [type(value) for value in table.values()]
    assert table_bytes(found) == data


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_table_that_is_cut_short_is_refused(cut):
    data = table_bytes({"n": Byte(5), "s": "text", "a": [{"x": Long(1)}], "b": b"bytes"})
    with pytest.raises((ValueError, IndexError)):
        read_table(data[:-cut], 0)


@pytest.mark.parametrize(
    ("code", "closes_connection"), [(404, False), (405, False), (406, False), (403, False), (503, True), (540, True)]
)
def test_which_errors_close_what(code, closes_connection):
    assert AmqpError(code).closes_connection is closes_connection


def test_quorum_queues_take_no_classic_argument():
    with pytest.raises(AmqpError, match="of queue type rabbit_quorum_queue"):
        table = {"x-queue-type": "quorum", "x-max-priority": 3}
        queue_options("q", table, durable=True, exclusive=False, auto_delete=False)


def test_the_end_notes_what_came_back_unless_something_is_still_out(monkeypatch):
    disk = Disk()
    broker = VirtualHost(disk)
    broker.declare_queue(0.0, "q", durable=True)
    channel = Session(broker).channel(Client(broker))
    for number in range(4):
        channel.publish(0.0, target("", "q"), PERSISTENT, b"%d" % number)
    for _ in range(3):
        channel.get(0.0, "q")
    assert not broker.note_deliveries(), "three are out"
    channel.ack(0.0, 2)
    channel.recover(0.0)
    monkeypatch.setattr(core, "MOST_NOTED", 1)
    assert not broker.note_deliveries(), "too many"
    monkeypatch.setattr(core, "MOST_NOTED", 2)
    assert broker.note_deliveries()
    assert [count for _, count in disk.rows.values()] == [1, 1, 0]
    for orderly, flags in ((True, [True, True, False]), (False, [True] * 3)):
        again = VirtualHost(disk)
        snapshot = disk.load()
        snapshot.orderly = orderly
        again.restore(0.0, snapshot)
        assert [entry.redelivered for entry in again.queues["q"].backlog] == flags
