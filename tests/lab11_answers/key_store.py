"""Exercise 2: key stores in three ways, and mistakes."""

import json
import sqlite3
import threading
import uuid
from contextlib import closing

from tests.lab11_answers import but

TABLE = """create table if not exists keys (customer text, key text, cents integer, at real, reference text,
    status integer, text text, primary key (customer, key))"""


class Payments:
    """Whom nobody here works for was left by a dead process: the bank is asked."""

    def __init__(self, connect, bank, keep):
        self.connect, self.bank, self.keep, self.mine, self.lock = connect, bank, keep, set(), threading.Lock()
        with closing(connect()) as db, db:
            db.execute(TABLE)

    def pay(self, customer, key, cents, now):
        if not key:
            return 400, "which key?"
        with closing(self.connect()) as db:
            name = (customer, key)
            with self.lock, db:  # for the moment of looking and writing only
                db.execute("delete from keys where at <= ?", (now - self.keep,))
                ask = "select cents, reference, status, text from keys where customer = ? and key = ?"
                row = db.execute(ask, name).fetchone()
                if row and row[0] != cents:
                    return 422, "another amount"
                if row and row[2]:
                    return row[2:]
                if name in self.mine:
                    return 409, "wait"
                self.mine.add(name)
                reference = row[1] if row else uuid.uuid4().hex
                if not row:
                    new = (*name, cents, now, reference)
                    db.execute("insert into keys values (?, ?, ?, ?, ?, null, null)", new)
            answer = (self.bank.find(reference) if row else None) or self.bank.charge(reference, cents)
            db.execute("update keys set status = ?, text = ? where customer = ? and key = ?", (*answer, *name))
            db.commit()
        self.mine.discard(name)
        return answer


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


class TakesOver:
    """Each process has a name. A row that another one has begun is taken over, by an update that one of two wins."""

    def __init__(self, connect, bank, keep):
        self.connect, self.bank, self.keep, self.me = connect, bank, keep, uuid.uuid4().hex
        db = connect()
        db.executescript("create table if not exists k (who, key, cents, at, ref, a, b, me, unique (who, key))")
        db.close()

    def pay(self, customer, key, cents, now):
        if not key:
            return 400, "?"
        with closing(self.connect()) as db:
            db.isolation_level = None
            db.execute("begin immediate")
            db.execute("delete from k where at < ?", [now - self.keep])
            new = [customer, key, cents, now, uuid.uuid4().hex, None, None, self.me]
            mine = db.execute("insert or ignore into k values (?, ?, ?, ?, ?, ?, ?, ?)", new).rowcount
            old = "update k set me = ? where who = ? and key = ? and cents = ? and me <> ? and a is null"
            left = db.execute(old, [self.me, customer, key, cents, self.me]).rowcount
            was, ref, a, b = db.execute("select cents, ref, a, b from k where who = ? and key = ?", new[:2]).fetchone()
            db.execute("commit")
            if was != cents or a or not mine + left:
                return (422, "!") if was != cents else (a, b) if a else (409, "...")
            answer = left and self.bank.find(ref) or self.bank.charge(ref, cents)
            db.execute("update k set a = ?, b = ? where who = ? and key = ?", [*answer, *new[:2]])
            return answer


class LooksFirst(AtTheStart):
    """Looks, and then writes."""

    def pay(self, customer, key, cents, now):
        name, reference = json.dumps([customer, key]), uuid.uuid4().hex
        self.db.execute("delete from paid where at + ? <= ?", [self.keep, now])
        if not key or self.db.execute("select 1 from paid where name = ?", [name]).fetchone():
            return super().pay(customer, key, cents, now)
        self.db.execute("insert or replace into paid values (?, ?, ?, ?, null)", [name, cents, now, reference])
        answer = self.bank.charge(reference, cents)
        self.db.execute("update paid set answer = ? where name = ?", [json.dumps(answer), name])
        return answer


class OneAtATime(Payments):
    """A lock for each key: the second one waits."""

    def pay(self, customer, key, cents, now):
        with self.__dict__.setdefault((customer, key), threading.Lock()):
            return super().pay(customer, key, cents, now)


class OneLock(Payments):
    """409 for the same key; all others wait for the bank."""

    def __init__(self, connect, bank, keep):
        super().__init__(connect, bank, keep)
        self.bank = self
        self.find, self.till, self.real = bank.find, threading.Lock(), bank

    def charge(self, reference, cents):
        with self.till:
            return self.real.charge(reference, cents)


NAME, REFERENCE, LEFT = "name = (customer, key)", "uuid.uuid4().hex", "if name in self.mine"
OLD = '"delete from keys where at <= ?", (now - self.keep,)'
OWN = '"delete from keys where customer = ? and key = ? and at <= ?", (*name, now - self.keep)'
DELETE = "db.execute('delete from keys where customer = ? and key = ?', name)"
PAID = "update keys set at = ? where customer = ? and key = ?"

RIGHT = {
    "a row, and who is at work in memory": Payments,
    "settled at the start": AtTheStart,
    "rows that are taken over": TakesOver,
}
WRONG = {
    "dollars": (["charge(reference, cents) => charge(reference, cents // 100)"], "wrong-answer"),
    "saves nothing": ([f"(*answer, *name)) => (*answer, *name)); {DELETE}"], "not-replayed"),
    "answers are gone": (["(TABLE) => (TABLE); db.execute('delete from keys where status')"], "in-memory"),
    "5xx is not final": ([f"(*answer, *name)) => (*answer, *name)); answer[0] < 500 or {DELETE}"], "not-replayed"),
    "an empty key is a key": (["if not key => if key is None"], "no-key"),
    "no key is a key": (["if not key => if key == ''"], "no-key"),
    "less is the same": (["row[0] != cents => row[0] < cents"], "other-amount"),
    "a blank key is none": (["if not key => if not (key and key.strip())"], "customers"),
    "whosever key it is": ([NAME + " => name = ('', key)"], "customers"),
    "glued with a colon": ([NAME + " => name = ('', f'{customer}:{key}')"], "customers"),
    "the key as the reference": ([f"{REFERENCE} => key"], "references"),
    "another amount after a death": (["row[0] != cents => row[0] != cents and (row[2] or name in self.mine)"],
                                     "other-amount"),
    "another amount while at work": (["row[0] != cents => row[0] != cents and name not in self.mine",
                                      "if name in self.mine => if row and row[0] == cents and name in self.mine"],
                                     "other-amount"),
    "the same reference next time": ([f"{REFERENCE} => json.dumps(name)"], "references"),
    "never asks the bank": (["if row else None) or => if False else None) or"], "after-crash"),
    "asks again what was declined": (
        [") or self.bank.charge => ) or None; answer = answer if answer and answer[0] == 200 else self.bank.charge"],
        "after-crash"),
    "outstanding for ever": ([f"{LEFT} => if row"], "after-crash"),
    "taken over twice": (["self.mine.add(name) => self.mine.update([] if row else [name])"], "race-after-crash"),
    "half the time": (["- self.keep => - self.keep / 2"], "too-soon"),
    "repeats prolong it": (
        [f"if row and row[2]: => if row and row[2] and db.execute('{PAID}', (now, *name)):"],
        "kept-on",
    ),
    "whoever takes over begins anew": (
        ["values (?, ?, ?, ?, ?, null, null)\", new) => values (?, ?, ?, ?, ?, null, null)\", new)\n"
         f"                else:\n                    db.execute('{PAID}', (now, *name))"], "kept-on"),
    "what has no answer stays": ([f"{OLD} => {OLD.replace('at <=', 'status and at <=')}"], "not-deleted"),
    "the others stay": ([f"{OLD} => {OWN}"], "not-deleted"),
}  # fmt: skip
WRONG = {name: (but(Payments, *changes), {code}) for name, (changes, code) in WRONG.items()}
WRONG |= {
    "looks first": (LooksFirst, {"race"}),
    "the loser raises": (but(LooksFirst, "insert or replace => insert"), {"race"}),
    "the second one waits": (OneAtATime, {"outstanding"}),
    "one lock for all": (OneLock, {"blocks-others"}),
}
