"""Exercise 4: sagas in three ways, and mistakes."""

import json
from functools import partial

from servicelab.checks.lab11 import Refused

TABLE = "create table if not exists begun (order_id text, number integer, primary key (order_id, number))"


class Saga:
    """Each step is noted before it is done; a note is gone when it is undone, or all is over."""

    def __init__(self, db, steps):
        self.db, self.steps = db, steps
        with db:
            db.execute(TABLE)

    def run(self, order):
        for number, step in enumerate(self.steps):
            self.note(order, number)
            try:
                step.do(order)
            except Refused:
                self.forget(order, number)
                return self.back(order)
            except Exception:
                return self.back(order)
        self.over(order)
        return True

    def note(self, order, number):
        with self.db:
            self.db.execute("insert into begun values (?, ?)", (order, number))

    def forget(self, order, number):
        with self.db:
            self.db.execute("delete from begun where order_id = ? and number = ?", (order, number))

    def over(self, order):
        with self.db:
            self.db.execute("delete from begun where order_id = ?", (order,))

    def begun(self, order):
        rows = self.db.execute("select number from begun where order_id = ? order by number desc", (order,))
        return [number for (number,) in rows.fetchall()]

    def back(self, order):
        for number in self.begun(order):
            self.undo(order, number)
            self.forget(order, number)
        return False

    def undo(self, order, number):
        while True:
            try:
                return self.steps[number].undo(order)
            except Exception:
                pass

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


# -- mistakes ------------------------------------------------------------------------------------------


class Backwards(Saga):
    """The steps, from the last."""

    def __init__(self, db, steps):
        super().__init__(db, steps[::-1])


class SaysNothingNew(Saga):
    def back(self, order):
        super().back(order)
        return True


class Repeats(Saga):
    """Another try for the step."""

    def __init__(self, db, steps):
        super().__init__(db, [Twice(step) for step in steps])


class Twice:
    def __init__(self, step):
        self.step, self.undo = step, step.undo

    def do(self, order):
        try:
            self.step.do(order)
        except Refused:
            raise
        except Exception:
            self.step.do(order)


class NoWayBack(Saga):
    """Only the one that raised is looked after."""

    def begun(self, order):
        return super().begun(order)[:1] if self.is_running else super().begun(order)

    is_running = False

    def run(self, order):
        self.is_running = True
        try:
            return super().run(order)
        finally:
            self.is_running = False


class OnlyFinished(Saga):
    """What raised was not done, it thinks."""

    def run(self, order):
        for number, step in enumerate(self.steps):
            self.note(order, number)
            try:
                step.do(order)
            except Exception:
                self.forget(order, number)
                return self.back(order)
        self.over(order)
        return True


class OnlyTimeouts(Saga):
    """It knows of one way to lose a reply."""

    def run(self, order):
        for number, step in enumerate(self.steps):
            self.note(order, number)
            try:
                step.do(order)
            except TimeoutError:
                return self.back(order)
            except Exception:
                self.forget(order, number)
                return self.back(order)
        self.over(order)
        return True


class UndoesAll(Saga):
    def begun(self, order):
        return list(range(len(self.steps)))[::-1]


class UndoesTheRefused(Saga):
    def forget(self, order, number):
        if number in self.undone:
            super().forget(order, number)

    undone = ()

    def undo(self, order, number):
        super().undo(order, number)
        self.undone = {*self.undone, number}


class InOrder(Saga):
    def begun(self, order):
        return super().begun(order)[::-1]


class AndOn(Saga):
    """One undo fails: the next one, and that one later."""

    def back(self, order):
        while numbers := self.begun(order):
            for number in numbers:
                try:
                    self.steps[number].undo(order)
                except Exception:
                    continue
                self.forget(order, number)
        return False


class ToBeSure(Saga):
    def undo(self, order, number):
        super().undo(order, number)
        super().undo(order, number)


class KeepsTheNotes(Saga):
    """What was undone stays in the table."""

    def back(self, order):
        for number in self.begun(order):
            self.undo(order, number)
        return False


class TenTries(Saga):
    def undo(self, order, number):
        for _ in range(10):
            try:
                return self.steps[number].undo(order)
            except Exception:
                pass


class FireAndForget(Saga):
    def undo(self, order, number):
        try:
            self.steps[number].undo(order)
        except Exception:
            pass


class WhatItKnows(Saga):
    """It tries again when there was no time."""

    def undo(self, order, number):
        while True:
            try:
                return self.steps[number].undo(order)
            except TimeoutError:
                pass


class NotesAfter(Saga):
    """Done, and then noted."""

    def run(self, order):
        for number, step in enumerate(self.steps):
            try:
                step.do(order)
            except Refused:
                return self.back(order)
            except Exception:
                self.note(order, number)
                return self.back(order)
            self.note(order, number)
        self.over(order)
        return True


class InMemory(Saga):
    """A list would do, it thinks."""

    def __init__(self, db, steps):
        super().__init__(db, steps)
        db.execute("delete from begun")
        db.commit()


class NeverOver(Saga):
    def over(self, order):
        pass


RIGHT = {"notes that go": Saga, "a journal": Journal, "one row an order": Counter}
WRONG = {
    "from the last": (Backwards, {"forward"}),
    "always true": (SaysNothingNew, {"said"}),
    "tries a step again": (Repeats, {"goes-on"}),
    "only the one that raised": (NoWayBack, {"not-undone"}),
    "only what was finished": (OnlyFinished, {"timed-out"}),
    "only timeouts": (OnlyTimeouts, {"timed-out"}),
    "undoes all": (UndoesAll, {"not-begun"}),
    "undoes the refused": (UndoesTheRefused, {"undoes-refused"}),
    "in order": (InOrder, {"reverse"}),
    "and on to the next": (AndOn, {"reverse"}),
    "to be sure": (ToBeSure, {"twice"}),
    "keeps the notes": (KeepsTheNotes, {"recovers-twice"}),
    "ten tries": (TenTries, {"given-up"}),
    "fire and forget": (FireAndForget, {"given-up"}),
    "one kind of error": (WhatItKnows, {"given-up"}),
    "notes after": (NotesAfter, {"half-done"}),
    "in memory": (InMemory, {"half-done"}),
    "never over": (NeverOver, {"undoes-finished"}),
}
