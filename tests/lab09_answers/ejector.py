"""Exercise 4: ejectors written in three ways, and mistakes."""

from math import inf


class Ejector:
    """Lists by number."""

    def __init__(self, n, failures, ejection):
        self.n, self.failures, self.ejection = n, failures, ejection
        self.bad, self.good, self.times, self.back = [0] * n, [0] * n, [0] * n, [-inf] * n

    def out(self, now):
        return {index for index in range(self.n) if now < self.back[index]}

    def most(self):
        return self.n // 2

    def heard(self, index, ok, now):
        if index in self.out(now):
            return
        self.bad[index] = 0 if ok else self.bad[index] + 1
        self.good[index] = self.good[index] + 1 if ok else 0
        if self.good[index] >= self.failures:
            self.times[index] = 0
        if self.bad[index] >= self.failures and len(self.out(now)) < self.most():
            self.eject(index, now)

    def eject(self, index, now):
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


class AList(Ejector):
    def out(self, now):
        return sorted(super().out(now))


class AtOnce(Ejector):
    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        if self.bad[index] == self.failures - 1 and len(self.out(now)) < self.most():
            self.eject(index, now)


class OneMore(Ejector):
    def __init__(self, n, failures, ejection):
        super().__init__(n, failures + 1, ejection)


class OneForAll(Ejector):
    def heard(self, index, ok, now):
        self.bad = [max(self.bad)] * self.n
        super().heard(index, ok, now)


class NoRow(Ejector):
    """Failures are counted, in a row or not."""

    def heard(self, index, ok, now):
        before = self.bad[index]
        super().heard(index, ok, now)
        if ok and self.good[index] < self.failures:
            self.bad[index] = before


class ForEver(Ejector):
    def eject(self, index, now):
        super().eject(index, now)
        self.back[index] = inf


class TenSeconds(Ejector):
    """The time of the example, always."""

    def __init__(self, n, failures, ejection):
        super().__init__(n, failures, 10.0)


class HalfTheTime(Ejector):
    def eject(self, index, now):
        super().eject(index, now)
        self.back[index] = now + (self.back[index] - now) / 2


class Sweeps(Ejector):
    """Who is asked about is let in for good, when the time is over."""

    def out(self, now):
        self.back = [-inf if back <= now else back for back in self.back]
        return super().out(now)


class GivesItsSetAway(Ejector):
    def __init__(self, *args):
        super().__init__(*args)
        self.set, self.at = set(), None

    def out(self, now):
        if self.at != now or self.at is None:
            self.set, self.at = super().out(now), now
        return self.set

    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        self.at = None


class OnTrial(Ejector):
    """Who is back is out with its first failure."""

    def eject(self, index, now):
        super().eject(index, now)
        self.bad[index] = self.failures - 1


class AlwaysAsLong(Ejector):
    def eject(self, index, now):
        self.times[index] = 0
        super().eject(index, now)


class Doubles(Ejector):
    def eject(self, index, now):
        super().eject(index, now)
        self.back[index] = now + self.ejection * 2 ** (self.times[index] - 1)


class NeverForgives(Ejector):
    def heard(self, index, ok, now):
        before = self.times[index]
        super().heard(index, ok, now)
        self.times[index] = max(before, self.times[index])


class OneSuccessHeals(Ejector):
    def heard(self, index, ok, now):
        if ok and index not in self.out(now):
            self.times[index] = 0
        super().heard(index, ok, now)


class AllSuccesses(Ejector):
    """Successes are counted, in a row or not."""

    def heard(self, index, ok, now):
        before = self.good[index]
        super().heard(index, ok, now)
        if not ok and self.bad[index] != 0:
            self.good[index] = before


class Longer(Ejector):
    """What fails while it is out stays out for longer."""

    def heard(self, index, ok, now):
        if index in self.out(now) and not ok:
            self.back[index] = now + self.ejection * self.times[index]
        super().heard(index, ok, now)


class LateCounts(Ejector):
    """Answers that come late are counted."""

    def heard(self, index, ok, now):
        if index in self.out(now):
            self.bad[index] = 0 if ok else self.bad[index] + 1
        super().heard(index, ok, now)


class LateSuccessOpens(Ejector):
    def heard(self, index, ok, now):
        if ok:
            self.back[index] = min(self.back[index], now)
        super().heard(index, ok, now)


class All(Ejector):
    def most(self):
        return self.n


class HalfRoundedUp(Ejector):
    def most(self):
        return (self.n + 1) // 2


class ATenth(Ejector):
    """As Envoy has it: one in ten."""

    def most(self):
        return self.n // 10


class LessThanHalf(Ejector):
    def most(self):
        return (self.n - 1) // 2


class BeginsAnewWithoutRoom(Ejector):
    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        self.bad[index] %= self.failures


class Waits(Ejector):
    """Who could not go out goes out as soon as somebody is heard of and there is room, whatever it did meanwhile."""

    def __init__(self, *args):
        super().__init__(*args)
        self.waiting = []

    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        if self.bad[index] >= self.failures and index not in self.waiting:
            self.waiting.append(index)
        while self.waiting and len(self.out(now)) < self.most():
            first = self.waiting.pop(0)
            if first not in self.out(now):
                self.eject(first, now)


class CountsWithoutRoom(Ejector):
    """Each failure without room is a time that it should have been out."""

    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        self.times[index] += self.bad[index] >= self.failures


class KeepsTheRest(Ejector):
    """Failures above the number are left for the next time."""

    def eject(self, index, now):
        rest = self.bad[index] - self.failures
        super().eject(index, now)
        self.bad[index] = rest


class FromWhenItWasDue(Ejector):
    due = 0.0

    def heard(self, index, ok, now):
        self.due = now if self.bad[index] == self.failures - 1 else self.due
        super().heard(index, ok, now)

    def eject(self, index, now):
        super().eject(index, self.due)


class ForgetsInAPause(Ejector):
    """Failures without room, and then nothing for a while: the count begins anew."""

    last = 0.0

    def heard(self, index, ok, now):
        if self.bad[index] >= self.failures and now > self.last + 2 * self.ejection:
            self.bad[index] = 0
        self.last = now
        super().heard(index, ok, now)


class LateSuccessesCount(Ejector):
    def heard(self, index, ok, now):
        self.good[index] += ok and index in self.out(now)
        super().heard(index, ok, now)


class OutInTheMoment(Ejector):
    """What comes in the very moment when it is back counts for nothing."""

    def heard(self, index, ok, now):
        if now != self.back[index]:
            super().heard(index, ok, now)


class NoRoomInTheMoment(Ejector):
    """Who is back in this very moment still takes a place."""

    def eject(self, index, now):
        if sum(now <= back for back in self.back) < self.most():
            super().eject(index, now)


class OneIsWellAllAre(Ejector):
    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        if self.good[index] >= self.failures:
            self.times = [0] * self.n


class TheLongestForAll(Ejector):
    def eject(self, index, now):
        super().eject(index, now)
        self.back[index] = now + self.ejection * max(self.times)


class TwoAtLeast(Ejector):
    def __init__(self, n, failures, ejection):
        super().__init__(n, max(2, failures), ejection)


class WellAfterThree(Ejector):
    def heard(self, index, ok, now):
        super().heard(index, ok, now)
        self.times[index] *= self.good[index] < 3


class HalfOfManyRoundedUp(Ejector):
    def most(self):
        return self.n // 2 if self.n < 7 else (self.n + 1) // 2


class FiveTimesAtMost(Ejector):
    def eject(self, index, now):
        self.times[index] = min(self.times[index], 4)
        super().eject(index, now)


RIGHT = {"lists by number": Ejector, "a diary": Diary, "coroutines": Coroutines}
WRONG = {
    "a list": (AList, {"wrong-type"}),
    "one failure too soon": (AtOnce, {"too-soon"}),
    "one failure too late": (OneMore, {"not-out"}),
    "one count for all": (OneForAll, {"others"}),
    "not in a row": (NoRow, {"row"}),
    "out for ever": (ForEver, {"not-back"}),
    "ten seconds, always": (TenSeconds, {"not-back"}),
    "half the time": (HalfTheTime, {"too-short"}),
    "asked about later, let in": (Sweeps, {"looks-only"}),
    "gives its set away": (GivesItsSetAway, {"looks-only"}),
    "on trial": (OnTrial, {"anew"}),
    "always as long": (AlwaysAsLong, {"grows"}),
    "it doubles": (Doubles, {"grows"}),
    "never forgives": (NeverForgives, {"well-again"}),
    "one success heals": (OneSuccessHeals, {"not-well-yet"}),
    "successes not in a row": (AllSuccesses, {"not-well-yet"}),
    "late failures make it longer": (Longer, {"late"}),
    "late answers count": (LateCounts, {"late"}),
    "a late success opens": (LateSuccessOpens, {"late"}),
    "all may be out": (All, {"too-many"}),
    "half, rounded up": (HalfRoundedUp, {"too-many"}),
    "a tenth": (ATenth, {"too-few"}),
    "less than half": (LessThanHalf, {"too-few"}),
    "no room, and the count is lost": (BeginsAnewWithoutRoom, {"next-failure"}),
    "waits for room": (Waits, {"next-failure"}),
    "no room, and a time is counted": (CountsWithoutRoom, {"next-failure"}),
    "the rest is kept": (KeepsTheRest, {"next-failure"}),
    "from when it was due": (FromWhenItWasDue, {"next-failure"}),
    "forgets in a pause": (ForgetsInAPause, {"next-failure"}),
    "no room in the moment": (NoRoomInTheMoment, {"next-failure"}),
    "late successes count": (LateSuccessesCount, {"late"}),
    "out in the moment when it is back": (OutInTheMoment, {"not-back"}),
    "one is well, all are": (OneIsWellAllAre, {"others"}),
    "the longest time for all": (TheLongestForAll, {"others"}),
    "two failures at least": (TwoAtLeast, {"not-out"}),
    "well after three": (WellAfterThree, {"not-well-yet"}),
    "half of many, rounded up": (HalfOfManyRoundedUp, {"too-many"}),
    "five times at most": (FiveTimesAtMost, {"grows"}),
}
