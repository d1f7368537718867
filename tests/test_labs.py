"""The catalogue of every lab: what must be accepted, what must be refused and with which message.

A lab has one when there is a package ``tests/labNN_answers``. CONTRIBUTING.md, "Writing a check", says what is in it.
What only one lab has is tested in its own ``tests/test_labNN.py``; that its solution is accepted, in test_notebooks.
"""

import ast
import importlib
import json
import os
from dataclasses import dataclass
from types import ModuleType
from unittest.mock import patch

import pytest

from servicelab.checks import stall
from servicelab.checks.exercise import exercises
from servicelab.checks.scenario import Scenario
from tests.conftest import ROOT
from tests.learners import leaves, raises, says_nothing

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@dataclass(frozen=True)
class Task:
    """One exercise: its check, its catalogue, and the names of what a learner hands in."""

    lab: str
    name: str
    catalogue: ModuleType
    parts: tuple[str, ...]

    def __str__(self):
        return f"{self.lab} {self.name}"

    @property
    def package(self) -> ModuleType:
        return answers_of(self.lab)

    @property
    def check(self):
        return getattr(importlib.import_module(f"servicelab.checks.lab{self.lab}"), f"check_{self.name}")

    def right(self, which: str) -> tuple:
        return as_tuple(self.catalogue.RIGHT[which])

    def wrong(self, which: str) -> tuple[tuple, set[str]]:
        answer, codes = self.catalogue.WRONG[which]
        return as_tuple(answer), codes

    def in_notebook(self, folder: str) -> tuple:
        """The learner's objects as a notebook in ``folder`` defines them."""
        space = names_in(folder, self.lab)
        return tuple(space[part] for part in self.parts)


def as_tuple(answer) -> tuple:
    return answer if isinstance(answer, tuple) else (answer,)


def answers_of(lab: str) -> ModuleType:
    return importlib.import_module(f"tests.lab{lab}_answers")


def tasks_of(lab: str) -> list[Task]:
    return [
        Task(lab, name, importlib.import_module(f"tests.lab{lab}_answers.{name}"), as_tuple(parts))
        for name, parts in answers_of(lab).EXERCISES.items()
    ]


def names_in(folder: str, lab: str) -> dict:
    """What the cells of a lab define. Cells that check or show something are left out."""
    space = {"__name__": "__main__"}
    (path,) = (ROOT / folder).glob(f"{lab}-*.ipynb")
    with patch.dict(os.environ):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and all(map(only_defines, ast.parse(source).body)):
                exec(compile(source, cell["id"], "exec"), space)
    return space


def only_defines(statement) -> bool:
    if isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("os.environ.setdefault("):
        return True
    if isinstance(statement, ast.Assign):
        return not any(isinstance(node, ast.Call) for node in ast.walk(statement.value))
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


LABS = sorted(path.name[3:5] for path in (ROOT / "tests").glob("lab[0-9][0-9]_answers") if path.is_dir())
TASKS = [task for lab in LABS for task in tasks_of(lab)]
RIGHT = [pytest.param(task, which, id=f"{task}: {which}") for task in TASKS for which in task.catalogue.RIGHT]
WRONG = [pytest.param(task, which, id=f"{task}: {which}") for task in TASKS for which in task.catalogue.WRONG]

each_task = pytest.mark.parametrize("task", TASKS, ids=str)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """On a busy machine, too: that a check ends within its limit is tested in test_checks."""
    for check in exercises.values():
        monkeypatch.setattr(check, "limit", 120.0)


# -- the catalogue ------------------------------------------------------------------------------------


def test_each_lab_has_a_catalogue():
    assert sorted(path.name[:2] for path in (ROOT / "labs").glob("*.ipynb")) == LABS


@pytest.mark.parametrize("lab", LABS)
def test_each_exercise_is_in_the_catalogue(lab):
    checks = {task.check for task in tasks_of(lab)}
    assert checks == {exercise for (number, _), exercise in exercises.items() if number == lab}


@pytest.mark.parametrize("task, which", RIGHT)
def test_a_right_answer_is_accepted_however_it_is_written(task, which):
    report = task.check.report(*task.right(which))
    assert report.passed, str(report)


@pytest.mark.parametrize("task, which", WRONG)
def test_a_mistake_is_refused_with_its_own_message(task, which):
    answer, codes = task.wrong(which)
    report = judge(task, answer, codes)
    assert set(report.refused) == codes, str(report)
    for expectation in report.expectations:
        if not expectation.passed:
            assert expectation.what and expectation.happened and expectation.hint


def judge(task, answer: tuple, codes: set[str]):
    """The report on a wrong answer, without what a stalling machine adds.

    A check asks again, up to three times, when it refused something while the machine stood still. With all workers
    busy that is often, and brings nothing when just ``codes`` were refused. Otherwise it judges as for a learner.
    """
    with pytest.MonkeyPatch.context() as patch, stall.StallWatch() as watch:
        patch.setattr(stall, "TIMES", 1)
        report = task.check.report(*answer)
    stalled = watch.longest >= stall.LATE
    return task.check.report(*answer) if stalled and set(report.refused) != codes else report


@each_task
def test_the_catalogue_is_wide_enough(task):
    least = getattr(task.package, "LEAST_WRONG", 4)
    codes = [frozenset(codes) for _, codes in task.catalogue.WRONG.values()]
    assert len(task.catalogue.RIGHT) >= 2
    assert all(codes) and len(codes) >= least
    assert len(set(codes)) >= least, "the messages are all alike"


@pytest.mark.parametrize("task", [task for task in TASKS if isinstance(task.check, Scenario)], ids=str)
def test_each_expectation_refuses_a_wrong_answer(task):
    codes = set().union(*(codes for _, codes in task.catalogue.WRONG.values()))
    assert set(task.check.words) - codes == set(), "without a wrong answer in the catalogue, nobody knows that it can"


# -- the lab as it is handed out ----------------------------------------------------------------------


@each_task
def test_the_untouched_lab_is_refused_with_a_readable_report(task):
    report = task.check.report(*task.in_notebook("labs"))
    assert not report.passed
    text, page = str(report), report._repr_html_()
    assert "what happened: " in text and "next hint: " in text and "Your run" in text
    assert "<svg" in page and "not met" in page
    assert not {"exception", "time-limit", "exit"} & set(report.refused), text
    marks = [expectation.mark for expectation in report.expectations if not expectation.passed]
    known = {event.id for event in report.trace.events}
    assert all(marks) and report.mark in known, "each failure marks a message, and the first is in the diagram"


# -- code that does anything --------------------------------------------------------------------------


@each_task
@pytest.mark.parametrize(
    "answer, refusal",
    [(raises, "exception"), (leaves, "exit"), (says_nothing, "wrong-type"), (7, "not-callable")],
    ids=["raises", "exits", "returns nothing", "is a number"],
)
def test_anything_is_a_report(task, answer, refusal):
    _, *rest = task.right(next(iter(task.catalogue.RIGHT)))
    report = task.check.report(answer, *rest)
    assert not report.passed
    refusal = getattr(task.package, "REFUSALS", {}).get((task.name, refusal), refusal)
    assert refusal in report.refused, str(report)
