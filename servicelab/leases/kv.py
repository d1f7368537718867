"""Keys and values with check-and-set, on the registry's index."""

from typing import NamedTuple

from servicelab.leases.records import Index


class Entry(NamedTuple):
    key: str
    value: bytes
    flags: int
    create_index: int
    modify_index: int


class KV:
    """A key-value store in Consul's manner. ``cas`` is the ``modify_index`` the caller has seen: the write happens
    only if it still is the entry's. For a put, ``cas=0`` means "only if there is none yet"."""

    def __init__(self, index: Index | None = None):
        self.index = index or Index()
        self.changed_at = 1  # index of the last write
        self._deleted_at = 0  # index of the last deletion
        self._entries: dict[str, Entry] = {}

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def under(self, prefix: str) -> list[Entry]:
        """The entries whose key begins with ``prefix``, in order of keys."""
        return [self._entries[key] for key in sorted(self._entries) if key.startswith(prefix)]

    def keys(self, prefix: str = "", separator: str = "") -> list[str]:
        """The keys under ``prefix``; with a ``separator`` only up to it, like the names in one folder."""
        found: dict[str, None] = {}
        for entry in self.under(prefix):
            rest = entry.key[len(prefix) :]
            head, mark, _ = rest.partition(separator) if separator else (rest, "", "")
            found[prefix + head + mark] = None
        return list(found)

    def put(self, key: str, value: bytes, flags: int = 0, cas: int | None = None) -> bool:
        """True if it was written. To write what is there already counts, but moves no index."""
        old = self._entries.get(key)
        if cas is not None and cas != (old.modify_index if old else 0):
            return False
        if old is None or (old.value, old.flags) != (value, flags):
            index = self.changed_at = self.index.grow()
            self._entries[key] = Entry(key, value, flags, old.create_index if old else index, index)
        return True

    def delete(self, key: str, *, recurse: bool = False, cas: int | None = None) -> bool:
        """True unless ``cas`` refused it; to delete what is not there is fine. ``recurse``: everything under it."""
        old = self._entries.get(key)
        if cas is not None and (cas == 0 or (old is not None and cas != old.modify_index)):
            return False
        keys = [entry.key for entry in self.under(key)] if recurse else [key] * (old is not None)
        if keys:
            self.changed_at = self._deleted_at = self.index.grow()
            for gone in keys:
                del self._entries[gone]
        return True

    def index_of(self, key: str) -> int:
        """The index to wait on for this key: its own or, without one, that of the last write of all."""
        entry = self._entries.get(key)
        return entry.modify_index if entry else self.changed_at

    def index_under(self, prefix: str) -> int:
        """The index to wait on for all keys under ``prefix``. A deletion elsewhere may move it: no harm is done."""
        found = [entry.modify_index for entry in self.under(prefix)]
        return max(self._deleted_at, *found) if found else self.changed_at
