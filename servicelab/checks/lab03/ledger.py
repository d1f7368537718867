"""A payment database that a crash can interrupt after any step, as it can in a shop: SQLite, with a file of its own."""

import os
import shutil
import sqlite3
import tempfile

#: What a statement that writes begins with.
_WRITES = ("insert", "update", "delete", "replace")


class Ledger:
    """The file with the table ``charges (customer, cents)``; ``open(step)`` connects to it as a new process would.

    ``step(name)`` is called after every write and every commit, and may end the caller there.
    """

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="servicelab-ledger-")
        self._path = os.path.join(self._folder, "ledger.db")
        self._open = []
        plain = sqlite3.connect(self._path)
        plain.execute("create table charges (customer text, cents integer)")
        plain.commit()
        plain.close()

    def open(self, step=lambda name: None) -> sqlite3.Connection:
        def stepping(*args, **more):
            return _Stepping(step, *args, **more)

        connection = sqlite3.connect(self._path, check_same_thread=False, factory=stepping, timeout=2.0)
        connection.execute("pragma synchronous = off")  # the disk is not what this is about
        self._open.append(connection)
        return connection

    def cut(self) -> None:
        """What a crash of every process that has it open does: nothing is kept that was not committed."""
        while self._open:
            self._open.pop().close()

    def charges(self) -> list[tuple]:
        """All ``(customer, cents)`` that are on disk."""
        reader = sqlite3.connect(self._path)
        try:
            return reader.execute("select customer, cents from charges order by rowid").fetchall()
        finally:
            reader.close()

    def close(self) -> None:
        self.cut()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Stepping(sqlite3.Connection):
    def __init__(self, step, *args, **more):
        super().__init__(*args, **more)
        self.step = step

    def cursor(self, factory=None):
        return super().cursor(_Cursor)

    def execute(self, *args):
        return self.cursor().execute(*args)

    def commit(self):
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
        result = super().execute(statement, *args)
        if statement.lstrip().lower().startswith(_WRITES):
            self.connection.step("write")
            if not self.connection.in_transaction:  # isolation_level=None: written is committed
                self.connection.step("commit")
        return result
