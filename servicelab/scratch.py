"""Folders for temporary files, of which a killed kernel leaves none for good."""

import glob
import os
import shutil
import sqlite3
import tempfile


class Scratch:
    """A new folder ``servicelab-<kind>-…`` among the temporary ones, in ``name``; :meth:`cleanup` removes it.

    A file in it stays locked for as long as its process lives, however that ends. Each new folder first sweeps away
    those of its kind that nobody locks. Raises OSError.
    """

    def __init__(self, kind: str):
        prefix = os.path.join(tempfile.gettempdir(), f"servicelab-{kind}-")
        for left in glob.glob(f"{glob.escape(prefix)}*"):
            if lock := _lock(left):
                shutil.rmtree(left, ignore_errors=True)
                lock.close()
        self._lock = None
        while self._lock is None:  # somebody may sweep between the two lines
            self.name = tempfile.mkdtemp(prefix=prefix)
            self._lock = _lock(self.name)

    def cleanup(self) -> None:
        """Remove it with all that is in it. Doing it twice is fine."""
        self._lock.close()
        shutil.rmtree(self.name, ignore_errors=True)


def _lock(folder) -> sqlite3.Connection | None:
    """The lock of ``folder``; None if another holds it, or the folder is gone or another user's."""
    file = os.path.join(folder, "lock")
    try:
        if hasattr(os, "getuid") and os.lstat(folder).st_uid != os.getuid():
            return None
        # SQLite's locks are the same on all systems, end with their process, and hold within one process, too.
        lock = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error):
        return None
    try:
        lock.execute("BEGIN EXCLUSIVE")
        if os.path.exists(file):  # else it was swept after it had been opened
            return lock
    except sqlite3.Error:
        pass
    lock.close()
    return None
