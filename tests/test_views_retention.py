"""The panel of a log that forgets (chapter 05)."""

import pytest

from servicelab import theory
from servicelab.views.demos.retention import END, LEAVES, SPEED, Race, minute


@pytest.fixture
def panel():
    panel = Race(seed=1)
    yield panel
    panel.close()


def test_start_begins_with_the_beginning_and_ends_with_the_end(panel):
    said = panel.alt
    panel.tick()
    panel.redraw()
    assert panel.alt != said and " 0 are lost" in panel.alt
    while panel.at < END:
        panel.tick()
    panel.redraw()
    assert panel.alt == said


@pytest.mark.parametrize("pace", [5, 20, 30])
@pytest.mark.parametrize(("outage", "retention"), [(30, 20), (50, 10), (21, 20)])
def test_what_is_lost_is_what_the_formula_says(pace, outage, retention):
    run = minute(1, pace, outage, retention)
    assert run.lost[-1] == pytest.approx(theory.lost_to_retention(pace, outage, retention), abs=pace)
    assert run.end[-1].sum() == run.cursor[-1].sum() + run.behind[-1]


def test_nothing_is_lost_until_the_outage_is_as_long_as_the_retention():
    assert [bool(minute(1, 20, outage, 20).lost[-1]) for outage in (0, 19, 20, 21)] == [False, False, False, True]


def test_the_reader_catches_up_when_the_formula_says():
    run = minute(1, 20, 20, 60)
    back = LEAVES + 20 + theory.catch_up(20, SPEED, 20)
    late = run.at[(run.at > LEAVES + 20) & (run.behind < 10)][0]
    assert late == pytest.approx(back, abs=2)
