"""Exercise 3, build: a tail sampler. Time is an argument, and chance a generator: nothing here waits."""

import gc
import random
import weakref
from collections import Counter
from dataclasses import dataclass

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

MOST, SLOW = 500, 1.0  # undecided traces; seconds
MANY, LEAST, TOO_MANY = 10_000, 50, 150  # ordinary traces; those kept are 100 ± 10

WORDS = words("""
wrong-type: add and due return a list, tuple or set of spans that they were given
    Does every path through both end with a return, also when there is nothing to store?
lost: a trace is stored with an error in any of its spans, or with a span that took a second or more
    Which of its spans do you look at? Is just one second slow? And when is nothing looked at any more?
share: of 10 000 other traces, from 50 to 150 are stored
    How often do you draw for one trace? And what is drawn for those of which you need not draw?
torn: of each trace all spans are stored or none, and each of them once
    What comes back when the decision falls, and what stays in store after it?
chance: all chance is from rng: the same seed stores the same, another seed others, and nobody else's dice are moved
    What else do you draw from, or compute, besides rng?
decided: a trace is decided by the first due(now) from ten seconds after its first span on; nothing is stored before
    Since which of its spans do you count, and is ten seconds ten seconds? What may still come, after an error?
late: a late span follows the decision: of a stored trace it is stored at once, by add, and of a dropped one dropped
    A decision has two outcomes, and both have to be remembered, from the moment at which it fell.
no-room: the 501st undecided trace makes the one decided whose first span is the oldest, and no other
    How many are there when the new one is in? Whose turn is it, if an old trace has just got another span?
memory: it holds the spans of 500 undecided traces at most, and none of one that was decided
    Who still points to a span after it was returned, or dropped?
forgotten: a minute after its decision a trace is forgotten: what comes then begins a new one
    When does your memory of decisions shrink?
""")


@dataclass(frozen=True, eq=False)
class Span:
    """A span that has ended: the id of its trace, what it did, how many seconds it took, whether it failed."""

    trace: str
    name: str = "work"
    seconds: float = 0.05
    error: bool = False


class Sampled(Stage):
    def __init__(self, ask, Sampler):
        super().__init__(ask, Sampler)
        self.last = ask.trace.send("service", "sampler", "spans")
        ask.trace.receive(self.last)
        self.sampler = self.new()

    def new(self, seed=12):
        return self.make(self.yours, random.Random(seed), methods=("add", "due"))

    def feed(self, events, sampler=None) -> list[Span]:
        """What is stored of ``(at, span)``; at ``(at, None)`` it is asked who is due. Nothing here keeps a span."""
        sampler, found = sampler or self.sampler, []

        def your_sampler():
            for at, span in events:
                answer = sampler.due(at) if span is None else sampler.add(span, at)
                if not isinstance(answer, list | tuple | set) or not all(isinstance(one, Span) for one in answer):
                    return f"{'due' if span is None else 'add'} gave {shown(answer)}"
                found.extend(answer)
            return ""

        wrong, until = self.call(your_sampler, limit=8.0), events[-1][0]
        self.last = self.ask.trace.send("sampler", "store", f"{until:g} s: {len(found)} spans")
        self.ask.trace.receive(self.last)
        if wrong:
            self.refuse("wrong-type", wrong)
        return found


def spans(trace, count=3, odd_one=0, **odd):
    """Spans of a trace, one of them unlike the others. Together they take more than a second."""
    return [Span(trace, f"step {one}", **({"seconds": 0.6} | (odd if one == odd_one else {}))) for one in range(count)]


def with_due(events, until, since=0):
    """In order of time, and ``due`` each second, after what comes in the same moment."""
    asked = [(float(one), None) for one in range(since, until + 1)]
    return sorted([*events, *asked], key=lambda event: (event[0], event[1] is None))


def ordinary(count=MANY):
    """Traces of two spans that are neither slow nor wrong, 40 a second."""
    events = [(at / 40 + 1.5 * step, one) for at in range(count) for step, one in enumerate(spans(f"t{at}", 2))]
    return with_due(events, count // 40 + 12)


check_sampler = scenario("12", 3, "A tail sampler", WORDS, go_on=True, Sampler=Sampled)
part = check_sampler.part


@part
def errors_and_slow_ones(s):
    for odd in {"error": True}, {"seconds": SLOW}, {"seconds": 9.0}:
        traces = [spans(f"t{number}", 3, number % 3, **odd) for number in range(30)]
        events = [(at / 10 + 3 * step, one) for at, trace in enumerate(traces) for step, one in enumerate(trace)]
        found = s.feed(with_due(events, 30), s.new())
        lost = 30 - len({one.trace for one in found})
        yield "lost", not lost, f"of 30 traces with {odd} in a span, {lost} were not stored"
        yield "torn", len(found) == 90 == len(set(found)), f"of 30 traces of three spans, {len(found)} were stored"


@part
def ordinary_traces(s):
    before = random.getstate()
    found = s.feed(ordinary())
    traces = Counter(one.trace for one in found)
    yield "share", LEAST <= len(traces) <= TOO_MANY, f"{len(traces)} of {MANY} were stored"
    is_whole = set(traces.values()) == {2} and len(set(found)) == len(found)
    yield "torn", is_whole, f"of traces of two spans, {dict(Counter(traces.values()))} were stored (spans: traces)"
    is_untouched, _ = random.getstate() == before, random.setstate(before)
    dropped = [name for name in (f"t{at}" for at in range(MANY - 100, MANY)) if name not in traces]
    odd = {"error": True}, {"seconds": 5.0}, {}
    late = [(263.0 + step, Span(name, **odd[at % 3])) for at, name in enumerate(dropped) for step in (0, 1)]
    found = s.feed(with_due(late, 320, 264))
    yield "late", not found, f"{len(found)} late spans of traces that had been dropped were stored"
    new = Span(dropped[0], error=True)
    found = s.feed(with_due([(325.0, new)], 340, 326))
    told = f"dropped before 260 s; of an error at 325 s, {len(found)} spans were stored"
    yield "forgotten", set(found) == {new}, told
    stored = [{one.trace for one in s.feed(ordinary(2000), s.new(seed))} for seed in (1, 1, 2)]
    told = "the same seed stored others, or another seed the same, or the module random was used"
    yield "chance", is_untouched and stored[0] == stored[1] != stored[2], told


@part
def when_it_is_decided(s):
    first, *more = spans("bad one", error=True)
    early = s.feed([(100.0, first), (104.0, more[0]), (109.0, more[1]), (109.9, None)])
    yield "decided", not early, f"{len(early)} spans were stored within 9.9 s of the first"
    found = s.feed([(110.0, None)])
    told = f"due(110.0) gave {len(found)} of the 3 spans; the first came at 100.0"
    yield "decided", found, told
    yield "torn", len(found) == 3, told
    found = s.feed([(111.0, None), (119.5, None)])
    yield "torn", not found, f"{len(found)} of them were stored once more"


@part
def asked_late(s):
    """The error comes when the trace is due, but nobody has asked yet."""
    one = spans("bad one", 6, 1, error=True)
    early = s.feed([(100.0, one[0]), (115.0, one[1]), (116.0, Span("another"))])
    yield "decided", not early, f"from 100 s to 116 s there was no due(now), and add stored {len(early)} spans"
    found = s.feed([(120.0, None)])
    told = f"first span at 100 s, an error at 115 s, due(120.0) gave {len(found)} of 2 spans"
    yield "decided", one[1] in found, told
    yield "torn", len(found) == 2, told
    for at, span in ((125.0, one[2]), (175.0, one[3]), (180.0, one[4])):
        found = s.feed([(at, span)])
        yield "late", found == [span], f"it was stored at 120 s; of a span at {at:g} s, {len(found)} were stored by add"
    found = s.feed([(180.5, one[5])])
    yield "forgotten", not found, "it was stored at 120 s; a span at 180.5 s was stored at once"


@part
def five_hundred_traces(s):
    traces = [spans(f"t{number}", seconds=9.0) for number in range(MOST + 2)]
    begin = [(number / 1000, span) for number, one in enumerate(traces[:MOST]) for span in one[:2]]
    found = s.feed([*begin, (0.6, traces[0][2])])
    yield "no-room", not found, f"with {MOST} undecided traces, {len(found)} spans were stored"
    for number in (0, 1):
        found = s.feed([(0.7 + number, traces[MOST + number][0])])
        told = f"one more than {MOST}: {len(found)} spans were stored, of {shown({one.trace for one in found})}"
        yield "no-room", {one.trace for one in found} == {f"t{number}"}, told
        yield "torn", len(found) == 3 - number, told
    found = s.feed([(2.0, traces[1][2])])
    yield "late", found == [traces[1][2]], f"decided for want of room; of a late span, {len(found)} were stored"


@part
def what_is_held(s):
    held, most, kept = weakref.WeakSet(), 0, 0
    for lot in range(20):
        events = [(lot / 10 + number / 1000, one) for number in range(100) for one in spans(f"t{lot} {number}", 2)]
        held.update(one for _, one in events)
        kept += len(s.feed(events))
        events = None
        if len({span.trace for span in held}) > MOST:
            gc.collect()
        most = max(most, len({span.trace for span in held}))
    told = f"after 2000 traces in two seconds it held spans of {most} traces"
    yield "memory" if kept else "no-room", most <= MOST, told
    yield "share", kept, "of 1500 ordinary traces that were decided for want of room none was stored"
    events = [(at, Span(f"bad {number}", error=True)) for number in range(50) for at in (20.0, 35.0)]
    held = weakref.WeakSet(one for _, one in events)
    s.feed(with_due(events, 42, 20))
    events = None
    gc.collect()
    yield "memory", not held, f"when all was decided it still holds {len(held)} of 100 spans that were stored"
