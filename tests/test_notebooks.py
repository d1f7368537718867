"""Every chapter and every solution, run the ways learners run them."""

import functools
import tempfile
from pathlib import Path

import pytest

from tests.notebooks import ROOT, Report, Session

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
# A check that has not passed raises with this, and renders its report for a lone learner without it.
GRADING = {"SERVICELAB_STRICT": "1"}
MEMORY_BUDGET = 500e6  # bytes, the kernel and its children

each_notebook = pytest.mark.parametrize(
    "notebook", CHAPTERS + SOLUTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
pytestmark = pytest.mark.timeout(1800)


def open_session(notebook: Path, folder: Path) -> Session:
    return Session(notebook, folder, env=GRADING if notebook in SOLUTIONS else {})


@functools.cache
def once_through(notebook: Path) -> tuple[Report, list[str], list[str]]:
    """One pass in a fresh kernel: what it took, what it left, what it wrote to standard error."""
    with tempfile.TemporaryDirectory() as folder, open_session(notebook, Path(folder)) as session:
        session.run_all()
        return session.report, session.leaks(), session.stderr()


def test_the_notebooks_are_there():
    chapters, solutions = ({path.stem for path in paths} for paths in (CHAPTERS, SOLUTIONS))
    assert {"00-start-here", "01-synchronous-calls", "10-circuit-breaking"} <= chapters
    assert chapters - solutions == {"00-start-here"}, "every chapter but the first has a lab"
    assert solutions <= chapters, "a lab belongs to a chapter of the same name"


@each_notebook
def test_once_through(notebook, report_figure):
    report, leaks, stderr = once_through(notebook)
    slowest = max(report.seconds, key=report.seconds.get)
    report_figure(
        f"{notebook.parent.name}/{notebook.stem}: {report.total:.1f} s (budget 120), "
        f"longest cell {report.seconds[slowest]:.1f} s (budget 20), peak {report.peak_memory / 1e6:.0f} MB (budget 500)"
    )
    assert leaks == []
    assert stderr == []
    assert report.peak_memory < MEMORY_BUDGET


@each_notebook
def test_each_cell_twice_then_a_second_pass(notebook, tmp_path):
    with open_session(notebook, tmp_path) as session:
        session.run_all(times=2)
        assert session.leaks() == []
        session.run_all()
        assert session.leaks() == []


@each_notebook
def test_interrupt_in_a_serving_cell_then_run_on(notebook, tmp_path):
    cell, seconds = serving_cell(notebook)
    with open_session(notebook, tmp_path) as session:
        for index in session.code_cells:
            if index < cell:
                session.run_cell(index)
        # Early in the cell, so that a faster run than the measured one is still under way.
        assert session.interrupt_cell(cell, after=min(seconds / 3, 1.0)), "the cell ended before it was interrupted"
        session.run_all(first=cell)
        assert session.leaks() == []


@each_notebook
def test_a_killed_and_a_restarted_kernel_leave_no_port(notebook, tmp_path):
    cell, seconds = serving_cell(notebook)
    with open_session(notebook, tmp_path / "restarted") as session:
        for index in session.code_cells:
            if index <= cell:
                session.run_cell(index)
        session.restart()
    with open_session(notebook, tmp_path / "killed") as session:
        for index in session.code_cells:
            if index < cell:
                session.run_cell(index)
        assert session.kill_in_cell(cell, after=min(seconds / 3, 1.0)), "no server was up when the kernel was killed"


def serving_cell(notebook: Path) -> tuple[int, float]:
    """The longest cell during which a server listens, and its measured seconds."""
    report, _, _ = once_through(notebook)
    cell = report.longest_serving_cell()
    if cell is None:
        pytest.skip("no cell of this notebook starts a server")
    return cell, report.seconds[cell]
