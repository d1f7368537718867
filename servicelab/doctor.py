"""Is this machine ready for the course? What is not comes with its mend.

    from servicelab.doctor import doctor
    doctor()

Each check is a function that looks at one thing and returns a :class:`Finding`. What it looks at is
an argument with a default, so that a test can hand it a broken machine.
"""

import importlib.metadata
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from packaging.requirements import Requirement

from servicelab.lifecycle import HOST
from servicelab.table import Table

OK, WARNING, PROBLEM = "ok", "warning", "problem"
MARKS = {OK: "✓ ok", WARNING: "! warning", PROBLEM: "✗ problem"}

OLDEST_PYTHON = (3, 11)
PORTS_WANTED = 40  # the most servers and proxies that one chapter runs at once, with room to spare
THREADS_WANTED = 150  # the largest load generator, its servers' workers, and the kernel's own
FILES_WANTED = 512  # each connection within one kernel costs two file descriptors, one at each end
CHAPTERS = 16  # 00 to 15
MEMORY_WANTED = 500e6  # bytes; what a chapter may use (the notebooks' tests hold them to it)
HEADINGS = ("verdict", "checked", "found", "what to do")
REINSTALL = "Run `make env` again, or update the conda environment, then restart the kernel."


@dataclass(frozen=True)
class Finding:
    """What a check found: ``what`` it looked at, ``verdict`` (ok, warning, problem), ``found`` and the ``mend``."""

    what: str
    verdict: str
    found: str
    mend: str = ""


class Diagnosis:
    """The findings of one visit. ``.passed`` is False if there is a problem; a warning does not count."""

    def __init__(self, findings: list[Finding]):
        self.findings = findings

    @property
    def passed(self) -> bool:
        return all(finding.verdict != PROBLEM for finding in self.findings)

    @property
    def headline(self) -> str:
        problems = sum(finding.verdict == PROBLEM for finding in self.findings)
        warnings = sum(finding.verdict == WARNING for finding in self.findings)
        if problems:
            return (
                f"{problems} of {len(self.findings)} checks found a problem: see the last column, then run this again"
            )
        if warnings:
            return f"Ready. {warnings} of {len(self.findings)} checks have something to say in the last column"
        return f"Ready: all {len(self.findings)} checks passed"

    def table(self) -> Table:
        rows = [(MARKS[f.verdict], f.what, f.found, f.mend) for f in self.findings]
        return Table(HEADINGS, rows, self.headline)

    def __str__(self):
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self):
        colours = {OK: "#009E73", WARNING: "#E69F00", PROBLEM: "#D55E00"}  # Okabe–Ito; the mark says the same
        left = "text-align:left; vertical-align:top"
        rows = "".join(
            f'<tr><td style="{left}; white-space:nowrap; border-left:4px solid {colours[f.verdict]}">'
            f"{MARKS[f.verdict]}</td>"
            + "".join(f'<td style="{left}">{escape(text)}</td>' for text in (f.what, f.found, f.mend))
            + "</tr>"
            for f in self.findings
        )
        heads = "".join(f'<th scope="col" style="{left}">{head}</th>' for head in HEADINGS)
        caption = f'<caption style="text-align:left; font-weight:bold">{escape(self.headline)}</caption>'
        return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


# -- the checks ---------------------------------------------------------------------------------


def check_python(version=sys.version_info, system=sys.platform) -> Finding:
    """The kernel's Python, and a system that has sockets and threads."""
    found = f"Python {version[0]}.{version[1]}.{version[2]} on {platform.platform(terse=True)}"
    if system in ("emscripten", "wasi"):
        mend = "A kernel in the browser has no sockets. Run the course on your machine or on Binder."
        return Finding("kernel", PROBLEM, f"Python in the browser ({system})", mend)
    if tuple(version[:2]) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        mend = f"Python {oldest} or later is needed. Choose the course's kernel, or run `make lab`."
        return Finding("kernel", PROBLEM, found, mend)
    return Finding("kernel", OK, found)


def check_versions(wanted=None, version_of: Callable = importlib.metadata.version) -> Finding:
    """The libraries against the ranges in pyproject.toml. ``wanted`` is a list of requirement lines."""
    if wanted is None:
        try:
            wanted = importlib.metadata.requires("servicelab") or []
        except importlib.metadata.PackageNotFoundError:
            mend = "In the course's folder: pip install --no-deps -e ."
            return Finding("libraries", PROBLEM, "the package servicelab is not installed in this kernel", mend)
    bad, good = [], 0
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = version_of(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            bad.append(f"{requirement.name} is missing, wanted {requirement.specifier}")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            good += 1
        else:
            bad.append(f"{requirement.name} is {version}, wanted {requirement.specifier}")
    if bad:
        return Finding("libraries", PROBLEM, "; ".join(bad), REINSTALL)
    return Finding("libraries", OK, f"{good} libraries have the versions that the course was written with")


def check_chapters(places=(Path(__file__).parents[1], Path("..")), wanted: int = CHAPTERS) -> Finding:
    """All chapters, and a lab for each but the first. ``places`` may have ``notebooks`` and ``labs`` in them."""
    found = [path for place in places for path in Path(place).glob("*/[0-9][0-9]-*.ipynb")]
    there = {(path.parent.name, int(path.name[:2])) for path in found}
    missing = [n for n in range(wanted) if not {("notebooks", n), ("labs", n) if n else ("notebooks", 0)} <= there]
    if missing:
        mend = "Get the whole course again (git pull, or a new download). What is there works by itself."
        return Finding("chapters", WARNING, f"of {wanted}, not whole: {', '.join(map('{:02}'.format, missing))}", mend)
    return Finding("chapters", OK, f"{wanted} chapters, and labs to all but the first")


def check_widgets(shell=None, labextensions=None) -> Finding:
    """Sliders and buttons: a notebook kernel, ipywidgets in it, and JupyterLab's half of it beside it.

    ``shell`` is IPython's shell object, ``labextensions`` the folders where JupyterLab looks for its half.
    """
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError as error:
        mend = f"Predictions, sliders and quizzes need ipywidgets. {REINSTALL}"
        return Finding("widgets", PROBLEM, f"this kernel has no widgets ({error})", mend)
    shell = shell or get_ipython()
    if getattr(shell, "kernel", None) is None:
        mend = "Open the notebook in JupyterLab (`make lab`); everything without a slider works here too."
        return Finding("widgets", WARNING, "no notebook: Python runs in a terminal or a script", mend)
    if labextensions is None:
        from jupyter_core.paths import jupyter_path

        labextensions = jupyter_path("labextensions")
    if not any((Path(folder) / "@jupyter-widgets" / "jupyterlab-manager").is_dir() for folder in labextensions):
        mend = (
            "If the slider below does not show: install jupyterlab_widgets where JupyterLab runs, and reload the page."
        )
        return Finding(
            "widgets", WARNING, f"ipywidgets {ipywidgets.__version__}, JupyterLab's half of it not seen", mend
        )
    return Finding("widgets", OK, f"ipywidgets {ipywidgets.__version__}")


def check_loopback(create: Callable = socket.create_server) -> Finding:
    """A server and a client on 127.0.0.1 exchange a message, and how long that takes."""
    try:
        with create((HOST, 0)) as server:
            server.settimeout(2)
            begin = time.perf_counter()
            with socket.create_connection(server.getsockname(), timeout=2) as client:
                near, _ = server.accept()
                with near:
                    near.settimeout(2)
                    client.sendall(b"ping")
                    answer = near.recv(4)
            took = time.perf_counter() - begin
    except OSError as error:
        mend = "A firewall or a security product blocks this machine from talking to itself: allow Python on 127.0.0.1."
        return Finding("loopback", PROBLEM, f"no conversation on {HOST}: {error}", mend)
    if answer != b"ping":
        mend = "Something between the two changes the data: switch off traffic inspection for 127.0.0.1."
        return Finding("loopback", PROBLEM, f"sent b'ping' to {HOST}, received {answer!r}", mend)
    return Finding("loopback", OK, f"connected and sent on {HOST} in {took * 1e3:.2f} ms")


def check_ports(create: Callable = socket.create_server, wanted: int = PORTS_WANTED) -> Finding:
    """Enough free ports: the course's servers listen on ports that the system chooses."""
    servers = []
    try:
        for _ in range(wanted):
            servers.append(create((HOST, 0)))
    except OSError as error:
        mend = "Stop other servers, or restart the machine; see also 'open files' below."
        return Finding("ports", PROBLEM, f"only {len(servers)} of {wanted} servers could listen: {error}", mend)
    finally:
        for server in servers:
            server.close()
    return Finding("ports", OK, f"{wanted} servers could listen at once")


def check_proxy(proxies: dict | None = None, bypass: Callable = proxy_bypass) -> Finding:
    """A proxy set for this machine's web traffic must leave 127.0.0.1 alone."""
    proxies = getproxies() if proxies is None else proxies
    proxy = proxies.get("http") or proxies.get("all")
    if proxy and not bypass(HOST):
        mend = f"Run %env NO_PROXY={HOST},localhost in a cell, or set it before JupyterLab starts."
        return Finding("proxy", WARNING, f"calls to {HOST} would go through a proxy", mend)
    return Finding("proxy", OK, f"calls to {HOST} go straight there")


def check_threads(start: Callable = threading.Thread.start, wanted: int = THREADS_WANTED) -> Finding:
    """Enough threads at once, for load generators and servers."""
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, name="servicelab doctor", daemon=True) for _ in range(wanted)]
    begun = []
    try:
        for thread in threads:
            start(thread)
            begun.append(thread)
    except RuntimeError as error:
        mend = "Raise the limit on processes (ulimit -u, or the container's pids limit), or close other kernels."
        return Finding("threads", PROBLEM, f"only {len(begun)} of {wanted} threads could start: {error}", mend)
    finally:
        end.set()
        for thread in begun:
            thread.join()
    return Finding("threads", OK, f"{wanted} threads could run at once")


def check_files(limit: Callable | None = None, wanted: int = FILES_WANTED) -> Finding:
    """Enough open files; a socket is one."""
    if limit is None:
        try:
            import resource
        except ImportError:  # Windows has no such limit worth naming
            return Finding("open files", OK, "no limit on this system")
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    else:
        soft = limit()
    unlimited = -1  # resource.RLIM_INFINITY is this on Linux; macOS has a huge number instead
    if soft != unlimited and soft < wanted:
        mend = "In the terminal, before `make lab`: ulimit -n 4096"
        return Finding("open files", PROBLEM, f"{soft} at most, {wanted} wanted", mend)
    return Finding("open files", OK, "no limit" if soft == unlimited else f"{soft} at most")


def check_memory(free: Callable | None = None, wanted: float = MEMORY_WANTED) -> Finding:
    """Enough memory for the longest chapter, by the container's limit if there is one. ``free()`` is in bytes."""
    available = (free or free_memory)()
    if available < wanted:
        mend = "Shut down other kernels (the round icon at the left of JupyterLab), or close other programs."
        return Finding(
            "memory", WARNING, f"{available / 1e6:.0f} MB free, a chapter may use {wanted / 1e6:.0f} MB", mend
        )
    return Finding("memory", OK, f"{available / 1e9:.1f} GB free")


def check_clock(sleep: Callable = time.sleep, clock: Callable = time.monotonic) -> Finding:
    """How much longer than asked a short sleep takes: the smallest delay that means something here."""
    over = []
    for _ in range(15):
        begin = clock()
        sleep(0.002)
        over.append(clock() - begin - 0.002)
    typical = sorted(over)[len(over) // 2]
    found = f"a sleep of 2 ms takes {typical * 1e3 + 2:.1f} ms"
    if typical > 0.010:
        mend = "Measured delays will be coarse. Close what keeps the processor busy; figures still hold in their bands."
        return Finding("clock", WARNING, found, mend)
    return Finding("clock", OK, found)


def free_memory() -> int:
    """Bytes that a new process may use: the machine's, or what is left of the container's limit."""
    import psutil

    free = psutil.virtual_memory().available
    limit = os.environ.get("MEM_LIMIT", "")  # set by JupyterHub and Binder, in bytes
    if limit.isdigit():
        free = min(free, int(limit) - psutil.Process().memory_info().rss)
    try:
        group = Path("/sys/fs/cgroup")
        most, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        if most != "max":
            free = min(free, int(most) - int(used))
    except (OSError, ValueError):
        pass  # no control groups here: the machine's figure stands
    return max(free, 0)


CHECKS = (
    check_python, check_versions, check_chapters, check_widgets, check_loopback, check_ports, check_proxy,
    check_threads, check_files, check_memory, check_clock,
)  # fmt: skip


def doctor(checks=CHECKS) -> Diagnosis:
    """Run every check and return the diagnosis. A check that itself fails is a problem, and the rest go on."""
    findings = []
    for check in checks:
        try:
            findings.append(check())
        except Exception as error:
            what = check.__name__.removeprefix("check_")
            mend = "This is unexpected. Restart the kernel and run it again; if it stays, report it with this text."
            findings.append(Finding(what, PROBLEM, f"the check failed: {type(error).__name__}: {error}", mend))
    return Diagnosis(findings)


if __name__ == "__main__":
    diagnosis = doctor()
    print(diagnosis)
    sys.exit(0 if diagnosis.passed else 1)
