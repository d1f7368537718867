"""What is particular to lab 10. Its catalogue is tested in test_labs."""

import math

import pytest
from flask import Flask

from servicelab.checks import lab10
from servicelab.checks.lab10.mixed import CHECKED, PRACTICE, simulate
from servicelab.checks.lab10.sizes import TURNED_AWAY
from servicelab.checks.lab10.storm import OUTAGES
from servicelab.checks.slow_number import SlowNumber
from servicelab.sim.outage import Outage
from tests.learners import raises

pytestmark = pytest.mark.usefixtures("nothing_is_left")


# -- code that does anything --------------------------------------------------------------------------


def hangs(name, steps, below, web):
    app = Flask(name)
    app.add_url_rule("/charge", "charge", raises, methods=["POST"])
    return app


def test_a_handler_that_raises_is_a_report_with_its_error():
    report = lab10.check_deadline.report(hangs)
    assert "leisure" in report.refused and "no such key" in str(report)


# -- what the exercises are given ---------------------------------------------------------------------


def test_a_slow_number_is_a_number_and_stays_slow():
    number = SlowNumber(3)
    assert number > 2 and number + 1 == 4.0 and 10 - number == 7.0 and number == 3
    assert isinstance(number + 1, SlowNumber) and isinstance(5 - number, SlowNumber)


def blocked(load, size):
    """Erlang's loss formula."""
    share = 1.0
    for places in range(1, size + 1):
        share = load * share / (places + load * share)
    return share


@pytest.mark.parametrize("needs", [CHECKED, PRACTICE], ids=["checked", "practice"])
def test_the_solution_of_exercise_4_fits_both_shops_and_blocks_what_erlang_says(needs):
    loads = {name: need.rate * need.seconds for name, need in needs.items()}
    sizes = {name: math.ceil(load + 2 * math.sqrt(load)) for name, load in loads.items()}
    assert sum(sizes.values()) <= 24
    for name, seen in simulate(needs, sizes).items():
        assert seen.rejected == pytest.approx(blocked(loads[name], sizes[name]), abs=0.02)
        assert seen.stuck == 0


@pytest.mark.parametrize("needs", [CHECKED, PRACTICE], ids=["checked", "practice"])
@pytest.mark.parametrize("seed", [1, 2])
def test_at_the_edge_of_exercise_4_the_size_decides_and_not_the_day(needs, seed):
    loads = {name: need.rate * need.seconds for name, need in needs.items()}
    fewest = {name: next(n for n in range(1, 24) if blocked(load, n) <= 0.1) for name, load in loads.items()}
    enough = simulate(needs, fewest, seed=seed)
    too_few = simulate(needs, {name: size - 1 for name, size in fewest.items()}, seed=seed)
    for name in needs:
        assert enough[name].rejected < TURNED_AWAY < too_few[name].rejected


def test_one_that_hangs_stops_the_others_only_when_its_bulkhead_is_too_wide():
    narrow = {"inventory": 3, "payment": 13, "shipping": 5}
    assert simulate(CHECKED, narrow, "payment")["inventory"].well > 0.9
    assert simulate(CHECKED, {**narrow, "payment": 24}, "payment")["inventory"].well < 0.2


@pytest.mark.parametrize("tries, load, capacity, ends", OUTAGES, ids=str)
def test_a_simulated_outage_ends_by_itself_as_exercise_5_says(tries, load, capacity, ends):
    attempts = math.prod(tries.values())
    model = Outage(load, capacity, retries=attempts - 1, begins=5.0, ends=15.0)
    recovered = model.run(until=120.0).recovered_at()
    assert (recovered < 110) == ends, f"{load * attempts / capacity:.2f} × what can be done: well from {recovered} s"


def test_the_stormy_shop_multiplies_exactly():
    with lab10.stormy_shop() as shop:
        samples = shop.customers(5)
    services = "gateway", "orders", "payment", "bank"
    counts = [sum(call.callee == name for call in shop.trace.calls) for name in services]
    assert counts == [5, 15, 15, 60]
    assert {sample.status for sample in samples} == {"HTTP 503"}
