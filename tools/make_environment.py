"""Makes environment.yml and its copy for Binder from pyproject.toml and the lock.

    python -m tools.make_environment            write both
    python -m tools.make_environment --check    exit 1 if either differs from what would be written

The direct dependencies are those of pyproject.toml, the versions those of requirements.txt for the
Python named below. JupyterLab and its widgets come from conda, the rest from pip. The pins stand in
the file itself: `-r requirements.txt` would make Binder rebuild everything at each commit.
"""

import argparse
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.11"
FROM_CONDA = ("jupyterlab", "ipywidgets")
TARGETS = ("environment.yml", "binder/environment.yml")


def direct_dependencies(pyproject: str) -> list[Requirement]:
    """The runtime dependencies that ``pyproject`` (the text of the file) names."""
    return [Requirement(line) for line in tomllib.loads(pyproject)["project"]["dependencies"]]


def locked_versions(lock: str, python: str = PYTHON) -> dict[str, str]:
    """Canonical name to version for each line of a requirements.txt whose marker holds on ``python``.

    Platform markers are taken for Linux, where Binder runs. Raises ValueError for a line that is not a pin.
    """
    machine = {
        "python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux",
        "os_name": "posix", "platform_system": "Linux", "implementation_name": "cpython",
    }  # fmt: skip
    found = {}
    for line in lock.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        wanted = Requirement(line)
        pins = [spec for spec in wanted.specifier if spec.operator == "=="]
        if len(pins) != 1:
            raise ValueError(f"{line!r} in the lock is not a pin such as name==1.2: make the lock again (make lock)")
        if wanted.marker is None or wanted.marker.evaluate(machine):
            found[canonicalize_name(wanted.name)] = pins[0].version
    return found


def environment(pyproject: str, lock: str) -> str:
    """The text of environment.yml. Raises ValueError when the lock lacks or contradicts a dependency."""
    versions = locked_versions(lock)
    conda, pip = [], []
    for wanted in direct_dependencies(pyproject):
        version = versions.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version):
            raise ValueError(
                f"pyproject.toml wants {wanted}, the lock has {version or 'nothing'}: make the lock again (make lock)"
            )
        if wanted.name in FROM_CONDA:
            conda.append(f"  - {wanted.name}={version}")
        else:
            pip.append(f"      - {wanted.name}=={version}")
    return "\n".join([
        "# Made by `make environment` from pyproject.toml and requirements.txt. Do not edit.",
        "name: servicelab",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        *conda,
        "  - pip:",
        *pip,
        "",
    ])  # fmt: skip


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.make_environment", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file is out of date")
    wanted = parser.parse_args(arguments)
    text = environment(read("pyproject.toml"), read("requirements.txt"))
    stale = [name for name in TARGETS if not (ROOT / name).exists() or read(name) != text]
    if wanted.check:
        for name in stale:
            print(f"{name} is out of date: run `make environment` and commit it")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
