"""Exercise 3, build: a tail sampler. Time is an argument, and chance a generator: nothing here waits."""

import gc
import random
import weakref
from collections import Counter
from dataclasses import dataclass

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

MOST, WAIT, REMEMBERED, SLOW, SHARE = 500, 10.0, 60.0, 1.0, 0.01
MANY, LEAST, TOO_MANY = 10_000, 50, 150  # ordinary traces; those kept are 100 ± 10

WORDS = words("""
wrong-type: add and due return a list of spans that they were given
    Does every path through both end with a return, also when there is nothing to store?
error-lost: a trace with an error in any of its spans is stored
    Which of its spans do you look at, and when?
slow-lost: a trace with a span that took a second or more is stored
    Which of its spans do you look at? Is just one second slow?
share: of 10 000 other traces, from 50 to 150 are stored
    How often do you draw for one trace? And what is drawn for those of which you need not draw?
torn: of each trace all spans are stored or none, and each of them once
    What comes back when the decision falls, and what stays in store after it?
chance: all chance is from rng: the same seed stores the same, another seed others, and nobody else's dice are moved
    What else do you draw from, or compute, besides rng?
too-soon: nothing of a trace is stored before ten seconds have passed since its first span
    What may still come, after an error?
too-late: due(now) stores a trace as soon as ten seconds have passed since its first span
    Since which of its spans do you count? And is ten seconds ten seconds?
late-kept: a late span of a trace that was stored is stored at once, by add
    What do you still know of a trace when its spans are gone?
late-dropped: a late span of a trace that was dropped is dropped, whatever it is like
    A decision has two outcomes, and both have to be remembered.
no-room: the 501st undecided trace makes the one decided whose first span is the oldest, and no other, sooner or later
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


def minute(seed: int = 1):
    """A minute of spans: pairs of when one came (in seconds, rising) and the :class:`Span`. Some come late."""
    dice, found = random.Random(seed), []
    for number in range(1500):
        begins, fails, slow = dice.uniform(0, 60), dice.random() < 0.01, dice.random() < 0.01
        for step in range(1, dice.randint(2, 5)):
            took = dice.expovariate(20) + 1.2 * slow * (step == 1)
            at = begins + step * took + 20 * (dice.random() < 0.005)
            found.append((at, Span(f"{number:04}", f"step {step}", took, fails and step == 1)))
    return sorted(found, key=lambda pair: pair[0])


def replay(Sampler, seed: int = 1) -> Table:
    """What a sampler makes of a minute of spans (:func:`minute`), when ``due`` is called once a second."""
    sampler, stored, heard, second = Sampler(random.Random(seed)), [], [], 0
    for at, span in minute(seed):
        while second <= at:
            stored += sampler.due(float(second))
            second += 1
        stored += sampler.add(span, at)
        heard.append(span)
    for more in range(second, second + 12):
        stored += sampler.due(float(more))
    kinds = {"with an error": lambda span: span.error, "with a slow span": lambda span: span.seconds >= SLOW}
    rows = []
    for name, is_one in kinds.items():
        traces = {span.trace for span in heard if is_one(span)}
        rows.append((name, len(traces), len(traces & {span.trace for span in stored})))
    rows.append(("all", len({span.trace for span in heard}), len({span.trace for span in stored})))
    return Table(("traces", "there were", "stored, in whole or in part"), rows)


class Sampled(Stage):
    def __init__(self, ask, Sampler):
        super().__init__(ask, Sampler)
        self.last = ask.trace.send("service", "sampler", "spans")
        ask.trace.receive(self.last, "sampler")
        self.sampler = self.new()

    def new(self, seed=12):
        return self.make(self.yours, random.Random(seed), methods=("add", "due"))

    def feed(self, events, sampler=None):
        """Let it have ``(at, span)``, or ``(at, None)``: then it is asked who is due. What came back, with the times."""
        sampler, found = sampler or self.sampler, []

        def the_sampler():
            for at, span in events:
                answer = sampler.due(at) if span is None else sampler.add(span, at)
                if not isinstance(answer, list | tuple | set) or not all(isinstance(one, Span) for one in answer):
                    return f"{'due' if span is None else 'add'} gave {shown(answer)}"
                found.extend((at, one, span) for one in answer)
            return ""

        the_sampler.__name__ = "your sampler, with some thousands of spans,"
        wrong = self.call(the_sampler, limit=8.0)
        if wrong:
            self.refuse("wrong-type", wrong)
        return found

    def draw(self, label, whom="store"):
        self.last = self.ask.trace.send("sampler", whom, label)
        self.ask.trace.receive(self.last, whom)


def spans(trace, count=3, **odd):
    """Spans of a trace; those named ``at0`` … are unlike the others."""
    return [Span(trace, f"step {one}", **odd.get(f"at{one}", {})) for one in range(count)]


def seconds(until, since=0):
    return [(float(one), None) for one in range(since, until + 1)]


def in_time(events):
    """In order of time; at the same moment ``due`` comes last."""
    return sorted(events, key=lambda event: (event[0], event[1] is None))


def ordinary(count=MANY, each=2, a_second=40):
    """Traces that are neither slow nor wrong, 40 a second."""
    events = []
    for number in range(count):
        at = number / a_second
        events += [(at + step / 4, one) for step, one in enumerate(spans(f"t{number}", each))]
    return in_time(events + seconds(count // a_second + 12))


check_sampler = scenario("12", 3, "A tail sampler", WORDS, go_on=True, Sampler=Sampled)
part = check_sampler.part


@part
def errors_and_slow_ones(s):
    for code, odd in (("error-lost", {"error": True}), ("slow-lost", {"seconds": SLOW}), ("slow-lost", {"seconds": 9.0})):
        events = []
        for number in range(30):
            trace = spans(f"{code} {number} {odd}", **{f"at{number % 3}": odd})
            events += [(number / 10 + 3 * step, one) for step, one in enumerate(trace)]
        found = [one for _, one, _ in s.feed(in_time(events + seconds(30)), s.new())]
        s.draw(f"{len({one.trace for one in found})} of 30")
        lost = {one.trace for _, one in events if one} - {one.trace for one in found}
        yield code, not lost, f"of 30 such traces, {len(lost)} were not stored"
        yield "torn", len(found) == 90 == len(set(found)), f"of 30 traces of three spans, {len(found)} spans were stored"


@part
def one_in_a_hundred(s):
    before = random.getstate()
    once = Counter(one for _, one, _ in s.feed(ordinary()))
    traces = Counter(one.trace for one in once)
    s.draw(f"{len(traces)} of {MANY}")
    yield "share", LEAST <= len(traces) <= TOO_MANY, f"{len(traces)} of {MANY} were stored"
    is_whole = set(traces.values()) == {2} == {1 + once[one] for one in once}
    yield "torn", is_whole, f"of traces of two spans, {dict(Counter(traces.values()))} were stored (spans: traces)"
    events = ordinary(2000)
    stored = [{one.trace for _, one, _ in s.feed(events, s.new(seed))} for seed in (1, 1, 2)]
    same, _ = random.getstate() == before, random.setstate(before)
    told = "the same seed stored others, or another seed the same, or the module random was used"
    yield "chance", same and stored[0] == stored[1] != stored[2], told


@part
def when_it_is_decided(s):
    first, *more = spans("slow one", at0={"error": True})
    events = [(100.0, first), (104.0, more[0]), (109.0, more[1]), (109.9, None)]
    early = s.feed(events)
    s.draw(f"{len(early)} spans, until 9.9 s")
    yield "too-soon", not early, f"{len(early)} spans were stored within 9.9 s of the first"
    found = s.feed([(110.0, None)])
    told = f"due(110.0) gave {len(found)} of the 3 spans; the first came at 100.0"
    yield "too-late", found, told
    yield "torn", len(found) == 3, told
    found = s.feed([(111.0, None), (120.5, None)])
    yield "torn", not found, f"{len(found)} of them were stored once more"


@part
def who_comes_late(s):
    kept, fate = spans("kept", 6, at0={"error": True}), [spans(f"fate {number}", 4) for number in range(100)]
    fate = [(0.0, one) for trace in fate for one in trace[:2]], {trace[0].trace: trace[2:] for trace in fate}
    known = {one.trace for _, one, _ in s.feed([*[(0.0, one) for one in kept[:2]], *fate[0], *seconds(11)])}
    for at, one in ((15.0, kept[2]), (60.0, kept[3])):
        found = s.feed([(at, one)])
        s.draw(f"{len(found)} late span at {at:.0f} s")
        told = f"it was decided at 10 s; its span at {at:.0f} s gave {len(found)} spans"
        yield "late-kept", [span for _, span, _ in found] == [one], told
    dropped = {trace for trace in fate[1] if trace not in known}
    yield "share", dropped, f"all {len(fate[1])} ordinary traces were stored"
    events = []
    for number, trace in enumerate(sorted(dropped)):
        odd = ({"error": True}, {"seconds": 5.0}, {})[number % 3]
        events += [(61.0 + step, Span(trace, "late", **odd)) for step in (0, 1)]
    found = s.feed(in_time(events + seconds(74, 62)))
    s.draw(f"{len(found)} late spans of dropped traces")
    told = f"{len(found)} late spans of traces that had been dropped were stored"
    yield "late-dropped", not found, told
    found = s.feed([(75.0, kept[4]), (79.0, None), (84.9, kept[5])])
    s.draw(f"{len(found)} spans, 65 s after its decision")
    told = f"it was decided at 10 s; of spans at 75 s and 84.9 s, {len(found)} were stored before 85 s"
    yield "forgotten", not found, told
    found = s.feed([(85.0, None)])
    new = Span(min(dropped), "new", error=True)
    found = s.feed([(90.0, new), *seconds(104, 91)])
    told = f"an error came 80 s after the trace was dropped: what was stored then is {shown([one for _, one, _ in found])}"
    yield "forgotten", {one for _, one, _ in found} == {new}, told


@part
def five_hundred_traces(s):
    bad = {"at0": {"error": True}}
    traces = [spans(f"t{number}", 3, **bad) for number in range(MOST + 2)]
    found = s.feed([(number / 1000, one[0]) for number, one in enumerate(traces[:MOST])])
    found += s.feed([(0.6, traces[0][1])])
    s.draw(f"{len(found)} spans, with {MOST} traces")
    yield "too-soon", not found, f"with {MOST} undecided traces and room for them, {len(found)} spans were stored"
    for number in (0, 1):
        found = s.feed([(0.7 + number, traces[MOST + number][0])])
        s.draw(f"{len(found)} spans, with {MOST + 1} traces")
        told = f"one more trace than {MOST}: what was stored is {', '.join(one.trace for _, one, _ in found) or 'nothing'}"
        yield "no-room", {one.trace for _, one, _ in found} == {f"t{number}"}, told
        yield "torn", len(found) == 2 - number, f"{len(found)} spans of {2 - number} were stored"
    found = [one for _, one, _ in s.feed([(2.0, traces[0][2])])]
    yield "late-kept", found == [traces[0][2]], f"its trace was decided for want of room; it gave {len(found)} spans"


@part
def what_is_held(s):
    held, most = weakref.WeakSet(), 0
    for lot in range(20):
        events = [(lot / 10 + number / 1000, one) for number in range(100) for one in spans(f"t{lot} {number}", 2)]
        held.update(one for _, one in events)
        s.feed(events)
        one = events = None
        if len({span.trace for span in held}) > MOST:
            gc.collect()
        most = max(most, len({span.trace for span in held}))
    s.draw(f"{most} traces are held", "memory")
    yield "memory", most <= MOST, f"after 2000 traces in two seconds it held spans of {most} traces"
    bad = [Span(f"bad {number}", error=True) for number in range(50)]
    held = weakref.WeakSet(bad)
    events = [(20.0, one) for one in bad]
    bad = None
    s.feed(events + seconds(42, 20))
    events = None
    gc.collect()
    yield "memory", not held, f"ten seconds after the decision it still holds {len(held)} of 50 spans that were stored"
