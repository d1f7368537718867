"""Exercise 3: samplers written in three ways, and mistakes."""

import heapq
import random
from collections import OrderedDict, deque
from types import SimpleNamespace


class Sampler:
    """Dicts in the order of their first spans."""

    most, wait, remembers, slow, share = 500, 10.0, 60.0, 1.0, 0.01

    def __init__(self, rng):
        self.rng, self.open, self.decided = rng, {}, {}

    def add(self, span, now):
        self.forget(now)
        if span.trace in self.decided:
            return [span] if self.decided[span.trace][0] else []
        _, spans = self.open.setdefault(span.trace, (now, []))
        spans.append(span)
        return self.decide(self.oldest(), now) if len(self.open) > self.most else []

    def oldest(self):
        return next(iter(self.open))

    def forget(self, now):
        while self.decided and now - next(iter(self.decided.values()))[1] > self.remembers:
            del self.decided[next(iter(self.decided))]

    def due(self, now):
        found = []
        for trace in [trace for trace, (since, _) in self.open.items() if now - since >= self.wait]:
            found += self.decide(trace, now)
        return found

    def decide(self, trace, now):
        _, spans = self.open.pop(trace)
        kept = self.keeps(spans)
        self.decided[trace] = kept, now
        return spans if kept else []

    def keeps(self, spans):
        odd = any(span.error or span.seconds >= self.slow for span in spans)
        return odd or self.rng.random() < self.share


class Drawn:
    """The lot is drawn when a trace begins; a heap says who is due."""

    def __init__(self, rng):
        self.rng, self.traces, self.queue, self.count, self.number = rng, {}, [], 0, 0

    def add(self, span, now):
        one = self.traces.get(span.trace)
        if one is not None and one.spans is None and now - one.decided > 60:
            one = None
        if one is None:
            self.number += 1
            self.count += 1
            one = SimpleNamespace(spans=[], kept=self.rng.randrange(100) == 42, decided=None)
            self.traces[span.trace] = one
            heapq.heappush(self.queue, (now, self.number, span.trace))
        if one.spans is None:
            return (span,) if one.kept else ()
        one.spans.append(span)
        one.kept |= span.error or span.seconds >= 1
        return self.next(now) if self.count > 500 else ()

    def next(self, now):
        one = self.traces[heapq.heappop(self.queue)[2]]
        self.count -= 1
        spans, one.spans, one.decided = one.spans, None, now
        return tuple(spans) if one.kept else ()

    def due(self, now):
        found = ()
        while self.queue and now - self.queue[0][0] >= 10:
            found += self.next(now)
        self.traces = {key: one for key, one in self.traces.items() if one.spans is not None or now - one.decided <= 60}
        return found


class Trace:
    def __init__(self, since):
        self.since, self.spans, self.is_odd = since, [], False

    def add(self, span):
        self.spans.append(span)
        self.is_odd |= span.error or not span.seconds < 1.0


class Objects:
    """Objects, two sets of ids and a queue of decisions; it answers with sets."""

    def __init__(self, rng):
        self.rng, self.open, self.stored, self.dropped, self.diary = rng, OrderedDict(), set(), set(), deque()

    def add(self, span, now):
        while self.diary and self.diary[0][0] < now - 60.0:
            old = self.diary.popleft()[1]
            self.stored.discard(old)
            self.dropped.discard(old)
        if span.trace in self.stored | self.dropped if len(self.diary) < 50 else self.knows(span.trace):
            return {span} & ({span} if span.trace in self.stored else set())
        if span.trace not in self.open:
            self.open[span.trace] = Trace(now)
        self.open[span.trace].add(span)
        return set(self.end(*self.open.popitem(last=False), now)) if len(self.open) == 501 else set()

    def knows(self, trace):
        return trace in self.stored or trace in self.dropped

    def end(self, name, trace, now):
        kept = trace.is_odd or self.rng.uniform(0, 1) <= 0.01
        (self.stored if kept else self.dropped).add(name)
        self.diary.append((now, name))
        return trace.spans if kept else []

    def due(self, now):
        found = set()
        while self.open and next(iter(self.open.values())).since <= now - 10.0:
            found |= set(self.end(*self.open.popitem(last=False), now))
        return found


# -- mistakes ------------------------------------------------------------------------------------------


def but(**changes):
    return type("Mistaken", (Sampler,), changes)


class AGenerator(Sampler):
    def add(self, span, now):
        yield from super().add(span, now)


class FirstSpan(Sampler):
    def keeps(self, spans):
        slow = any(span.seconds >= self.slow for span in spans)
        return spans[0].error or slow or self.rng.random() < self.share


class SumOfSeconds(Sampler):
    """Slow is what takes a tenth of a second in all."""

    def keeps(self, spans):
        return super().keeps(spans) or sum(span.seconds for span in spans) >= 0.1


class EachSpan(Sampler):
    """One draw for each span: two in a hundred."""

    def keeps(self, spans):
        return sum(super(EachSpan, self).keeps([span]) for span in spans) >= 1


class OnlyTheOddSpans(Sampler):
    def decide(self, trace, now):
        spans = super().decide(trace, now)
        return [span for span in spans if span.error or span.seconds >= 1] or spans


class Stays(Sampler):
    """What was stored is stored again, when it is next asked."""

    again = ()

    def due(self, now):
        found = super().due(now)
        self.again, before = list(found), list(self.again)
        return found + before


class ByName(Sampler):
    def keeps(self, spans):
        odd = any(span.error or span.seconds >= self.slow for span in spans)
        return odd or random.Random(spans[0].trace).random() < self.share


class EverybodysDice(Sampler):
    def __init__(self, rng):
        super().__init__(random)


class AtTheError(Sampler):
    def add(self, span, now):
        found = super().add(span, now)
        return self.decide(span.trace, now) if span.error and span.trace in self.open else found


class SinceTheLast(Sampler):
    def add(self, span, now):
        found = super().add(span, now)
        if span.trace in self.open:
            self.open[span.trace] = now, self.open[span.trace][1]
        return found


class LateErrorsCount(Sampler):
    def add(self, span, now):
        found = super().add(span, now)
        return found or [span] * (span.trace in self.decided and span.error)


class NoMemoryOfTheDropped(Sampler):
    def decide(self, trace, now):
        found = super().decide(trace, now)
        if not found:
            del self.decided[trace]
        return found


class ForgetsTheDroppedNever(Sampler):
    def forget(self, now):
        pass

    def add(self, span, now):
        kept, at = self.decided.get(span.trace, (False, now))
        if kept and now - at > 60:
            del self.decided[span.trace]
        return super().add(span, now)


class LateSpanProlongs(Sampler):
    """A late span is a reason to remember the decision for another minute."""

    def add(self, span, now):
        found = super().add(span, now)
        if span.trace in self.decided and self.decided[span.trace][0]:
            self.decided[span.trace] = self.decided.pop(span.trace)[0], now
        return found


class LeastRecentlyUsed(Sampler):
    def add(self, span, now):
        if span.trace in self.open:
            self.open[span.trace] = self.open.pop(span.trace)
        return super().add(span, now)


class ThrowsTheOldestAway(Sampler):
    def add(self, span, now):
        full = len(self.open) == self.most and span.trace not in self.open and span.trace not in self.decided
        if full:
            self.decided[self.oldest()] = True, now
            del self.open[self.oldest()]
        return super().add(span, now)


class FullAndForgotten(Sampler):
    """What is decided for want of room is not remembered."""

    def add(self, span, now):
        found = super().add(span, now)
        if found and found[0] is not span:
            del self.decided[found[0].trace]
        return found


class Hoards(Sampler):
    def __init__(self, rng):
        super().__init__(rng)
        self.all = []

    def decide(self, trace, now):
        self.all.append(super().decide(trace, now))
        return self.all[-1]


RIGHT = {"dicts": Sampler, "drawn at the beginning": Drawn, "objects": Objects}
WRONG = {
    "a generator": (AGenerator, {"wrong-type"}),
    "the first span": (FirstSpan, {"error-lost"}),
    "more than a second": (but(slow=1.0000001), {"slow-lost"}),
    "a tenth is slow": (SumOfSeconds, {"share"}),
    "no others": (but(share=0.0), {"share"}),
    "ten in a hundred": (but(share=0.1), {"share"}),
    "each span draws": (EachSpan, {"share"}),
    "only the odd spans": (OnlyTheOddSpans, {"torn"}),
    "stored again": (Stays, {"torn"}),
    "by its name": (ByName, {"chance"}),
    "everybody's dice": (EverybodysDice, {"chance"}),
    "at the error": (AtTheError, {"too-soon"}),
    "since the last": (SinceTheLast, {"too-late"}),
    "eleven seconds": (but(wait=10.01), {"too-late"}),
    "forgets at once": (but(remembers=10.0), {"late-kept"}),
    "late errors count": (LateErrorsCount, {"late-dropped"}),
    "the dropped are new": (NoMemoryOfTheDropped, {"late-dropped"}),
    "never forgets": (but(remembers=1e9), {"forgotten"}),
    "never forgets the dropped": (ForgetsTheDroppedNever, {"forgotten"}),
    "a late one prolongs": (LateSpanProlongs, {"forgotten"}),
    "no limit": (but(most=10**6), {"no-room", "memory"}),
    "one less": (but(most=499), {"too-soon"}),
    "the newest goes": (but(oldest=lambda self: list(self.open)[-1]), {"no-room"}),
    "least recently used": (LeastRecentlyUsed, {"no-room"}),
    "the oldest is thrown away": (ThrowsTheOldestAway, {"no-room"}),
    "full and forgotten": (FullAndForgotten, {"late-kept"}),
    "hoards": (Hoards, {"memory"}),
}
