"""The checks of lab 01, synchronous calls: one module per exercise, and what the exercises are given."""

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
