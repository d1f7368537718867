"""What is particular to lab 15. Its catalogue is tested in test_labs."""

import pytest

from servicelab.checks import lab15
from servicelab.checks.lab15 import business
from servicelab.checks.lab15.trips import Far
from tests.lab15_answers import business as styles

pytestmark = pytest.mark.usefixtures("nothing_is_left")
SHOPS = ((lab15.PRICES, lab15.PRACTICE), *business.BUSINESSES.values())
LINKS = [(prices, link) for prices, links in SHOPS for link in links.values()]


def test_no_link_is_a_close_call():
    for prices, link in LINKS:
        able = [style for style in business.STYLES if all(business.met(link, style).values())]
        first, second, *_ = sorted(sum(business.costs(link, style, prices)) for style in able) + [float("inf")]
        assert second > 1.09 * first, link


def test_a_day_is_as_the_formula_says():
    for _, link in LINKS:
        for style in business.STYLES:
            lost, chance = business.lived(link, style)[1], 0.001 * link.rate * 86_400
            assert lost == pytest.approx(styles.lost(style, link), rel=0.1, abs=chance), (link, style)


def test_trips_are_the_longest_chain_of_one_caller():
    far = Far(lambda context: context)
    for caller, start, end in [("page", 0, 2), ("page", 1, 3), ("queue", 3, 4), ("page", 2, 5), ("page", 6, None)]:
        call = far.trace.start_call(caller, "catalogue", "GET", at=start)
        if end:
            far.trace.end_call(call, "ok", at=end)
    assert (far.trips("page"), far.trips("queue"), far.trips("nobody")) == (3, 1, 0)
