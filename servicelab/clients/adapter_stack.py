"""Layers of a ``requests`` session: adapters around adapters, in one order whatever the order of the calls.

A session hands each request to an adapter. Ours are put around the one that does the work, from the outside in:

| layer    | made by       | why there                                                                              |
|----------|---------------|----------------------------------------------------------------------------------------|
| policy   | guard_session | it makes several attempts, and each of them goes through what is inside                |
| deadline | propagated    | each attempt has its own time left, and a trace should show the timeout that was used  |
| trace    | traced        | it stamps what really leaves                                                           |
"""

from numbers import Real

import urllib3
from requests.adapters import BaseAdapter

#: From the outside in.
POLICY, DEADLINE, TRACE = 3, 2, 1


class Layer(BaseAdapter):
    """An adapter around the adapter ``inner``."""

    place = 0

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def around(self, inner):
        """A layer like this one around another adapter."""
        raise NotImplementedError

    def close(self):
        self.inner.close()


def add(session, kind, make, prefixes=None):
    """Put ``make(inner)``, a layer of the class ``kind``, around each adapter of the session; replace one of its kind.

    ``prefixes`` limits it to requests whose URLs begin so.
    """
    if prefixes is None:
        prefixes = list(session.adapters)
    for prefix in prefixes:
        session.mount(prefix, _insert(session.get_adapter(prefix), kind, make))


def _insert(adapter, kind, make):
    if type(adapter) is kind:
        return make(adapter.inner)
    if isinstance(adapter, Layer) and adapter.place > kind.place:
        return adapter.around(_insert(adapter.inner, kind, make))
    return make(adapter)


def seconds(timeout) -> float | None:
    """The longest silence that ``timeout``, as requests takes it, allows while reading."""
    return timeout[-1] if isinstance(timeout, tuple) else getattr(timeout, "read_timeout", timeout)


def at_most(timeout, limit: float | None):
    """``timeout``, as requests takes it, and none of its parts longer than ``limit`` seconds (None: as it is).

    Raises TypeError for a timeout that is no number, pair or ``urllib3.Timeout``: it would be no limit.
    """
    if limit is None:
        return timeout
    if timeout is None:
        return limit
    if isinstance(timeout, tuple):
        return tuple(limit if part is None else min(part, limit) for part in timeout)
    if isinstance(timeout, urllib3.Timeout):
        # Its total is for connecting and reading together; None, and urllib3's own default, is no limit.
        parts = (timeout.total, timeout._connect, timeout._read)
        total, connect, read = (part if isinstance(part, Real) else None for part in parts)
        return urllib3.Timeout(at_most(total, limit), at_most(connect, limit), at_most(read, limit))
    if isinstance(timeout, Real):
        return min(timeout, limit)
    raise TypeError(f"timeout={timeout!r} must be seconds, (connect, read) or a urllib3.Timeout: else it has no limit")
