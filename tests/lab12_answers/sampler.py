"""Exercise 3: samplers written in two ways, and mistakes."""

import heapq
import random
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
            return {span} if one.kept else set()
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


# -- mistakes ------------------------------------------------------------------------------------------


def but(**changes):
    return type("Mistaken", (Sampler,), changes)


class AGenerator(Sampler):
    def add(self, span, now):
        yield from super().add(span, now)


class FirstSpan(Sampler):
    """Whether it was slow, the first span alone says."""

    def keeps(self, spans):
        return spans[0].seconds >= self.slow or any(span.error for span in spans) or self.rng.random() < self.share


class SumOfSeconds(Sampler):
    def keeps(self, spans):
        return super().keeps(spans) or sum(span.seconds for span in spans) >= self.slow


class AddDecides(Sampler):
    def add(self, span, now):
        return self.due(now) + super().add(span, now)


class WhatCameInTime(Sampler):
    """It looks at the spans of ten seconds only."""

    def add(self, span, now):
        since, _ = self.open.get(span.trace, (now, []))
        return super().add(span, now) if now - since <= self.wait else []


class SinceItWasDue(Sampler):
    def decide(self, trace, now):
        since = self.open[trace][0]
        spans = super().decide(trace, now)
        self.decided[trace] = self.decided[trace][0], min(now, since + self.wait)
        return spans


class ForgetsInDue(Sampler):
    def forget(self, now):
        pass

    def due(self, now):
        super().forget(now)
        return super().due(now)


class NoLotWhenFull(Sampler):
    def add(self, span, now):
        self.share = 0.0
        found = super().add(span, now)
        self.share = 0.01
        return found


class HoldsTheLate(Sampler):
    def add(self, span, now):
        if span.trace in self.decided:
            self.late = [*getattr(self, "late", []), span]
        return super().add(span, now)


class SpansAreCounted(Sampler):
    def add(self, span, now):
        found = super().add(span, now)
        if not found and sum(len(spans) for _, spans in self.open.values()) > self.most:
            found = self.decide(self.oldest(), now)
        return found


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


class OnlyTheLotWhenFull(Sampler):
    """For want of room it decides without a look at the spans."""

    def keeps(self, spans):
        return super().keeps(spans if len(self.open) < self.most else [])


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


RIGHT = {"dicts": Sampler, "drawn at the beginning": Drawn}
WRONG = {
    "a generator": (AGenerator, {"wrong-type"}),
    "the first span": (FirstSpan, {"lost"}),
    "more than a second": (but(slow=1.0000001), {"lost"}),
    "no others": (but(share=0.0), {"share"}),
    "a second in all": (SumOfSeconds, {"share"}),
    "add decides": (AddDecides, {"decided"}),
    "what came in time": (WhatCameInTime, {"decided"}),
    "too soon": (but(wait=9.0), {"decided"}),
    "more than ten seconds": (but(wait=10.001), {"decided"}),
    "since it was due": (SinceItWasDue, {"late"}),
    "not quite a minute": (but(remembers=59.9), {"late"}),
    "forgets in due": (ForgetsInDue, {"forgotten"}),
    "no lot when full": (NoLotWhenFull, {"share"}),
    "holds the late": (HoldsTheLate, {"memory"}),
    "spans are counted": (SpansAreCounted, {"no-room"}),
    "only the odd spans": (OnlyTheOddSpans, {"torn"}),
    "stored again": (Stays, {"torn"}),
    "by its name": (ByName, {"chance"}),
    "everybody's dice": (EverybodysDice, {"chance"}),
    "at the error": (AtTheError, {"decided"}),
    "since the last": (SinceTheLast, {"decided"}),
    "forgets at once": (but(remembers=10.0), {"late"}),
    "late errors count": (LateErrorsCount, {"late"}),
    "never forgets": (but(remembers=1e9), {"forgotten"}),
    "a late one prolongs": (LateSpanProlongs, {"forgotten"}),
    "no limit": (but(most=10**6), {"no-room"}),
    "one less": (but(most=499), {"no-room"}),
    "the newest goes": (but(oldest=lambda self: list(self.open)[-1]), {"no-room"}),
    "least recently used": (LeastRecentlyUsed, {"no-room"}),
    "only the lot when full": (OnlyTheLotWhenFull, {"no-room"}),
    "full and forgotten": (FullAndForgotten, {"late"}),
    "hoards": (Hoards, {"memory"}),
}
