"""Lab 10: what must be accepted, what must be refused and with which message."""

import ast
import importlib
import json
import sys
import threading
import time

import pytest

from servicelab import lifecycle
from servicelab.checks import lab10, progress
from servicelab.checks.lab10.mixed import CHECKED, PRACTICE
from servicelab.checks.lab10.slow import SlowNumber
from servicelab.checks.report import CheckFailed
from tests.conftest import ROOT

NAMES = ["breaker", "backoff", "deadline", "sizes", "storm"]
ANSWERS = {
    "breaker": ("Breaker",),
    "backoff": ("delays", "Budget", "Client"),
    "deadline": ("make_hop",),
    "sizes": ("size_bulkheads",),
    "storm": ("amplification", "policies"),
}
CATALOGUES = {name: importlib.import_module(f"tests.lab10_answers.{name}") for name in NAMES}
RIGHT = [(name, which) for name in NAMES for which in CATALOGUES[name].RIGHT]
WRONG = [(name, which) for name in NAMES for which in CATALOGUES[name].WRONG]


def check_of(name):
    return getattr(lab10, f"check_{name}")


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
    report = check_of(name).report(*CATALOGUES[name].RIGHT[which])
    assert report.passed, str(report)


@pytest.mark.parametrize("name, which", WRONG, ids=names(WRONG))
def test_a_mistake_is_refused_with_its_own_message(name, which):
    answer, codes = CATALOGUES[name].WRONG[which]
    report = check_of(name).report(*answer)
    assert set(report.refused) == codes, str(report)
    for expectation in report.expectations:
        if not expectation.passed:
            assert expectation.what and expectation.happened and expectation.hint


@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue_is_wide_enough(name):
    assert len(CATALOGUES[name].WRONG) >= 5
    assert len(CATALOGUES[name].RIGHT) >= 2
    assert all(codes for _, codes in CATALOGUES[name].WRONG.values())
    assert len({frozenset(codes) for _, codes in CATALOGUES[name].WRONG.values()}) >= 5, "the messages are all alike"


# -- the lab as it is handed out ----------------------------------------------------------------------


def answers_in(folder) -> dict:
    """What a lab's cells define; cells that only check or show something are left out."""
    space = {"__name__": "__main__"}
    for cell in json.loads((ROOT / folder / "10-circuit-breaking.ipynb").read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            defines = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
            if all(isinstance(part, defines) for part in ast.parse(source).body):
                exec(compile(source, cell["id"], "exec"), space)
    return {name: tuple(space[part] for part in ANSWERS[name]) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_untouched_lab_is_refused_with_a_readable_report(name):
    report = check_of(name).report(*answers_in("labs")[name])
    assert not report.passed
    text, page = str(report), report._repr_html_()
    assert "what happened: " in text and "next hint: " in text and "Your run:" in text
    assert "<svg" in page and "not met" in page
    assert not {"exception", "time-limit", "exit"} & set(report.refused), text
    marks = [expectation.mark for expectation in report.expectations if not expectation.passed]
    known = {event.id for event in report.trace.events}
    assert all(marks) and report.mark in known, "each failure marks a message, and the first is in the diagram"


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_accepted(name):
    report = check_of(name).report(*answers_in("solutions")[name])
    assert report.passed, str(report)


# -- code that does anything --------------------------------------------------------------------------


def never_returns(*args, **kwargs):
    while True:
        pass


def raises(*args, **kwargs):
    return {}["no such key"]


def leaves(*args, **kwargs):
    sys.exit(3)


def says_nothing(*args, **kwargs):
    pass


def in_place_of_the_first(name, answer):
    """The right answer of an exercise with its first part replaced."""
    first, *rest = next(iter(CATALOGUES[name].RIGHT.values()))
    return (answer, *rest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "answer, refusal",
    [(raises, "exception"), (leaves, "exit"), (says_nothing, "wrong-type"), (7, "not-callable")],
    ids=["raises", "exits", "returns nothing", "is a number"],
)
def test_anything_is_a_report(name, answer, refusal):
    report = check_of(name).report(*in_place_of_the_first(name, answer))
    assert not report.passed
    if name == "breaker" and answer is says_nothing:
        refusal = "no-methods"
    assert refusal in report.refused, str(report)


def test_an_endless_loop_is_a_report():
    assert "time-limit" in lab10.check_breaker.report(never_returns).refused


class Spins(CATALOGUES["breaker"].Breaker):
    def allow(self, now):
        while self.state == "closed":
            pass


def test_an_endless_wait_in_a_method_is_a_report():
    report = lab10.check_breaker.report(Spins)
    assert report.refused == ["time-limit"] and "allow" in str(report)


def hangs(name, steps, below, web):
    from flask import Flask

    app = Flask(name)
    app.add_url_rule("/charge", "charge", raises, methods=["POST"])
    return app


def test_a_handler_that_raises_is_a_report_with_its_error():
    report = lab10.check_deadline.report(hangs)
    assert "leisure" in report.refused and "no such key" in str(report)


def test_a_thread_left_running_is_a_report():
    halt = threading.Event()

    def policies():
        threading.Thread(target=lambda: [halt.wait(0.01) for _ in iter(int, 1)], name="my housekeeping").start()
        return CATALOGUES["storm"].at_the_edge()

    report = lab10.check_storm.report(CATALOGUES["storm"].amplification, policies)
    assert set(report.refused) == {"left-running"}
    assert "my housekeeping" in str(report)


# -- both modes ---------------------------------------------------------------------------------------


def test_a_lone_learner_gets_the_report_and_goes_on(no_progress_of_mine):
    report = lab10.check_breaker(CATALOGUES["breaker"].EveryoneThrough)
    assert report.refused == ["everyone-through"]


def test_a_pass_is_kept(no_progress_of_mine):
    assert lab10.check_breaker(CATALOGUES["breaker"].Breaker).passed
    assert progress.progress().has_passed("10", 1)


@pytest.mark.parametrize("variable, value", [("SERVICELAB_STRICT", "1"), ("NBGRADER_EXECUTION", "validate")])
def test_a_grader_gets_an_exception(no_progress_of_mine, variable, value):
    no_progress_of_mine.setenv(variable, value)
    with pytest.raises(CheckFailed, match="exactly three are made"):
        lab10.check_breaker(CATALOGUES["breaker"].EveryoneThrough)


# -- what the exercises are given ---------------------------------------------------------------------


def test_a_slow_number_is_a_number_and_stays_slow():
    number = SlowNumber(3)
    assert number > 2 and number + 1 == 4.0 and 10 - number == 7.0 and number == 3
    assert isinstance(number + 1, SlowNumber) and isinstance(5 - number, SlowNumber)


@pytest.mark.parametrize("needs", [CHECKED, PRACTICE], ids=["checked", "practice"])
def test_the_solution_of_exercise_4_fits_both_shops_and_blocks_what_erlang_says(needs):
    sizes, seen = {}, {}
    for name, need in needs.items():
        load = need.rate * need.seconds
        sizes[name] = int(-(-(load + 2 * load**0.5) // 1))
    assert sum(sizes.values()) <= 24
    seen = lab10.simulate(needs, sizes)
    for name, need in needs.items():
        load, blocked = need.rate * need.seconds, 1.0
        for size in range(1, sizes[name] + 1):
            blocked = load * blocked / (size + load * blocked)
        assert seen[name].rejected == pytest.approx(blocked, abs=0.02)
        assert seen[name].stuck == 0


def test_one_that_hangs_stops_the_others_only_when_its_bulkhead_is_too_wide():
    narrow = {"inventory": 3, "payment": 11, "shipping": 6}
    assert lab10.simulate(CHECKED, narrow, "payment")["inventory"].well > 0.9
    assert lab10.simulate(CHECKED, {**narrow, "payment": 24}, "payment")["inventory"].well < 0.2


def test_the_stormy_shop_multiplies_exactly():
    with lab10.stormy_shop() as shop:
        samples = shop.customers(5)
    counts = [
        sum(call.callee == name for call in shop.trace.calls) for name in ("gateway", "orders", "payment", "bank")
    ]
    assert counts == [5, 15, 15, 60]
    assert {sample.status for sample in samples} == {"HTTP 503"}
