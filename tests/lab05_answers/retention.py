"""Exercise 4: a retention by three kinds of replay, and the ways to be misled."""

import math
from collections import Counter, deque
from dataclasses import replace

import numpy as np
import simpy


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


def records_of(rows):
    written = np.array([at for at, _ in rows])
    begun = np.array([begin for _, begin in rows])
    return int(max(np.searchsorted(written, begun, side="right") - np.arange(len(rows))))


def in_records(day):
    return max(records_of(rows) for rows in by_partition(day) if rows)


def replayed(day):
    return {"records": in_records(day), "seconds": in_seconds(day) * 1.01}


def in_simpy(day):
    """Stores and processes: how many wait, the one that is taken among them, and for how long it did."""
    env, waiting, ages = simpy.Environment(), [1], [0.01]
    logs = [simpy.Store(env) for _ in range(day.partitions)]

    def writer():
        for at, partition in day.events:
            yield env.timeout(max(0, at - env.now))
            logs[partition].put(at)

    def reader(log):
        while True:
            at = yield log.get()
            for away, back in day.outages:
                if away <= env.now < back:
                    yield env.timeout(back - env.now)
            waiting.append(len(log.items) + 1)
            ages.append(env.now - at)
            yield env.timeout(1 / day.speed)

    env.process(writer())
    for log in logs:
        env.process(reader(log))
    env.run(day.events[-1][0] + 500)
    return {"records": math.ceil(1.03 * max(waiting)) + 1, "seconds": max(ages) + 0.2}


class Ticks:
    """Ten milliseconds at a time."""

    def __call__(self, day):
        step, logs, credit = 0.01, [deque() for _ in range(day.partitions)], [0.0] * day.partitions
        events, most, oldest, now = deque(day.events), 1, 0.0, 0.0
        while events or any(logs):
            now += step
            while events and events[0][0] <= now:
                at, partition = events.popleft()
                logs[partition].append(at)
            most = max(most, max(map(len, logs)))
            oldest = max([oldest, *(now - log[0] for log in logs if log)])
            here = not any(away <= now < back for away, back in day.outages)
            for number, log in enumerate(logs):
                credit[number] += here * step * day.speed
                if not log:
                    credit[number] = min(1.0, credit[number])
                if log and credit[number] >= 1:
                    log.popleft()
                    credit[number] -= 1
        return {"records": most + 2, "seconds": 1.02 * oldest + 0.05}


def changed(records=1.0, seconds=1.0):
    def size(day):
        found = replayed(day)
        return {"records": max(1, math.ceil(records * found["records"])), "seconds": seconds * found["seconds"]}

    return size


def one_less(day):
    found = replayed(day)
    return found | {"records": found["records"] - 1}


def mean_of_partitions(day):
    """Right, if all partitions are alike."""
    each = [records_of(rows) for rows in by_partition(day)]
    return replayed(day) | {"records": math.ceil(1.16 * sum(each) / len(each))}


def coldest(day):
    each = [records_of(rows) for rows in by_partition(day)]
    return replayed(day) | {"records": min(each) if max(each) > 2 * min(each) else max(each)}


def all_partitions(day):
    return replayed(day) | {"records": sum(records_of(rows) for rows in by_partition(day))}


def average_pace(day):
    """The pace of the whole day, in the fullest partition, and something on top."""
    if not day.outages:
        return replayed(day)
    most = max(Counter(where for _, where in day.events).values())
    found = replayed(day)
    guessed = math.ceil(1.3 * most / day.events[-1][0] * found["seconds"])
    return found | {"records": min(guessed, found["records"])}


def the_longest_outage(day):
    """As if the readers were up to date when it began."""
    if len(day.outages) < 2:
        return replayed(day)
    return replayed(replace(day, outages=(max(day.outages, key=lambda one: one[1] - one[0]),)))


def the_longest_in_seconds(day):
    longest = max((back - away for away, back in day.outages), default=in_seconds(day))
    return replayed(day) | {"seconds": longest}


def outages_only(day):
    if day.outages:
        return replayed(day)
    return {"records": 10, "seconds": 1.0}


def outages_together(day):
    """All outages in a row, and the readers never come in between."""
    if len(day.outages) < 2:
        return replayed(day)
    return replayed(day) | {"seconds": sum(back - away for away, back in day.outages)}


def half_an_outage(day):
    """On the average an event waits for half of it."""
    found = replayed(day)
    return found | {"seconds": found["seconds"] / 2} if len(day.outages) == 1 else found


def one_for_all(day):
    return {"records": 237, "seconds": 20.0}


def in_milliseconds(day):
    found = replayed(day)
    return found | {"seconds": 1000 * found["seconds"]}


def a_tuple(day):
    return tuple(replayed(day).values())


def not_whole(day):
    found = replayed(day)
    return found | {"records": float(found["records"])}


def without_seconds(day):
    return {"records": replayed(day)["records"]}


def as_text(day):
    return replayed(day) | {"seconds": "8s"}


def nothing_kept(day):
    return replayed(day) | {"records": 0}


def ends_with_the_day(day):
    """What comes after the last event is tomorrow's, it thinks."""
    last = day.events[-1][0]
    return replayed(replace(day, outages=[(begin, min(end, last)) for begin, end in day.outages]))


RIGHT = {"event by event": replayed, "in SimPy": in_simpy, "in ticks": Ticks()}
_SECONDS = {"seconds-lost", "hot-key", "rush", "second-outage", "no-outage"}
_RECORDS = {"records-lost", "hot-key", "rush", "second-outage", "no-outage"}
WRONG = {
    "one record less": (one_less, _RECORDS),
    "a tenth less": (changed(records=0.9), _RECORDS),
    "seconds, a tenth less": (changed(seconds=0.9), _SECONDS),
    "half of an outage": (half_an_outage, {"seconds-lost", "hot-key", "rush"}),
    "the mean of the partitions": (mean_of_partitions, {"hot-key"}),
    "the coldest partition": (coldest, {"hot-key"}),
    "all partitions together": (all_partitions, {"too-many-records"}),
    "the average pace": (average_pace, {"rush"}),
    "the longest outage": (the_longest_outage, {"second-outage"}),
    "the longest outage, in seconds": (the_longest_in_seconds, {"second-outage"}),
    "an outage ends with the day": (ends_with_the_day, {"second-outage"}),
    "outages only": (outages_only, {"no-outage"}),
    "outages together": (outages_together, {"too-many-seconds"}),
    "twice, to be safe": (changed(records=2), {"too-many-records"}),
    "half as much again": (changed(seconds=1.5), {"too-many-seconds"}),
    "one for all": (one_for_all, {"too-many-records"}),
    "in milliseconds": (in_milliseconds, {"too-many-seconds"}),
    "a tuple": (a_tuple, {"wrong-type"}),
    "not whole": (not_whole, {"wrong-type"}),
    "without seconds": (without_seconds, {"wrong-type"}),
    "as text": (as_text, {"wrong-type"}),
    "nothing kept": (nothing_kept, {"wrong-type"}),
}
