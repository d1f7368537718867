"""The checks of lab 09, load balancing: one module per exercise, and what the exercises are given.

``balancer``  1, repair: a balancer that is drawn into a black hole (``days``: the fleet it is put to work on)
``ring``      2, build: a hash ring, and who takes over
``subsets``   3, build: which servers a client knows
``ejector``   4, build: who fails is out, and never too many
``headroom``  5, measure and decide: how many instances
"""

from servicelab.checks.lab09.balancer import check_balancer
from servicelab.checks.lab09.days import share_of_the_broken
from servicelab.checks.lab09.ejector import check_ejector
from servicelab.checks.lab09.headroom import Shop, check_headroom, practice_shop
from servicelab.checks.lab09.ring import check_ring
from servicelab.checks.lab09.subsets import check_subsets

__all__ = [
    "Shop", "check_balancer", "check_ejector", "check_headroom", "check_ring", "check_subsets", "practice_shop",
    "share_of_the_broken",
]  # fmt: skip
