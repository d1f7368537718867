"""The days of exercise 4, and what is right for them: the log of a day, played again."""

from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from random import Random

CASES = ("ceiling", "size", "ttl", "both", "cheapest")


@dataclass(frozen=True)
class Day:
    """What a gateway wrote down on one day, and what is wanted of a cache. ``calls`` are pairs (second, page) in the
    order of time, ``goal`` is the share of them to be answered, ``fresh`` the life of a copy in seconds; ``place`` is
    what room for one page costs a day, ``work`` what a call of the service costs, both in cents."""

    calls: tuple[tuple[float, str], ...]
    goal: float
    fresh: float
    place: float
    work: float

    @property
    def pages(self) -> int:
        return len({page for _, page in self.calls})


def hits(day, size=inf, ttl=inf) -> int:
    """How many calls of the day a cache answers that has room for ``size`` pages and lets them live for ``ttl`` s."""
    since, found = OrderedDict(), 0
    for now, page in day.calls:
        if page in since and now < since[page] + ttl:
            found += 1
        else:
            since[page] = now
        since.move_to_end(page)
        if len(since) > size:
            since.popitem(last=False)
    return found


def least(numbers, is_enough):
    return next((number for number in numbers if is_enough(number)), None)


def cost(day, size) -> float:
    return size * day.place + (len(day.calls) - hits(day, size)) * day.work


def right(day) -> dict[str, float | None]:
    wanted, sizes = day.goal * len(day.calls) - 1e-9, range(1, day.pages + 1)
    longest = int(day.calls[-1][0] - day.calls[0][0]) + 2
    costs = {size: cost(day, size) for size in range(day.pages + 1)}
    return {
        "ceiling": hits(day) / len(day.calls),
        "size": least(sizes, lambda size: hits(day, size) >= wanted),
        "ttl": least(range(1, longest), lambda ttl: hits(day, ttl=ttl) >= wanted),
        "both": least(sizes, lambda size: hits(day, size, day.fresh) >= wanted),
        "cheapest": min(costs, key=costs.get),  # the least of equals
    }


def drawn(seed, calls, pages, skew, rate, *wanted, step=1 / 64, first=None) -> Day:
    """Calls at random, the favourites more often (Zipf), in a log that tells times to ``step`` seconds.
    ``first`` is the second of the first one, if that matters."""
    dice, now, log = Random(seed), 100.0 * seed, []
    names = [f"/mugs/{dice.randrange(10**6)}" for _ in range(pages)]
    for page in dice.choices(names, [1 / rank**skew for rank in range(1, pages + 1)], k=calls):
        now += dice.expovariate(rate)
        log.append((round(now / step) * step, page))
    later = 0.0 if first is None else first - log[0][0]
    return Day(tuple((now + later, page) for now, page in log), *wanted)


PRACTICE = drawn(1, 500, 60, 1.0, 5, 0.6, 20, 2.0, 1.0)
#: Hidden. On the first, two sizes cost equally little. The second begins at second 0, has half seconds, and its goal is
#: just what one size reaches; no cache reaches that of the third; in the fourth a page is soon too old; the goal of the
#: last needs room for all pages, which is dearer than work.
CHECKED = (
    drawn(13, 500, 70, 1.0, 5, 0.604, 15, 3.0, 1.0),
    drawn(12, 512, 40, 1.0, 0.75, 367 / 512, 150, 4.0, 1.0, step=0.5, first=0.0),
    drawn(15, 400, 120, 0.5, 2, 0.75, 60, 0.01, 1.0),
    drawn(16, 500, 50, 1.2, 5, 0.7, 4, 0.5, 2.0),
    drawn(20, 400, 60, 0.8, 5, 0.85, 40, 60.0, 0.5),
)


def practice_day() -> Day:
    """A day to try things on; the check has others."""
    return PRACTICE
