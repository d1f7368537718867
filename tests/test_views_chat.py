"""The panels of chapter 06: a chat on a network that breaks, and a producer faster than its reader."""

import numpy as np
import pytest

from servicelab import theory
from servicelab.views.demos.chat import BACK, CUTS, LONGEST, SupportChat
from servicelab.views.demos.chat import run as chat
from servicelab.views.demos.flood import END, RULES, Flood, age_when_read
from servicelab.views.demos.flood import run as flood


@pytest.fixture
def panels():
    panels = SupportChat(seed=1), Flood(seed=1)
    yield panels
    for panel in panels:
        panel.close()


@pytest.mark.parametrize(
    "number, change",
    [
        (0, {"cuts": 0}),
        (0, {"cuts": 10}),
        (0, {"kind": "with a reset"}),
        (0, {"beat": 0}),
        (0, {"beat": 4}),
        *((0, {"back": back}) for back in BACK[1:]),
        (1, {"rate": 180}),
        (1, {"speed": 100}),
        *((1, {"rule": rule}) for rule in RULES if rule != "drop oldest"),
        (1, {"size": 20}),
    ],
)
def test_every_control_changes_the_picture_and_the_sentence(panels, number, change):
    panel = panels[number]
    picture, said = panel.png, panel.alt
    panel.set(**change)
    assert "✗" not in panel.line.value
    assert panel.png != picture and panel.alt != said


def test_reset_brings_back_the_first_picture(panels):
    for panel, change in zip(panels, ({"cuts": 9, "beat": 1}, {"rule": "block", "rate": 40})):
        first = panel.png, panel.alt
        panel.set(**change)
        panel.reset()
        assert (panel.png, panel.alt) == first


# -- the chat ------------------------------------------------------------------------------------------


def test_what_runs_along_the_edge_of_the_picture_is_told_in_full(panels):
    panel = panels[0]
    settings = {"cuts": 5, "kind": "silent", "beat": 5.0, "back": BACK[1]}
    panel.set(**settings)
    slowest = max(line.shown[0] - line.at for line in chat(1, *settings.values()).lines if line.shown)
    assert slowest > LONGEST and f"the slowest took {slowest:.1f} s" in panel.alt


def times_shown(*how, seed=1):
    return [len(line.shown) for line in chat(seed, *how).lines]


@pytest.mark.parametrize("seed", range(1, 6))
def test_number_and_heartbeat_show_every_line_once(seed):
    assert set(times_shown(9, "silent", 1.0, BACK[1], seed=seed)) == {1}
    assert set(times_shown(9, "with a reset", 0, BACK[1], seed=seed)) == {1}


def test_without_the_number_lines_are_lost_or_doubled():
    assert 0 in times_shown(5, "with a reset", 0, "at now")
    from_the_beginning = times_shown(5, "with a reset", 0, "from the beginning")
    assert 0 not in from_the_beginning and max(from_the_beginning) > 2


def test_without_a_heartbeat_a_silent_cut_is_for_ever():
    course = chat(1, 5, "silent", 0, BACK[1])
    assert course.waits
    began = course.away[0][0]
    assert all(not line.shown for line in course.lines if line.at > began)
    assert not chat(1, 5, "silent", 1.0, BACK[1]).waits


def test_a_shorter_heartbeat_finds_a_silent_cut_sooner():
    def slowest(beat):
        return max(line.shown[0] - line.at for line in chat(2, 4, "silent", beat, BACK[1]).lines)

    assert slowest(0.5) < slowest(4.0)


def test_the_cuts_are_the_same_whatever_mends_them():
    runs = [chat(3, 6, kind, beat, back) for kind in CUTS for beat in (0, 2) for back in BACK]
    assert len({tuple(run.away) for run in runs}) == 1
    assert len({tuple(line.at for line in run.lines) for run in runs}) == 1
    assert all(set(times_shown(0, kind, 0, back)) == {1} for kind in CUTS for back in BACK)


# -- the flood -----------------------------------------------------------------------------------------


def test_without_a_bound_the_buffer_grows_as_the_formula_says():
    channel, reader, made = flood(1, 120, 60, "no bound", 50)
    assert len(channel.buffer) == pytest.approx(theory.buffer_growth(120, 60, END), abs=4 * np.sqrt(120 * END))
    assert len(reader.ages) + len(channel.buffer) <= made


@pytest.mark.parametrize("rule", list(RULES)[1:])
def test_a_bounded_buffer_keeps_its_bound_and_its_freshness(rule):
    channel, reader, _ = flood(1, 120, 60, rule, 50)
    assert channel.buffer.most <= 50
    longest = theory.freshness_bound(50, 60)
    # Who waits for room is older by its own wait, one turn of the reader.
    assert max(reader.ages) <= longest + (2 / 60 if rule == "block" else 1e-9)


def test_conflating_is_the_freshest_and_blocking_loses_nothing():
    ages = {rule: np.mean(flood(1, 120, 60, rule, 50)[1].ages[-60:]) for rule in RULES}
    assert min(ages, key=ages.get) == "conflate by key"
    assert max(ages, key=ages.get) == "no bound"
    buffer = flood(1, 120, 60, "block", 50)[0].buffer
    assert buffer.dropped == buffer.conflated == 0


@pytest.mark.parametrize("rule", RULES)
def test_the_dashed_line_is_the_age_of_what_is_read(rule):
    """Chance moves each dot; the mean over the last five of ten seconds lies on the formula."""
    reader = flood(1, 120, 60, rule, 100)[1]
    times, ages = np.array(reader.times), np.array(reader.ages)
    late = times > END / 2
    assert np.mean(ages[late]) == pytest.approx(np.mean(age_when_read(120, 60, rule, 100, times[late])), rel=0.2)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_grows_old_when_the_reader_is_faster(rule):
    assert not age_when_read(60, 120, rule, 100, np.linspace(0, END, 5)).any()
