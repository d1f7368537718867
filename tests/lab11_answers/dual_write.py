"""Exercise 1: an outbox and an inbox in three ways each, and mistakes."""

import json

OUTBOX = "create table if not exists outbox (n integer primary key, id text, item text, sent integer default 0)"


class Orders:
    """An outbox in the transaction of the order; what is out is marked."""

    def __init__(self, db, publish):
        self.db, self.publish = db, publish
        with db:
            db.execute(OUTBOX)

    def place(self, order, item):
        with self.db:
            self.db.execute("insert into orders values (?, ?)", (order, item))
            self.db.execute("insert into outbox (id, item) values (?, ?)", (order, item))

    def waiting(self):
        return self.db.execute("select n, id, item from outbox where not sent order by n").fetchall()

    def relay(self):
        for n, order, item in self.waiting():
            self.publish(order, item)
            self.mark(n)

    def mark(self, n):
        with self.db:
            self.db.execute("update outbox set sent = 1 where n = ?", (n,))


class Eager(Orders):
    """It tries at once, and what fails is left to the relay. What is out is deleted."""

    def place(self, order, item):
        super().place(order, item)
        try:
            self.relay()
        except OSError:
            pass

    def mark(self, n):
        self.db.execute("delete from outbox where n = ?", [n])
        self.db.commit()


class ByOrders:
    """No outbox: the orders that are out have a row of their own. By hand, without transactions of Python's."""

    def __init__(self, db, publish):
        db.isolation_level = None
        db.execute("create table if not exists out (message text primary key)")
        self.db, self.publish = db, publish

    def place(self, *order):
        self.db.cursor().execute("insert into orders values (?, ?)", order)

    def relay(self):
        for order in self.db.execute("select id, item from orders").fetchall():
            if not self.db.execute("select 1 from out where message = ?", [json.dumps(order)]).fetchone():
                try:
                    self.publish(*order)
                except ConnectionError:
                    return
                self.db.execute("insert or replace into out values (?)", [json.dumps(order)])


class Shipping:
    """An inbox whose key decides, in the transaction of the effect."""

    def __init__(self, db):
        self.db = db
        with db:
            db.execute("create table if not exists inbox (id text primary key)")

    def on_message(self, order, item):
        with self.db:
            if self.db.execute("insert or ignore into inbox values (?)", (order,)).rowcount:
                self.take(item)

    def take(self, item):
        self.db.execute("update stock set left = left - 1 where item = ?", (item,))


class Looks(Shipping):
    """It looks, and writes the effect first."""

    def on_message(self, order, item):
        known = self.db.execute("select count(*) from inbox where id = ?", (order,)).fetchone()[0]
        if not known:
            self.take(item)
            self.db.execute("insert into inbox values (?)", (order,))
            self.db.commit()


class Catches(Shipping):
    """The second insert raises, and is rolled back."""

    def on_message(self, order, item):
        try:
            self.db.execute("begin immediate")
            self.take(item)
            self.db.execute("insert into inbox values (?)", (order,))
            self.db.execute("commit")
        except Exception:
            self.db.rollback()


# -- mistakes ------------------------------------------------------------------------------------------


class NeverCommits(Orders):
    def place(self, order, item):
        self.db.execute("insert into orders values (?, ?)", (order, item))
        self.db.execute("insert into outbox (id, item) values (?, ?)", (order, item))


class FirstOnly(Orders):
    def waiting(self):
        return super().waiting()[:1]


class ItemFirst(Orders):
    def relay(self):
        for n, order, item in self.waiting():
            self.publish(item, order)
            self.mark(n)


class NeverMarks(Orders):
    def mark(self, n):
        pass


class MarksInMemory(Orders):
    def __init__(self, *args):
        super().__init__(*args)
        self.out = set()

    def waiting(self):
        return [row for row in super().waiting() if row[0] not in self.out]

    def mark(self, n):
        self.out.add(n)


class Waits(Eager):
    """The broker's error goes to the customer."""

    def place(self, order, item):
        Orders.place(self, order, item)
        self.relay()


class RollsBack(Orders):
    """No broker, no order."""

    def place(self, order, item):
        with self.db:
            self.db.execute("insert into orders values (?, ?)", (order, item))
            self.publish(order, item)

    def relay(self):
        pass


class PublishesInTheTransaction(Orders):
    """Between the insert and the commit it tries to publish."""

    def place(self, order, item):
        with self.db:
            self.db.execute("insert into orders values (?, ?)", (order, item))
            try:
                self.publish(order, item)
            except ConnectionError:
                self.db.execute("insert into outbox (id, item) values (?, ?)", (order, item))


class TwoCommits(Orders):
    def place(self, order, item):
        with self.db:
            self.db.execute("insert into orders values (?, ?)", (order, item))
        with self.db:
            self.db.execute("insert into outbox (id, item) values (?, ?)", (order, item))


class DualWrite(Orders):
    """The stub: saved, and then published; now with an error that is swallowed."""

    def place(self, order, item):
        with self.db:
            self.db.execute("insert into orders values (?, ?)", (order, item))
        try:
            self.publish(order, item)
        except ConnectionError:
            with self.db:
                self.db.execute("insert into outbox (id, item) values (?, ?)", (order, item))


class Swallows(Orders):
    """Whatever publish raises, it counts as out."""

    def relay(self):
        for n, order, item in self.waiting():
            try:
                self.publish(order, item)
            except ConnectionError:
                pass
            self.mark(n)


class MarksFirst(Orders):
    """And takes the mark back when publish raises."""

    def relay(self):
        for n, order, item in self.waiting():
            self.mark(n)
            try:
                self.publish(order, item)
            except ConnectionError:
                with self.db:
                    self.db.execute("update outbox set sent = 0 where n = ?", (n,))


class ByItem(Shipping):
    def on_message(self, order, item):
        super().on_message(item, item)


class TakesAgain(Shipping):
    def on_message(self, order, item):
        with self.db:
            self.take(item)


class InMemory(Shipping):
    def __init__(self, db):
        super().__init__(db)
        self.known = set()

    def on_message(self, order, item):
        if order not in self.known:
            with self.db:
                self.take(item)
            self.known.add(order)


class Raises(Shipping):
    def on_message(self, order, item):
        with self.db:
            self.db.execute("insert into inbox values (?)", (order,))
            self.take(item)


class NotesFirst(Shipping):
    def on_message(self, order, item):
        with self.db:
            new = self.db.execute("insert or ignore into inbox values (?)", (order,)).rowcount
        with self.db:
            if new:
                self.take(item)


class NotesApart(Shipping):
    def on_message(self, order, item):
        if not self.db.execute("select 1 from inbox where id = ?", (order,)).fetchone():
            with self.db:
                self.take(item)
            with self.db:
                self.db.execute("insert into inbox values (?)", (order,))


RIGHT = {
    "an outbox that is marked, an inbox whose key decides": (Orders, Shipping),
    "eager, and an inbox that is looked at": (Eager, Looks),
    "orders that are out, and an insert that raises": (ByOrders, Catches),
}
WRONG = {
    "never commits": (NeverCommits, {"not-saved"}),
    "one a call": (FirstOnly, {"not-sent"}),
    "item and order": (ItemFirst, {"not-sent"}),
    "never marks": (NeverMarks, {"again"}),
    "marks in memory": (MarksInMemory, {"again-later"}),
    "the customer hears of the broker": (Waits, {"needs-broker"}),
    "no broker, no order": (RollsBack, {"needs-broker"}),
    "published in the transaction": (PublishesInTheTransaction, {"ghost"}),
    "two commits": (TwoCommits, {"lost"}),
    "dual write": (DualWrite, {"lost"}),
    "swallows the error": (Swallows, {"lost-when-down"}),
    "marks first": (MarksFirst, {"lost-in-relay"}),
}
WRONG = {name: ((answer, Shipping), codes) for name, (answer, codes) in WRONG.items()} | {
    "by item": ((Orders, ByItem), {"not-taken"}),
    "takes again": ((Orders, TakesAgain), {"no-memory"}),
    "known in memory": ((Orders, InMemory), {"in-memory"}),
    "the second insert raises": ((Orders, Raises), {"repeat-raises"}),
    "noted in a transaction before": ((Orders, NotesFirst), {"noted-first"}),
    "noted in a transaction after": ((Orders, NotesApart), {"noted-apart"}),
}
