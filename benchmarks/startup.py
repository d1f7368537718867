"""How long a learner waits for a chapter's first picture, from the start of its kernel.

``python -m benchmarks.startup`` prints JSON. The other side is a Python that imports what a page with a figure, a
slider and a server needs, and ends: ``import matplotlib.pyplot, ipywidgets, flask``. They take turns, and medians are
compared. What counts is the kernel's start, the first two cells, which import, and the cell that draws. What lies
between is the chapter's own scene, which waits for sockets and not for us; ``whole`` has it. A ratio at or below its
limit passes.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 2.5
ROOT = Path(__file__).resolve().parent.parent
OTHER = [sys.executable, "-c", "import matplotlib.pyplot, ipywidgets, flask"]


def other() -> float:
    """Seconds that the other side takes."""
    begin = time.perf_counter()
    subprocess.run(OTHER, check=True)
    return time.perf_counter() - begin


def first_picture(path: Path) -> tuple[float, float]:
    """``(seconds that count, whole)`` of the chapter ``path``."""
    import nbformat
    from nbclient import NotebookClient

    nb = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        env = os.environ | {"PYTHONPATH": str(ROOT), "SERVICELAB_PROGRESS": str(Path(folder) / "progress.json")}
        client = NotebookClient(nb, timeout=120, resources={"metadata": {"path": str(path.parent)}})
        marks = [time.perf_counter()]
        with client.setup_kernel(env=env):
            marks.append(time.perf_counter())
            for index, cell in enumerate(nb.cells):
                if cell.cell_type == "code":
                    client.execute_cell(cell, index)
                    marks.append(time.perf_counter())
                    if any(is_picture(output) for output in cell.outputs):
                        until_drawing = marks[min(3, len(marks) - 2)] - marks[0]
                        return until_drawing + marks[-1] - marks[-2], marks[-1] - marks[0]
    raise RuntimeError(f"{path.name} shows no picture")


def is_picture(output) -> bool:
    data = output.get("data", {})
    return "image/png" in data or any(tag in "".join(data.get("text/html", "")) for tag in ("<svg", "<img"))


def run(rounds: int = 3) -> dict:
    """Each chapter, as one dict."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        ours, wholes, others = [], [], []
        for _ in range(rounds):
            counts, whole = first_picture(path)
            ours.append(counts)
            wholes.append(whole)
            others.append(other())
        ratio = statistics.median(ours) / statistics.median(others)
        found[path.stem] = {
            "kernel, imports, picture (s)": round(statistics.median(ours), 2),
            "whole (s)": round(statistics.median(wholes), 2), "other (s)": round(statistics.median(others), 2),
            "ratio": round(ratio, 2), "limit": LIMIT, "passed": ratio <= LIMIT,
        }  # fmt: skip
    return found


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:])), indent=2))
