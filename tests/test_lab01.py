"""Lab 01 and the check of chapter 00: what must be accepted, what must be refused and with which message."""

import ast
import importlib
import json
import sys
import threading
import time

import pytest

from servicelab import lifecycle
from servicelab.checks import lab00, lab01, progress
from servicelab.checks.report import CheckFailed
from servicelab.trace import Trace
from tests.conftest import ROOT

NAMES = ["stock", "deadline", "cache", "bottleneck", "compression"]
ANSWERS = {"stock": "make_stock", "deadline": "get_within", "cache": "CachingClient", "bottleneck": "find_bottleneck",
           "compression": "should_compress"}  # fmt: skip
CATALOGUES = {name: importlib.import_module(f"tests.lab01_answers.{name}") for name in NAMES}
RIGHT = [(name, which) for name in NAMES for which in CATALOGUES[name].RIGHT]
WRONG = [(name, which) for name in NAMES for which in CATALOGUES[name].WRONG]


def check_of(name):
    return getattr(lab01, f"check_{name}")


def names(pairs):
    return [f"{name}: {which}" for name, which in pairs]


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = set(threading.enumerate())
    yield
    assert list(lifecycle.running().rows) == []
    end = time.monotonic() + 10  # a handler or a load that was given up may still be on its way out
    while (left := [t for t in threading.enumerate() if t not in before]) and time.monotonic() < end:
        time.sleep(0.05)
    assert [t.name for t in left] == []


@pytest.mark.parametrize("name, which", RIGHT, ids=names(RIGHT))
def test_a_right_answer_is_accepted_however_it_is_written(name, which):
    report = check_of(name).report(CATALOGUES[name].RIGHT[which])
    assert report.passed, str(report)


@pytest.mark.parametrize("name, which", WRONG, ids=names(WRONG))
def test_a_mistake_is_refused_with_its_own_message(name, which):
    answer, codes = CATALOGUES[name].WRONG[which]
    report = check_of(name).report(answer)
    assert set(report.refused) == codes, str(report)
    for expectation in report.expectations:
        if not expectation.passed:
            assert expectation.what and expectation.happened and expectation.hint


@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue_is_wide_enough(name):
    assert len(CATALOGUES[name].WRONG) >= 4
    assert len(CATALOGUES[name].RIGHT) >= 2
    assert all(codes for _, codes in CATALOGUES[name].WRONG.values())
    assert len({frozenset(codes) for _, codes in CATALOGUES[name].WRONG.values()}) >= 4, "the messages are all alike"


# -- the lab as it is handed out ----------------------------------------------------------------------


def answers_in(folder) -> dict:
    """The functions and classes that a lab's cells define; cells that only check or show something are left out."""
    space = {"__name__": "__main__"}
    for cell in json.loads((ROOT / folder / "01-synchronous-calls.ipynb").read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            defines = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)
            if all(isinstance(part, defines) for part in ast.parse(source).body):
                exec(compile(source, cell["id"], "exec"), space)
    return {name: space[ANSWERS[name]] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_untouched_lab_is_refused_with_a_readable_report(name):
    report = check_of(name).report(answers_in("labs")[name])
    assert not report.passed
    text, page = str(report), report._repr_html_()
    assert "what happened: " in text and "next hint: " in text and "Your run:" in text
    assert "<svg" in page and "not met" in page
    assert "exception" not in report.refused and "time-limit" not in report.refused, text
    marks = [expectation.mark for expectation in report.expectations if not expectation.passed]
    known = {event.id for event in report.trace.events}
    assert all(marks) and report.mark in known, "each failure marks a message, and the first is in the diagram"


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_accepted(name):
    report = check_of(name).report(answers_in("solutions")[name])
    assert report.passed, str(report)


# -- code that does anything --------------------------------------------------------------------------


def never_returns(*args):
    while True:
        pass


def raises(*args):
    return {}["no such key"]


def leaves(*args):
    sys.exit(3)


def says_nothing(*args):
    pass


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "answer, refusal",
    [(raises, "exception"), (leaves, "exit"), (says_nothing, "wrong-type"), (7, "not-callable")],
    ids=["raises", "exits", "returns nothing", "is a number"],
)
def test_anything_is_a_report(name, answer, refusal):
    report = check_of(name).report(answer)
    assert not report.passed
    if name == "deadline" and refusal in ("exception", "wrong-type"):  # there an exception may be what is wanted
        refusal = {"exception": "fast-error", "wrong-type": "fast-none"}[refusal]
    if name == "cache" and answer is says_nothing:
        refusal = "no-get"
    assert refusal in report.refused, str(report)


@pytest.mark.parametrize("name", ["stock", "compression"])
def test_an_endless_loop_is_a_report(name):
    assert "time-limit" in check_of(name).report(never_returns).refused


def test_an_endless_handler_is_a_report():
    def make_stock():
        from flask import Flask

        app = Flask("inventory")
        app.post("/items")(never_returns)
        return app

    report = lab01.check_stock.report(make_stock)
    assert "no-answer" in report.refused
    assert "POST /items is answered within" in str(report)


def test_a_thread_left_running_is_a_report():
    halt = threading.Event()

    def make_stock():
        threading.Thread(target=lambda: [halt.wait(0.01) for _ in iter(int, 1)], name="my housekeeping").start()
        return CATALOGUES["stock"].Service.make()

    report = lab01.check_stock.report(make_stock)
    assert set(report.refused) == {"left-running"}
    assert "my housekeeping" in str(report)


# -- both modes ---------------------------------------------------------------------------------------


def test_a_lone_learner_gets_the_report_and_goes_on(no_progress_of_mine):
    report = lab01.check_cache(CATALOGUES["cache"].OneSlot)
    assert report.refused == ["one-slot"]


def test_a_pass_is_kept(no_progress_of_mine):
    assert lab01.check_cache(CATALOGUES["cache"].Cache).passed
    assert progress.progress().has_passed("01", 3)


@pytest.mark.parametrize("variable, value", [("SERVICELAB_STRICT", "1"), ("NBGRADER_EXECUTION", "validate")])
def test_a_grader_gets_an_exception(no_progress_of_mine, variable, value):
    no_progress_of_mine.setenv(variable, value)
    with pytest.raises(CheckFailed, match="two addresses have two copies"):
        lab01.check_cache(CATALOGUES["cache"].OneSlot)


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
