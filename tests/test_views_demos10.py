"""The panels of chapter 10: the breaker cockpit, and the outage that outlives its cause."""

import threading

import pytest

from servicelab.views import live
from servicelab.views.demos.cockpit import PROBES, SPAN, Cockpit
from servicelab.views.demos.storm import REMEDIES, ROOM, Storm
from tests.waiting import wait_until


@pytest.fixture
def panel(request):
    threads = set(threading.enumerate())
    panel = request.param(seed=1)
    yield panel
    panel.close()
    assert live._moving is None
    wait_until(lambda: set(threading.enumerate()) <= threads)


def of(*kinds):
    return pytest.mark.parametrize("panel", kinds, indirect=True)


def go(panel, ticks):
    """Let time pass, and draw; an error in the panel, which redraw() shows instead of raising, is an error here."""
    for _ in range(ticks):
        panel.tick()
    panel.redraw()
    assert "✗" not in panel.line.value, panel.line.value


def state(panel):
    return str(panel.breaker.state(panel.env.now))


def until(panel, wanted, most=200):
    for _ in range(most):
        if state(panel) == wanted:
            return panel.redraw()
        go(panel, 1)
    raise AssertionError(f"never {wanted} in {most} ticks: {panel.alt}")


@pytest.mark.parametrize(
    "kind, change, ticks",
    [
        (Cockpit, {"fails": 90}, 4),
        (Cockpit, {"takes": 800}, 4),
        (Cockpit, {"threshold": 20}, 0),
        (Cockpit, {"fails": 90, "wait": 9}, 4),
        (Storm, {"load": 100}, 4),
        (Storm, {"retries": 3}, 0),
        *[(Storm, {"remedy": remedy}, 60) for remedy in REMEDIES if remedy != "none"],
    ],
)
def test_every_control_changes_the_picture_and_the_sentence(kind, change, ticks):
    """Beside a twin to which the same happens, but for the last control that is named."""
    *others, (name, value) = change.items()
    panel, twin = kind(), kind()
    for each in (panel, twin):
        each.set(**dict(others))
        if "remedy" in change:  # without an outage there is nothing to cure
            each.toggle()
            go(each, 20)
            each.toggle()
    go(twin, ticks)
    panel.set(**{name: value})
    go(panel, ticks)
    assert panel.png != twin.png and panel.alt != twin.alt
    panel.close()
    twin.close()


@of(Cockpit, Storm)
def test_reset_brings_back_the_first_picture_and_the_same_run(panel):
    first = panel.png, panel.alt
    go(panel, 5)
    later = panel.png, panel.alt
    panel.set(**({"fails": 100} if isinstance(panel, Cockpit) else {"load": 150, "remedy": "newest first"}))
    if isinstance(panel, Storm):
        panel._pressed(panel.toggle)
    go(panel, 20)
    panel.reset()
    assert (panel.png, panel.alt) == first != later
    go(panel, 5)
    assert (panel.png, panel.alt) == later


# -- the cockpit ----------------------------------------------------------------------------


@of(Cockpit)
def test_the_breaker_opens_when_payment_fails_and_closes_when_it_is_well_again(panel):
    assert "The breaker is closed" in panel.alt and " 0 calls were refused" in panel.alt
    panel.set(fails=100)
    until(panel, "open")
    assert "The breaker is open" in panel.alt and "OPEN" in panel.window_title.get_text()
    go(panel, 20)
    assert state(panel) != "closed" and "100%" in panel.alt and " 0 calls were refused" not in panel.alt
    panel.set(fails=0)
    until(panel, "closed")
    go(panel, 2 * SPAN + 2)
    assert "The breaker is closed: 0 of 20 calls failed" in panel.alt and " 0 calls were refused" in panel.alt


@of(Cockpit)
def test_answers_that_come_too_late_open_it_too(panel):
    panel.set(fails=0, takes=800)
    until(panel, "open")
    assert max(panel.failed.get_ydata()) == pytest.approx(500)


@of(Cockpit)
def test_the_threshold_takes_effect_on_the_running_breaker(panel):
    panel.set(fails=40, threshold=100)
    go(panel, 40)
    assert state(panel) == "closed" and not panel.breaker.changes
    panel.set(threshold=10)
    until(panel, "open", most=4)


@of(Cockpit)
def test_half_open_never_shows_more_probes_than_permitted(panel):
    panel.set(fails=60, wait=2, takes=300)
    seen, most = set(), 0
    for _ in range(150):
        go(panel, 1)
        seen.add(state(panel))
        changes = panel.breaker.changes
        for (begin, now), (end, _) in zip(changes, changes[1:]):
            if now == "half-open" and begin > panel.env.now - SPAN:
                probes = [mark for mark in panel.marks if mark.probe and begin <= mark.at <= end]
                assert len(probes) == PROBES
        most = max(most, len(panel.probes.get_xdata()))
    assert seen == {"closed", "open", "half-open"} and most > PROBES


@of(Cockpit)
def test_the_cells_are_what_the_breaker_counts(panel):
    panel.set(fails=45, takes=440, wait=2)
    states = set()
    for _ in range(200):
        go(panel, 1)
        seen = panel.breaker.metrics(panel.env.now)
        states.add(str(seen.state))
        assert len(panel.window) == seen.calls
        assert len(panel.cells_failed.get_xdata()) == seen.failures
        assert panel.bar.get_width() == pytest.approx(100 * (seen.failure_rate or 0))
    assert states == {"closed", "open", "half-open"}


@of(Cockpit)
def test_the_band_names_the_state_that_it_is_in(panel):
    panel.set(fails=100)
    until(panel, "open")
    go(panel, 6)
    assert {"closed", "open"} <= {name.get_text() for name in panel.names}
    ends = [(begin[0], end[0]) for begin, end in panel.band.get_segments()]
    assert ends[0][0] == -SPAN and ends[-1][1] == 0
    assert all(end == begin for (_, end), (begin, _) in zip(ends, ends[1:]))  # without a gap


# -- the outage -----------------------------------------------------------------------------


def broken_and_fixed(panel, **values):
    panel.set(**values)
    panel._pressed(panel.toggle)
    assert panel.alt.startswith("Broken") and panel.fields["toggle"].description == "Fix it"
    go(panel, 20)
    panel._pressed(panel.toggle)
    assert panel.fields["toggle"].description == "Break it"
    go(panel, 20)
    return panel


def is_well(panel):
    return panel.alt.startswith("Well")


@of(Storm)
def test_it_stays_down_after_the_fix(panel):
    assert is_well(panel)
    broken_and_fixed(panel)
    for _ in range(10):
        go(panel, 20)
        assert panel.alt.startswith("Down, though nothing is broken")
    assert "λ(1 + r) is 560/s, μ is 300/s: an overload does not end by itself" in panel.alt


@of(Storm)
def test_less_load_than_the_critical_one_ends_it(panel):
    broken_and_fixed(panel)
    panel.set(load=130)
    assert "λ(1 + r) is 260/s, μ is 300/s: an overload ends by itself" in panel.alt
    go(panel, 120)
    assert is_well(panel)
    panel.set(load=280)  # and back up: the service was never too small
    go(panel, 40)
    assert is_well(panel)


@of(Storm)
@pytest.mark.parametrize("remedy", ["drop expired", "newest first", "breaker"])
def test_a_remedy_ends_it_at_the_same_load(panel, remedy):
    broken_and_fixed(panel)
    panel.set(remedy=remedy)
    go(panel, 60)
    assert is_well(panel)


@of(Storm)
@pytest.mark.parametrize("load, ends", [(280, False), (250, True)])
def test_a_budget_of_a_tenth_is_enough_only_for_a_lower_load(panel, load, ends):
    broken_and_fixed(panel)
    panel.set(remedy="retry budget 10%", load=load)
    assert f"λ(1 + r) is {1.1 * load:.0f}/s" in panel.alt
    go(panel, 200)
    assert is_well(panel) == ends


@of(Storm)
def test_without_retries_it_recovers_by_itself(panel):
    broken_and_fixed(panel, load=200, retries=0)
    go(panel, 60)
    assert is_well(panel)


@of(Storm)
def test_the_broken_time_is_shaded_and_named_for_as_long_as_it_is_in_sight(panel):
    broken_and_fixed(panel)
    for shade in panel.shades:
        (path,) = shade.get_paths()
        assert path.vertices[:, 0].min() == -20 and path.vertices[:, 0].max() == -10
    assert [label.get_text() for label in panel.labels].count("broken") == 1
    go(panel, 121)
    assert not any(label.get_text() for label in panel.labels)


@of(Storm)
def test_when_it_is_down_one_attempt_more_comes_per_retry(panel):
    broken_and_fixed(panel, retries=2)
    go(panel, 40)
    assert panel.offered.get_ydata()[-40:].mean() == pytest.approx(280 * 3, rel=0.03)


# -- both -----------------------------------------------------------------------------------


@of(Cockpit, Storm)
def test_what_has_left_the_picture_is_forgotten(panel):
    panel.set(**({"fails": 60, "wait": 2} if isinstance(panel, Cockpit) else {"retries": 3}))
    if isinstance(panel, Storm):
        panel.toggle()
    go(panel, 300)
    if isinstance(panel, Cockpit):
        assert min(mark.at for mark in panel.marks) >= panel.env.now - SPAN
        assert sum(at < panel.env.now - SPAN for at, _ in panel.breaker.changes) <= 1
        assert len(panel.env._queue) < 100
    else:
        assert len(panel.service.waiting) <= ROOM and len(panel.past) == 120
        assert len(panel.env._queue) < 290 * 4 * 2  # the timeouts of a second, and no more
