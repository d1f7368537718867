"""axe-core, the accessibility checker of the browser tests, fetched once with npm into the ignored folder build/."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
AXE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    from tests.conftest import require

    folder = ROOT / "build" / AXE
    script = folder / "package" / "axe.min.js"
    if not script.exists():
        npm = require("npm")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fetched:  # another worker may fetch it at the same time
            command = [npm, "pack", AXE, "--silent"]
            done = subprocess.run(command, cwd=fetched, capture_output=True, text=True, timeout=120)
            if done.returncode:
                reason = f"npm could not fetch {AXE}: {done.stderr.strip()[-300:]}"
                pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
            for archive in Path(fetched).glob("*.tgz"):
                shutil.unpack_archive(archive, fetched, filter="data")
            with contextlib.suppress(OSError):  # it has come first
                (Path(fetched) / "package").rename(folder / "package")
    return script.read_text(encoding="utf-8")


def violations(page, axe: str, within: str, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds in the parts of ``page`` that match ``within``, a line each; ``rules``: only these."""
    page.add_script_tag(content=axe)
    return page.evaluate(
        """([within, rules]) => axe.run(within, {resultTypes: ['violations'],
                                                 ...rules && {runOnly: {type: 'rule', values: rules}}})
             .then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.html.slice(0, 160))))""",
        [within, rules],
    )
