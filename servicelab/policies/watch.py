"""Keeping the memory fresh without being asked: polling, and watching with blocking queries.

Both scripts go on for ever; whoever drives them ends them. What they hear goes into an
:class:`~servicelab.policies.resolver.InstanceCache`, where calls find it without waiting.
"""

from random import Random

from servicelab import arguments
from servicelab.policies import parts
from servicelab.policies.lookup import Lookup
from servicelab.policies.resolver import InstanceCache
from servicelab.policies.script import Sleep
from servicelab.policies.status import Status

#: By how much of ``wait`` a blocking query may take longer: Consul spreads the ends of queries that began together
#: over wait/16. Source: https://developer.hashicorp.com/consul/api-docs/features/blocking
WAIT_JITTER = 1 / 16


class Poll:
    """Ask for ``service`` every ``period`` seconds.

    | setting | default | unit        | consequence                                                                  |
    |---------|---------|-------------|------------------------------------------------------------------------------|
    | period  | none    | s           | a change is known after half of it on average; requests/s: clients / period  |
    | jitter  | 0.2     | of a period | 0: who begins together asks together, for ever (a thundering herd)           |
    | rng     | none    | Random      | each client its own, or they all draw the same                               |
    | timeout | 1       | s           | how long one lookup may take                                                 |

    The law: the first lookup is made at once, for somebody waits for it. With jitter the second follows after
    uniform(0, period), which spreads a herd over the whole period at one stroke, and each further one after period ×
    uniform(1 − jitter, 1 + jitter), so that none forms again. The mean period is ``period`` in any case. Times are kept
    by schedule, not from the last answer. A lookup that fails is not repeated sooner: the last known good bridges it.

    Raises ValueError for a period or timeout <= 0 and a jitter outside 0 to 1, TypeError without a Random.
    """

    def __init__(self, cache: InstanceCache, service: str, period: float, rng: Random, *, jitter=0.2, timeout=1.0):
        self.cache, self.service = cache, service
        self.period = arguments.positive("period", period, "seconds", "how often to ask")
        self.jitter = arguments.share("jitter", jitter, "0.2 means give or take 20% of the period")
        self.rng = arguments.generator(rng)
        self.timeout = arguments.positive("timeout", timeout, "seconds", "how long one lookup may take")

    def __repr__(self):
        return f"Poll({self.cache!r}, {self.service!r}, {self.period}, rng, jitter={self.jitter})"

    def script(self, now: float):
        due, first = now, True
        good_for = self.period * (1 + self.jitter) + self.timeout  # by then the next answer is here, or overdue
        while True:
            found = yield Lookup(self.service, self.timeout)
            now = found.at
            self.cache.learn(found, self.service, good_for)
            if first and self.jitter:
                gap = self.rng.uniform(0, self.period)
            else:
                gap = self.period * self.rng.uniform(1 - self.jitter, 1 + self.jitter)
            first = False
            due = max(now, due + gap)
            if due > now:
                now = (yield Sleep(due - now)).at


class Watch:
    """Ask for ``service`` with blocking queries: the source keeps each one waiting until something has changed.

    | setting | default | unit    | consequence                                                                      |
    |---------|---------|---------|----------------------------------------------------------------------------------|
    | backoff | none    | seconds | the sleeps after failures, such as FullJitter(0.1, 10, Random(7)); it begins anew|
    |         |         |         | with every success. Without jitter all clients of a dead registry return at once |
    | wait    | 300     | s       | how long the source may keep a query waiting (Consul's default; at most 600)     |
    | timeout | 5       | s       | what an answer may take beyond the wait                                          |
    | pause   | 0.1     | s       | the least time between two queries: a source that answers at once, for whatever  |
    |         |         |         | reason, is asked ten times a second and not ten thousand times                   |

    What the index of an answer means (source: Consul's documentation of blocking queries):

    * It is the same as before: the wait was over, nothing has changed. Ask again.
    * It has grown: something has changed, though perhaps not the instances (a *spurious return*).
    * It has gone back: the source has lost its memory. Ask anew, without an index, or hear nothing until it has grown
      beyond the old one.
    * It is 0 or missing: an index of 0 would not block; 1 is the least that is asked for.

    After a failure, too, the next query has no index, for nobody knows who will answer it.

    Raises ValueError for a wait, timeout or pause out of range, TypeError when ``backoff`` is none.
    """

    def __init__(self, cache: InstanceCache, service: str, backoff, *, wait=300.0, timeout=5.0, pause=0.1):
        self.cache, self.service = cache, service
        self.backoff = parts.backoff(backoff)
        self.wait = arguments.positive("wait", wait, "seconds", "how long a query may be kept waiting; 300 is usual")
        if wait > 600:
            raise ValueError(f"wait={wait} must be <= 600 (seconds): Consul keeps no query waiting for longer")
        self.timeout = arguments.positive("timeout", timeout, "seconds", "what an answer may take beyond the wait")
        self.pause = arguments.positive("pause", pause, "seconds", "without one a source that never blocks is flooded")

    def __repr__(self):
        return f"Watch({self.cache!r}, {self.service!r}, {self.backoff!r}, wait={self.wait})"

    def script(self, now: float):
        index, delays = 0, self.backoff.delays()
        longest = self.wait * (1 + WAIT_JITTER) + self.timeout
        while True:
            asked = now
            if index:
                found = yield Lookup(self.service, longest, index, self.wait)
            else:
                found = yield Lookup(self.service, self.timeout)
            now = found.at
            self.cache.learn(found, self.service, longest)
            if found.status != Status.OK:
                index, rest = 0, next(delays)
            else:
                new = max(1, found.index or 0)
                index, rest = (new if new >= index else 0), 0.0
                delays = self.backoff.delays()
            rest = max(rest, asked + self.pause - now)
            if rest > 0:
                now = (yield Sleep(rest)).at
