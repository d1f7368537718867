"""How many calls in how much time: a token bucket, a sliding window, and the policy that keeps to them.

Rules:

1. A *law* is asked with ``reserve(now, patience)`` and answers how many seconds to wait, 0 to go at once, or None when
   it would take longer than ``patience``. What it answers with a number is booked: whoever gets one has its turn at
   ``now`` + that number. What it answers with None costs nothing. ``admit(now)`` is the same without patience.
2. Turns are given in the order in which they are asked for. Nobody is overtaken.
3. Laws are shared by many calls and safe under threads. Times are compared as :mod:`servicelab.policies.moments` says.

| law                          | turns in any t seconds         | lets a burst through        | remembers     |
|------------------------------|--------------------------------|-----------------------------|---------------|
| TokenBucket(rate, burst)     | at most burst + rate × t       | of ``burst`` after a pause  | one number    |
| SlidingWindow(limit, window) | at most ``limit`` in a window  | of ``limit`` in no time     | ``limit`` times |

A *fixed* window (so many per calendar second) is left out on purpose: across the border of two windows it lets twice
its limit through.
"""

import threading
from collections import deque

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.moments import NEVER, onward, reached
from servicelab.policies.script import Policy, Script, Sleep, follow
from servicelab.policies.status import Status


class _Law:
    def __init__(self):
        self._latest = NEVER
        self._lock = threading.Lock()

    def admit(self, now: float) -> bool:
        """May a call go now? If so, it is booked."""
        return self.reserve(now) is not None

    def reserve(self, now: float, patience: float = 0.0) -> float | None:
        """Seconds until the turn of a call that asks at ``now`` and would wait ``patience`` seconds at most; None if
        that is not enough."""
        with self._lock:
            now = self._latest = onward(now, self._latest)
            wait = self._wait(now)
            if not reached(patience, wait):
                return None
            self._book(now + wait)
            return 0.0 if reached(0, wait) else wait


class TokenBucket(_Law):
    """A bucket that ``rate`` tokens a second drip into, up to ``burst``; a call takes out one, or books one to come.

    | setting | default | unit    | consequence                                                                    |
    |---------|---------|---------|--------------------------------------------------------------------------------|
    | rate    | none    | calls/s | what the other side is promised in the long run                                |
    | burst   | none    | calls   | what it must bear at once after a pause; 1 spaces calls evenly, 1 / rate apart |

    The bucket is full at the start. The algorithm is RFC 2697's ("A Single Rate Three Color Marker", 1999) for one
    bucket, with one token a call. Neither setting has a default: both are a contract with the server.
    Raises ValueError for a ``rate`` <= 0 or a ``burst`` < 1, TypeError for what is no number.
    """

    def __init__(self, rate: float, burst: float):
        super().__init__()
        self.rate = arguments.positive("rate", rate, "calls/s", "to stop all calls, make none")
        self.burst = arguments.positive("burst", burst, "calls", "the bucket has to hold the token of a call")
        if burst < 1:
            raise ValueError(f"burst={burst} must be >= 1 (calls): a call takes a whole token out of the bucket")
        # When it was full, and how many tokens were taken or booked since. That needs no refilling, and to count
        # them, instead of adding up their times, adds up no roundings.
        self._full_at, self._taken = NEVER, 0

    def __repr__(self):
        return f"TokenBucket(rate={self.rate}, burst={self.burst})"

    def tokens(self, now: float) -> float:
        """Tokens in the bucket at ``now``: at most ``burst``; below 0 when calls wait for theirs."""
        with self._lock:
            if self._full_at == NEVER:
                return self.burst
            return min(self.burst, self.burst - self._taken + self.rate * (now - self._full_at))

    def _wait(self, now):
        """Until the bucket holds a whole token."""
        since = now - self._full_at
        if since * self.rate >= self._taken:
            self._full_at, self._taken, since = now, 0, 0.0
        return max(0.0, (self._taken + 1 - self.burst) / self.rate - since)

    def _book(self, at):
        self._taken += 1


class SlidingWindow(_Law):
    """At most ``limit`` calls in any ``window`` seconds, counted exactly: the times of the last ``limit`` are kept.

    | setting | default | unit    | consequence                                                                     |
    |---------|---------|---------|---------------------------------------------------------------------------------|
    | limit   | none    | calls   | in any window, wherever it begins                                               |
    | window  | none    | seconds | long ones are generous to bursts and slow to forgive them                       |

    A call that is exactly ``window`` seconds old has left the window. Raises ValueError for a ``limit`` < 1 or a
    ``window`` <= 0, TypeError for a ``limit`` that is no whole number.
    """

    def __init__(self, limit: int, window: float):
        super().__init__()
        self.limit = arguments.whole("limit", limit, "to stop all calls, make none")
        self.window = arguments.positive("window", window, "seconds", "a limit is a number of calls in some time")
        self._times = deque(maxlen=self.limit)  # of the last turns; they may lie in the future

    def __repr__(self):
        return f"SlidingWindow(limit={self.limit}, window={self.window})"

    def count(self, now: float) -> int:
        """Turns in the window that ends at ``now`` or booked for later."""
        with self._lock:
            return sum(not reached(now, at + self.window) for at in self._times)

    def _wait(self, now):
        if not self._times:
            return 0.0
        free = self._times[0] + self.window if len(self._times) == self.limit else now
        return max(now, free, self._times[-1]) - now

    def _book(self, at):
        self._times.append(at)


class RateLimiter:
    """Ask ``law`` for a turn before each call; wait for it up to ``patience`` seconds, else the call is REJECTED.

    | setting  | default | unit    | consequence                                                                       |
    |----------|---------|---------|-----------------------------------------------------------------------------------|
    | inner    | none    | policy  | what is done when the turn has come                                               |
    | law      | none    | law     | TokenBucket or SlidingWindow; share it to limit several clients together          |
    | patience | 5.0     | seconds | 0 rejects whatever cannot go at once; long patience is a queue, with its waiting. |
    |          |         |         | The default is resilience4j's ``timeoutDuration``                                 |

    A call that gives its turn up while it waits (a Deadline, an interrupt) does not hand it back. Around a Retry it
    limits calls, inside one it limits attempts. Source: https://resilience4j.readme.io/docs/ratelimiter.
    Raises ValueError for a negative ``patience``, TypeError for an argument of the wrong kind.
    """

    def __init__(self, inner: Policy, law: TokenBucket | SlidingWindow, patience: float = 5.0):
        self.inner = parts.policy("inner", inner)
        self.law = parts.law(law)
        self.patience = arguments.not_negative("patience", patience, "seconds", "0 rejects what cannot go at once")

    def __repr__(self):
        return f"RateLimiter({self.inner!r}, {self.law!r}, patience={self.patience})"

    def script(self, now: float) -> Script:
        delay = self.law.reserve(now, self.patience)
        if delay is None:
            return Status.REJECTED
        if delay > 0:
            now = (yield Sleep(delay)).at
        status, _ = yield from follow(self.inner, now)
        return status
