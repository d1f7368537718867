"""Exercise 1: balancers written in four ways, and mistakes."""

import random
import time
from collections import deque
from math import exp, inf

from servicelab.policies import LeastOutstanding, OutlierEjection


class Two:
    """The less busy of two: what the lab hands out."""

    def __init__(self, n, rng):
        self.n, self.rng = n, rng
        self.begin()

    def begin(self):
        pass

    def weight(self, index, outstanding, now):
        return outstanding[index]

    def candidates(self, outstanding, now):
        return [index for index in range(self.n) if outstanding[index] < inf]

    def pick(self, outstanding, now):
        there = self.candidates(outstanding, now)
        two = self.rng.sample(there, min(2, len(there)))
        return min(two, key=lambda index: self.weight(index, outstanding, now))

    def heard(self, index, took, ok, now):
        pass


class Rate(Two):
    """Two choices; calls under way, heavier with the share of errors, which is forgotten in some seconds."""

    forget = 5.0

    def begin(self):
        self.bad, self.at = [0.0] * self.n, [0.0] * self.n

    def errors(self, index, now):
        return self.bad[index] * exp(-(now - self.at[index]) / self.forget)

    def weight(self, index, outstanding, now):
        return outstanding[index] + 30 * max(0.0, self.errors(index, now) - 0.3)

    def heard(self, index, took, ok, now):
        self.bad[index] = 0.9 * self.errors(index, now) + 0.1 * (not ok)
        self.at[index] = now


class Out(Two):
    """Two choices among those that are not out: five errors among the last ten, for five seconds, half at most."""

    errors, window, seconds, share = 5, 10, 5.0, 0.5

    def begin(self):
        self.last = [deque(maxlen=self.window) for _ in range(self.n)]
        self.back = [-inf] * self.n

    def candidates(self, outstanding, now):
        there = super().candidates(outstanding, now)
        return [index for index in there if self.back[index] <= now] or there

    def heard(self, index, took, ok, now):
        self.last[index].append(ok)
        out = sum(back > now for back in self.back)
        if self.last[index].count(False) >= self.errors and out < int(self.n * self.share) and self.back[index] <= now:
            self.back[index] = now + self.seconds
            self.last[index].clear()


class Ejecting:
    """The course's own ejector around the least busy."""

    inner, share, failures, seconds = LeastOutstanding, 0.5, 5, 5.0

    def __init__(self, n, rng):
        self.ejector = OutlierEjection(self.inner(rng), self.failures, self.seconds, self.share)

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


class Greedy(Two):
    """The least busy of all."""

    def pick(self, outstanding, now):
        return min(range(self.n), key=lambda index: (outstanding[index], self.rng.random()))


class TrustsForEver(Out):
    """Who has ever answered well is not broken, it thinks."""

    def begin(self):
        super().begin()
        self.good = set()

    def heard(self, index, took, ok, now):
        if ok:
            self.good.add(index)
        if index not in self.good:
            super().heard(index, took, ok, now)


class Turns(Out):
    """In turn, among those that are not out."""

    next = 0

    def pick(self, outstanding, now):
        there, self.next = self.candidates(outstanding, now), self.next + 1
        return there[self.next % len(there)]


class Lots(Out):
    """At random, among those that are not out."""

    def pick(self, outstanding, now):
        return self.rng.choice(self.candidates(outstanding, now))


class OneErrorIsEnough(Out):
    errors, window = 1, 1


class QuickIsBroken(Rate):
    """Who answers much quicker than the others must be broken, it thinks, and does not look at ``ok``."""

    def begin(self):
        super().begin()
        self.usual, self.all = [0.1] * self.n, 0.1

    def heard(self, index, took, ok, now):
        self.usual[index] += 0.03 * (took - self.usual[index])
        self.all += 0.005 * (took - self.all)
        self.errors_of(index, ok, now)

    def errors_of(self, index, ok, now):
        super().heard(index, 0, ok and self.usual[index] > 0.3 * self.all, now)


class AllButOne(Ejecting):
    share = 1.0


class NeverBack(Rate):
    """The share of errors of all its life."""

    forget = inf


class ItsOwnClock(Out):
    """Out for a minute, by the clock on the wall."""

    seconds = 60.0

    def pick(self, outstanding, now):
        return super().pick(outstanding, time.monotonic())

    def heard(self, index, took, ok, now):
        super().heard(index, took, ok, time.monotonic())


class CountsItself(Out):
    def pick(self, outstanding, now):
        index = super().pick(outstanding, now)
        outstanding[index] += 1
        return index


class Wishes(Out):
    """Nobody is left whom it likes: nobody is picked."""

    share = 1.0

    def candidates(self, outstanding, now):
        return [index for index in range(self.n) if outstanding[index] < inf and self.back[index] <= now]

    def pick(self, outstanding, now):
        return super().pick(outstanding, now) if self.candidates(outstanding, now) else None


class NeedsTwo(Out):
    """Two are always drawn, also where there is one."""

    def pick(self, outstanding, now):
        return super().pick(outstanding, now) if self.n > 1 else 1


class Blind(Out):
    """It prefers whoever is not out, and forgets who is not there."""

    def candidates(self, outstanding, now):
        there = [index for index in range(self.n) if self.back[index] <= now]
        return [index for index in there if outstanding[index] < inf] or there


class GoneWhenSomebodyFailed(Out):
    """While nobody has failed it does not look who is there."""

    def candidates(self, outstanding, now):
        return super().candidates(outstanding, now) if any(map(len, self.last)) else range(self.n)


RIGHT = {
    "two choices and a share of errors": Rate,
    "two choices among the healthy": Out,
    "the course's ejector": Ejecting,
    "ghosts of errors": Ghosts,
}
WRONG = {
    "the least busy": (Greedy, {"black-hole", "now-and-then", "sockets"}),
    "two choices": (Two, {"two-choices", "now-and-then", "sockets"}),
    "one success is enough": (TrustsForEver, {"now-and-then"}),
    "in turn": (Turns, {"slower", "by-chance"}),
    "at random": (Lots, {"slower", "by-chance"}),
    "one error is enough": (OneErrorIsEnough, {"by-chance"}),
    "quick is broken": (QuickIsBroken, {"quick-and-well"}),
    "all out but one": (AllButOne, {"all-fail"}),
    "never forgets": (NeverBack, {"never-back"}),
    "counts the calls itself": (CountsItself, {"not-yours"}),
    "a clock of its own": (ItsOwnClock, {"never-back"}),
    "nobody is picked": (Wishes, {"no-instance"}),
    "number one of one": (NeedsTwo, {"no-instance"}),
    "chance from the module": (lambda n, rng: Out(n, random), {"chance"}),
    "a generator of its own": (lambda n, rng: Out(n, random.Random()), {"chance"}),
    "gone, when somebody is heard of": (GoneWhenSomebodyFailed, {"gone"}),
    "out before gone": (Blind, {"gone"}),
}
