"""`kill -9` in the middle of confirmed publishing, twenty times on one file: what was confirmed is there afterwards.

Each round a publisher sends as fast as it is confirmed, to a classic and to a quorum queue, and in every other round a
consumer works beside it. At a random moment the process is killed. After the restart both queues are emptied and
compared with what the publisher and the consumer know.
"""

import os
import random
import signal
import threading

import pytest
from pamqp import commands

from servicelab.servers.amqp import start_broker
from tests.amqp_brokers import eventually
from tests.amqp_wire import Gone, Wire

ROUNDS = 20
IN_FLIGHT = 60  # messages that may be unconfirmed
QUEUES = {"classic": {}, "quorum": {"x-queue-type": "quorum"}}
PERSISTENT = commands.Basic.Properties(delivery_mode=2)


class Client(threading.Thread):
    """A client that works until the broker is gone. ``trouble`` is what else ended it."""

    def __init__(self, url, rng=None):
        super().__init__(daemon=True)
        self.wire = Wire(url)
        self.channel = self.wire.channel()
        self.trouble, self.rng = None, rng

    def run(self):
        try:
            self.work()
        except (Gone, ConnectionError):
            pass
        except Exception as error:
            self.trouble = error
        finally:
            self.wire.socket.close()


class Publisher(Client):
    """Sends messages from number ``first`` on; ``sent`` is the next one, ``confirmed`` holds the confirmed ones."""

    def __init__(self, url, first, rng):
        super().__init__(url, rng)
        self.first = self.sent = first
        self.confirmed = set()
        self.wire.call(commands.Confirm.Select())

    def work(self):
        answered = self.first  # all below have been answered
        while True:
            for _ in range(self.rng.randrange(1, IN_FLIGHT)):
                self.sent += 1
                content = b"%d" % (self.sent - 1) + bytes(self.rng.choice((0, 0, 100, 3000)))
                self.wire.publish(content, "amq.fanout", properties=PERSISTENT)
            while len(self.confirmed) < self.sent - self.first and self.rng.random() < 0.97:
                _, answer = self.wire.receive()
                assert isinstance(answer, commands.Basic.Ack), answer
                number = self.first + answer.delivery_tag - 1
                self.confirmed.update(range(answered if answer.multiple else number, number + 1))
                while answered in self.confirmed:
                    answered += 1


class Worker(Client):
    """Takes messages from ``queue`` and acknowledges them."""

    def __init__(self, url, queue):
        super().__init__(url)
        self.seen, self.acked, self.wrong = [], set(), []
        self.wire.call(commands.Basic.Qos(0, 20, False))
        self.wire.call(commands.Basic.Consume(0, queue, "worker"))

    def work(self):
        while True:
            _, delivery = self.wire.receive()
            self.wire.receive()  # the header; the body follows
            number = number_of(self.wire.receive()[1])
            self.seen.append((number, delivery.redelivered))
            self.acked.add(number)
            self.wire.send(commands.Basic.Ack(delivery.delivery_tag))


def number_of(content) -> int:
    return int(content.value.rstrip(b"\0"))


def emptied(wire, queue):
    """Everything in ``queue`` as ``[(number, redelivered)]``, acknowledged."""
    found = []
    while True:
        wire.send(commands.Basic.Get(0, queue))
        _, answer = wire.receive()
        if isinstance(answer, commands.Basic.GetEmpty):
            return found
        wire.receive()
        found.append((number_of(wire.receive()[1]), answer.redelivered))
        wire.send(commands.Basic.Ack(answer.delivery_tag))


@pytest.fixture
def broker(tmp_path, monkeypatch):
    monkeypatch.delenv("SERVICELAB_AMQP_URL", raising=False)
    with start_broker("killed", process=True, file=tmp_path / "broker.db", heartbeat=0) as broker:
        with Wire(broker.url) as wire:
            wire.channel()
            for queue, arguments in QUEUES.items():
                wire.call(commands.Queue.Declare(0, queue, durable=True, arguments=arguments))
                wire.call(commands.Queue.Bind(0, queue, "amq.fanout", ""))
        yield broker


def kill(broker, publisher, moment):
    """kill -9 once ``moment`` messages of ``publisher`` have been confirmed."""
    eventually(lambda: len(publisher.confirmed) >= moment or not publisher.is_alive(), limit=20)
    pid = broker.pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not broker.is_running)
    return pid


def test_what_was_confirmed_survives_every_one_of_twenty_kills(broker):
    rng, next_number, pids = random.Random(3), 0, set()
    confirmed = set()
    seen = {queue: set() for queue in QUEUES}  # delivered to somebody
    acked = {queue: set() for queue in QUEUES}  # acknowledged; the news may have died with the broker
    for turn in range(ROUNDS):
        publisher = Publisher(broker.url, next_number, rng)
        worker = Worker(broker.url, "classic") if turn % 2 else None
        clients = [client for client in (publisher, worker) if client]
        for client in clients:
            client.start()
        pids.add(kill(broker, publisher, rng.randrange(1, 300)))
        for client in clients:
            client.join(10)
            assert client.trouble is None and not client.is_alive(), client.trouble
        next_number = publisher.sent
        confirmed |= publisher.confirmed
        assert publisher.confirmed, "it was killed before anything happened"
        if worker:
            check_deliveries(worker.seen, seen["classic"], publisher.sent)
            acked["classic"] |= worker.acked
        broker.restart()
        with Wire(broker.url) as wire:
            wire.channel()
            for queue in QUEUES:
                found = emptied(wire, queue)
                missing = confirmed - acked[queue] - {number for number, _ in found}
                assert not missing, f"round {turn}: {sorted(missing)} were confirmed and are not in {queue}"
                check_deliveries(found, seen[queue], publisher.sent)
                assert [number for number, _ in found] == sorted(number for number, _ in found), "out of order"
                acked[queue] |= {number for number, _ in found}
    assert len(pids) == ROUNDS and 500 < len(confirmed) < next_number  # it was always in the middle of something
    assert broker.errors == []


def check_deliveries(found, seen, sent):
    """Nothing twice in one life, nothing again without saying so, nothing that nobody sent."""
    numbers = [number for number, _ in found]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < sent for number in numbers)
    silent = [number for number, redelivered in found if number in seen and not redelivered]
    assert not silent, f"{silent} came again without saying so"
    seen.update(numbers)


def test_what_was_not_meant_to_last_is_gone(broker):
    """The other half of the promise: a kill is real, and the disk holds what was asked for and nothing else."""
    with Wire(broker.url) as wire:
        wire.channel()
        wire.call(commands.Confirm.Select())
        wire.call(commands.Queue.Declare(0, "fleeting"))
        wire.publish(b"1", "", "fleeting", properties=PERSISTENT)
        wire.publish(b"2", "", "classic")
        wire.publish(b"3", "", "classic", properties=PERSISTENT)
        answered = 0
        while answered < 3:
            answered = max(answered, wire.expect(commands.Basic.Ack, 1).delivery_tag)
        os.kill(broker.pid, signal.SIGKILL)
        assert wire.ends()
    eventually(lambda: not broker.is_running)
    broker.restart()
    assert {row[0] for row in broker.queues()} == set(QUEUES)
    with Wire(broker.url) as wire:
        wire.channel()
        assert emptied(wire, "classic") == [(3, True)]
