"""Exercise 1: an outbox and an inbox in three ways each, and mistakes."""

import json

from tests.lab11_answers import but

OUTBOX = "create table if not exists outbox (n integer primary key, id text, item text, sent integer default 0)"
INBOX = "create table if not exists inbox (id text primary key)"


def quietly(publish, order, item) -> bool:
    try:
        publish(order, item)
    except ConnectionError:
        return False
    return True


class Orders:
    """An outbox in the transaction of the order; what is out is marked."""

    def __init__(self, db, publish):
        self.db, self.publish = db, publish
        db.execute(OUTBOX)

    def place(self, order, item):
        self.db.execute("insert into orders values (?, ?)", (order, item))  # order
        self.db.execute("insert into outbox (id, item) values (?, ?)", (order, item))
        self.db.commit()  # saved

    def relay(self):
        for n, order, item in self.db.execute("select n, id, item from outbox where not sent").fetchall():
            self.publish(order, item)
            self.db.execute("update outbox set sent = 1 where n = ?", (n,))  # out
            self.db.commit()


class Eager(Orders):
    """It tries at once, and what fails is left to the relay. What is out is deleted."""

    def place(self, order, item):
        with self.db:
            self.db.executemany("insert into orders values (?, ?)", [(order, item)])
            self.db.execute("insert into outbox (id, item) values (?, ?)", [order, item])
        self.relay()

    def relay(self):
        for n, order, item in list(self.db.execute("select n, id, item from outbox order by n")):
            if quietly(self.publish, order, item):
                self.db.cursor().execute("delete from outbox where n = ?", [n])
                self.db.commit()


class ByOrders:
    """No outbox: the orders that are out have a row of their own. Without Python's transactions."""

    def __init__(self, db, publish):
        db.isolation_level = None
        db.execute("create table if not exists out (message text primary key)")
        self.db, self.publish = db, publish

    def place(self, *order):
        self.db.execute("insert into orders values (?, ?)", order)

    def relay(self):
        for order in self.db.execute("select id, item from orders").fetchall():
            if not self.db.execute("select 1 from out where message = ?", [json.dumps(order)]).fetchone():
                if not quietly(self.publish, *order):
                    return
                self.db.execute("insert or replace into out values (?)", [json.dumps(order)])


class Shipping:
    """An inbox whose key decides, in the transaction of the effect."""

    def __init__(self, db):
        self.db = db
        db.execute(INBOX)

    def on_message(self, order, item):
        if self.db.execute("insert or ignore into inbox values (?)", (order,)).rowcount:
            self.db.execute("update stock set left = left - 1 where item = ?", (item,))
        self.db.commit()


class Looks(Shipping):
    """It looks, and writes the effect first."""

    def on_message(self, order, item):
        with self.db:
            if not self.db.execute("select count(*) from inbox where id = ?", (order,)).fetchone()[0]:
                self.db.execute("update stock set left = left - 1 where item = ?", (item,))
                self.db.execute("insert into inbox values (?)", (order,))


class Catches(Shipping):
    """The second insert raises, and all is rolled back."""

    def on_message(self, order, item):
        try:
            self.db.execute("begin immediate")
            self.db.execute("update stock set left = left - 1 where item = ?", (item,))
            self.db.execute("insert into inbox values (?)", (order,))
            self.db.execute("commit")
        except Exception:
            self.db.rollback()


MARK = 'self.db.execute("update outbox set sent = ? where id = ?", (sent, order))'
LOOK = 'self.db.execute("insert or ignore into inbox values (?)", (order,)).rowcount'
KNOWN = 'not self.db.execute("select 1 from inbox where id = ?", (order,)).fetchone()'
TAKE = 'self.db.execute("update stock set left = left - 1 where item = ?", (item,))'

RIGHT = {
    "an outbox that is marked, an inbox whose key decides": (Orders, Shipping),
    "eager, and an inbox that is looked at": (Eager, Looks),
    "orders that are out, and an insert that raises": (ByOrders, Catches),
}
ORDERS = {
    "never commits": (["self.db.commit()  # saved => pass"], "not-saved"),
    "two a call": ([".fetchall() => .fetchmany(2)"], "not-sent"),
    "tries until it is up": (["self.publish(order, item)\n => "
                              "while not quietly(self.publish, order, item):\n                pass\n"], "needs-broker"),
    "goes on behind an error": (
        ["self.publish(order, item)\n => if not quietly(self.publish, order, item):\n                continue\n",
         "where not sent => where n > (select coalesce(max(n), 0) from outbox where sent)"], "lost-when-down"),
    "in quotes": (['"insert into orders values (?, ?)", (order, item) => '
                   'f"insert into orders values (\'{order}\', \'{item}\')"'], "exception"),
    "item and order": (["self.publish(order, item) => self.publish(item, order)"], "not-sent"),
    "first publishes all, and then marks": (
        ["            self.publish(order, item)\n => ", "relay(self): => relay(self):\n        for order in "
         "self.db.execute('select id, item from outbox where not sent').fetchall():\n            self.publish(*order)"],
        "again",
    ),
    "marks are gone": (["(OUTBOX) => (OUTBOX); db.execute('update outbox set sent = 0'); db.commit()"], "again-later"),
    "the customer hears of the broker": (["# saved => ; self.relay()"], "needs-broker"),
    "published in the transaction": (
        [f"self.db.commit()  # saved => sent = quietly(self.publish, order, item); {MARK}; self.db.commit()"],
        "ghost",
    ),
    "two commits": (["# order => ; self.db.commit()"], "lost"),
    "dual write": (
        ['self.db.execute("insert into outbox => self.db.commit(); quietly(self.publish, order, item) or '
         'self.db.execute("insert into outbox'],
        "lost",
    ),
    "swallows the error": (["self.publish(order, item) => quietly(self.publish, order, item)"], "lost-when-down"),
    "marks first": (
        [f"self.publish(order, item) => sent = 1; {MARK}; self.db.commit(); "
         "sent = quietly(self.publish, order, item)",
         f'self.db.execute("update outbox set sent = 1 where n = ?", (n,))  # out => {MARK}'],
        "lost-in-relay",
    ),
}  # fmt: skip
SHIPPING = {
    "by item": (["(order,) => (item,)"], "pieces"),
    "an inbox in memory": (["(INBOX) => (INBOX.replace('table', 'temp table'))"], "pieces"),
    "takes again": ([".rowcount => "], "pieces"),
    "the second insert raises": (["insert or ignore => insert"], "exception"),
    "noted in a transaction before": ([f"{TAKE} => self.db.commit(); {TAKE}"], "pieces"),
    "noted in a transaction after": (
        [f"{TAKE} => {TAKE}; self.db.commit(); {LOOK}", f"if {LOOK} => if {KNOWN}"], "pieces"),
}  # fmt: skip
WRONG = {name: ((but(Orders, *changes), Shipping), {code}) for name, (changes, code) in ORDERS.items()}
WRONG |= {name: ((Orders, but(Shipping, *changes)), {code}) for name, (changes, code) in SHIPPING.items()}
