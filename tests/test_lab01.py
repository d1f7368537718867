"""Chapter 00's check, and what is particular to lab 01. Its catalogue is tested in test_labs."""

import re

import pytest

from servicelab.checks import lab00, lab01
from servicelab.checks.lab01.shop import Enough
from servicelab.clients import closed_loop
from servicelab.trace import Trace
from tests.conftest import ROOT
from tests.lab01_answers.stock import Service
from tests.learners import leaves, leaves_a_thread, never_returns, raises
from tools.form import cells_of

pytestmark = pytest.mark.usefixtures("nothing_is_left")


#: An expectation says which numbered rule of the task it tests. In exercise 5 rules 1 and 3 say what is given.
TASKS = {
    "stock": ["l-stock-task"],
    "deadline": ["l-deadline-task"],
    "cache": ["l-cache-task"],
    "bottleneck": ["l-bottleneck-task", "l-queue-task", "l-admit-task"],
    "compression": ["l-compress-task"],
}


@pytest.mark.parametrize("exercise", TASKS)
def test_each_numbered_rule_of_a_task_is_found_in_the_report(exercise):
    cells = {cell["id"]: cell["source"] for cell in cells_of(ROOT / "solutions" / "01-synchronous-calls.ipynb")}
    numbered = {int(n) for id in TASKS[exercise] for n in re.findall(r"^(\d)\. ", cells[id], re.M)}
    words = getattr(lab01, f"check_{exercise}").words
    told = {int(n) for what, _ in words.values() for n in re.findall(r"\d", what.partition("(rule")[2])}
    assert told == (numbered if exercise != "compression" else {2, 4})


# -- code that does anything --------------------------------------------------------------------------


@pytest.mark.parametrize("check", [lab01.check_stock, lab01.check_compression], ids=["stock", "compression"])
def test_an_endless_loop_is_a_report(check):
    assert "time-limit" in check.report(never_returns).refused


def test_an_endless_handler_is_a_report():
    def make_stock():
        from flask import Flask

        app = Flask("inventory")
        app.post("/items")(never_returns)
        return app

    report = lab01.check_stock.report(make_stock)
    assert "no-answer" in report.refused
    assert "every request is answered within" in str(report)


def test_a_thread_left_running_is_a_report():
    def make_stock():
        leaves_a_thread()
        return Service.make()

    report = lab01.check_stock.report(make_stock)
    assert set(report.refused) == {"left-running"}
    assert "my housekeeping" in str(report)


# -- what the exercises are given ---------------------------------------------------------------------


def test_shelves_are_a_dict_of_copies():
    shelves = lab01.Shelves(pause=0)
    shelves[1] = row = {"id": 1, "count": 3}
    row["count"] = 0
    shelves[1]["count"] = 0
    assert shelves[1] == {"id": 1, "count": 3} and list(shelves) == [1] and len(shelves) == 1 and 2 not in shelves
    assert list(shelves.values()) == [{"id": 1, "count": 3}] and list(shelves.items()) == [(1, {"id": 1, "count": 3})]
    del shelves[1]
    with pytest.raises(KeyError):
        shelves[1]


def test_a_shop_has_the_stages_it_says_and_refuses_others():
    trace = Trace()
    with lab01.Shop(5, "line", trace) as shop:
        shop.order()
        with pytest.raises(ValueError, match="stage='shipping' is not one of orders, inventory, payment, line"):
            shop.probe("shipping")
    assert [call.callee for call in trace.calls] == list(shop.stages)


def test_a_shop_that_is_open_is_measured_gently():
    with lab01.Shop(5, "line") as shop, pytest.raises(Enough, match="60 requests to orders were agreed"):
        closed_loop(shop.probe("orders"), clients=16, count=400)


def test_a_processor_keeps_its_own_clock():
    slow, quick = lab01.Processor(1e6), lab01.Processor(1e8)
    assert slow.compress(b"x" * 5000) == quick.compress(b"x" * 5000)
    assert (slow.seconds, quick.seconds) == (0.005, 0.00005)


def test_the_same_seed_gives_the_same_shop():
    assert vars_of(lab01.Shop(5, "line")) == vars_of(lab01.Shop(5, "line")) != vars_of(lab01.Shop(6, "line"))


def vars_of(shop):
    return shop._limits, shop._workers


# -- chapter 00 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "may_accept",
    [lambda left, wanted: left >= wanted, lambda left, wanted: not left - wanted < 0],
    ids=["compares", "subtracts"],
)
def test_chapter_00_accepts(may_accept):
    report = lab00.check_may_accept.report(may_accept)
    assert report.passed, str(report)


def fails_at_two(left, wanted):
    return left >= wanted if wanted != 2 else {}[left]


@pytest.mark.parametrize(
    "may_accept, code",
    [
        (lambda left, wanted: left > 0, "oversold"),
        (lambda left, wanted: True, "oversold"),
        (lambda left, wanted: left > wanted, "refused-in-vain"),
        (lambda left, wanted: False, "refused-in-vain"),
        (lambda left, wanted: None, "wrong-type"),
        (fails_at_two, "handler-failed"),
        (raises, "exception"),
        (leaves, "exit"),
        (never_returns, "time-limit"),
    ],
    ids=["the one it is given", "always", "not the last one", "never", "no answer", "fails later", "raises", "exits",
         "endless"],
)  # fmt: skip
def test_chapter_00_refuses(may_accept, code):
    report = lab00.check_may_accept.report(may_accept)
    assert report.refused == [code], str(report)
    if code in ("oversold", "refused-in-vain"):
        assert "<svg" in report._repr_html_() and report.mark
