"""Every claim of a chapter in the lean form turns when its world does; see tests/counter_worlds."""

import importlib
import re

import pytest

from servicelab import lifecycle
from servicelab.views.claims import EXPECTED
from tests.cells import code_of, names_in, needed, notebook_of
from tests.conftest import ROOT
from tests.counter_worlds import settling, turn, verdict
from tools.form import cells_of, tags

CHAPTERS = sorted(path.stem[-2:] for path in (ROOT / "tests" / "counter_worlds").glob("chapter_[0-9][0-9].py"))
MODULES = {number: importlib.import_module(f"tests.counter_worlds.chapter_{number}") for number in CHAPTERS}
TABLES = {
    number: {claim: changes if isinstance(changes, list) else [changes] for claim, changes in module.COUNTER.items()}
    for number, module in MODULES.items()
}
WITHOUT = {number: getattr(module, "WITHOUT", ()) for number, module in MODULES.items()}
TURNS = [(number, id) for number, module in MODULES.items() for id in getattr(module, "TURNS", ())]
WORLDS = [
    pytest.param(number, claim, change, id=f"{claim}-{place}")
    for number, table in TABLES.items()
    for claim, changes in table.items()
    for place, change in enumerate(changes)
]


@pytest.fixture
def everything_stops(no_progress_of_mine):
    yield
    lifecycle.stop_all()


def is_said(expected: str | tuple[str, ...], verdict: str) -> bool:
    """Conditions are named by how they begin; "holds" is another than "holds if …". A full stop ends one."""
    several = (expected,) if isinstance(expected, str) else expected
    verdict = f"{verdict}."
    return any(verdict == f"{one}." or one.startswith("holds if") and verdict.startswith(one) for one in several)


@pytest.mark.parametrize("number", CHAPTERS)
def test_every_claim_of_the_chapter_has_a_counter_world(number):
    code = code_of(notebook_of(number))
    assert set(TABLES[number]) == set(settling(code)) == set(EXPECTED[number].split())


@pytest.mark.parametrize(("number", "claim", "change"), WORLDS)
def test_the_verdict_turns(number, claim, change, everything_stops):
    assert is_said(change.verdict, verdict(number, claim, change, True, WITHOUT[number]))


@pytest.mark.parametrize(("number", "claim"), [(number, claim) for number in CHAPTERS for claim in TABLES[number]])
def test_in_the_world_as_it_is_the_verdict_is_another(number, claim, everything_stops):
    changes = TABLES[number][claim]
    plain = verdict(number, claim, changes[0], False, WITHOUT[number])
    assert [change.verdict for change in changes if is_said(change.verdict, plain)] == []


@pytest.mark.parametrize("number", CHAPTERS)
def test_every_turn_of_the_chapter_has_an_answer(number):
    turns = [cell["id"] for cell in cells_of(notebook_of(number)) if "your-turn" in tags(cell)]
    assert list(getattr(MODULES[number], "TURNS", ())) == turns


@pytest.mark.parametrize(("number", "id"), TURNS)
def test_a_learner_can_reach_the_goal(number, id, everything_stops):
    card = turn(number, id, *MODULES[number].TURNS[id], WITHOUT[number])
    assert card.reached, card


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_cell_to_run_again_is_there(number):
    sources = list(code_of(notebook_of(number)).values())
    named = [line for source in sources for line in re.findall(r'again="([^"]+)"', source)]
    firsts = {source.lstrip().splitlines()[0].rstrip() for source in sources if source.strip()}
    assert [line for line in named if line not in firsts] == []


def test_only_the_cells_that_a_claim_needs_are_run():
    code = {
        "imports": "import math as m",
        "world": "world = {}",
        "other": "unused = [pi for pi in range(2)]",
        "store": "world['a'] = m.pi",
        "late": "def late():\n    m = 1\n    return helper(m)",
        "helper": "def helper(x):\n    return world['a']",
        "claim": "claims = late()",
        "after": "world['a'] = 0",
    }
    assert needed(code, "claim") == ["imports", "world", "store", "late", "helper", "claim"]
    assert needed(code, "claim", also=["other"])[2] == "other"
    assert names_in("a.b['c'] = d.e") == ({"a"}, {"a", "d"})
