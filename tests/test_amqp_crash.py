"""`kill -9` in the middle of everything that moves messages: transactions, dead letters, requeues, purge and delete.

``test_amqp_kill`` asks whether what was confirmed is there. This asks whether it is there *once*, and in one place: a
message that moves from one durable queue to another is, after any crash, in just one of them. And whether what was
removed stays away.
"""

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections import deque

import pytest
from pamqp import commands

from servicelab.lifecycle import ServerError
from servicelab.servers.amqp import message, start_broker, store
from servicelab.servers.amqp.channel import Session
from servicelab.servers.amqp.core import VirtualHost
from tests.amqp_brokers import eventually
from tests.amqp_wire import Wire
from tests.test_amqp_kill import PERSISTENT, Client, emptied, number_of

ROUNDS = 4
DURABLE = {
    "in": {}, "out": {}, "purged": {}, "deleted": {}, "graves": {}, "back": {"x-queue-type": "quorum"},
    "work": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graves"},
}  # fmt: skip
IN_ONE_TRANSACTION = 12  # messages


class Feeder(Client):
    """Publishes numbers to ``queue``, a few at a time, each batch confirmed."""

    def __init__(self, url, queue, first, rng):
        super().__init__(url, rng)
        self.queue, self.sent, self.confirmed = queue, first, set()
        self.wire.call(commands.Confirm.Select())
        self.tag = 0

    def work(self):
        while True:
            self.feed()

    def feed(self):
        first, self.sent = self.sent, self.sent + self.rng.randrange(1, 9)
        for number in range(first, self.sent):
            self.wire.publish(b"%d" % number, "", self.queue, properties=PERSISTENT)
        self.tag += self.sent - first
        while True:
            _, answer = self.wire.receive()
            assert isinstance(answer, commands.Basic.Ack), answer
            if answer.delivery_tag == self.tag:  # all up to here: this publisher waits for the disk, and it is one
                break
        self.confirmed.update(range(first, self.sent))


class Remover(Feeder):
    """Feeds its queue, and removes all that is in it now and then. ``gone`` are those that must not come back."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.gone = set()

    def work(self):
        while True:
            for _ in range(self.rng.randrange(1, 6)):
                self.feed()
            before = set(self.confirmed)
            self.remove()
            self.feed()  # confirmed: what was done before is on disk, too
            self.gone |= before

    def remove(self):
        if self.queue == "purged":
            self.wire.call(commands.Queue.Purge(0, self.queue))
        else:
            self.wire.call(commands.Queue.Delete(0, self.queue))
            self.wire.call(commands.Queue.Declare(0, self.queue, durable=True))


class Mover(Client):
    """Moves messages from "in" to "out", each batch in one transaction. ``moved``: the broker said so."""

    def __init__(self, url):
        super().__init__(url)
        self.moved = set()
        self.wire.call(commands.Tx.Select())
        self.wire.call(commands.Basic.Qos(0, IN_ONE_TRANSACTION, False))
        self.wire.call(commands.Basic.Consume(0, "in", "mover"))

    def work(self):
        numbers, committed = [], deque()  # the next messages may come, and be committed, before the broker has answered
        while True:
            kind = type(frame := self.wire.receive()[1])
            if kind is commands.Tx.CommitOk:
                self.moved.update(committed.popleft())
            if kind is not commands.Basic.Deliver:
                continue
            self.wire.receive()
            numbers.append(number_of(self.wire.receive()[1]))
            self.wire.publish(b"%d" % numbers[-1], "", "out", properties=PERSISTENT)
            if len(numbers) == IN_ONE_TRANSACTION:
                self.wire.send(commands.Basic.Ack(frame.delivery_tag, True))
                self.wire.send(commands.Tx.Commit())
                committed.append(numbers)
                numbers = []


class Returner(Client):
    """Takes from ``queue`` and gives everything back: to be a dead letter, or to be delivered again."""

    def __init__(self, url, queue, requeue):
        super().__init__(url)
        self.requeue = requeue
        self.wire.call(commands.Basic.Qos(0, 30, False))
        self.wire.call(commands.Basic.Consume(0, queue, "returner"))

    def work(self):
        while True:
            frame = self.wire.receive()[1]
            if isinstance(frame, commands.Basic.Deliver):
                self.wire.send(commands.Basic.Nack(frame.delivery_tag, False, self.requeue))


@pytest.fixture
def broker(tmp_path, monkeypatch):
    monkeypatch.delenv("SERVICELAB_AMQP_URL", raising=False)
    with start_broker("crashed", process=True, file=tmp_path / "broker.db", heartbeat=0) as broker:
        with Wire(broker.url) as wire:
            wire.channel()
            for queue, arguments in DURABLE.items():
                wire.call(commands.Queue.Declare(0, queue, durable=True, arguments=arguments))
        yield broker
        assert broker.errors == []


def wait_for_work(feeder, remover, enough):
    eventually(lambda: len(feeder.confirmed) >= enough and remover.gone, limit=60)


def test_after_a_crash_everything_is_in_one_place(broker):
    rng, first = random.Random(6), 0
    total = 0
    for turn in range(ROUNDS):
        feeders = {queue: Feeder(broker.url, queue, first, rng) for queue in ("in", "work", "back")}
        removers = {queue: Remover(broker.url, queue, first, rng) for queue in ("purged", "deleted")}
        mover = Mover(broker.url)
        others = [mover, Returner(broker.url, "work", False), Returner(broker.url, "back", True)]
        clients = [*feeders.values(), *removers.values(), *others]
        with Wire(broker.url) as bystander:
            bystander.channel()
            bystander.call(commands.Queue.Declare(0, "exclusive", durable=True, exclusive=True))
            bystander.publish(b"1", "", "exclusive", properties=PERSISTENT)
            bystander.call(commands.Queue.Declare(0, "auto", durable=True, auto_delete=True))
            bystander.call(commands.Basic.Consume(0, "auto", "tag"))
            for client in clients:
                client.start()
            wait_for_work(feeders["in"], removers["deleted"], 200 + rng.randrange(300))
            os.kill(broker.pid, signal.SIGKILL)
            for client in clients:
                client.join(10)
                assert client.trouble is None and not client.is_alive(), client.trouble
        eventually(lambda: not broker.is_running)
        broker.restart()
        names = {row[0] for row in broker.queues()} | {"deleted"}  # this one may have been caught without
        assert names == {*DURABLE, "auto"}, "an exclusive queue is gone; auto had no chance to be"
        with Wire(broker.url) as wire:
            wire.channel()
            wire.call(commands.Queue.Delete(0, "auto"))
            wire.call(commands.Queue.Declare(0, "deleted", durable=True))
            found = {queue: [number for number, _ in emptied(wire, queue)] for queue in DURABLE}
        for queue, numbers in found.items():
            assert len(set(numbers)) == len(numbers), f"round {turn}: twice in {queue}"
        for source, target in (("in", "out"), ("work", "graves")):
            both = set(found[source]) & set(found[target])
            assert not both, f"round {turn}: {sorted(both)} are in {source} and in {target}"
            missing = feeders[source].confirmed - set(found[source]) - set(found[target])
            assert not missing, f"round {turn}: {sorted(missing)} are in neither"
        assert mover.moved and mover.moved <= set(found["out"])
        assert feeders["back"].confirmed <= set(found["back"])
        for queue, remover in removers.items():
            assert not remover.gone & set(found[queue]), f"round {turn}: removed and back in {queue}"
        first = max(client.sent for client in [*feeders.values(), *removers.values()])
        total += len(mover.moved)
    assert total > 100


class Silent:
    """A client that is told everything and says nothing."""

    def deliver(self, consumer, tag, entry): ...


class Watched(store.SQLiteJournal):
    """Gives its writer time to take a batch after every single change, and notes what each commit had in it."""

    def __init__(self, path):
        self.commits = []
        super().__init__(path)

    def put(self, *arguments):
        super().put(*arguments)
        time.sleep(0.01)

    def settle(self, *arguments):
        super().settle(*arguments)
        time.sleep(0.01)

    def _commit(self, batch):
        if batch.puts or batch.settled:
            self.commits.append((len(batch.puts), len(batch.settled)))
        super()._commit(batch)

    def rest(self):
        async def wait():
            done = asyncio.Event()
            self.sync(done.set)
            await asyncio.wait_for(done.wait(), 10)

        asyncio.run(wait())


@pytest.mark.parametrize("kind", ["transaction", "dead letters", "back in a quorum queue"])
def test_what_belongs_together_is_one_commit(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(store, "IDLE", 0.0)
    journal = Watched(tmp_path / "broker.db")
    core, now = VirtualHost(journal), 0.0
    quorum = {"x-queue-type": "quorum"} if kind == "back in a quorum queue" else DURABLE["work"]
    core.declare_queue(now, "work", durable=True, arguments=quorum)
    core.declare_queue(now, "graves", durable=True)
    channel = Session(core).channel(Silent())

    def publish(queue):
        channel.publish(now, message.target("", queue), message.properties(b"\x10\x00\x02"), b"x")

    publish("work")
    journal.rest()
    channel.get(now, "work")
    journal.commits.clear()
    if kind == "transaction":
        channel.select_transaction()
        publish("graves")
        publish("graves")
        channel.ack(now, 1)
        channel.commit(now, lambda: None)
    else:
        channel.nack(now, 1, requeue=kind == "back in a quorum queue")
    journal.rest()
    journal.close()
    assert journal.commits == [(2 if kind == "transaction" else 1, 1)]


DAMAGE = {
    "message": "UPDATE message SET content = substr(content, 1, length(content) - 3) || x'ffffff' WHERE place % 7 = 0;"
    "UPDATE message SET content = zeroblob(40) WHERE place % 7 = 1",
    "queue": "DELETE FROM queue",
    "specification": "UPDATE queue SET spec = '{'",
}


@pytest.mark.parametrize("damage", [*DAMAGE, "page", "schema"])
def test_a_damaged_file_is_refused_in_one_sentence_and_let_go(tmp_path, monkeypatch, damage):
    monkeypatch.delenv("SERVICELAB_AMQP_URL", raising=False)
    path, bad = tmp_path / "good.db", tmp_path / "bad.db"
    journal = store.SQLiteJournal(path)
    core, now = VirtualHost(journal), 0.0
    core.declare_queue(now, "q", durable=True)
    channel = Session(core).channel(Silent())
    for number in range(200):
        persistent = message.properties(b"\x10\x00\x02")
        channel.publish(now, message.target("", "q"), persistent, b"%d" % number + bytes(200))
    journal.close()
    data = bytearray(path.read_bytes())
    if damage == "page":
        data[-8192:-4096] = bytes(4096)
    elif damage == "schema":
        data[4096 : 3 * 4096] = bytes(2 * 4096)  # where the small tables begin
    bad.write_bytes(data)
    if damage in DAMAGE:
        with sqlite3.connect(bad) as db:
            db.executescript(DAMAGE[damage])
        db.close()
    with pytest.raises(ServerError, match=f"broken could not (read|open its file:) {bad}"):
        start_broker("broken", file=bad)
    bad.write_bytes(path.read_bytes())  # the copy that was asked for
    with start_broker("mended", file=bad) as broker:
        assert broker.depth("q") == (200, 0)
        assert broker.errors == []
