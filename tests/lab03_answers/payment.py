"""Exercise 2: consumers that charge once, and some that charge twice, or never."""

import hashlib
import sqlite3
import threading


class Right:
    """The id and the charge in one transaction. A mistake is a subclass that overrides one part."""

    def __init__(self, db):
        self.db = db
        self.prepare()

    def prepare(self):
        with self.db:
            self.db.execute("create table if not exists done (id text primary key)")

    def key(self, method, properties, body):
        return properties.message_id

    def is_known(self, key):
        return self.db.execute("select 1 from done where id = ?", [key]).fetchone() is not None

    def note(self, key):
        self.db.execute("insert into done values (?)", [key])

    def charge(self, body):
        customer, cents = body.decode().split()
        self.db.execute("insert into charges values (?, ?)", [customer, int(cents)])

    def work(self, key, body):
        with self.db:
            self.charge(body)
            self.note(key)

    def on_message(self, channel, method, properties, body):
        key = self.key(method, properties, body)
        if not self.is_known(key):
            self.work(key, body)
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


class NoKey(Right):
    def is_known(self, key):
        return False

    def note(self, key):
        pass


class AcksFirst(Right):
    def on_message(self, channel, method, properties, body):
        channel.basic_ack(method.delivery_tag)
        key = self.key(method, properties, body)
        if not self.is_known(key):
            self.work(key, body)


class ByBody(Right):
    def key(self, method, properties, body):
        return hashlib.sha256(body).hexdigest()


class ByTag(Right):
    def key(self, method, properties, body):
        return str(method.delivery_tag)


class ByRedelivered(NoKey):
    """Does what comes for the first time, and trusts that what comes again was done."""

    def on_message(self, channel, method, properties, body):
        if not method.redelivered:
            self.work(None, body)
        channel.basic_ack(method.delivery_tag)


class OnlyWhatComesAgain(Right):
    """Looks the id up only if the broker says that it comes again; the publisher that resends is not the broker."""

    def on_message(self, channel, method, properties, body):
        if method.redelivered and self.is_known(properties.message_id):
            return channel.basic_ack(method.delivery_tag)
        with self.db:
            self.charge(body)
            self.db.execute("insert or ignore into done values (?)", [properties.message_id])
        channel.basic_ack(method.delivery_tag)


class InMemory(Right):
    def prepare(self):
        self.done = set()

    def is_known(self, key):
        return key in self.done

    def note(self, key):
        self.done.add(key)


class InTheClass(InMemory):
    """One set for all objects: it outlives the process that is played, and the database that is new."""

    done = set()

    def prepare(self):
        pass


class CreatesTheTable(Right):
    """The second process finds it there."""

    def prepare(self):
        with self.db:
            self.db.execute("create table done (id text primary key)")


class NotedFirst(Right):
    def work(self, key, body):
        with self.db:
            self.note(key)
        with self.db:
            self.charge(body)


class NotedApart(Right):
    def work(self, key, body):
        with self.db:
            self.charge(body)
        with self.db:
            self.note(key)


class KnownIsNotAcked(Right):
    def on_message(self, channel, method, properties, body):
        key = self.key(method, properties, body)
        if not self.is_known(key):
            self.work(key, body)
            channel.basic_ack(method.delivery_tag)


class KnownIsRejected(Right):
    """Among the dead letters somebody will look at it, for nothing."""

    def on_message(self, channel, method, properties, body):
        if self.is_known(properties.message_id):
            return channel.basic_reject(method.delivery_tag, requeue=False)
        super().on_message(channel, method, properties, body)


class NeverAcks(Right):
    def on_message(self, channel, method, properties, body):
        key = self.key(method, properties, body)
        if not self.is_known(key):
            self.work(key, body)


class DiesOfIt(Right):
    """Leaves it to the primary key, and does not catch what it says."""

    def is_known(self, key):
        return False


class ForgetsWhatIsAcked(Right):
    """Keeps the table small: what is acknowledged will not come again, will it?"""

    def on_message(self, channel, method, properties, body):
        super().on_message(channel, method, properties, body)
        with self.db:
            self.db.execute("delete from done where id = ?", [properties.message_id])


class RemembersTheLatest(Right):
    """Keeps the table small: the latest ten will do."""

    def note(self, key):
        super().note(key)
        self.db.execute("delete from done where rowid <= (select max(rowid) from done) - 10")


class NotCommitted(Right):
    def work(self, key, body):
        self.charge(body)
        self.note(key)


RIGHT = {"looks it up": Right, "the key decides": TheKeyDecides, "a column": AColumn}
WRONG = {
    "no key": (NoKey, {"no-memory"}),
    "ack before work": (AcksFirst, {"acks-first"}),
    "by body": (ByBody, {"by-body"}),
    "by delivery tag": (ByTag, {"by-tag"}),
    "by redelivered": (ByRedelivered, {"no-memory"}),
    "only what comes again": (OnlyWhatComesAgain, {"no-memory"}),
    "in memory": (InMemory, {"in-memory"}),
    "in a class attribute": (InTheClass, {"remembers-outside"}),
    "a table that may be there already": (CreatesTheTable, {"exception"}),
    "noted before the work": (NotedFirst, {"noted-first"}),
    "noted apart from the work": (NotedApart, {"noted-apart"}),
    "a known one is not acknowledged": (KnownIsNotAcked, {"not-acked"}),
    "a known one is rejected": (KnownIsRejected, {"not-acked"}),
    "never acknowledges": (NeverAcks, {"not-acked"}),
    "dies of a known one": (DiesOfIt, {"dies"}),
    "forgets what is acknowledged": (ForgetsWhatIsAcked, {"no-memory"}),
    "remembers the latest only": (RemembersTheLatest, {"no-memory"}),
    "not committed": (NotCommitted, {"wrong-charge"}),
}
