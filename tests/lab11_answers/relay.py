"""Exercise 3: relays in three ways, and mistakes."""

from itertools import groupby

from tests.lab11_answers import but

LAST = "(select coalesce(max(id), 0) from outbox where sent)"


class Relay:
    """What is not marked is still to go; who has failed is left out for this time."""

    def __init__(self, db, publish):
        self.db, self.publish = db, publish

    def poll(self):
        failed = set()
        rows = self.db.execute("select id, customer, text from outbox where not sent order by id").fetchall()
        for id, customer, text in rows:
            if customer in failed:
                continue
            try:
                self.publish(id, customer, text)
            except ConnectionError:
                failed.add(customer)
                continue
            self.db.execute("update outbox set sent = 1 where id = ?", (id,))
            self.db.commit()


class Deletes(Relay):
    """What is out is deleted."""

    def poll(self):
        rows = self.db.execute("select id, customer, text from outbox order by customer, id").fetchall()
        for _, mine in groupby(rows, key=lambda row: row[1]):
            try:
                for row in mine:
                    self.publish(*row)
                    self.db.execute("delete from outbox where id = ?", [row[0]])
                    self.db.commit()
            except ConnectionError:
                continue


class OwnTable(Relay):
    """A table of its own, and one mark for a whole poll."""

    def __init__(self, db, publish):
        super().__init__(db, publish)
        db.executescript("create table if not exists out (id integer primary key)")

    def poll(self):
        missing = "select id, customer, text from outbox left join out using (id) where out.id is null order by id"
        done, failed = [], set()
        for id, customer, text in self.db.execute(missing).fetchall():
            try:
                if customer not in failed:
                    self.publish(id, customer, text)
                    done.append((id,))
            except OSError:
                failed.add(customer)
        with self.db:
            self.db.executemany("insert into out values (?)", done)


class WaitsForGaps(Relay):
    """Up to the first id that is missing."""

    def poll(self):
        ids = [id for (id,) in self.db.execute("select id from outbox order by id")]
        if all(id == ids[0] + place for place, id in enumerate(ids)):
            super().poll()


class RemembersGaps(Relay):
    """The ids that it missed are kept in memory; otherwise what is above the last."""

    def __init__(self, db, publish):
        super().__init__(db, publish)
        (self.last,) = db.execute(f"select {LAST}").fetchone()
        self.gaps = set()

    def poll(self):
        for row in self.db.execute("select id, customer, text from outbox where not sent order by id").fetchall():
            if row[0] > self.last or row[0] in self.gaps:
                self.gaps |= set(range(self.last + 1, row[0]))
                self.last = max(self.last, row[0])
                self.publish(*row)
                self.db.execute("update outbox set sent = 1 where id = ?", row[:1])
                self.db.commit()


MARK = 'self.db.execute("update outbox set sent = 1 where id = ?", (id,))'
UNMARK = MARK.replace("1", "0")
ALL = "self.db.execute('update outbox set sent = 1 where customer = ?', row[1:2])"
TRY, FAIL = "            try:\n", "failed.add(customer)"

RIGHT = {
    "marked one by one": Relay,
    "deleted, customer by customer": Deletes,
    "a table of its own": OwnTable,
}
WRONG = {
    "a hundred a poll": ([".fetchall() => .fetchmany(100)"], "not-sent"),
    "strips": (["customer, text)\n => customer, text.strip())\n"], "not-sent"),
    "never marks": (["sent = 1 => sent = 0"], "again"),
    "marks are gone": (
        ["= db, publish => = db, publish; db.execute('update outbox set sent = 0'); db.commit()"], "again-later"),
    "above the last id": ([f"where not sent => where id > {LAST}"], "skipped"),
    "a hundred back": ([f"where not sent => where not sent and id > {LAST} - 100"], "skipped-late"),
    "by the text": (["order by id => order by text, id"], "order"),
    "raises": ([f"{FAIL} => raise"], "poll-raises"),
    "stops at the first": ([f"{FAIL}\n                continue => return"], "holds-up"),
    "goes on": ([f"{FAIL} => pass"], "overtakes"),
    "one row waits": (["if customer in failed => if customer in failed and not failed.remove(customer)"], "overtakes"),
    "waits for ever": (["failed = set() => failed = self.__dict__.setdefault('failed', set())"], "marked-first"),
    "marks all at the end": ([f"{MARK}\n            self.db.commit() => pass\n        "
                              f"[{ALL} for row in rows if row[1] not in failed]; self.db.commit()"], "skipped"),
    "marks what was not confirmed": ([f"{FAIL}\n                continue => {FAIL}"], "overtakes"),
    "marks first": ([f"{TRY} => {' ' * 12}{MARK}; self.db.commit()\n{TRY}",
                     f"{FAIL} => {FAIL}; {UNMARK}; self.db.commit()"], "lost"),
}  # fmt: skip
WRONG = {name: (but(Relay, *changes), {code}) for name, (changes, code) in WRONG.items()}
WRONG |= {"waits for gaps": (WaitsForGaps, {"waits"}), "gaps in memory": (RemembersGaps, {"skipped-late"})}
