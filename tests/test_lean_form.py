"""What a chapter in the lean form keeps: see "Writing a chapter" in CONTRIBUTING.md.

A chapter is held to it from its first cell with the tag ``your-turn`` on.
"""

import ast

import pytest

from tests.sharing import NOTEBOOKS, name_of
from tools import form
from tools.form import cells_of, count, divided, is_folded, is_lesson, tags

LEAN = [
    path
    for path in NOTEBOOKS
    if path.parent.name == "notebooks" and any("your-turn" in tags(c) for c in cells_of(path))
]
each_chapter = pytest.mark.parametrize("path", LEAN, ids=name_of)
LONGEST = 20  # lines of a cell that the learner reads; blank ones are not counted, as in `make form`
FOLDED = ("Predict(", ".reveal(", ".settle(", "Quiz(", "keep_predictions(")


def code(path):
    return [cell for cell, _, excursion in divided(cells_of(path)) if cell["cell_type"] == "code" and not excursion]


def calls(source: str, name: str) -> list[ast.Call]:
    """The calls of a method or function called ``name``."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in found if getattr(call.func, "attr", getattr(call.func, "id", "")) == name]


@each_chapter
def test_each_section_has_a_turn(path):
    assert [section for section, turns in count(path).turns.items() if is_lesson(section) and not turns] == []


@each_chapter
def test_a_learner_reads_no_long_cell_and_no_harness(path):
    seen = [cell for cell in code(path) if not is_folded(cell)]
    written = {c["id"]: sum(1 for line in c["source"].splitlines() if line.strip()) for c in seen}
    assert [id for id, lines in written.items() if lines > LONGEST] == []
    assert [c["id"] for c in seen if any(word in c["source"] for word in FOLDED)] == [], "fold its input"


@each_chapter
def test_what_happened_and_what_holds_is_computed(path):
    typed = [
        cell["id"]
        for cell in code(path)
        for call in calls(cell["source"], "reveal")
        if not call.args or isinstance(call.args[0], ast.Constant)
    ]
    assert typed == [], "reveal() wants what the run found"
    settled = [cell["id"] for cell in code(path) for call in calls(cell["source"], "settle") if call.keywords
               and "verdict" in [keyword.arg for keyword in call.keywords]]  # fmt: skip
    assert settled == [], "settle() wants cases"


@each_chapter
def test_every_option_has_a_reason(path):
    bare = [
        cell["id"]
        for cell in code(path)
        for call in calls(cell["source"], "Predict")
        if len(call.args) > 2 and isinstance(call.args[2], ast.List)
    ]
    assert bare == []


def test_the_form_counts_the_main_line(tmp_path, monkeypatch):
    def cell(kind, source, **metadata):
        return {"cell_type": kind, "id": "x", "source": source, "metadata": metadata}

    cells = [
        cell("markdown", "# A chapter\nAbout 75 minutes, [three words here](http://nobody.reads.this)."),
        cell("code", "import math\n\nPredict()", jupyter={"source_hidden": True}),
        cell("markdown", "## One\nFour words of prose.\n```\n## no heading\n```"),
        cell("code", "a = 1\n\nshow(a)"),
        cell("code", "b = 1", tags=["your-turn"]),
        cell("markdown", "## When to use it, and when not"),
        cell("markdown", "## Excursion: far\nmany words"),
        cell("code", "c = 1\nd = 2"),
        cell("markdown", "### Deeper\nand more"),
        cell("code", "e = 1"),
    ]
    path = tmp_path / "book.ipynb"
    path.write_text(form.json.dumps({"cells": cells}))
    found = count(path)
    assert (found.stated, found.cells, found.lines, found.folded, found.longest) == (75, 3, 3, 2, 2)
    assert (found.predictions, found.seen, found.turns, found.excursions) == (1, 1, {"One": 1}, 10)
    assert found.minutes == pytest.approx(12 + found.words / 200 + (3 * 4 + 45 + 40 + 90) / 60)


def test_the_form_reports(capsys):
    assert form.main([]) == 0
    said = capsys.readouterr().out
    assert all(path.stem in said for path in NOTEBOOKS if path.parent.name == "notebooks")
