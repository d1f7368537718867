"""Exercise 4, measure, model and decide: what sets the pace, how long is the wait, how many orders may come?"""

from contextlib import suppress
from numbers import Real

import numpy as np

from servicelab import theory
from servicelab.checks.lab01.shop import MOST, STAGES, Enough, Shop
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import closed_loop
from servicelab.sim import free_at

PATIENCE = 8.0  # seconds for one shop: as many requests as were agreed take about 5
TOLERANCE = 0.35  # of the limit, to either side: more than a busy machine adds

WORDS = words(f"""
not-gentle: it sends at most {MOST} requests to a stage (rule 2)
    The shop is open. How many answers do you need to know a rate within 35%?
wrong-type: find_bottleneck returns (stage, requests/s) (rule 1)
    One of {", ".join(STAGES)}, and a number.
wrong-stage: the bottleneck is found: where least is let through, not where one call takes longest (rule 1)
    Load each stage by itself. How many are served there side by side, and does your load keep all of them busy?
limit-wrong: its limit is known within 35% (rule 1)
    The stage is right. What became of the limits of the others in your number, and was this one kept busy?
no-times: time_inside returns one time in seconds for each request, in the order in which they came (rule 3)
    How many came, and how many times did you return?
idle: who finds an idle worker waits for nobody, and is inside for as long as its own work takes (rule 3)
    What does the worker do between the last request and this one?
queue: who comes to one that is busy waits until all before are served (rule 3)
    Who is still being served when the third one's turn comes? Do your times have fractions?
first-free: with several workers, each request goes to the one that is free first (rule 3)
    Which worker did the third one get, and which was free before it?
wrong-pair: admit returns two numbers: orders per second, and how many are inside (rule 4)
    The first is a rate. What is the second?
promise: so many orders per second come that the mean time inside is just what was promised (rule 4)
    How long are they inside on average when so many orders come per second? Which rate makes that the promise?
inside: the second number is how many are inside then, on average (rule 4)
    So many come per second, and each stays so long. Which law ties the two to the number inside?
hopeless: nothing is let in when even an empty stage is slower than the promise (rule 5)
    How long is an order inside when nobody else is there?
""")


class Measured(Stage):
    """A running shop whose narrow stage the learner's code has to find."""

    def measure(self, shop, spare):
        def find_bottleneck(shop):
            shop.sent.clear()
            with suppress(Enough):
                return self.yours(shop)

        mine = find_bottleneck if callable(self.yours) else self.yours
        answer = self.ask.calmly(mine, shop, limit=PATIENCE, spare=spare)
        narrow, limits = shop._narrow, shop._limits
        queued = [call for call in self.ask.trace.calls if call.callee == narrow and call.end is not None]
        self.last = max(queued, key=lambda call: call.end - call.start).id if queued else None
        yield "not-gentle", max(shop.sent.values(), default=0) <= MOST, f"it sent {dict(shop.sent)}"
        match answer:
            case (stage, Real() as rate) if stage in STAGES:
                told = f"it said {stage}, {rate:.3g} requests/s"
            case _:
                self.refuse("wrong-type", f"it returned {shown(answer)}")
        alone = f"{told}; alone that stage lets through {limits[stage]:.0f}, and another one {limits[narrow]:.0f}"
        yield "wrong-stage", stage == narrow, alone
        near = _near(rate, limits[narrow])
        if not near:  # the machine may be having a bad minute: see what the stage lets through now
            shop.sent.clear()
            samples = closed_loop(shop.probe(narrow), clients=16, count=30)
            near = _near(rate, len(samples) / max(s.end for s in samples))
        yield "limit-wrong", near, f"{told}; it is {limits[narrow]:.0f}"


def _near(rate, limit):
    return abs(rate - limit) <= TOLERANCE * limit


class Queue(Stage):
    """The learner's model on requests whose coming and work are known."""

    def case(self, code, came, work, workers):
        came, work = np.array(came, float), np.array(work, float)
        right = free_at(came, work, workers) - came + work
        for at, takes, inside in zip(came[:8], work, right):
            self.last = self.ask.trace.send("client", "stage", f"{takes:.3g} s of work", at=at)
            self.ask.trace.receive(self.last, "stage", at=at + inside)
        answer = self.call(self.yours, came.tolist(), work.tolist(), workers, limit=6.0)
        try:
            times = np.array(list(answer), float)
        except (TypeError, ValueError):
            times = np.array([])
        if times.shape != right.shape:
            self.refuse("no-times", f"{len(came)} came; it returned {shown(answer)}")
        few = [np.round(some[:4], 3).tolist() for some in (came, work, right, times)]
        told = "they come at {}, with work {}: the times are {}, and it said {}".format(*few)
        told += f", on average {right.mean():.3g} and {times.mean():.3g} s; there were {workers} workers"
        return code, np.allclose(times, right), told


class Plan(Stage):
    """How many orders per second are let in, and how many are inside then."""

    def plan(self, limit, promise):
        self.last = self.ask.trace.send("client", "stage", f"{limit:g}/s at most, promised {promise:g} s", at=0.0)
        self.ask.trace.receive(self.last, "stage", at=promise)
        match self.call(self.yours, limit, promise, limit=6.0):
            case (Real() as rate, Real() as inside):
                return rate, inside
            case answer:
                self.refuse("wrong-pair", f"it returned {shown(answer)}")


check_bottleneck = scenario(
    "01", 4, "How much it bears", WORDS, find_bottleneck=Measured, time_inside=Queue, admit=Plan
)


@check_bottleneck.part("admit")
def what_was_promised(p):
    for limit, promise in ((100.0, 0.02), (80.0, 0.1), (250.0, 0.007), (50.0, 0.02), (50.0, 0.01)):
        rate, inside = p.plan(limit, promise)
        wanted = limit - 1 / promise
        mean = f"{theory.mm1_time(rate, limit) * 1e3:.3g} ms" if 0 <= rate < limit else "no end of waiting"
        told = f"at most {limit:g}/s, {promise * 1e3:g} ms promised: it let in {rate:.3g}/s, which means {mean}"
        told += f", and {inside:.3g} inside"
        if wanted <= 0:
            yield "hopeless", 0 <= min(rate, inside) <= max(rate, inside) < 1e-6, told
        yield "promise", abs(rate - max(0, wanted)) <= 0.05 * limit, told
        yield "inside", abs(inside - rate * promise) <= 0.1 * rate * promise + 1e-6, told


@check_bottleneck.part("time_inside")
def queues(q):
    yield q.case("idle", [0, 5, 10], [2, 1, 3], 1)
    yield q.case("queue", [1, 1, 1, 9], [2, 1, 3, 1], 1)
    yield q.case("queue", *at_random(1))
    yield q.case("first-free", [0, 0, 0, 1], [5, 1, 3, 1], 2)
    yield q.case("first-free", [0, 0, 0, 1], [5, 4, 3, 1], 3)
    yield q.case("first-free", [0, 0, 10, 10], [9, 1, 1, 4], 2)
    yield q.case("first-free", *at_random(4))


def at_random(workers, count=1500):
    """When so many requests come at random, their work, and the workers, which are busy for 80% of the time."""
    rng = np.random.default_rng(1)
    return rng.exponential(0.0125 / workers, count).cumsum(), rng.exponential(0.01, count), workers


@check_bottleneck.part("find_bottleneck")
def two_shops(m):
    for seed, narrow, spare in ((11, "payment", PATIENCE + 1), (12, "line", 0)):
        m.ask.trace.clear()
        yield from m.measure(m.use(Shop(seed, narrow, m.ask.trace)), spare)
