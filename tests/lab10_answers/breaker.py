"""Exercise 1: a right breaker, two written otherwise, and mistakes as edits of the first."""

import threading
import time  # noqa: F401 (an edit needs it)
from collections import deque
from dataclasses import dataclass, field

from tests.lab11_answers import but


class Breaker:
    def __init__(self, size, failure_rate, minimum_calls, wait_open, probes):
        self.size, self.failure_rate, self.minimum_calls = size, failure_rate, minimum_calls
        self.wait_open, self.probes = wait_open, probes
        self.lock, self.period = threading.Lock(), 0
        self.become("closed", 0.0)

    def become(self, state, now):
        self.state, self.since, self.period = state, now, self.period + 1
        self.results = deque(maxlen=self.probes if state == "half-open" else self.size)
        self.permits = self.probes

    def allow(self, now):
        with self.lock:
            if self.state == "open" and now - self.since >= self.wait_open:
                self.become("half-open", now)
            if self.state == "open" or (self.state == "half-open" and not self.permits):
                return None
            self.permits -= self.state == "half-open"
            return self.period

    def record(self, ticket, ok, now):
        with self.lock:
            if self.state == "open" or ticket != self.period:
                return
            self.results.append(ok)
            needed = self.probes if self.state == "half-open" else self.minimum_calls
            share = self.results.count(False) / len(self.results)
            if len(self.results) >= needed and share >= self.failure_rate:
                self.become("open", now)
            elif len(self.results) >= needed and self.state == "half-open":
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
            last = results if trying else results[-self.keep :]
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


class HoldsTheLock(but(Breaker, "with self.lock: => if True:")):
    def allow(self, now):
        self.lock.acquire()
        ticket = super().allow(now)
        if ticket is None:
            self.lock.release()
        return ticket

    def record(self, ticket, ok, now):
        super().record(ticket, ok, now)
        self.lock.release()


FAILURES = "share >= self.failure_rate"
PROBES = 'self.probes if self.state == "half-open" else'
WINDOW = 'maxlen=self.probes if state == "half-open" else self.size'
LATE = 'if self.state == "open" or ticket != self.period:'
#: The mistake: the code that refuses it, and the edits that make it.
EDITS = {
    "half-open lets everyone through": ("not-three", "and not self.permits => and False"),
    "one probe in place of three": ("not-three", "self.permits = self.probes => self.permits = 1"),
    "permits counted by the answers": ("not-three", "not self.permits => len(self.results) >= self.probes"),
    "permits that are not renewed": (
        "not-three",
        'self.permits = self.probes => self.permits = self.probes if state == "closed" else self.permits',
    ),
    "permits while it is closed": (
        "closed-rejects",
        '(self.state == "half-open" and not self.permits) => not self.permits',
        'self.permits -= self.state == "half-open" => self.permits -= 1',
    ),
    "a window that never forgets": ("last-ten", f"{WINDOW} => "),
    "a window too short": ("last-ten", "else self.size => else self.minimum_calls"),
    "keeps the window": (
        "window-kept",
        f'{WINDOW} => vars(self).get("results", ()) if state == "closed" else (), maxlen=self.size',
    ),
    "opens on the first error": ("minimum-ignored", f"len(self.results) >= needed and {FAILURES} => not ok"),
    "no minimum": ("minimum-ignored", "else self.minimum_calls => else 2"),
    "failures in a row": (
        "never-opens",
        "self.results.count(False) / len(self.results) => 1 - any(list(self.results)[-self.minimum_calls :])",
    ),
    "number of failures": (
        "closed-rejects",
        "self.permits = self.probes => self.permits, self.failed = self.probes, 0",
        "self.results.append(ok) => self.results.append(ok or setattr(self, 'failed', self.failed + 1) or ok)",
        f"{FAILURES} => self.failed >= 4",
    ),
    "above the threshold": ("never-opens", "share >= => share >"),
    "looks at the share after failures only": ("never-opens", "share >= => not ok and share >="),
    "never opens": ("never-opens", f"{FAILURES} => False"),
    "the wait of the failed call": (
        "wait",
        "return self.period => return self.period, now",
        "ticket != => ticket[0] !=",
        'become("open", now) => become("open", ticket[1])',
    ),
    "half the wait": ("wait", "self.wait_open: => self.wait_open / 2:"),
    "never tries again": ("wait", "now - self.since >= self.wait_open => False"),
    "the wall clock": ("wait", "now - => time.monotonic() -", '"open", now) => "open", time.monotonic())'),
    "the first opening's wait": ("wait", "= state, now, => = state, now if self.period < 2 else self.since,"),
    "the wait of the probes": (
        "wait",
        '= state, now, => = state, self.since if state == "open" and self.period > 1 else now,',
    ),
    "rejections begin the wait anew": ("rejections", "return None => return setattr(self, 'since', now)"),
    "rejections count as failures": ("rejections", "return None => return self.results.append(False)"),
    "minimum_calls for the probes": (
        "too-early",
        f"{PROBES} => {PROBES.replace('self.probes', 'min(self.probes, self.minimum_calls)')}",
    ),
    "probes that expire": ("too-early", "not self.permits => not self.permits and now - self.since < self.wait_open"),
    "the first good probe closes": ("too-early", f"{PROBES} => {PROBES.replace('self.probes', '1')}"),
    "the last probes, as many as the window holds": (
        "share",
        f"{WINDOW} => ",
        "share = self.results.count(False) / len(self.results) => last = list(self.results)[-self.size :]\n"
        "            share = last.count(False) / len(last)",
    ),
    "probes in the window": ("share", 'maxlen=self.probes if state == "half-open" else self.size => maxlen=self.size'),
    "never closes again": ("share", "elif => elif False and"),
    "one bad probe of three": (
        "share",
        f'{FAILURES} => share >= (0.1 if self.state == "half-open" else self.failure_rate)',
    ),
    "half of the probes is not enough": (
        "share",
        f'{FAILURES} => share >= (0.51 if self.state == "half-open" else self.failure_rate)',
    ),
    "a majority of the probes": (
        "settings",
        f'{FAILURES} => share >= (0.5 if self.state == "half-open" else self.failure_rate)',
    ),
    "numbers of its own": ("settings", "= size, failure_rate, minimum_calls => = 10, 0.5, 4"),
    "a late success closes": (
        "late-reply",
        f'{LATE} => if self.state == "open" and ok: self.become("closed", now)\n            {LATE}',
    ),
    "late failures begin the wait anew": (
        "late-reply",
        f'{LATE} => if self.state == "open" and not ok: self.since = now\n            {LATE}',
    ),
    "late failures are probes": (
        "late-reply",
        'or ticket != self.period => or (ticket != self.period and (self.state != "half-open" or ok))',
    ),
    "no tickets": ("late-reply", " or ticket != self.period => "),
    "the state as a ticket": (
        "late-reply",
        "return self.period => return self.state",
        "!= self.period => != self.state",
    ),
    "no lock": ("race", "with self.lock: => if True:"),
    "says False": ("wrong-type", "return None => return False"),
}
RIGHT = {"in small parts": (Breaker,), "periods": (Periods,), "tickets": (Tickets,)}
WRONG = {name: ((but(Breaker, *edits),), {code}) for name, (code, *edits) in EDITS.items()}
WRONG["a lock held during the call"] = ((HoldsTheLock,), {"lock-held"})
