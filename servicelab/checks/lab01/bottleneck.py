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

TOLERANCE = 0.35  # of the limit, to either side: more than a busy machine adds
LIMIT = 8.0  # seconds for one shop
CUSTOMERS = 1500

WORDS = words(f"""
wrong-type: find_bottleneck returns (stage, requests/s) (rule 1)
    One of {", ".join(STAGES)}, and a number.
not-gentle: it sends at most {MOST} requests to a stage (rule 2)
    The shop is open. How many answers do you need to know a rate within 35 %?
wrong-stage: the bottleneck is found (rule 1)
    Which stage lets least through, when it is loaded by itself and never idle?
one-client: the bottleneck is found, with several requests at a time (rule 1)
    One client at a time keeps one worker busy. How many workers has this stage?
slowest-call: the bottleneck is found, although another stage takes longer for one call (rule 1)
    A slow call is no bottleneck where many are served side by side. What did you compare?
limit-wrong: its limit is known within 35 % (rule 1)
    The stage is right. What became of the limits of the others in your number, and was this one kept busy?
no-times: time_inside returns one time in seconds for each request, in the order in which they came (rule 3)
    How many came, and how many times did you return?
idle: who finds an idle worker waits for nobody, and is inside for as long as its own work takes (rule 3)
    What does the worker do between the last request and this one?
queue: three who come together are served one after the other (rule 3)
    Who is still being served when the third one's turn comes?
long-run: {CUSTOMERS} requests that come at random wait as in any exact model: on average near 1/(μ − λ) (rule 3)
    The small cases were right. Which times in this one are unlike theirs?
first-free: with several workers, each request goes to the one that is free first (rule 3)
    Which worker did the third one get, and which was free before it?
wrong-pair: admit returns two numbers: orders per second, and how many are inside (rule 4)
    The first is a rate. What is the second?
promise: so many orders per second come that the mean time inside is just what was promised (rule 4)
    How long are they inside on average when so many orders come per second? Which rate makes that the promise?
hopeless: nothing is let in when even an empty stage is slower than the promise (rule 5)
    How long is an order inside when nobody else is there?
inside: the second number is how many are inside then, on average (rule 4)
    So many come per second, and each stays so long. Which law ties the two to the number inside?
""")


class Measured(Stage):
    """A running shop whose narrow stage the learner's code has to find."""

    def measure(self, seed, narrow):
        shop = self.use(Shop(seed, narrow, self.ask.trace))

        def find_bottleneck(shop):
            shop.sent.clear()
            with suppress(Enough):
                return self.yours(shop)

        find = find_bottleneck if callable(self.yours) else self.yours
        answer = self.ask.calmly(find, shop, limit=LIMIT)
        self.last = _longest(self.ask.trace, narrow)
        yield "not-gentle", max(shop.sent.values(), default=0) <= MOST, f"it sent {dict(shop.sent)}"
        shape = isinstance(answer, tuple | list) and len(answer) == 2 and answer[0] in STAGES
        yield "wrong-type", shape and isinstance(answer[1], Real), f"it returned {shown(answer)}"
        yield from self._judge(shop, narrow, *answer)

    def _judge(self, shop, narrow, stage, rate):
        limit = shop._limits[narrow]
        told = f"it said {stage}, {rate:.3g} requests/s"
        alone = f"{told}; alone that stage lets through {shop._limits[stage]:.0f}, and another one {limit:.0f}"
        yield _misled(shop, stage, rate), stage == narrow, alone
        near = _near(rate, limit)
        if not near:  # the machine may be having a bad minute: see what the stage lets through now
            shop.sent.clear()
            samples = closed_loop(shop.probe(narrow), clients=16, count=30)
            near = _near(rate, len(samples) / max(s.end for s in samples))
        yield "limit-wrong", near, f"{told}; it is {limit:.0f}"


def _misled(shop, stage, rate):
    """By what: the number that was returned beside the wrong stage tells."""
    if rate > 0.4 * shop._limits[stage]:  # more than one client sees, even on a busy machine: it was loaded
        return "wrong-stage"
    if _near(rate, 1 / shop._seconds(stage)):
        return "one-client"
    return "slowest-call" if shop._seconds(stage) > shop._seconds(shop._narrow) else "wrong-stage"


def _near(rate, limit):
    return abs(rate - limit) <= TOLERANCE * limit


def _longest(trace, stage):
    """The call to ``stage`` that took the longest: where the queue was."""
    ended = [call for call in trace.calls if call.callee == stage and call.end is not None]
    return max(ended, key=lambda call: call.end - call.start).id if ended else None


class Queue(Stage):
    """The learner's model on requests whose coming and work are known."""

    def of(self, came, work, workers=1):
        """The learner's times, None if they are none; and the right ones."""
        came, work = np.array(came, float), np.array(work, float)
        right = free_at(came, work, workers) - came + work
        for n in range(min(len(came), 8)):
            id = self.ask.trace.send("client", "stage", f"{work[n]:.3g} s of work", at=came[n])
            self.ask.trace.receive(id, "stage", at=came[n] + right[n])
            self.last = id
        answer = self.call(self.yours, came.tolist(), work.tolist(), workers, limit=6.0)
        try:
            times = np.array(list(answer), float)
        except (TypeError, ValueError):
            times = np.array([])
        return times if times.shape == right.shape else None, right, answer

    def case(self, code, what, came, work, workers=1):
        times, right, answer = self.of(came, work, workers)
        yield "no-times", times is not None, f"{len(came)} came; it returned {shown(answer)}"
        told = f"{what}: the times are {right.tolist()}, and it said {np.round(times, 3).tolist()}"
        yield code, np.allclose(times, right), told


class Plan(Stage):
    """How many orders per second are let in, and how many are inside then."""

    def plan(self, limit, promise):
        self.last = self.ask.trace.send("client", "stage", f"{limit:g}/s at most, promised {promise:g} s", at=0.0)
        self.ask.trace.receive(self.last, "stage", at=promise)
        answer = self.call(self.yours, limit, promise, limit=6.0)
        pair = isinstance(answer, tuple | list) and len(answer) == 2 and all(isinstance(n, Real) for n in answer)
        what, hint = WORDS["wrong-pair"]
        self.ask.need("wrong-pair", what, pair, f"it returned {shown(answer)}", hint, self.last)
        return answer


check_bottleneck = scenario(
    "01", 4, "How much it bears", WORDS, find_bottleneck=Measured, time_inside=Queue, admit=Plan
)
measured, queue, plan = (check_bottleneck.part(name) for name in check_bottleneck.stages)


@plan
def as_many_as_the_promise_allows(p):
    for limit, promise in ((100.0, 0.02), (80.0, 0.1), (250.0, 0.007)):
        rate, inside = p.plan(limit, promise)
        told = f"a stage that can do {limit:g}/s, {promise * 1e3:g} ms promised: it let in {rate:.3g}/s"
        mean = f"{theory.mm1_time(rate, limit) * 1e3:.3g} ms" if 0 <= rate < limit else "no end of waiting"
        yield "promise", abs(rate - (limit - 1 / promise)) <= 0.05 * limit, f"{told}, which means {mean}"
        yield "inside", abs(inside - rate * promise) <= 0.1 * rate * promise, f"{told}, and {inside:.3g} inside"


@plan
def a_promise_that_nobody_can_keep(p):
    for limit, promise in ((50.0, 0.02), (50.0, 0.01)):
        rate, inside = p.plan(limit, promise)
        told = f"a stage that can do {limit:g}/s, {promise * 1e3:g} ms promised: it let in {rate:.3g}/s, {inside:.3g}"
        yield "hopeless", 0 <= min(rate, inside) <= max(rate, inside) < 1e-6, f"{told} inside"


@queue
def one_worker(q):
    yield from q.case("idle", "they come 5 s apart", [0, 5, 10], [2, 1, 3])
    yield from q.case("queue", "three come together", [1, 1, 1, 9], [2, 1, 3, 1])


@queue
def several_workers(q):
    yield from q.case("first-free", "three for two workers", [0, 0, 0, 1], [5, 1, 3, 1], 2)
    yield from q.case("first-free", "four for three workers", [0, 0, 0, 1], [5, 4, 3, 1], 3)
    yield from q.case("first-free", "two for two, twice", [0, 0, 10, 10], [9, 1, 1, 4], 2)


@queue
def many_at_random(q):
    rng, rate = np.random.default_rng(1), 80.0
    came, work = rng.exponential(1 / rate, CUSTOMERS).cumsum(), rng.exponential(0.01, CUSTOMERS)
    times, right, answer = q.of(came, work)
    yield "no-times", times is not None, f"{CUSTOMERS} came; it returned {shown(answer)}"
    told = f"80/s came, 100/s is the limit: 1/(100 − 80) is 50 ms, the exact mean here {right.mean() * 1e3:.3g} ms"
    yield "long-run", np.allclose(times, right), f"{told}, yours {times.mean() * 1e3:.3g} ms"


@measured
def a_shop(m):
    yield from m.measure(11, "payment")


@measured
def another_shop(m):
    yield from m.measure(12, "line")
