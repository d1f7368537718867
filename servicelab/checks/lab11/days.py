"""The shops of exercise 5: how late messages come again, and how late a relay publishes. Simulated, and seeded."""

from bisect import bisect_right
from functools import cache
from itertools import accumulate
from math import ceil, exp
from random import Random
from typing import NamedTuple

GOAL, LAG = 1e-4, 0.5  # repeats that pass the inbox, of all messages; seconds that 99% of the lags are below
MESSAGES, ORDERS = 1_000_000, 10_000  # that are watched


class Setting(NamedTuple):
    """``rate`` orders/s; the relay takes ``batch`` rows a poll, and ``publish`` seconds for each. The share ``twice``
    of the messages comes again: one part of them each after so many seconds on average, ``((share, mean), …)``."""

    rate: float
    batch: int
    publish: float
    twice: float
    late: tuple[tuple[float, float], ...]

    def repeats(self, window: float) -> float:
        """The share of the messages that come again when the inbox has forgotten them."""
        return self.twice * sum(share * exp(-window / mean) for share, mean in self.late)


class Shop:
    """A shop that can be watched: :meth:`again` and :meth:`lags`. It always shows the same."""

    def __init__(self, setting: Setting):
        self._setting, self.told = setting, []

    def again(self) -> tuple[int, list[float]]:
        """How many messages there were, and for each that came twice the seconds between the two."""
        dice, setting = Random(1), self._setting
        kinds = dice.choices(setting.late, [share for share, _ in setting.late], k=round(MESSAGES * setting.twice))
        self.told.append("what came again")
        return MESSAGES, [dice.expovariate(1 / mean) for _, mean in kinds]

    def lags(self, poll: float) -> list[float]:
        """The seconds from commit to confirm of ten thousand orders, with a relay that polls every ``poll`` seconds; a
        poll that takes longer than that skips the next ones. Raises ValueError for an interval not 0.005 to 60 s."""
        if not 0.005 <= poll <= 60:
            raise ValueError(f"poll={poll!r} must be 0.005 to 60 seconds")
        dice, setting, found, now, tick = Random(2), self._setting, [], 0.0, 0
        commits = list(accumulate(dice.expovariate(setting.rate) for _ in range(ORDERS)))
        self.told.append(f"a poll every {poll:.3g} s")
        while len(found) < ORDERS:
            tick = max(tick + 1, ceil(now / poll))
            now = tick * poll
            there = bisect_right(commits, now, lo=len(found))
            for commit in commits[len(found) : min(there, len(found) + setting.batch)]:
                now += setting.publish
                found.append(now - commit)
        return found


def p99(setting: Setting, poll: float) -> float:
    return sorted(Shop(setting).lags(min(max(poll, 0.005), 60.0)))[ORDERS * 99 // 100]


def last(fits, low: float, high: float) -> float:
    """The last number that ``fits``, if all up to it do, to three digits."""
    while high - low > low / 1000:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@cache
def right(setting: Setting) -> tuple[float, float]:
    """The smallest window, and the longest interval."""
    window = last(lambda window: setting.repeats(window) > GOAL, 1.0, 1e4)
    return window, last(lambda poll: p99(setting, poll) < LAG, 0.01, 2.0)


PRACTICE = Setting(40, 100, 0.001, 0.02, ((1.0, 20.0),))
#: Hidden. The second's late ones come from somewhere else than most; in the third the batch is what counts.
CHECKED = (
    Setting(30, 200, 0.002, 0.05, ((1.0, 45.0),)),
    Setting(60, 100, 0.003, 0.01, ((0.8, 1.0), (0.2, 90.0))),
    Setting(120, 30, 0.002, 0.2, ((1.0, 10.0),)),
)


def practice_shop() -> Shop:
    """A shop to try things on; the check has others."""
    return Shop(PRACTICE)
