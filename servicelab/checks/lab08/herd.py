"""Exercise 5, repair: what hundreds of clients do when their registry is back, in SimPy, where peaks can be counted."""

import math
import random
from numbers import Real

import numpy as np
import simpy

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

CLIENTS, PERIOD, ANSWERS, PATIENCE = 200, 10.0, 200.0, 1.0  # period and patience in s, answers in 1/s
DOWN, UP, WELL = 19.5, 24.5, 54.5  # seconds of a day: the registry is down, is back, and all is well
FREEZES, THAWS, AGAIN, CRASHES, BACK, END = 60.0, 75.0, 100.0, 115.0, 120.0, 140.0  # … and what comes then
BIN = 0.5  # seconds in which peaks are counted
MOST = ANSWERS / 2 * BIN  # a registry that is full with lookups has no time for heartbeats
OUTAGE = 12  # periods, on another day
OFF = 0.07  # of a period, at most, is the mean of 4000 pauses from it; jitter that is only added is off by 0.1 and more
TRIES = 8  # of each client, on average, in the outage
SERVED = 1.5  # periods after the return by which everybody has been answered
ENOUGH = 20_000  # questions, with which any verdict is clear; right answers ask some 3000
SOON = 0.4  # of a period until a client asks again that has lost one answer: a third, on average of 200

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
too-lazy, grows-for-ever: one and a half periods after the return, everybody has asked, and been answered
    The registry is well, and some clients do not know it. How long can a pause of yours be, after ten failures, too?
answered-in-step, failed-in-step: it hangs, and all who wait are answered, or fail, at once: then never more than 100/s
    Who is answered together, or fails in the same moment, comes back together, unless what is drawn anew?
wrong-rate: all is well: one period from question to question, on average
    How long are the pauses on average while all is well?
slow-after-a-loss, never-begins-anew: one answer is lost: the client asks again within a third of the period on average
    What do you do with what `yield` gives back, and what does a success change in your state, after an outage, too?
other-period: the same with another period
    Which of your numbers are seconds, and which are shares of `period`?
""")


class Day(Stage):
    """200 clients that begin together, each with a generator of the learner's, and a registry that answers 200
    questions/s. It is down for 5 s. Later it freezes twice, with (nearly) all questions open: first it wakes up, and
    answers them, one after the other; then it crashes, they fail in one moment, and it is down for 5 s."""

    def scripts(self, period=PERIOD):
        return [self.yours(period, random.Random(number)) for number in range(CLIENTS)]

    def day_of_200_clients(self):
        self.env = simpy.Environment()
        self.registry, self.ask.trace.clock = simpy.Resource(self.env), lambda: self.env.now
        self.asked, self.heard, self.marks = [], {}, {}
        for number, script in enumerate(self.scripts()):
            self.env.process(self.client(number, script))
        self.env.run(END)

    def client(self, number, script):
        pause, trace, id = next(script), self.ask.trace, None
        while len(self.asked) < ENOUGH:
            yield self.env.timeout(pause)
            self.asked.append(self.env.now)
            if number < 2 and len(trace) < 800:  # two are drawn, one on each side of the registry
                self.marks[self.env.now] = id = trace.send(f"client {number + 1}", "registry", "who is there?")
            answered = yield from self.question()
            if answered and self.env.now >= UP:
                self.heard.setdefault(number, self.env.now - UP)
            if id:
                trace.receive(id) if answered else trace.lose(id, "no answer")
            pause, id = script.send(answered), None

    def question(self):
        begin = self.env.now
        for freezes, ends in ((FREEZES, THAWS), (AGAIN, CRASHES)):
            if freezes <= begin < ends:
                yield self.env.timeout(ends - begin)
        if DOWN <= self.env.now < UP or CRASHES <= self.env.now < BACK:
            yield self.env.timeout(0.001 if begin == self.env.now else 0)
            return False
        patience = END if FREEZES <= begin < THAWS else PATIENCE
        with self.registry.request() as turn:
            yield turn | self.env.timeout(patience)
            if not turn.triggered:
                return False
            yield self.env.timeout(1 / ANSWERS)
        return self.env.now - begin <= patience

    def peak(self, code, since, until, why):
        """Are they never too many in between, after this? The most of them are marked."""
        counts, edges = np.histogram(self.asked, np.arange(since, until + BIN / 2, BIN))
        at = edges[counts.argmax()]
        self.last = self.marks[min(self.marks, key=lambda time: abs(time - at))]
        return code, counts.max() <= MOST, f"{why}, and at {at:.1f} s it was {counts.max()} in {BIN} s"


check_herd = scenario("08", 5, "A herd", WORDS, pauses=Day)
part = check_herd.part


@part
def form(p):
    made = p.call(p.yours, PERIOD, random.Random(1))
    yield "wrong-type", callable(getattr(made, "send", None)), f"it gave {shown(made)}, which has no send()"
    for number in range(61):
        outcome = p.ask.run(*([made.send, number % 3 != 1] if number else [next, made]), limit=2.0)
        ends = "it ended" if isinstance(outcome.error, StopIteration) else str(outcome)
        yield "wrong-type", outcome.returned, f"{ends} after {number} pauses; the clients go on for ever"
        one = outcome.value
        is_pause = isinstance(one, Real) and not isinstance(one, bool) and 0 <= one < math.inf
        yield "wrong-type", is_pause, f"pause {number + 1} was {shown(one)}: seconds must be a number >= 0"


@part
def a_day(p):
    p.call(p.day_of_200_clients, limit=10.0)
    p.asked = np.array(p.asked)
    yield p.peak("in-step", PERIOD, DOWN, "all began at 0 s")
    tries = ((p.asked >= DOWN) & (p.asked < UP)).sum() / CLIENTS
    yield "hammers", tries <= TRIES, f"{tries:.1f} times in {UP - DOWN:.0f} s"
    yield p.peak("herd-returns", UP, WELL, f"it was back at {UP} s")
    late = sum(one > SERVED * PERIOD for one in p.heard.values()) + CLIENTS - len(p.heard)
    yield "too-lazy", not late, f"{late} clients had no answer in {SERVED * PERIOD:.0f} s"
    yield p.peak("answered-in-step", THAWS + 1.5, AGAIN, f"they were answered at {THAWS} s")
    yield p.peak("failed-in-step", BACK, END, f"they failed at {CRASHES} s, it was back at {BACK} s")


@part
def one_client_after_another(p):
    well, outage = [True] * 20, [False] * 6 + [True] * 2

    def pauses_after(answers, period):
        return np.array([[next(script), *map(script.send, answers)] for script in p.scripts(period)]) / period

    def latest(period):
        late = []
        for script in p.scripts(period):
            at, tries = next(script), 1
            while at < OUTAGE * period and tries < ENOUGH / 40:
                at, tries = at + script.send(False), tries + 1
            late.append(at / period - OUTAGE)
        return max(late)

    for period, other in ((PERIOD, ""), (1.0, "other-period")):
        told = f"periods, with a period of {period:g} s"
        mean = p.call(pauses_after, well, period)[:, 1:].mean()
        yield other or "wrong-rate", abs(mean - 1) <= OFF, f"on average it is {mean:.2f} {told}"
        for code, answers in (("slow-after-a-loss", well), ("never-begins-anew", well + outage)):
            pause = p.call(pauses_after, [*answers, False], period)[:, -1].mean()
            yield other or code, pause <= SOON, f"after one lost answer it is {pause:.2f} {told}, on average"
        late = p.call(latest, period, limit=4.0)
        yield other or "grows-for-ever", late <= SERVED, f"the last one asked after {late:.1f} {told}"
