"""Exercise 1: a right breaker in small parts, two written otherwise, and mistakes as changes to the first."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from tests.lab10_answers import but


class Breaker:
    """A right answer. A mistake is a subclass that overrides one part."""

    def __init__(self, size, failure_rate, minimum_calls, wait_open, probes):
        self.size, self.failure_rate, self.minimum_calls = size, failure_rate, minimum_calls
        self.wait_open, self.probes = wait_open, probes
        self.lock = threading.Lock()
        self.period = 0
        self.become("closed", 0.0)

    def time(self, now):
        return now

    def become(self, state, now):
        self.state, self.since, self.period = state, now, self.period + 1
        self.results = self.new_window(self.probes if state == "half-open" else self.size)
        self.permits = self.probes

    def new_window(self, size):
        return deque(maxlen=size)

    def allow(self, now):
        with self.lock:
            return self.decide(self.time(now))

    def decide(self, now):
        if self.state == "open" and self.is_over(now):
            self.become("half-open", now)
        if self.state == "open":
            return self.turn_away(now)
        if self.state == "half-open":
            if not self.permits:
                return self.turn_away(now)
            self.permits -= 1
        return self.ticket()

    def is_over(self, now):
        return now - self.since >= self.wait_open

    def turn_away(self, now):
        return None

    def ticket(self):
        return self.period

    def counts(self, ticket):
        return ticket == self.period and self.state != "open"

    def needed(self):
        return self.probes if self.state == "half-open" else self.minimum_calls

    def is_bad(self):
        return self.results.count(False) / len(self.results) >= self.failure_rate

    def record(self, ticket, ok, now):
        with self.lock:
            if self.counts(ticket):
                self.note(ok, self.time(now))

    def note(self, ok, now):
        self.results.append(ok)
        if len(self.results) < self.needed():
            return
        if self.is_bad():
            self.become("open", now)
        elif self.state == "half-open":
            self.become("closed", now)


@dataclass
class Period:
    """Another hand: a period is an object, and the ticket is the period itself."""

    permits: float = float("inf")
    results: list = field(default_factory=list)
    reopens: float = float("-inf")


class Periods:
    def __init__(self, size, failure_rate, minimum_calls, wait_open, probes):
        self.keep, self.share, self.least, self.wait, self.trial = size, failure_rate, minimum_calls, wait_open, probes
        self.now, self.lock = Period(), threading.RLock()

    def allow(self, now):
        with self.lock:
            if self.now.permits == 0 and self.now.reopens is not None and now >= self.now.reopens:
                self.now = Period(self.trial, [], None)
            if self.now.permits > 0:
                self.now.permits -= 1
                return self.now

    def record(self, ticket, ok, now):
        with self.lock:
            if ticket is not self.now:
                return
            results, trying = ticket.results, ticket.reopens is None
            results.append(not ok)
            last = results[-self.keep :]
            if len(last) >= (self.trial if trying else self.least):
                if sum(last) >= self.share * len(last):
                    self.now = Period(0, [], now + self.wait)
                elif trying:
                    self.now = Period()


class Tickets:
    """A third: tickets are objects of their own, the set of those that still count is emptied at each change."""

    def __init__(self, size, failure_rate, minimum_calls, wait_open, probes):
        self.s = size, failure_rate, minimum_calls, wait_open, probes
        self.state, self.good, self.valid, self.opened, self.left = "closed", [], set(), None, 0
        self.changing = threading.Condition()

    def allow(self, now):
        *_, wait, probes = self.s
        with self.changing:
            if self.opened is not None and now >= self.opened + wait:
                self._turn("half-open", None, probes)
            if self.state == "closed" or (self.state == "half-open" and self.left > 0):
                self.left -= 1
                self.valid.add(ticket := object())
                return ticket
            return None

    def record(self, ticket, ok, now):
        size, share, least, _, probes = self.s
        with self.changing:
            if ticket not in self.valid:
                return
            self.valid.remove(ticket)
            self.good = [*self.good, ok][-(probes if self.state == "half-open" else size) :]
            failed = 1 - sum(self.good) / len(self.good)
            if len(self.good) >= (probes if self.state == "half-open" else least):
                if failed >= share:
                    self._turn("open", now, 0)
                elif self.state == "half-open":
                    self._turn("closed", None, 0)

    def _turn(self, state, opened, left):
        self.state, self.opened, self.left, self.good, self.valid = state, opened, left, [], set()


class EveryoneThrough(Breaker):
    def decide(self, now):
        if self.state == "open" and self.is_over(now):
            self.become("half-open", now)
        return None if self.state == "open" else self.ticket()


class OneProbe(Breaker):
    def become(self, state, now):
        super().become(state, now)
        self.permits = 1


class CountsAnswers(Breaker):
    """Takes a permit when the answer comes instead of when the call begins."""

    def decide(self, now):
        if self.state == "open" and self.is_over(now):
            self.become("half-open", now)
        if self.state == "open" or (self.state == "half-open" and len(self.results) >= self.probes):
            return None
        return self.ticket()


class FirstError(Breaker):
    def note(self, ok, now):
        if not ok:
            self.become("open", now)
        else:
            super().note(ok, now)


class InARow(Breaker):
    """Four failures in a row, as in many a tutorial."""

    def is_bad(self):
        last = list(self.results)[-self.minimum_calls :]
        return not any(last)


class CountsFailures(Breaker):
    """The number of failures, not their share."""

    def __init__(self, *args, **kwargs):
        self.failed = 0
        super().__init__(*args, **kwargs)

    def become(self, state, now):
        super().become(state, now)
        self.failed = 0

    def note(self, ok, now):
        self.failed += not ok
        super().note(ok, now)

    def is_bad(self):
        return self.failed >= (self.minimum_calls if self.state == "closed" else 2)


class LooksAfterFailures(Breaker):
    def note(self, ok, now):
        if ok and self.state == "closed":
            self.results.append(ok)
        else:
            super().note(ok, now)


class WaitOfTheCall(Breaker):
    """The wait counts from when the failed call began."""

    def ticket(self):
        return self.period, self.asked

    def decide(self, now):
        self.asked = now
        return super().decide(now)

    def counts(self, ticket):
        self.began = ticket[1]
        return super().counts(ticket[0])

    def become(self, state, now):
        super().become(state, self.began if state == "open" and self.state == "closed" else now)


class ImpatientWithProbes(Breaker):
    """Begins another half-open when the probes take too long."""

    def turn_away(self, now):
        if self.state == "half-open" and self.is_over(now):
            self.become("half-open", now)
            return self.decide(now)


class LateSuccessCloses(Breaker):
    def record(self, ticket, ok, now):
        if self.state == "open" and ok:
            self.become("closed", now)
        super().record(ticket, ok, now)


class StrictProbes(Breaker):
    """The threshold itself is not enough for the probes."""

    def is_bad(self):
        if self.state == "half-open":
            return self.results.count(False) / len(self.results) > self.failure_rate
        return super().is_bad()


class NumbersOfItsOwn(Breaker):
    """What suits the example of the task suits everybody."""

    def __init__(self, size, failure_rate, minimum_calls, wait_open, probes):
        super().__init__(10, 0.5, 4, wait_open, probes)


class LateFailuresCount(Breaker):
    """A late reply is no good probe, but a bad one it may be."""

    def record(self, ticket, ok, now):
        with self.lock:
            if self.counts(ticket) or (self.state == "half-open" and not ok):
                self.note(ok, self.time(now))


class OldPermits(Breaker):
    """The permits are not renewed for the second half-open."""

    def become(self, state, now):
        left = getattr(self, "permits", None)
        super().become(state, now)
        self.permits = self.probes if left is None or state == "closed" else left


class AlwaysRations(Breaker):
    """Gives permits out while it is closed, too."""

    def decide(self, now):
        if self.state == "closed":
            self.permits -= 1
            return self.ticket() if self.permits >= 0 else None
        return super().decide(now)


class NeverCloses(Breaker):
    def note(self, ok, now):
        if self.state == "half-open" and ok:
            return
        super().note(ok, now)


class FirstGoodProbe(Breaker):
    def note(self, ok, now):
        if self.state == "half-open":
            self.become("closed" if ok else "open", now)
        else:
            super().note(ok, now)


class KeepsTheWindow(Breaker):
    """The failures from before the opening are still there after the closing."""

    def __init__(self, *args, **kwargs):
        self.kept = None
        super().__init__(*args, **kwargs)

    def become(self, state, now):
        before = getattr(self, "results", None)
        super().become(state, now)
        if state == "open":
            self.kept = before if self.kept is None else self.kept
        if state == "closed" and self.kept is not None:
            self.results = self.kept


class OldWait(Breaker):
    """The wait counts from the first opening."""

    first = None

    def is_over(self, now):
        if self.first is None:
            self.first = self.since
        return now - self.first >= self.wait_open


class WaitOfTheProbes(Breaker):
    """The second wait counts from when it became half-open."""

    def become(self, state, now):
        super().become(state, self.since if state == "open" and self.period > 1 else now)


class RejectionsRenew(Breaker):
    def turn_away(self, now):
        self.since = now


class RejectionsFail(Breaker):
    def turn_away(self, now):
        if self.state == "half-open":
            self.note(False, now)


class NoTicket(Breaker):
    """Every ticket is alike."""

    def ticket(self):
        return True

    def counts(self, ticket):
        return self.state != "open"


class TicketIsTheState(Breaker):
    """Closed then is taken for closed now."""

    def ticket(self):
        return self.state

    def counts(self, ticket):
        return ticket == self.state


class LateRepliesReopen(Breaker):
    """A late failure while it is open begins the wait anew."""

    def record(self, ticket, ok, now):
        if self.state == "open" and not ok:
            self.since = now
        super().record(ticket, ok, now)


class HoldsTheLock(Breaker):
    def allow(self, now):
        self.lock.acquire()
        ticket = self.decide(now)
        if ticket is None:
            self.lock.release()
        return ticket

    def record(self, ticket, ok, now):
        if self.counts(ticket):
            self.note(ok, now)
        self.lock.release()


RIGHT = {"in small parts": (Breaker,), "periods": (Periods,), "tickets": (Tickets,)}
WRONG = {
    "half-open lets everyone through": (EveryoneThrough, {"everyone-through"}),
    "one probe in place of three": (OneProbe, {"too-few-probes"}),
    "permits counted by the answers": (CountsAnswers, {"everyone-through"}),
    "a window that never forgets": (but(Breaker, new_window=lambda self, size: deque()), {"never-forgets"}),
    "a window too short": (
        but(Breaker, new_window=lambda self, size: deque(maxlen=self.minimum_calls if size == self.size else size)),
        {"window-too-short"},
    ),
    "opens on the first error": (FirstError, {"opens-on-first-error"}),
    "no minimum": (
        but(Breaker, needed=lambda self: self.probes if self.state == "half-open" else 2),
        {"minimum-ignored"},
    ),
    "failures in a row": (InARow, {"at-the-threshold"}),
    "number of failures": (CountsFailures, {"rate-ignored"}),
    "above the threshold": (
        but(Breaker, is_bad=lambda self: self.results.count(False) / len(self.results) > self.failure_rate),
        {"at-the-threshold"},
    ),
    "looks at the share after failures only": (LooksAfterFailures, {"at-the-threshold"}),
    "the wait of the failed call": (WaitOfTheCall, {"waits-too-short"}),
    "minimum_calls for the probes": (
        but(Breaker, needed=lambda self: min(Breaker.needed(self), self.minimum_calls)),
        {"minimum-of-probes"},
    ),
    "probes that expire": (ImpatientWithProbes, {"probes-expire"}),
    "a late success closes": (LateSuccessCloses, {"late-reply-closes"}),
    "never opens": (but(Breaker, is_bad=lambda self: False), {"never-opens"}),
    "never closes again": (NeverCloses, {"never-closes"}),
    "never tries again": (but(Breaker, is_over=lambda self, now: False), {"never-half-opens"}),
    "the first good probe closes": (FirstGoodProbe, {"first-probe-decides"}),
    "one bad probe of three": (
        but(Breaker, is_bad=lambda self: False in self.results if self.state == "half-open" else Breaker.is_bad(self)),
        {"one-failure-reopens"},
    ),
    "one good probe of three": (
        but(Breaker, is_bad=lambda self: not any(self.results) if self.state == "half-open" else Breaker.is_bad(self)),
        {"two-failures-close"},
    ),
    "half of the probes is not enough": (StrictProbes, {"two-failures-close"}),
    "numbers of its own": (NumbersOfItsOwn, {"settings-ignored"}),
    "late failures are probes": (LateFailuresCount, {"late-reply-decides"}),
    "permits that are not renewed": (OldPermits, {"opens-for-good"}),
    "permits while it is closed": (AlwaysRations, {"closed-rejects"}),
    "keeps the window": (KeepsTheWindow, {"window-kept"}),
    "the wall clock": (but(Breaker, time=lambda self, now: time.monotonic()), {"own-clock"}),
    "the first opening's wait": (OldWait, {"probes-ignored"}),
    "the wait of the probes": (WaitOfTheProbes, {"wait-not-renewed"}),
    "half the wait": (
        but(Breaker, is_over=lambda self, now: now - self.since >= self.wait_open / 2),
        {"waits-too-short"},
    ),
    "rejections begin the wait anew": (RejectionsRenew, {"rejections-prolong"}),
    "rejections count as failures": (RejectionsFail, {"rejections-count"}),
    "no tickets": (NoTicket, {"late-reply-decides"}),
    "the state as a ticket": (TicketIsTheState, {"late-reply-counts"}),
    "late failures begin the wait anew": (LateRepliesReopen, {"late-reply-prolongs"}),
    "a lock held during the call": (HoldsTheLock, {"lock-held"}),
    "no lock": (but(Breaker, allow=lambda self, now: self.decide(now)), {"probes-in-a-race"}),
    "says False": (but(Breaker, turn_away=lambda self, now: False), {"wrong-type"}),
}
WRONG = {name: ((answer,), codes) for name, (answer, codes) in WRONG.items()}
