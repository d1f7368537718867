"""The generator of the labs: what goes, what stays, and that the same source gives the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TOOL = Path(__file__).resolve().parents[1] / "tools" / "make_labs.py"

SOLVED = '''def get_within(url, seconds):
    """Keep me."""
    ### BEGIN SOLUTION
    # STUB: # Your code.
    # STUB: if seconds:
    # STUB:     return None
    secret = 42
    return secret
    ### END SOLUTION


after = 1'''


def make(root, *arguments):
    return subprocess.run([sys.executable, TOOL, "--root", root, *arguments], capture_output=True, text=True)


@pytest.fixture
def root(tmp_path):
    for folder in ("solutions", "labs", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "notebooks" / "01-calls.ipynb").write_text("{}")
    return tmp_path


def solution(root, *cells, name="01-calls.ipynb"):
    notebook = new_notebook(cells=list(cells), metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    (root / "solutions" / name).write_text(nbformat.writes(notebook))


def lab(root, name="01-calls.ipynb"):
    return nbformat.reads((root / "labs" / name).read_text(), as_version=4)


def test_solution_goes_and_the_stub_stays(root):
    solution(
        root,
        new_code_cell(
            SOLVED,
            id="c-solve",
            execution_count=3,
            outputs=[nbformat.v4.new_output("stream", text="42")],
            metadata={"nbgrader": {"grade_id": "one", "points": 2}, "execution": {"x": "y"}},
        ),
    )
    assert make(root).returncode == 0
    cell = lab(root).cells[0]
    assert cell.source == (
        'def get_within(url, seconds):\n    """Keep me."""\n    # Your code.\n    if seconds:\n'
        "        return None\n\n\nafter = 1"
    )
    assert cell.id == "c-solve" and cell.outputs == [] and cell.execution_count is None
    assert cell.metadata == {"nbgrader": {"grade_id": "one", "points": 2}}


def test_a_region_without_stub_leaves_something_that_runs(root):
    solution(
        root,
        new_code_cell("def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"),
        new_code_cell("### BEGIN SOLUTION\nx = 1\n### END SOLUTION"),
    )
    assert make(root).returncode == 0
    assert [cell.source for cell in lab(root).cells] == ["def f():\n    ...", "..."]


def test_hidden_tests_and_explanations_go(root):
    solution(
        root,
        new_markdown_cell("Task", id="m-task"),
        new_markdown_cell("Because.", id="m-why", metadata={"tags": ["solution"]}),
        new_code_cell("a = 1\n### BEGIN HIDDEN TESTS\nassert a\n### END HIDDEN TESTS\nb = 2"),
    )
    assert make(root).returncode == 0
    assert [cell.source for cell in lab(root).cells] == ["Task", "a = 1\nb = 2"]
    assert "Because" not in (root / "labs" / "01-calls.ipynb").read_text()


def test_regeneration_is_byte_identical_and_check_names_what_differs(root):
    solution(root, new_code_cell(SOLVED), new_markdown_cell("[c](../notebooks/01-calls.ipynb#x) é"))
    assert make(root, "--check").returncode == 1
    assert make(root).returncode == 0
    path = root / "labs" / "01-calls.ipynb"
    first = path.read_bytes()
    path.unlink()
    make(root)
    assert path.read_bytes() == first
    assert make(root, "--check").returncode == 0
    edited = json.loads(first)
    edited["cells"][0]["source"] = ["changed by hand"]
    path.write_text(json.dumps(edited))
    (root / "labs" / "02-old.ipynb").write_text("{}")
    checked = make(root, "--check")
    assert checked.returncode == 1
    assert "labs/01-calls.ipynb" in checked.stderr and "labs/02-old.ipynb" in checked.stderr
    assert json.loads(path.read_text()) == edited, "--check wrote"
    make(root)
    assert path.read_bytes() == first and not (root / "labs" / "02-old.ipynb").exists()


@pytest.mark.parametrize(
    "cell, says",
    [
        (new_code_cell("### BEGIN SOLUTION\nx = 1", id="c-bad"), "BEGIN SOLUTION without its END"),
        (new_code_cell("x = 1\n### END SOLUTION", id="c-bad"), "END SOLUTION without its BEGIN"),
        (new_code_cell("### BEGIN SOLUTION\n### BEGIN HIDDEN TESTS", id="c-bad"), "inside SOLUTION"),
        (new_code_cell("### BEGIN SOLUTION\n# STUB: return )\n### END SOLUTION", id="c-bad"), "no Python"),
        (new_markdown_cell("[x](../notebooks/nowhere.ipynb)", id="c-bad"), "leads nowhere"),
    ],
)
def test_mistakes_of_the_author_are_refused_by_cell(root, cell, says):
    solution(root, cell)
    made = make(root)
    assert made.returncode == 1 and says in made.stderr and "c-bad" in made.stderr
    assert "Traceback" not in made.stderr
    assert not list((root / "labs").iterdir())


def test_links_to_other_labs_and_outside_are_fine(root):
    solution(
        root,
        new_markdown_cell(
            "[a](02-next.ipynb) [b](https://example.org/x) [c](#here) [s](../solutions/01-calls.ipynb#why)"
        ),
    )
    solution(root, new_markdown_cell("next"), name="02-next.ipynb")
    assert make(root).returncode == 0


def test_the_labs_of_this_repository_are_up_to_date():
    checked = make(TOOL.parents[1], "--check")
    assert checked.returncode == 0, checked.stderr
