"""How to come back after a connection was lost: when to try, where to go on, and what has been seen already.

:class:`Reconnect` says when. Its rules:

1. Each loss, and each attempt that fails, is answered with a delay in seconds from the backoff (``delays()``).
2. A connection that has lived for ``stable`` seconds has proved itself: the next loss begins at the first delay again.
   One that was lost sooner goes on where it was. So a server that accepts and drops at once is not hammered.

:class:`Resume` says from where, in a stream whose messages are numbered 1, 2, 3, … Its rules:

1. Numbers up to ``last`` have been seen. Whoever reconnects asks for what comes after it.
2. The message ``last + 1`` is NEW, one at or below ``last`` a DUPLICATE, one further on shows a GAP.
3. A gap does not move ``last``: the missing messages may still be had by asking again. When the sender no longer has
   them, ``skip_to(number)`` gives them up and notes them in ``missing``.

"At most once" is to forget what was lost, "at least once" to ask again, and asking again plus dropping duplicates is
what a reader sees as "exactly once". Source of resuming by the last id seen: HTML Living Standard, section
"Server-sent events" (Last-Event-ID).
"""

from collections.abc import Iterator
from enum import StrEnum

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.moments import NEVER, onward, reached

NUMBERED = "messages are numbered 1, 2, 3, …"


class Reconnect:
    """When to try again.

    | setting | default | unit    | consequence                                                              |
    |---------|---------|---------|--------------------------------------------------------------------------|
    | backoff | none    |         | the law of the delays, such as ``FullJitter(0.1, 10, Random(7))``;       |
    |         |         |         | without jitter all readers of a server come back in the same instant     |
    | stable  | 30      | seconds | how long a connection must live until the delays begin anew; 0: always   |

    One object serves one connection; it is not shared. ``attempts`` counts since the delays began anew.
    Raises TypeError when ``backoff`` is no backoff, ValueError for a negative ``stable``.
    """

    def __init__(self, backoff, stable: float = 30.0):
        self.backoff = parts.backoff(backoff)
        self.stable = arguments.not_negative("stable", stable, "seconds", "how long a good connection lives at least")
        self.attempts = 0
        self._delays: Iterator[float] = backoff.delays()
        self._opened: float | None = None
        self._latest = NEVER

    def __repr__(self):
        return f"Reconnect({self.backoff!r}, stable={self.stable})"

    def opened(self, now: float) -> None:
        """The connection stands."""
        self._opened = self._latest = onward(now, self._latest)

    def lost(self, now: float) -> float:
        """The connection broke, or could not be made: seconds to wait before the next attempt."""
        self._latest = onward(now, self._latest)
        if self._opened is not None and reached(now, self._opened + self.stable):
            self.attempts = 0
            self._delays = self.backoff.delays()
        self._opened = None
        self.attempts += 1
        return next(self._delays)


class Seen(StrEnum):
    """What a message is to a reader who has seen all up to ``last``."""

    NEW = "new"
    DUPLICATE = "duplicate"
    GAP = "gap"


class Resume:
    """Where a reader is in a stream numbered 1, 2, 3, …

    ``last`` is the highest number up to which everything was seen (0: nothing yet; give it to go on where an earlier
    reader stopped). ``duplicates`` counts the repeated, ``gaps`` how often messages were found missing, ``missing``
    lists those given up as ``(first, last)``. Raises ValueError for a negative number, TypeError for no whole number.
    """

    def __init__(self, last: int = 0):
        self.last = arguments.whole("last", last, NUMBERED, least=0)
        self.duplicates = self.gaps = 0
        self.missing: list[tuple[int, int]] = []

    def __repr__(self):
        return f"Resume(last={self.last})"

    def take(self, number: int) -> Seen:
        """A message came: what is it? Only NEW moves ``last``. Raises ValueError for a number below 1."""
        arguments.whole("number", number, NUMBERED)
        if number <= self.last:
            self.duplicates += 1
            return Seen.DUPLICATE
        if number > self.last + 1:
            self.gaps += 1
            return Seen.GAP
        self.last = number
        return Seen.NEW

    def skip_to(self, number: int) -> None:
        """Give up what is missing before ``number``, which is the next that is expected."""
        if arguments.whole("number", number, NUMBERED) > self.last + 1:
            self.missing.append((self.last + 1, number - 1))
            self.last = number - 1

    @property
    def given_up(self) -> int:
        """How many messages are missing for good."""
        return sum(last - first + 1 for first, last in self.missing)
