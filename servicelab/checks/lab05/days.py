"""Days of a topic: when its events were written, when its readers were away, and what a retention would have lost.

Reading is deterministic, so the days are the same for whoever sizes, and for the check.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random
from typing import NamedTuple


@dataclass(frozen=True)
class Day:
    """``events`` are (second at which it was written, partition), in order, on ``partitions`` partitions.

    Each partition has a reader of its own, which takes ``1 / speed`` seconds for an event. All readers are away in each
    of the ``outages`` (begin, end), in seconds; then they go on where they were.
    """

    name: str
    events: tuple[tuple[float, int], ...]
    partitions: int
    speed: float
    outages: tuple[tuple[float, float], ...]


class Replay(NamedTuple):
    """A day with a retention: events that were ``lost``; and the smallest retention that would have lost none, in
    ``records`` a partition, and in ``seconds``. ``worst`` is when the event that needed it was written, and begun."""

    lost: int
    records: int
    seconds: float
    worst: tuple[float, float]


def replay(day: Day, records: float = inf, seconds: float = inf) -> Replay:
    """Read a day whose log keeps the newest ``records`` of each partition, for ``seconds`` at the most.

    An event must be there when its reader begins with it. What is gone is skipped, in no time.
    """
    lost, most, longest, worst = 0, 1, 0.0, (0.0, 0.0)
    for partition in range(day.partitions):
        written = [at for at, where in day.events if where == partition]
        free = 0.0
        for place, at in enumerate(written):
            begin = _present(day, max(free, at))
            newest = bisect_right(written, begin) - place
            if newest > most:
                most, worst = newest, (at, begin)
            longest = max(longest, begin - at)
            if newest > records or begin - at > seconds:
                lost += 1
            else:
                free = begin + 1 / day.speed
    return Replay(lost, most, longest, worst)


def _present(day, moment):
    """The first moment, from this one on, at which the readers are there."""
    for begin, end in day.outages:
        if begin <= moment < end:
            moment = end
    return moment


def _written(seed, seconds, pace: Callable[[float], float], shares) -> tuple[tuple[float, int], ...]:
    """Events at random moments, ``pace(second)`` a second, spread over partitions by their ``shares``."""
    rng, at, most, events = Random(seed), 0.0, max(pace(second) for second in range(seconds)), []
    while (at := at + rng.expovariate(most)) < seconds:
        if rng.random() * most < pace(at):
            events.append((at, rng.choices(range(len(shares)), shares)[0]))
    return tuple(events)


def _day(name, seed, pace, shares, speed, *outages, seconds=120):
    return Day(name, _written(seed, seconds, pace, shares), len(shares), speed, outages)


def _rush(at):
    return 60.0 if 50 <= at < 80 else 10.0


def _even(at):
    return 30.0


practice_day = _day("practice", 1, _even, (1, 1, 1), 40.0, (60, 63))
#: Those of the check: an outage in an even hour, one with a hot key, one in a rush, two at a short distance, of which
#: one goes on past the last event, and none, but a rush that is too much for the readers.
CHECKED = (
    _day("an even day", 2, _even, (1, 1, 1), 40.0, (40, 48)),
    _day("a hot key", 3, _even, (1, 1, 6, 1), 50.0, (40, 48)),
    _day("a rush", 4, _rush, (1, 1, 1), 60.0, (55, 63)),
    _day("two outages", 5, _even, (1, 1, 1), 20.0, (100, 112), (116, 123)),
    _day("slow readers", 6, _rush, (1, 1, 1), 12.0),
)
