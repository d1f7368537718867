"""What is particular to lab 14: its models show what was measured, and chance decides nothing about its answers."""

from math import comb

import pytest

from servicelab.checks.lab14 import live, rollout
from servicelab.checks.lab14.choice import CHECKED, WAYS, costs, took, why_not
from servicelab.checks.lab14.outliers import DEFAULTS
from tests.lab14_answers import canary, outliers

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.mark.parametrize("hosts, failures", [(3, 400), (5, 240), (9, 134), (10, 5), (11, 5), (20, 5)])
def test_below_ten_hosts_the_defaults_eject_nobody(hosts, failures):
    """As a real Envoy does: with 10% of ten hosts or more, one that fails is out after five failures."""
    assert live(hosts=hosts, seconds=20).failed() == pytest.approx(failures, abs=1 if hosts < 10 else 0)


def test_panic_lets_two_of_three_fail_for_ever():
    settings = {**DEFAULTS, "max_ejection_percent": 67}
    log = live(settings, broken=2, seconds=20)
    assert len(log.ejections) == 2
    assert log.failed() == pytest.approx(2 / 3 * len(log.requests), rel=0.01)
    assert live({**settings, "healthy_panic_threshold": 33}, broken=2, seconds=20).failed() == 10


def test_a_replica_comes_back_later_each_time_and_at_a_sweep():
    times = [now for now, *_ in live(outliers.RIGHT["no panic"], seconds=400).ejections]
    assert [round(later - now, -1) for now, later in zip(times, times[1:])] == [40, 70, 100, 130]


def test_settings_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"'interval': '10s'.*must have consecutive_5xx"):
        live({**DEFAULTS, "interval": "10s"})


@pytest.mark.parametrize("which", canary.RIGHT)
def test_right_canaries_are_right_with_other_dice(which):
    for old, new, most in ((0.01, 0.01, 0.07), (0.05, 0.05, 0.08)):
        ends = [rollout(canary.RIGHT[which], seed, old, new)[0] for seed in range(10_000, 10_200)]
        assert ends.count("roll back") <= most * len(ends)


def test_four_of_a_hundred_is_the_bargain_that_the_solution_says():
    def tail(least, p):
        return sum(comb(100, n) * p**n * (1 - p) ** (100 - n) for n in range(least, 101))

    assert [round(tail(least, p), 3) for least in (4, 3) for p in (0.01, 0.05)] == [0.018, 0.742, 0.079, 0.882]


def test_the_hidden_shops_differ_by_more_than_the_check_lets_pass():
    chosen = set()
    for shop in CHECKED:
        able = sorted(costs(shop)[way] for way in WAYS if not why_not(shop)[way])
        chosen.add(min((costs(shop)[way], way) for way in WAYS if not why_not(shop)[way])[1] if able else None)
        assert len(able) < 2 or able[1] > 1.05 * able[0]
        for proxies in (2 * shop.hops, 0, 1):
            assert abs(sorted(took(shop.hops, proxies))[4949] / shop.promise - 1) > 0.015
    assert chosen == {*WAYS, None}
