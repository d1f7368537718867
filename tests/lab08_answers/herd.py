"""Exercise 5: pauses written in three ways, and mistakes."""

import random


def full_jitter(period, rng):
    answered, step = (yield 0), 0.1 * period
    while True:
        if answered:
            step = 0.1 * period
            answered = yield period * rng.uniform(0.8, 1.2)
        else:
            answered = yield rng.uniform(0, step)
            step = min(2 * step, period)


def after_failures(period, rng):
    """Counts failures in a row; begins spread; equal jitter."""
    failures, pause = 0, rng.random() * period
    while True:
        failures = 0 if (yield pause) else failures + 1
        step = min(period, 0.15 * period * 2 ** min(failures, 10)) / 2
        pause = rng.uniform(step, 2 * step) if failures else rng.triangular(0.5 * period, 1.5 * period)


class Pauses:
    """No generator by syntax: an object with next and send."""

    def __init__(self, period, rng):
        self.period, self.rng, self.step = period, rng, period / 8

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(True)

    def send(self, answered):
        if answered:
            self.step = self.period / 8
            return self.rng.uniform(0.7, 1.3) * self.period
        self.step = min(self.period, 2 * self.step)
        return self.rng.uniform(0, self.step)


def as_given(period, rng):
    """In step, and a fixed short pause after a failure."""
    answered = yield 0
    while True:
        answered = yield period if answered else 0.1


def period_in_step(period, rng):
    """Jitter after failures only."""
    answered, step = (yield 0), 0.1 * period
    while True:
        if answered:
            step = 0.1 * period
            answered = yield period
        else:
            answered = yield rng.uniform(0, step)
            step = min(2 * step, period)


def no_jitter_in_failure(period, rng):
    """All in one outage, all at the same second: they fail at times of their own, and come back by a fixed schedule
    from the first failure."""
    answered = yield rng.uniform(0, 0.05)
    while True:
        answered = yield period + rng.uniform(0, 0.02) if answered else 0.3 * period


def never_grows(period, rng):
    answered = yield 0
    while True:
        answered = yield rng.uniform(0.8, 1.2) * period if answered else rng.uniform(0, 0.02 * period)


def small_cap(period, rng):
    """Grows, but only to a tenth of the period."""
    answered = yield 0
    while True:
        answered = yield rng.uniform(0.8, 1.2) * period if answered else rng.uniform(0.06, 0.14) * period


def lazy(period, rng):
    answered = yield 0
    while True:
        answered = yield rng.uniform(0.8, 1.2) * period if answered else rng.uniform(3, 6) * period


def numbers_of_its_own(period, rng):
    """Right for a period of 10 s, and for no other."""
    answered = yield 0
    while True:
        answered = yield rng.uniform(0.8, 1.2) * period if answered else rng.uniform(5, 10)


def spread_once(period, rng):
    """The first pause spreads them; then a bare period."""
    answered, step = (yield rng.uniform(0, period)), 0.1 * period
    while True:
        if answered:
            step = 0.1 * period
            answered = yield period
        else:
            answered = yield rng.uniform(0, step)
            step = min(2 * step, period)


def doubles_without_jitter(period, rng):
    """The first pause spreads them, and so does the period; failures are answered by a bare step."""
    answered, step = (yield rng.uniform(0, period)), 0.1 * period
    while True:
        if answered:
            step = 0.1 * period
            answered = yield rng.uniform(0.8, 1.2) * period
        else:
            answered = yield step
            step = min(2 * step, period)


def spread_at_the_beginning(period, rng):
    """Chance once, and never again."""
    answered, step = (yield rng.uniform(0, period)), 0.1 * period
    while True:
        step = 0.1 * period if answered else min(2 * step, period)
        answered = yield period if answered else step / 2


def ignores_the_answer(period, rng):
    """Jitter does all of it: no step, no backoff."""
    yield 0
    while True:
        yield rng.uniform(0.5, 1.5) * period


def narrow_jitter_only(period, rng):
    yield 0
    while True:
        yield rng.uniform(0.85, 1.15) * period


def counts_in_seconds(period, rng):
    """A step that grows to ten seconds, and a period of ten: right in SimPy."""
    answered, step = (yield 0), 1.0
    while True:
        step = 1.0 if answered else min(2 * step, 10.0)
        answered = yield rng.uniform(8, 12) if answered else rng.uniform(0, step)


def never_begins_anew(period, rng):
    """The step grows for good."""
    answered, step = (yield 0), 0.1 * period
    while True:
        if answered:
            answered = yield period * rng.uniform(0.8, 1.2)
        else:
            answered = yield rng.uniform(0, step)
            step = min(2 * step, period)


def grows_for_ever(period, rng):
    """Doubles, draws, begins anew; and has no bound."""
    answered, step = (yield rng.uniform(0, period)), 0.1 * period
    while True:
        if answered:
            step = 0.1 * period
            answered = yield period * rng.uniform(0.8, 1.2)
        else:
            answered = yield rng.uniform(0, step)
            step *= 2


def own_seed(period, rng):
    yield from full_jitter(period, random.Random(42))


def too_seldom(period, rng):
    """Jitter that is only added."""
    answered, step = (yield rng.uniform(0, period)), 0.1 * period
    while True:
        if answered:
            step = 0.1 * period
            answered = yield period * rng.uniform(1.0, 1.25)
        else:
            answered = yield rng.uniform(0, step)
            step = min(2 * step, period)


def ends(period, rng):
    for _ in range(5):
        yield period


def a_number(period, rng):
    return period * rng.uniform(0.8, 1.2)


RIGHT = {"full jitter": full_jitter, "equal jitter": after_failures, "an object": Pauses}
WRONG = {
    "as given": (as_given, {"in-step"}),
    "a period in step": (period_in_step, {"in-step"}),
    "a seed of its own": (own_seed, {"in-step"}),
    "in step and lazy": (no_jitter_in_failure, {"in-step"}),
    "never grows": (never_grows, {"hammers"}),
    "a small cap": (small_cap, {"herd-returns"}),
    "lazy": (lazy, {"too-lazy"}),
    "too seldom": (too_seldom, {"wrong-rate"}),
    "spread once": (spread_once, {"answered-in-step"}),
    "doubles without jitter": (doubles_without_jitter, {"failed-in-step"}),
    "spread at the beginning": (spread_at_the_beginning, {"answered-in-step"}),
    "ignores the answer": (ignores_the_answer, {"slow-after-a-loss"}),
    "narrow jitter only": (narrow_jitter_only, {"slow-after-a-loss"}),
    "never begins anew": (never_begins_anew, {"never-begins-anew"}),
    "grows for ever": (grows_for_ever, {"grows-for-ever"}),
    "counts in seconds": (counts_in_seconds, {"other-period"}),
    "numbers of its own": (numbers_of_its_own, {"slow-after-a-loss"}),
    "ends": (ends, {"wrong-type"}),
    "a number": (a_number, {"wrong-type"}),
}
