"""Exercise 1: balancers written in four ways, and mistakes."""

import random
import time
from collections import deque
from math import exp, inf

from servicelab.policies import LeastOutstanding, OutlierEjection
from tests.lab11_answers import but


class Out:
    """Two choices among those that are not out: five errors among the last ten, for five seconds, half at most."""

    def __init__(self, n, rng):
        self.n, self.rng, self.last, self.back = n, rng, [deque(maxlen=10) for _ in range(n)], [-inf] * n

    def heard(self, index, took, ok, now):
        self.last[index].append(ok)
        out = sum(back > now for back in self.back)
        if self.last[index].count(False) >= 5 and out < self.n // 2 and self.back[index] <= now:
            self.back[index] = now + 5.0
            self.last[index].clear()

    def pick(self, outstanding, now):
        there = [index for index in range(self.n) if outstanding[index] < inf]
        liked = [index for index in there if self.back[index] <= now] or there
        two = self.rng.sample(liked, min(2, len(liked)))
        return min(two, key=lambda index: outstanding[index])


class Rate:
    """Two choices; calls under way, heavier with the share of errors, which is forgotten in some seconds."""

    def __init__(self, n, rng):
        self.n, self.rng, self.bad, self.at = n, rng, [0.0] * n, [0.0] * n

    def errors(self, index, now):
        return self.bad[index] * exp(-(now - self.at[index]) / 5.0)

    def heard(self, index, took, ok, now):
        self.bad[index] = 0.9 * self.errors(index, now) + 0.1 * (not ok)
        self.at[index] = now

    def pick(self, outstanding, now):
        there = [index for index in range(self.n) if outstanding[index] < inf]
        two = self.rng.sample(there, min(2, len(there)))
        return min(two, key=lambda index: outstanding[index] + 30 * max(0.0, self.errors(index, now) - 0.3))


class Ejecting:
    """The course's own ejector around the least busy."""

    def __init__(self, n, rng):
        self.ejector = OutlierEjection(LeastOutstanding(rng), failures=5, ejection=5.0, max_share=0.5)

    def pick(self, outstanding, now):
        return self.ejector.pick(outstanding, now)

    def heard(self, index, took, ok, now):
        self.ejector.heard(index, took, ok, now)


class Ghosts:
    """The least busy; an error leaves ten calls behind that nobody sees, for two seconds."""

    def __init__(self, n, rng):
        self.rng, self.ghosts = rng, [deque() for _ in range(n)]

    def pick(self, outstanding, now):
        for ghosts in self.ghosts:
            while ghosts and ghosts[0] < now:
                ghosts.popleft()
        loads = [
            (calls + (10 * (len(ghosts) - 2) if len(ghosts) > 2 else 0), self.rng.random(), index)
            for index, (calls, ghosts) in enumerate(zip(outstanding, self.ghosts))
        ]
        return min(loads)[2]

    def heard(self, index, took, ok, now):
        if not ok:
            self.ghosts[index].append(now + 2.0)


# -- mistakes ------------------------------------------------------------------------------------------


class ItsOwnClock(Out):
    """Out for a minute, by the clock on the wall."""

    def pick(self, outstanding, now):
        return super().pick(outstanding, time.monotonic() / 12)

    def heard(self, index, took, ok, now):
        super().heard(index, took, ok, time.monotonic() / 12)


def wrong(codes, *changes):
    return but(Out, *changes), set(codes.split())


ALIKE = "if self.back[index] <= now] => ]"  # it likes them all
NOTES, TWO = "self.last[index].append(ok)", "self.rng.sample(liked, min(2, len(liked)))"
LESS, BUSY = "min(two, key=lambda index: outstanding[index])", "outstanding[index] < inf"

RIGHT = {
    "two choices and a share of errors": Rate,
    "two choices among the healthy": Out,
    "the course's ejector": Ejecting,
    "ghosts of errors": Ghosts,
}
WRONG = {
    "the least busy": wrong("black-hole sockets", ALIKE, f"{TWO} => self.rng.sample(liked, len(liked))"),
    "two choices": wrong("black-hole sockets", ALIKE),
    "one success is enough": wrong("now-and-then", f"{NOTES} => "
        "self.good = getattr(self, 'good', set()) | ({index} if ok else set())\n"
        f"        {NOTES.replace('ok', 'ok or index in self.good')}"),
    "in turn": wrong("slower", f"{TWO} => liked\n        self.turn = getattr(self, 'turn', 0) + 1",
        f"{LESS} => two[self.turn % len(two)]"),
    "at random": wrong("slower", f"{TWO} => [self.rng.choice(liked)]"),
    "one error is enough": wrong("by-chance", "maxlen=10 => maxlen=1", ">= 5 => >= 1"),
    "quick is broken": wrong("quick-and-well", f"{NOTES} => {NOTES.replace('ok', 'ok and took > 0.01')}"),
    "all out but one": (but(Ejecting, "max_share=0.5 => max_share=1.0"), {"all-fail"}),
    "never forgets": (but(Rate, "/ 5.0 => / inf"), {"never-back"}),
    "a clock of its own": (ItsOwnClock, {"never-back"}),
    "counts the calls itself": wrong("not-yours", f"return {LESS} => "
        f"index = {LESS}\n        outstanding[index] += 1\n        return index"),
    "nobody is picked": wrong("no-instance", "self.n // 2 => self.n", "<= now] or there => <= now]",
        f"return {LESS} => return {LESS} if two else None"),
    "number one of one": wrong("no-instance", f"return {LESS} => return {LESS} if self.n > 1 else 1"),
    "chance from the module": (lambda n, rng: Out(n, random), {"chance"}),
    "a generator of its own": (lambda n, rng: Out(n, random.Random()), {"chance"}),
    "gone, when somebody is heard of": wrong("gone", f"{BUSY} => {BUSY} or not any(self.last)"),
    "out before gone": wrong("gone", f"range(self.n) if {BUSY} => range(self.n) if self.back[index] <= now",
        f"there if self.back[index] <= now => there if {BUSY}"),
}  # fmt: skip
