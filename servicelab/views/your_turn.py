"""The learner's turn: a goal, and whether the code that was changed has reached it."""

from dataclasses import dataclass
from html import escape

from servicelab.views.theme import GREEN, ORANGE, card


@dataclass(frozen=True, slots=True)
class YourTurn:
    """``reached`` is what the run shows, ``happened`` its numbers; a notebook shows a card."""

    goal: str
    reached: bool
    happened: str

    @property
    def said(self) -> str:
        return "✓ Reached" if self.reached else "Not yet"

    def __repr__(self):
        return f"{self.said}. {self.happened} Goal: {self.goal}"

    def _repr_html_(self):
        colour, ink = (GREEN, "#00694D") if self.reached else (ORANGE, "#7A5200")
        return card(
            f'<div><b>Your turn.</b> Goal: {escape(self.goal)}</div><div role="status"><b style="color:{ink}">'
            f"{self.said}.</b> {escape(self.happened)}</div>",
            colour,
            f"your turn: {self.said}",
        )


def your_turn(goal: str, reached, happened: str) -> YourTurn:
    """The last line of a cell with the tag ``your-turn``: has the learner's change reached the ``goal``?

    ``reached`` is computed from what the cell has just run, never from how its code is written; ``happened`` is a
    sentence with the numbers. As the cell is shipped, it says "Not yet".

    Raises ValueError for a goal or an outcome that says nothing, and for a ``reached`` that is neither true nor false.
    """
    for name, text in (("goal", goal), ("happened", happened)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name}={text!r} must be a sentence")
    if reached not in (True, False):
        raise ValueError(f"reached={reached!r} must be true or false: compare what the cell has measured")
    return YourTurn(goal, bool(reached), happened)
