"""Exercise 3: relays in three ways, and mistakes."""

from itertools import groupby


class Relay:
    """What is not marked is still to go; who has failed is left out for this time."""

    rest = "select id, customer, text from outbox where not sent order by id"

    def __init__(self, db, publish):
        self.db, self.publish, self.failed = db, publish, set()

    def rows(self):
        return self.db.execute(self.rest).fetchall()

    def poll(self):
        self.failed = set()
        for row in self.rows():
            if row[1] not in self.failed:
                self.send(row)

    def send(self, row):
        try:
            self.publish(*row)
        except ConnectionError:
            self.failed.add(row[1])
        else:
            self.mark(row[0])

    def mark(self, id):
        with self.db:
            self.db.execute("update outbox set sent = 1 where id = ?", (id,))


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
            if customer in failed:
                continue
            try:
                self.publish(id, customer, text)
                done.append((id,))
            except OSError:
                failed.add(customer)
        with self.db:
            self.db.executemany("insert into out values (?)", done)


# -- mistakes ------------------------------------------------------------------------------------------


class TenAPoll(Relay):
    def rows(self):
        return super().rows()[:3]


class Loud(Relay):
    def send(self, row):
        super().send((row[0], row[1], row[2] or "empty"))


class NeverMarks(Relay):
    def mark(self, id):
        pass


class InMemory(Relay):
    def __init__(self, *args):
        super().__init__(*args)
        self.out = set()

    def rows(self):
        return [row for row in super().rows() if row[0] not in self.out]

    def mark(self, id):
        self.out.add(id)


class LastId(Relay):
    """The stub, with everything else in order: what is above the largest id that is out."""

    def rows(self):
        (last,) = self.db.execute("select coalesce(max(id), 0) from outbox where sent").fetchone()
        return [row for row in super().rows() if self.failed or row[0] > last]


class WaitsForGaps(Relay):
    def rows(self):
        ids = [id for (id,) in self.db.execute("select id from outbox order by id")]
        full = next((place for place, id in enumerate(ids) if id != ids[0] + place), len(ids))
        return [row for row in super().rows() if row[0] in ids[:full]]


class LooksBack(Relay):
    """A hundred ids back."""

    def rows(self):
        (last,) = self.db.execute("select coalesce(max(id), 0) from outbox where sent").fetchone()
        return [row for row in super().rows() if row[0] > last - 100]


class RemembersGaps(Relay):
    """The ids that it missed are kept in memory; otherwise what is above the last."""

    def __init__(self, *args):
        super().__init__(*args)
        (self.last,) = self.db.execute("select coalesce(max(id), 0) from outbox where sent").fetchone()
        self.gaps = set()

    def rows(self):
        rows = [row for row in super().rows() if row[0] > self.last or row[0] in self.gaps]
        for id, *_ in rows:
            self.gaps |= set(range(self.last + 1, id))
            self.last = max(self.last, id)
            self.gaps.add(id)
        return rows


class AsCommitted(Relay):
    """By the text."""

    rest = "select id, customer, text from outbox where not sent order by text, id"


class Raises(Relay):
    def send(self, row):
        self.publish(*row)
        self.mark(row[0])


class Stops(Relay):
    """One has failed: the poll is over."""

    def poll(self):
        self.failed = set()
        for row in self.rows():
            if not self.failed:
                self.send(row)


class GoesOn(Relay):
    """One has failed: the next one, please."""

    def send(self, row):
        super().send(row)
        self.failed.clear()


class MarksAll(Relay):
    """Confirmed or not."""

    def send(self, row):
        super().send(row)
        self.mark(row[0])


class MarksFirst(Relay):
    """And takes the mark back when publish raises."""

    def send(self, row):
        self.mark(row[0])
        try:
            self.publish(*row)
        except ConnectionError:
            self.failed.add(row[1])
            with self.db:
                self.db.execute("update outbox set sent = 0 where id = ?", (row[0],))


RIGHT = {
    "marked one by one": Relay,
    "deleted, customer by customer": Deletes,
    "a table of its own": OwnTable,
}
WRONG = {
    "three a poll": (TenAPoll, {"not-sent"}),
    "no empty texts": (Loud, {"not-sent"}),
    "never marks": (NeverMarks, {"again"}),
    "marks in memory": (InMemory, {"again-later"}),
    "above the last id": (LastId, {"skipped"}),
    "waits for gaps": (WaitsForGaps, {"waits"}),
    "a hundred back": (LooksBack, {"skipped-late"}),
    "gaps in memory": (RemembersGaps, {"skipped-late"}),
    "by the text": (AsCommitted, {"order"}),
    "raises": (Raises, {"poll-raises"}),
    "stops at the first": (Stops, {"holds-up"}),
    "goes on": (GoesOn, {"overtakes"}),
    "marks what was not confirmed": (MarksAll, {"marked-first"}),
    "marks first": (MarksFirst, {"lost"}),
}
