"""Each excursion of a chapter runs alone, after nothing but the chapter's set-up.

The set-up is the code cells with the tag ``setup``; without any, those above the first heading of level 2. One kernel
serves all excursions of a chapter; between two of them it forgets every name.
"""

import pytest

from tests.notebooks import Session
from tests.sharing import NOTEBOOKS, name_of
from tools.form import cells_of, divided, tags


def excursions(path) -> dict[str, list[int]]:
    """Heading → places of its code cells."""
    found: dict[str, list[int]] = {}
    for place, (cell, _, excursion) in enumerate(divided(cells_of(path))):
        if excursion and cell["cell_type"] == "code":
            found.setdefault(excursion, []).append(place)
    return found


def set_up(path) -> list[int]:
    """Places of the code cells that come first."""
    code = [(i, cell, section) for i, (cell, section, _) in enumerate(divided(cells_of(path))) if is_code(cell)]
    tagged = [i for i, cell, _ in code if "setup" in tags(cell)]
    return tagged or [i for i, _, section in code if not section]


def is_code(cell) -> bool:
    return cell["cell_type"] == "code"


CHAPTERS = [path for path in NOTEBOOKS if path.parent.name == "notebooks" and excursions(path)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", CHAPTERS, ids=name_of)
def test_each_excursion_runs_alone(path, tmp_path):
    with Session(path, tmp_path) as session:
        for heading, places in excursions(path).items():
            session.run_code("get_ipython().reset(new_session=False)")
            for place in [*set_up(path), *places]:
                session.run_cell(place)
            assert session.leaks() == [], heading
        assert session.stderr() == []


@pytest.mark.parametrize("path", CHAPTERS, ids=name_of)
def test_excursions_are_folded_and_stand_at_the_end(path):
    inside = [bool(excursion) for _, _, excursion in divided(cells_of(path))]
    assert inside == sorted(inside), "an excursion stands in the middle of the lesson"
    headings = [cell for cell in cells_of(path) if cell["source"].lstrip("# ").startswith("Excursion")]
    open_ones = [cell["id"] for cell in headings if not cell["metadata"].get("jp-MarkdownHeadingCollapsed")]
    assert open_ones == [], 'give them the metadata "jp-MarkdownHeadingCollapsed": true'
