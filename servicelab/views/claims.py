"""The verdicts of a chapter: what is often said, what this run measured, and what follows.

The course tests 65 common statements about how services communicate; each chapter settles its own. Nobody writes a
verdict: a claim is a table of cases, each of them a comparison, and the verdict is what they say together.
"""

from collections import Counter
from dataclasses import dataclass
from html import escape
from math import isnan
from numbers import Real

from servicelab.significant import three_digits
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

#: What a verdict may be, with its mark, its colour for an edge and for text. "holds if" is followed by conditions.
VERDICTS = {
    "holds if": ("◐", ORANGE, "#7A5200"),
    "holds": ("✓", GREEN, "#00694D"),
    "fails": ("✗", VERMILION, FAILURE_INK),
    "not shown": ("?", MUTED, MUTED),
}
NOT_SHOWN = "not shown"

#: A sleep that is too long by so many seconds: the machine stood still, and what was timed meanwhile is wrong.
STOOD_STILL = 0.2

#: Relation → (in words, test of the measured value against the bound and the share ``within``).
RELATIONS = {
    "<": ("less than", lambda value, bound, within: value < bound),
    ">": ("more than", lambda value, bound, within: value > bound),
    "at most": ("at most", lambda value, bound, within: value <= bound),
    "at least": ("at least", lambda value, bound, within: value >= bound),
    "equals": ("exactly", lambda value, bound, within: value == bound),
    "between": ("between", lambda value, bound, within: bound[0] <= value <= bound[1]),
    "about": ("about", lambda value, bound, within: abs(value - bound) <= within * abs(bound)),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison of what this run measured: ``Case("the service is idle", took, "<", 0.05, "s")``.

    ``name`` is the condition under which it was measured; it reads well after "holds if". ``relation`` is one of
    RELATIONS. ``bound`` is a number, for "between" a pair, for "equals" anything; it may be measured too. ``within`` is
    the share by which "about" may differ: 0.25 is 25%. ``unit`` follows the number: "s", "% of the calls".
    None or NaN on either side: not measured.

    Raises ValueError for an empty name, an unknown relation, and for "about" without ``within``.
    """

    name: str
    measured: object
    relation: str
    bound: object
    unit: str = ""
    within: float | None = None

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"name={self.name!r} must be a condition, such as 'the service is idle'")
        if self.relation not in RELATIONS:
            raise ValueError(f"relation={self.relation!r} must be one of {', '.join(RELATIONS)}")
        if (self.relation == "about") != (self.within is not None):
            raise ValueError(f"within={self.within!r} belongs to 'about', and only there: 0.25 is 25%")

    @property
    def holds(self) -> bool | None:
        """Whether the comparison holds; None if one side of it was not measured."""
        sides = [self.measured, *(self.bound if self.relation == "between" else [self.bound])]
        if any(side is None or (isinstance(side, Real) and isnan(side)) for side in sides):
            return None
        return bool(RELATIONS[self.relation][1](self.measured, self.bound, self.within))

    def __str__(self):
        mark = {True: "✓", False: "✗", None: "?"}[self.holds]
        bound = " and ".join(map(three_digits, self.bound if self.relation == "between" else [self.bound]))
        share = f" ± {three_digits(100 * self.within)}%" if self.within is not None else ""
        measured = three_digits(self.measured, self.unit)
        return f"{mark} {self.name}: {measured} ({RELATIONS[self.relation][0]} {bound}{share})"


def verdict_of(cases) -> str:
    """What the cases say together: "holds", "fails", "holds if …" with the names of those that hold, or "not shown"."""
    outcomes = [case.holds for case in cases]
    if None in outcomes:
        return NOT_SHOWN
    if all(outcomes):
        return "holds"
    return "holds if " + "; if ".join(case.name for case in cases if case.holds) if any(outcomes) else "fails"


@dataclass(frozen=True, slots=True)
class Claim:
    """One settled claim; a notebook shows it as a card. ``why`` says why it was not shown, and what to do."""

    id: str
    statement: str
    verdict: str
    evidence: tuple[str, ...]
    why: str = ""

    @property
    def kind(self) -> str:
        """The verdict without its conditions: a key of VERDICTS."""
        if self.verdict.startswith("holds") and self.verdict != "holds":
            return "holds if"
        return next(kind for kind in VERDICTS if self.verdict.startswith(kind))

    @property
    def look(self) -> tuple[str, str, str]:
        """Mark, colour of the edge, colour of the text."""
        return VERDICTS[self.kind]

    @property
    def said(self) -> str:
        """Mark and verdict, and where nothing was shown the reason."""
        return f"{self.look[0]} {self.verdict}" + (f": {self.why}" if self.why else "")

    def __repr__(self):
        return "\n".join([f"{self.id}  {self.statement}", f"     {self.said}", *(f"     {e}" for e in self.evidence)])

    def _repr_html_(self):
        _, edge, ink = self.look
        return card(
            f'<div><span style="color:{MUTED}">The texts say:</span> {escape(self.statement)}</div>'
            f'<div style="color:{ink};font-size:17px"><b>{escape(self.said)}</b></div>'
            + "".join(f"<div>{escape(line)}</div>" for line in self.evidence),
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

    def settle(self, id: str, statement: str, *cases: Case, again="", stood_still=0.0) -> Claim:
        """Record what ``cases`` say of the claim, and return its card. Settling it again replaces the verdict.

        ``statement`` is the claim in the course's own words. ``again`` is the first line of the cell to run again when
        a case was not measured. ``stood_still`` is for how many seconds the machine stood still while it was measured
        (``StallWatch.longest``): from STOOD_STILL on, nothing is shown.

        Raises ValueError for a claim of another chapter, an empty statement, no case, or two cases of one name.
        """
        if id not in self.expected:
            raise ValueError(f"{id!r} is not a claim of chapter {self.chapter}: it settles {', '.join(self.expected)}")
        if not isinstance(statement, str) or not statement.strip():
            raise ValueError(f"statement={statement!r} of {id} must be a sentence")
        names = [case.name for case in cases]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the cases {names} of {id} must be at least one, each with a name of its own")
        verdict, why = verdict_of(cases), ""
        if stood_still >= STOOD_STILL:
            verdict, why = NOT_SHOWN, f"the machine stood still for {three_digits(stood_still, 's')}"
        elif verdict == NOT_SHOWN:
            why = "not measured: " + ", ".join(case.name for case in cases if case.holds is None)
        if why and again:
            why += f". Run the cell that begins “{again}” again, and then this one"
        self._settled[id] = Claim(id, statement, verdict, tuple(map(str, cases)), why)
        return self._settled[id]

    def __getitem__(self, id: str) -> Claim:
        """The settled claim ``id``. Raises KeyError when nobody has settled it yet."""
        return self._settled[id]

    @property
    def missing(self) -> list[str]:
        """The expected claims that nobody has settled yet."""
        return [id for id in self.expected if id not in self._settled]

    def table(self) -> Table:
        """Every settled claim; the caption counts the verdicts, and says which claims are still open."""
        settled = [self._settled[id] for id in self.expected if id in self._settled]
        counted = Counter(claim.kind for claim in settled)
        counts = ", ".join(f"{counted[kind]} × {kind}" for kind in VERDICTS if counted[kind] and kind != NOT_SHOWN)
        unshown = ", ".join(claim.id for claim in settled if claim.kind == NOT_SHOWN)
        parts = [
            f"Chapter {self.chapter}: {len(settled)} of {len(self.expected)} claims settled"
            + ": " * bool(counts)
            + counts
        ]
        parts += [f"not shown by this run: {unshown}"] if unshown else []
        parts += [f"still open: {', '.join(self.missing)}"] if self.missing else []
        return Table(
            ("claim", "statement", "verdict", "what was compared"),
            [(claim.id, claim.statement, claim.said, "; ".join(claim.evidence)) for claim in settled],
            "; ".join(parts) + ".",
        )

    def __repr__(self):
        return str(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()
