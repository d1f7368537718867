"""Exercise 4, measure and decide: the smallest retention of a topic that loses nothing, on five days."""

from bisect import bisect_right
from dataclasses import dataclass
from math import inf
from numbers import Integral, Real
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.significant import three_digits

SPARE = 1.2  # times the smallest that loses nothing

WORDS = words(f"""
wrong-type: size returns {{"records": a whole number of 1 or more, "seconds": a number above 0}}
    Compare what you return with the task, entry by entry.
records-lost, seconds-lost: with this number nothing is lost
    Look at the moment when a reader begins with an event. How many of its partition are newer then, and how old is it?
hot-key: … also where the partitions are not alike
    The number holds for each partition. Which one decides?
rush: … also when it is a bad hour
    How many events a second come while the readers are away, and how many on the average of the day?
second-outage: … also after two outages
    How far had the readers come when the second one began?
no-outage: … also on a day without an outage
    What is the age of the event that a reader is at, when more comes than it can read?
too-many-records, too-many-seconds: … and it is at most {SPARE - 1:.0%} more than needed
    Which part of your number does nobody wait for? Is it for one partition, and in which unit?
""")


@dataclass(frozen=True)
class Day:
    """``events`` are (second at which it was written, partition), in order. Each partition has a reader, which takes
    ``1 / speed`` seconds for an event. All are away in each of the ``outages``, (begin, end) in seconds."""

    name: str
    events: tuple[tuple[float, int], ...]
    partitions: int
    speed: float
    outages: tuple[tuple[float, float], ...]


def needs(day: Day):
    """What each event needs so as to be there when its reader begins with it: (records, seconds, when written)."""
    for partition in range(day.partitions):
        written = [at for at, where in day.events if where == partition]
        free = 0.0
        for place, at in enumerate(written):
            begin = max(free, at)
            for away, back in day.outages:
                begin = back if away <= begin < back else begin
            free = begin + 1 / day.speed
            yield bisect_right(written, begin) - place, begin - at, at


def _day(name, seed, pace, rush, shares, speed, *outages):
    """Two minutes with ``pace`` events a second, and ``rush`` from 50 to 80 s, at random moments; spread by shares."""
    rng, at, events = Random(seed), 0.0, []
    while (at := at + rng.expovariate(rush)) < 120:
        if rng.random() * rush < (rush if 50 <= at < 80 else pace):
            events.append((at, rng.choices(range(len(shares)), shares)[0]))
    return Day(name, tuple(events), len(shares), speed, outages)


practice_day = _day("practice", 1, 30.0, 30.0, (1, 1, 1), 40.0, (60, 63))
CHECKED = {  # code of what is forgotten on it (none: of the numbers themselves): the day
    "": _day("an even day", 2, 30.0, 30.0, (1, 1, 1), 40.0, (40, 48)),
    "hot-key": _day("a hot key", 3, 30.0, 30.0, (1, 1, 6, 1), 50.0, (40, 48)),
    "rush": _day("a rush", 4, 10.0, 60.0, (1, 1, 1), 60.0, (55, 63)),
    "second-outage": _day("two outages", 5, 30.0, 30.0, (1, 1, 1), 20.0, (100, 112), (116, 123)),
    "no-outage": _day("slow readers", 6, 10.0, 60.0, (1, 1, 1), 12.0),
}


check_retention = scenario("05", 4, "How long a log must remember", WORDS, go_on=True, size=Stage)
for code, day in CHECKED.items():

    def part(sized, day=day, code=code):
        records, seconds, written = zip(*needs(day))
        worst = records.index(max(records))
        sized.draw("orders", "kafka", f"written at {written[worst]:.3g} s", written[worst])
        for begin, end in day.outages:
            sized.ask.trace.state("readers", "away", at=begin)
            sized.ask.trace.state("readers", "there", at=end)
        begun = written[worst] + seconds[worst]
        sized.draw("kafka", "readers", f"due at {begun:.3g} s", begun)
        found = sized.call(sized.yours, day, returns=dict, limit=4.0)
        is_size = isinstance(found.get("records"), Integral) and isinstance(found.get("seconds"), Real)
        is_size = is_size and found["records"] >= 1 and 0 < found["seconds"] < inf
        yield "wrong-type", is_size, f"it returned {shown(found)}"
        for name, needed in (("records", records), ("seconds", seconds)):
            gone, told = sum(one > found[name] + 1e-6 for one in needed), f"{three_digits(found[name])} {name}"
            yield code or f"{name}-lost", not gone, f"{gone} of {len(needed)} events need more than {told}"
            is_tight = found[name] <= SPARE * max(needed)
            yield f"too-many-{name}", is_tight, f"it is {told}, and {three_digits(max(needed))} lose nothing"

    part.__name__ = day.name
    check_retention.part(part)
