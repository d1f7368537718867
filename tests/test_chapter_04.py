"""What chapter 04 shows, in bands that hold on a busy machine, too: counts, and never milliseconds."""

import pytest

from servicelab import lifecycle
from tests.cells import code_of, needed, notebook_of, run
from tests.counter_worlds import turn
from tests.counter_worlds.chapter_04 import WITHOUT
from tests.waiting import left, wait_until

pytestmark = pytest.mark.usefixtures("no_progress_of_mine")


@pytest.fixture(autouse=True)
def nothing_of_ours_is_left():
    yield
    lifecycle.stop_all()
    wait_until(lambda: left() == [])


def world(last, *also):
    """The names after the cell ``last``, the cells that it needs, and those in ``also``."""
    code = code_of(notebook_of("04"), WITHOUT)
    return run(code, needed(code, last, also))


def test_the_subscriber_that_is_there_first_hears_nothing_and_later_all():
    seen = world("e-wrong-run")
    assert len(seen["heard_at_once"]) < 30 and len(seen["heard_later"]) == 5
    assert len(world("e-again-run")["heard_again"]) == 300


def test_whoever_joins_misses_five_ways():
    seen = world("e-join-bare", "e-join-run")
    assert [seen["simulated"](delay) for delay in (0, 0.005, 0.01, 0.02, 0.04)] == [1, 6, 11, 21, 41]
    # A busy machine makes the ways longer, and publishes less meanwhile; it makes them no fewer.
    least = min(seen["missed_by_joining"](0.04, patience=10) for _ in range(3))
    assert 0.7 * 41 <= least <= 3 * 41
    assert min(seen["missed_by_joining"](0.0, patience=10) for _ in range(3)) <= 8


def test_in_one_process_the_source_waits_for_all_and_on_the_bus_for_nobody():
    seen = world("e-bus-run")
    for listeners, waited in seen["inside"].items():
        assert waited >= 0.98 * listeners * 0.005
    assert seen["bus"][20] < 0.2 * 20 * 0.005


def test_both_marks_are_filled_and_what_happened_last_is_lost():
    seen = world("e-mark-go")
    for mark in (10, 100):
        *found, following = seen["slept"][mark]
        assert mark <= len(found) <= 2 * mark + 5
        assert found[0] == 1 and found == sorted(found) and following == 2001


def test_prefixes_words_and_slips():
    heard_by = world("e-words-table")["heard_by"]
    assert {who: len(topics) for who, topics in heard_by.items()} == {
        "SUB 'order'": 5,
        "SUB 'order.'": 2,
        "topic 'order'": 1,
        "topic 'order.*'": 1,
        "topic 'order.#'": 3,
        "topic '#.paid'": 2,
    }


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        ("e-ask-turn", "time.sleep(0.05)", "time.sleep(0.21)"),  # five ways of 40 ms, and no others
        ("e-ask-turn", "everywhere(wait)", "(0, 0, 0, 11.0)"),  # a pause longer than five ways of the longest line
        ("e-lost-turn", "return 0", "return 2001 - len(numbers)"),
        ("e-lost-turn", "return 0", "return numbers[-1] - len(numbers)"),
        ("e-fat-turn", '{"order": number}', '{"order": number, "address": ""}'),
        ("e-fat-turn", '{"order": number}', '{"address": BOOKS[number]}'),  # nobody knows of which order
    ],
)
def test_what_only_looks_like_a_cure_is_not_taken(cell, old, new):
    assert not turn("04", cell, old, new, WITHOUT).reached


def test_what_the_excursions_say():
    two = world("e-x-two")["reports"]
    assert (two(0), two(1)) == ([b"\x01order"], [b"\x01order"] * 2)
    assert world("e-x-conflate")["_"].rows == [
        ["one part, subscribed to 'price'", "price 9"],
        ["topic and number, subscribed to 'price'", "nothing"],
        ["topic and number, subscribed to everything", "9"],
    ]
    assert [row[1:] for row in world("e-x-end")["_"].rows] == [[0, 0], [0, 1000]]
    assert [row[1] for row in world("e-x-loop")["_"].rows] == [500, 9]
    (_, never, without), (_, often, again) = world("e-x-beat-go")["_"].rows
    assert (never, without, again) == (0, "no", "yes") and often > 0
    assert world("e-x-lazy")["handed_to_the_lazy"](1) > 10  # a prefetch of 1 would leave it one


def test_the_marks_do_not_count_small_messages():
    found, gaps = world("e-x-small")["asleep_through_small"](1000, 100_000)
    assert 2000 < found < 100_000 and gaps >= 1


def test_what_nobody_wants_does_not_travel():
    carried = world("e-filter-go")["carried"]
    assert carried["order"] >= 100 * 1000
    assert carried["pay"] == 0
