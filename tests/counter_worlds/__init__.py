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

import ast
import asyncio
import contextlib
import inspect
import io
import re
import symtable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.form import cells_of


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


def notebook_of(number: str) -> Path:
    return next((ROOT / "notebooks").glob(f"{number}-*.ipynb"))


def code_of(path: Path, without=()) -> dict[str, str]:
    """The code cells of a notebook, but for those with an id in ``without``: id → source, in order."""
    cells = [cell for cell in cells_of(path) if cell["cell_type"] == "code" and cell["id"] not in without]
    return {cell["id"]: cell["source"] for cell in cells}


def settling(code: dict[str, str]) -> dict[str, str]:
    """Claim → id of the cell that settles it."""
    return {claim: id for id, source in code.items() for claim in re.findall(r'settle\(\s*"(C\d\d)"', source)}


def names_in(source: str) -> tuple[set[str], set[str]]:
    """``(bound, read)``: the names of the notebook that a cell binds or stores into, and those that it reads."""
    whole = symtable.symtable(source, "cell", "exec")
    bound = {s.get_name() for s in whole.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    read = {s.get_name() for s in whole.get_symbols() if s.is_referenced()}
    inside = whole.get_children()
    while inside:
        scope = inside.pop()
        inside += scope.get_children()
        read |= {s.get_name() for s in scope.get_symbols() if s.is_global()}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            inner = node.value
            while isinstance(inner, ast.Subscript | ast.Attribute):
                inner = inner.value
            bound |= {inner.id} if isinstance(inner, ast.Name) else set()
    return bound, read


def needed(code: dict[str, str], last: str, also=()) -> list[str]:
    """The ids of the cells that ``last`` needs, in order, and of those in ``also`` and what they need."""
    order = list(code)
    names = {id: names_in(source) for id, source in code.items()}
    chosen, wanted = set(), set()
    more = {last, *also}
    while more - chosen:
        chosen |= more
        wanted = set().union(*(names[id][1] for id in chosen))
        more = {id for id in order[: order.index(last)] if names[id][0] & wanted}
    return [id for id in order if id in chosen]


def run(code: dict[str, str], ids) -> dict:
    """Run these cells in one namespace, in this process; returns it. What they print or show is dropped.

    Where the last one ends with an expression, ``_`` is its value.
    """
    code = code | {ids[-1]: with_value(code[ids[-1]])}
    world = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for id in ids:
            program = compile(code[id], id, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if program.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(program, world))
            else:
                exec(program, world)
    return world


def with_value(source: str) -> str:
    """``source``, whose last expression is kept as ``_``."""
    tree = ast.parse(source)
    if isinstance(last := tree.body[-1], ast.Expr):
        tree.body[-1] = ast.Assign([ast.Name("_", ast.Store())], last.value)
    return ast.unparse(ast.fix_missing_locations(tree))


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
