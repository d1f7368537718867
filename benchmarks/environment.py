"""From a fresh machine to a served page, and what then lies on the disk: ``python -m benchmarks.environment``, JSON.

- ours: a fresh clone, `make lab`, until JupyterLab serves the start page
- bare: ``python -m venv``, ``pip install jupyterlab``, until JupyterLab serves its page

Both use pip as it is configured here, without uv on the path, and a home that has no settings. They run in turns, since
the index and the disk are others' too; reported is the median of the ratios. The size is that of the whole `.venv`
after the page was served.
"""

import argparse
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.rabbit import free_ports

ROOT = Path(__file__).resolve().parent.parent
MOST_RATIO = 1.8
MOST_MEGABYTES = 450
LIMIT = 900.0  # seconds until a page must be there


def ours(folder: Path, options: str) -> list:
    """The commands that end in a server; those before the last one end by themselves."""
    return [["git", "clone", "--quiet", ROOT, folder / "course"],
            ["make", "-C", folder / "course", "lab", f"ARGS={options}"]]  # fmt: skip


def bare(folder: Path, options: str) -> list:
    inside, options = folder / "venv" / "bin", ["--allow-root", f"--ServerApp.root_dir={folder}", *options.split()]
    return [[sys.executable, "-m", "venv", folder / "venv"],
            [inside / "pip", "install", "--quiet", "jupyterlab"],
            [inside / "jupyter", "lab", *options]]  # fmt: skip


@contextmanager
def served(commands, folder: Path):
    """Seconds until the last of ``commands(folder, options)`` serves its page. It ends with the block."""
    [port], token = free_ports(1), secrets.token_hex(8)
    options = f"--no-browser --port={port} --ServerApp.port_retries=0 --IdentityProvider.token={token}"
    path = [place for place in os.environ["PATH"].split(os.pathsep) if not Path(place, "uv").exists()]
    environment = _plain() | {"PATH": os.pathsep.join(path), "IPYTHONDIR": str(folder / "ipython")}
    environment |= {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    start = time.perf_counter()
    with open(folder / "output", "w+", encoding="utf-8") as output:
        for command in commands(folder, options)[:-1]:
            subprocess.run(command, env=environment, stdout=output, stderr=output, check=True)
        server = subprocess.Popen(commands(folder, options)[-1], env=environment, stdout=output, stderr=output,
                                  start_new_session=True)  # fmt: skip
        try:
            while not _answers(f"http://127.0.0.1:{port}/lab?token={token}"):
                if server.poll() is not None or time.perf_counter() - start > LIMIT:
                    raise RuntimeError("no page came: " + (folder / "output").read_text(encoding="utf-8")[-400:])
                time.sleep(0.05)
            yield time.perf_counter() - start
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def _plain() -> dict:
    """The environment's variables without those that an outer make or Python was given."""
    ours = ("MAKE", "MFLAGS", "PYTHON", "VIRTUAL_ENV", "SERVICELAB")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _answers(url) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=30) as reply:
        return b"jupyter-config-data" in reply.read()
    return False


def megabytes(course: Path) -> dict:
    """What lies in `.venv`; all that the notebooks import has been compiled (``tools/compiled.py``)."""
    sizes = {}
    for path in (course / ".venv").rglob("*"):
        if path.is_file() and not path.is_symlink():
            parts = path.relative_to(course / ".venv").parts
            package = parts[3] if parts[0] == "lib" and len(parts) > 4 else parts[0]
            sizes[package] = sizes.get(package, 0) + path.stat().st_size
    largest = sorted(sizes, key=sizes.get, reverse=True)[:8]
    size = sum(sizes.values()) / 1e6
    return {"installed and used (MB)": round(size), "limit (MB)": MOST_MEGABYTES, "passed": size <= MOST_MEGABYTES,
            "largest (MB)": ", ".join(f"{name} {sizes[name] / 1e6:.0f}" for name in largest)}  # fmt: skip


def run(rounds: int = 2) -> dict:
    """Both, as one dict."""
    took, size = {"make lab": [], "bare jupyterlab": []}, None
    for turn in range(rounds):
        for name, commands in (("make lab", ours), ("bare jupyterlab", bare))[:: -1 if turn % 2 else 1]:
            with tempfile.TemporaryDirectory(prefix="servicelab-fresh-") as folder:
                with served(commands, Path(folder)) as seconds:
                    took[name].append(seconds)
                if name == "make lab" and size is None:
                    size = megabytes(Path(folder) / "course")
    ratio = statistics.median(mine / theirs for mine, theirs in zip(*took.values()))
    page = {f"{name} (s)": round(statistics.median(found), 1) for name, found in took.items()}
    page |= {"make lab : bare jupyterlab": round(ratio, 2), "limit": MOST_RATIO, "passed": ratio <= MOST_RATIO}
    return {"fresh machine to a served page": page, "size": size}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.environment", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    found = run(parser.parse_args().rounds)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    sys.exit(0 if all(each["passed"] for each in found.values()) else 1)
