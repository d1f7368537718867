"""The closed forms: reference numbers, special cases that must agree, one simulation, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicelab import theory
from servicelab.theory import (
    availability_parallel,
    availability_series,
    erlang_c,
    fan_out,
    layered_retries,
    mg1_wait,
    mm1_time,
    mm1_wait,
    mmc_time,
    mmc_wait,
    retry_load,
    supermarket,
)

loads = st.floats(0.001, 0.999)
rates = st.floats(1e-3, 1e4)


# -- reference numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("c, a, probability", [(5, 2.5, 0.1304), (10, 5, 0.0361), (1, 0.7, 0.7), (2, 1, 1 / 3)])
def test_erlang_c(c, a, probability):
    assert erlang_c(c, a) == pytest.approx(probability, abs=5e-5)


@pytest.mark.parametrize("lam, time", [(0.9, 2.6141), (0.99, 5.4320), (0, 1)])
def test_supermarket_with_two_choices(lam, time):
    assert supermarket(lam, 2) == pytest.approx(time, abs=5e-5)


def test_supermarket_with_one_choice_is_mm1_and_more_choices_are_better():
    assert supermarket(0.9, 1) == pytest.approx(mm1_time(0.9, 1.0))
    assert supermarket(0.9, 1) > supermarket(0.9, 2) > supermarket(0.9, 3) > 1


def test_a_page_of_a_hundred_calls():
    assert fan_out(0.01, 100) == pytest.approx(0.634, abs=5e-4)
    assert fan_out(0, 100) == 0 and fan_out(1, 3) == 1


def test_three_tries_in_five_layers():
    assert layered_retries(3, 5) == 243
    assert layered_retries(1, 5) == 1


@given(st.floats(0, 0.99))
def test_four_attempts(p):
    assert retry_load(p, 4) == pytest.approx((1 - p**4) / (1 - p))


def test_when_all_fail_every_attempt_is_made():
    assert retry_load(1, 4) == 4


def test_one_worker_by_hand():
    assert mm1_wait(80, 100) == pytest.approx(0.04)
    assert mm1_time(80, 100) == pytest.approx(0.05)


def test_availability():
    assert availability_series(0.99, 0.99, 0.99) == pytest.approx(0.970299)
    assert availability_parallel(0.99, 0.99) == pytest.approx(0.9999)


# -- forms that must agree ----------------------------------------------------------------------


@given(loads, rates)
def test_one_worker_is_the_case_c_1_and_the_case_scv_1(rho, mu):
    lam = rho * mu
    assert mmc_wait(lam, mu, 1) == pytest.approx(mm1_wait(lam, mu))
    assert mg1_wait(lam, 1 / mu, 1) == pytest.approx(mm1_wait(lam, mu))
    assert mm1_time(lam, mu) == pytest.approx(mm1_wait(lam, mu) + 1 / mu)
    assert mmc_time(lam, mu, 3) == pytest.approx(mmc_wait(lam, mu, 3) + 1 / mu)


@given(loads, rates)
def test_constant_services_halve_the_wait(rho, mu):
    assert mg1_wait(rho * mu, 1 / mu, 0) == pytest.approx(mm1_wait(rho * mu, mu) / 2)


@given(loads, st.integers(1, 60))
def test_erlang_c_is_a_probability_and_agrees_with_its_definition(rho, c):
    a = rho * c
    last = a**c / math.factorial(c) / (1 - rho)
    defined = last / (sum(a**k / math.factorial(k) for k in range(c)) + last)
    assert erlang_c(c, a) == pytest.approx(defined, rel=1e-9, abs=1e-300)
    assert 0 <= erlang_c(c, a) <= 1


def test_a_thousand_workers_do_not_overflow():
    assert 0 < erlang_c(1000, 990.0) < 1


@given(loads, st.integers(1, 20))
def test_one_fast_worker_beats_many_slow_ones_in_time_and_pooling_beats_queues_apart(rho, c):
    assert mm1_time(rho * c, c) <= mmc_time(rho * c, 1, c) * (1 + 1e-9)
    assert mmc_time(rho * c, 1, c) <= mm1_time(rho, 1) * (1 + 1e-9)


def test_arrays_of_rates_give_arrays():
    lam = np.array([0.0, 0.3, 0.9])
    for of in (
        lambda x: mm1_wait(x, 1),
        lambda x: mm1_time(x, 1),
        lambda x: mmc_wait(x, 1, 2),
        lambda x: mmc_time(x, 1, 2),
        lambda x: mg1_wait(x, 1, 0.5),
        lambda x: supermarket(x, 2),
        lambda x: erlang_c(2, x),
    ):
        assert of(lam) == pytest.approx([of(one) for one in lam])
        assert isinstance(of(0.3), float)


# -- misuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask, said",
    [
        (
            lambda: mm1_wait(100, 100),
            "lam=100 must be < mu=100 requests/s: at or above capacity the queue grows for ever",
        ),
        (lambda: mm1_time(np.array([50, 120]), 100), "lam=120 must be < mu=100"),
        (lambda: mm1_time(-1, 100), "lam=-1 must be >= 0 requests/s"),
        (lambda: mm1_time(float("nan"), 100), "lam=nan must be >= 0"),
        (lambda: mm1_time(1, 0), "mu=0 must be > 0 requests/s"),
        (lambda: mmc_wait(300, 100, 3), "lam=300 must be < c × mu=300"),
        (lambda: mmc_wait(30, 100, 0), "c=0 must be a whole number >= 1"),
        (lambda: erlang_c(2, 2), "a=2 must be < c=2"),
        (lambda: erlang_c(2, -1), "a=-1 must be >= 0"),
        (lambda: mg1_wait(10, 0.1, 1), "lam=10 must be < 1/mean=10"),
        (lambda: mg1_wait(10, 0, 1), "mean=0 must be > 0 seconds"),
        (lambda: mg1_wait(10, 0.01, -1), "scv=-1 must be >= 0"),
        (lambda: supermarket(1, 2), "lam=1 must be < mu=1.0"),
        (lambda: supermarket(0.5, 1.5), "d=1.5 must be a whole number"),
        (lambda: availability_series(99.9), "99.9 must be a probability from 0 to 1: write 0.99 for 99%"),
        (lambda: availability_parallel(), "at least one probability"),
        (lambda: fan_out(0.01, 0), "n=0 must be a whole number >= 1"),
        (lambda: fan_out(-0.01, 5), "-0.01 must be a probability"),
        (lambda: retry_load(1.5, 3), "1.5 must be a probability"),
        (lambda: retry_load(0.5, 0), "attempts=0 must be"),
        (lambda: layered_retries(0, 5), "tries=0 must be"),
    ],
)
def test_what_has_no_answer_is_refused_by_name(ask, said):
    with pytest.raises((TypeError, ValueError), match=said):
        ask()


def test_every_formula_names_its_source_or_rests_on_one_that_does():
    own = {
        "availability_parallel",
        "retry_load",
        "watch_window",
        "failed_calls",
        "lookup_rate",
        "time_to_fill",
        "freshness_bound",
        "silence_window",
        "catch_up",
        "lost_to_retention",
        "far_time",
    }  # special cases, or plain sums
    for name, function in vars(theory).items():
        if callable(function) and getattr(function, "__module__", "").startswith(theory.__name__) and name[0] != "_":
            assert function.__doc__, name
            if name not in own and name not in ("Burst", "Window"):
                assert "Source:" in function.__doc__, name


# -- a burst into a queue -----------------------------------------------------------------------


def test_a_burst_rises_waits_and_drains():
    # 300/s for 10 s before 4 consumers of 50/s: 100/s too many.
    assert theory.burst(300, 50, 4, 10) == (1000, 5.0, 15.0)
    assert theory.burst(300, 50, 4, 10, after=100) == (1000, 5.0, 20.0)
    assert theory.burst(200, 50, 4, 10) == (0, 0, 0)


@given(lam=rates, mu=rates, c=st.integers(1, 50), seconds=st.floats(0.1, 100), share=st.floats(0, 0.9))
def test_what_came_in_goes_out(lam, mu, c, seconds, share):
    after = share * c * mu
    peak, longest, drained = theory.burst(lam, mu, c, seconds, after)
    assert lam * seconds + after * (drained - seconds) == pytest.approx(c * mu * drained) or peak == 0
    assert longest * c * mu == pytest.approx(peak)


def test_a_window_limits_the_rate_until_it_covers_the_round_trip():
    assert theory.window_rate(0.010, 0.020, 1) == pytest.approx(1 / 0.030)
    assert theory.window_rate(0.010, 0.020, 3) == pytest.approx(100)
    assert theory.window_rate(0.010, 0.020, 300) == pytest.approx(100)
    assert list(theory.window_rate(0.010, np.array([0, 0.010]), 1)) == pytest.approx([100, 50])


def test_deliveries_are_a_geometric_sum():
    assert theory.deliveries(0) == 1 and theory.deliveries(0.5) == 2
    assert theory.deliveries(0.5, limit=1) == 1.5 and theory.deliveries(1, limit=3) == 4
    assert theory.deliveries(0.9, limit=1000) == pytest.approx(theory.deliveries(0.9))


@pytest.mark.parametrize(
    "wrong, quoted",
    [
        (lambda: theory.burst(1, 1, 1, 1, after=1), "after=1 must be < c × mu"),
        (lambda: theory.burst(-1, 1, 1, 1), "lam=-1"),
        (lambda: theory.burst(1, 0, 1, 1), "mu=0"),
        (lambda: theory.burst(1, 1, 0, 1), "c=0"),
        (lambda: theory.burst(1, 1, 1, math.inf), "seconds=inf"),
        (lambda: theory.window_rate(0, 1, 1), "work=0"),
        (lambda: theory.window_rate(1, -1, 1), "round_trip=-1"),
        (lambda: theory.window_rate(1, 1, 0), "window=0"),
        (lambda: theory.deliveries(1), "comes back for ever"),
        (lambda: theory.deliveries(0.5, limit=-1), "limit"),
        (lambda: theory.deliveries(1.5), "1.5 must be a probability"),
    ],
)
def test_misuse_of_the_queue_formulas_is_refused(wrong, quoted):
    with pytest.raises(ValueError, match=quoted):
        wrong()


def test_tiny_probabilities_and_many_tries_are_neither_rounded_away_nor_summed_up():
    assert fan_out(1e-17, 10**6) == pytest.approx(1e-11)
    assert theory.availability_parallel(1e-17, 1e-17) == pytest.approx(2e-17)
    assert theory.availability_parallel(1, 0.5) == 1 and theory.availability_parallel(0, 0) == 0
    assert retry_load(0.5, 10**9) == 2 and retry_load(1 - 1e-16, 10**7) == pytest.approx(10**7)
    for p in (0.0, 1e-17, 0.1, 0.5, 0.99, 1 - 1e-12, 1.0):
        assert retry_load(p, 20) == pytest.approx(sum(p**n for n in range(20)), rel=1e-12)
