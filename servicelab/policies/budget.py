"""How many retries all calls together may make."""

import threading

from servicelab import arguments
from servicelab.policies.moments import NEVER, onward, reached


class RetryBudget:
    """A bucket of tokens that all calls of a client share: each call puts in a little, each retry takes out one.

    When a few calls fail, all of them are retried. When all fail, only ``ratio`` of them are: the load that retries
    add stays bounded, whatever ``tries`` says.

    | setting        | default | unit      | consequence                                                              |
    |----------------|---------|-----------|--------------------------------------------------------------------------|
    | ratio          | 0.1     | retries   | tokens that each first attempt puts in; in the long run the load is at   |
    |                |         | per call  | most (1 + ratio) × calls, plus min_per_second                            |
    | min_per_second | 10      | retries/s | tokens that time puts in, so that a client with few calls may retry      |
    | reserve        | 100     | retries   | tokens in the full bucket, and at the start; bounds a burst of retries   |

    Rule: up to any time t after the first call, retries <= reserve + ratio × calls + min_per_second × t.

    Sources: the semantics and the defaults of min_per_second and reserve (10 retries/s kept for 10 s) are those of
    Finagle's RetryBudget, except that Finagle lets each deposit expire after 10 s where this bucket has a brim; the
    brim is gRPC's ``maxTokens`` (gRPC proposal A6). Finagle's default ratio is 0.2; 0.1 is the one in "Site
    Reliability Engineering" (O'Reilly, 2016), chapter 21, "Handling Overload".

    Thread-safe. Times are seconds on the caller's clock.
    Raises ValueError for a ratio outside [0, 1], a negative min_per_second, or a reserve below 1.
    """

    def __init__(self, ratio: float = 0.1, min_per_second: float = 10.0, reserve: float = 100.0):
        self.ratio = arguments.share("ratio", ratio, "0.1 allows one retry for every ten calls")
        self.min_per_second = arguments.not_negative("min_per_second", min_per_second, "retries/s", "0 for none")
        self.reserve = arguments.positive("reserve", reserve, "retries", "the bucket has to hold the token of a retry")
        if reserve < 1:
            raise ValueError(f"reserve={reserve} must be >= 1 (retries): a retry takes a whole token out of the bucket")
        self._tokens = float(reserve)
        self._latest = NEVER
        self._lock = threading.Lock()

    def __repr__(self):
        return f"RetryBudget(ratio={self.ratio}, min_per_second={self.min_per_second}, reserve={self.reserve})"

    def deposit(self, now: float) -> None:
        """A call begins at ``now`` (seconds)."""
        with self._lock:
            self._fill(now, self.ratio)

    def withdraw(self, now: float) -> bool:
        """May a call be retried at ``now`` (seconds)? If so, its token is taken."""
        with self._lock:
            self._fill(now)
            if not reached(self._tokens, 1):  # ten tenths are a token, whatever they add up to
                return False
            self._tokens = max(0.0, self._tokens - 1)
            return True

    def balance(self, now: float) -> float:
        """Tokens in the bucket at ``now`` (seconds): from 0 to ``reserve``."""
        with self._lock:
            return self._tokens_at(max(now, self._latest))

    def _fill(self, now, tokens=0.0):
        now = onward(now, self._latest)
        self._tokens = min(self.reserve, self._tokens_at(now) + tokens)
        self._latest = now

    def _tokens_at(self, now):
        if self._latest == NEVER:
            return self._tokens
        return min(self.reserve, self._tokens + self.min_per_second * (now - self._latest))
