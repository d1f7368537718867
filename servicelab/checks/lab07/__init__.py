"""The checks of lab 07, API gateway: one module per exercise, and what the exercises are given.

``gateway``    1, repair: a gateway that passes on what it gets
``cache``      2, build: a cache that mixes nobody
``limiter``    3, build: a limiter for several gateways
``room``       4, measure and decide: how much room for copies, and for how long (``plans``: the days)
"""

from servicelab.checks.lab07.cache import Reply, Request, check_cache, try_day
from servicelab.checks.lab07.gateway import check_gateway
from servicelab.checks.lab07.limiter import Store, check_limiter
from servicelab.checks.lab07.plans import Day, practice_day
from servicelab.checks.lab07.room import check_room

__all__ = [
    "Day", "Reply", "Request", "Store", "check_cache", "check_gateway", "check_limiter", "check_room", "practice_day",
    "try_day",
]  # fmt: skip
