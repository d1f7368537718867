"""Random numbers: one stream for each law, scaled by its mean."""

import math
import random

import numpy as np
import pytest
import simpy

from servicelab.sim import Draws, Service, poisson

LAWS = {
    "exponential": lambda draws: (draws.exponential("x", 0.2), 0.2, 0.2),
    "uniform": lambda draws: (draws.uniform("x", 0.1, 0.5), 0.3, 0.4 / math.sqrt(12)),
    "lognormal": lambda draws: (draws.lognormal("x", 0.2, 4.0), 0.2, 0.4),
    "normal": lambda draws: (draws.normal("x", 10.0, 2.0), 10.0, 2.0),
    "bernoulli": lambda draws: (draws.bernoulli("x", 0.3), 0.3, math.sqrt(0.3 * 0.7)),
    "constant": lambda draws: (draws.constant("x", 0.2), 0.2, 0.0),
}


@pytest.mark.parametrize("make", LAWS.values(), ids=LAWS)
def test_a_law_has_its_mean_and_spread(make):
    law, mean, sd = make(Draws(1))
    n = 200_000
    numbers = law.sample(n)
    assert numbers.mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(n) + 1e-12)
    assert numbers.std() == pytest.approx(sd, rel=0.05, abs=1e-12)
    assert numbers.min() >= 0


@pytest.mark.parametrize("make", LAWS.values(), ids=LAWS)
def test_calling_and_sampling_take_from_one_stream(make):
    law, again = make(Draws(3))[0], make(Draws(3))[0]
    whole = again.sample(5000)
    parts = [law() for _ in range(10)] + [*law.sample(0), *law.sample(5)]
    parts += [law() for _ in range(1500)] + [*law.sample(3485)]
    assert parts == whole.tolist()
    assert law() == again()


def test_a_sequence_is_given_by_seed_and_name():
    def first(seed, name):
        return Draws(seed).exponential(name, 1.0).sample(50).tolist()

    assert first(1, "work") == first(1, "work")
    assert first(1, "work") != first(2, "work")
    assert first(1, "work") != first(1, "delay")
    assert Draws(1).rng("jitter").random() == Draws(1).rng("jitter").random() != Draws(2).rng("jitter").random()
    assert isinstance(Draws(1).rng("jitter"), random.Random)


def test_a_law_scales_its_draws_by_its_mean():
    slow, fast = Draws(1).exponential("work", 2.0).sample(100), Draws(1).exponential("work", 1.0).sample(100)
    assert slow == pytest.approx(2 * fast, rel=1e-12)
    slow, fast = Draws(1).lognormal("work", 2.0, 3.0).sample(100), Draws(1).lognormal("work", 1.0, 3.0).sample(100)
    assert slow == pytest.approx(2 * fast, rel=1e-12)


def test_what_was_lost_stays_lost_when_more_is_lost():
    few, many = Draws(1).bernoulli("loss", 0.1).sample(5000), Draws(1).bernoulli("loss", 0.2).sample(5000)
    assert few.any() and many.sum() > few.sum() and many[few].all()


def test_changing_one_law_leaves_the_draws_of_the_others():
    def arrivals(work):
        env, draws = simpy.Environment(), Draws(5)
        journeys = poisson(env, 1.0, Service(env, "orders", work(draws)), draws, count=3000)
        env.run()
        return journeys.due.tolist()

    assert arrivals(lambda d: d.exponential("work", 0.5)) == arrivals(lambda d: d.lognormal("other", 0.7, 9.0))


def test_common_random_numbers_make_the_difference_steadier():
    def mean_latency(seed, mean):
        env, draws = simpy.Environment(), Draws(seed)
        journeys = poisson(env, 1.0, Service(env, "orders", draws.exponential("work", mean)), draws, count=2000)
        env.run()
        return journeys.latency.mean()

    slow = np.array([mean_latency(seed, 0.60) for seed in range(20)])
    fast = np.array([mean_latency(seed, 0.55) for seed in range(20)])
    common = slow - fast  # the same seed on both sides
    separate = slow - np.roll(fast, 1)  # another seed on the other side
    assert (common > 0).all()
    assert separate.var() > 5 * common.var()


@pytest.mark.parametrize(
    "wrong, quoted",
    [
        (lambda: Draws("one"), "seed='one'"),
        (lambda: Draws(1).exponential("x", 0), "mean=0"),
        (lambda: Draws(1).exponential("x", -3), "mean=-3"),
        (lambda: Draws(1).exponential("x", math.nan), "mean=nan"),
        (lambda: Draws(1).exponential("x", "fast"), "mean='fast'"),
        (lambda: Draws(1).exponential("", 1), "name=''"),
        (lambda: Draws(1).constant("x", -1), "value=-1"),
        (lambda: Draws(1).uniform("x", -1, 2), "low=-1"),
        (lambda: Draws(1).uniform("x", 3, 2), "high=2"),
        (lambda: Draws(1).lognormal("x", 1, -1), "scv=-1"),
        (lambda: Draws(1).normal("x", 1, -2), "sd=-2"),
        (lambda: Draws(1).bernoulli("x", 1.5), "p=1.5"),
        (lambda: Draws(1).constant("x", 1).sample(-1), "n=-1"),
    ],
)
def test_misuse_is_refused_by_name(wrong, quoted):
    with pytest.raises((TypeError, ValueError), match=quoted):
        wrong()


def test_a_name_is_given_once():
    draws = Draws(1)
    draws.exponential("work", 1.0)
    with pytest.raises(ValueError, match="name='work' is taken"):
        draws.uniform("work", 0, 1)
    with pytest.raises(ValueError, match="name='work' is taken"):
        draws.rng("work")
