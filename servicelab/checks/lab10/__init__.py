"""The checks of lab 10, circuit breaking: one module per exercise, and what the exercises are given.

``breaker``   1, build: a circuit breaker from its specification
``backoff``   2, build: full jitter, a shared retry budget, and a client that repeats only what is safe
``deadline``  3, repair: a deadline that travels down a chain of three services
``sizes``     4, measure and decide: bulkheads for one pool of workers (``mixed``: the shop, on sockets and in SimPy)
``storm``     5, find and cure: a retry storm (``tower``: a shop four services deep)
``lost``      a reply that is lost
"""

from servicelab.checks.lab10.backoff import check_backoff
from servicelab.checks.lab10.breaker import check_breaker
from servicelab.checks.lab10.deadline import check_deadline
from servicelab.checks.lab10.four_tier_shop import TowerShop, stormy_shop, tower_shop
from servicelab.checks.lab10.mixed import MixedShop, practice_shop, simulate
from servicelab.checks.lab10.sizes import check_sizes
from servicelab.checks.lab10.storm import check_storm

__all__ = [
    "MixedShop", "TowerShop", "check_backoff", "check_breaker", "check_deadline", "check_sizes", "check_storm",
    "practice_shop", "simulate", "stormy_shop", "tower_shop",
]  # fmt: skip
