"""Exercise 2: consumers that charge once, and some that charge twice, or never."""

import sqlite3
import threading

from tests.lab11_answers import but


class Right:
    """The id and the charge in one transaction."""

    def __init__(self, db):
        self.db = db
        with self.db:
            self.db.execute("create table if not exists done (id text primary key)")

    def on_message(self, channel, method, properties, body):
        customer, cents = body.decode().split()
        known = self.db.execute("select 1 from done where id = ?", [properties.message_id]).fetchone()
        if not known:
            with self.db:
                self.db.execute("insert into charges values (?, ?)", [customer, int(cents)])
                self.db.execute("insert into done values (?)", [properties.message_id])
        channel.basic_ack(method.delivery_tag)


class TheKeyDecides:
    """The primary key refuses the second one; whoever comes first wins, from whichever process."""

    def __init__(self, db):
        self.db = db
        db.execute("create table if not exists seen (message text unique not null)")
        db.commit()

    def on_message(self, channel, method, properties, body):
        customer, _, cents = body.decode().partition(" ")
        cursor = self.db.cursor()
        try:
            cursor.execute("insert into seen (message) values (?)", (properties.message_id,))
            cursor.execute("insert into charges (customer, cents) values (?, ?)", (customer, cents))
            self.db.commit()
        except sqlite3.IntegrityError:
            self.db.rollback()
        channel.basic_ack(delivery_tag=method.delivery_tag)


class AColumn:
    """The id stands in the charge itself: one row, one statement."""

    def __init__(self, db):
        self.db, self.lock = db, threading.Lock()
        if "id" not in [row[1] for row in db.execute("pragma table_info(charges)")]:
            db.execute("alter table charges add column id text")
            db.execute("create unique index once on charges (id)")
            db.commit()

    def on_message(self, channel, method, properties, body):
        row = [*body.decode().split(), properties.message_id]
        with self.lock, self.db:
            self.db.execute("insert or ignore into charges (customer, cents, id) values (?, ?, ?)", row)
        channel.basic_ack(method.delivery_tag)


class InTheClass:
    """One set for all objects: it outlives the process that is played, and the database that is new."""

    done = set()

    def __init__(self, db):
        self.db = db

    def on_message(self, channel, method, properties, body):
        if properties.message_id not in self.done:
            with self.db:
                self.db.execute("insert into charges values (?, ?)", body.decode().split())
            self.done.add(properties.message_id)
        channel.basic_ack(method.delivery_tag)


ACK = "channel.basic_ack(method.delivery_tag)"
CHARGE = '                self.db.execute("insert into charges values (?, ?)", [customer, int(cents)])\n'
NOTE = '                self.db.execute("insert into done values (?)", [properties.message_id])\n'
LATEST = "                self.db.execute('delete from done where rowid < last_insert_rowid() - 9')\n"
AGAIN = "            with self.db:\n"
AcksFirst = but(Right, f"        {ACK}\n => ", f"        customer, cents =>         {ACK}\n        customer, cents")

RIGHT = {"looks it up": Right, "the key decides": TheKeyDecides, "a column": AColumn}
WRONG = {
    "no key": (but(Right, "not known => True", f"{NOTE} => "), {"no-memory"}),
    "ack before work": (AcksFirst, {"killed"}),
    "by body": (but(Right, "[properties.message_id] => [body]"), {"wrong-charge"}),
    "by delivery tag": (but(Right, "[properties.message_id] => [method.delivery_tag]"), {"not-new"}),
    "by redelivered": (but(Right, "not known => not method.redelivered", f"{NOTE} => "), {"no-memory"}),
    "only what comes again": (
        but(Right, "not known => not (method.redelivered and known)", "insert into done => insert or ignore into done"),
        {"no-memory"},
    ),
    "in memory": (but(InTheClass, "self.db = db => self.db, self.done = db, set()"), {"in-memory"}),
    "in a class attribute": (InTheClass, {"not-new"}),
    "a table that may be there already": (but(Right, "if not exists  => "), {"exception"}),
    "noted before the work": (but(Right, f"{CHARGE}{NOTE} => {NOTE}{AGAIN}{CHARGE}"), {"killed"}),
    "noted apart from the work": (but(Right, f"{CHARGE}{NOTE} => {CHARGE}{AGAIN}{NOTE}"), {"killed"}),
    "a known one is not acknowledged": (but(Right, f"        {ACK} =>             {ACK}"), {"not-acked"}),
    "a known one is rejected": (
        but(
            Right,
            f"        {ACK} =>         (channel.basic_reject if known else channel.basic_ack)(method.delivery_tag)",
        ),
        {"not-acked"},
    ),
    "what comes again is not acknowledged": (
        but(Right, f"        {ACK} =>         if not method.redelivered:\n            {ACK}"),
        {"not-acked"},
    ),
    "never acknowledges": (but(Right, f"        {ACK}\n => "), {"not-acked"}),
    "dies of a known one": (but(Right, "not known => True"), {"not-acked"}),
    "forgets what is acknowledged": (
        but(Right, f"{ACK}\n => {ACK}\n        with self.db:\n            self.db.execute('delete from done')\n"),
        {"no-memory"},
    ),
    "remembers the latest only": (
        but(
            Right,
            f"{NOTE} => {NOTE}{LATEST}",
        ),
        {"no-memory"},
    ),
    "not committed": (but(Right, "            with self.db:\n =>             if True:\n"), {"wrong-charge"}),
}
