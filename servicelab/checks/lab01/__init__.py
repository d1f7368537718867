"""The checks of lab 01, synchronous calls: one module per exercise, and what the exercises are given.

``stock``        1, repair: a careless CRUD service (``shelves``: the slow table it keeps its rows in)
``deadline``     2, build: a client with a true deadline (``wire``: the servers that drip, break off and say nothing)
``cache``        3, build: a cache that asks conditionally
``bottleneck``   4, measure, model and decide: what a stage lets through, and how long the wait is (``shop``: the shops)
``compression``  5, from production: when compressing pays, on a processor that keeps its own clock
"""

from servicelab.checks.lab01.bottleneck import check_bottleneck
from servicelab.checks.lab01.cache import check_cache
from servicelab.checks.lab01.compression import Processor, check_compression, parcels
from servicelab.checks.lab01.deadline import DeadlineExceeded, check_deadline
from servicelab.checks.lab01.shelves import Shelves
from servicelab.checks.lab01.shop import Shop, practice_shop
from servicelab.checks.lab01.stock import check_stock

__all__ = [
    "DeadlineExceeded", "Processor", "Shelves", "Shop", "check_bottleneck", "check_cache", "check_compression",
    "check_deadline", "check_stock", "parcels", "practice_shop",
]  # fmt: skip
