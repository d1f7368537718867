"""The checks of lab 08, service discovery: one module per exercise, and what the exercises are given.

``keeper``    1, repair: a lease that is kept, and given back
``resolver``  2, build: a resolver with a memory and a last known good
``watcher``   3, build: a watcher on blocking queries that is not fooled
``budget``    4, measure and decide: a way of knowing, lease, heartbeat and period for a budget (``shops``: what a
              choice costs)
``herd``      5, repair: hundreds of clients whose registry is back
``registry_stage``  a registry for one part of a check
"""

from servicelab.checks.lab08.budget import check_budget
from servicelab.checks.lab08.herd import check_herd
from servicelab.checks.lab08.keeper import check_keeper
from servicelab.checks.lab08.resolver import check_resolver
from servicelab.checks.lab08.shops import Shop, formulas, practice_shop
from servicelab.checks.lab08.watcher import check_watcher

__all__ = [
    "Shop", "check_budget", "check_herd", "check_keeper", "check_resolver", "check_watcher", "formulas",
    "practice_shop",
]  # fmt: skip
