"""The numbers of chapter 15, each in its band: distance, regions, styles on trial; and the cells that it points at."""

import inspect
import re

import pytest
import requests
from requests.adapters import DEFAULT_POOLSIZE

from servicelab import lifecycle, theory
from servicelab.clients.trials import ORDERS, STYLES, WORK, trial
from tests.cells import code_of, needed, notebook_of, run
from tools.form import cells_of

pytestmark = pytest.mark.usefixtures("nothing_is_left")

RTTS = (0.001, 0.030, 0.150)
BOOK = notebook_of("15")


@pytest.fixture
def cell(no_progress_of_mine):
    """``cell(id)``: the names of the notebook once this cell, and what it needs, have run."""
    code = code_of(BOOK)
    yield lambda id: run(code, needed(code, id))
    lifecycle.stop_all()


# -- the closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("rtt, ms", [*zip(RTTS, (21, 79, 319))])
def test_an_order_with_two_trips(rtt, ms):
    assert 1000 * theory.far_time(0.019, 2, rtt) == pytest.approx(ms)


def test_the_greatest_rate_and_the_workers_at_a_hundred_orders():
    assert 16 / theory.far_time(0.019, 0, 0.150) == pytest.approx(842, abs=1)
    assert 16 / theory.far_time(0.019, 2, 0.150) == pytest.approx(50, abs=1)
    assert 100 * theory.far_time(0.026, 2, 0.150) == pytest.approx(33, abs=0.5)


@pytest.mark.parametrize("rtt, rate", [*zip(RTTS, (500, 16.7, 3.33))])
def test_a_row_under_two_phase_commit(rtt, rate):
    assert theory.row_rate(rtt) == pytest.approx(rate, rel=5e-3)
    assert theory.row_rate(rtt, trips=1) == pytest.approx(2 * rate, rel=5e-3)


@pytest.mark.parametrize("shared, minutes", [(0, 1.076), (0.01, 3.21), (0.1, 22.4), (1, 215.6)])
def test_two_regions_with_a_common_cause(shared, minutes):
    down = 1 - theory.availability_series(*[0.999] * 5)
    assert 43_200 * theory.common_cause(down, shared) == pytest.approx(minutes, rel=2e-3)


def test_a_common_cause_agrees_with_independence_and_with_a_single_copy():
    assert theory.common_cause(0.1, 0, copies=3) == pytest.approx(1 - theory.availability_parallel(0.9, 0.9, 0.9))
    assert theory.common_cause(0.1, 0.3, copies=1) == pytest.approx(0.1)


def test_needing_both_clouds_is_worse_than_one():
    assert 100 * theory.availability_series(0.9995, 0.9995) == pytest.approx(99.90, abs=1e-3)


def test_what_a_cut_loses():
    assert theory.lost_per_crash(100, 0.150 / 2) == pytest.approx(7.5)


@pytest.mark.parametrize(
    "ask, said",
    [
        (lambda: theory.far_time(-1, 2, 0.1), "own=-1"),
        (lambda: theory.far_time(0.1, 1.5, 0.1), "trips=1.5"),
        (lambda: theory.row_rate(0), "rtt=0"),
        (lambda: theory.row_rate(0.1, trips=0), "trips=0"),
        (lambda: theory.common_cause(1.1, 0), "1.1"),
        (lambda: theory.common_cause(0.1, 0, copies=0), "copies=0"),
    ],
)
def test_what_has_no_answer_is_refused_by_name(ask, said):
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        ask()


# -- the chapter's simulations ------------------------------------------------------------------


def test_the_shop_in_simpy_is_the_formula_while_nobody_queues(cell):
    shop = cell("c-far-sim")["simulated"]
    for trips, rtt in [(2, 0.03), (1, 0.15), (0, 0.15)]:
        median, _ = shop(trips, rtt, 0.02, rate=5)
        assert median == pytest.approx(theory.far_time(0.02, trips, rtt), rel=0.01)
        _, rate = shop(trips, rtt, 0.02, rate=1e6)
        assert rate == pytest.approx(8 / theory.far_time(0.02, trips, rtt), rel=0.03)


def test_too_few_workers_are_a_queue_without_end_and_enough_are_none(cell):
    shop = cell("c-far-sim")["simulated"]
    few, enough = (shop(2, 0.15, 0.02, rate=100, workers=workers, orders=1500)[0] for workers in (16, 38))
    assert few > 10 * enough and enough < 0.35


def test_the_regions_in_simpy_are_the_formula(cell):
    names = cell("c-region-run")
    down, minutes_down, with_shared = names["DOWN"], names["minutes_down"], names["with_shared"]
    assert minutes_down({(0,): down}, needed=2) == pytest.approx(215, rel=0.03)
    for shared in (0.1, 0.5):
        formula = 43_200 * theory.common_cause(down, shared)
        assert minutes_down(with_shared(shared)) == pytest.approx(formula, rel=0.1)
    assert minutes_down({(0,): 0.0005, (1,): 0.0005}, needed=2) == pytest.approx(43.2, rel=0.1)


def test_the_line_is_cut(cell):
    cut_off = cell("c-cap-sim")["cut_off"]
    assert cut_off(10, 10)[1:] == (4, 0) and cut_off(10, 0) == (0, 0, 14)
    assert cut_off(10, 5)[1] == 0


# -- styles on trial ----------------------------------------------------------------------------

COUNTS = {"call": (20, 0, 0, 20), "queue": (0, 20, 0, 20), "log": (0, 20, 20, 40), "broadcast": (0, 0, 0, 40)}


@pytest.mark.parametrize("name", STYLES)
def test_a_style_keeps_what_it_promises_and_no_more(name):
    with STYLES[name]() as style:
        outcome = trial(style)
    assert tuple(outcome[:4]) == COUNTS[name]
    assert (outcome.swapped > 0) == (name == "queue")
    assert name != "call" or outcome.longest > 0.5 * ORDERS * WORK
    assert outcome.reaction > 0


def test_a_call_to_nobody_is_no_answer():
    with STYLES["call"]() as style:
        assert style.send(1) is False


# -- what the page says of others ---------------------------------------------------------------


def test_the_cells_that_the_page_points_at_are_there():
    prices = next(c["source"] for c in cells_of(BOOK) if c["id"] == "c-case-pays")
    links = re.findall(r"\((\d\d)-[a-z-]+\.ipynb\)", prices)
    assert set(links) == {"01", "03", "04", "05", "06", "10", "11"}
    ids = {number: {c["id"] for c in cells_of(notebook_of(number))} for number in links}
    for line in prices.splitlines():
        numbers = re.findall(r"\((\d\d)-|chapter (\d\d)(?!\])", line)
        known = set().union(*(ids[one or other] for one, other in numbers)) if numbers else set()
        assert [id for id in re.findall(r"`([a-z]-[a-z-]+)`", line) if id not in known] == []


def test_the_defaults_of_requests():
    assert DEFAULT_POOLSIZE == 10
    assert inspect.signature(requests.Session.request).parameters["timeout"].default is None
