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
#: Ordinary traces a second. A right answer may look at all that it remembers, a minute's decisions, for each span.
PACE = 10

WORDS = words("""
wrong-type: add and due return a list, tuple or set of spans that they were given
    Does every path through both end with a return, also when there is nothing to store?
lost, share: traces with an error or a span of a second or more are stored, and of 10 000 others from 50 to 150
    Which spans of a trace do you look at, and when? Is just one second slow? How often do you draw for one trace?
torn: of each trace all spans are stored or none, and each of them once
    What comes back when the decision falls, and what stays in store after it?
chance: all chance is from rng: the same seed stores the same, another seed others, and nobody else's dice are moved
    What else do you draw from, or compute, besides rng?
decided: a trace is decided by the first due(now) from ten seconds after its first span on; nothing is stored before
    Since which of its spans do you count, and is ten seconds ten seconds? What may still come, after an error?
late, forgotten: for a minute late spans follow the decision, stored at once by add or dropped; later ones begin anew
    A decision has two outcomes. From which moment on are both remembered, and when does your memory of them shrink?
no-room: the 501st undecided trace makes the one decided whose first span is the oldest, and no other
    How many are there when the new one is in? Whose turn is it, if an old trace has just got another span?
memory: it holds the spans of 500 undecided traces at most, and none of one that was decided
    Who still points to a span after it was returned, or dropped?
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
        self.say("service", "sampler", "spans")
        self.begin()

    def begin(self, seed=12):
        self.sampler = self.make(self.yours, random.Random(seed), methods=("add", "due"))
        return self

    def feed(self, events) -> list[Span]:
        """What is stored of ``(at, span)``; at ``(at, None)`` it is asked who is due. Nothing here keeps a span."""
        found = []

        def your_sampler():
            for at, span in events:
                answer = self.sampler.due(at) if span is None else self.sampler.add(span, at)
                if not isinstance(answer, list | tuple | set) or not all(isinstance(one, Span) for one in answer):
                    return f"{'due' if span is None else 'add'} gave {shown(answer)}"
                found.extend(answer)
            return ""

        wrong = self.call(your_sampler, limit=8.0)
        self.say("sampler", "store", f"{events[-1][0]:g} s: {len(found)} spans")
        if wrong:
            self.refuse("wrong-type", wrong)
        return found

    def steps(self, *steps):
        """For each ``(code, events, due)``: are just these spans stored? If the traces are right, they are torn."""
        for code, events, due in steps:
            found = self.feed(events)
            stored, wanted = ({one.trace for one in spans} for spans in (found, due))
            calls = [f"due({at:g})" if one is None else f"add({one.trace}, {at:g})" for at, one in events[-4:]]
            told = f"{'… ' * (len(events) > 4)}{', '.join(calls)} stored {len(found)} spans of {len(stored)} traces"
            is_right = set(found) == set(due) and len(found) == len(due)
            told += f"; due were {len(due)} of {len(wanted)}"
            if lost := [one for one in due if one.trace not in stored]:
                told += f", among them {shown(max(lost, key=lambda one: (one.error, one.seconds)))}"
            yield "torn" if stored == wanted and not is_right else code, is_right, told

    def held(self, events) -> tuple[int, int]:
        """How many spans are stored, and of how many traces some are held then."""
        spans = weakref.WeakSet(span for _, span in events if span)
        stored = len(self.feed(events))
        events.clear()
        gc.collect()
        return stored, len({span.trace for span in spans})


def spans(trace, count=3, odd_one=0, **odd):
    """Spans of a trace, one of them unlike the others. Together they take more than a second."""
    return [Span(trace, f"step {one}", **({"seconds": 0.6} | (odd if one == odd_one else {}))) for one in range(count)]


def with_due(events, until, since=0):
    """In order of time, and ``due`` each second, after what comes in the same moment."""
    asked = [(float(one), None) for one in range(since, until + 1)]
    return sorted([*events, *asked], key=lambda event: (event[0], event[1] is None))


def ordinary(count=MANY):
    """Traces of two spans that are neither slow nor wrong."""
    events = [(at / PACE + 1.5 * step, one) for at in range(count) for step, one in enumerate(spans(f"t{at}", 2))]
    return with_due(events, count // PACE + 12)


check_sampler = scenario("12", 3, "A tail sampler", WORDS, go_on=True, Sampler=Sampled)
part = check_sampler.part


@part
def errors_and_slow_ones(s):
    for odd in {"error": True}, {"seconds": SLOW}, {"seconds": 9.0}:
        traces = [spans(f"t{number}", 3, number % 3, **odd) for number in range(30)]
        events = [(at / 10 + 3 * step, one) for at, trace in enumerate(traces) for step, one in enumerate(trace)]
        yield from s.begin().steps(("lost", with_due(events, 30), sum(traces, [])))


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
    end = MANY // PACE  # the last ones were decided ten seconds later
    late = [(end + 13.0 + step, Span(name, **odd[at % 3])) for at, name in enumerate(dropped) for step in (0, 1)]
    new = Span(dropped[0], error=True)
    yield from s.steps(
        ("late", with_due(late, end + 70, end + 14), []),
        ("forgotten", with_due([(end + 75.0, new)], end + 90, end + 76), [new]),
    )
    stored = [{one.trace for one in s.begin(seed).feed(ordinary(2000))} for seed in (1, 1, 2)]
    yield "chance", is_untouched, "after it, random.random() draws something else"
    yield "chance", stored[0] == stored[1], "two samplers whose rng had the same seed stored other traces"
    yield "chance", stored[1] != stored[2], "two samplers whose rng had different seeds stored the same traces"


@part
def when_it_is_decided(s):
    """The second error comes when its trace is due, but nobody has asked yet."""
    one, two = spans("one", error=True), spans("two", 6, 1, error=True)
    yield from s.steps(
        ("decided", [*zip((100.0, 104.0, 109.0, 109.9), (*one, None))], []),
        ("decided", [(110.0, None)], one),
        ("torn", [(111.0, None), (119.5, None)], []),
        ("decided", [(200.0, two[0]), (215.0, two[1]), (216.0, Span("another"))], []),
        ("decided", [(220.0, None)], two[:2]),
        *(("late", [(at, span)], [span]) for at, span in zip((225.0, 275.0, 280.0), two[2:])),
        ("forgotten", [(280.5, two[5])], []),
    )


@part
def five_hundred_traces(s):
    traces = [spans(f"t{number}", seconds=9.0) for number in range(MOST + 2)]
    begin = [(number / 1000, span) for number, one in enumerate(traces[:MOST]) for span in one[:2]]
    yield from s.steps(
        ("no-room", [*begin, (0.6, traces[0][2])], []),
        ("no-room", [(0.7, traces[MOST][0])], traces[0]),
        ("no-room", [(1.7, traces[MOST + 1][0])], traces[1][:2]),
        ("late", [(2.0, traces[1][2])], traces[1][2:]),
    )


@part
def what_is_held(s):
    stored, held = s.held([(number / 1000, one) for number in range(2000) for one in spans(f"t{number}", 2)])
    told = f"after 2000 traces in two seconds it holds spans of {held} traces"
    yield "memory" if stored and held > MOST + 1 else "no-room", held <= MOST, told
    yield "share", stored, "of 1500 ordinary traces that were decided for want of room none was stored"
    bad = ((at, Span(f"bad {number}", error=True)) for number in range(50) for at in (20.0, 35.0))
    stored, held = s.held(with_due(bad, 42, 20))
    yield "memory", not held or stored < 100, f"all was stored, and it still holds spans of {held} traces"
