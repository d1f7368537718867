"""Exercise 2: canary controllers in three ways, and mistakes."""

from fractions import Fraction
from functools import cache
from math import comb, sqrt

from tests.lab11_answers import but


class Canary:
    """So many failures, and more than twice as many as the old one has."""

    def __init__(self):
        self.n, self.bad, self.end = {"old": 0, "new": 0}, {"old": 0, "new": 0}, "go on"

    def weight(self):
        if self.end == "go on":
            return 0.1 if self.n["new"] < 100 else 0.5
        return 1 if self.end == "promote" else 0

    def heard(self, version, ok):
        if self.end == "go on":
            self.n[version] += 1
            self.bad[version] += not ok
            self.end = self.decide(self.n["new"], self.bad["new"], (self.bad["old"] + 1) / (self.n["old"] + 50))
        return self.end

    def decide(self, n, bad, old):
        most, least = (100, 4) if n <= 100 else (300, 8)
        if bad >= least and bad > 2.2 * old * most:
            return "roll back"
        return "promote" if n >= 300 else "go on"


@cache
def tail(k, n, p):
    """The probability of k failures or more of n."""
    return 1 - sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k))


class Looks(Canary):
    """It looks six times, and each look may be wrong a little."""

    looks = {10: 0.0005, 20: 0.001, 50: 0.005, 100: 0.025, 200: 0.005, 300: 0.02}

    def weight(self):
        return Fraction(super().weight())

    def decide(self, n, bad, old):
        p = max(0.005, round(self.bad["old"] / max(1, self.n["old"]), 3))
        if self.looks.get(n, 0) > tail(bad, n, p):
            return "roll back"
        return "promote" if n >= 300 else "go on"


def generated():
    """A generator that gets the outcomes; normal deviates, at three times."""

    def course():
        n, bad, weight, said = [0, 0], [0, 0], 0.08, "go on"
        while said == "go on":
            version, ok = yield said, weight
            new = version == "new"
            n[new] += 1
            bad[new] += not ok
            weight = 0.08 if n[1] < 100 else 0.4
            if new and n[1] in (12, 20, 100, 300):
                rate = max(0.008, sum(bad) / sum(n))
                z = (bad[1] - n[1] * rate) / sqrt(n[1] * rate * (1 - rate))
                said = "roll back" if z > {12: 5.5, 20: 5.5, 100: 1.9, 300: 2.2}[n[1]] else "go on"
                said = "promote" if n[1] == 300 and said == "go on" else said
        while True:
            yield said, float(said == "promote")

    class Sent:
        def __init__(self):
            self.course = course()
            self.now = next(self.course)

        def weight(self):
            return self.now[1]

        def heard(self, version, ok):
            self.now = self.course.send((version, ok))
            return self.now[0]

    return Sent


RIGHT = {"failures and a ratio": Canary, "six looks": Looks, "a generator": generated()}
GOES = 'if self.end == "go on":\n            self.n'
BACK = "if bad >= least and bad > 2.2 * old * most:"
WRONG = {
    "texts": (["return 0.1 if => return '' if"], "wrong-type"),
    "true or false": (["return self.end => return self.end == 'roll back'"], "wrong-type"),
    "half at once": (["return 0.1 if self.n[\"new\"] < 100 else 0.5 => return 0.5"], "weight"),
    "counts all requests": (['0.1 if self.n["new"] < 100 => 0.1 if sum(self.n.values()) < 100'], "weight"),
    "all at last": (['else 0.5 => else 0.5 if self.n["new"] < 200 else 1'], "weight"),
    "one in a hundred": (["return 0.1 if => return 0.01 if"], "weight"),
    "waits for the old": (["return 0.1 if => return 0 if self.n['old'] < 200 else 0.1 if"], "weight"),
    "keeps its weight": (["return 1 if self.end == \"promote\" else 0 => return 0.5"], "after"),
    "thinks again": ([f"{GOES} => if self.end != 'promote':\n            self.n"], "after"),
    "once promoted, watches on": ([f"{GOES} => if self.end != 'roll back':\n            self.n"], "after"),
    "waits for a hundred": ([f"{BACK} => if n >= 100 and bad >= least and bad > 2.2 * old * most:"], "glaring"),
    "never sooner than all": ([f"{BACK} => if bad >= 0.4 * n and n >= 8 or n >= 300 and bad > 8:"], "slow"),
    "seven of a hundred": (["(100, 4) => (100, 7)"], "slow"),
    "promotes after a hundred": (["n >= 300 else => n >= 100 else"], "missed"),
    "two are enough": (["(100, 4) => (100, 2)", "2.2 * old * most => 2.2 * old * n"], "false-alarm"),
    "looks at each request": ([f"{BACK} => if bad > old * n + 1.65 * (old * n) ** 0.5 and bad > 1:"], "false-alarm"),
    "a fixed bound": ([f"{BACK} => if bad >= least:"], "old-is-bad"),
    "unlike the old": (["if bad >= least => if n == 300 and bad + 8 < 300 * old or bad >= least"], "better"),
    "asks for more": (["if n >= 300 else => if n >= 600 else"], "undecided"),
    "only if it was perfect": (["n >= 300 else => n >= 300 and bad < 2 else"], "undecided"),
}  # fmt: skip
WRONG = {name: (but(Canary, *changes), {code}) for name, (changes, code) in WRONG.items()}
