"""What to do with a copy of an answer: give it out, fetch a new one, or wait for somebody who is fetching.

Rules:

1. ``decide(now, copy, fetching)`` answers SERVE, FETCH or JOIN. ``copy`` is the :class:`Copy` at hand or None;
   ``fetching`` says whether somebody fetches this page already. Times are seconds on the caller's clock.
2. A copy is fresh until ``until``; at that moment it is too old. JOIN is answered only when somebody fetches.
3. Whoever is told to FETCH waits for the fetch itself. The policy remembers nothing, so one may serve many pages.

| policy     | too old, nobody fetches | too old, somebody fetches | still fresh                                     |
|------------|-------------------------|---------------------------|-------------------------------------------------|
| Expire     | FETCH                   | FETCH: the stampede       | SERVE                                           |
| Coalesce   | FETCH                   | JOIN                      | SERVE                                           |
| FetchEarly | as its ``inner``        | as its ``inner``          | FETCH by chance, likelier near the end  |
"""

from math import log
from random import Random
from typing import Any, NamedTuple

from servicelab import arguments
from servicelab.policies.moments import reached

SERVE, FETCH, JOIN = "serve", "fetch", "join"


class Copy(NamedTuple):
    """A ``value`` that is fresh ``until`` a moment, and took ``cost`` seconds to fetch."""

    value: Any
    until: float
    cost: float


class Expire:
    """Who finds no fresh copy fetches one, whatever the others do."""

    def __repr__(self):
        return f"{type(self).__name__}()"

    def decide(self, now: float, copy: Copy | None, fetching: bool) -> str:
        return FETCH if copy is None or reached(now, copy.until) else SERVE


class Coalesce(Expire):
    """Who finds no fresh copy fetches one, unless somebody does: then it waits for that one ("single flight")."""

    def decide(self, now: float, copy: Copy | None, fetching: bool) -> str:
        do = super().decide(now, copy, fetching)
        return JOIN if do == FETCH and fetching else do


class FetchEarly:
    """XFetch: a fresh copy, too, is fetched again, with probability exp(−(time left) / (β × cost)).

    | setting | default  | unit   | consequence                                                                       |
    |---------|----------|--------|-----------------------------------------------------------------------------------|
    | rng     | none     | —      | a ``random.Random`` that draws                                                    |
    | beta    | 1.0      | —      | larger: earlier, and more often; smaller: nearer to the stampede                  |
    | inner   | Expire() | policy | what is done when no copy is fresh. The paper's is Expire; Coalesce also helps at |
    |         |          |        | a cold start, when there is nothing that could be fetched early                   |

    Source: Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention" (PVLDB 8(8), 2015).
    Raises ValueError for a ``beta`` <= 0, TypeError for an ``rng`` that is no random.Random.
    """

    def __init__(self, rng: Random, beta: float = 1.0, inner: Expire | None = None):
        self.rng = arguments.generator(rng)
        self.beta = arguments.positive("beta", beta, "of the time that a fetch takes")
        self.inner = inner or Expire()

    def __repr__(self):
        return f"FetchEarly(rng, beta={self.beta}, inner={self.inner!r})"

    def decide(self, now: float, copy: Copy | None, fetching: bool) -> str:
        do = self.inner.decide(now, copy, fetching)
        if do != SERVE:
            return do
        early = -self.beta * copy.cost * log(1 - self.rng.random())  # 1 − u: never the logarithm of 0
        return FETCH if reached(now + early, copy.until) else SERVE
