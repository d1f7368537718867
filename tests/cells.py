"""The code cells of a notebook: which needs which, and some of them run in this process.

What a cell only *calls* (``log.append(…)``) is not found: it binds no name, and stores into none.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import symtable
from pathlib import Path

from tests.sharing import ROOT
from tools.form import cells_of


def notebook_of(number: str) -> Path:
    return next((ROOT / "notebooks").glob(f"{number}-*.ipynb"))


def code_of(path: Path, without=()) -> dict[str, str]:
    """The code cells of a notebook, but for those with an id in ``without``: id → source, in order."""
    cells = [cell for cell in cells_of(path) if cell["cell_type"] == "code" and cell["id"] not in without]
    return {cell["id"]: cell["source"] for cell in cells}


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
