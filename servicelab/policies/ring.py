"""The same key, the same server: a consistent hash ring, with a bound on how much one server gets."""

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b
from math import ceil, inf

from servicelab import arguments


def position(text: str) -> int:
    """Where ``text`` stands on the ring: 0 … 2⁶⁴ − 1, the same in every process (Python's ``hash`` is not)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class HashRing:
    """Each server stands at ``points`` places of a ring; a key goes to the first server at or after its own place.

    When one of n servers comes or goes about 1/n of the keys move. Servers are known by their ``names``, not by their
    place in the list. ``bound`` (None: no bound) is how much of the mean a server may have under way: with 1.25, one
    that has 25% more than the mean is passed over, and the key goes on round the ring.

    Sources: Karger et al., "Consistent Hashing and Random Trees", STOC 1997; the bound: Mirrokni, Thorup and
    Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018. Raises ValueError for no names, one twice, a
    bound <= 1, a list of servers of another length, and a call without a key.
    """

    def __init__(self, names: Sequence[str], points: int = 100, bound: float | None = None):
        self.names = [arguments.text("name", name) for name in names]
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"names={self.names!r} must hold at least one name, and each once")
        self.points, self.bound = arguments.whole("points", points), bound
        if bound is not None and arguments.positive("bound", bound, "times the mean") <= 1:
            raise ValueError(f"bound={bound!r} must be > 1: if nobody may have more than the mean, all are full")
        ring = [(position(f"{name}#{point}"), i) for i, name in enumerate(self.names) for point in range(points)]
        self._places, self._owners = zip(*sorted(ring))

    def order(self, key) -> list[int]:
        """All servers as the key meets them on its way round the ring: its own first."""
        start = bisect_left(self._places, position(str(key)))
        return list(dict.fromkeys(self._owners[start:] + self._owners[:start]))

    def name_of(self, key) -> str:
        """The name of the key's own server."""
        return self.names[self._owners[bisect_left(self._places, position(str(key))) % len(self._owners)]]

    def pick(self, outstanding: Sequence[int], key=None) -> int:
        if len(outstanding) != len(self.names):
            raise ValueError(f"outstanding={list(outstanding)!r} must have as many entries as the ring has names")
        if key is None:
            raise ValueError("key=None: a ring needs the key of the call, such as the customer's number")
        there = [calls for calls in outstanding if calls < inf]
        room = inf if self.bound is None or not there else ceil(self.bound * (sum(there) + 1) / len(there))
        order = self.order(key)
        return next((index for index in order if outstanding[index] < room), order[0])
