"""A lab goes through the real nbgrader as it is: handed out, handed in, graded, and handed back."""

import copy
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.conftest import ROOT

LAB = "06-streaming"  # the quickest
HALF = 2  # exercises
EXERCISES = 5

pytestmark = pytest.mark.timeout(600)


def nbgrader(course, *arguments) -> str:
    """Run ``nbgrader`` in the folder of a course; returns what it said."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = os.environ | {name: str(course.parent / name) for name in names}
    env |= {"PYTHONPATH": str(ROOT), "SERVICELAB_PROGRESS": str(course.parent / "progress.json")}
    programs = Path(sys.executable).parent  # nbgrader looks for alembic, which keeps its database, on the path
    env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
    command = [str(programs / "nbgrader"), *arguments]
    done = subprocess.run(command, cwd=course, env=env, capture_output=True, text=True, timeout=400)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    return said


def solved(released, count: int):
    """The notebook that was handed out, with the first ``count`` exercises solved as in solutions/."""
    notebook, given = copy.deepcopy(released), {cell.id: cell for cell in released.cells}
    solution = nbformat.read(ROOT / "solutions" / f"{LAB}.ipynb", as_version=4)
    checks = [cell.id for cell in released.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    end = checks[count - 1] if count else None
    at = [cell.id for cell in solution.cells].index(end) + 1 if end else 0
    notebook.cells = [
        nbformat.from_dict(given.get(cell.id, {}) | {"source": cell.source}) if cell.id in given else cell
        for cell in solution.cells[:at]
    ]
    at = [cell.id for cell in released.cells].index(end) + 1 if end else 0
    notebook.cells += copy.deepcopy(released.cells[at:])
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The folder of a course in which three learners handed in one lab, and what nbgrader said when it graded them."""
    course = tmp_path_factory.mktemp("nbgrader") / "course"
    (course / "source" / LAB).mkdir(parents=True)
    (course / "nbgrader_config.py").write_text("get_config().CourseDirectory.course_id = 'servicelab'\n")
    shutil.copy(ROOT / "labs" / f"{LAB}.ipynb", course / "source" / LAB)
    nbgrader(course, "generate_assignment", LAB)
    released = nbformat.read(course / "release" / LAB / f"{LAB}.ipynb", as_version=4)
    for learner, count in (("untouched", 0), ("half", HALF), ("solved", EXERCISES)):
        (course / "submitted" / learner / LAB).mkdir(parents=True)
        nbformat.write(solved(released, count), course / "submitted" / learner / LAB / f"{LAB}.ipynb")
    said = nbgrader(course, "autograde", LAB)
    nbgrader(course, "generate_feedback", LAB)
    nbgrader(course, "export")
    return course, said


def test_what_is_handed_out_is_the_lab_with_its_starting_code(course):
    folder, _ = course
    released = nbformat.read(folder / "release" / LAB / f"{LAB}.ipynb", as_version=4)
    lab = nbformat.read(ROOT / "labs" / f"{LAB}.ipynb", as_version=4)
    assert [(cell.id, cell.source) for cell in released.cells] == [(cell.id, cell.source) for cell in lab.cells]


def test_each_gets_a_point_for_each_solved_exercise(course):
    folder, _ = course
    with open(folder / "grades.csv", newline="", encoding="utf-8") as file:
        scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}
    assert scores == {"untouched": (0, EXERCISES), "half": (HALF, EXERCISES), "solved": (EXERCISES, EXERCISES)}


def test_nbgrader_warns_of_nothing(course):
    _, said = course
    assert "partial credit" not in said
    assert [line for line in said.splitlines() if "WARNING" in line or "ERROR" in line] == []


@pytest.mark.parametrize(("learner", "text"), [("untouched", " – not passed yet"), ("solved", " – passed")])
def test_the_feedback_shows_the_report(course, learner, text):
    folder, _ = course
    page = (folder / "feedback" / learner / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    assert text in page
