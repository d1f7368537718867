"""A client that asks less when it hears no often.

A server that turns a call away has worked for it, too: it has read it, and said no. Past some load it does nothing
else. The remedy is with the client, which knows from its own last two minutes how often it was accepted, and turns a
part of its own calls away before they cost anybody anything.

Rules:

1. ``requests`` are the calls that wanted to be made in the last ``window`` seconds, also those rejected here;
   ``accepts`` are those that the server took.
2. A call is REJECTED here, without an attempt, with probability ``max(0, (requests - k × accepts) / (requests + 1))``.
3. So some calls always get through, at least one in ``requests + 1``: they are the probes, and there is no state to
   be stuck in. When the server accepts again, ``accepts`` catch up, and what it refused leaves the window.

The way back takes time. After an outage that has filled the whole window, accepts begin at none and multiply: with
k = 2 by e in every window / 1.594 (x = 1.594 solves x = 2 (1 - exp(-x)), the growth of accepts that leave the window
after ``window``), until they are half the requests. That is about window / 1.6 × ln(requests): nine minutes at
10 calls/s, with a wide spread, for the first probes come by chance. A shorter window comes back sooner, a k near 1
much later.

Source of the formula, of the window of two minutes and of k = 2: "Site Reliability Engineering" (O'Reilly, 2016),
chapter 21, "Handling Overload", section "Client-Side Throttling".
"""

import threading
from collections import deque
from random import Random

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.moments import NEVER, interval, onward
from servicelab.policies.script import Policy, Script, follow
from servicelab.policies.status import Status

#: What does not count as accepted. The book means the server's own rejections; a server too busy to say no times out,
#: breaks off or answers 5xx instead, and the client has to take that for a no.
NOT_ACCEPTED = frozenset(set(Status) - {Status.OK})

#: The window is counted in so many slices, so that its memory does not grow with the load.
SLICES = 60


class AdaptiveThrottle:
    """Reject calls here with the probability with which the server rejects them there, less a share for probes.

    | setting      | default      | unit     | consequence                                                             |
    |--------------|--------------|----------|-------------------------------------------------------------------------|
    | inner        | none         | policy   | what is done with a call that is let through                            |
    | rng          | none         | —        | a ``random.Random`` that decides which calls are turned away            |
    | k            | 2.0          | requests | per accept that are tolerated: at 2 the server sees about twice what it |
    |              |              |          | accepts; nearer to 1 it sees fewer in vain, and news reaches us later   |
    | window       | 120.0        | seconds  | how long a refusal is remembered, in 60 slices                          |
    | not_accepted | all failures | statuses | of the calls made, those that do not count as accepted: any but OK and  |
    |              |              |          | the attempt's own, such as "HTTP 404", which the server has worked on   |

    A share of refusals below 1 - 1/k changes nothing. Put it inside a Retry and every attempt is counted and throttled,
    which is what the book does; REJECTED is not retried. Thread-safe.

    Raises ValueError for ``k`` < 1 (it would reject calls to a healthy server) or ``window`` <= 0, TypeError for an
    argument of the wrong kind.
    """

    def __init__(self, inner: Policy, rng: Random, k: float = 2.0, window: float = 120.0, not_accepted=NOT_ACCEPTED):
        self.inner = parts.policy("inner", inner)
        self.rng = arguments.generator(rng)
        self.k = arguments.positive("k", k, "requests per accept", "2.0 is the book's")
        if k < 1:
            raise ValueError(f"k={k} must be >= 1 (requests per accept): below 1 a healthy server's calls are rejected")
        self.window = arguments.positive("window", window, "seconds", "it is how long a refusal is remembered")
        self.not_accepted = parts.statuses("not_accepted", not_accepted)
        self._slices = deque()  # [number of the slice, requests, accepts], the oldest first
        self._latest = NEVER
        self._requests = self._accepts = 0
        self._lock = threading.Lock()

    def __repr__(self):
        return f"AdaptiveThrottle({self.inner!r}, rng, k={self.k}, window={self.window})"

    def counts(self, now: float) -> tuple[int, int]:
        """``(requests, accepts)`` of the window that ends at ``now`` (seconds)."""
        with self._lock:
            self._slice(max(now, self._latest))
            return self._requests, self._accepts

    def probability(self, now: float) -> float:
        """The probability with which a call at ``now`` is rejected here."""
        with self._lock:
            self._slice(max(now, self._latest))
            return self._probability()

    def script(self, now: float) -> Script:
        with self._lock:
            current = self._slice(now)
            probability = self._probability()
            current[1] += 1
            self._requests += 1
            # Without draws as long as all is well: a healthy client's runs do not depend on the seed.
            rejected = probability > 0 and self.rng.random() < probability
        if rejected:
            return Status.REJECTED
        status, now = yield from follow(self.inner, now)
        if status not in self.not_accepted:
            with self._lock:
                self._slice(now)[2] += 1
                self._accepts += 1
        return status

    def _probability(self):
        return max(0.0, (self._requests - self.k * self._accepts) / (self._requests + 1))

    def _slice(self, now):
        """The slice of ``now``; those that have left the window are forgotten."""
        now = self._latest = onward(now, self._latest)
        slices = self._slices
        number = interval(now, self.window / SLICES)
        if not slices or number > slices[-1][0]:
            slices.append([number, 0, 0])
        while slices[0][0] <= number - SLICES:
            _, requests, accepts = slices.popleft()
            self._requests -= requests
            self._accepts -= accepts
        return slices[-1]
