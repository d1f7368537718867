"""The broker's file: what is confirmed is in it, what cancels out is not, and a bad file is left alone."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest

from servicelab.servers.amqp import store
from servicelab.servers.amqp.store import SQLiteJournal, StoreError


@pytest.fixture
def path(tmp_path):
    yield tmp_path / "broker.db"
    assert not [t.name for t in threading.enumerate() if "journal" in t.name]


def synced(journal, limit=10):
    """Wait until the journal says that everything is on disk."""

    async def wait():
        done = asyncio.Event()
        journal.sync(done.set)
        await asyncio.wait_for(done.wait(), limit)

    asyncio.run(wait())


def contents(path):
    journal = SQLiteJournal(path)
    found = journal.load()
    messages = list(found.messages)
    journal.close()
    return found.exchanges, found.queues, found.bindings, messages


def test_what_was_said_comes_back(path):
    journal = SQLiteJournal(path)
    spec = {"durable": True, "arguments": "AAAA", "limit": None, "n": 3}
    journal.declare_exchange("shop", spec)
    journal.declare_exchange("gone", spec)
    journal.delete_exchange("gone")
    for name in ("orders", "mails"):
        journal.declare_queue(name, spec | {"name": name})
    journal.bind({"source": "shop", "destination": "orders", "key": "a"})
    journal.bind({"source": "shop", "destination": "orders", "key": "b"})
    journal.bind({"key": "b", "destination": "orders", "source": "shop"})  # the same
    journal.unbind({"destination": "orders", "source": "shop", "key": "a"})
    journal.put("mails", 7, b"second")
    journal.put("mails", 3, b"first \x00\xff")
    journal.put("orders", 3, b"")
    journal.requeued("mails", 7, 2)
    journal.close()
    assert contents(path) == (
        {"shop": spec},
        {"orders": spec | {"name": "orders"}, "mails": spec | {"name": "mails"}},
        [{"source": "shop", "destination": "orders", "key": "b"}],
        [("orders", 3, b"", 0), ("mails", 3, b"first \x00\xff", 0), ("mails", 7, b"second", 2)],
    )


@pytest.mark.parametrize("between", [lambda journal: None, synced], ids=["one batch", "two batches"])
def test_settled_deleted_and_declared_again_in_every_order(path, between):
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {"n": 1})
    for id in range(1000):
        journal.put("orders", id, b"%d" % id)
    between(journal)
    for id in range(1000):
        if id % 7:
            journal.settle("orders", id)
    between(journal)
    journal.declare_queue("mails", {"n": 1})
    journal.put("mails", 1, b"before")
    between(journal)
    journal.delete_queue("mails")
    journal.settle("mails", 1)  # too late, and harmless
    journal.declare_queue("mails", {"n": 2})
    journal.put("mails", 2, b"after")
    journal.put("mails", 3, b"acknowledged")
    between(journal)
    journal.settle("mails", 3)
    journal.close()
    _, queues, _, messages = contents(path)
    assert queues == {"orders": {"n": 1}, "mails": {"n": 2}}
    assert messages == [("orders", id, b"%d" % id, 0) for id in range(0, 1000, 7)] + [("mails", 2, b"after", 0)]


def test_it_says_once_that_the_end_was_orderly(path):
    """Only of the last end: whoever opens the file may crash."""
    for end, orderly in (("close", True), ("abandon", False), ("close", True), ("close", False)):
        journal = SQLiteJournal(path)
        journal.declare_queue("orders", {})
        journal.close(orderly=orderly) if end == "close" else journal.abandon()
        for expected in (orderly, False):
            journal = SQLiteJournal(path)
            assert journal.load().orderly == expected
            journal.abandon()


def test_a_file_of_the_first_version_is_taken_over(path):
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {"n": 1})
    journal.put("orders", 1, b"x")
    journal.close(orderly=True)
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE orderly; PRAGMA user_version = 1")
    db.close()
    assert contents(path) == ({}, {"orders": {"n": 1}}, [], [("orders", 1, b"x", 0)])
    journal = SQLiteJournal(path)
    assert not journal.load().orderly
    journal.close()


def test_queues_keep_apart_after_many_restarts(path):
    for n in range(5):
        journal = SQLiteJournal(path)
        journal.declare_queue(f"q{n}", {})
        journal.put(f"q{n}", 1, b"%d" % n)
        if n % 2:
            journal.delete_queue(f"q{n - 1}")
        journal.close()
    assert contents(path)[3] == [("q1", 1, b"1", 0), ("q3", 1, b"3", 0), ("q4", 1, b"4", 0)]


def test_a_message_settled_before_it_was_written_never_touches_the_disk(path, monkeypatch):
    statements = []
    monkeypatch.setattr(store, "IDLE", 60)  # nothing is written before sync asks for it
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})
    synced(journal)
    journal._db.set_trace_callback(statements.append)
    for id in range(100):
        journal.put("orders", id, b"x")
        journal.settle("orders", id)
    synced(journal)
    journal.close()
    assert statements == []


def test_what_nobody_waits_for_is_written_too(path):
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})
    journal.put("orders", 1, b"x")
    with journal._changed:
        assert journal._changed.wait_for(lambda: not journal._batch.size, 10)
    synced(journal)
    journal.abandon()
    assert len(contents(path)[3]) == 1


def test_what_is_declared_is_on_disk_when_the_call_returns(path, monkeypatch):
    monkeypatch.setattr(store, "IDLE", 60)
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})
    journal.declare_queue("mails", {})
    journal.put("mails", 1, b"x")
    journal.declare_exchange("shop", {})
    journal.bind({"source": "shop"})
    journal.delete_queue("orders")
    journal.abandon()
    assert contents(path) == ({"shop": {}}, {"mails": {}}, [{"source": "shop"}], [("mails", 1, b"x", 0)])


def test_many_syncs_share_one_commit(path, monkeypatch):
    statements = []
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})
    synced(journal)
    journal._db.set_trace_callback(statements.append)

    async def publish():
        done = []
        with journal._changed:  # the writer is held up for as long
            for id in range(100):
                journal.put("orders", id, b"x")
                journal.sync(lambda id=id: done.append(id))
        while len(done) < 100:
            await asyncio.sleep(0.001)
        return done

    assert asyncio.run(publish()) == list(range(100))
    assert statements.count("COMMIT") == 1
    journal.close()


def test_it_answers_in_the_loops_thread_and_after_the_commit(path):
    seen = []
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})

    async def publish():
        done = asyncio.Event()
        journal.put("orders", 1, b"x")

        def answered():
            seen.append((threading.current_thread(), journal._db.in_transaction))
            done.set()

        journal.sync(answered)
        assert not seen  # never from within sync itself: nothing is on disk yet
        await asyncio.wait_for(done.wait(), 10)

    asyncio.run(publish())
    assert seen == [(threading.current_thread(), False)]
    journal.close()


def test_it_is_on_disk_for_sure():
    """FULL and not NORMAL, which in a write-ahead log forgets commits when the power fails."""
    journal = SQLiteJournal(":memory:")
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


def test_closing_writes_what_is_left_and_abandoning_does_not(path, monkeypatch):
    monkeypatch.setattr(store, "IDLE", 60)
    for id, end in enumerate((SQLiteJournal.close, SQLiteJournal.abandon)):
        journal = SQLiteJournal(path)
        journal.declare_queue("orders", {})
        synced(journal)
        journal.put("orders", id, b"x")
        end(journal)
    assert contents(path)[3] == [("orders", 0, b"x", 0)]


def test_a_full_disk_confirms_nothing_more_and_says_so_once(path):
    journal = SQLiteJournal(path)
    told = []
    failed = threading.Event()
    journal.failed = lambda error: (told.append(error), failed.set())
    journal.declare_queue("orders", {})
    journal.put("orders", 1, b"fits")
    synced(journal)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages + 2}")

    async def publish():
        done = []
        journal.put("orders", 2, bytes(100_000))
        journal.sync(lambda: done.append(1))
        await asyncio.to_thread(failed.wait, 10)
        journal.put("orders", 3, b"would fit")
        journal.sync(lambda: done.append(2))
        await asyncio.sleep(0)
        return done

    assert asyncio.run(publish()) == []
    with pytest.raises(StoreError, match="can no longer be written"):
        journal.declare_queue("late", {})
    journal.close()
    assert len(told) == 1
    assert "can no longer be written: database or disk is full" in str(journal.error)
    assert contents(path)[3] == [("orders", 1, b"fits", 0)]


def test_the_loop_waits_for_the_disk_when_too_much_is_pending(path, monkeypatch):
    monkeypatch.setattr(store, "PENDING_LIMIT", 10_000)
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})
    most = 0
    for id in range(500):
        journal.put("orders", id, bytes(1000))
        most = max(most, journal._batch.size)
    assert most <= 10_000 + 1000 + store.SMALL
    journal.close()
    assert len(contents(path)[3]) == 500


def test_one_file_has_one_broker(path):
    journal = SQLiteJournal(path)
    journal.declare_queue("orders", {})
    with pytest.raises(StoreError, match="broker.db is in use by another broker: stop that one"):
        SQLiteJournal(path)
    program = f"from servicelab.servers.amqp.store import *\nSQLiteJournal({str(path)!r})"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "is in use by another broker" in other.stderr
    journal.put("orders", 1, b"still mine")
    journal.close()
    assert len(contents(path)[3]) == 1


def test_what_is_not_ours_is_refused_and_left_as_it_was(path):
    bad = {"text": b"a letter to my aunt\n" * 100}
    for name, change in {
        "foreign": "CREATE TABLE aunt (letter)",
        "newer": f"PRAGMA application_id = {store.APPLICATION_ID}; PRAGMA user_version = 99",
    }.items():
        with sqlite3.connect(path) as db:
            db.executescript(change)
        db.close()
        bad[name] = path.read_bytes()
        path.unlink()
    words = {"text": "is no SQLite file", "foreign": "not a broker's", "newer": "has version 99"}
    for name, data in bad.items():
        path.write_bytes(data)
        with pytest.raises(StoreError, match=words[name]):
            SQLiteJournal(path)
        assert path.read_bytes() == data
        assert [p.name for p in path.parent.iterdir()] == ["broker.db"]


def test_a_place_where_no_file_can_be(tmp_path):
    for bad in (tmp_path, tmp_path / "missing" / "broker.db"):
        with pytest.raises(StoreError, match="cannot be opened|cannot be written"):
            SQLiteJournal(bad)


@pytest.mark.parametrize("after", [1, 40, 200])
def test_what_was_synced_survives_kill_9(path, after):
    program = textwrap.dedent(f"""
        import asyncio
        from servicelab.servers.amqp.store import SQLiteJournal

        async def main():
            journal = SQLiteJournal({str(path)!r})
            journal.declare_queue("orders", {{}})
            for id in range(100_000):
                journal.put("orders", id, b"x" * 500)
                done = asyncio.Event()
                journal.sync(done.set)
                await done.wait()
                print(id, flush=True)

        asyncio.run(main())
    """)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    confirmed = [int(child.stdout.readline()) for _ in range(after)]
    os.kill(child.pid, signal.SIGKILL)
    confirmed += [int(line) for line in child.stdout if line.endswith("\n")]
    child.wait()
    child.stdout.close()
    ids = [id for _, id, content, _ in contents(path)[3]]
    assert (
        ids[: len(confirmed)] == confirmed
    )  # one more may be there: written, and the process killed before it said so
    assert len(ids) <= len(confirmed) + 1
