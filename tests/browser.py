"""JupyterLab in a headless Chromium: for the browser tests, and as a tool to look at a notebook.

    python -m tests.browser notebooks/01-synchronous-calls.ipynb --out artefacts/01

opens a copy of the notebook, runs all its cells, writes one screenshot per screenful, prints the
errors and the images without alternative text, and exits 1 if there are any.

One server and one browser serve any number of notebooks. The notebooks are copied to a temporary
folder first: Lab saves by itself, and outputs must not get into the committed files.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.settings import put

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("notebooks", "labs", "solutions", "docs")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SETTINGS = {
    # Lab normally draws only the cells in sight; a screenshot by scrolling needs all of them.
    "notebook-extension/tracker": {"windowingMode": "none", "autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}

# All that a cell draws, as one text.
PICTURE = """e => Array.from(e.querySelectorAll('img, svg, canvas')).map(
    p => p.tagName === 'IMG' ? p.src : p.tagName === 'CANVAS' ? p.toDataURL() : p.outerHTML).join()"""


def find_chromium() -> str | None:
    """The browser to use: $CHROMIUM, or the first known name on the path. None if there is none."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    return next((found for name in (*names, mac) if name and (found := shutil.which(name))), None)


class Lab:
    """A JupyterLab server on 127.0.0.1 with everything it writes in a temporary folder.

    ``root`` is the folder whose ``notebooks/``, ``labs/``, … are copied and served; ``workspace`` is a
    file to import first, as Binder does. Raises RuntimeError when the server does not come up within 60 s.
    """

    def __init__(self, root: Path = ROOT, workspace: Path | None = None):
        self.root = Path(root)
        self.workspace = workspace
        self.token = secrets.token_hex(16)

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="servicelab-browser-", ignore_cleanup_errors=True)
        home = Path(self._folder.name)
        self.files = home / "course"
        self.files.mkdir()
        for name in FOLDERS:
            if (self.root / name).is_dir():
                shutil.copytree(
                    self.root / name,
                    self.files / name,
                    ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"),
                )
        for name, values in SETTINGS.items():
            path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values), encoding="utf-8")
        folders = {
            "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
        }  # fmt: skip
        env = os.environ | {key: str(home / name) for key, name in folders.items()}
        put(home / "environment")  # what `make` puts into .venv, whichever Python runs the tests
        env["JUPYTER_CONFIG_PATH"] = str(home / "environment" / "etc" / "jupyter")
        env["SERVICELAB_PROGRESS"] = str(home / "progress.json")
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        if self.workspace:
            command = [sys.executable, "-m", "jupyterlab.labapp", "workspaces", "import", str(self.workspace)]
            subprocess.run(command, env=env, check=True, capture_output=True)
        self._log = open(home / "server.log", "w+", encoding="utf-8")  # closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", "--allow-root",
             "--ip=127.0.0.1", f"--port={_free_port()}", f"--IdentityProvider.token={self.token}",
             f"--ServerApp.root_dir={self.files}", "--ServerApp.terminals_enabled=False",
             "--ContentsManager.allow_hidden=False", "--LabApp.news_url=None"],
            env=env, cwd=self.files, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            self.url = self._wait_for_url(home / "runtime")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        if self._process.poll() is None:
            self._process.terminate()  # the server shuts its kernels down, then itself
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def _wait_for_url(self, runtime: Path) -> str:
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            for path in runtime.glob("jpserver-*.json"):
                with contextlib.suppress(OSError, ValueError):
                    port = json.loads(path.read_text(encoding="utf-8"))["port"]
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    return f"http://127.0.0.1:{port}/"
            time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log()[-3000:]}")


class Browser:
    """One headless Chromium on one :class:`Lab`. ``width`` and ``height`` of the window in pixels."""

    def __init__(self, lab: Lab, width: int = 1280, height: int = 900):
        self.lab, self.width, self.height = lab, width, height

    def __enter__(self):
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        try:
            self._browser = self._playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=FLAGS)
        except BaseException:
            self._playwright.stop()
            raise
        return self

    def __exit__(self, *error):
        self._browser.close()
        self._playwright.stop()

    def open(self, notebook: str) -> "Notebook":
        """Open ``notebook`` (a path below the served folder) and wait until its kernel is ready."""
        return self.visit(f"lab/tree/{notebook}?reset")

    def visit(self, address: str, lab: Lab | None = None) -> "Notebook":
        """Open an address of the server, such as ``lab``, and wait for the notebook that it shows."""
        lab = lab or self.lab
        size = {"width": self.width, "height": self.height}
        page = self._browser.new_context(viewport=size).new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{lab.url}{address}{'&' if '?' in address else '?'}token={lab.token}")
        # The page's own data-status="idle" comes 1–2 s too early, and Run All is then silently dropped.
        page.wait_for_function(
            """() => { const w = window.jupyterapp && jupyterapp.shell && jupyterapp.shell.currentWidget;
                       const k = w && w.sessionContext && w.sessionContext.session && w.sessionContext.session.kernel;
                       return k && k.connectionStatus === 'connected' && k.status === 'idle'; }"""
        )
        page.evaluate("() => { jupyterapp.shell.collapseLeft(); jupyterapp.shell.collapseRight(); }")
        return Notebook(page)


class Notebook:
    """An open notebook. ``page`` is playwright's page, for clicks and keys."""

    def __init__(self, page):
        self.page = page
        self.name = page.evaluate("() => jupyterapp.shell.currentWidget.context.path")

    def run_all(self, limit: float = 300.0) -> float:
        """Run every cell and wait for the end; returns the seconds it took."""
        begin = time.monotonic()
        self.page.evaluate(
            """limit => Promise.race([
                 jupyterapp.commands.execute('notebook:run-all-cells'),
                 new Promise((_, reject) => setTimeout(() => reject(new Error('Run All took too long')), limit))])""",
            limit * 1000,
        )
        self.page.wait_for_timeout(500)  # widgets draw once more after the last cell
        return time.monotonic() - begin

    def run_to(self, cell) -> None:
        """Run the notebook from the top down to ``cell`` (a locator), as after "Run All Above" and Shift-Enter."""
        cell.evaluate(
            """async e => { const book = jupyterapp.shell.currentWidget.content;
                 book.activeCellIndex = book.widgets.findIndex(cell => cell.node === e);
                 await jupyterapp.commands.execute('notebook:run-all-above');
                 book.activeCellIndex = book.widgets.findIndex(cell => cell.node === e);
                 await jupyterapp.commands.execute('notebook:run-cell'); }"""
        )
        self.page.wait_for_timeout(500)

    def cells(self) -> list[dict]:
        """Every cell: ``id``, ``type``, ``source``, ``count`` and ``outputs`` (nbformat)."""
        return self.page.evaluate(
            """() => Array.from(jupyterapp.shell.currentWidget.content.widgets).map(cell => ({
                 id: cell.model.id, type: cell.model.type, source: cell.model.sharedModel.getSource(),
                 count: cell.model.executionCount ?? null,
                 outputs: cell.model.type === 'code' ? cell.model.outputs.toJSON() : []}))"""
        )

    def errors(self) -> list[str]:
        """What went wrong, one line per cell: ``cell id: error``."""
        found = [
            f"{cell['id']}: {output['ename']}: {output['evalue']}"
            for cell in self.cells()
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]
        # What ipywidgets shows in the place of a widget that it could not draw.
        for said in ("Error displaying widget", "Click to show javascript error", "Failed to load model class"):
            places = self.page.locator(".jp-Notebook .jp-Cell").filter(has_text=said)
            ids = [
                self.cells()[i]["id"]
                for i in places.evaluate_all(
                    "found => { const all = Array.from(document.querySelectorAll('.jp-Notebook .jp-Cell'));"
                    " return found.map(cell => all.indexOf(cell)); }"
                )
            ]
            found += [f"{id}: {said}" for id in ids]
        return found

    def warnings(self) -> list[str]:
        """What cells wrote to standard error, which a learner sees in red."""
        return [
            f"{cell['id']}: {''.join(output['text']).strip()[:300]}"
            for cell in self.cells()
            for output in cell["outputs"]
            if output["output_type"] == "stream" and output["name"] == "stderr"
        ]

    def cell(self, id: str):
        """Playwright's locator of the cell with this id, scrolled into view."""
        index = next(i for i, cell in enumerate(self.cells()) if cell["id"] == id)
        found = self.page.locator(".jp-Notebook .jp-Cell").nth(index)
        found.scroll_into_view_if_needed()
        return found

    def picture(self, cell) -> str:
        """Everything that is drawn in a cell's output, to see whether it changes."""
        return cell.evaluate(PICTURE)

    def press_and_wait(self, cell, key: str, limit: float = 10.0) -> float:
        """Press ``key`` and wait until ``cell`` shows another picture: the seconds that took, in the browser's clock.

        It ends with the frame that paints the new picture: what is in the page when its callbacks run, and an image
        that is decoded by then. Raises AssertionError after ``limit`` seconds.
        """
        cell.evaluate(
            """(e, limit) => {
                 const look = () => (PICTURE)(e);
                 const seen = () => Array.from(e.querySelectorAll('img')).every(one => one.complete);
                 const before = look();
                 window.pictureChange = new Promise(resolve => {
                   let begin = null;
                   const check = () => {
                     if (look() !== before && seen()) resolve(performance.now() - begin);
                     else if (performance.now() - begin > limit * 1000) resolve(null);
                     else requestAnimationFrame(check);
                   };
                   document.addEventListener('keydown', key => { begin = key.timeStamp; requestAnimationFrame(check); },
                                             {once: true, capture: true});
                 });
               }""".replace("PICTURE", PICTURE),
            limit,
        )
        self.page.keyboard.press(key)
        took = self.page.evaluate("() => window.pictureChange")
        assert took is not None, f"the picture did not change within {limit} s of pressing {key}"
        return took / 1e3

    def images_without_text(self) -> list[str]:
        """Images and drawings that a screen reader cannot name (a light check; axe-core is the full one)."""
        return self.page.evaluate(
            """() => Array.from(document.querySelectorAll('.jp-OutputArea-output svg[role=img], .jp-Cell img'))
                 .filter(e => e.tagName === 'IMG' ? !(e.alt || e.title || e.getAttribute('aria-label') || '').trim()
                              : !e.hasAttribute('aria-label') && !e.hasAttribute('aria-labelledby')
                                && !e.querySelector('title'))
                 .map(e => (e.closest('.jp-Cell')?.innerText || '').slice(0, 80) + ' … ' + e.outerHTML.slice(0, 80))"""
        )

    def screens(self, folder: Path, overlap: int = 40) -> list[Path]:
        """One PNG per screenful, top to bottom, in ``folder``; returns the paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # The scrolling element's class has changed between Lab versions: take the one that scrolls.
        view = self.page.evaluate_handle(
            """() => { let e = jupyterapp.shell.currentWidget.content.node.querySelector('.jp-Cell');
                       const scrolls = e => e.scrollHeight > e.clientHeight + 5
                                            && /auto|scroll/.test(getComputedStyle(e).overflowY);
                       while (e && !scrolls(e)) e = e.parentElement;
                       return e || jupyterapp.shell.currentWidget.content.node; }"""
        )
        box = view.as_element().bounding_box()
        view.evaluate("e => e.scrollTo(0, 0)")
        paths = []
        while True:
            self.page.wait_for_timeout(150)
            path = folder / f"{len(paths) + 1:02d}.png"
            self.page.screenshot(path=path, clip=box)
            paths.append(path)
            more = view.evaluate(
                """(e, step) => { const cells = jupyterapp.shell.currentWidget.content.widgets;
                     const seen = cells.filter(cell => cell.node.offsetParent);  // not below a collapsed heading
                     const last = seen[seen.length - 1].node.getBoundingClientRect().bottom;
                     if (last <= e.getBoundingClientRect().bottom + 5) return false;  // below it is only empty space
                     const old = e.scrollTop; e.scrollBy(0, step); return e.scrollTop > old; }""",
                box["height"] - overlap,
            )
            if not more or len(paths) >= 150:
                return paths

    def close(self):
        """Shut the kernel down and close the page."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.context.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", help="paths such as notebooks/00-start-here.ipynb")
    parser.add_argument("--out", default="artefacts/screens", help="folder for the screenshots (default: %(default)s)")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--no-run", action="store_true", help="show the notebook as it is committed")
    wanted = parser.parse_args(arguments)
    if find_chromium() is None:
        print("no Chromium found: install it (Debian: apt-get install chromium) or set CHROMIUM=/path/to/it")
        return 2
    bad = 0
    with Lab() as lab, Browser(lab, wanted.width, wanted.height) as browser:
        for name in wanted.notebooks:
            path = Path(name).resolve()
            inside = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path.name)
            if not (lab.files / inside).exists():
                (lab.files / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, lab.files / inside)
            notebook = browser.open(inside.as_posix())
            seconds = 0.0 if wanted.no_run else notebook.run_all()
            folder = Path(wanted.out) / path.stem if len(wanted.notebooks) > 1 else Path(wanted.out)
            shots = notebook.screens(folder)
            errors = notebook.errors()
            blind = notebook.images_without_text()
            print(f"{name}: {seconds:.1f} s, {len(shots)} screenshots in {folder}")
            print("".join(f"  ERROR {line}\n" for line in errors), end="")
            print("".join(f"  NO ALT TEXT {line!r}\n" for line in blind), end="")
            bad += len(errors) + len(blind)
            notebook.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
