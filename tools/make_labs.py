"""Make labs/NN-name.ipynb from solutions/NN-name.ipynb, the single source of every lab.

    python tools/make_labs.py           writes every lab
    python tools/make_labs.py --check   writes nothing; names the labs that differ, and exits 1

What becomes of a solution's cells:

- Code between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` (nbgrader's markers) goes. What stays in its place is the
  author's stub: the lines of that region which begin with ``# STUB:``, without these words, at their indentation.
  A region without any leaves ``...``, which runs too. ::

      def get_within(url, seconds):
          ### BEGIN SOLUTION
          # STUB: # Give up after `seconds` in all, whatever the server does.
          # STUB: return requests.get(url, timeout=seconds)
          ...the solution...
          ### END SOLUTION

- Lines between ``### BEGIN HIDDEN TESTS`` and ``### END HIDDEN TESTS`` go.
- A cell with the tag ``solution`` (the explanation of *why*) goes as a whole.
- Outputs, execution counts and execution times go. Ids, tags and metadata stay.
- A cell that is one call of a check, ``lab01.check_stock(make_stock)``, becomes nbgrader's: graded, locked, one point,
  its id the ``grade_id``. Nothing else does: in a cell marked as a *solution* nbgrader would put its own stub for ours.

The same source always gives the same bytes. Refused, with the cell's id: a marker without its partner, a stub that is
no Python, a relative link that leads nowhere from labs/.
"""

import argparse
import ast
import copy
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
STUB = "# STUB:"

#: nbgrader's metadata of a check cell, beside its grade_id (nbgrader.nbgraderformat.v3).
GRADED = {"schema_version": 3, "cell_type": "code", "grade": True, "locked": True, "points": 1, "solution": False}
GRADED |= {"task": False}

_CHECK = re.compile(r"lab\d\d\.check_\w+\([^()]*\)\s*")
_MARKER = re.compile(r"^\s*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\s*$")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=[\"']([^\"']+)[\"']")


class LabError(ValueError):
    """A solution cannot be made into a lab; the message names the file, the cell and the reason."""


def lab_of(notebook, name: str):
    """The lab notebook of a solution notebook; ``name`` is the solution's file name, for messages."""
    lab = copy.deepcopy(notebook)
    lab.cells = [_cleared(cell, name) for cell in lab.cells if "solution" not in cell.metadata.get("tags", [])]
    lab.metadata["servicelab"] = {"generated_from": f"solutions/{name}", "by": "tools/make_labs.py"}
    return lab


def cleared(source: str) -> str:
    """The source of a cell without solution and hidden tests, with the author's stub. Raises LabError."""
    kept, region, stub, indent = [], None, [], ""
    for line in source.split("\n"):
        marker = _MARKER.match(line)
        if marker and marker[1] == "BEGIN":
            if region:
                raise LabError(f"### BEGIN {marker[2]} inside {region}")
            region, stub, indent = marker[2], [], line[: len(line) - len(line.lstrip())]
        elif marker:
            if region != marker[2]:
                raise LabError(f"### END {marker[2]} without its BEGIN")
            if region == "SOLUTION":
                kept += stub or [indent + "..."]
            region = None
        elif region is None:
            kept.append(line)
        elif region == "SOLUTION" and line.lstrip().startswith(STUB):
            before, _, after = line.partition(STUB)
            kept_line = before + after.removeprefix(" ")
            stub.append(kept_line.rstrip())
    if region:
        raise LabError(f"### BEGIN {region} without its END")
    return "\n".join(kept).rstrip("\n")


def text_of(notebook) -> str:
    """The bytes of a notebook file, as nbformat writes them."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def labs(root: Path) -> dict[Path, str]:
    """Every lab's path and text. Raises LabError."""
    made, folder = {}, root / "labs"
    sources = sorted((root / "solutions").glob("*.ipynb"))
    targets = {folder / source.name for source in sources}
    for source in sources:
        notebook = nbformat.reads(source.read_text(encoding="utf-8"), as_version=4)
        lab = lab_of(notebook, source.name)
        for cell in lab.cells:
            _check_links(cell, folder, targets, source.name)
        made[folder / source.name] = text_of(lab)
    return made


def differing(made: dict[Path, str], root: Path) -> list[str]:
    """The labs that differ from what would be made: missing, changed, or without a solution."""
    found = [
        str(path.relative_to(root))
        for path, text in made.items()
        if not path.exists() or path.read_bytes() != text.encode()
    ]
    return found + [f"{path.relative_to(root)} (has no solution)" for path in _orphans(made, root)]


def write(made: dict[Path, str], root: Path) -> None:
    """Write every lab that differs, and remove those whose solution is gone."""
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_bytes() != text.encode():
            path.write_bytes(text.encode())
            print(f"wrote {path.relative_to(root)}")
    for path in _orphans(made, root):
        path.unlink()
        print(f"removed {path.relative_to(root)}: it has no solution")


def _orphans(made, root):
    return [path for path in sorted((root / "labs").glob("*.ipynb")) if path not in made]


def _cleared(cell, name):
    cell.metadata.pop("execution", None)
    where = f"solutions/{name}, cell {cell.get('id', '?')}"
    try:
        cell.source = cleared(cell.source)
    except LabError as error:
        raise LabError(f"{where}: {error}") from None
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
        _check_python(cell.source, where)
        if _CHECK.fullmatch(cell.source):
            cell.metadata["nbgrader"] = GRADED | {"grade_id": cell.id}
    return cell


def _check_python(source, where):
    if any(line.lstrip().startswith(("%", "!")) for line in source.split("\n")):
        return  # IPython's own words; the notebook's test runs them
    try:
        compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        raise LabError(f"{where}: with its stub the cell is no Python: line {error.lineno}: {error.msg}") from None


def _check_links(cell, folder, targets, name):
    if cell.cell_type != "markdown":
        return
    for found in _LINK.finditer(cell.source):
        link = found[1] or found[2]
        path = link.partition("#")[0]
        if not path or re.match(r"[a-z][a-z0-9+.-]*:", path):
            continue
        target = folder / path
        if not target.exists() and _normal(target) not in {_normal(t) for t in targets}:
            raise LabError(f"solutions/{name}, cell {cell.get('id', '?')}: the link {link} leads nowhere from labs/")


def _normal(path):
    return path.parent.resolve() / path.name


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description="Make labs/ from solutions/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the labs that differ")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds solutions/ and labs/")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        made = labs(root)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    if not options.check:
        write(made, root)
        return 0
    wrong = differing(made, root)
    for path in wrong:
        print(f"{path} differs from its solution: run `python tools/make_labs.py`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
