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

from servicelab.checks.exercise import exercise
from servicelab.checks.lab08.registry_stage import stand, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section

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

_HINTS = {
    "in-step": "They began together, and a fixed period keeps them together for ever. Draw each pause anew: "
    "period * rng.uniform(0.8, 1.2).",
    "herd-returns": "Who failed together comes back together, unless chance spreads them: rng.uniform(0, step). And "
    "the step must be able to grow to about the period: 200 clients cannot all come within two seconds.",
    "hammers": "A pause that does not grow asks a dead registry all the time: double the step after each failure.",
    "answered-in-step": "What was spread at the beginning does not stay so: who is answered together asks together "
    "for ever, unless each pause is drawn anew: period * rng.uniform(0.8, 1.2).",
    "failed-in-step": "Who fails in the same moment comes back in the same moment, however long the step is, unless "
    "the pause is drawn from it: rng.uniform(0, step).",
    "too-lazy": "The registry is well, and some clients do not know it. No pause longer than the period.",
    "grows-for-ever": "A step that doubles for two minutes is longer than the outage was: min(2 * step, period).",
    "slow-after-a-loss": "Use what `yield` gives back: after a False the next pause is another one, short at first.",
    "never-begins-anew": "A success ends the trouble: set the step back to where it began.",
    "wrong-rate": "While all is well the pauses are `period` on average, for everybody.",
}


@exercise("08", 5, "A herd", limit=45.0)
def check_herd(ask, pauses):
    """``pauses(period, rng)`` is a generator: it yields the seconds until the next question, and is sent whether that
    one was answered."""
    _generator(ask, pauses)
    with section(ask):
        outcome = ask.run(lambda: Herd(pauses, ask.trace), limit=15.0)
        if not outcome.returned:
            ask.need(outcome.how, "200 clients follow your pauses", False, str(outcome), "Read the last line first.")
        _peaks(ask, outcome.value)
    with section(ask):
        _frozen(ask, pauses)
    with section(ask):
        _one_lost(ask, pauses)
        _long(ask, pauses)
    with stand(ask) as at:
        _on_sockets(at, pauses)


def _generator(ask, pauses):
    made = ask.call(pauses, PERIOD, random.Random(1), limit=2.0)
    found, wrong = [], f"it gave {shown(made)}, which has no send()"

    def draw():
        found.append(next(made))
        for number in range(30):
            found.append(made.send(number % 3 > 0))

    if callable(getattr(made, "send", None)):
        outcome = ask.run(draw, limit=2.0)
        bad = next(((n, one) for n, one in enumerate(found, 1) if not _is_pause(one)), None)
        if bad:
            wrong = f"pause {bad[0]} was {shown(bad[1])}: seconds must be a number >= 0"
        elif isinstance(outcome.error, StopIteration):
            wrong = f"it ended after {len(found)} pauses; the clients go on for ever"
        else:
            wrong = "" if outcome.returned else f"after {len(found)} pauses {outcome}"
    ask.need(
        "wrong-type",
        "pauses(period, rng) is a generator of seconds that never ends",
        not wrong,
        wrong,
        "answered = yield seconds, in a `while True:`.",
    )


def _is_pause(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


class Herd:
    """200 clients that begin together, and a registry that answers 200 questions/s and is down for 5 s."""

    down, drawn, end = (DOWN, UP), (DOWN - PERIOD, UP + SERVED), END  # seconds

    def __init__(self, pauses, trace):
        self.env, self.trace = simpy.Environment(), trace
        self.registry = simpy.Resource(self.env)
        self.asked, self.heard, self.marks = [], {}, []
        for number in range(CLIENTS):
            self.env.process(self._client(number, pauses(PERIOD, random.Random(number))))
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
        """``(most questions in a bin, when, the id of one near it)``."""
        counts, edges = np.histogram(self.asked, np.arange(since, until + BIN / 2, BIN))
        at = edges[counts.argmax()]
        id = min(self.marks, key=lambda one: abs(one[0] - at))[1] if self.marks else None
        return int(counts.max()), at, id


class Frozen(Herd):
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


def _frozen(ask, pauses):
    """Chance at the beginning is not enough: the registry itself puts them in step. Said only where the first day did
    not say it."""
    said = {one.code for one in ask.expectations if not one.passed}
    outcome = ask.run(lambda: Frozen(pauses, ask.trace), limit=15.0)
    if not outcome.returned:
        ask.need(
            outcome.how, "200 clients follow your pauses for another day", False, str(outcome), "See the last line."
        )
    for code, like, begin, until, what in (
        ("answered-in-step", "in-step", THAWS + 1.5, AGAIN, "answers all who wait within a second"),
        ("failed-in-step", "herd-returns", BACK, LAST, "crashes, so that all who wait fail at once, and is back"),
    ):
        if like not in said:
            many, at, mark = outcome.value.peak(begin, until)
            what = f"the registry hangs, {what}: never more than {MOST:.0f} questions in {BIN} s afterwards"
            happened = f"{at - begin:.1f} s later it was {many}"
            ask.expect(code, what, many <= MOST, happened, _HINTS[code], mark)


def _peaks(ask, herd):
    def expect(code, what, passed, happened, mark):
        return ask.expect(code, what, passed, happened, _HINTS[code], mark)

    many, at, mark = herd.peak(5, DOWN)
    expect(
        "in-step",
        f"{CLIENTS} clients have begun together: soon there are never more than {MOST:.0f} questions in {BIN} s",
        many <= MOST,
        f"at {at:.1f} s it was {many}",
        mark,
    )
    tries = ((herd.asked >= DOWN) & (herd.asked < UP)).sum() / CLIENTS
    expect(
        "hammers",
        f"the registry is down for {UP - DOWN:.0f} s: a client tries {TRIES} times at most, on average",
        tries <= TRIES,
        f"{tries:.1f} times",
        mark,
    )
    many, at, mark = herd.peak(UP, UP + 30)
    expect(
        "herd-returns",
        f"it is back, and is not run over: never more than {MOST:.0f} questions in {BIN} s",
        many <= MOST,
        f"{at - UP:.1f} s after its return it was {many}",
        mark,
    )
    late = max(herd.heard.values()) if len(herd.heard) == CLIENTS else math.inf
    if not expect(
        "too-lazy",
        f"everybody has an answer {SERVED:.0f} s after the return",
        late <= SERVED,
        f"{sum(one > SERVED for one in herd.heard.values()) + CLIENTS - len(herd.heard)} clients had none",
        mark,
    ):
        return
    rate = (herd.asked >= UP + 24).sum() / (END - UP - 24)
    expect(
        "wrong-rate",
        f"all is well again: {CLIENTS / PERIOD:.0f} questions/s, as before",
        0.85 <= rate / (CLIENTS / PERIOD) <= 1.15,
        f"{rate:.1f}/s",
        mark,
    )


def _one_lost(ask, pauses):
    """All is well but for one answer, which got lost: a client must not wait for a whole period then."""
    well, outage = [True] * 3, [False] * 6 + [True] * 2

    def pause_after(*answers):
        scripts = [pauses(PERIOD, random.Random(number)) for number in range(CLIENTS)]
        return float(np.mean([[next(script), *map(script.send, answers)][-1] for script in scripts]))

    for code, before, answers in (
        ("slow-after-a-loss", "all is well, and one answer is lost", [*well, False]),
        ("never-begins-anew", "the same some time after an outage", [*well, *outage, False]),
    ):
        outcome = ask.run(pause_after, *answers, limit=5.0)
        passed = outcome.returned and outcome.value <= SOON
        told = f"{outcome.value:.1f} s later, with a period of {PERIOD:g} s" if outcome.returned else str(outcome)
        what = f"{before}: the client asks again within {SOON:.1f} s, on average"
        if not ask.expect(code, what, passed, told, _HINTS[code]):
            return


def _long(ask, pauses):
    """An outage so long that a step without a bound is out of all proportion. Said only where nobody is lazy anyway."""
    if any(one.code == "too-lazy" and not one.passed for one in ask.expectations):
        return

    def latest():
        late = []
        for number in range(CLIENTS):
            script, tries = pauses(PERIOD, random.Random(number)), 1
            at = next(script)
            while at < OUTAGE and tries < ENOUGH / 10:
                at, tries = at + script.send(False), tries + 1
            late.append(at - OUTAGE)
        return max(late)

    outcome = ask.run(latest, limit=10.0)
    ask.expect(
        "grows-for-ever",
        f"the registry is down for {OUTAGE:.0f} s: {SERVED:.0f} s after its return everybody has asked again",
        outcome.returned and outcome.value <= SERVED,
        f"the last one asked {outcome.value:.0f} s after it" if outcome.returned else str(outcome),
        _HINTS["grows-for-ever"],
    )


def _on_sockets(at, pauses, clients=6, period=1.0):
    """The same pauses, in threads, at a real registry."""
    at.enter(1)
    over, heard = threading.Event(), [0] * clients

    def follow(number):
        script, web = pauses(period, random.Random(number)), at.session(f"client {number + 1}")
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
        for number in range(clients)
    ]
    for thread in crowd:
        thread.start()
    try:
        wait_until(lambda: all(heard), 2.5)
        at.registry.kill()
        time.sleep(1.4 * period)  # each of them asks in vain at least once
        at.registry.restart(keep=True)
        before = list(heard)
        back = wait_until(lambda: all(now > then for now, then in zip(heard, before)), 4.0)
    finally:
        over.set()
        for thread in crowd:
            thread.join(2.0)
    at.ask.expect(
        "sockets",
        f"the same on sockets: {clients} clients with a period of {period:g} s find the registry again",
        back,
        f"{sum(now > then for now, then in zip(heard, before))} of them were answered within 4 s of its return",
        "Bound the pauses by `period`, not by a number of your own.",
        at.mark("GET"),
    )
