"""Exercise 4: a retention by replay, and the ways to be misled."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np


def by_partition(day):
    """(written, begun) of each event, a list for each partition."""
    found = []
    for partition in range(day.partitions):
        free, rows = 0.0, []
        for at in (at for at, where in day.events if where == partition):
            begin = max(free, at)
            for away, back in day.outages:
                if away <= begin < back:
                    begin = back
            free = begin + 1 / day.speed
            rows.append((at, begin))
        found.append(rows)
    return found


def in_seconds(day):
    return max(begin - at for rows in by_partition(day) for at, begin in rows)


def of_each_partition(day):
    """The records that each needs."""
    for rows in by_partition(day):
        written, begun = np.array(rows).T
        yield int(max(np.searchsorted(written, begun, side="right") - np.arange(len(rows))))


def in_records(day):
    return max(of_each_partition(day))


def replayed(day):
    return {"records": in_records(day), "seconds": in_seconds(day) * 1.01}


def but(when=lambda day: True, records=lambda needed: needed, seconds=lambda needed: needed):
    """Right, but for what is made of the numbers on some days."""

    def size(day):
        found = replayed(day)
        return {"records": records(found["records"]), "seconds": seconds(found["seconds"])} if when(day) else found

    return size


def mean_of_partitions(day):
    """Right, if all partitions are alike."""
    each = [*of_each_partition(day)]
    return replayed(day) | {"records": math.ceil(1.16 * sum(each) / len(each))}


def all_partitions(day):
    return replayed(day) | {"records": sum(of_each_partition(day))}


def average_pace(day):
    """The pace of the whole day, in the fullest partition, and something on top."""
    if not day.outages:
        return replayed(day)
    most, found = max(Counter(where for _, where in day.events).values()), replayed(day)
    guessed = math.ceil(1.3 * most / day.events[-1][0] * found["seconds"])
    return found | {"records": min(guessed, found["records"])}


def the_longest_outage(day):
    """As if the readers were up to date when it began."""
    return replayed(replace(day, outages=sorted(day.outages, key=lambda one: one[1] - one[0])[-1:]))


def outages_together(day):
    """All outages in a row, and the readers never come in between."""
    if len(day.outages) < 2:
        return replayed(day)
    return replayed(day) | {"seconds": sum(back - away for away, back in day.outages)}


def ends_with_the_day(day):
    """What comes after the last event is tomorrow's, it thinks."""
    last = day.events[-1][0]
    return replayed(replace(day, outages=[(begin, min(end, last)) for begin, end in day.outages]))


RIGHT = {
    "event by event": replayed,
    "with some to spare": but(records=lambda needed: math.ceil(1.1 * needed), seconds=lambda needed: 1.1 * needed),
}
_LATER = {"hot-key", "rush", "second-outage", "no-outage"}
WRONG = {
    "one record less": (but(records=lambda needed: needed - 1), _LATER | {"records-lost"}),
    "seconds, a tenth less": (but(seconds=lambda needed: 0.9 * needed), _LATER | {"seconds-lost"}),
    "half of an outage": (
        but(lambda day: len(day.outages) == 1, seconds=lambda needed: needed / 2),
        {"seconds-lost", "hot-key", "rush"},
    ),
    "the mean of the partitions": (mean_of_partitions, {"hot-key"}),
    "all partitions together": (all_partitions, {"too-many-records"}),
    "the average pace": (average_pace, {"rush"}),
    "the longest outage": (the_longest_outage, {"second-outage"}),
    "an outage ends with the day": (ends_with_the_day, {"second-outage"}),
    "outages only": (but(lambda day: not day.outages, lambda needed: 10, lambda needed: 1.0), {"no-outage"}),
    "outages together": (outages_together, {"too-many-seconds"}),
    "twice, to be safe": (but(records=lambda needed: 2 * needed), {"too-many-records"}),
    "in milliseconds": (but(seconds=lambda needed: 1000 * needed), {"too-many-seconds"}),
    "one for all": (lambda day: {"records": 237, "seconds": 20.0}, {"too-many-records"}),
    "not whole": (but(records=float), {"wrong-type"}),
    "without seconds": (lambda day: {"records": in_records(day)}, {"wrong-type"}),
    "nothing kept": (but(records=lambda needed: 0), {"wrong-type"}),
}
