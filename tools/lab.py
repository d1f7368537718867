"""Opens JupyterLab on the start page: `make lab`, or `python tools/lab.py` in any environment of the course.

Listens on 127.0.0.1 only, prints the address with its token, opens a browser where there is one, and
ends at the first Ctrl-C. Arguments go to JupyterLab: `make lab ARGS="--port=9000 --no-browser"`.
"""

import os
import runpy
import sys
import tempfile
import webbrowser
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_PAGE = "notebooks/00-start-here.ipynb"
TEXT_BROWSERS = ("lynx", "links", "elinks", "w3m", "www-browser")  # they would take over the terminal


def has_browser(environ=os.environ, platform=sys.platform) -> bool:
    """Is there a graphical browser to open? On Linux that needs a display, or $BROWSER."""
    if platform not in ("darwin", "win32") and not any(
        environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    ):
        return False
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    return Path(getattr(found, "name", "") or "").name not in TEXT_BROWSERS


def arguments(extra=(), browser: bool | None = None) -> list[str]:
    """The command line for JupyterLab; ``extra`` comes last and so has the last word."""
    found = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{START_PAGE}",
        "--ServerApp.answer_yes=True",  # one Ctrl-C ends it, without a question
        "--log-level=WARN",
    ]
    if not (has_browser() if browser is None else browser):
        found.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        found.append("--allow-root")  # containers and classroom machines often have no other user
    return found + list(extra)


def not_writable() -> list[str]:
    """Which of the folders that Jupyter and the kernel write to cannot be written to, and why: a line each."""
    from IPython.paths import get_ipython_dir
    from jupyter_core import paths
    from jupyterlab.commands import get_user_settings_dir, get_workspaces_dir

    found = []
    for find in (paths.jupyter_config_dir, paths.jupyter_data_dir, paths.jupyter_runtime_dir, get_ipython_dir,
                 get_user_settings_dir, get_workspaces_dir):  # fmt: skip
        try:
            folder = Path(find())
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            found.append(f"{error.filename or folder}: {error.strerror}")
    return list(dict.fromkeys(found))


def main() -> int:
    try:
        from jupyterlab.labapp import main as lab
    except ImportError as error:
        print(
            f"{error}: this Python has no JupyterLab. Run `make lab`, or activate the course's conda environment first."
        )
        return 1
    if problems := not_writable():
        print("JupyterLab must keep its own files in your home folder, and cannot:", *problems, sep="\n  ")
        print('Give it a folder that you may write to instead, for instance a new one:\n  HOME="$(mktemp -d)" make lab')
        return 1
    with suppress(OSError):  # an environment that is shared by a class may be read-only, too
        runpy.run_path(str(ROOT / "tools" / "settings.py"), run_name="__main__")
    sys.argv = ["jupyter-lab"] + arguments(sys.argv[1:])
    print("Starting JupyterLab; Ctrl-C ends it.", flush=True)
    return lab() or 0


if __name__ == "__main__":
    sys.exit(main())
