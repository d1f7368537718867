"""docs/claims.md: what the texts say, in which chapter it is tested, and what came out.

``python -m tools.claims`` writes it anew from the notebooks: claims, statements and chapters. Verdicts are those of the
last run, which the file keeps. ``python -m tools.claims 09 15`` runs these chapters (``all``: every one) and takes
theirs; nobody writes one by hand.
"""

import ast
import json
import sys
from pathlib import Path

from servicelab.views.claims import NOT_SHOWN
from tools.form import cells_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "claims.md"
HEAD = """# The claims, and what came of them

The course follows five texts on how microservices communicate. Taken apart they make 65 claims. Each is tested by a
chapter: it compares what it has just measured, and the verdict follows. The verdicts below are those of one run on an
ordinary machine with two cores; yours has the last word, in the table at the end of each chapter. *Holds if* names the
conditions under which a claim held in that run. Under the others it did not.

| claim | the texts say | chapter | verdict |
|---|---|---|---|
"""
NO_RUN = "not run yet"
TIMES = 3  # that a chapter is run, if the machine stood still while it measured
ASK = "import json\nprint(json.dumps({c.id: c.verdict for c in claims._settled.values()}))"


def chapters() -> dict[str, Path]:
    """Number → notebook."""
    return {path.stem[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))}


def statements(path: Path) -> dict[str, str]:
    """Claim → statement, of the ``claims.settle("C01", "…", …)`` of a notebook. Raises ValueError for a second one."""
    found = {}
    for cell in cells_of(path):
        for node in ast.walk(ast.parse(cell["source"])) if cell["cell_type"] == "code" else ():
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "settle":
                id, statement = (ast.literal_eval(argument) for argument in node.args[:2])
                if id in found:
                    raise ValueError(f"{path.name} settles {id} twice")
                found[id] = statement
    return found


def run(path: Path) -> dict[str, str]:
    """Claim → verdict, of a run of the whole notebook."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(ASK))
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    said = "".join(out["text"] for out in book.cells[-1]["outputs"] if out.get("name") == "stdout")
    return json.loads(said)


def rows(page: str) -> dict[str, list[str]]:
    """Claim → [statement, link to the chapter, verdict], of the page as it is."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| C")]
    return {id: rest for id, *rest in lines}


def page(verdicts: dict[str, str]) -> str:
    """The page, with these verdicts."""
    found = {}
    for number, path in chapters().items():
        for id, statement in statements(path).items():
            link = f"[{number}](../notebooks/{path.name})"
            found[id] = f"| {id} | {statement} | {link} | {verdicts.get(id, NO_RUN)} |\n"
    return HEAD + "".join(found[id] for id in sorted(found))


def main(arguments=None) -> int:
    asked = sys.argv[1:] if arguments is None else arguments
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    verdicts = {id: row[2] for id, row in rows(old).items() if row[2] != NOT_SHOWN}
    for number, path in chapters().items():
        if number in asked or "all" in asked:
            for _ in range(TIMES):
                verdicts |= (found := {id: said for id, said in run(path).items() if said != NOT_SHOWN})
                if len(found) == len(statements(path)):
                    break
            PAGE.write_text(page(verdicts), encoding="utf-8")
            print(f"{path.stem}: {len(statements(path))} claims")
    PAGE.write_text(page(verdicts), encoding="utf-8")
    print(f"{len(rows(PAGE.read_text(encoding='utf-8')))} claims in {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
