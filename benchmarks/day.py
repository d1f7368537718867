"""A teaching day in one kernel: how much memory each further pass over a whole notebook adds.

``python -m benchmarks.day [name …] [--passes 12]`` prints JSON; a name is a chapter's number ("03"), a solution's
("solutions/10"), or "all". Without names: the chapters in which most was found, 01, 03, 06, 08 and 10. Each runs in a
kernel of its own, so many at a time as there are processors and two more, since most of them wait.

The memory is the kernel's own (resident set, after a garbage collection), seen at the end of each pass. The first five
passes fill caches and the heap of every thread; what the others add is divided by their number. Beside it stands how
many widgets, traces and values of cells (``Out``) there were: where they grow, somebody keeps them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("01", "03", "06", "08", "10")
PASSES, WARM = 12, 5
MOST_A_PASS, MOST_AFTER = 2.0, 450.0  # MB
LOOK = """
def _look():
    import gc, json, os, psutil, sys
    gc.collect()
    known = sys.modules.get("ipywidgets.widgets.widget")
    traces = [one for one in gc.get_objects() if type(one).__name__ == "Trace"]
    print(json.dumps([psutil.Process().memory_info().rss / 1e6, len(getattr(known, "_instances", ())), len(traces),
                      len(get_ipython().user_ns["Out"])]))
_look()
del _look
"""


def paths(name: str) -> list[Path]:
    """The notebooks that ``name`` means."""
    if name == "all":
        return sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "solutions").glob("*.ipynb"))
    folder, _, number = name.rpartition("/")
    return list((ROOT / (folder or "notebooks")).glob(f"{number}-*.ipynb"))


def day(path: Path, passes: int) -> dict:
    """So many passes over one notebook in one kernel."""
    from tests.notebooks import Session

    seen = []
    with tempfile.TemporaryDirectory() as folder, Session(path, Path(folder)) as session:
        for number in range(passes):
            session.run_all()
            seen.append(json.loads(session.run_code(LOOK).strip().splitlines()[-1]))
            print(f"{path.stem}, pass {number + 1}: {seen[-1][0]:.0f} MB", file=sys.stderr, flush=True)
    memory = [one[0] for one in seen]
    added = (memory[-1] - memory[WARM - 1]) / (passes - WARM)
    return {
        "after each pass (MB)": " ".join(f"{one:.0f}" for one in memory),
        "a pass adds (MB)": round(added, 1), f"after {passes} (MB)": round(memory[-1]),
        "widgets, traces, values before them and in the end": f"{seen[WARM - 1][1:]} {seen[-1][1:]}",
        "limits (MB)": f"{MOST_A_PASS:g} a pass, {MOST_AFTER:g} in the end",
        "passed": added <= MOST_A_PASS and memory[-1] <= MOST_AFTER,
    }  # fmt: skip


def in_a_process(path: Path, passes: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.day", "--one", str(path), "--passes", str(passes)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": f"ended with {done.returncode}"}


def run(names=NAMES, passes: int = PASSES) -> dict:
    wanted = [path for name in names for path in paths(name)]
    with ThreadPoolExecutor((os.cpu_count() or 2) + 2) as pool:
        found = pool.map(in_a_process, wanted, [passes] * len(wanted))
        return {f"{path.parent.name}/{path.stem}": one for path, one in zip(wanted, found)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--passes", type=int, default=PASSES, help=f"at least {WARM + 1}")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    found = day(given.one, given.passes) if given.one else run(given.names, given.passes)
    print(json.dumps(found, indent=2, ensure_ascii=False))
