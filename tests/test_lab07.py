"""What is particular to lab 07. Its catalogue is tested in test_labs."""

from bisect import bisect_left

import pytest

from servicelab.checks.lab07.cache import CALLS, HITS, spend_day
from servicelab.checks.lab07.limiter import Store
from servicelab.checks.lab07.plans import CHECKED, PRACTICE, hits, right
from tests.lab07_answers.cache import ByPath, Cache
from tests.lab07_answers.room import replay

pytestmark = pytest.mark.usefixtures("nothing_is_left")

DAYS = pytest.mark.parametrize(
    "day", [PRACTICE, *CHECKED], ids=lambda day: f"{len(day.calls)} calls, goal {day.goal:.0%}"
)


# -- exercise 2: the day ------------------------------------------------------------------------------


def test_the_cache_of_the_chapters_opening_hits_well_and_shows_the_baskets_of_others():
    hit, wrong = spend_day(ByPath(), 5)
    assert hit > 0.9 and wrong > CALLS / 10


@pytest.mark.parametrize("seed", range(1, 8))
def test_a_right_cache_has_hits_to_spare(seed):
    hit, wrong = spend_day(Cache(), seed)
    assert hit > HITS + 0.15 and wrong == 0


# -- exercise 3: the store ----------------------------------------------------------------------------


def test_a_store_swaps_what_is_still_there_and_says_whether_it_did():
    store = Store()
    assert store.read("alice") is None and store.swap("alice", None, (1.0, 2))
    assert not store.swap("alice", None, 3) and store.read("alice") == (1.0, 2)
    assert store.swap("alice", (1.0, 2), 3) and store.read("alice") == 3


# -- exercise 4: the days -----------------------------------------------------------------------------


@DAYS
def test_the_numbers_are_the_same_whether_somebody_tries_all_or_halves(day):
    found, goal = right(day), day.goal * len(day.calls)
    sizes, times = range(1, day.pages + 1), range(1, 400)
    by_halves = {
        "size": bisect_left(sizes, goal, key=lambda size: hits(day, size)) + 1,
        "ttl": bisect_left(times, goal, key=lambda ttl: hits(day, ttl=ttl)) + 1,
        "both": bisect_left(sizes, goal, key=lambda size: hits(day, size, day.fresh)) + 1,
    }
    for case, number in by_halves.items():
        assert found[case] == number or (found[case] is None and number > day.pages)
    assert goal == round(goal) or abs(goal - round(goal)) > 0.01


@DAYS
def test_it_changes_no_number_whether_a_copy_that_is_too_old_keeps_its_place(day):
    found, goal = right(day)["both"], day.goal * len(day.calls)
    sizes = (found - 1, found) if found else (day.pages,)
    assert [replay(day, size, day.fresh, "too old is gone") >= goal for size in sizes] == [False, True][: len(sizes)]
