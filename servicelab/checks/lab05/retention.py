"""Exercise 4, measure and decide: the smallest retention of a topic that loses nothing, on five days."""

from math import isfinite
from numbers import Integral, Real

from servicelab.checks.lab05.days import CHECKED, replay
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.significant import three_digits

SPARE = 1.2  # times the smallest that loses nothing
TINY = 1e-6  # seconds, for what rounding does
LIMIT = 4.0  # seconds for the learner's function, for one day

WORDS = words(f"""
wrong-type: size returns {{"records": a whole number of 1 or more, "seconds": a number above 0}}
    Compare what you return with the task, entry by entry.
records-lost: so many records a partition lose nothing
    Look at the moment when the readers are back. How many events of a partition are newer than the one that is next?
hot-key: … also where the partitions are not alike
    The number holds for each partition. Which one decides?
rush: … also when it is a bad hour
    How many events a second come while the readers are away, and how many on the average of the day?
second-outage: … also after two outages
    How far had the readers come when the second one began?
no-outage: … also on a day without an outage
    What is the age of the event that a reader is at, when more comes than it can read?
too-many-records: … and they are at most {SPARE - 1:.0%} more than needed
    Which part of your number does nobody wait for? Is it for one partition?
seconds-lost: so many seconds lose nothing
    How old is the oldest event that is read, when it is read?
too-many-seconds: … and they are at most {SPARE - 1:.0%} more than needed
    When were the readers up to date the last time? Is it seconds?
""")


class Sized(Stage):
    """What the learner's function chose for a day."""

    def judged(self, day, code):
        chosen = self.call(self.yours, day, limit=LIMIT)
        needed = replay(day)
        self._draw(day, *needed.worst)
        wrong = _wrong(chosen)
        yield "wrong-type", not wrong, wrong
        for name in ("records", "seconds"):
            lost = replay(day, **{name: chosen[name] + (TINY if name == "seconds" else 0)}).lost
            told = f"{three_digits(chosen[name])} {name} on {day.name!r}"
            yield code or f"{name}-lost", not lost, f"{told}: {lost} of {len(day.events)} events were lost"
            needs = getattr(needed, name)
            yield f"too-many-{name}", chosen[name] <= SPARE * needs, f"{told}: {three_digits(needs)} lose nothing"

    def _draw(self, day, written, begun):
        """The event that needed most, and the outages."""
        trace = self.ask.trace
        trace.receive(trace.send("orders", "kafka", f"written at {written:.3g} s", at=written), "kafka", at=written)
        for begin, end in day.outages:
            trace.state("readers", "away", at=begin)
            trace.state("readers", "there", at=end)
        self.last = trace.send("kafka", "readers", f"due at {begun:.3g} s", at=begun)
        trace.receive(self.last, "readers", at=begun)


def _wrong(chosen):
    """What is wrong with the form of it, in words; "" when nothing is."""
    if not isinstance(chosen, dict):
        return f"it returned {shown(chosen)}"
    for name, kind in (("records", Integral), ("seconds", Real)):
        value = chosen.get(name)
        if not isinstance(value, kind) or isinstance(value, bool) or not (isfinite(value) and value > 0):
            return f"{name} is {shown(value)}: it returned {shown(chosen)}"
    return ""


check_retention = scenario("05", 4, "How long a log must remember", WORDS, go_on=True, size=Sized)


def _day(day, code):
    """A part: one day, and the code of what is forgotten on it (none: of the numbers themselves)."""

    def part(sized):
        yield from sized.judged(day, code)

    part.__name__ = day.name
    check_retention.part(part)


for _one in zip(CHECKED, ("", "hot-key", "rush", "second-outage", "no-outage"), strict=True):
    _day(*_one)
