"""Exercise 5, repair: what hundreds of clients do when their registry is back.

The learner's pauses are put to work twice: by 200 clients in SimPy, where peaks can be counted, and by a few threads at
a real registry.
"""

import math
import random
import threading
import time
from numbers import Real

import numpy as np
import requests
import simpy

from servicelab.checks.lab08.registry_stage import RegistryStage, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

CLIENTS, PERIOD, ANSWERS, PATIENCE = 200, 10.0, 200.0, 1.0  # period and patience in s, answers in 1/s
DOWN, UP, END = 19.5, 24.5, 90.0  # seconds: the registry is down in between
FREEZES, THAWS, AGAIN, CRASHES, BACK, LAST = 20.0, 35.0, 60.0, 75.0, 80.0, 100.0  # seconds, of another day
BIN = 0.5  # seconds in which peaks are counted
MOST = ANSWERS / 2 * BIN  # a registry that is full with lookups has no time for heartbeats
OUTAGE = 120.0  # seconds, on a third day
TRIES = 8  # of each client, on average, in the outage
SERVED = 1.5 * PERIOD  # seconds after the return by which everybody has been answered
ENOUGH = 50_000  # questions, with which any verdict is clear; right answers ask some 2000
SOON = PERIOD / 3  # seconds, on average, until a client asks again that has lost one answer
DRAWN = 2  # clients in the diagram, one on each side of the registry
SOCKETS, SHORT = 6, 1.0  # clients on real sockets, and their period in seconds

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
wrong-rate: all is well again: 20 questions/s, as before
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
sockets: the same on sockets, with another period: all clients find the registry again
    Which of your numbers are seconds, and which are shares of `period`?
""")


class Pauses(Stage):
    """The learner's generators, one for each client."""

    def scripts(self):
        return [self.yours(PERIOD, random.Random(number)) for number in range(CLIENTS)]

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
    many, told, p.last = day.peak(5, DOWN)
    yield "in-step", many <= MOST, told
    tries = ((day.asked >= DOWN) & (day.asked < UP)).sum() / CLIENTS
    yield "hammers", tries <= TRIES, f"{tries:.1f} times in {UP - DOWN:.0f} s"
    many, told, p.last = day.peak(UP, UP + 30)
    yield "herd-returns", many <= MOST, f"it was back at {UP} s, and {told}"
    late = sum(one > SERVED for one in day.heard.values()) + CLIENTS - len(day.heard)
    yield "too-lazy", not late, f"{late} clients had no answer"
    rate = (day.asked >= UP + 24).sum() / (END - UP - 24)
    yield "wrong-rate", 0.85 <= rate / (CLIENTS / PERIOD) <= 1.15, f"{rate:.1f}/s"


@part
def a_freeze(p):
    day = p.live(FrozenDay)
    many, told, p.last = day.peak(THAWS + 1.5, AGAIN)
    yield "answered-in-step", many <= MOST, f"they were answered at {THAWS} s, and {told}"
    many, told, p.last = day.peak(BACK, LAST)
    yield "failed-in-step", many <= MOST, f"they failed at {CRASHES} s, it was back at {BACK} s, and {told}"


@part
def one_answer_lost(p):
    well, outage = [True] * 3, [False] * 6 + [True] * 2

    def pause_after(*answers):
        return np.mean([[next(script), *map(script.send, answers)][-1] for script in p.scripts()])

    for code, answers in (("slow-after-a-loss", well), ("never-begins-anew", well + outage)):
        pause = p.call(pause_after, *answers, False)
        yield code, pause <= SOON, f"{pause:.1f} s later, with a period of {PERIOD:g} s"


@part
def a_long_outage(p):
    def latest():
        late = []
        for script in p.scripts():
            at, tries = next(script), 1
            while at < OUTAGE and tries < ENOUGH / 100:
                at, tries = at + script.send(False), tries + 1
            late.append(at - OUTAGE)
        return max(late)

    late = p.call(latest, limit=4.0)
    yield "grows-for-ever", late <= SERVED, f"the last one asked {late:.0f} s after it"


@part
def on_sockets(p):
    at = RegistryStage(p.ask)
    at.enter(1)
    over, heard = threading.Event(), [0] * SOCKETS
    scripts = [p.yours(SHORT, random.Random(number)) for number in range(SOCKETS)]
    webs = [at.session(f"client {number + 1}") for number in range(SOCKETS)]

    def follow(number):
        script, web = scripts[number], webs[number]
        pause = next(script)
        while not over.wait(pause):
            try:
                answered = web.get(f"{at.url}/v1/health/service/orders?passing=1", timeout=1).ok
            except requests.RequestException:
                answered = False
            heard[number] += answered
            pause = script.send(answered)

    crowd = [
        threading.Thread(target=follow, args=[number], name=f"servicelab check client {number + 1}", daemon=True)
        for number in range(SOCKETS)
    ]
    for thread in crowd:
        thread.start()
    try:
        wait_until(lambda: all(heard), 2.5)
        at.registry.kill()
        time.sleep(1.4 * SHORT)  # each of them asks in vain at least once
        at.registry.restart(keep=True)
        before = list(heard)
        back = wait_until(lambda: all(now > then for now, then in zip(heard, before)), 4.0)
    finally:
        over.set()
        for thread in crowd:
            thread.join(2.0)
    p.last = at.last
    many = sum(now > then for now, then in zip(heard, before))
    yield "sockets", back, f"{many} of {SOCKETS} were answered within 4 s of its return, with a period of {SHORT:g} s"
