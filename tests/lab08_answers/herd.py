"""Exercise 5: pauses written in three ways, and mistakes as changes to the first."""

import random  # noqa: F401  # what a mistake draws from

from tests.lab11_answers import but


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


def a_number(period, rng):
    return period * rng.uniform(0.8, 1.2)


RIGHT = {"full jitter": full_jitter, "equal jitter": after_failures, "an object": Pauses}
_WELL, _FAILED = "period * rng.uniform(0.8, 1.2) => ", "rng.uniform(0, step) => "
_SPREAD = "(yield 0) => (yield rng.uniform(0, period))"
_CHANGES = {
    "as given": ("in-step", _WELL + "period", _FAILED + "0.1"),
    "a period in step": ("in-step", _WELL + "period"),
    "a seed of its own": ("in-step", "answered, step = => rng = random.Random(42)\n    answered, step ="),
    "never grows": ("hammers", _FAILED + "rng.uniform(0, 0.02 * period)"),
    "a small cap": ("herd-returns", _FAILED + "rng.uniform(0.06, 0.14) * period"),
    "lazy": ("too-lazy", _FAILED + "rng.uniform(3, 6) * period"),
    "too seldom": ("wrong-rate", "uniform(0.8, 1.2) => uniform(1.0, 1.25)", _SPREAD),
    "spread once": ("answered-in-step", _SPREAD, _WELL + "period"),
    "doubles without jitter": ("failed-in-step", _SPREAD, _FAILED + "step"),
    "ignores the answer": ("slow-after-a-loss", "if answered => if True"),
    "numbers of its own": ("slow-after-a-loss", _FAILED + "rng.uniform(5, 10)"),
    "never begins anew": ("never-begins-anew", "            step = 0.1 * period\n => "),
    "grows for ever": ("grows-for-ever", "min(2 * step, period) => 2 * step"),
    "counts in seconds": ("other-period", _WELL + "rng.uniform(8, 12)"),
    "a step in seconds": ("other-period", "0.1 * period => 1.0"),
    "ends": ("wrong-type", "while True => for _ in range(5)"),
    "yields a time before now": ("wrong-type", _FAILED + "-0.41"),
}
WRONG = {name: (but(full_jitter, *changes), {code}) for name, (code, *changes) in _CHANGES.items()}
WRONG["a number"] = a_number, {"wrong-type"}
