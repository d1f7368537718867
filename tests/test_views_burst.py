"""The panel of a burst (chapter 03)."""

import numpy as np
import pytest

from servicelab.views.demos.burst import BEGIN, FULL, LIMITS, WORK, Burst, fluid, run


@pytest.fixture
def panel():
    panel = Burst(seed=1)
    yield panel
    panel.close()


def test_a_long_burst_follows_the_fluid_formula():
    depth, *_ = run(1, rate=300, length=2.0, consumers=2, limit="none")
    expected = fluid(np.array([BEGIN + 2.0]), 300, 2.0, 2 / WORK)[0]
    assert expected == pytest.approx((300 - 160) * 2.0)
    # Five standard deviations of a Poisson count: what comes in varies, what goes out does not while it is busy.
    assert abs(depth[1].max() - expected) < 5 * np.sqrt(300 * 2.0)


def test_a_limit_is_kept_and_somebody_pays():
    for limit in list(LIMITS)[1:]:
        depth, sent, waits, gone = run(1, rate=400, length=2.0, consumers=2, limit=limit)
        assert depth[1].max() == FULL
        assert gone > 100
        assert np.isnan(waits).sum() == gone
    assert fluid(np.linspace(0, 8, 99), 400, 2.0, 160, FULL).max() == FULL


def test_moving_the_length_keeps_the_luck_before_the_burst():
    short, long = (run(1, 300, length, 2, "none")[1] for length in (0.4, 2.0))
    n = int((short < BEGIN).sum())
    assert n > 10 and np.array_equal(short[:n], long[:n])
