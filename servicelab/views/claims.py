"""The verdicts of a chapter: what is often said, what the run showed, and what is true.

The course tests 65 common statements about how services communicate. Each chapter settles its own.
"""

import re
from dataclasses import dataclass
from html import escape

from servicelab.table import Table
from servicelab.views.theme import FAILURE_INK, GREEN, MUTED, ORANGE, VERMILION, card

#: Which claims a chapter settles.
EXPECTED = {
    "00": "C64",
    "01": "C01 C11 C16 C17 C18 C30 C47 C55 C61",
    "02": "C04 C13 C15 C56",
    "03": "C02 C05 C06 C08 C12 C22 C24 C25 C35 C36 C38 C39 C44 C45 C48 C49 C59",
    "04": "C21 C23 C40",
    "05": "C14 C57 C58",
    "06": "C03 C07 C41",
    "07": "C37 C42 C43 C50",
    "08": "C27 C51",
    "09": "C19 C26 C52 C53",
    "10": "C54",
    "11": "C20 C31 C34",
    "12": "C29 C33 C62",
    "13": "C10 C28 C60",
    "14": "C32",
    "15": "C09 C46 C63 C65",
}

#: How a verdict may begin, with its mark, its colour for an edge and for text.
VERDICTS = {
    "holds if": ("◐", ORANGE, "#7A5200"),
    "holds": ("✓", GREEN, "#00694D"),
    "fails": ("✗", VERMILION, FAILURE_INK),
    "not shown": ("?", MUTED, MUTED),
}

#: The verdict of a run that did not show what it was expected to show.
NOT_SHOWN = "not shown by this run"


@dataclass(frozen=True, slots=True)
class Claim:
    """One settled claim; a notebook shows it as a card."""

    id: str
    statement: str
    verdict: str
    evidence: str

    @property
    def look(self) -> tuple[str, str, str]:
        """Mark, colour of the edge, colour of the text. A condition of any kind counts as "holds if"."""
        if self.verdict.startswith("holds") and self.verdict != "holds":
            return VERDICTS["holds if"]
        return next(look for word, look in VERDICTS.items() if self.verdict.startswith(word))

    def __repr__(self):
        return f"{self.id}  {self.statement}\n     {self.look[0]} {self.verdict}\n     {self.evidence}"

    def _repr_html_(self):
        mark, edge, ink = self.look
        return card(
            f'<div><b>{escape(self.id)}</b> <span style="color:{MUTED}">the claim:</span> '
            f"{escape(self.statement)}</div>"
            f'<div style="color:{ink};font-size:17px"><b><span aria-hidden="true">{mark}</span> {escape(self.verdict)}'
            f"</b></div><div>{escape(self.evidence)}</div>",
            edge,
            f"claim {self.id}: {self.verdict}",
        )


class Claims:
    """The claims of one chapter ("01"), settled one by one. ``expected`` lists other ids than the course's own.

    Raises ValueError for a chapter that the course does not know and that brings no ``expected`` list.
    """

    def __init__(self, chapter: str, expected=None):
        if expected is None and chapter not in EXPECTED:
            known = ", ".join(EXPECTED)
            raise ValueError(f"chapter={chapter!r} is none of {known}: give its claims as expected=['C01', …]")
        self.chapter = chapter
        self.expected = list(expected) if expected is not None else EXPECTED[chapter].split()
        self._settled: dict[str, Claim] = {}

    def settle(self, id: str, *, statement: str, verdict: str, evidence: str, shown: bool) -> Claim:
        """Record a verdict and return its card. Settling the same claim again replaces the verdict.

        ``verdict`` is "holds", "fails", or begins with "holds" and names the condition ("holds if idle");
        ``statement`` is the claim in the course's own words, ``evidence`` what the run showed, with its numbers.
        ``shown`` is a condition on what was measured: where it is false the run does not bear the verdict out, and
        the card says so instead.
        Raises ValueError for a claim of another chapter, an unknown verdict, or an empty text.
        """
        if id not in self.expected:
            raise ValueError(f"{id!r} is not a claim of chapter {self.chapter}: it settles {', '.join(self.expected)}")
        if not re.match(r"(holds|fails)\b", verdict):
            raise ValueError(f"verdict={verdict!r} must be 'holds', 'fails' or begin like 'holds if …'")
        for name, text in (("statement", statement), ("evidence", evidence)):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"{name}={text!r} of {id} must be a sentence")
        self._settled[id] = Claim(id, statement, verdict if shown else NOT_SHOWN, evidence)
        return self._settled[id]

    @property
    def not_shown(self) -> list[str]:
        """The claims whose verdict this run did not bear out."""
        return [claim.id for claim in self._settled.values() if claim.verdict == NOT_SHOWN]

    @property
    def missing(self) -> list[str]:
        """The expected claims that nobody has settled yet."""
        return [id for id in self.expected if id not in self._settled]

    def table(self) -> Table:
        """Every settled claim; the caption says which are still open."""
        rows = [
            (claim.id, claim.statement, f"{claim.look[0]} {claim.verdict}", claim.evidence)
            for claim in (self._settled[id] for id in self.expected if id in self._settled)
        ]
        still = f"; still open: {', '.join(self.missing)}" if self.missing else ""
        return Table(
            ("claim", "statement", "verdict", "evidence"),
            rows,
            f"Chapter {self.chapter}: {len(rows)} of {len(self.expected)} claims settled{still}.",
        )

    def __repr__(self):
        return str(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()
