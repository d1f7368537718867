"""A process that may take so much memory and no more: it is told, it ends, and its clients are cut."""

import os
import threading
import time

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from servicelab.clients.streams import hang_up, open_websocket
from servicelab.lifecycle import stop_all
from servicelab.servers import ServerProcess, WebSocketServer, memory
from servicelab.servers.memory import MemoryLimit
from tests.waiting import eventually, left

ROOM = 30_000_000


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert eventually(lambda: not left()), left()


def hoarder(enforced=True):
    """A server that keeps a megabyte for each message it hears; the answer is how many it has."""

    def serve():
        if not enforced:
            memory._limit_data = lambda room: False
        limits, kept = [], []

        def handler(connection):
            try:
                for _ in connection:
                    if not kept:  # by now all are connected: the stacks of their threads would count
                        limits.append(MemoryLimit(ROOM))
                    limits[0].check(spare=2_000_000)
                    kept.append(os.urandom(1_000_000))
                    connection.send(f"{len(kept)} {limits[0].is_enforced}")
            except MemoryError as error:
                print("MemoryError:", error, flush=True)
                os._exit(1)

        return WebSocketServer(handler, "hoarder", ping_interval=None, compression=None)

    return serve


@pytest.mark.parametrize("enforced", [True, False])
def test_a_server_that_runs_out_of_memory_ends_with_a_word_and_its_clients_are_cut(enforced, report_figure):
    with ServerProcess(hoarder(enforced), "hoarder") as server:
        lines = [open_websocket(server.url, ping_interval=None, compression=None) for _ in range(3)]
        kept, is_enforced = 0, None
        with pytest.raises(ConnectionClosed):
            for _ in range(60):
                lines[0].send("one more")
                kept, is_enforced = lines[0].recv(timeout=10).split()
        assert 20 <= int(kept) <= 30
        assert is_enforced == str(enforced and psutil.LINUX)
        for line in lines[1:]:
            with pytest.raises(ConnectionClosed):
                line.recv(timeout=10)
        assert [line.close_code for line in lines] == [1006] * 3
        assert eventually(lambda: not server.is_running) and "exit status 1" in str(server)
        assert any("MemoryError: the limit of 30 MB" in line for line in server.output)
    report_figure(f"memory limit of 30 MB, {'enforced' if enforced else 'checked'}: {kept} MB were kept")


@pytest.mark.parametrize("room", [0, -1, float("nan")])
def test_a_limit_without_room_is_refused_and_sets_nothing(room):
    with pytest.raises(ValueError, match="room"):
        MemoryLimit(room)


@pytest.mark.parametrize("again", range(6))  # in what state the kernels are then is a matter of moments
def test_hanging_up_ends_a_connection_that_stands_still_since_nobody_reads(again, caplog):
    def pour(connection):
        while True:
            connection.send(bytes(100_000))

    with WebSocketServer(pour, "pouring", ping_interval=None, compression=None) as server:
        unread = open_websocket(server.url, ping_interval=None, compression=None, max_queue=1)
        assert eventually(lambda: unread.recv_messages.paused)
        waiting = open_websocket(server.url, ping_interval=None, compression=None)
        found = []

        def read():
            try:
                while True:
                    waiting.recv()
            except ConnectionClosed:
                found.append("the end")

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        began = time.monotonic()
        for line in (unread, waiting):
            hang_up(line)
        assert time.monotonic() - began < 1  # the time at which it gives up waiting
        assert not unread.recv_events_thread.is_alive() and not waiting.recv_events_thread.is_alive()
        thread.join(8)
        assert found == ["the end"]
        assert eventually(lambda: not server.connections)
    assert [record.getMessage() for record in caplog.records] == []
