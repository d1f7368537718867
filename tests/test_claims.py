"""The claims of all chapters together: each of the 65 is settled once, where the list says, and the page tells so."""

import pytest

from servicelab.views.claims import EXPECTED
from tools import claims

SETTLED = {number: claims.statements(path) for number, path in claims.chapters().items()}
ALL = [f"C{number:02}" for number in range(1, 66)]


def test_the_chapters_settle_each_claim_once():
    assert sorted(id for settled in SETTLED.values() for id in settled) == ALL


def test_the_list_has_each_claim_once():
    assert sorted(" ".join(EXPECTED.values()).split()) == ALL and len(EXPECTED) == 16


@pytest.mark.parametrize("number", SETTLED)
def test_a_chapter_settles_what_the_list_says(number):
    assert sorted(SETTLED[number]) == sorted(EXPECTED[number].split())


def test_the_page_is_made_from_the_chapters():
    page = claims.PAGE.read_text(encoding="utf-8")
    verdicts = {id: row[2] for id, row in claims.rows(page).items()}
    assert page == claims.page(verdicts), "run `python -m tools.claims`, for new verdicts with the chapter's number"


def test_the_page_has_a_verdict_for_each():
    verdicts = {id: row[2] for id, row in claims.rows(claims.PAGE.read_text(encoding="utf-8")).items()}
    begins = ("holds", "fails")
    assert list(verdicts) == ALL and [id for id, said in verdicts.items() if not said.startswith(begins)] == []
