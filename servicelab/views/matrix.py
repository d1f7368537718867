"""The loss-and-duplicate matrix: which settings of a queue lose, which repeat, and which do neither.

A chapter runs every cell and puts in what it counted::

    matrix = Matrix(n=20)
    for cell in tqdm(matrix.cells):
        matrix.put(cell, outcome_of(cell))
    matrix.show()
"""

import itertools
from typing import NamedTuple

from servicelab.arguments import whole
from servicelab.sim.task import Outcome
from servicelab.table import Table
from servicelab.views.show import show
from servicelab.views.theme import FAILURE_INK, GREEN, INK, MUTED, SKY, VERMILION, figure

FAULTS = ("consumer crash", "broker crash")
ACKS = ("auto-ack", "ack")
STORAGES = ("transient", "durable + persistent")
CONFIRMS = ("no confirm", "confirm")


class Cell(NamedTuple):
    """One experiment: what was done to it, and the three settings that meet it."""

    fault: str
    ack: str
    storage: str
    confirm: str


#: What a cell may look like: its mark, its colour, and the hatching that tells it from the others without colour.
LOST, REPEATED, ONCE, OPEN = ("✗", VERMILION, "////"), ("2×", SKY, ".."), ("✓", GREEN, ""), ("…", "#FFFFFF", "")


class Matrix:
    """What became of ``n`` messages under every combination of fault, acknowledgement, storage and confirm.

    ``cells`` lists all :class:`Cell` there are. :meth:`put` fills one in with the numbers that were lost, done once and
    done more often; they must add up to ``n``. :meth:`figure` draws what is known so far, with the finding as its
    title; ``alt`` says the same in words, ``table()`` as a table.

    Raises ValueError for an ``n`` below 1.
    """

    def __init__(self, n: int):
        self.n = whole("n", n, "messages")
        self.cells = [Cell(*cell) for cell in itertools.product(FAULTS, ACKS, STORAGES, CONFIRMS)]
        self.results: dict[Cell, Outcome] = {}

    def put(self, cell, result) -> None:
        """Fill in ``cell`` with ``result``: (lost, once, more), such as ``servicelab.sim.outcome`` gives.

        Raises ValueError for a cell that is not in the matrix and for numbers that do not add up to ``n``.
        """
        cell, result = Cell(*cell), Outcome(*result)
        if cell not in self.cells:
            raise ValueError(f"{tuple(cell)} is no cell of this matrix: take one of matrix.cells")
        if min(result) < 0 or sum(result) != self.n:
            raise ValueError(f"{tuple(result)} must be lost, once and more, {self.n} messages together")
        self.results[cell] = result

    def show(self) -> None:
        """Show the matrix as it is."""
        show(self.figure(), self.alt)

    # -- what it says -----------------------------------------------------------------------

    def worst(self, ack, storage, confirm) -> Outcome | None:
        """The most that these settings lost and repeated, over all faults; None if a cell is open."""
        found = [self.results.get(Cell(fault, ack, storage, confirm)) for fault in FAULTS]
        if None in found:
            return None
        lost, more = (max(result[kind] for result in found) for kind in (0, 2))
        return Outcome(lost, self.n - lost - more, more)

    @property
    def finding(self) -> str:
        """The result in a sentence, for a title."""
        if len(self.results) < len(self.cells):
            return f"{len(self.results)} of {len(self.cells)} cells run"
        settings = list(itertools.product(ACKS, STORAGES, CONFIRMS))
        safe = [setting for setting in settings if self.worst(*setting).lost == 0]
        if not safe:
            return f"Each of the {len(settings)} settings loses messages"
        if len(safe) > 1:
            return f"{len(safe)} of {len(settings)} settings lose nothing"
        (only,) = safe
        more = self.worst(*only).more
        repeats = "and that repeats work" if more else "and repeats nothing"
        return f"Only {', '.join((only[1], only[0], only[2]))} loses nothing, {repeats}"

    @property
    def alt(self) -> str:
        """What the figure shows, in words."""
        told = [
            f"{cell.fault}, {cell.ack}, {cell.storage}, {cell.confirm}: "
            f"{result.lost} lost, {result.more} repeated, {result.once} once"
            for cell, result in self.results.items()
        ]
        return f"Loss-and-duplicate matrix, {self.n} messages a cell. {self.finding}. {'; '.join(told)}."

    def table(self) -> Table:
        """A row for every cell that has been run."""
        rows = [[*cell, *self.results[cell]] for cell in self.cells if cell in self.results]
        return Table([*Cell._fields, "lost", "once", "more than once"], rows, f"{self.n} messages a cell")

    def __repr__(self):
        return str(self.table())

    def _repr_html_(self):
        return self.table()._repr_html_()

    # -- the picture ------------------------------------------------------------------------

    def figure(self, title: str | None = None):
        """The matrix as a matplotlib figure; ``title`` replaces the finding."""
        fig, ax = figure(figsize=(9.0, 4.6))
        rows = list(itertools.product(FAULTS, ACKS))
        columns = list(itertools.product(STORAGES, CONFIRMS))
        for y, (fault, ack) in enumerate(rows):
            for x, (storage, confirm) in enumerate(columns):
                self._draw_cell(ax, x, y, self.results.get(Cell(fault, ack, storage, confirm)))
        ax.set_xticks(range(len(columns)), [confirm for _, confirm in columns])
        ax.set_yticks(range(len(rows)), [ack for _, ack in rows])
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        for x, storage in enumerate(STORAGES):
            ax.text(2 * x + 0.5, -0.92, storage, ha="center", va="bottom", weight="bold")
        for y, fault in enumerate(FAULTS):
            words = fault.replace(" ", "\n")
            ax.text(-1.12, 2 * y + 0.5, words, ha="center", va="center", weight="bold", rotation=90)
        ax.axhline(1.5, color=INK, linewidth=1.4)
        ax.axvline(1.5, color=INK, linewidth=1.4)
        ax.set(xlim=(-0.5, 3.5), ylim=(3.5, -0.5))
        ax.grid(False)
        for side in ax.spines.values():
            side.set_visible(False)
        fig.suptitle(self.finding if title is None else title, x=0.01, ha="left", weight="bold", fontsize=13)
        return fig

    def _draw_cell(self, ax, x, y, result):
        from matplotlib.patches import Rectangle

        mark, colour, hatch = look(result)
        # A frame and a pale ground in the colour, so that black words are read on every one of them.
        ax.add_patch(Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, facecolor=colour, alpha=0.2, linewidth=0))
        frame = MUTED if result is None else colour
        ax.add_patch(Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, fill=False, edgecolor=frame, linewidth=2.2))
        if hatch:
            ax.add_patch(
                Rectangle((x - 0.45, y - 0.41), 0.2, 0.82, fill=False, edgecolor=colour, hatch=hatch, linewidth=0)
            )
        ink = FAILURE_INK if mark == "✗" else INK
        # DejaVu Sans, matplotlib's own font, has all the marks.
        ax.text(x - 0.34, y, mark, ha="center", va="center", fontsize=15, weight="bold", color=ink).set_bbox(
            {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        )
        ax.text(
            x + 0.11, y, "not run yet" if result is None else words(result), ha="center", va="center", fontsize=11.5
        )


def look(result: Outcome | None) -> tuple[str, str, str]:
    """Mark, colour and hatching of a result. What is lost outweighs what is repeated."""
    if result is None:
        return OPEN
    return LOST if result.lost else REPEATED if result.more else ONCE


def words(result: Outcome) -> str:
    """A result in three short lines at the most."""
    lines = [f"{result.lost} lost"] if result.lost else []
    lines += [f"{result.more} twice"] if result.more else []
    return "\n".join([*lines, f"{result.once} once"])
