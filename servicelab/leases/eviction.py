"""What a registry, or its client, does when instances have not been heard of.

Silence has two causes that look the same from here: the instance is dead, or the network between us is. To drop it is
right in the first case and wrong in the second, and worst when everybody is dropped at once.

| rule             | an instance whose lease has run out …                           | who does so          |
|------------------|-----------------------------------------------------------------|----------------------|
| TTLExpiry        | is critical at that moment, whoever else is                     | Consul (TTL checks)  |
| SelfPreservation | is removed at the next sweep, unless too few renewals came      | Eureka               |
| NeverEvict       | stays what it was                                               | a fixed list         |
| PanicThreshold   | (in the client) is used all the same when too few are healthy   | Envoy                |

An eviction rule is told of every renewal (``renewed``), says when it will look next (``next_sweep``) and chooses among
those whose lease has run out (``sweep``). ``removes`` says what becomes of them: removed, or critical.
"""

import math
from collections.abc import Callable, Sequence
from random import Random

from servicelab.arguments import generator, positive, share
from servicelab.leases.records import PASSING


class TTLExpiry:
    """A lease that was not renewed for its TTL is over at that moment. What Consul does with a TTL check."""

    removes = False
    interval = 0.0  # seconds until the rule looks again at leases that have run out and that it kept

    def __repr__(self):
        return "TTLExpiry()"

    def begin(self, now: float) -> None:
        """The registry starts."""

    def renewed(self, now: float) -> None:
        """A heartbeat came."""

    def next_sweep(self, at: float) -> float:
        """When a lease that runs out at ``at`` is looked at: then or later (seconds)."""
        return at

    def sweep(self, now: float, expired: Sequence, leases: int) -> list:
        """Which of the ``expired`` leases end now, of ``leases`` in all."""
        return list(expired)


class NeverEvict(TTLExpiry):
    """Nobody is ever dropped: what a fixed list of addresses does."""

    def __repr__(self):
        return "NeverEvict()"

    def next_sweep(self, at: float) -> float:
        return math.inf

    def sweep(self, now: float, expired: Sequence, leases: int) -> list:
        return []


class SelfPreservation(TTLExpiry):
    """Eureka's rule: when many heartbeats are missing at once, suspect the network and remove nobody.

    | setting          | default | unit    | consequence                                                          |
    |------------------|---------|---------|----------------------------------------------------------------------|
    | renewal_interval | 30      | seconds | how often each client renews; too long a value here never preserves  |
    | threshold        | 0.85    | share   | with fewer renewals than this share of the expected, nobody goes     |
    | window           | 60      | seconds | renewals are counted over the last complete window                   |
    | interval         | 60      | seconds | how often run-out leases are looked at                               |

    With n leases, ``int(n × window / renewal_interval × threshold)`` renewals are needed in a window, and *more*
    than that must have come. One sweep removes at most ``n − int(n × threshold)``, chosen at random with ``rng``, so
    that no service goes first. In the first window nothing has been counted yet: nobody is removed.

    Source: Netflix Eureka, ``AbstractInstanceRegistry.updateRenewsPerMinThreshold`` and ``.evict``,
    ``PeerAwareInstanceRegistryImpl.isLeaseExpirationEnabled``, ``MeasuredRate``
    (https://github.com/Netflix/eureka/tree/master/eureka-core). Left out: there a lease lasts twice its duration (the
    comment in ``Lease.isExpired`` says why), and peers replicate.

    Raises ValueError for a setting out of range, TypeError without a ``random.Random``.
    """

    removes = True

    def __init__(self, rng: Random, *, renewal_interval=30.0, threshold=0.85, window=60.0, interval=60.0):
        self.rng = generator(rng)
        self.renewal_interval = positive("renewal_interval", renewal_interval, "seconds")
        self.threshold = share("threshold", threshold, "Eureka's is 0.85")
        self.window, self.interval = positive("window", window, "seconds"), positive("interval", interval, "seconds")
        self._start: float | None = None
        self._bucket = 0
        self._counted = self._last = 0

    def __repr__(self):
        return f"SelfPreservation(rng, renewal_interval={self.renewal_interval}, threshold={self.threshold})"

    def needed(self, leases: int) -> int:
        """More renewals than this must come in a window, or nobody is removed."""
        return int(leases * (self.window / self.renewal_interval) * self.threshold)

    def renewals(self, now: float) -> int:
        """Renewals in the last complete window."""
        self._roll(now)
        return self._last

    def is_preserving(self, now: float, leases: int) -> bool:
        """Would a sweep at ``now`` spare everybody?"""
        needed = self.needed(leases)
        return not (needed > 0 and self.renewals(now) > needed)

    def begin(self, now: float) -> None:
        if self._start is None:
            self._start = now

    def renewed(self, now: float) -> None:
        self._roll(now)
        self._counted += 1

    def next_sweep(self, at: float) -> float:
        self.begin(at)
        sweeps = max(1, math.ceil((at - self._start) / self.interval))
        return max(at, self._start + sweeps * self.interval)  # the sum may round to less than ``at``

    def sweep(self, now: float, expired: Sequence, leases: int) -> list:
        if self.is_preserving(now, leases):
            return []
        most = leases - int(leases * self.threshold)
        return self.rng.sample(list(expired), min(most, len(expired)))

    def _roll(self, now):
        self.begin(now)
        bucket = math.floor((now - self._start) / self.window)
        if bucket > self._bucket:
            self._last = self._counted if bucket == self._bucket + 1 else 0
            self._bucket, self._counted = bucket, 0


class PanicThreshold:
    """Envoy's rule, in the client: when less than ``threshold`` of the instances are healthy, use all of them.

    Too few healthy ones would only be overloaded next, and so many failures at once are more likely one failure of
    the health checks. Default 0.5; 0 never panics.
    Source: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold
    """

    def __init__(self, threshold: float = 0.5):
        self.threshold = share("threshold", threshold, "Envoy's is 0.5")

    def __repr__(self):
        return f"PanicThreshold({self.threshold})"

    def is_panicking(self, healthy: int, total: int) -> bool:
        return total > 0 and healthy / total < self.threshold

    def choose(self, instances: Sequence, is_healthy: Callable = lambda instance: instance.status == PASSING) -> list:
        """The instances to balance over: the healthy ones, or in a panic all."""
        healthy = [instance for instance in instances if is_healthy(instance)]
        return list(instances) if self.is_panicking(len(healthy), len(instances)) else healthy
