"""What is particular to lab 15. Its catalogue is tested in test_labs."""

import pytest

from servicelab.checks import lab15
from servicelab.checks.lab15 import business, review
from servicelab.checks.lab15.trips import Far
from tests.lab15_answers import business as styles
from tests.lab15_answers.review import review as reviewed

pytestmark = pytest.mark.usefixtures("nothing_is_left")
SHOPS = {"practice": (lab15.PRICES, lab15.PRACTICE), **business.BUSINESSES}
LINKS = [
    pytest.param(prices, link, id=f"{shop}: {name}")
    for shop, (prices, links) in SHOPS.items()
    for name, link in links.items()
]


@pytest.mark.parametrize("prices, link", LINKS)
def test_no_link_is_a_close_call(prices, link):
    able = [style for style in business.STYLES if all(business.met(link, style).values())]
    first, second, *_ = sorted(sum(business.costs(link, style, prices)) for style in able) + [float("inf")]
    assert second > 1.09 * first


@pytest.mark.parametrize("prices, link", LINKS)
def test_a_day_is_as_the_formula_says(prices, link):
    for style in business.STYLES:
        lost = business.lived(link, style)[1]
        assert lost == pytest.approx(styles.lost(style, link), rel=0.1, abs=0.001 * link.rate * 86_400)


def test_trips_are_the_longest_chain_of_one_caller():
    far = Far(lambda context: context)
    for caller, start, end in [("page", 0, 2), ("page", 1, 3), ("queue", 3, 4), ("page", 2, 5), ("page", 6, None)]:
        call = far.trace.start_call(caller, "catalogue", "GET", at=start)
        if end:
            far.trace.end_call(call, "ok", at=end)
    assert (far.trips("page"), far.trips("queue"), far.trips("nobody")) == (3, 1, 0)


def test_the_game_to_try_things_on_has_all_that_is_difficult():
    game, due = review.recorded(*review.PRACTICE)
    assert [one[:2] for one in reviewed(game)] == [one[:2] for one in due] and len(due) == 2
    assert len({entry.id for entry in game.ledger}) < len(game.ledger) and lab15.game() == game
    assert any(entry.what == "refunded" for entry in game.ledger)
    assert any(abs(note.shown - note.at) > 1 for note in game.dashboard if note.what == "clock")
