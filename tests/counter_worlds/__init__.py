"""Counter-worlds: a chapter's cells with one thing changed, in which a claim must come out otherwise.

A verdict that no change can turn proves nothing. Each chapter has a module here, ``chapter_NN``, with a table of one
or more changes for each claim::

    COUNTER = {
        "C54": [Change("b-same-world", "permitted_half_open=3", "permitted_half_open=80", "holds if payment fails")],
    }

and, for each cell with the tag ``your-turn``, one change that reaches its goal::

    TURNS = {"b-remedy-turn": ("places = 6", "places = 3")}

Only the cells that the claim needs are run, in this process: the cell that settles it, and backwards from there every
cell that binds a name which one of them reads, or stores into it. What is only *called* (``log.append(…)``) is not
found: name such cells in ``also``. Cells that are found and yet do not matter may be named in ``WITHOUT``.
"""

import re
from dataclasses import dataclass

import pytest

from tests.cells import code_of, needed, notebook_of, run


@dataclass(frozen=True, slots=True)
class Change:
    """In the cell with the id ``cell`` the text ``old`` becomes ``new``; the verdict of the claim is then ``verdict``.

    ``verdict`` is the whole of it, or how a "holds if …" begins; with a full stop it ends there, too. A tuple of such,
    where luck decides between them.
    ``also`` are ids of further cells that the claim needs.
    """

    cell: str
    old: str
    new: str
    verdict: str | tuple[str, ...]
    also: tuple[str, ...] = ()


def settling(code: dict[str, str]) -> dict[str, str]:
    """Claim → id of the cell that settles it."""
    return {claim: id for id, source in code.items() for claim in re.findall(r'settle\(\s*"(C\d\d)"', source)}


def turn(number: str, id: str, old: str, new: str, without=()):
    """The card of the cell ``id`` of the chapter ``number``, which has the tag ``your-turn``, with ``old`` changed."""
    code = code_of(notebook_of(number), without)
    assert code[id].count(old) == 1, f"{old!r} must stand once in {id}"
    code[id] = code[id].replace(old, new)
    return run(code, needed(code, id))["_"]


TIMES = 3  # that a world is looked at when the machine stood still meanwhile


def verdict(number: str, claim: str, change: Change, changed: bool, without=()) -> str:
    """The verdict on ``claim`` of the chapter ``number`` in the world of ``change``, or in the world as it is.

    Raises AssertionError when the changed cell is not one that the claim needs, or has not the text once.
    """
    code = code_of(notebook_of(number), without)
    ids = needed(code, settling(code)[claim], change.also)
    if changed:
        assert change.cell in ids, f"{claim} does not need {change.cell}: only {', '.join(ids)}"
        assert code[change.cell].count(change.old) == 1, f"{change.old!r} must stand once in {change.cell}"
        code[change.cell] = code[change.cell].replace(change.old, change.new)
    for _ in range(TIMES):
        settled = run(code, ids)["claims"][claim]
        if "stood still" not in settled.why:
            return settled.verdict
    pytest.skip(f"{settled.said}, {TIMES} times")
