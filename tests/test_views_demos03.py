"""The panel of chapter 03: kill the consumer at four points."""

import itertools

import pytest

from servicelab.views.demos.crash import (
    ACKS,
    COUNT,
    KEYS,
    MAILS,
    POINTS,
    SPAN,
    WORK,
    Crash,
    thousand_mails,
    three_mails,
)

ACK, AUTO = ACKS
NONE, WITH, BEFORE = KEYS
ARRIVAL, RECEIPT, DONE, AFTER = POINTS


@pytest.fixture
def panel():
    panel = Crash(seed=1)
    yield panel
    panel.close()


def seen(panel, **values):
    """The bars, lost, once and twice, after moving controls; an error in the panel is an error here."""
    panel.set(**values)
    assert "✗ " not in panel.line.value.replace("✗ mail", ""), panel.line.value
    return [bar.get_width() for bar in panel.bars]


def written(panel):
    return {slot.get_text() for slot in panel.words} - {""}


@pytest.mark.parametrize(
    "change",
    [{"point": RECEIPT}, {"point": DONE}, {"point": AFTER}, {"ack": AUTO}, {"key": WITH}, {"key": BEFORE},
     {"prefetch": 5}],
)  # fmt: skip
@pytest.mark.parametrize("start", [{}, {"ack": AUTO}, {"point": DONE, "key": WITH}])
def test_every_control_changes_the_picture_and_the_sentence_at_once(panel, start, change):
    panel.set(**start)
    before = panel.png, panel.alt, dict(panel.values)
    panel.set(**change)
    moved = panel.values != before[2]
    assert (panel.png != before[0]) == moved == (panel.alt != before[1])


@pytest.mark.parametrize(
    "point, ack, key, kind",
    [
        (ARRIVAL, ACK, NONE, "once"),
        (RECEIPT, ACK, NONE, "once"),
        (DONE, ACK, NONE, "twice"),
        (AFTER, ACK, NONE, "once"),
        (ARRIVAL, AUTO, NONE, "lost"),
        (RECEIPT, AUTO, NONE, "lost"),
        (DONE, AUTO, NONE, "once"),
        (AFTER, AUTO, NONE, "once"),
        (DONE, ACK, WITH, "once"),
        (RECEIPT, ACK, WITH, "once"),
        (RECEIPT, ACK, BEFORE, "lost"),
        (DONE, ACK, BEFORE, "once"),
    ],
)
def test_what_becomes_of_mail_1_and_of_a_thousand(panel, point, ack, key, kind):
    lost, once, twice = seen(panel, point=point, ack=ack, key=key)
    assert lost + once + twice == COUNT
    assert [fate for fate in ("lost", "sent twice") if f"mail 1 is {fate}" in panel.alt] == {
        "lost": ["lost"], "twice": ["sent twice"], "once": []
    }[kind]  # fmt: skip
    assert (lost > 0) == (kind == "lost" or ack == AUTO)  # under auto-ack what waits in A dies with it, too
    assert (twice > 0) == (kind == "twice")
    assert f"{lost:.0f} are lost, {once:.0f} sent once, {twice:.0f} sent twice." in panel.alt
    assert panel.counts[2].get_text() == f"2× {twice:.0f} twice"
    said = {text for text in written(panel) if text in ("✗ mail 1 lost", "2× mail 1 twice")}
    assert said == {"lost": {"✗ mail 1 lost"}, "twice": {"2× mail 1 twice"}, "once": set()}[kind]


def test_each_death_before_the_ack_is_one_mail_twice():
    result, deaths, again = thousand_mails(
        POINTS[DONE], 1, auto_ack=False, prefetch=1, with_keys=False, keys_first=False
    )
    assert result.more == deaths == again > 10
    more = thousand_mails(POINTS[DONE], 1, auto_ack=False, prefetch=5, with_keys=False, keys_first=False)
    assert more[0].more == more[1] < more[2]  # prefetch: more comes back, and no more is done twice


def test_ack_and_a_key_saved_with_the_work_are_right_everywhere(panel):
    for point, prefetch in itertools.product(POINTS, (1, 2, 4, 10)):
        assert seen(panel, point=point, key=WITH, prefetch=prefetch) == [0, COUNT, 0]
        assert "every mail is sent once" in panel.alt


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("ack", ACKS)
@pytest.mark.parametrize("prefetch", [1, 2, 10])
def test_the_picture_holds_the_whole_run_and_no_label_covers_another(panel, point, ack, prefetch):
    trace, tasks = three_mails(
        POINTS[point], auto_ack=ack == AUTO, prefetch=prefetch, with_keys=False, keys_first=False
    )
    assert len(tasks) == MAILS and max(event.at for event in trace.events) * 1000 < SPAN
    panel.set(point=point, ack=ack, prefetch=prefetch)
    assert len(panel.arrows.get_segments()) == len(trace.messages)
    crosses = len(panel.crosses.get_xdata())
    assert crosses == sum(message.lost is not None for message in trace.messages)
    heads = len(panel.right_heads.get_xdata()) + len(panel.left_heads.get_xdata())
    assert heads + crosses == len(trace.messages)
    assert "A killed" in written(panel)
    for task in tasks:
        assert (f"{task.label} sent" in written(panel)) == bool(task.done)
    renderer = panel._canvas.get_renderer()
    boxes = [slot.get_window_extent(renderer).shrunk(0.9, 0.75) for slot in panel.words if slot.get_text()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    inside = panel.fig.bbox
    assert all(inside.containsx(box.x0) and inside.containsx(box.x1) for box in boxes)


def test_mail_1_is_worked_on_by_both_when_it_is_sent_twice(panel):
    panel.set(point=DONE)
    spans = [(segment[0][0], segment[1][1] - segment[0][1]) for segment in panel.work.get_segments()]
    assert spans[0] == (2, pytest.approx(1000 * WORK)) and len(spans) == MAILS + 1
    panel.set(point=RECEIPT)
    assert len(panel.work.get_segments()) == MAILS


def test_reset_brings_the_first_picture_back(panel):
    first = panel.png, panel.alt
    panel.set(point=DONE, ack=AUTO, key=WITH, prefetch=7)
    assert (panel.png, panel.alt) != first
    panel.reset()
    assert (panel.png, panel.alt) == first
    panel.set(ack=AUTO)
    other = Crash(seed=2)
    other.set(ack=AUTO)
    assert other.alt != panel.alt  # other mails, other accidents
    other.close()


def test_the_notes_stay_inside_the_picture(panel):
    panel.set(ack=AUTO, key=BEFORE, prefetch=10)
    box = panel.notes.get_window_extent(panel._canvas.get_renderer())
    assert box.x1 <= panel.fig.bbox.x1 and box.y0 >= 0
