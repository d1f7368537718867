"""The outage that outlives its cause: simulation against recursion, the line λ(1 + r) = μ, what each remedy does."""

import math

import numpy as np
import pytest

from servicelab.policies import Retry, RetryBudget, Timeout
from servicelab.policies.breaker import CircuitBreaker
from servicelab.sim.outage import (
    REMEDIES,
    Outage,
    critical_load,
    limit_queue,
    newest_first,
    outage,
    recovery,
    retry_budget,
    stop_retrying,
    storm_of,
    with_policy,
)
from servicelab.sim.storm import retry_storm

SEEDS = (1, 2, 3, 4, 5)


def answered(due, storm, since, until):
    """Share of the calls due from ``since`` to ``until`` seconds that were answered in time."""
    return np.isfinite(storm.end[(due >= since) & (due < until)]).mean()


def budget():
    """10% of all calls, and nothing for the passing of time."""
    return RetryBudget(ratio=0.1, min_per_second=0.0, reserve=10.0)


# -- simulation and recursion -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "load, retries, seed",
    [(280.0, 1.0, 1), (140.0, 1.0, 2), (100.0, 1.5, 3), (70.0, 2.25, 4), (250.0, 0.0, 5), (320.0, 0.5, 6)],
)
def test_the_exact_trajectory_is_that_of_the_recursion(load, retries, seed):
    model = Outage(load, retries=retries, begins=5.0, ends=10.0, seed=seed)
    course = model.run(until=40.0)
    due, storm = storm_of(load, retries, seed, outage=(5.0, 10.0), until=40.0)
    journeys = model.journeys
    assert np.abs(journeys.due - due).max() < 1e-9
    assert (journeys.ok == np.isfinite(storm.end)).all() and 0 < journeys.ok.sum() < len(due)
    assert np.abs(journeys.end[journeys.ok] - storm.end[journeys.ok]).max() < 1e-9
    assert (np.histogram(storm.attempts, range(41))[0] == course.offered).all()
    assert len(storm.attempts) > len(due) or retries == 0


def test_the_recursion_asks_a_budget_as_the_simulation_does():
    def budget(min_per_second):
        return RetryBudget(ratio=0.1, min_per_second=min_per_second, reserve=10.0)

    for load, min_per_second in ((280.0, 0.0), (200.0, 20.0)):
        policy = Retry(Timeout(1.0), tries=2, budget=budget(min_per_second))
        course = Outage(load, begins=5.0, ends=10.0, policy=policy).run(until=60.0)
        due, storm = storm_of(load, 1, 1, outage=(5.0, 10.0), until=60.0, budget=budget(min_per_second))
        assert (np.histogram(storm.attempts, range(61))[0] == course.offered).all()
        assert np.isfinite(storm.end).sum() == course.goodput.sum()
        retried = len(storm.attempts) - len(due)
        assert 10 < retried <= 0.1 * len(due) + min_per_second * 60 + 10


def test_the_remedy_is_a_tenth():
    model = Outage(280.0, begins=5.0, ends=10.0)
    retry_budget(model)
    course = model.run(until=60.0)
    assert 0.05 < course.offered.sum() / course.load.sum() - 1 < 0.1


def test_the_recursion_by_hand():
    # Two calls; the worker hangs until 2.0. The first attempts of both, and the second of one, come too late.
    storm = retry_storm([0.0, 0.5], [0.1] * 9, timeout=1.0, retries=3, outage=(0.0, 2.0), until=9.0)
    assert storm.attempts == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])
    assert storm.starts == pytest.approx([0.0, 2.1, 2.2, 2.3, 2.4])
    assert storm.end == pytest.approx([2.5, 2.4])
    # One of them gives up at once; and one is not answered before the end.
    storm = retry_storm([0.0, 0.5], [0.1] * 9, timeout=1.0, retries=[0, 3], outage=(0.0, 2.0), until=9.0)
    assert storm.attempts == pytest.approx([0.0, 0.5, 1.5])
    assert storm.end == pytest.approx([np.nan, 2.3], nan_ok=True)
    storm = retry_storm([0.0, 0.5], [0.1] * 9, timeout=1.0, retries=3, outage=(0.0, 2.0), until=2.45)
    assert storm.end == pytest.approx([np.nan, 2.4], nan_ok=True)
    assert retry_storm([], [], 1.0, 1, until=9.0).end.tolist() == []


def test_the_course_counts_what_the_journeys_and_the_service_saw():
    model = Outage(200.0, begins=3.0, ends=5.0)
    course = model.run(until=20.0)
    journeys = model.journeys
    assert len(course.time) == 20 == len(course.waiting) == len(course.success)
    assert course.load.sum() == (journeys.due < 20).sum() == len(journeys)
    assert course.goodput.sum() == journeys.ok.sum()
    assert course.offered.sum() >= course.load.sum()
    assert course.goodput[3:5].sum() <= 1 and course.waiting[4] > 300  # at most the one that was in work at 3.0
    assert course.waiting[-1] == pytest.approx(len(model.service.waiting), abs=2)


# -- ARCHITECTURE's numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_at_280_with_one_retry_it_stays_down_for_good(seed):
    due, storm = storm_of(280, 1, seed, until=600.0)
    assert answered(due, storm, 0, 8) == 1.0  # well, until the outage
    assert answered(due, storm, 20, 598) == 0.0  # not one call in ten minutes
    # And the same without an outage: nothing of the kind happens by itself.
    due, storm = storm_of(280, 1, seed, outage=(0.0, 0.0), until=600.0)
    assert answered(due, storm, 0, 598) > 0.999


@pytest.mark.parametrize("retries", [0, 0.5, 1, 2, 3])
def test_it_recovers_exactly_when_load_with_retries_is_below_capacity(retries):
    line = critical_load(retries)
    assert line * (1 + retries) == 300
    for seed in SEEDS:
        # 8% above and below: the recovery takes .92 / .08 = 12 times the 3 s of the outage.
        assert recovery(0.92 * line, retries, seed) > 0.99
        assert recovery(1.08 * line, retries, seed) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_a_budget_of_a_tenth_is_too_much_at_280_and_enough_at_260(seed):
    due, storm = storm_of(280, 1, seed, until=600.0, budget=budget())  # 308/s, capacity 300/s
    assert answered(due, storm, 20, 598) < 0.01
    due, storm = storm_of(260, 1, seed, until=600.0, budget=budget())  # 286/s
    assert answered(due, storm, 500, 598) == 1.0
    # The queue of the outage, 286/s for 10 s, shrinks by 14/s: about 200 s.
    last = due[np.isnan(storm.end) & (due < 598)].max()
    assert last - 20 == pytest.approx(286 * 10 / 14, rel=0.6)


# -- remedies -------------------------------------------------------------------------------------------------


def test_applied_before_the_outage():
    recovered = {name: outage(remedy, until=60).recovered_at() for name, remedy in REMEDIES.items()}
    assert recovered["none"] == recovered["stop retrying"] == recovered["retry budget"] == math.inf
    for name in ("newest first", "shed late", "limit queue"):
        assert recovered[name] <= 23, name
    assert recovered["drop expired"] <= 45


def test_applied_long_after_the_outage():
    recovered = {name: outage(remedy, at=40, until=90).recovered_at() for name, remedy in REMEDIES.items()}
    assert recovered["none"] == recovered["stop retrying"] == recovered["retry budget"] == math.inf
    assert recovered["newest first"] <= 43 and recovered["shed late"] <= 43
    assert recovered["drop expired"] <= 65
    # It keeps newcomers out, but those who wait already are served first: 8 000 and more, at 300/s.
    assert 60 < recovered["limit queue"] < 85


def test_to_stop_retrying_ends_it_but_slowly():
    # It drains at 300 - 280 = 20/s what 10 s of outage left: 2800 / 20 = 140 s.
    course = outage(stop_retrying, until=400)
    assert 80 < course.recovered_at() - 20 < 300
    drained = np.polyfit(course.time[25:80], course.waiting[25:80], 1)[0]
    assert drained == pytest.approx(-20, abs=10)


def breaker():
    return CircuitBreaker(Timeout(1.0), window="time", size=2.0, minimum_calls=20, wait_open=5.0)


@pytest.mark.parametrize("at", [0, 60])
def test_a_breaker_turns_callers_away_until_the_queue_is_gone(at):
    course = outage(with_policy(breaker()), at=at, until=160)
    assert math.isfinite(course.recovered_at())
    # While it was open, offered load was a few probes.
    assert course.offered[max(at, 12) + 3 : max(at, 12) + 15].min() < 20


def test_a_remedy_works_on_a_model_that_runs():
    model = Outage()
    before = model.run(until=40)
    assert before.goodput[25:].sum() == 0 and before.recovered_at() == math.inf
    newest_first(model)
    after = model.run(until=60)
    assert after.goodput[42:].mean() == pytest.approx(280, rel=0.1)
    assert (after.goodput[:39] == before.goodput[:39]).all()
    assert after.waiting[-1] > 3000  # the old ones are still there, and nobody waits for them any more
    assert repr(after).startswith("<60 s, well again from 4")


def test_turning_a_slider_back_and_forth():
    model = Outage(100.0, retries=0.5)
    for until, retries in enumerate((1.5, 0.5, 2.0, 1.5), start=10):
        model.client.policy = model.retrying(retries)
        model.run(until)
    limit_queue(model, share=0.1)
    assert model.service.queue_limit == 30


# -- misuse ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, quoted",
    [
        (lambda: Outage(load=0), "load=0 must be > 0 requests/s"),
        (lambda: Outage(capacity=-300), "capacity=-300 must be > 0 requests/s"),
        (lambda: Outage(timeout=0), "timeout=0 must be > 0 seconds"),
        (lambda: Outage(retries=-1), "retries=-1 must be >= 0"),
        (lambda: Outage(begins=20, ends=10), "ends=10 must be >= begins=20"),
        (lambda: Outage(order="random"), "order='random'"),
        (lambda: Outage().run(0.5), "until=0.5 must be later than now"),
        (lambda: Outage().run(math.inf), "until=inf"),
        (lambda: outage(at=-1), "at=-1 must be >= 0 seconds"),
        (lambda: storm_of(0, 1, 1), "load=0 must be > 0 requests/s"),
        (lambda: retry_storm([0.0], [1.0], 0, 1, until=1), "timeout=0 must be > 0"),
        (lambda: retry_storm([1.0, 0.0], [1.0] * 2, 1, 1, until=3), "ascending"),
        (lambda: retry_storm([0.0, 0.1], [1.0], 1, 1, until=3), "services has 1 times"),
    ],
)
def test_misuse_is_refused_by_name(wrong, quoted):
    with pytest.raises(ValueError, match=quoted):
        wrong()


def test_time_does_not_run_backwards():
    model = Outage()
    model.run(until=5)
    for until in (3, 5):
        with pytest.raises(ValueError, match=f"until={until} must be later than now, 5 seconds"):
            model.run(until)
