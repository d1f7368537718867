"""All measurements in one go: `make bench`, or ``python -m benchmarks.run [part …]``.

Parts: simulation, policies, faults, drawing, amqp, streaming, registry, discovery, startup, environment, growth, day
(modules beside this one, each in a process of its own, each printing JSON), chapters (time and peak memory of every
notebook), browser (key press to changed picture in Chromium). Without a name, all of them.
Writes ``benchmarks/results/<date and time>.json`` and prints a table. A part that fails is reported
as such, the rest go on, and the exit code is 1.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from servicelab.table import Table

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "simulation", "policies", "faults", "drawing", "amqp", "streaming", "registry", "discovery", "startup",
    "environment", "growth", "day",
)  # fmt: skip
#: Milliseconds from a key on a panel to its changed picture: the median, and the worst.
KEY_LIMITS = (33, 70)


def module(name: str) -> dict:
    """What ``python -m benchmarks.<name>`` prints."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in (0, 1):  # 1: measured, and over a limit
        raise RuntimeError(f"{' '.join(command[1:])} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout)


def chapters() -> dict:
    """Seconds and peak megabytes (kernel and its children) of one pass over each chapter and solution."""
    from tests.notebooks import Session

    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "solutions").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder, Session(path, Path(folder)) as session:
            session.run_all()
            report = session.report
        found[f"{path.parent.name}/{path.stem}"] = {
            "run time (s)": round(report.total, 1), "longest cell (s)": round(max(report.seconds.values()), 1),
            "peak memory (MB)": round(report.peak_memory / 1e6),
        }  # fmt: skip
    return found


def browser(presses: int = 20) -> dict:
    """Milliseconds from a key on a control to a changed picture in Chromium: median and worst of ``presses``, back and
    forth, and the median on the way to settings that were not seen before."""
    from tests.browser import Browser, Lab, find_chromium
    from tests.test_browser import SETTINGS

    if find_chromium() is None:
        raise RuntimeError("no Chromium found")
    found = {}
    with Lab() as lab, Browser(lab, height=1000) as window:
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            notebook = window.open(path.relative_to(ROOT).as_posix())
            notebook.run_all()
            cells = notebook.page.locator(".jp-Notebook .jp-Cell").filter(has=notebook.page.locator(SETTINGS))
            for index in range(cells.count()):
                cell = cells.nth(index)
                if not notebook.picture(cell):
                    continue
                found[f"{path.stem}, panel {len(found) + 1}"] = press_panel(notebook, cell, presses)
            notebook.close()
    return found


def press_panel(notebook, cell, presses: int) -> dict:
    """What the table says of one panel: its times, or that its picture stood still."""
    cell.scroll_into_view_if_needed()
    try:
        try:
            press_keys(notebook, cell, 2)
        except AssertionError:  # it drives servers that the notebook's last cell has stopped: start them again
            notebook.run_to(cell)
        took = press_keys(notebook, cell, presses)
    except AssertionError as error:
        return {"error": str(error)}
    try:
        new = round(statistics.median(press_keys(notebook, cell, presses // 2, onward=True)))
    except AssertionError:  # settings that look alike: chapter 14's sidecars obey only what has been pushed
        new = "looks alike"
    median, worst = statistics.median(took), max(took)
    passed = median <= KEY_LIMITS[0] and worst <= KEY_LIMITS[1]
    return {
        "key to picture, median (ms)": round(median), "worst (ms)": round(worst),
        "to a new setting, median (ms)": new,
        "limit": "median {}, worst {}".format(*KEY_LIMITS), "passed": passed,
    }  # fmt: skip


def press_keys(notebook, cell, presses: int, onward: bool = False) -> list[float]:
    """Milliseconds until the picture changed, for each of so many arrow keys on the cell's first slider, back and forth
    or, as far as it goes, ``onward``; or of spaces on its first box to tick."""
    from tests.test_browser import SETTINGS

    control = cell.locator(SETTINGS).first
    control.focus()
    if control.get_attribute("type") == "checkbox":
        keys, least, most = ["Space"], None, None
    else:
        least, now, most = (float(control.get_attribute(f"aria-value{name}")) for name in ("min", "now", "max"))
        keys = ["ArrowRight", "ArrowLeft"] if most - now >= now - least else ["ArrowLeft", "ArrowRight"]
    took = []
    for key in itertools.islice(itertools.cycle(keys[:1] if onward else keys), presses):
        if onward and took and least is not None and float(control.get_attribute("aria-valuenow")) in (least, most):
            break
        took.append(notebook.press_and_wait(cell, key) * 1e3)
    return took


PARTS = {
    **{name: lambda name=name: module(name) for name in MODULES},
    "chapters": chapters, "browser": browser,
}  # fmt: skip


def rows(results: dict) -> list[tuple]:
    """One row per measured value: part, what, value."""
    found = []
    for part, values in results.items():
        for what, value in values.items():
            if isinstance(value, dict):
                found += [(part, f"{what}: {name}", inner) for name, inner in value.items()]
            else:
                found.append((part, what, value))
    return found


def missed(results) -> list[str]:
    """The keys under which a ``passed`` is False or an ``error`` stands."""
    found = []
    for part, values in results.items():
        for what, value in [("", values), *values.items()]:
            if isinstance(value, dict) and (value.get("passed") is False or "error" in value):
                found.append(f"{part} {what}".strip())
    return found


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    wanted = parser.parse_args(arguments).parts or list(PARTS)
    results = {}
    for part in wanted:
        print(f"measuring: {part} …", file=sys.stderr, flush=True)
        try:
            results[part] = PARTS[part]()
        except Exception as error:
            results[part] = {"error": f"{type(error).__name__}: {error}"}
    now = datetime.now().astimezone()
    machine = {"at": now.isoformat(timespec="seconds"), "python": platform.python_version(),
               "system": platform.system(), "processors": os.cpu_count(),
               "command": "python -m benchmarks.run " + " ".join(wanted)}  # fmt: skip
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{now:%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps({"machine": machine, **results}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    caption = f"{machine['at']}, Python {machine['python']}, {machine['processors']} processors"
    print(Table(("part", "measured", "value"), rows(results), caption))
    print(f"written to {path.relative_to(ROOT)}")
    over = missed(results)
    if over:
        print("over a limit, or not measured: " + "; ".join(over))
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
