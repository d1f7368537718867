"""The table that exercise 1 keeps its rows in: a dict that is as slow, and as careful, as a database."""

import threading
import time
from collections.abc import MutableMapping


class Shelves(MutableMapping):
    """Rows by id, as a table in a database keeps them: used like a dict, and each access takes ``pause`` seconds.

    A row that you read is a copy: change it, and write it back with ``shelves[id] = row``. One access is safe by
    itself. What happens *between* two of yours is for you to guard.
    """

    def __init__(self, pause: float = 0.004):
        self._rows, self._pause, self._lock = {}, pause, threading.Lock()

    def __getitem__(self, id):
        return dict(self._access(lambda rows: rows[id]))

    def __setitem__(self, id, row):
        self._access(lambda rows: rows.__setitem__(id, dict(row)))

    def __delitem__(self, id):
        self._access(lambda rows: rows.__delitem__(id))

    def __iter__(self):
        return iter(self._access(list))

    def __len__(self):
        return self._access(len)

    def values(self):
        return self._access(lambda rows: [dict(row) for row in rows.values()])

    def items(self):
        return self._access(lambda rows: [(id, dict(row)) for id, row in rows.items()])

    def _access(self, what):
        time.sleep(self._pause)
        with self._lock:
            return what(self._rows)
