"""Exercise 4: sagas in three ways, and mistakes."""

import json
from functools import partial

from servicelab.checks.lab11 import Refused
from tests.lab11_answers import but

TABLE = "create table if not exists begun (order_id text, number integer, primary key (order_id, number))"


class Saga:
    """Each step is noted before it is done; a note is gone when it is undone, or all is over."""

    def __init__(self, db, steps):
        self.db, self.steps = db, steps
        db.execute(TABLE)

    def write(self, statement, *values):
        self.db.execute(statement, values)
        self.db.commit()

    def run(self, order):
        for number, step in enumerate(self.steps):
            self.write("insert into begun values (?, ?)", order, number)  # note
            try:
                step.do(order)
            except Refused:
                self.write("delete from begun where order_id = ? and number = ?", order, number)  # was not done
                return self.back(order)
            except Exception:
                return self.back(order)
        self.write("delete from begun where order_id = ?", order)  # over
        return True

    def back(self, order):
        rows = self.db.execute("select number from begun where order_id = ? order by number desc", (order,)).fetchall()
        for (number,) in rows:
            while not self.undone(self.steps[number], order):
                pass
            self.write("delete from begun where order_id = ? and number = ?", order, number)  # undone
        return False

    def undone(self, step, order):
        try:
            step.undo(order)
        except Exception:
            return False
        return True

    def recover(self):
        for (order,) in self.db.execute("select distinct order_id from begun").fetchall():
            self.back(order)


class Journal:
    """A journal to which lines are only added; the state is what they add up to."""

    def __init__(self, db, steps):
        self.db, self.steps = db, dict(enumerate(steps))
        db.isolation_level = None
        db.execute("create table if not exists journal (line integer primary key, entry text)")

    def write(self, *entry):
        self.db.execute("insert into journal (entry) values (?)", [json.dumps(entry)])

    def open(self):
        found = {}
        for (entry,) in self.db.execute("select entry from journal order by line"):
            what, order, number = json.loads(entry)
            if what == "begin":
                found.setdefault(order, []).append(number)
            elif what == "end":
                found.pop(order, None)
            else:
                found[order].remove(number)
        return found

    def run(self, order):
        for number in self.steps:
            self.write("begin", order, number)
            try:
                self.steps[number].do(order)
            except Exception as error:
                if isinstance(error, Refused):
                    self.write("undone", order, number)
                self.turn(order)
                return False
        self.write("end", order, None)
        return True

    def turn(self, order):
        for number in reversed(self.open().get(order, [])):
            while not self.tried(partial(self.steps[number].undo, order)):
                pass
            self.write("undone", order, number)
        self.write("end", order, None)

    def tried(self, call):
        try:
            call()
        except Exception:
            return False
        return True

    def recover(self):
        for order in self.open():
            self.turn(order)


class Counter:
    """One row an order: how far it has come, and whether it is on its way back. Recursive."""

    def __init__(self, db, steps):
        self.db, self.steps = db, steps
        db.execute("create table if not exists way (id text primary key, far integer)")
        db.commit()

    def far(self, order, far):
        self.db.execute("insert or replace into way values (?, ?)", (order, far))
        self.db.commit()

    def run(self, order, number=0):
        if number == len(self.steps):
            self.far(order, 0)
            return True
        self.far(order, number + 1)
        try:
            self.steps[number].do(order)
        except Refused:
            return self.back(order, number)
        except Exception:
            return self.back(order, number + 1)
        return self.run(order, number + 1)

    def back(self, order, far):
        self.far(order, far)
        if far == 0:
            return False
        try:
            self.steps[far - 1].undo(order)
        except Exception:
            return self.back(order, far)
        return self.back(order, far - 1)

    def recover(self):
        for order, far in self.db.execute("select id, far from way where far > 0").fetchall():
            self.back(order, far)


class UndoesTheRest(Saga):
    """One undo fails: the next one, and that one later."""

    def back(self, order):
        ask = "select number from begun where order_id = ? order by number desc"
        while rows := self.db.execute(ask, (order,)).fetchall():
            for (number,) in rows:
                if self.undone(self.steps[number], order):
                    self.write("delete from begun where order_id = ? and number = ?", order, number)
        return False


class RecoversOnce(Saga):
    """It recovers with one try for each step."""

    def recover(self):
        for number, order in self.db.execute("select number, order_id from begun order by number desc").fetchall():
            self.undone(self.steps[number], order)
            self.write("delete from begun where order_id = ? and number = ?", order, number)


DO, NOTE = "step.do(order)", 'self.write("insert into begun values (?, ?)", order, number)'
UNDO, LOST = "self.undone(self.steps[number], order)", "except Exception:\n                "
WHILE = f"while not {UNDO}:\n                pass"
GONE = 'self.write("delete from begun where order_id = ? and number = ?", order, number)'

RIGHT = {"notes that go": Saga, "a journal": Journal, "one row an order": Counter}
WRONG = {
    "from the last": (["= db, steps => = db, steps[::-1]"], "forward"),
    "always true": (["return False\n\n    def undone => return True\n\n    def undone"], "said"),
    "goes on": ([f"{LOST}return => {LOST}"], "goes-on"),
    "tries again": ([f"{LOST}return => {LOST}try:\n                    {DO}\n                except Exception:\n"
                     "                    return"], "goes-on"),
    "only the one that raised": (["(order,)).fetchall() => (order,)).fetchmany(1)"], "not-undone"),
    "only what was finished": (["except Refused => except Exception"], "timed-out"),
    "only timeouts": (
        [f"except Refused: => except TimeoutError:\n                return self.back(order)\n            {LOST[:17]}"],
        "timed-out"),
    "undoes all": (["for (number,) in rows => for number in reversed(range(len(self.steps)))"], "not-begun"),
    "undoes the refused": ([f"{GONE}  # was => pass  #"], "undoes-refused"),
    "in order": (["number desc => number"], "reverse"),
    "to be sure": ([f"{WHILE} => {WHILE}\n            {UNDO}"], "twice"),
    "keeps the notes": ([f"{GONE}  # undone => pass"], "recovers-twice"),
    "ten tries": ([f"{WHILE} => any({UNDO} for _ in range(10))"], "given-up"),
    "refused is over": (["        except Exception:\n            return False =>         except Refused:\n            "
                         "return True\n        except Exception:\n            return False"], "given-up"),
    "notes after": ([f"{NOTE}  # note => pass", f"{DO} => {DO}; {NOTE}",
                     f"{LOST}return => {LOST}{NOTE}\n                return"], "half-done"),
    "in memory": (["(TABLE) => (TABLE); db.execute('delete from begun'); db.commit()"], "half-done"),
    "recovers all steps": (["            self.back =>             for number in range(len(self.steps)):\n    "
                            f"            {NOTE.replace('insert', 'insert or ignore')}\n            self.back"],
                           "not-begun"),
    "never over": (['self.write("delete from begun where order_id = ?", order)  # over => pass'], "undoes-finished"),
}  # fmt: skip
WRONG = {name: (but(Saga, *changes), {code}) for name, (changes, code) in WRONG.items()}
WRONG |= {
    "and on to the next": (UndoesTheRest, {"reverse"}),
    "recovers with one try": (RecoversOnce, {"half-done"}),
    "recovers in order": (but(RecoversOnce, "number desc => number", f"{UNDO} => {WHILE}"), {"reverse"}),
}
