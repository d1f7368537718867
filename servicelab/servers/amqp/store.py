"""Durable exchanges, queues, bindings and persistent messages in one SQLite file.

The rules of this file:

- *A confirm means it is on disk.* The broker confirms what it publishes in the callback of :meth:`SQLiteJournal.sync`,
  and that runs after a COMMIT with ``synchronous=FULL``: SQLite has called ``fsync`` on its log by then. With the
  default of a write-ahead log, NORMAL, a commit survives a killed process but not a power cut, and a confirm would
  promise too much.
- *Messages do not wait for each other.* The event loop only notes them; one thread writes them down, all that came
  together in one transaction (group commit), so that a thousand confirms cost one ``fsync``.
- *What belongs together is in one transaction*: a dead letter and the end of its original, what Tx.Commit commits. A
  crash leaves a message that moves between two queues in one of them.
- *What is declared is on disk at once.* Exchanges, queues and bindings are few: the loop waits for them (some ms), and
  Declare-Ok can be believed as a confirm can.
- *What nobody waits for is written late.* A message without a confirm and an acknowledgement wait up to ``IDLE`` for
  company. What is written is always a beginning of all that happened, in the order in which it happened: a confirm
  takes everything before it along, and a crash forgets only an end.
- *What cancels out is not written.* A message that is settled before it was written never touches the disk.
- *A file has one broker.* It is locked from the first moment on. One that is in use, of a newer version or not ours at
  all is refused before anything in it is changed.
- *When the disk fails, nothing is confirmed any more.* The batch is rolled back, its callbacks are never called,
  and :attr:`SQLiteJournal.failed` is told why, once. The broker then ends as in a crash: publishers see a cut
  connection and know that what was not confirmed may be lost.
"""

import asyncio
import contextlib
import json
import sqlite3
import threading
import time

from servicelab.servers.amqp.journal import Snapshot

#: "SLmq": marks a SQLite file as ours (https://www.sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x534C6D71
VERSION = 2
#: Bytes that may wait to be written. Beyond it the event loop waits for the disk, and with it whoever publishes.
PENDING_LIMIT = 16 * 2**20
#: Seconds after which a change is written although nobody asked for it by ``sync``: RabbitMQ 3.10's classic queues
#: write with the same delay (SYNC_INTERVAL in rabbit_amqqueue_process; seen in tests/test_amqp_functional_restart.py).
IDLE = 0.2
#: Pages of 4 kB, beyond which SQLite puts its log into the file and writes over it from the beginning: fsync takes half
#: as long for a log that does not grow. SQLite's own 1 000 would let the first thousand confirms wait for that.
LOG_PAGES = 128
#: What a change that is no message counts against PENDING_LIMIT, in bytes.
SMALL = 200
#: Rows in one statement. Each statement lets go of Python's interpreter lock once, and has to win it back.
CHUNKS = (256, 32, 4, 1)

SCHEMA = """
CREATE TABLE exchange (name TEXT PRIMARY KEY, spec TEXT NOT NULL);
CREATE TABLE queue (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL);
CREATE TABLE binding (spec TEXT PRIMARY KEY);
CREATE TABLE message (place INTEGER PRIMARY KEY, deliveries INTEGER NOT NULL, content BLOB NOT NULL);
CREATE TABLE orderly (at REAL NOT NULL);
"""
#: The changes that make a file of this version one of the next.
NEWER = {1: "CREATE TABLE orderly (at REAL NOT NULL)"}
#: A message's place is its queue's number and its id in one integer: one B-tree instead of a table and an index.
ID_BITS = 40


class StoreError(RuntimeError):
    """The file cannot be used, or can no longer be written; the text says which and what to do."""


class SQLiteJournal:
    """What the broker ``name`` must not forget, in the file ``path``, which is created when it is missing.

    The methods are called in the thread of the broker's event loop; those of
    :class:`~servicelab.servers.amqp.journal.Journal` are described there. ``failed`` may be set to a function: it is
    called in the writer's thread with a :class:`StoreError` when the file can no longer be written.

    Raises :class:`StoreError` when the file is in use, is of a newer version, is no journal of this broker, or cannot
    be opened. Such a file is left as it was.
    """

    def __init__(self, path, name="broker"):
        self.path = str(path)
        self.failed = None
        self.error: StoreError | None = None
        self._db = _open(self.path)
        try:
            self._numbers = {name: number for number, name in self._db.execute("SELECT number, name FROM queue")}
            self._orderly = self._db.execute("DELETE FROM orderly").rowcount > 0  # the next end may be a crash
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(f"{self.path} {_reason(error)}") from error
        self._next_number = max(self._numbers.values(), default=0) + 1
        self._changed = threading.Condition()
        self._batch = _Batch()
        self._closing = False
        self._together = 0
        self._reading = None  # the cursor of what is being loaded
        self._thread = threading.Thread(target=self._write, name=f"servicelab {name} journal", daemon=True)
        self._thread.start()

    # -- what changed -------------------------------------------------------------------------

    def declare_exchange(self, name, spec):
        self._do(("INSERT OR REPLACE INTO exchange VALUES (?, ?)", (name, _text(spec))))

    def delete_exchange(self, name):
        self._do(("DELETE FROM exchange WHERE name = ?", (name,)))

    def declare_queue(self, name, spec):
        if name not in self._numbers:
            self._numbers[name] = self._next_number
            self._next_number += 1
        self._do(("INSERT OR REPLACE INTO queue VALUES (?, ?, ?)", (self._numbers[name], name, _text(spec))))

    def delete_queue(self, name):
        number = self._numbers.pop(name, None)
        if number is not None:
            first, last = number << ID_BITS, (number + 1 << ID_BITS) - 1
            self._do(
                ("DELETE FROM queue WHERE number = ?", (number,)),
                ("DELETE FROM message WHERE place BETWEEN ? AND ?", (first, last)),
            )

    def bind(self, spec):
        self._do(("INSERT OR IGNORE INTO binding VALUES (?)", (_text(spec),)))

    def unbind(self, spec):
        self._do(("DELETE FROM binding WHERE spec = ?", (_text(spec),)))

    def put(self, queue, id, message):
        with self._changed:
            self._wait_for_room()
            self._note(len(message) + SMALL).puts[self._place(queue, id)] = message

    def settle(self, queue, id):
        if queue not in self._numbers:
            return  # deleted, and its messages with it
        with self._changed:
            place = self._place(queue, id)
            batch = self._note(SMALL)
            message = batch.puts.pop(place, None)
            if message is None:
                batch.settled.append(place)
            else:
                batch.size -= len(message) + 2 * SMALL

    def requeued(self, queue, id, delivery_count):
        if queue not in self._numbers:
            return
        with self._changed:
            self._note(SMALL).deliveries[self._place(queue, id)] = delivery_count

    @contextlib.contextmanager
    def together(self):
        with self._changed:  # the writer takes no batch meanwhile
            if not self._together:
                self._wait_for_room()
            self._together += 1
            try:
                yield
            finally:
                self._together -= 1

    def sync(self, done):
        loop = asyncio.get_running_loop()
        with self._changed:
            self._batch.done.append((loop, done))
            self._changed.notify()

    # -- the beginning and the end ------------------------------------------------------------

    def load(self) -> Snapshot:
        """What is on disk. ``messages`` is an iterator, queue by queue and in order of id; read it at once."""
        read = self._db.execute
        names = {number: name for name, number in self._numbers.items()}
        self._reading = read("SELECT * FROM message ORDER BY place")
        return Snapshot(
            exchanges={name: json.loads(spec) for name, spec in read("SELECT name, spec FROM exchange")},
            queues={name: json.loads(spec) for name, spec in read("SELECT name, spec FROM queue ORDER BY number")},
            bindings=[json.loads(spec) for (spec,) in read("SELECT spec FROM binding ORDER BY rowid")],
            messages=(
                (names[place >> ID_BITS], place & (1 << ID_BITS) - 1, content, deliveries)
                for place, deliveries, content in self._reading
            ),
            orderly=self._orderly,
        )

    def close(self, orderly=False):
        """Write down what is left, call back who waits, and let the file go. ``orderly``: nothing is missing."""
        self._end(_Batch.close_orderly if orderly else _Batch.close)

    def abandon(self):
        """Let the file go as a killed process would: what is not on disk by now never will be."""
        self._end(_Batch.clear)

    def _end(self, what):
        with self._changed:
            what(self._batch)
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._reading is not None:
            self._reading.close()  # one that was left in the middle would keep the file, and its lock, open
            self._reading = None
        self._db.close()

    # -- in the event loop's thread -----------------------------------------------------------

    def _do(self, *statements):
        with self._changed:
            batch = self._note(SMALL)
            batch.statements += statements
            self._changed.notify()
            self._changed.wait_for(lambda: batch.is_written or self._closing)
            if self.error is not None:
                raise self.error  # else its Declare-Ok would go out before the broker has ended

    def _note(self, size):
        batch = self._batch
        if not batch.size:
            self._changed.notify()
        batch.size += size
        return batch

    def _wait_for_room(self):
        if self._together:
            return
        while self._batch.size > PENDING_LIMIT and self.error is None and not self._closing:
            self._changed.notify()
            self._changed.wait(1.0)

    def _place(self, queue, id):
        return self._numbers[queue] << ID_BITS | id

    # -- in the writer's thread ---------------------------------------------------------------

    def _write(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._batch.size or self._batch.done or self._closing)
                # Nobody waits for it: let more come together first.
                self._changed.wait_for(self._is_urgent, IDLE)
                batch, self._batch = self._batch, _Batch()
                self._changed.notify_all()
                if self._closing and not batch.size and not batch.done:
                    return
            try:
                self._commit(batch)
            except Exception as error:  # sqlite3.Error, MemoryError: whatever it was, it is not on disk
                self._fail(error)
                return
            with self._changed:
                batch.is_written = True
                self._changed.notify_all()
            batch.answer()

    def _is_urgent(self):
        batch = self._batch
        return batch.done or batch.statements or self._closing or batch.size > PENDING_LIMIT // 2

    def _commit(self, batch):
        if not batch.size:
            return
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        _many(db, "INSERT OR REPLACE INTO message VALUES ", "(?, 0, ?)", batch.puts.items())
        for place, count in batch.deliveries.items():
            db.execute("UPDATE message SET deliveries = ? WHERE place = ?", (count, place))
        _many(db, "DELETE FROM message WHERE place IN (", "?", [(place,) for place in batch.settled], ")")
        for statement, values in batch.statements:
            db.execute(statement, values)
        db.execute("COMMIT")

    def _fail(self, error):
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        with self._changed:
            self.error = StoreError(
                f"{self.path} can no longer be written: {error}. Nothing was confirmed that is not in it: "
                "make room on the disk and start the broker again."
            )
            self._batch = _Batch()
            self._closing = True
            self._changed.notify_all()
        if self.failed is not None:
            self.failed(self.error)


class _Batch:
    """What goes into one transaction, in this order; its size in bytes; and whom to call when it is on disk."""

    def __init__(self):
        self.puts: dict[int, bytes] = {}
        self.deliveries: dict[int, int] = {}
        self.settled: list[int] = []
        self.statements: list[tuple[str, tuple]] = []
        self.done = []
        self.size = 0
        self.is_written = False

    def close(self):
        pass

    def close_orderly(self):
        self.statements.append(("INSERT INTO orderly VALUES (?)", (time.time(),)))
        self.size += SMALL

    def clear(self):
        self.__init__()

    def answer(self):
        for loop, done in self.done:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done)


def _many(db, before, row, rows, after=""):
    """One statement for many rows, in chunks of a few sizes so that SQLite's compiled statements are used again."""
    rows = list(rows)
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            values = [value for row_values in rows[start : start + size] for value in row_values]
            db.execute(before + ", ".join([row] * size) + after, values)
            start += size


def _open(path):
    try:
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} cannot be opened: {error}. Its folder must exist and be yours to write to."
        ) from error
    try:
        # On a Mac, fsync leaves it in the drive's own memory; everywhere else this changes nothing.
        db.execute("PRAGMA fullfsync = ON")
        db.execute("PRAGMA checkpoint_fullfsync = ON")
        # Before anything is read: the lock then stays until the file is closed, and a killed process cannot keep it.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN IMMEDIATE")
        [application] = db.execute("PRAGMA application_id").fetchone()
        [version] = db.execute("PRAGMA user_version").fetchone()
        [tables] = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application == 0 and version == 0 and tables == 0:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            raise StoreError(f"{path} is a SQLite file, but not a broker's: name another file")
        elif version in NEWER:
            db.execute(NEWER[version])
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise StoreError(
                f"{path} has version {version}, this broker knows {VERSION}: use a newer servicelab for it"
            )
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    except sqlite3.Error as error:
        db.close()
        raise StoreError(f"{path} {_reason(error)}") from error
    except StoreError:
        db.close()
        raise
    return db


def _reason(error):
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is in use by another broker: stop that one, or name another file"
    if code == sqlite3.SQLITE_NOTADB:
        return "is no SQLite file: name another file"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"cannot be written: {error}"
    return f"cannot be used: {error}"


def _text(spec) -> str:
    return json.dumps(spec, sort_keys=True)  # equal specs are equal texts
