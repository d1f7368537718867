"""Exercise 2: key stores in three ways, and mistakes."""

import json
import sqlite3
import threading
import uuid
from contextlib import closing

TABLE = """create table if not exists keys (customer text, key text, cents integer, at real, reference text,
    status integer, text text, primary key (customer, key))"""


class Payments:
    """A primary key lets one in. Whom nobody here works for was left by a dead process: the bank is asked."""

    def __init__(self, connect, bank, keep):
        self.connect, self.bank, self.keep, self.mine, self.lock = connect, bank, keep, set(), threading.Lock()
        with closing(connect()) as db, db:
            db.execute(TABLE)

    def pay(self, customer, key, cents, now):
        if not key:
            return 400, "which key?"
        name = self.name(customer, key)
        with closing(self.connect()) as db:
            with self.lock:  # for the moment of looking and writing only
                row = self.enter(db, name, cents, now)
                if row and row[0] != cents:
                    return 422, "another amount"
                if row and row[2] is not None:
                    return row[2], row[3]
                if name in self.mine:
                    return 409, "wait"
                self.mine.add(name)
            try:
                return self.charge(db, name, cents, row)
            finally:
                self.mine.discard(name)

    def name(self, customer, key):
        return customer, key

    def enter(self, db, name, cents, now):
        with db:
            self.forget(db, now)
            row = db.execute("select cents, reference, status, text from keys where customer = ? and key = ?", name)
            row = row.fetchone()
            if not row:
                new = (*name, cents, now, self.reference(*name))
                db.execute("insert into keys values (?, ?, ?, ?, ?, null, null)", new)
        return row

    def forget(self, db, now):
        db.execute("delete from keys where at <= ?", (now - self.keep,))

    def reference(self, customer, key):
        return uuid.uuid4().hex

    def charge(self, db, name, cents, row):
        ask = "select reference from keys where customer = ? and key = ?"
        reference = row[1] if row else db.execute(ask, name).fetchone()[0]
        answer = self.found(reference, row) or self.bank.charge(reference, cents)
        self.save(db, name, answer)
        return answer

    def found(self, reference, row):
        return self.bank.find(reference) if row else None

    def save(self, db, name, answer):
        with db:
            db.execute("update keys set status = ?, text = ? where customer = ? and key = ?", (*answer, *name))


class AtTheStart:
    """What a dead process left is settled when the next one starts; then the database alone decides. One connection
    for all threads."""

    def __init__(self, connect, bank, keep):
        self.db, self.bank, self.keep, self.lock = connect(), bank, keep, threading.RLock()
        self.db.isolation_level = None
        self.db.execute("create table if not exists paid (name text primary key, cents, at, reference, answer)")
        for name, reference in self.db.execute("select name, reference from paid where answer is null").fetchall():
            answer = bank.find(reference)
            if answer is None:
                self.db.execute("delete from paid where name = ?", [name])
            else:
                self.db.execute("update paid set answer = ? where name = ?", [json.dumps(answer), name])

    def pay(self, customer, key, cents, now):
        if key is None or key == "":
            return (400, "")
        name, reference = json.dumps([customer, key]), f"{uuid.uuid4()}"
        try:
            with self.lock:
                self.db.execute("delete from paid where at + ? <= ?", [self.keep, now])
                self.db.execute("insert into paid values (?, ?, ?, ?, null)", [name, cents, now, reference])
        except sqlite3.IntegrityError:
            with self.lock:
                was, answer = self.db.execute("select cents, answer from paid where name = ?", [name]).fetchone()
            return (422, "") if was != cents else tuple(json.loads(answer)) if answer else (409, "")
        answer = self.bank.charge(reference, cents)
        with self.lock:
            self.db.execute("update paid set answer = ? where name = ?", [json.dumps(answer), name])
        return answer


class Generations(Payments):
    """Each process has a name. A row that another one has begun is taken over, with one update that one of two wins."""

    def __init__(self, connect, bank, keep):
        super().__init__(connect, bank, keep)
        self.me = uuid.uuid4().hex
        with closing(connect()) as db, db:
            db.execute("create table if not exists owners (customer, key, at, me, primary key (customer, key))")

    def pay(self, customer, key, cents, now):
        if not key:
            return 400, "which key?"
        name = (customer, key)
        with closing(self.connect()) as db:
            db.execute("begin immediate")
            row = self.enter(db, name, cents, now)
            db.execute("begin immediate")
            db.execute("delete from owners where at <= ?", (now - self.keep,))
            mine = db.execute("insert or ignore into owners values (?, ?, ?, ?)", (*name, now, self.me)).rowcount
            take = "update owners set me = ? where customer = ? and key = ? and me <> ?"
            mine += db.execute(take, (self.me, *name, self.me)).rowcount
            db.commit()
            if row and row[0] != cents:
                return 422, "another amount"
            if row and row[2] is not None:
                return row[2], row[3]
            return self.charge(db, name, cents, row) if mine else (409, "wait")


# -- mistakes ------------------------------------------------------------------------------------------


class Dollars(Payments):
    def charge(self, db, name, cents, row):
        return super().charge(db, name, cents // 100, row)


class SavesNothing(Payments):
    def save(self, db, name, answer):
        with db:
            db.execute("delete from keys where customer = ? and key = ?", name)


class InMemory(Payments):
    """The answers are kept in a dict."""

    def __init__(self, *args):
        super().__init__(*args)
        self.saved = {}
        with closing(self.connect()) as db, db:
            db.execute("delete from keys where status is not null")


class OnlyGoodOnes(Payments):
    """A card that was declined may be tried again, it thinks."""

    def save(self, db, name, answer):
        if answer[0] == 200:
            super().save(db, name, answer)
        else:
            SavesNothing.save(self, db, name, answer)


class NoneOnly(Payments):
    def pay(self, customer, key, cents, now):
        return (400, "") if key is None else super().pay(customer, key or "empty", cents, now)


class AnyAmount(Payments):
    def enter(self, db, name, cents, now):
        row = super().enter(db, name, cents, now)
        return row and (cents, *row[1:])


class MoreIsAnother(Payments):
    """Less than before is taken for the same."""

    def enter(self, db, name, cents, now):
        row = super().enter(db, name, cents, now)
        return row and (min(cents, row[0]), *row[1:])


class KeyAlone(Payments):
    def name(self, customer, key):
        return "", key


class Glued(Payments):
    def name(self, customer, key):
        return "", f"{customer}:{key}"


class OneReference(Payments):
    """The key, as the bank's reference."""

    def reference(self, customer, key):
        return key


class SameNextTime(Payments):
    """Customer and key: the same, when the key comes again after its time."""

    def reference(self, customer, key):
        return json.dumps([customer, key])


class LooksFirst(AtTheStart):
    """Looks, and then writes."""

    insert = "insert or replace"

    def pay(self, customer, key, cents, now):
        name, reference = json.dumps([customer, key]), uuid.uuid4().hex
        self.db.execute("delete from paid where at + ? <= ?", [self.keep, now])
        if not key or self.db.execute("select 1 from paid where name = ?", [name]).fetchone():
            return super().pay(customer, key, cents, now)
        self.db.execute(f"{self.insert} into paid values (?, ?, ?, ?, null)", [name, cents, now, reference])
        answer = self.bank.charge(reference, cents)
        self.db.execute("update paid set answer = ? where name = ?", [json.dumps(answer), name])
        return answer


class LoserRaises(LooksFirst):
    """The second one's insert raises, if it had not seen the first."""

    insert = "insert"


class OneAtATime(Payments):
    """A lock for each key: the second one waits."""

    def __init__(self, *args):
        super().__init__(*args)
        self.locks = {}

    def pay(self, customer, key, cents, now):
        with self.locks.setdefault((customer, key), threading.Lock()):
            return super().pay(customer, key, cents, now)


class OneLock(Payments):
    """409 for the same key; all others wait for the bank."""

    def __init__(self, *args):
        super().__init__(*args)
        self.till = threading.Lock()

    def charge(self, *args):
        with self.till:
            return super().charge(*args)


class NeverAsks(Payments):
    def found(self, reference, row):
        return None


class ForEver(Payments):
    """What is outstanding is outstanding."""

    def pay(self, customer, key, cents, now):
        with closing(self.connect()) as db:
            row = db.execute("select status from keys where customer = ? and key = ? and at > ?", (
                customer, key, now - self.keep)).fetchone()  # fmt: skip
        return (409, "wait") if row and row[0] is None else super().pay(customer, key, cents, now)


class TakenOverTwice(Payments):
    """Whoever finds what a dead process left takes it over, without a word to the others."""

    def enter(self, db, name, cents, now):
        row = super().enter(db, name, cents, now)
        self.begun = {*getattr(self, "begun", ()), *([] if row else [name])}
        if name not in self.begun:
            self.mine.discard(name)
        return row


class HalfTheTime(Payments):
    def forget(self, db, now):
        db.execute("delete from keys where at <= ?", (now - self.keep / 2,))


class Prolongs(Payments):
    def enter(self, db, name, cents, now):
        row = super().enter(db, name, cents, now)
        with db:
            db.execute("update keys set at = ? where customer = ? and key = ?", (now, *name))
        return row


class OnlyItsOwn(Payments):
    """The same key is forgotten when it comes; nobody looks at the others."""

    def enter(self, db, name, cents, now):
        with db:
            db.execute("delete from keys where customer = ? and key = ? and at <= ?", (*name, now - self.keep))
        return super().enter(db, name, cents, now)

    def forget(self, db, now):
        pass


RIGHT = {
    "a row, and who is at work in memory": Payments,
    "settled at the start": AtTheStart,
    "rows that are taken over": Generations,
}
WRONG = {
    "dollars": (Dollars, {"wrong-answer"}),
    "saves nothing": (SavesNothing, {"not-replayed"}),
    "answers in memory": (InMemory, {"in-memory"}),
    "only good answers": (OnlyGoodOnes, {"declined-again"}),
    "an empty key is a key": (NoneOnly, {"no-key"}),
    "any amount": (AnyAmount, {"other-amount"}),
    "less is the same": (MoreIsAnother, {"other-amount"}),
    "the key alone": (KeyAlone, {"customers"}),
    "glued with a colon": (Glued, {"customers"}),
    "the key as the reference": (OneReference, {"references"}),
    "the same reference next time": (SameNextTime, {"references"}),
    "looks first": (LooksFirst, {"race"}),
    "the loser raises": (LoserRaises, {"pair-answer"}),
    "the second one waits": (OneAtATime, {"outstanding"}),
    "one lock for all": (OneLock, {"blocks-others"}),
    "never asks the bank": (NeverAsks, {"charged-twice"}),
    "outstanding for ever": (ForEver, {"stuck"}),
    "taken over twice": (TakenOverTwice, {"race-after-crash"}),
    "half the time": (HalfTheTime, {"too-soon"}),
    "repeats prolong it": (Prolongs, {"kept-on"}),
    "the others stay": (OnlyItsOwn, {"not-deleted"}),
}
