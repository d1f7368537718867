"""Imports once what JupyterLab, its kernels, the chapters and the labs import, and with it all that this needs.

Python compiles a module when it is first imported and keeps the result beside it. Done here, the first page and the
first cell come as soon as any later one, also for learners who may not write into the environment. The rest of what is
installed, three fourths of it, is never compiled: 100 MB and half a minute less.
"""

import ast
import importlib
import json
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = ["jupyterlab.labapp", "ipykernel.kernelapp", "ipykernel.ipkernel", "nbconvert.exporters"]


def imported(course: Path = ROOT) -> list[str]:
    """Every module that a chapter or a lab imports."""
    found = set()
    for path in [*course.glob("notebooks/*.ipynb"), *course.glob("solutions/*.ipynb")]:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            with suppress(SyntaxError):  # a cell with a magic
                for node in ast.walk(ast.parse("".join(cell["source"]) if cell["cell_type"] == "code" else "")):
                    if isinstance(node, ast.Import):
                        found |= {each.name for each in node.names}
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        found.add(node.module)
    return sorted(found)


if __name__ == "__main__":
    for name in SERVER + imported():
        with suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)
