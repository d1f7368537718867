"""Processes of the learner's that die after any of their steps, as they can in a shop, and what their database keeps.

The database is SQLite, with a file of its own. Nothing is killed: a process that is dead raises :class:`Crash` at
whatever it tries, and what it had not committed is rolled back.
"""

import os
import sqlite3
import time
from contextlib import closing

from servicelab.checks.scenario import Stage
from servicelab.scratch import Scratch


class Crash(BaseException):
    """The process that raises this is dead: nothing that it does afterwards has an effect."""


class Process:
    """A process of the learner's. Each write, commit, or call outside is a step of it, and it dies after one of them.

    It counts from :meth:`arm` on. ``pause`` (seconds) is what each statement takes, so that a race shows at once.
    """

    def __init__(self, pause: float = 0.0):
        self.pause, self.steps, self.dies, self.is_dead = pause, [], None, False

    def arm(self, dies: int | None) -> None:
        """Let it die after ``dies`` steps, or never."""
        self.steps, self.dies = [], dies

    def alive(self) -> None:
        """Raises Crash if it is dead."""
        if self.is_dead:
            raise Crash
        if self.pause:
            time.sleep(self.pause)

    def step(self, what: str) -> None:
        """It has done ``what``. Raises Crash if that was its last step."""
        self.steps.append(what)
        if len(self.steps) == self.dies:
            self.is_dead = True
            raise Crash


class Database:
    """A file with the tables of ``schema``; :meth:`open` connects to it as a new process would.

    ``step(name)`` is called after every write and every commit, and ``before()`` before every statement; both may end
    the caller there.
    """

    def __init__(self, schema: str):
        self._folder = Scratch("database")
        self._path = os.path.join(self._folder.name, "shop.db")
        self._open = []
        plain = sqlite3.connect(self._path)
        plain.executescript(schema)
        plain.close()

    def open(self, step=lambda name: None, before=lambda: None, timeout: float = 2.0) -> sqlite3.Connection:
        def stepping(*args, **more):
            return _Stepping(step, before, *args, **more)

        connection = sqlite3.connect(self._path, check_same_thread=False, factory=stepping, timeout=timeout)
        sqlite3.Connection.cursor(connection).execute("pragma synchronous = off")  # the disk is not what this is about
        self._open.append(connection)
        return connection

    def cut(self) -> None:
        """What a crash of every process that has it open does: nothing is kept that was not committed."""
        while self._open:
            self._open.pop().close()

    def write(self, statement: str, *values) -> list[tuple]:
        """Somebody else's statement, committed; the rows that it finds on disk."""
        other = sqlite3.connect(self._path, timeout=1.0)
        other.execute("pragma synchronous = off")
        try:
            with other:
                return other.execute(statement, values).fetchall()
        finally:
            other.close()

    read = write

    def close(self) -> None:
        self.cut()
        self._folder.cleanup()


class _Stepping(sqlite3.Connection):
    def __init__(self, step, before, *args, **more):
        super().__init__(*args, **more)
        self.step, self.before = step, before

    def cursor(self, factory=None):
        return super().cursor(_Cursor)

    def execute(self, *args):
        return self.cursor().execute(*args)

    def executemany(self, *args):
        return self.cursor().executemany(*args)

    def executescript(self, *args):
        return self.cursor().executescript(*args)

    def commit(self):
        self.before()
        wrote = self.in_transaction
        super().commit()
        if wrote:
            self.step("commit")

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False


class _Cursor(sqlite3.Cursor):
    def execute(self, statement, *args):
        return self._watched(super().execute, statement, *args)

    def executemany(self, statement, *args):
        return self._watched(super().executemany, statement, *args)

    def executescript(self, statement):
        return self._watched(super().executescript, statement)

    def _watched(self, execute, statement, *args):
        db = self.connection
        db.before()
        changes, was_inside = db.total_changes, db.in_transaction
        result = execute(statement, *args)
        wrote = db.total_changes > changes
        if wrote:
            db.step("write")
        if (wrote or was_inside) and not db.in_transaction and not statement.lstrip().lower().startswith("rollback"):
            db.step("commit")  # in words, or because isolation_level is None
        return result


DIED = object()  # what a process says that died


class World(Stage):
    """A database with the tables of ``schema``, and the learner's processes, one after another: each an object that is
    made with what :meth:`given` returns, and has the ``methods``. The diagram shows it as ``lane``."""

    schema, methods, lane = "", (), "process"

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.fresh()

    def fresh(self) -> None:
        """Begin anew: nothing has happened, and no process runs."""
        self.db, self.died = self.use(closing(Database(self.schema))), ""
        self.published, self.refuses = [], lambda *message: False
        self.ask.trace.clear()

    def given(self) -> tuple:
        """What a process is made with."""
        return (self.connect(),)

    def start(self, dies: int | None = None, pause: float = 0.0) -> None:
        """A new process, which dies after so many steps; the one before is gone, and all that it had not committed."""
        self.db.cut()
        self.process = Process(pause)
        self.say("system", self.lane, "start")
        self.mine = self.make(self.yours, *self.given(), methods=self.methods)
        self.process.arm(dies)

    def connect(self):
        def step(what):
            self.say(self.lane, "database", what)
            process.step(what)

        process = self.process
        return self.db.open(step, process.alive)

    def live(self, function, *args, returns=None):
        """What the learner's function returns, or DIED when the process died in it; ``died`` is that in words."""
        process = self.process

        def call():
            try:
                value = function(*args)
            except BaseException:
                if not process.is_dead:
                    raise
            return DIED if process.is_dead else value

        def said():
            return answer

        call.__name__ = said.__name__ = getattr(function, "__name__", "your object")
        answer = self.call(call)
        if process.is_dead:
            self.died = f"it died after step {len(process.steps)} ({process.steps[-1]}); "
            self.say(self.lane, "system", "dies")
        elif returns:
            self.call(said, returns=returns)
        return answer

    def each_death(self):
        """1, 2, 3, …: the step after which to die, each in a fresh world, until a process lives through it all."""
        at, self.died = 0, "not yet"
        while self.died:
            at += 1
            self.fresh()
            yield at

    def publish(self, *message, **named):
        """The broker, which a process is given: it confirms, unless it ``refuses(*message)``."""
        message = (*message, *named.values())
        self.process.alive()
        is_refused = self.refuses(*message)
        self.say(self.lane, "broker", " ".join(map(str, message))[:24], not is_refused)
        if is_refused:
            raise ConnectionError("the broker does not confirm")
        self.published.append(message)
        self.process.step("publish")

    def say(self, sender, receiver, label, arrives=True):
        """Draw a message. The diagram's time counts messages: what happened when is not what it is about."""
        now = len(self.ask.trace.events) / 1000
        self.last = self.ask.trace.send(sender, receiver, label, at=now)
        if arrives:
            self.ask.trace.receive(self.last, receiver, at=now + 0.001)
        else:
            self.ask.trace.lose(self.last, "no confirm", at=now + 0.001)
