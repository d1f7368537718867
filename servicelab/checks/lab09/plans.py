"""The shops of exercise 5, and what is right for them: exact, by the formulas of the chapter."""

from dataclasses import dataclass
from itertools import count
from math import ceil, comb

CASES = ("all up", "one dies", "two die", "zone", "zone and one", "goal")


@dataclass(frozen=True)
class Shop:
    """A shop, and what was measured of one of its instances.

    | what      | unit    | meaning                                                                                |
    |-----------|---------|----------------------------------------------------------------------------------------|
    | peak      | calls/s | that the shop gets in its worst hour                                                   |
    | promise   | s       | that 99 % of the answers take at most                                                  |
    | test      |         | of one instance: pairs (calls/s, seconds that 99 % took at most), as they were tried    |
    | zones     |         | over which the instances are spread, as evenly as they can be                          |
    | up        | share   | of the time that an instance works, each for reasons of its own                        |
    | shared    | share   | of the time that works what all of them need (one database)                            |
    | goal      | share   | of the time that the shop has to bear its peak                                         |
    """

    peak: int
    promise: float
    test: tuple[tuple[int, float], ...]
    zones: int
    up: float
    shared: float
    goal: float

    @property
    def rate(self) -> int:
        """The calls/s that one instance bears."""
        bad = min((rate for rate, took in self.test if took > self.promise), default=float("inf"))
        return max(rate for rate, _ in self.test if rate < bad)


def likely(shop, n: int, need: int, shared: float) -> float:
    """How likely is it that ``need`` of ``n`` instances work, and what they share?"""
    return shared * sum(comb(n, k) * shop.up**k * (1 - shop.up) ** (n - k) for k in range(need, n + 1))


def for_goal(shop, shared: float):
    need = ceil(shop.peak / shop.rate)
    if shared <= shop.goal:
        return None
    return next(n for n in count(need) if likely(shop, n, need, shared) >= shop.goal)


def right(shop) -> dict[str, int | None]:
    """How many instances it needs in each case; None where no number does."""
    need = -(-shop.peak // shop.rate)

    def spread(left):
        return None if shop.zones == 1 else -(-left * shop.zones // (shop.zones - 1))

    return dict(zip(CASES, (need, need + 1, need + 2, spread(need), spread(need + 1), for_goal(shop, shop.shared))))


PRACTICE = Shop(300, 0.3, ((10, 0.08), (20, 0.11), (30, 0.2), (40, 0.9)), 3, 0.98, 0.9995, 0.999)
#: Hidden. In the first the numbers come out even, and are large; the second has one row that was luck, a test in
#: disorder and a remainder below a half; the third has one zone, no bad row, and needs no spare ones for its goal; the
#: fourth has a database that is not up to the goal.
CHECKED = (
    Shop(4500, 0.2, ((40, 0.05), (60, 0.06), (80, 0.09), (90, 0.2), (100, 0.21), (120, 0.9)), 3, 0.99, 0.9999, 0.9998),
    Shop(490, 0.25, ((50, 0.8), (30, 0.12), (40, 0.24), (35, 0.26), (20, 0.08)), 4, 0.95, 0.9992, 0.999),
    Shop(70, 0.5, ((5, 0.1), (10, 0.2), (15, 0.4), (20, 0.5)), 1, 0.999, 1.0, 0.99),
    Shop(18, 1.0, ((10, 0.2), (20, 0.9), (30, 3.0)), 2, 0.999, 0.999, 0.9995),
)


def practice_shop() -> Shop:
    """A shop to try things on; the check has others."""
    return PRACTICE
