"""Exercise 5, repair: what hundreds of clients do when their registry is back, in SimPy, where peaks can be counted."""

import math
import random
from numbers import Real

import numpy as np
import simpy

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

CLIENTS, PERIOD, ANSWERS, PATIENCE = 200, 10.0, 200.0, 1.0  # period and patience in s, answers in 1/s
DOWN, UP, END = 19.5, 24.5, 90.0  # seconds: the registry is down in between
FREEZES, THAWS, AGAIN, CRASHES, BACK, LAST = 20.0, 35.0, 60.0, 75.0, 80.0, 100.0  # seconds, of another day
BIN = 0.5  # seconds in which peaks are counted
MOST = ANSWERS / 2 * BIN  # a registry that is full with lookups has no time for heartbeats
OUTAGE = 12  # periods, on a third day
OFF = 0.07  # of a period, at most, is the mean of 4000 pauses from it; jitter that is only added is off by 0.1 and more
TRIES = 8  # of each client, on average, in the outage
SERVED = 1.5 * PERIOD  # seconds after the return by which everybody has been answered
ENOUGH = 50_000  # questions, with which any verdict is clear; right answers ask some 2000
SOON = 0.4  # of a period until a client asks again that has lost one answer: a third, on average of 200
PERIODS = {PERIOD: "", 1.0: "other-period"}  # seconds, and the code of what does not hold with that one
DRAWN = 2  # clients in the diagram, one on each side of the registry

WORDS = words("""
wrong-type: pauses(period, rng) is a generator of seconds that never ends
    What does it yield, and what ends your loop?
in-step: all have begun together: soon they are never more than 100/s
    They began together. What pulls them apart, and does it do so for each of them otherwise?
hammers: the registry is down: a client tries eight times at most, on average
    How long is the pause after the third failure in a row?
herd-returns: the registry is back, and is not run over: never more than 100/s
    Who failed together comes back together, unless chance spreads them. Over how many seconds must it do so, with 200
    clients and 100/s?
too-lazy: fifteen seconds after the return everybody has been answered
    The registry is well, and some clients do not know it. How long can a pause of yours be?
wrong-rate: all is well: one period from question to question, on average
    How long are the pauses on average while all is well?
answered-in-step: the registry hangs, and answers all who wait within a second: never more than 100/s afterwards
    Who is answered together asks together. Is each pause drawn anew?
failed-in-step: the registry hangs and crashes, so that all who wait fail at once: never more than 100/s afterwards
    Who fails in the same moment comes back in the same moment, however long the pause is, unless what is different?
slow-after-a-loss: all is well, and one answer is lost: the client asks again within a third of the period, on average
    What do you do with what `yield` gives back?
never-begins-anew: the same some time after an outage
    What does a success change in your state?
grows-for-ever: the registry was down for two minutes: fifteen seconds after its return everybody has asked again
    How long is your pause after ten failures in a row?
other-period: the same with another period
    Which of your numbers are seconds, and which are shares of `period`?
""")


class Pauses(Stage):
    """The learner's generators, one for each client."""

    def scripts(self, period=PERIOD):
        return [self.yours(period, random.Random(number)) for number in range(CLIENTS)]

    def live(self, kind):
        """A day of 200 clients."""

        def day_of_200_clients():
            return kind(self.scripts(), self.ask.trace)

        return self.call(day_of_200_clients, limit=8.0)


class Day:
    """200 clients that begin together, and a registry that answers 200 questions/s and is down for 5 s."""

    down, drawn, end = (DOWN, UP), (DOWN - PERIOD, UP + SERVED), END  # seconds

    def __init__(self, scripts, trace):
        self.env, self.trace = simpy.Environment(), trace
        self.registry = simpy.Resource(self.env)
        self.asked, self.heard, self.marks = [], {}, []
        for number, script in enumerate(scripts):
            self.env.process(self._client(number, script))
        self.env.run(until=self.end)
        self.asked = np.array(self.asked)

    def _client(self, number, script):
        pause = next(script)
        while len(self.asked) < ENOUGH:
            yield self.env.timeout(pause)
            self.asked.append(self.env.now)
            id = self._sent(number)
            answered = yield from self._question()
            if answered and self.env.now >= UP:
                self.heard.setdefault(number, self.env.now - UP)
            if id and answered:
                self.trace.receive(id, "registry")
            elif id:
                self.trace.lose(id, "no answer")
            pause = script.send(answered)

    def _question(self):
        if self.down[0] <= self.env.now < self.down[1]:
            yield self.env.timeout(0.001)
            return False
        begin = self.env.now
        with self.registry.request() as turn:
            yield turn | self.env.timeout(PATIENCE)
            if not turn.triggered:
                return False
            yield self.env.timeout(1 / ANSWERS)
        return self.env.now - begin <= PATIENCE

    def _sent(self, number):
        if number >= DRAWN or not self.drawn[0] <= self.env.now <= self.drawn[1] or len(self.trace) > 400:
            return None
        self.trace.clock = lambda: self.env.now
        id = self.trace.send(f"client {number + 1}", "registry", "who is there?", at=self.env.now)
        self.marks.append((self.env.now, id))
        return id

    def peak(self, since, until):
        """``(most questions in a bin, in words, the id of one near it)``."""
        counts, edges = np.histogram(self.asked, np.arange(since, until + BIN / 2, BIN))
        at = edges[counts.argmax()]
        id = min(self.marks, key=lambda one: abs(one[0] - at))[1] if self.marks else None
        return counts.max(), f"at {at:.1f} s it was {counts.max()} in {BIN} s", id


class FrozenDay(Day):
    """Another day: the registry freezes twice, with (nearly) all questions open. The first time it wakes up and answers
    them, one after the other; the second time it crashes, they fail in one moment, and it is down for 5 s."""

    down, drawn, end = (CRASHES, BACK), (FREEZES, BACK + SERVED), LAST

    def _question(self):
        if FREEZES <= self.env.now < THAWS:
            yield self.env.timeout(THAWS - self.env.now)
            with self.registry.request() as turn:
                yield turn
                yield self.env.timeout(1 / ANSWERS)
            return True
        if AGAIN <= self.env.now < CRASHES:
            yield self.env.timeout(CRASHES - self.env.now)
            return False
        return (yield from super()._question())


check_herd = scenario("08", 5, "A herd", WORDS, pauses=Pauses)
part = check_herd.part


@part
def form(p):
    made = p.call(p.yours, PERIOD, random.Random(1))
    found = []

    def draw():
        found.append(next(made))
        for number in range(60):
            found.append(made.send(number % 3 > 0))

    wrong = f"it gave {shown(made)}, which has no send()"
    if callable(getattr(made, "send", None)):
        outcome = p.ask.run(draw, limit=2.0)
        bad = next(((n, one) for n, one in enumerate(found, 1) if not _is_pause(one)), None)
        wrong = "" if outcome.returned else f"after {len(found)} pauses {outcome}"
        if bad:
            wrong = f"pause {bad[0]} was {shown(bad[1])}: seconds must be a number >= 0"
        elif isinstance(outcome.error, StopIteration):
            wrong = f"it ended after {len(found)} pauses; the clients go on for ever"
    yield "wrong-type", not wrong, wrong


def _is_pause(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


@part
def an_outage(p):
    day = p.live(Day)
    many, told, p.last = day.peak(PERIOD, DOWN)
    yield "in-step", many <= MOST, told
    tries = ((day.asked >= DOWN) & (day.asked < UP)).sum() / CLIENTS
    yield "hammers", tries <= TRIES, f"{tries:.1f} times in {UP - DOWN:.0f} s"
    many, told, p.last = day.peak(UP, UP + 30)
    yield "herd-returns", many <= MOST, f"it was back at {UP} s, and {told}"
    late = sum(one > SERVED for one in day.heard.values()) + CLIENTS - len(day.heard)
    yield "too-lazy", not late, f"{late} clients had no answer"


@part
def a_freeze(p):
    day = p.live(FrozenDay)
    many, told, p.last = day.peak(THAWS + 1.5, AGAIN)
    yield "answered-in-step", many <= MOST, f"they were answered at {THAWS} s, and {told}"
    many, told, p.last = day.peak(BACK, LAST)
    yield "failed-in-step", many <= MOST, f"they failed at {CRASHES} s, it was back at {BACK} s, and {told}"


@part
def one_client_after_another(p):
    well, outage = [True] * 20, [False] * 6 + [True] * 2

    def pauses_after(answers, period):
        return np.array([[next(script), *map(script.send, answers)] for script in p.scripts(period)]) / period

    def latest(period):
        late = []
        for script in p.scripts(period):
            at, tries = next(script), 1
            while at < OUTAGE * period and tries < ENOUGH / 100:
                at, tries = at + script.send(False), tries + 1
            late.append(at / period - OUTAGE)
        return max(late)

    for period, code in PERIODS.items():
        told = f"on average it is {{:.2f}} periods, with a period of {period:g} s"
        mean = p.call(pauses_after, well, period)[:, 1:].mean()
        yield code or "wrong-rate", abs(mean - 1) <= OFF, told.format(mean)
        for first, answers in (("slow-after-a-loss", well), ("never-begins-anew", well + outage)):
            pause = p.call(pauses_after, [*answers, False], period)[:, -1].mean()
            yield code or first, pause <= SOON, told.format(pause) + " after one lost answer"
        late = p.call(latest, period, limit=4.0)
        told = f"the last one asked {late:.1f} periods after it, with a period of {period:g} s"
        yield code or "grows-for-ever", late <= SERVED / PERIOD, told
