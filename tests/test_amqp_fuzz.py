"""Ten thousand clients that make no sense: the broker lives, forgets them, and its other clients notice nothing.

Every case is a TCP connection that says something wrong, most of them after a proper handshake: noise, frames that are
cut, stretched, shuffled or aimed at the wrong channel, well-formed methods in a senseless order, bodies that do not
fit their headers, and clients that fall silent in the middle. Case ``n`` is always the same one.
"""

import itertools
import random
import socket
import struct
import threading
import time
from collections import Counter, defaultdict, deque
from contextlib import suppress
from pathlib import Path

import pamqp.frame
import pika
import pytest
from pamqp import body, commands, header

from servicelab.servers.amqp import start_broker
from tests.amqp_brokers import eventually
from tests.amqp_wire import Gone, Wire

CASES = 10_000
OPEN = 150  # connections that are left open at a time, most of them in the middle of a word
RSS_GROWTH = 40 * 2**20  # bytes that the process may grow by during the last four fifths

GREETING = b"AMQP\x00\x00\x09\x01"
EXCHANGES = ("", "amq.direct", "amq.fanout", "amq.topic", "amq.match", "x1", "x2")
KINDS = ("direct", "topic", "headers", "fanout", "square")
ARGUMENTS = (
    {}, {}, {"x-message-ttl": 50}, {"x-max-length": 3}, {"x-expires": 1000}, {"x-max-priority": 5},
    {"x-dead-letter-exchange": "amq.fanout"}, {"x-queue-type": "quorum"}, {"x-single-active-consumer": True},
    {"x-message-ttl": -1}, {"x-max-length": "many"}, {"x-match": "any", "a": 1}, {"nested": {"a": [1, {"b": None}]}},
)  # fmt: skip
QUEUES = ("", *(f"q{number}" for number in range(len(ARGUMENTS))))  # each with its arguments, mostly

#: Codes that a kind of case must be answered with: were they not, the cases would not reach what they are made for.
ANSWERS = {
    "a handshake gone wrong": {501, 504, 530},
    "answers that only a broker gives": {504},
    "bodies that do not fit": {406, 501, 505},
    "channels without end": {504},
    "deep tables": {502},
    "frames of noise": {501, 503, 504, 505},
    "methods with arguments of noise": {502},
    "mutations": {404, 406, 501, 504, 505},
    "noise after the handshake": {501},
    "senseless order": {504, 505},
    "strange names": {404, 502},
    "too large": {501},
    "well formed and senseless": {403, 404, 405, 406, 504, 540},
}


def frame(method, channel=1) -> bytes:
    return pamqp.frame.marshal(method, channel)


def raw(kind, channel, payload, end=b"\xce", size=None) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload) if size is None else size) + payload + end


def handshake(frame_max=131072, heartbeat=0):
    return [
        GREETING,
        frame(commands.Connection.StartOk({"capabilities": {"basic.nack": True}}, "PLAIN", "\0guest\0guest"), 0),
        frame(commands.Connection.TuneOk(2047, frame_max, heartbeat), 0),
        frame(commands.Connection.Open("/"), 0),
        frame(commands.Channel.Open(), 1),
    ]


class Fuzzer:
    """Makes case ``number``: what to send, and how the client ends."""

    def __init__(self, number):
        self.rng = random.Random(number)
        kinds = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("case_")]
        make = kinds[number % len(kinds)]
        self.kind = make.__name__.removeprefix("case_").replace("_", " ")
        self.data = make()
        self.end = self.rng.choice(["close", "reset", "read", "leave", "leave"])

    # -- building blocks ------------------------------------------------------------------------

    def a_method(self):
        """A well-formed method with arguments that may make sense."""
        pick, yes = self.rng.choice, lambda: self.rng.random() < 0.3
        queue, exchange, key = pick(QUEUES), pick(EXCHANGES), pick(("q1", "q2", "a.b", "#", ""))
        arguments = pick(ARGUMENTS) if self.rng.random() < 0.1 else dict(zip(QUEUES[1:], ARGUMENTS)).get(queue, {})
        tag = self.rng.choice((0, 1, 2, 3, 7, 2**40))
        return pick([
            lambda: commands.Queue.Declare(0, queue, yes(), True, arguments=arguments),
            lambda: commands.Queue.Declare(0, queue, durable=True, nowait=yes(), arguments=arguments),
            lambda: commands.Queue.Declare(0, "mine", exclusive=True, auto_delete=yes()),
            lambda: commands.Queue.Bind(0, queue, exchange, key, yes(), pick(ARGUMENTS)),
            lambda: commands.Queue.Unbind(0, queue, exchange, key, pick(ARGUMENTS)),
            lambda: commands.Queue.Purge(0, queue, yes()),
            lambda: commands.Queue.Delete(0, queue, yes(), yes(), yes()),
            lambda: commands.Exchange.Declare(0, exchange or "x1", pick(KINDS), yes()),
            lambda: commands.Exchange.Delete(0, exchange or "x2", yes()),
            lambda: commands.Exchange.Bind(0, exchange or "x1", pick(EXCHANGES[1:]), key),
            lambda: commands.Basic.Consume(0, queue, pick(("", "me", "me too")), yes(), yes(), yes(), yes(), {}),
            lambda: commands.Basic.Cancel(pick(("me", "nobody"))),
            lambda: commands.Basic.Get(0, queue, yes()),
            lambda: commands.Basic.Ack(tag, yes()),
            lambda: commands.Basic.Nack(tag, yes(), yes()),
            lambda: commands.Basic.Reject(tag, yes()),
            lambda: commands.Basic.Qos(0, pick((0, 1, 5, 65535)), yes()),
            lambda: commands.Basic.Recover(yes()),
            lambda: commands.Confirm.Select(),
            lambda: commands.Tx.Select(),
            lambda: commands.Tx.Commit(),
            lambda: commands.Tx.Rollback(),
            lambda: commands.Channel.Flow(yes()),
            lambda: commands.Channel.Close(200, "bye", 0, 0),
            lambda: commands.Channel.Open(),
        ])()  # fmt: skip

    def a_publish(self, size=None, claimed=None):
        size = self.rng.choice((0, 1, 20, 300)) if size is None else size
        properties = commands.Basic.Properties(
            delivery_mode=self.rng.choice((None, 1, 2)), priority=self.rng.choice((None, 0, 9)),
            expiration=self.rng.choice((None, None, "20", "soon")), reply_to=self.rng.choice((None, "q1")),
            headers=self.rng.choice((None, {"a": 1}, {"CC": ["q2"]})),
        )  # fmt: skip
        frames = [
            frame(
                commands.Basic.Publish(0, self.rng.choice(EXCHANGES), self.rng.choice(QUEUES), self.rng.random() < 0.3)
            ),
            frame(header.ContentHeader(0, size if claimed is None else claimed, properties)),
        ]
        return [*frames, frame(body.ContentBody(bytes(size)))] if size else frames

    def talk(self, steps=8):
        """A conversation in which every frame is well formed."""
        frames = [frame(commands.Queue.Declare(0, "q1", auto_delete=True))]
        for _ in range(self.rng.randrange(1, steps)):
            lot = self.rng.random()
            if lot < 0.3:
                frames += self.a_publish()
            elif lot < 0.45:  # a new channel, in case that the old one was closed on us
                frames += [frame(commands.Channel.CloseOk()), frame(commands.Channel.Open())]
            else:
                frames.append(frame(self.a_method()))
        return frames

    def noise(self, most=200):
        return self.rng.randbytes(self.rng.randrange(most))

    # -- the kinds of case ----------------------------------------------------------------------

    def case_another_protocol(self):
        said = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"AMQP\x00\x01\x00\x00",
                b"AMQP\x03\x01\x00\x00", b"AMQ", b"", GREETING[:7], b"amqp" + GREETING[4:])  # fmt: skip
        return self.rng.choice(said) + (self.noise() if self.rng.random() < 0.3 else b"")

    def case_a_handshake_gone_wrong(self):
        frames = handshake(self.rng.choice((0, 1, 4095, 4096, 131072, 2**32 - 1)), self.rng.choice((0, 1, 65535)))
        return self.mutated(frames)

    def case_logins(self):
        response = self.rng.choice(("", "\0guest\0", "\0\0", "guest", "\0guest\0guest\0more", "\0" + "x" * 5000))
        mechanism = self.rng.choice(("PLAIN", "AMQPLAIN", "EXTERNAL", ""))
        table = self.rng.choice(({}, {"capabilities": 7}, {"connection_name": {"a": 1}}, {"capabilities": {"x": None}}))
        login = frame(commands.Connection.StartOk(table, mechanism, response), 0)
        return b"".join([GREETING, login, *handshake()[2:]])

    def case_noise_after_the_handshake(self):
        return b"".join(handshake()) + self.noise(400)

    def case_frames_of_noise(self):
        frames = [
            raw(self.rng.choice((0, 1, 1, 2, 3, 4, 8, 255)), self.rng.choice((0, 1, 2, 65535)), self.noise(60))
            for _ in range(self.rng.randrange(1, 6))
        ]
        return b"".join(handshake() + frames)

    def case_methods_with_arguments_of_noise(self):
        known = self.rng.choice(list(commands.INDEX_MAPPING))
        payload = struct.pack(">I", known) + self.noise(80)
        return b"".join([*handshake(), raw(1, self.rng.choice((0, 1)), payload), *self.talk(3)])

    def case_mutations(self):
        return b"".join(handshake()) + self.mutated(self.talk())

    def case_senseless_order(self):
        frames = handshake() + self.talk()
        keep = self.rng.choice((0, 1, 5))
        rest = frames[keep:]
        self.rng.shuffle(rest)
        return b"".join(frames[:keep] + rest)

    def case_well_formed_and_senseless(self):
        return b"".join(handshake() + self.talk(40))

    def case_answers_that_only_a_broker_gives(self):
        known = [kind for kind in commands.INDEX_MAPPING.values() if kind.name.endswith("Ok")]
        frames = []
        for kind in self.rng.choices(known, k=3):
            try:
                frames.append(frame(kind(), self.rng.choice((0, 1))))
            except Exception:  # an answer that has to say something
                frames.append(raw(1, 1, struct.pack(">I", kind.index) + self.noise(20)))
        return b"".join(handshake() + self.talk(3) + frames)

    def case_too_large(self):
        size = self.rng.choice((131065, 131073, 2**20, 2**31, 2**32 - 1))
        part = bytes(self.rng.randrange(5000))
        kind, channel = self.rng.choice((1, 2, 3, 8)), self.rng.choice((0, 1))
        start = b"".join(handshake()[: self.rng.choice((1, 5, 5))])
        return start + struct.pack(">BHI", kind, channel, size) + part

    def case_bodies_that_do_not_fit(self):
        size, claimed = self.rng.choice(((5, 4), (5, 9), (0, 5), (300, 2**63), (20, 2**64 - 1), (5, 134_217_729)))
        frames = self.a_publish(size, claimed)
        if self.rng.random() < 0.5:
            frames.insert(self.rng.randrange(len(frames) + 1), self.rng.choice(self.talk(2) + self.a_publish()))
        return b"".join(handshake() + frames)

    def case_channels_without_end(self):
        opened = [frame(commands.Channel.Open(), number) for number in self.rng.sample(range(65536), 30)]
        said = [frame(self.a_method(), self.rng.choice((2, 5, 65535))) for _ in range(3)]
        return b"".join(handshake() + opened + said)

    def case_deep_tables(self):
        table = b""
        for _ in range(self.rng.choice((3, 60, 70, 2000))):
            table = b"\x01aF" + struct.pack(">I", len(table)) + table
        payload = struct.pack(">IH", commands.Queue.Declare.index, 0) + b"\x02q1\x00" + struct.pack(">I", len(table))
        return b"".join(handshake()) + raw(1, 1, payload + table)

    def case_strange_names(self):
        """Well formed, but with names and keys that most codecs would not let out."""

        def strange():
            text = self.rng.choice(
                ("заказы", "q" * 255, "a\0b", "\n", "queue 1", "é" * 127, "amq.", "\U0001d54f", "q1")
            )
            name = text.encode() if self.rng.random() < 0.9 else self.rng.randbytes(9)
            return bytes([len(name)]) + name

        flags, empty = self.rng.choice((0, 4, 8, 12)), struct.pack(">I", 0)  # 4: exclusive, 8: auto-delete
        frames = []
        for _ in range(self.rng.randrange(1, 5)):
            method, arguments = self.rng.choice((
                (commands.Queue.Declare, b"\0\0" + strange() + bytes([flags]) + empty),
                (commands.Queue.Declare, b"\0\0" + strange() + b"\1" + empty),  # passive
                (commands.Queue.Bind, b"\0\0" + b"\0" + b"\x0aamq.direct" + strange() + b"\0" + empty),
                (commands.Exchange.Declare, b"\0\0" + strange() + b"\6fanout" + b"\4" + empty),  # auto-delete
                (commands.Basic.Consume, b"\0\0" + b"\0" + strange() + b"\0" + empty),
                (commands.Basic.Get, b"\0\0" + strange() + b"\1"),
                (commands.Basic.Cancel, strange() + b"\0"),
            ))  # fmt: skip
            frames.append(raw(1, 1, struct.pack(">I", method.index) + arguments))
            if self.rng.random() < 0.4:
                publish = struct.pack(">IH", commands.Basic.Publish.index, 0) + strange() + strange() + b"\1"
                frames += [raw(1, 1, publish), frame(header.ContentHeader(0, 0, commands.Basic.Properties()))]
        return b"".join(handshake() + frames)

    def case_silence_in_the_middle(self):
        data = b"".join(handshake() + self.talk(12))
        return data[: self.rng.randrange(len(data))]

    # -- mutation -------------------------------------------------------------------------------

    def mutated(self, frames):
        frames, rng = list(frames), self.rng
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(frames))
            one = bytearray(frames[at])
            spot = rng.randrange(len(one))
            what = rng.randrange(8)
            if what == 0:
                one[spot] ^= 1 << rng.randrange(8)
            elif what == 1:
                one[spot] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0xCE))
            elif what == 2:
                del one[spot : spot + rng.randrange(1, 5)]
            elif what == 3:
                one[spot:spot] = rng.randbytes(rng.randrange(1, 5))
            elif what == 4 and len(one) >= 7:
                one[3:7] = struct.pack(">I", max(0, len(one) - 8 + rng.choice((-3, -1, 1, 2, 100))))
            elif what == 5 and len(one) >= 7:
                one[1:3] = struct.pack(">H", rng.choice((0, 1, 2, 65535)))
            elif what == 6:
                frames.insert(at, bytes(one))
            else:
                frames.insert(at, frames[rng.randrange(len(frames))])
            frames[at] = bytes(one) if what < 6 else frames[at]
        return b"".join(frames)


class Neighbour(threading.Thread):
    """An honest client that publishes, consumes and acknowledges all the while, one message at a time."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.rounds, self.trouble, self.slowest = url, 0, None, 0.0
        self.stop = threading.Event()

    def run(self):
        try:
            with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                queue = channel.queue_declare("", exclusive=True).method.queue
                for number in itertools.count():
                    if self.stop.is_set():
                        return
                    begin = time.monotonic()
                    channel.basic_publish("", queue, b"%d" % number, mandatory=True)
                    method, _, content = channel.basic_get(queue)
                    assert content == b"%d" % number and not method.redelivered and not method.message_count
                    channel.basic_ack(method.delivery_tag)
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    self.rounds += 1
        except Exception as error:
            self.trouble = error


@pytest.fixture
def broker(tmp_path, monkeypatch):
    monkeypatch.delenv("SERVICELAB_AMQP_URL", raising=False)
    with start_broker("fuzzed", process=True, file=tmp_path / "broker.db", memory_limit=64 * 2**20) as broker:
        yield broker


def memory(broker) -> int:
    """Bytes of the child that are in memory, as Linux counts them; 0 elsewhere."""
    status = Path(f"/proc/{broker.pid}/status")
    return int(status.read_text().split("VmRSS:")[1].split()[0]) * 1024 if status.exists() else 0


def files(broker) -> int:
    folder = Path(f"/proc/{broker.pid}/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def attack(address, case):
    """Be ``case``; returns the socket if it is left open, else what was heard (bytes), or None."""
    client = socket.create_connection(address, timeout=10)
    try:
        client.sendall(case.data)
        if case.end == "leave":
            return client
        if case.end == "read":
            client.shutdown(socket.SHUT_WR)
            heard = b"".join(iter(lambda: client.recv(65536), b""))  # an end must come
            client.close()
            return heard
    except (ConnectionResetError, BrokenPipeError):
        pass  # it did not want to hear the rest
    if case.end == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return None


def close_codes(heard):
    """The reply codes of Connection.Close and Channel.Close in what a client was sent."""
    while heard:
        try:
            size, _, found = pamqp.frame.unmarshal(heard)
        except Exception:  # the connection ended within a frame
            return
        if isinstance(found, (commands.Connection.Close, commands.Channel.Close)):
            yield found.reply_code
        heard = heard[size:]


def test_ten_thousand_cases_of_nonsense(broker):
    neighbour = Neighbour(broker.url)
    neighbour.start()
    eventually(lambda: neighbour.rounds or neighbour.trouble)
    pid, before, codes, left = broker.pid, files(broker), defaultdict(Counter), deque()
    rss, rounds = 0, neighbour.rounds
    for number in range(CASES):
        case = Fuzzer(number)
        result = attack(broker.address, case)
        if isinstance(result, socket.socket):
            left.append(result)
            if len(left) > OPEN:
                left.popleft().close()
        elif result is not None:
            codes[case.kind].update(close_codes(result))
        if number == CASES // 5:
            rss = memory(broker)
        assert neighbour.trouble is None, f"case {number} disturbed another connection: {neighbour.trouble!r}"
        assert number % 500 or broker.is_running, f"the broker died by case {number}"
    grown = memory(broker) - rss
    for client in left:
        client.close()
    eventually(lambda: files(broker) <= before + 2)  # every socket of theirs is closed
    neighbour.stop.set()
    neighbour.join(10)
    assert neighbour.trouble is None and not neighbour.is_alive()
    assert neighbour.rounds - rounds > 100, "the other client was starved"
    assert broker.is_running and broker.pid == pid
    assert broker.errors == []  # and not one answer was 541, INTERNAL_ERROR
    assert not any(541 in found for found in codes.values())
    for kind, expected in ANSWERS.items():
        assert expected <= set(codes[kind]), f"{kind}: {codes[kind]}"
    assert all(row[2] == 0 and row[3] == 0 for row in broker.queues()), "a dead client holds messages or consumes"
    assert grown < RSS_GROWTH, f"{grown / 2**20:.0f} MiB more"
    # What they left on disk is in order, too.
    names = {row[0] for row in broker.queues() if row[4]}
    broker.kill()
    broker.restart()
    assert {row[0] for row in broker.queues()} == names


@pytest.mark.parametrize("number", range(16))
def test_a_case_is_always_the_same(number):
    assert Fuzzer(number).data == Fuzzer(number).data
    assert len({Fuzzer(number + 16 * turn).data for turn in range(40)}) > 3


def test_a_client_that_falls_silent_in_the_handshake_is_cut_off(monkeypatch):
    from servicelab.servers.amqp import connection

    monkeypatch.setattr(connection, "HANDSHAKE", 0.2)
    with start_broker("impatient") as broker, Wire(broker.url, shake=False) as wire:
        wire.greet()
        with pytest.raises((Gone, ConnectionResetError)):
            wire.receive(5)


def test_a_client_that_falls_silent_later_is_found_by_its_heartbeats():
    with start_broker("listening") as broker, Wire(broker.url, heartbeat=1) as wire:
        wire.channel()
        wire.send(commands.Queue.Declare(0, "held", exclusive=True))
        eventually(lambda: len(broker.queues()) == 1)
        assert wire.ends(limit=8)  # two intervals of silence, and its queue goes with it
        eventually(lambda: len(broker.queues()) == 0)


@pytest.mark.parametrize("limit, value", [("GOODBYE", 0.2), ("MOST_DISCARDED", 100_000)])
def test_a_client_that_goes_on_after_its_close_is_read_so_long_and_no_longer(limit, value, monkeypatch):
    monkeypatch.setattr(f"servicelab.servers.amqp.connection.{limit}", value)
    with start_broker() as broker, Wire(broker.url) as wire:
        wire.channel()
        wire.send(commands.Connection.Close(200, "", 0, 0), 0)
        wire.expect(commands.Connection.CloseOk)
        with suppress(ConnectionError):
            for _ in range(100 if limit == "MOST_DISCARDED" else 1):
                wire.publish(bytes(10_000))
        assert wire.ends()
        assert broker.errors == []
