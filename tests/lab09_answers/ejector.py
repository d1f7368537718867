"""Exercise 4: ejectors written in three ways, and mistakes."""

from math import inf

from tests.lab11_answers import but


class Ejector:
    """Lists by number."""

    def __init__(self, n, failures, ejection):
        self.n, self.failures, self.ejection = n, failures, ejection
        self.bad, self.good, self.times, self.back = [0] * n, [0] * n, [0] * n, [-inf] * n

    def out(self, now):
        return {index for index in range(self.n) if now < self.back[index]}

    def heard(self, index, ok, now):
        if index in self.out(now):
            return
        self.bad[index] = 0 if ok else self.bad[index] + 1
        self.good[index] = self.good[index] + 1 if ok else 0
        if self.good[index] >= self.failures:
            self.times[index] = 0
        if self.bad[index] >= self.failures and len(self.out(now)) < self.n // 2:
            self.bad[index] = 0
            self.times[index] += 1
            self.back[index] = now + self.ejection * self.times[index]


class Diary:
    """It keeps what it heard, and reads it all again when it is asked."""

    def __init__(self, n, failures, ejection):
        self.settings, self.heard_of = (n, failures, ejection), []

    def heard(self, index, ok, now):
        self.heard_of.append((index, ok, now))

    def out(self, now):
        n, failures, ejection = self.settings
        back, ends, times = {}, dict.fromkeys(range(n), ""), dict.fromkeys(range(n), 0)
        for index, ok, at in self.heard_of:
            out = {one for one, until in back.items() if at < until}
            if index in out:
                continue
            ends[index] += "." if ok else "x"
            if ends[index].endswith("." * failures):
                times[index] = 0
            if ends[index].endswith("x" * failures) and 2 * (len(out) + 1) <= n:
                times[index] += 1
                back[index], ends[index] = at + times[index] * ejection, ""
        return frozenset(one for one, until in back.items() if now < until)


class Instance:
    """One of them, as a coroutine: it is sent how calls end, and says for how long it wants to go out."""

    def __init__(self, failures, ejection):
        self.back, self.life = 0.0, self.live(failures, ejection)
        next(self.life)

    def live(self, failures, ejection):
        row, times, wants = 0, 0, 0
        while True:
            ok, may = yield wants
            wants = 0
            row = max(row, 0) + 1 if ok else min(row, 0) - 1
            if row >= failures:
                times = 0
            if row <= -failures and may:
                times, row, wants = times + 1, 0, ejection * (times + 1)


class Coroutines:
    def __init__(self, n, failures, ejection):
        self.all = [Instance(failures, ejection) for _ in range(n)]

    def out(self, now):
        return {index for index, one in enumerate(self.all) if one.back > now}

    def heard(self, index, ok, now):
        one, out = self.all[index], self.out(now)
        if index not in out:
            seconds = one.life.send((ok, len(out) + 1 <= len(self.all) / 2))
            one.back = now + seconds if seconds else one.back


# -- mistakes ------------------------------------------------------------------------------------------

BEGIN = "self.n, self.failures, self.ejection = n, failures, ejection"
OUT = "{index for index in range(self.n) if now < self.back[index]}"
HEARD = "def heard(self, index, ok, now):\n"
IS_OUT = "if index in self.out(now):\n"
WELL = "if self.good[index] >= self.failures"
FAILED, HALF = "if self.bad[index] >= self.failures and", "len(self.out(now)) < self.n // 2"
TIME = "now + self.ejection * self.times[index]"


def wrong(code, *changes):
    return but(Ejector, *changes), {code}


def half(most):
    return wrong("half", f"self.n // 2 => {most}")


def while_out(statement):
    """What is done with an answer that comes late."""
    return wrong("late", f"{IS_OUT} => {IS_OUT}            {statement}\n")


RIGHT = {"lists by number": Ejector, "a diary": Diary, "coroutines": Coroutines}
WRONG = {
    "a list": wrong("wrong-type", f"{OUT} => sorted({OUT})"),
    "one failure too soon": wrong("failures", f"{FAILED} => if self.bad[index] >= self.failures - 1 and"),
    "one failure too late": wrong("failures", f"{FAILED} => if self.bad[index] > self.failures and"),
    "two failures at least": wrong("failures", "= n, failures => = n, max(2, failures)"),
    "one count for all": wrong("others", "self.bad[index] = 0 if ok else self.bad[index] + 1 => "
        "self.bad = [0 if ok else self.bad[index] + 1] * self.n"),
    "one is well, all are": wrong("others", "self.times[index] = 0 => self.times = [0] * self.n"),
    "the longest time for all": wrong("others", f"{TIME} => now + self.ejection * max(self.times)"),
    "not in a row": wrong("row", "0 if ok else self.bad[index] + 1 => self.bad[index] + (not ok)"),
    "out for ever": wrong("time-over", f"{TIME} => inf"),
    "ten seconds, always": wrong("time-over", f"{TIME} => now + 10 * self.times[index]"),
    "half the time": wrong("time-over", f"{TIME} => now + self.ejection * self.times[index] / 2"),
    "out in the moment when it is back": wrong("time-over", "if index in self.out(now) => "
        "if index in self.out(now) or now == self.back[index]"),
    "asked about later, let in": wrong("looks-only", "        return { =>         "
        "self.back = [-inf if back <= now else back for back in self.back]\n        return {"),
    "gives its set away": wrong("looks-only", f"{BEGIN} => {BEGIN}\n        self.at = None", f"return {OUT} => "
        f"self.seen, self.at = (self.seen if self.at == now else {OUT}), now\n        return self.seen",
        "+= 1\n => += 1\n            self.at = None\n"),
    "gives its only set away": wrong("looks-only", f"{BEGIN} => {BEGIN}\n        self.seen = set()", f"return {OUT} => "
        f"self.seen |= {OUT}\n        self.seen -= {{*range(self.n)}} - {OUT}\n        return self.seen"),
    "on trial": wrong("anew", "self.bad[index] = 0\n => self.bad[index] = self.failures - 1\n"),
    "always as long": wrong("grows", "self.times[index] += 1 => self.times[index] = 1"),
    "it doubles": wrong("grows", f"{TIME} => now + self.ejection * 2 ** (self.times[index] - 1)"),
    "five times at most": wrong("grows", f"{TIME} => now + self.ejection * min(5, self.times[index])"),
    "never forgives": wrong("well-again", f"{WELL} => if False"),
    "one success heals": wrong("well-again", f"{WELL} => if ok"),
    "well after three": wrong("well-again", f"{WELL} => if self.good[index] >= 3"),
    "successes not in a row": wrong("well-again", "+ 1 if ok else 0 => + ok"),
    "late failures make it longer": while_out(f"self.back[index] = self.back[index] if ok else {TIME}"),
    "late answers count": while_out("self.bad[index] = 0 if ok else self.bad[index] + 1"),
    "late successes count": while_out("self.good[index] += ok"),
    "a late success opens": while_out("self.back[index] = now if ok else self.back[index]"),
    "all may be out": half("self.n"),
    "half, rounded up": half("(self.n + 1) // 2"),
    "half of many, rounded up": half("(self.n + (self.n > 6)) // 2"),
    "a tenth": half("self.n // 10"),
    "less than half": half("(self.n - 1) // 2"),
    "no room, and the count is lost": wrong("next-failure", "else self.bad[index] + 1 => "
        "else self.bad[index] % self.failures + 1"),
    "waits for room": wrong("next-failure", f"{FAILED} => for index in range(self.n):\n          {FAILED}"),
    "no room, and a time is counted": wrong("next-failure", f"{FAILED} => "
        f"self.times[index] += self.bad[index] >= self.failures and not {HALF}\n        {FAILED}"),
    "the rest is kept": wrong("next-failure", "self.bad[index] = 0\n => self.bad[index] -= self.failures\n"),
    "from when it was due": wrong("next-failure", f"{HEARD} => {HEARD}        "
        "self.due = now if self.bad[index] == self.failures - 1 else self.due\n", f"{BEGIN} => {BEGIN}\n"
        "        self.due = 0.0", f"{TIME} => {TIME.replace('now', 'self.due')}"),
    "forgets in a pause": wrong("next-failure", f"{HEARD} => {HEARD}        "
        "self.bad[index] *= self.bad[index] < self.failures or now < self.last + 2 * self.ejection\n"
        "        self.last = now\n", f"{BEGIN} => {BEGIN}\n        self.last = 0.0"),
    "no room in the moment": wrong("next-failure", f"{HALF} => sum(now <= back for back in self.back) < self.n // 2"),
}  # fmt: skip
