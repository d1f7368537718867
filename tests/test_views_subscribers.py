"""The panel of four subscribers (chapter 04)."""

import pytest

from servicelab.views.demos.subscribers import FOUR, Subscribers, run

NEAR_QUICK, FAR_QUICK, NEAR_SLOW, FAR_SLOW = range(4)


@pytest.fixture
def panel():
    panel = Subscribers(seed=1)
    yield panel
    panel.close()


def counts(fate, **settings):
    return [list(fates.values()).count(fate) for fates in run(**settings)]


def test_the_delay_hurts_the_far_and_the_mark_hurts_the_slow():
    usual = {"delay": 0.04, "rate": 200, "speed": 40, "mark": 50}
    assert counts("missed", **usual) == [1, 41, 1, 41]
    dropped = counts("dropped", **usual)
    assert dropped[NEAR_QUICK] == dropped[FAR_QUICK] == 0 < dropped[FAR_SLOW] < dropped[NEAR_SLOW]
    assert counts("dropped", **usual | {"mark": 300}) == [0] * len(FOUR)
    assert counts("dropped", **usual | {"speed": 400}) == [0] * len(FOUR)
    assert counts("missed", **usual | {"mark": 300}) == counts("missed", **usual)


def test_the_first_picture_shows_both_losses_and_does_not_give_the_chapters_question_away(panel):
    usual = {slider.name: slider.value for slider in panel.controls}
    usual["delay"] /= 1000
    missed, dropped = counts("missed", **usual), counts("dropped", **usual)
    assert missed == [1, 16, 1, 16]  # chapter 04 asks for it at 40 ms and 200/s: 41
    assert dropped[NEAR_QUICK] == dropped[FAR_QUICK] == 0 < dropped[FAR_SLOW] <= dropped[NEAR_SLOW]


def test_with_some_settings_nobody_drops_and_with_none_nobody_misses():
    for rate in range(20, 401, 20):
        assert counts("dropped", delay=0.1, rate=rate, speed=rate, mark=10) == [0] * len(FOUR)
        assert min(counts("missed", delay=0, rate=rate, speed=rate, mark=10)) == 1


def test_a_larger_box_only_postpones_it():
    kept = [counts("waits", delay=0, rate=200, speed=20, mark=mark)[NEAR_SLOW] for mark in (10, 50, 100)]
    assert kept == [20, 100, 200]


def test_every_event_since_they_connected_has_one_fate():
    for fates in run(0.1, 400, 20, 10):
        assert list(fates) == list(range(min(fates), max(fates) + 1)) and len(fates) == 1101
