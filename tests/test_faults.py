"""Each fault is judged by what arrives on a socket at the other end of the proxy."""

import contextlib
import dataclasses
import gc
import random
import re
import socket
import threading
import time
import warnings

import pytest

from servicelab import lifecycle
from servicelab.checks.stall import calmly
from servicelab.faults import (
    TOXICS,
    Bandwidth,
    Down,
    FaultProxy,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)
from servicelab.faults.connection import Connection
from servicelab.lifecycle import HOST, Server, ServerError
from servicelab.trace import Trace, new_id, reply_id, to_traceparent
from tests.waiting import wait_until

DATA = random.Random(1).randbytes(1_000_000)


class Peer(Server):
    """A server that runs ``serve(socket)`` in a thread for each connection and keeps what it ``heard``."""

    def __init__(self, serve, name="peer"):
        super().__init__(name)
        self.serve = serve
        self.heard = []
        self.broken = []  # errors that connections ended with
        self.accepted = 0

    def _open(self):
        self._listener = socket.create_server((HOST, 0))
        self._sockets, self._threads = [], []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self._listener.getsockname()[1]

    def _wait_until_it_answers(self):
        """A trial connection would be counted."""

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock):
        with sock:
            try:
                self.serve(self, sock)
            except OSError as error:
                self.broken.append(error)

    def _close(self):
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in [self._thread, *self._threads]:
            thread.join(2)


def echo(peer, sock):
    while data := sock.recv(65536):
        sock.sendall(data)


def listen_only(peer, sock):
    while data := sock.recv(65536):
        peer.heard.append((time.monotonic(), data))
    peer.heard.append((time.monotonic(), b""))


def http(peer, sock):
    """Answers each request (without a body) when it is complete."""
    heard = b""
    while data := sock.recv(65536):
        heard += data
        if heard.endswith(b"\r\n\r\n"):
            heard = b""
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine!")


def hear_then_answer(peer, sock):
    """Reads up to the end, then answers with what it has read."""
    data = read_all(sock)
    peer.heard.append((time.monotonic(), data))
    sock.sendall(data)


@pytest.fixture
def started():
    """``started(serve, **settings)`` gives a peer and a proxy before it; both are gone afterwards."""
    servers = []

    def start(serve=echo, **settings):
        peer = Peer(serve, f"peer{len(servers)}").start()
        proxy = FaultProxy(peer, **settings).start()
        servers.extend([peer, proxy])
        return peer, proxy

    yield start
    for server in reversed(servers):
        server.stop()
        assert not getattr(server, "errors", [])


def connect(server, timeout=20):
    return socket.create_connection(server.address, timeout=timeout)


def read(sock, size):
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def read_all(sock):
    pieces = []
    while more := sock.recv(1 << 20):
        pieces.append(more)
    return b"".join(pieces)


def ask(sock, data=b"ping"):
    sock.sendall(data)
    return read(sock, len(data))


# -- without toxics -------------------------------------------------------------------------------


def test_without_toxics_everything_passes_both_ways(started):
    _, proxy = started()
    with connect(proxy) as sock:
        assert ask(sock, DATA[:50_000]) == DATA[:50_000]


def test_a_half_close_passes_and_the_answer_comes_back(started):
    peer, proxy = started(hear_then_answer)
    with connect(proxy) as sock:
        sock.sendall(b"all of it")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"all of it"
    assert peer.heard[0][1] == b"all of it"


def test_a_reset_by_the_client_reaches_the_server_as_a_reset(started):
    peer, proxy = started(listen_only)
    sock = connect(proxy)
    sock.sendall(b"x")
    wait_until(lambda: peer.heard)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    wait_until(lambda: peer.broken)
    assert isinstance(peer.broken[0], ConnectionResetError)


def test_a_hundred_connections_at_once(started):
    _, proxy = started()
    sockets = [connect(proxy) for _ in range(100)]
    for number, sock in enumerate(sockets):
        sock.sendall(f"{number:03d}".encode())
    assert [read(sock, 3) for sock in sockets] == [f"{number:03d}".encode() for number in range(100)]
    assert proxy.connections.count == proxy.connections.open == 100
    for sock in sockets:
        sock.close()
    wait_until(lambda: proxy.connections.open == 0)


def test_a_slow_reader_slows_the_writer_and_loses_nothing(started):
    """The proxy does not swallow what the client does not fetch."""
    sent = []

    def flood(peer, sock):
        for _ in range(400):
            sock.sendall(DATA[:100_000])
            sent.append(100_000)

    _, proxy = started(flood)
    with connect(proxy) as sock:
        time.sleep(0.3)
        before = sum(sent)
        assert len(read_all(sock)) == 40_000_000
    assert before < 40_000_000


def test_of_an_ended_connection_its_numbers_are_kept_and_nothing_else(started):
    _, proxy = started()
    with connect(proxy) as open_sock:
        for _ in range(25):
            with connect(proxy) as sock:
                ask(sock, b"hello")
        ask(open_sock, b"hey")
        wait_until(lambda: len(proxy._live) == 1 and machines(proxy) == 1)
        seen = proxy.connections
        assert (seen.count, seen.up, seen.down) == (26, 25 * 5 + 3, 25 * 5 + 3)
        assert seen.acted == [()] * 26 and [row[0] for row in seen.rows] == list(range(7, 27))
    wait_until(lambda: not proxy._live)
    assert proxy.connections.rows[-1][1:] == [5, 5, 5, 5, None, "closed"]


def machines(proxy):
    """How many connections of the proxy exist as objects, whoever keeps them."""
    gc.collect()
    return sum(isinstance(one, Connection) and one._proxy is proxy for one in gc.get_objects())


def test_connections_count_bytes_and_read_as_a_table(started):
    _, proxy = started()
    with connect(proxy) as sock:
        ask(sock, b"12345")
        seen = proxy.connections
        assert (seen.count, seen.open, seen.failed, seen.up, seen.down) == (1, 1, 0, 5, 5)
        assert "1 connections, 1 open" in str(seen)
        assert "<table>" in seen._repr_html_()


# -- each toxic -----------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["downstream", "upstream"])
def test_latency_holds_an_answer_back_and_acts_in_its_direction_only(started, direction):
    heard = []

    def stamp(peer, sock):
        heard.append((sock.recv(10), time.monotonic()))
        sock.sendall(b"answer")

    _, proxy = started(stamp)
    proxy.add(Latency(0.3, direction=direction))
    with connect(proxy) as sock:
        start = time.monotonic()
        sock.sendall(b"hello")
        assert read(sock, 6) == b"answer"
        end = time.monotonic()
    assert end - start >= 0.3
    late = heard[0][1] - start if direction == "upstream" else end - heard[0][1]
    assert late >= 0.29
    assert heard[0][0] == b"hello"


def test_latency_does_not_cap_throughput(started):
    """20 MB under 0.3 s of latency arrive intact, and in far less than one latency per 64 kB."""

    def send(peer, sock):
        for _ in range(20):
            sock.sendall(DATA)

    _, proxy = started(send)
    proxy.add(Latency(0.3))
    with connect(proxy) as sock:
        start = time.monotonic()
        got = read_all(sock)
        took = time.monotonic() - start
    assert got == DATA * 20
    assert 0.3 <= took < 0.3 * len(got) / 65536 / 4


def test_jitter_varies_within_its_bounds_and_repeats_by_seed():
    toxic = Latency(0.2, jitter=0.05)
    one, other = random.Random(7), random.Random(7)
    delays = [toxic.delay(one) for _ in range(1000)]
    assert delays == [toxic.delay(other) for _ in range(1000)]
    assert all(0.15 <= delay <= 0.25 for delay in delays)
    assert max(delays) - min(delays) > 0.09
    assert min(Latency(0.01, jitter=0.5).delay(one) for _ in range(100)) == 0


def test_jitter_never_changes_the_order_of_bytes(started):
    _, proxy = started()
    proxy.add(Latency(0.01, jitter=0.01))
    with connect(proxy) as sock:
        for start in range(0, 20_000, 200):
            sock.sendall(DATA[start : start + 200])
        assert read(sock, 20_000) == DATA[:20_000]


@pytest.mark.parametrize("direction", ["downstream", "upstream"])
def test_bandwidth_takes_its_time_and_keeps_every_byte(started, direction):
    _, proxy = started()
    proxy.add(Bandwidth(100_000, direction=direction))
    with connect(proxy) as sock:
        start = time.monotonic()
        assert ask(sock, DATA[:40_000]) == DATA[:40_000]
        assert time.monotonic() - start >= 0.4


def test_bandwidth_flows_and_does_not_come_in_one_lump(started):
    _, proxy = started()
    proxy.add(Bandwidth(20_000))
    with connect(proxy) as sock:

        def first_and_last():
            start = time.monotonic()
            sock.sendall(DATA[:10_000])
            assert read(sock, 1)
            first = time.monotonic() - start
            read(sock, 9_999)
            return first, time.monotonic() - start

        first, last = calmly(first_and_last)
        assert first < last / 2


def test_half_the_bandwidth_takes_longer(started):
    _, proxy = started()
    took = []
    for rate in (200_000, 100_000):
        proxy.add(Bandwidth(rate))
        with connect(proxy) as sock:

            def seconds():
                start = time.monotonic()
                ask(sock, DATA[:50_000])
                return time.monotonic() - start

            took.append(calmly(seconds))
    assert took[1] > 1.5 * took[0]


def test_a_shared_line_carries_its_rate_for_all_connections_together(started):
    _, proxy = started()
    proxy.add(Bandwidth(100_000, shared=True))
    with connect(proxy) as one, connect(proxy) as two:
        start = time.monotonic()
        for sock in (one, two):
            sock.sendall(DATA[:20_000])
        for sock in (one, two):
            assert read(sock, 20_000) == DATA[:20_000]
        assert time.monotonic() - start >= 0.4


@pytest.mark.parametrize("shared", [True, False])
def test_a_rate_altered_while_data_waits_holds_from_then_on(started, shared):
    """As a shared line too, which forgot what waited, and let all of it through at once."""
    _, proxy = started()
    proxy.add("bandwidth", rate=20_000, shared=shared)
    with connect(proxy) as sock:
        sock.sendall(DATA[:60_000])
        assert read(sock, 400) == DATA[:400]
        start = time.monotonic()
        proxy.update("bandwidth", rate=100_000)
        assert read(sock, 40_000) == DATA[400:40_400]
        assert time.monotonic() - start >= 0.35


def test_every_toxic_can_be_added_by_its_word_with_what_it_needs(started):
    _, proxy = started()
    needs = {"latency": 0.1, "rate": 1000, "delay": 0.1, "average_size": 10, "bytes": 10}
    for word, kind in TOXICS.items():
        own = [f.name for f in dataclasses.fields(kind) if f.init and f.default is dataclasses.MISSING]
        assert proxy.add(word, **{name: needs[name] for name in own}).word == word
        if own:
            with pytest.raises(ValueError, match=f"needs {own[0]}, as in '{word}', {own[0]}=…$"):
                proxy.add(word)


def test_small_pieces_do_not_wait_for_an_acknowledgement(started):
    _, proxy = started()
    with connect(proxy) as sock:
        ask(sock, b"hello")
        (connection,) = proxy._live
        sides = [transport.get_extra_info("socket") for transport in connection._open.values()]
        assert len(sides) == 2
        assert all(side.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for side in sides)


def test_slow_close_delays_the_close_and_not_the_data(started):
    def answer_and_close(peer, sock):
        sock.recv(10)
        sock.sendall(b"answer")

    _, proxy = started(answer_and_close)
    proxy.add(SlowClose(0.4))

    def data_and_close():
        with connect(proxy) as sock:
            start = time.monotonic()
            sock.sendall(b"x")
            assert read(sock, 6) == b"answer"
            data = time.monotonic() - start
            assert sock.recv(1) == b""
            return data, time.monotonic() - start

    data, close = calmly(data_and_close)
    assert close >= 0.4 > data


@pytest.mark.parametrize("direction", ["downstream", "upstream"])
def test_timeout_drops_data_and_closes_after_its_time(started, direction):
    peer, proxy = started(listen_only if direction == "upstream" else echo)
    proxy.add(Timeout(0.3, direction=direction))
    with connect(proxy) as sock:
        start = time.monotonic()
        sock.sendall(b"hello")
        assert sock.recv(10) == b""
        assert time.monotonic() - start >= 0.29  # counted from the proxy's acceptance, just before
    assert not any(data for _, data in peer.heard)


def test_timeout_zero_stays_silent_until_it_is_removed_and_then_closes(started):
    _, proxy = started()
    proxy.add("timeout")
    with connect(proxy) as sock:
        sock.sendall(b"hello")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(10)
        proxy.remove("timeout")
        sock.settimeout(20)
        assert sock.recv(10) == b""
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"


def test_timeout_holds_back_the_senders_close_too(started):
    def close_at_once(peer, sock):
        sock.recv(10)

    _, proxy = started(close_at_once)
    proxy.add(Timeout(0))
    with connect(proxy, timeout=0.3) as sock:
        sock.sendall(b"x")
        with pytest.raises(TimeoutError):
            sock.recv(10)


def test_timeout_zero_leaves_nothing_behind_when_client_and_server_have_gone(started):
    _, proxy = started()
    proxy.add(Timeout(0))
    with connect(proxy) as sock:
        sock.sendall(b"hello")
    wait_until(lambda: proxy.connections.open == 0)


@pytest.mark.parametrize("direction", ["downstream", "upstream"])
def test_reset_peer_sends_a_real_reset(started, direction):
    peer, proxy = started(echo if direction == "downstream" else listen_only)
    proxy.add(ResetPeer(direction=direction))
    with connect(proxy) as sock:
        sock.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            sock.recv(10)
    wait_until(lambda: peer.broken)
    assert isinstance(peer.broken[0], ConnectionResetError)
    assert peer.heard == []  # upstream: the data never came through


def test_reset_peer_waits_for_its_timeout(started):
    _, proxy = started()
    proxy.add(ResetPeer(0.3))
    with connect(proxy) as sock:
        start = time.monotonic()
        sock.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            sock.recv(10)
        assert time.monotonic() - start >= 0.3


def test_slicer_cuts_into_small_pieces_that_join_to_the_same_bytes(started):
    peer, proxy = started(listen_only)
    proxy.add(Slicer(50, 20, 0.02, direction="upstream"))
    with connect(proxy) as sock:
        sock.sendall(DATA[:2000])
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    pieces = [data for _, data in peer.heard if data]
    assert b"".join(pieces) == DATA[:2000]
    assert len(pieces) > 8  # of 40, some of which a busy machine reads together; without the toxic: 1


def test_slicer_draws_sizes_within_the_variation():
    class OnStage:
        rng, free_at = random.Random(3), 0.0

    pairs = list(Slicer(50, 20, 0.01).data(OnStage, 5.0, DATA[:5000]))
    sizes = [len(piece) for _, piece in pairs[:-1]]
    assert b"".join(piece for _, piece in pairs) == DATA[:5000]
    assert min(sizes) >= 30 and max(sizes) <= 70 and len(set(sizes)) > 10
    assert pairs[3][0] == pytest.approx(5.03)


@pytest.mark.parametrize("limit", [0, 1, 999, 1000])
@pytest.mark.parametrize("direction", ["downstream", "upstream"])
def test_limit_data_passes_exactly_its_bytes_and_closes(started, direction, limit):
    peer, proxy = started(echo if direction == "downstream" else listen_only)
    proxy.add(LimitData(limit, direction=direction))
    with connect(proxy) as sock:
        sock.sendall(DATA[:1000])
        got = read_all(sock)
    if direction == "upstream":
        wait_until(lambda: peer.heard and peer.heard[-1][1] == b"" or peer.broken)
        got = b"".join(data for _, data in peer.heard)
    assert got == DATA[:limit]


def test_limit_data_counts_over_several_messages(started):
    _, proxy = started()
    proxy.add(LimitData(10))
    with connect(proxy) as sock:
        assert ask(sock, b"1234567") == b"1234567"
        sock.sendall(b"89ABCDE")
        assert read_all(sock) == b"89A"


def test_what_limit_data_let_through_still_passes_a_latency_after_it(started):
    _, proxy = started()
    proxy.add(LimitData(5))
    proxy.add(Latency(0.2))
    with connect(proxy) as sock:
        start = time.monotonic()
        sock.sendall(b"0123456789")
        assert read_all(sock) == b"01234"
        assert time.monotonic() - start >= 0.2


def test_limit_data_delivers_its_bytes_to_a_slow_reader_too(started):
    def flood(peer, sock):
        while True:
            sock.sendall(DATA)

    _, proxy = started(flood)
    proxy.add(LimitData(8_000_000))
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        sock.connect(proxy.address)
        wait_until(lambda: proxy.connections.down)
        got = 0
        while more := len(sock.recv(50_000)):
            got += more
            time.sleep(0.0005)
    assert got == 8_000_000


def test_down_refuses_and_cuts_and_the_port_comes_back(started):
    _, proxy = started()
    port = proxy.port
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"
        proxy.add(Down())
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
    with socket.socket() as other, pytest.raises(OSError):  # the number is taken meanwhile
        other.bind((HOST, port))
    proxy.remove("down")
    assert proxy.port == port
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"


def test_a_proxy_can_be_down_from_the_start(started):
    peer, _ = started()
    with FaultProxy(peer, "second") as proxy:
        proxy.add("down")
    proxy.start()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.clear()
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"
    proxy.stop()


def test_toxics_work_one_after_another(started):
    _, proxy = started()
    proxy.add(Latency(0.2, direction="upstream"))
    proxy.add(Latency(0.2))
    proxy.add(Bandwidth(50_000))
    with connect(proxy) as sock:
        start = time.monotonic()
        assert ask(sock, DATA[:10_000]) == DATA[:10_000]
        assert time.monotonic() - start >= 0.6


def test_the_order_of_adding_is_the_order_of_working(started):
    """The limit comes first, so its close passes the black hole behind it; the other way round nothing reaches it."""
    for toxics in ([LimitData(2, toxicity=0), Timeout(0)], [Timeout(0), LimitData(2, toxicity=0)]):
        _, proxy = started()
        for toxic in toxics:
            proxy.add(toxic)
        with connect(proxy) as sock:
            sock.sendall(b"x")
            wait_until(lambda: proxy.connections.rows[0][3] == 1)  # noqa: B023
            proxy.update("limit_data", toxicity=1)
            sock.sendall(b"hello")
            if toxics[0].word == "limit_data":
                assert sock.recv(1) == b""
            else:
                sock.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    sock.recv(1)


# -- toxicity ---------------------------------------------------------------------------------------


def _struck(peer, seed, pause=0.0, name="a", toxicity=0.5):
    """Which of 40 connections a reset hits."""
    with FaultProxy(peer, "seeded", seed=seed) as proxy:
        proxy.add(ResetPeer(toxicity=toxicity, name=name))
        hit = []
        for _ in range(40):
            with connect(proxy) as sock:
                try:
                    hit.append(ask(sock) != b"ping")
                except ConnectionResetError:
                    hit.append(True)
            time.sleep(pause)
        return hit


def test_toxicity_strikes_the_same_connections_by_seed_whatever_the_time(started):
    peer, _ = started()
    first = _struck(peer, seed=1)
    assert first == _struck(peer, seed=1, pause=0.005)
    assert first != _struck(peer, seed=2)
    assert first != _struck(peer, seed=1, name="b")
    assert 8 <= sum(first) <= 32
    more = _struck(peer, seed=1, toxicity=0.8)
    assert all(now for was, now in zip(first, more, strict=True) if was)  # a higher share adds to it
    assert not any(_struck(peer, seed=1, toxicity=0))


def test_what_acted_is_told_for_each_connection(started):
    _, proxy = started(seed=5)
    proxy.add(Latency(0.0, toxicity=0.5))
    for _ in range(20):
        with connect(proxy) as sock:
            ask(sock)
    told = [bool(names) for names in proxy.connections.acted]
    drawn = [random.Random(f"5/{number}/latency_downstream").random() < 0.5 for number in range(1, 21)]
    assert told == drawn


# -- changes under way -------------------------------------------------------------------------------


def test_adding_altering_and_removing_acts_on_an_open_connection(started):
    _, proxy = started()
    with connect(proxy) as sock:

        def took():
            start = time.monotonic()
            assert ask(sock) == b"ping"
            return time.monotonic() - start

        quick = min(took() for _ in range(5))
        proxy.add("latency", latency=0.3)
        assert took() >= 0.3
        assert proxy.update("latency", latency=0.5).latency == 0.5
        assert took() >= 0.5
        proxy.remove("latency")
        assert quick < 0.3 and min(took() for _ in range(5)) < 0.3


def test_removing_a_toxic_lets_go_what_it_held(started):
    _, proxy = started()
    proxy.add(Latency(60))
    with connect(proxy) as sock:
        sock.sendall(b"hello")
        wait_until(lambda: proxy.connections.up == 5)
        wait_until(lambda: proxy.connections.rows[0][3] == 5)
        proxy.remove("latency")
        assert read(sock, 5) == b"hello"


def test_altering_judges_what_waits_by_the_new_settings(started):
    _, proxy = started()
    for toxic, changes in (
        (Latency(60), {"latency": 0.1}),
        (Bandwidth(10), {"rate": 1e6}),
        (Slicer(5, 0, 60), {"delay": 0.0}),
    ):
        with proxy.applying(toxic), connect(proxy) as sock:
            sock.sendall(DATA[:3000])
            wait_until(lambda: proxy.connections.rows and proxy.connections.rows[-1][3] == 3000)
            proxy.update(toxic.word, **changes)
            assert read(sock, 3000) == DATA[:3000]


def test_bytes_stay_whole_and_in_order_while_toxics_come_and_go(started):
    def send(peer, sock):
        for _ in range(5):
            sock.sendall(DATA)

    _, proxy = started(send)
    got, rng = [], random.Random(4)
    with connect(proxy) as sock:
        reader = threading.Thread(target=lambda: got.append(read_all(sock)))
        proxy.add(Bandwidth(4e6))
        reader.start()
        while reader.is_alive():
            toxic = rng.choice([Latency(0.02, jitter=0.02), Bandwidth(8e6), Slicer(5000, 4000), SlowClose(0.01)])
            proxy.add(toxic)
            time.sleep(0.01)
            if rng.random() < 0.5:
                proxy.remove(toxic.name)
        reader.join()
    assert got == [DATA * 5]


def test_toxicity_altered_on_open_connections(started):
    _, proxy = started()
    proxy.add(Latency(0.2, toxicity=0))
    with connect(proxy) as sock:
        ask(sock)
        proxy.update("latency", toxicity=1)
        start = time.monotonic()
        ask(sock)
        assert time.monotonic() - start >= 0.2
        proxy.update("latency", toxicity=0)
        took = []
        for _ in range(5):
            start = time.monotonic()
            ask(sock)
            took.append(time.monotonic() - start)
        assert min(took) < 0.2


def test_applying_ends_with_the_block_and_brings_back_what_it_replaced(started):
    _, proxy = started()
    proxy.add(Latency(0.01))
    with pytest.raises(ZeroDivisionError), proxy.applying(Latency(0.2), Down()):
        assert [row[0] for row in proxy.toxics] == ["latency_downstream", "down"]
        raise ZeroDivisionError
    assert [row[:3] for row in proxy.toxics] == [["latency_downstream", "latency", "latency=0.01, jitter=0.0"]]
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"


def test_adding_again_replaces(started):
    _, proxy = started()
    proxy.add(Latency(0.1))
    proxy.add(Latency(0.2))
    proxy.add(Latency(0.3, direction="upstream"))
    assert [row[2] for row in proxy.toxics] == ["latency=0.2, jitter=0.0", "latency=0.3, jitter=0.0"]
    with pytest.raises(ValueError, match="latency_downstream, latency_upstream: give the full name"):
        proxy.remove("latency")
    proxy.remove("latency_upstream")
    proxy.clear()
    assert len(proxy.toxics) == 0


# -- life ------------------------------------------------------------------------------------------


def test_an_unreachable_upstream_closes_the_client_and_is_noted(started):
    peer, proxy = started()
    peer.stop()
    with connect(proxy) as sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""
    wait_until(lambda: proxy.connections.failed == 1)
    assert "upstream unreachable" in str(proxy.connections)
    peer.start()  # on another port: the proxy follows its server
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"


def test_lane_scheme_and_name_come_from_the_server_behind(started):
    peer, proxy = started()
    assert (proxy.lane, proxy.name, proxy.scheme) == (peer.lane, f"{peer.name}-faults", "tcp")
    assert lifecycle.server_at(proxy.port) is proxy
    assert FaultProxy(peer.address).lane == peer.lane
    assert FaultProxy(f"http://127.0.0.1:{peer.port}", "x").scheme == "http"
    assert FaultProxy(("localhost", 9)).lane == "port 9-faults"


def test_an_address_will_do_as_upstream(started):
    peer, _ = started()
    with FaultProxy(peer.address, "by-address") as proxy, connect(proxy) as sock:
        assert ask(sock) == b"ping"


def test_starting_makes_no_connection_of_its_own(started):
    peer, proxy = started()
    assert proxy.connections.count == 0
    with connect(proxy) as sock:
        ask(sock)
    assert peer.accepted == 1


@pytest.mark.parametrize("toxic", [None, Timeout(0), Latency(60), Bandwidth(10), SlowClose(60), ResetPeer(60), Down()])
def test_stop_leaves_no_thread_and_no_socket(toxic, capfd):
    peer = Peer(echo).start()
    before = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        proxy = FaultProxy(peer).start()
        port = proxy.port
        threads = [t.name for t in threading.enumerate() if t not in before]
        assert any(name.startswith("servicelab peer-faults") for name in threads)
        sockets = [connect(proxy) for _ in range(5)]
        for sock in sockets:
            ask(sock)
        if toxic:
            proxy.add(toxic)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.sendall(DATA[:5000])
        proxy.stop()
        for sock in sockets:
            with contextlib.suppress(ConnectionResetError):
                read_all(sock)  # it ends: nobody keeps the connection
            sock.close()
        gc.collect()
    assert not warned  # such as "unclosed socket"
    peer.stop()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("servicelab peer-faults")])
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((HOST, port))
    assert proxy.errors == []
    assert capfd.readouterr() == ("", "")
    proxy.stop()  # twice is fine


def test_stop_while_clients_are_connecting(started, capfd):
    """The awkward moment: connections accepted, and not yet joined to the server."""
    peer, _ = started()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(20):
            proxy = FaultProxy(peer, "hasty").start()
            sockets = [socket.socket() for _ in range(20)]
            for sock in sockets:
                sock.setblocking(False)
                sock.connect_ex(proxy.address)
            proxy.stop()
            for sock in sockets:
                sock.close()
            assert proxy.errors == []
        del proxy
        gc.collect()
    assert not warned  # such as "unclosed socket"
    assert capfd.readouterr() == ("", "")


def test_it_can_start_again_and_keeps_its_toxics(started):
    _, proxy = started()
    proxy.add(Latency(0.2))
    proxy.stop()
    proxy.update("latency", latency=0.3)
    proxy.start()
    with connect(proxy) as sock:
        start = time.monotonic()
        assert ask(sock) == b"ping"
        assert time.monotonic() - start >= 0.3
    assert proxy.connections.count == 1


# -- trace -----------------------------------------------------------------------------------------


def _request(trace, sock, split=0):
    id = new_id()
    trace.send("client", "orders", "GET /", id=id)
    head = f"GET / HTTP/1.1\r\nHost: x\r\nTraceParent: {to_traceparent('ab', id)}\r\n\r\n".encode()
    sock.sendall(head[:split])
    if split:
        time.sleep(0.05)
    sock.sendall(head[split:])
    return id


def _losses(trace):
    return {event.id: event.label for event in trace.events if event.what == "lose"}


@pytest.mark.parametrize("split", [0, 50])
@pytest.mark.parametrize(
    ("toxic", "which", "why"),
    [
        (Timeout(0), reply_id, "dropped by timeout toxic"),
        (Timeout(0, direction="upstream"), str, "dropped by timeout toxic"),
        (ResetPeer(), reply_id, "cut by reset_peer toxic"),
        (LimitData(20), reply_id, "cut by limit_data toxic"),
        (LimitData(95, direction="upstream"), str, "cut by limit_data toxic"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_trace_learns_what_was_lost_and_why(started, toxic, which, why, split):
    trace = Trace()
    _, proxy = started(http, trace=trace)
    with connect(proxy) as sock:
        first = _request(trace, sock)
        sock.recv(1000)
        trace.receive(first)
        proxy.add(toxic)
        second = _request(trace, sock, split)
        wait_until(lambda: _losses(trace).get(which(second)) == why)
    assert first not in _losses(trace)
    assert {m.id: m.lost for m in trace.messages}[first] is None


def test_down_is_told_to_the_trace(started):
    trace = Trace()
    _, proxy = started(listen_only, trace=trace)
    with connect(proxy) as sock:
        id = _request(trace, sock)
        wait_until(lambda: proxy.connections.up)
        proxy.add(Down())
    assert _losses(trace) == {id: "cut by down toxic", reply_id(id): "cut by down toxic"}


def test_faults_that_lose_nothing_leave_no_mark(started):
    trace = Trace()
    _, proxy = started(trace=trace)
    for toxic in (Latency(0.01), Bandwidth(1e6), Slicer(10), SlowClose(0.01)):
        with proxy.applying(toxic), connect(proxy) as sock:
            _request(trace, sock)
            sock.recv(1000)
    assert _losses(trace) == {}


# -- misuse ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Latency(-3), "latency=-3 must be >= 0 seconds"),
        (lambda: Latency(float("nan")), "latency=nan must be >= 0 seconds"),
        (lambda: Latency("0.2"), "latency='0.2' must be a number of seconds"),
        (lambda: Latency(True), "latency=True must be a number of seconds"),
        (lambda: Latency(0.1, jitter=-1), "jitter=-1 must be >= 0 seconds"),
        (lambda: Latency(0.1, toxicity=1.5), "toxicity=1.5 must be a share from 0 to 1"),
        (lambda: Latency(0.1, direction="left"), "direction='left' is no direction: use 'downstream'"),
        (lambda: Latency(0.1, name=3), "name=3 must be a string"),
        (lambda: Bandwidth(0), "rate=0 must be > 0 bytes/s"),
        (lambda: Bandwidth(float("inf")), "rate=inf must be > 0 bytes/s"),
        (lambda: SlowClose(-1), "delay=-1 must be >= 0 seconds"),
        (lambda: Timeout(-1), "timeout=-1 must be >= 0 seconds"),
        (lambda: ResetPeer(-1), "timeout=-1 must be >= 0 seconds"),
        (lambda: Slicer(0), "average_size=0 must be a whole number >= 1"),
        (lambda: Slicer(10, 10), "size_variation=10 must be a whole number from 0 to 9: a piece of average_size=10"),
        (lambda: Slicer(10, delay=-1), "delay=-1 must be >= 0 seconds"),
        (lambda: LimitData(1.5), "bytes=1.5 must be a whole number >= 0"),
        (lambda: LimitData(-1), "bytes=-1 must be a whole number >= 0"),
        (lambda: Down(toxicity=0.5), "toxicity=0.5 means nothing for 'down'"),
        (lambda: Down(direction="upstream"), "direction='upstream' means nothing for 'down'"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(make, says):
    with pytest.raises((TypeError, ValueError), match=re.escape(says)):
        make()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda p: p.add("lateny", latency=1),
            "'lateny' is no toxic: use one of latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data, "
            "down",
        ),
        (lambda p: p.add(3), "3 is no toxic"),
        (lambda p: p.add(Toxic()), "is no toxic"),
        (lambda p: p.add("latency"), "the toxic 'latency' needs latency"),
        (lambda p: p.add("latency", latency=-3), "latency=-3 must be >= 0 seconds"),
        (lambda p: p.add("latency", latancy=3, latency=1), "latancy=3: the toxic 'latency' has no 'latancy', only"),
        (lambda p: p.add(Latency(1), rate=3), "rate=3: the toxic 'latency' has no 'rate'"),
        (lambda p: p.remove("latency"), "'latency' is not on; on are: slicer_downstream"),
        (lambda p: p.update("latency", latency=1), "'latency' is not on; on are: slicer_downstream"),
        (lambda p: p.update("slicer", average_size=0), "average_size=0 must be a whole number"),
        (lambda p: p.update("slicer", rate=0), "rate=0: the toxic 'slicer' has no 'rate'"),
        (lambda p: p.update("slicer", direction="upstream"), "direction='upstream': the direction of"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(started, change, says):
    _, proxy = started()
    proxy.add(Slicer(10))
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        change(proxy)
    assert "\n" not in str(error.value)
    assert [row[2] for row in proxy.toxics] == ["average_size=10, size_variation=0, delay=0.0"]
    with connect(proxy) as sock:
        assert ask(sock) == b"ping"


@pytest.mark.parametrize(
    "upstream",
    [
        None,
        3,
        "orders",
        "http://127.0.0.1",
        "http://127.0.0.1:abc",
        (HOST, 0),
        (HOST, "80"),
        (3, 80),
        ("", 80),
        (HOST, 70000),
        (HOST, 80, 1),
    ],
)
def test_an_upstream_that_is_no_server_is_refused(upstream):
    before = set(threading.enumerate())
    says = f"upstream={upstream!r} is no server and no address: use a server"
    with pytest.raises(ServerError, match=re.escape(says)):
        FaultProxy(upstream)
    assert set(threading.enumerate()) <= before and not lifecycle.running().rows


def test_in_front_of_anything_that_has_an_address():
    class Elsewhere:
        address = (HOST, 5672)

    assert FaultProxy(Elsewhere(), name="line").upstream_address == (HOST, 5672)


def test_a_taken_port_and_a_wrong_trace_are_refused_and_leave_nothing_running(started):
    peer, proxy = started()
    before = set(threading.enumerate())
    second = FaultProxy(peer, "second", port=proxy.port)
    with pytest.raises(ServerError, match=f"second could not listen on 127.0.0.1:{proxy.port}"):
        second.start()
    wait_until(lambda: set(threading.enumerate()) <= before)
    assert not second.is_running
    with pytest.raises(ServerError, match="trace=3 is no trace"):
        FaultProxy(peer, trace=3)


def test_the_table_of_toxics_names_each_by_its_word():
    words = "latency bandwidth slow_close timeout reset_peer slicer limit_data down"
    assert list(TOXICS) == words.split()
    assert all(TOXICS[word].word == word and TOXICS[word].__doc__ for word in TOXICS)
