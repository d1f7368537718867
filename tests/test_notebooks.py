"""Every chapter and every solution, run the ways learners run them.

One kernel proves most of it, since a chapter takes a minute or more:

- the first pass runs each cell, and again right away if it was quick or left a server. The times are those of the first
  runs;
- the second pass runs the whole again in the same kernel. Each cell that still serves after half a second is
  interrupted, and then run; what takes long and serves nothing is run twice here. (In the first pass an interrupt
  might meet an import, which Python cannot take up again.) The memory is the most of both passes;
- where a server is a child process, the kernel is then restarted while it listens, and a second kernel is killed: what
  a kernel holds itself, the system closes.

After each pass nothing may be left. What a browser shows of a run, tests/test_browser.py looks at.
"""

import importlib
import json
from functools import partial
from pathlib import Path

import pytest

from servicelab.checks.exercise import exercises
from tests.notebooks import Session
from tests.sharing import NOTEBOOKS, name_of

CHAPTERS = [path for path in NOTEBOOKS if path.parent.name == "notebooks"]
SOLUTIONS = [path for path in NOTEBOOKS if path.parent.name == "solutions"]
# A check that has not passed raises with this, and renders its report for a lone learner without it.
GRADING = {"SERVICELAB_STRICT": "1"}
TIME_BUDGET, CELL_BUDGET = 120, 20  # seconds, reported: what asserts a time fails on a busy machine
MEMORY_BUDGET = 500e6  # bytes, the kernel and its children
INTERRUPT_AFTER, QUICK, LONG = 0.5, 1.0, 2.0  # seconds
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=name_of)
def notebook(request):
    return request.param


@pytest.fixture(scope="module")
def session(notebook, tmp_path_factory):
    with open_session(notebook, tmp_path_factory.mktemp("session")) as session:
        yield session


@pytest.fixture(scope="module")
def left_by_first_pass(session) -> list[str]:
    session.run_all(twice=partial(is_quick_or_opens, session.report))
    return session.leaks()


@pytest.fixture(scope="module")
def left_by_second_pass(session, left_by_first_pass) -> list[str]:
    session.run_all(interrupt_after=INTERRUPT_AFTER, twice=lambda index: not is_quick_or_opens(session.report, index))
    return session.leaks()


def is_quick_or_opens(report, index: int) -> bool:
    return report.seconds[index] < QUICK or bool(report.opened[index])


def open_session(notebook, folder) -> Session:
    return Session(notebook, folder, env=GRADING if notebook in SOLUTIONS else {})


def test_the_notebooks_are_there():
    chapters, solutions = ({path.stem for path in paths} for paths in (CHAPTERS, SOLUTIONS))
    assert {"00-start-here", "01-synchronous-calls", "10-circuit-breaking"} <= chapters
    assert chapters - solutions == {"00-start-here"}, "every chapter but the first has a lab"
    assert solutions <= chapters, "a lab belongs to a chapter of the same name"


def test_a_first_pass_with_quick_cells_twice(left_by_first_pass):
    assert left_by_first_pass == []


def test_what_is_left_to_the_learner_is_not_done_yet(session, left_by_first_pass):
    """A cell with the tag ``your-turn`` runs as it is shipped, and says that its goal is not reached."""
    turns = [cell for cell in session.nb.cells if "your-turn" in cell.metadata.get("tags", [])]
    said = {cell.id: [out.data["text/plain"] for out in cell.outputs if "data" in out][-1:] for cell in turns}
    assert {id: text for id, text in said.items() if not text or not text[0].startswith("Not yet")} == {}


def test_a_solution_passes_every_exercise_of_its_lab(notebook, session, left_by_first_pass):
    if notebook not in SOLUTIONS:
        pytest.skip("a chapter")
    lab = notebook.name[:2]
    importlib.import_module(f"servicelab.checks.lab{lab}")
    passed = json.loads(Path(session.env["SERVICELAB_PROGRESS"]).read_text(encoding="utf-8"))["exercises"]
    assert set(passed) == {f"{lab}/{number}" for found, number in exercises if found == lab}


def test_a_second_pass_with_interrupts_in_cells_that_serve(session, left_by_second_pass):
    assert left_by_second_pass == []
    if session.report.serving_cell(least=LONG) is None:
        pytest.skip("no cell of this notebook serves for long enough")
    assert session.report.interrupted, "each cell ended before it was interrupted"


def test_time_memory_and_warnings(notebook, session, left_by_second_pass, report_figure):
    report = session.report
    slowest = max(report.seconds.values())
    report_figure(
        f"{name_of(notebook)}: {report.total:.1f} s (budget {TIME_BUDGET}),"
        f" longest cell {slowest:.1f} s (budget {CELL_BUDGET}), {len(report.interrupted)} cells interrupted,"
        f" peak {report.peak_memory / 1e6:.0f} MB (budget {MEMORY_BUDGET / 1e6:.0f})"
    )
    assert report.peak_memory < MEMORY_BUDGET
    assert session.stderr() == []


def test_a_restarted_kernel_leaves_no_child_and_no_port(session, left_by_second_pass):
    cell = session.report.cell_that_leaves_open()
    if cell is None or not session.report.children[cell]:
        pytest.skip("no cell of this notebook leaves a server in a child process to a later one")
    session.run_all(until=cell)
    assert session.restart(), "no server was up when the kernel was restarted"


def test_a_killed_kernel_leaves_no_child_and_no_port(notebook, session, left_by_first_pass, tmp_path):
    cell = session.report.serving_cell()
    if cell is None or not session.report.children[cell]:
        pytest.skip("no cell of this notebook serves in a child process for long enough")
    with open_session(notebook, tmp_path) as other:
        other.run_what_it_needs(cell)
        after = min(session.report.seconds[cell] / 3, INTERRUPT_AFTER)
        assert other.kill_in_cell(cell, after), "no server was up when the kernel was killed"
