"""Many alike instances behind a balancer, in long runs: an event list in place of processes, ten times as fast.

Each of ``n`` instances has one worker and a queue; services are exponential with mean 1, the unit of time here. Calls
arrive at random (Poisson), or a number of callers each make their next call when the last has ended. The balancer is
one of the course's, unchanged.
"""

from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

import numpy as np

from servicelab.arguments import not_negative, positive, share, whole
from servicelab.policies.balancer import driven


class Run(NamedTuple):
    """``calls`` to each instance, ``time`` in services and ``ok`` of each call, ``longest`` queue (worker included).
    The first quarter of the run is left out."""

    calls: np.ndarray
    time: np.ndarray
    ok: np.ndarray
    longest: int


def fleet(
    balancer, n: int, load: float, until: float = 600, *, callers=None, news: float = 0, factors=(), failing=(), seed=1
) -> Run:
    """A run of ``until`` services with ``n`` × ``load`` calls a service, or with ``callers`` if their number is given.

    ``news``: the balancer sees counts that are renewed every so many services (0: always the true ones).
    ``factors`` are times by which the services of the first instances are longer, ``failing`` the indices of those
    that answer with errors. Queues are shown as they are, whoever filled them. Raises ValueError for a number out of
    range.
    """
    n, load = whole("n", n), positive("load", share("load", load), "calls a service for each instance")
    until = positive("until", until, "services")
    news = not_negative("news", news, "services")
    rng = Random(f"fleet {seed}")  # a balancer with a Random(seed) of its own must not draw the same numbers
    factors = [*factors, *[1.0] * (n - len(factors))]
    pick, heard = driven(balancer)
    queue, free, under_way = [0] * n, [0.0] * n, []
    seen, fresh_at, now, done, longest = queue, 0.0, 0.0, [], 0
    while now < until:
        if callers is None:
            now += rng.expovariate(n * load)
        elif len(under_way) >= callers:
            now = under_way[0][0]
        while under_way and under_way[0][0] <= now:
            end, index, came, ok = heappop(under_way)
            queue[index] -= 1
            heard(index, end - came, ok, end)
        if news and now >= fresh_at:
            seen, fresh_at = list(queue), now + news
        index = pick(seen, now, None)
        free[index] = max(now, free[index]) + rng.expovariate(1) * factors[index]
        queue[index] += 1
        ok = index not in failing
        heappush(under_way, (free[index], index, now, ok))
        if now > until / 4:
            done.append((index, free[index] - now, ok))
            longest = max(longest, queue[index])
    index, time, ok = np.array(done).T
    return Run(np.bincount(index.astype(int), minlength=n), time, ok.astype(bool), longest)
