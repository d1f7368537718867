"""Journeys: what became of every request that was sent into the system."""

from collections import Counter
from typing import NamedTuple

import numpy as np

NAN = float("nan")


class Journey(NamedTuple):
    """One request: ``due`` to start at (seconds), at its ``end`` with ``status``. Unfinished: both None."""

    due: float
    end: float | None
    status: str | None


class Journeys:
    """The requests of a run, in the order in which they were due, as numpy arrays.

    A run stops at a bound (``env.run(until=60)``), and then some requests may be unfinished. To leave them out
    makes an overloaded system look better than it is, for they are the slow ones (18% better at a load of 1.2). So
    their ``latency`` is ``nan``, which spoils a careless mean for all to see. Ask ``unfinished`` how many
    there are; :meth:`waited` and :meth:`quantile` count them in.
    """

    def __init__(self):
        self._due: list[float] = []
        self._end: list[float] = []
        self._status: list[str | None] = []

    def follow(self, env, place, message):
        """Send ``message`` to ``place`` and note what becomes of it: a generator that returns the status.

        Raises TypeError if the place ends without one.
        """
        number = self.began(env.now)
        status = yield from place.call(message)
        self.ended(number, env.now, status, place)
        return status

    def began(self, now: float) -> int:
        """Note that a request is due ``now``; returns its number, for :meth:`ended`."""
        number = len(self._due)
        self._due.append(now)
        self._end.append(NAN)
        self._status.append(None)
        return number

    def ended(self, number: int, now: float, status, place) -> None:
        """Note that request ``number`` ended ``now``. Raises TypeError if ``place`` ended it without a status."""
        if status is None:
            raise TypeError(f'{place!r} ended a call with None: call(message) must return a status, such as "ok"')
        self._end[number] = now
        self._status[number] = status

    # -- reading ----------------------------------------------------------------------------

    @property
    def due(self) -> np.ndarray:
        """When each request was due, in seconds."""
        return np.array(self._due, dtype=float)

    @property
    def end(self) -> np.ndarray:
        """When each was answered or given up, in seconds; ``nan`` if it was not."""
        return np.array(self._end, dtype=float)

    @property
    def latency(self) -> np.ndarray:
        """Seconds from due to end; ``nan`` if unfinished."""
        return self.end - self.due

    @property
    def status(self) -> np.ndarray:
        """The status of each, an array of objects; None if unfinished."""
        return np.array(self._status, dtype=object)

    @property
    def ok(self) -> np.ndarray:
        """True for each that ended in ``"ok"``."""
        return self.status == "ok"

    @property
    def unfinished(self) -> int:
        """How many have no end."""
        return self._status.count(None)

    def waited(self, now: float) -> np.ndarray:
        """Seconds from due to end, or for an unfinished one to ``now``: the least that it will take."""
        latency = self.latency
        return np.where(np.isnan(latency), now - self.due, latency)

    def quantile(self, q):
        """The ``q``-quantile (0 to 1) of latency in seconds, an unfinished request taking for ever.

        Raises ValueError if there are no journeys.
        """
        if not self._due:
            raise ValueError("no journeys yet: run the simulation first")
        latency = self.latency
        # "higher" names a latency that occurred: interpolating towards an endless one would make no sense.
        return np.quantile(np.where(np.isnan(latency), np.inf, latency), q, method="higher")

    def counts(self) -> dict[str, int]:
        """How many ended in each status, most frequent first, with ``"unfinished"`` for those that did not."""
        return {str(status or "unfinished"): n for status, n in Counter(self._status).most_common()}

    def __len__(self):
        return len(self._due)

    def __iter__(self):
        for due, end, status in zip(self._due, self._end, self._status):
            yield Journey(due, None if status is None else end, status)

    def __repr__(self):
        return f"<{len(self)} journeys: {', '.join(f'{n} {status}' for status, n in self.counts().items()) or 'none'}>"
