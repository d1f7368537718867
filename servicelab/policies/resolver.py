"""Who is there? A client's memory of what a registry or a name server has told it.

Rules:

1. An answer is *fresh* for as long as it may be kept. Then it is *stale*, and still the best there is: the *last known
   good*. It is given out until a new answer comes, or until it is older than ``keep``.
2. A source that fails changes nothing in the memory. Only an answer does.
3. "Nobody" is an answer, too, and is kept for a shorter time (negative caching).
4. A name is asked for by one caller at a time; the others are served what is known, if anything is.
5. There is room for ``most`` names. The one that was not asked for longest is forgotten first.

Three policies fill it; each asks through its script (see :mod:`servicelab.policies.lookup`):

| policy   | asks                                     | requests/s at the source  | a change is known after          |
|----------|------------------------------------------|---------------------------|----------------------------------|
| OnDemand | when a call finds no fresh answer        | at most clients / ttl     | up to ttl                        |
| Poll     | every ``period``, whether needed or not  | clients / period          | up to period, on average half    |
| Watch    | again as soon as it was answered, and is | clients / wait, and one   | one way of the network           |
|          | kept waiting until something changes     | per client and change     |                                  |

Poll and Watch are in :mod:`servicelab.policies.watch`.
"""

import math
import threading
from collections import OrderedDict
from enum import StrEnum
from typing import NamedTuple

from servicelab import arguments
from servicelab.policies.lookup import Found, Lookup
from servicelab.policies.moments import NEVER, onward, reached
from servicelab.policies.status import Status


class Freshness(StrEnum):
    """What a client knows of a name. Each equals its plain string."""

    FRESH = "fresh"  # an answer that may be kept
    NOBODY = "nobody"  # a fresh answer, and there was no instance in it
    STALE = "stale"  # the last known good, past its time
    UNKNOWN = "unknown"  # never heard, forgotten, or older than ``keep``


class View(NamedTuple):
    """What is known of a name: the ``instances`` to use, how ``fresh`` that is, its ``age`` in seconds (None: never
    heard), and a ``version`` that grows by one with every change of the instances."""

    instances: tuple
    fresh: Freshness
    age: float | None
    version: int


class InstanceCache:
    """The memory, for any number of names and threads.

    | setting      | default | unit    | consequence                                                                  |
    |--------------|---------|---------|------------------------------------------------------------------------------|
    | ttl          | 5       | s       | how long an answer is fresh, when the source does not say; 0: never          |
    | negative_ttl | 1       | s       | the same for "nobody"                                                        |
    | keep         | None    | s       | the greatest age of a last known good; None keeps it for ever, 0 throws it   |
    |              |         |         | away as soon as it is no longer fresh                                        |
    | retry_after  | 1       | s       | after a failed lookup OnDemand leaves the source alone for so long, and is   |
    |              |         |         | served from memory: else every call would wait for one more timeout          |
    | most         | 1000    | names   | how many names are remembered                                                |

    Raises ValueError for a negative time or ``most`` < 1, TypeError for what is no number.
    """

    def __init__(self, ttl=5.0, negative_ttl=1.0, *, keep=None, retry_after=1.0, most=1000):
        self.ttl = arguments.not_negative("ttl", ttl, "seconds", "0 asks for every call")
        self.negative_ttl = arguments.not_negative("negative_ttl", negative_ttl, "seconds", "0 asks for every call")
        self.keep = keep if keep is None else arguments.not_negative("keep", keep, "seconds", "None keeps it for ever")
        self.retry_after = arguments.not_negative("retry_after", retry_after, "seconds", "0 asks for every call")
        self.most = arguments.whole("most", most, "names to remember")
        self._names: OrderedDict[str, _Name] = OrderedDict()
        self._latest = NEVER
        self._lock = threading.Lock()

    def __repr__(self):
        return f"InstanceCache(ttl={self.ttl}, negative_ttl={self.negative_ttl}, keep={self.keep}, most={self.most})"

    def __len__(self):
        return len(self._names)

    def view(self, service: str, now: float) -> View:
        """What is known of ``service`` at ``now``. Asks nobody."""
        with self._lock:
            onward(now, self._latest)
            name = self._names.get(service)
            if name is None:
                return View((), Freshness.UNKNOWN, None, 0)
            self._names.move_to_end(service)
            return self._view(name, now)

    def learn(self, found: Found, service: str, good_for: float | None = None) -> bool:
        """Take in what the source said of ``service``; True if that has changed the instances.

        ``good_for`` is how long (seconds) a good answer is fresh: by default what the answer itself says, else ``ttl``
        or ``negative_ttl``.
        """
        with self._lock:
            at = self._latest = onward(found.at, self._latest)
            name = self._name(service)
            if found.status != Status.OK:
                name.retry_at = at + self.retry_after
                return False
            if good_for is None:
                good_for = found.ttl
            if good_for is None:
                good_for = self.ttl if found.instances else self.negative_ttl
            changed = name.at is None or set(name.instances) != set(found.instances)
            name.instances, name.at, name.until = tuple(found.instances), at, at + good_for
            name.retry_at = NEVER
            name.version += changed
            return changed

    def forget(self, service: str) -> None:
        """Throw away what is known of ``service``."""
        with self._lock:
            self._names.pop(service, None)

    # -- for OnDemand -------------------------------------------------------------------------

    def _claim(self, service, now) -> bool:
        """Shall this caller ask? Then nobody else will, until :meth:`_release`."""
        with self._lock:
            now = self._latest = onward(now, self._latest)
            name = self._name(service)
            view = self._view(name, now)
            if view.fresh in (Freshness.FRESH, Freshness.NOBODY) or not reached(now, name.retry_at):
                return False
            if name.asking and view.instances:
                return False
            name.asking += 1
            return True

    def _release(self, service):
        with self._lock:
            if service in self._names and self._names[service].asking:
                self._names[service].asking -= 1

    # -- under the lock -----------------------------------------------------------------------

    def _name(self, service) -> "_Name":
        name = self._names.get(service)
        if name is None:
            name = self._names[service] = _Name()
            if len(self._names) > self.most:
                self._names.popitem(last=False)
        self._names.move_to_end(service)
        return name

    def _view(self, name, now):
        if name.at is None:
            return View((), Freshness.UNKNOWN, None, name.version)
        age = max(0.0, now - name.at)
        if not reached(now, name.until):
            return View(name.instances, Freshness.FRESH if name.instances else Freshness.NOBODY, age, name.version)
        if not name.instances or (self.keep is not None and not reached(self.keep, age)):
            return View((), Freshness.UNKNOWN, age, name.version)
        return View(name.instances, Freshness.STALE, age, name.version)


class _Name:
    """What is remembered of one name."""

    __slots__ = ("instances", "at", "until", "version", "retry_at", "asking")

    def __init__(self):
        self.instances, self.version, self.asking = (), 0, 0
        self.at = None  # when the last good answer came
        self.until = self.retry_at = NEVER


def left(heard, id, since: float) -> float:
    """When a client stopped calling ``id``, at ``since`` or later (seconds); inf if it still does.

    ``heard`` are ``(at, ids)`` in order of time: whom it would call from then on. A dead-route time is
    ``left(heard, id, died) - died``.
    """
    gone = math.inf
    for at, ids in heard:
        if id in ids:
            gone = math.inf
        elif gone == math.inf:
            gone = max(at, since)
    return gone


class OnDemand:
    """Ask for ``service`` when it is needed and what is known is not fresh. The script ends with the
    :class:`Freshness` of what is known then.

    ``timeout`` is how long (seconds) one lookup may take. Raises ValueError unless it is > 0.
    """

    def __init__(self, cache: InstanceCache, service: str, timeout: float = 1.0):
        self.cache, self.service = cache, service
        self.timeout = arguments.positive("timeout", timeout, "seconds", "how long one lookup may take")

    def __repr__(self):
        return f"OnDemand({self.cache!r}, {self.service!r}, timeout={self.timeout})"

    def script(self, now: float):
        if self.cache._claim(self.service, now):
            try:
                found = yield Lookup(self.service, self.timeout)
                now = found.at
                self.cache.learn(found, self.service)
            finally:
                self.cache._release(self.service)
        return self.cache.view(self.service, now).fresh
