"""Runs notebooks the way learners do, and looks at what they leave behind.

A :class:`Session` is one kernel with one notebook, in a copy of the course's folders. Its cells can
be run in any order, once or twice, interrupted, or the kernel killed. While it runs, a watcher looks
at the sockets on which the kernel and its children listen, and at their memory. Afterwards
:meth:`Session.leaks` names every thread, socket, child process and file that was left.
"""

import itertools
import json
import os
import queue
import re
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import uuid
import warnings
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
from jupyter_core.utils import ensure_async, run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat.v4 import new_code_cell

from tests.cells import needed

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("notebooks", "solutions", "labs", "docs")
LOOPBACK = "127.0.0.1"
CELL_LIMIT = 120  # seconds; a guard against a cell that hangs, not a budget

CACHES = {"__pycache__", ".ipynb_checkpoints"}

#: "Interrupt the cell, if one is still running." A SIGINT just after a cell's last line meets ipykernel while it sends
#: the reply: that is lost, and whoever waits for it waits for ever.
INTERRUPT = signal.SIGUSR1

PREPARE = f"""
def _prepare():
    import os, signal, sys, threading, types

    probe = sys.modules["_servicelab_probe"] = types.ModuleType("_servicelab_probe")
    probe.binds, ns = [], get_ipython().user_ns

    def note(event, args):
        # Each bind of a TCP socket, however short its life: the watcher outside only samples.
        if event == "socket.bind" and args[0].family.name != "AF_UNIX" and args[0].type.name == "SOCK_STREAM":
            # At its import urllib3 binds to ::1, without listening, to see whether there is IPv6.
            if sys._getframe(1).f_globals.get("__name__") != "urllib3.util.connection":
                probe.binds.append({LOOPBACK!r} if is_for_loopback(args[0]) else args[1][0])

    def is_for_loopback(sock):
        # SO_BINDTODEVICE: on whatever address it listens, nothing from outside reaches it.
        return sys.platform == "linux" and sock.getsockopt(1, 25, 16) == b"lo\\0"

    def interrupt(number, frame):
        while frame and not (frame.f_globals is ns and frame.f_code.co_name == "<module>"):
            if frame.f_globals["__name__"] == "ipykernel.iostream":
                # Here an interrupt may leave the lock of an event held: the kernel's thread that publishes then waits
                # for it for ever, and so does whoever waits for an answer. Try again when it is past.
                threading.Timer(0.01, os.kill, (os.getpid(), number)).start()
                return
            frame = frame.f_back
        if frame:
            signal.raise_signal(signal.SIGINT)

    sys.addaudithook(note)
    signal.signal({INTERRUPT:d}, interrupt)
_prepare()
del _prepare
"""
PROBE = """
def _probe():
    import gc, json, sys, threading
    # The traceback of an interrupt holds the frames of the interrupted call, and they its connections. Python and
    # IPython keep the last one for a debugger.
    for kept in ("last_type", "last_value", "last_traceback"):
        sys.__dict__.pop(kept, None)
    get_ipython().InteractiveTB.tb = None
    gc.collect()
    def name(t):
        if not t.name.startswith("Thread-"):
            return t.name
        work = getattr(t, "_target", None) or type(t)
        return f"{t.name} of {work.__module__}.{work.__qualname__}"
    # tqdm and the kernel's own pyzmq keep one daemon thread each for a process; all else must have ended.
    kept = ("TMonitor", "GarbageCollectorThread")
    names = [name(t) for t in threading.enumerate() if type(t).__name__ not in kept]
    print(json.dumps({"threads": names,
                      "binds": sorted(set(sys.modules["_servicelab_probe"].binds))}))
_probe()
del _probe
"""


@dataclass
class Report:
    """What the first complete run of each cell took and did, and the most memory of all runs, in bytes.

    ``seconds`` by cell, ``serving`` the ports that listened while it ran, ``open_after`` those that still listened at
    its end, ``opened`` those of them that did not before, ``children`` how many child processes there were without
    joblib's, ``interrupted`` the cells whose interrupt ended them.
    """

    seconds: dict[int, float] = field(default_factory=dict)
    serving: dict[int, set[int]] = field(default_factory=dict)
    open_after: dict[int, set[int]] = field(default_factory=dict)
    opened: dict[int, set[int]] = field(default_factory=dict)
    children: dict[int, int] = field(default_factory=dict)
    interrupted: list[int] = field(default_factory=list)
    peak_memory: int = 0

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def serving_cell(self, least: float = 0.5) -> int | None:
        """The first cell that serves for ``least`` seconds or more; one with child processes, if there is any."""
        serving = [cell for cell, ports in self.serving.items() if ports and self.seconds[cell] >= least]
        return min(serving, key=lambda cell: (not self.children[cell], cell), default=None)

    def cell_that_leaves_open(self) -> int | None:
        """The first cell after which a server still listens; one with child processes, if there is any."""
        leaving = [cell for cell, ports in self.open_after.items() if ports]
        return min(leaving, key=lambda cell: (not self.children[cell], cell), default=None)


class Watcher(threading.Thread):
    """Samples the memory of a process and its children every ``step`` seconds. Every fifth time it looks for new
    children, and at what all listen on: the table of all processes takes long to read."""

    def __init__(self, pid: int, own: set[int], step: float = 0.1):
        super().__init__(name="watcher", daemon=True)
        self.process = psutil.Process(pid)
        self.own = own
        self.step = step
        self.wide: set[str] = set()
        self.peak_memory = self._memory_before = 0
        self._processes: list[psutil.Process] = []
        self._pools: dict[int, bool] = {}  # by process id: is it joblib's?
        self.forget()
        self._done = threading.Event()

    def forget(self) -> None:
        """Begin anew with what one cell serves."""
        self.ports: set[int] = set()
        self.most = 0  # processes at once

    def run(self):
        for count in itertools.count():
            self.look(all_of_it=count % 5 == 0)
            if self._done.wait(self.step):
                return

    def look(self, all_of_it: bool = True) -> None:
        if all_of_it:
            self._processes = family(self.process)
            self.most = max(self.most, sum(not self._is_pool(process) for process in self._processes))
        memory = 0
        for process in self._processes:
            try:
                memory += own_memory(process, process is not self._processes[0])
            except psutil.Error:
                continue
            for ip, port, device in listening(process) if all_of_it else ():
                # gRPC listens on 127.0.0.1 in IPv6's spelling; chapter 13 on all addresses of the loopback device.
                if ip.removeprefix("::ffff:") != LOOPBACK and device != "lo":
                    self.wide.add(f"listened on {ip}, port {port}: only {LOOPBACK} is allowed")
                if port not in self.own:
                    self.ports.add(port)
        # Twice in a row: a child that is just being started still counts all that its parent has.
        self.peak_memory = max(self.peak_memory, min(memory, self._memory_before))
        self._memory_before = memory

    def _is_pool(self, process) -> bool:
        if process.pid not in self._pools:
            self._pools[process.pid] = bool(JOBLIB.search(describe(process)))
        return self._pools[process.pid]

    def stop(self):
        self._done.set()
        self.join()


#: What belongs to joblib in a process's command line.
JOBLIB = re.compile("loky|resource_tracker")
#: An interrupt that meets the garbage collector, and what tqdm's destructor says of a bar that was interrupted while it
#: was made, and so lacks what its ``close`` wants.
IN_THE_COLLECTOR = re.compile(
    r"Exception ignored in: (.*KeyboardInterrupt:?|<function tqdm\.__del__ .*\nAttributeError: [^\n]*)", re.S
)
#: What became of an interrupt: ``str`` of a string looks for signals (CPython's ``PyObject_Str``), and whoever calls it
#: in C and takes any failure for a wrong type raises an error of its own in place of KeyboardInterrupt.
REPLACED = {("TypeError", "expected list of unicode strings")}  # confluent-kafka 2.16, Consumer.subscribe


class Session:
    """One kernel for ``notebook``, a path below ``root``; ``env`` is added to the kernel's environment.

    Use as a context manager. ``folder`` is an empty folder for the copy of the course.
    """

    def __init__(self, notebook: Path, folder: Path, root: Path = ROOT, env: dict | None = None):
        self.folder = Path(folder) / "course"
        for name in FOLDERS:
            if (root / name).is_dir():
                ignore = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
                shutil.copytree(root / name, self.folder / name, ignore=ignore)
        self.path = self.folder / Path(notebook).resolve().relative_to(Path(root).resolve())
        self.nb = nbformat.read(self.path, as_version=4)
        self.env = os.environ | {
            "IPYTHONDIR": str(Path(folder) / "ipython"),
            "SERVICELAB_PROGRESS": str(Path(folder) / "progress.json"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        self.env |= env or {}
        self.code_cells = [i for i, cell in enumerate(self.nb.cells) if cell.cell_type == "code"]
        self.report = Report()
        self._said: list[str] = []  # to standard error

    def __enter__(self):
        with ExitStack() as stack:
            self.client = client_for(self.nb, self.path.parent, timeout=CELL_LIMIT)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stack.enter_context(self.client.setup_kernel(env=self.env))
            poll_in_slices(self.client.kc.shell_channel)
            poll_in_slices(self.client.kc.iopub_channel)
            self._wait_until_it_is_heard()
            self.pid = self.client.km.provisioner.pid
            self.run_code(PREPARE)
            self._own = {port for _, port, _ in listening(psutil.Process(self.pid))}
            self._threads = self._probe()["threads"]
            self._children = {child.pid for child in family(psutil.Process(self.pid))[1:]}
            self._files = files_below(self.folder)
            self.watcher = Watcher(self.pid, self._own)
            self.watcher.start()
            stack.callback(self.watcher.stop)
            self._stack = stack.pop_all()
        return self

    def _wait_until_it_is_heard(self):
        """What a kernel says before our subscription has reached it is lost (a slow joiner, as ZeroMQ has it). So it is
        made to speak until we hear it, as jupyter-server does too."""
        for _ in range(10):
            if self.run_code("print('here')"):
                return
        raise RuntimeError("the kernel answers, but nothing that it prints arrives")

    def __exit__(self, *error):
        self._stack.close()

    # -- running ----------------------------------------------------------------------------

    def run_cell(self, index: int) -> None:
        """Run one cell of the notebook. Raises nbclient's CellExecutionError when it fails."""
        self.watcher.forget()
        begin = time.monotonic()
        self.client.execute_cell(self.nb.cells[index], index)
        seconds = time.monotonic() - begin
        self.watcher.look()
        self.report.peak_memory = self.watcher.peak_memory
        self._said += stderr_of(self.nb.cells[index])
        if index not in self.report.seconds:
            open_before = next(reversed(self.report.open_after.values()), set())
            self.report.seconds[index] = seconds
            self.report.serving[index] = set(self.watcher.ports)
            self.report.open_after[index] = self.open_ports()
            self.report.opened[index] = self.report.open_after[index] - open_before
            self.report.children[index] = self.watcher.most - 1 - len(self._children)

    def run_all(self, until: int | None = None, interrupt_after: float | None = None, twice=lambda index: False):
        """Run the cells in order, the last being ``until``. A cell is run again right after its end if
        ``twice(index)``, which may look at the report of that run.

        With ``interrupt_after`` a cell that still serves after so many seconds is interrupted, and then run.
        """
        for index in self.code_cells:
            if until is not None and index > until:
                return
            interrupted = interrupt_after is not None and self.interrupt_cell(index, interrupt_after)
            if interrupted or interrupt_after is None:
                self.run_cell(index)
            if not interrupted and twice(index):
                self.run_cell(index)

    def run_what_it_needs(self, last: int) -> None:
        """Run the cells before the cell ``last`` whose names it needs, and those that they need, in order."""
        code = {index: self.nb.cells[index].source for index in self.code_cells}
        for index in needed(code, last)[:-1]:
            self.run_cell(index)

    def run_code(self, source: str) -> str:
        """Run ``source`` beside the notebook's cells; returns what it printed."""
        self.nb.cells.append(new_code_cell(source))
        try:
            cell = self.client.execute_cell(self.nb.cells[-1], len(self.nb.cells) - 1, store_history=False)
        finally:
            self.nb.cells.pop()
        return "".join(out.text for out in cell.outputs if out.output_type == "stream" and out.name == "stdout")

    def interrupt_cell(self, index: int, after: float) -> bool:
        """Run a cell, and interrupt it when it has run for ``after`` seconds and a server listens. True if that
        is what ended it; else it has run to its end."""
        try:
            with self._while_it_serves(after, lambda ports: os.kill(self.pid, INTERRUPT)):
                self.run_cell(index)
            return False
        except CellExecutionError as error:
            if error.ename != "KeyboardInterrupt" and (error.ename, error.evalue) not in REPLACED:
                raise
            self.report.interrupted.append(index)
            return True

    def kill_in_cell(self, index: int, after: float, limit: float = 30.0) -> set[int]:
        """Run a cell, and kill the kernel when it has run for ``after`` seconds and a server listens, or when the cell
        is over before; returns the ports that were open, and sees that all children end.

        A restart that the kernel does not answer ends the same way. Raises AssertionError when a
        port still listens or a child lives ``limit`` s later; 30 are far more than a busy machine needs.
        """
        family_then: list[psutil.Process] = []
        idle: list[psutil.Process] = []
        ports: set[int] = set()

        def kill(open_now):
            family_then.extend(family(psutil.Process(self.pid)))
            # joblib's idle workers see only after minutes that nobody will come any more; they hold no port.
            pools = [process for process in family_then[1:] if JOBLIB.search(describe(process))]
            family_then[:] = [process for process in family_then if process not in pools]
            idle.extend(pools)
            os.kill(self.pid, signal.SIGKILL)
            ports.update(open_now)

        with suppress(DeadKernelError, RuntimeError, psutil.NoSuchProcess), self._while_it_serves(after, kill):
            self.run_cell(index)
        if not family_then:
            kill(self.open_ports())
        for process in idle:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert_gone(ports, family_then, limit)
        return ports

    @contextmanager
    def _while_it_serves(self, after: float, act):
        """Call ``act(ports)`` once: after ``after`` seconds, as soon as a server listens on ``ports``; never if the
        block ends before."""
        ended = threading.Event()

        def wait():
            if not ended.wait(after):
                while not (ports := self.open_ports()):
                    if ended.wait(0.05):
                        return
                act(ports)

        thread = threading.Thread(target=wait, name="interrupter", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def restart(self) -> set[int]:
        """Restart the kernel as Lab's menu does; returns the ports that were open and are free now."""
        ports, then = self.open_ports(), family(psutil.Process(self.pid))
        run_sync(self.client.km.restart_kernel)(now=False)
        assert_gone(ports, then)
        return ports

    # -- looking ----------------------------------------------------------------------------

    def open_ports(self) -> set[int]:
        """The ports on which the kernel or a child listens, without the kernel's own."""
        found = set()
        for process in family(psutil.Process(self.pid)):
            found |= {port for _, port, _ in listening(process)}
        return found - self._own

    def leaks(self, wait: float = 10.0) -> list[str]:
        """What the notebook left behind, one line each; things may take ``wait`` seconds to end."""
        end = time.monotonic() + wait
        while (found := self._leaks_now()) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def stderr(self) -> list[str]:
        """What cells wrote to standard error: warnings that a learner would see in red. Each once."""
        return list(dict.fromkeys(self._said))

    def _leaks_now(self) -> list[str]:
        found = sorted(self.watcher.wide)
        probe = self._probe()
        found += [f"bound {ip!r}: only {LOOPBACK} is allowed" for ip in probe["binds"] if ip != LOOPBACK]
        left = list(probe["threads"])
        for name in self._threads:
            if name in left:
                left.remove(name)
        found += [f"thread {name!r} still runs" for name in left]
        kernel = psutil.Process(self.pid)
        for child in family(kernel)[1:]:
            # joblib and Python each keep one small process that tidies up after the others when the kernel ends.
            if child.pid not in self._children and "resource_tracker" not in describe(child):
                found.append(f"child process still runs: {describe(child)}")
        for link in kernel.net_connections("inet"):
            if link.laddr and link.laddr.port not in self._own and not (link.raddr and link.raddr.port in self._own):
                other = f" to port {link.raddr.port}" if link.raddr else ""
                found.append(f"socket still open: {link.laddr.ip}:{link.laddr.port}{other} {link.status}")
        found += [f"file left: {name}" for name in sorted(files_below(self.folder) - self._files)]
        return found

    def _probe(self) -> dict:
        return json.loads(self.run_code(PROBE).strip().splitlines()[-1])


def client_for(notebook, folder: Path, **options) -> NotebookClient:
    """A client whose kernel runs in ``folder``, and is spoken to through files: Jupyter looks for free ports before it
    starts a kernel, and by then another test may have them."""
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", startup_timeout=60, resources=where, **options)
    manager = client.create_kernel_manager()
    manager.transport, manager.ip = "ipc", f"{tempfile.gettempdir()}/servicelab-{uuid.uuid4().hex[:12]}"
    return client


def poll_in_slices(channel, step: float = 1.0) -> None:
    """Make ``channel.get_msg`` look again every ``step`` seconds.

    A wake-up on the shell socket is sometimes missed while an Output widget captures a cell; the
    reply then lies there unread until the whole timeout is over.
    """
    original = channel.get_msg

    async def get_msg(timeout=None):
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = step if end is None else max(0.0, min(step, end - time.monotonic()))
            try:
                return await ensure_async(original(timeout=left))
            except queue.Empty:
                if end is not None and time.monotonic() >= end:
                    raise

    channel.get_msg = get_msg


def stderr_of(cell) -> list[str]:
    """What the last run of a cell wrote to standard error.

    An interrupt that meets a destructor cannot be raised there: Python says so in some lines and goes on.
    """
    said = [out.text.strip() for out in cell.get("outputs", []) if out.output_type == "stream" and out.name == "stderr"]
    return [f"cell {cell.get('id')}: {text[:300]}" for text in said if text and not IN_THE_COLLECTOR.fullmatch(text)]


def family(process: psutil.Process) -> list[psutil.Process]:
    """``process`` and its living descendants; empty if it has gone."""
    try:
        children = process.children(recursive=True)
        return [process] + [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def own_memory(process: psutil.Process, is_child: bool) -> int:
    """Bytes that a process needs. A child maps the libraries that its kernel has mapped: they are in memory once."""
    info = process.memory_info()
    return info.rss - (getattr(info, "shared", 0) if is_child else 0)  # told by Linux alone


def listening(process: psutil.Process) -> list[tuple[str, int, str]]:
    """``(address, port, device)`` of every TCP socket on which ``process`` listens; empty if it has gone. ``device`` is
    that to which the socket is bound, "" for none; only Linux says it."""
    if sys.platform == "linux":
        found = listeners()
        return [found[inode] for inode in sockets_of(process.pid) & found.keys()]
    try:
        links = process.net_connections("tcp")
    except psutil.Error:
        return []
    return [(link.laddr.ip, link.laddr.port, "") for link in links if link.status == psutil.CONN_LISTEN]


def sockets_of(pid: int) -> set[int]:
    """The inodes of a process's open sockets; empty if it has gone."""
    found, folder = set(), f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):  # it is closed by now
                kind, _, inode = os.readlink(f"{folder}/{name}").partition(":")
                if kind == "socket":
                    found.add(int(inode.strip("[]")))
    return found


def listeners() -> dict[int, tuple[str, int, str]]:
    """Inode → ``(address, port, device)`` of every TCP socket that listens, by sock_diag(7).

    psutil reads the table of all sockets, with the thousands that a load leaves in TIME_WAIT: 15 ms of computing for
    each process, which the notebooks' runs feel.
    """
    found = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as link:
        for kind, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
            link.send(struct.pack("=IHHIIBBBBI48x", 72, 20, 0x301, 1, 0, kind, 6, 0, 0, 1 << 10))
            for message in messages(link):
                address = socket.inet_ntop(kind, message[24 : 24 + size])
                (port,), (bound,) = struct.unpack_from(">H", message, 20), struct.unpack_from("=I", message, 56)
                (inode,) = struct.unpack_from("=I", message, 84)
                found[inode] = (address, port, socket.if_indextoname(bound) if bound else "")
    return found


def messages(link: socket.socket):
    """What the kernel answers on a netlink socket, message by message, until it says that this was all."""
    while True:
        data = link.recv(65536)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (2, 3):  # an error, or the end
                return
            yield data[:length]
            data = data[(length + 3) // 4 * 4 :]


def files_below(folder: Path) -> set[str]:
    """All files below ``folder``, without caches."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not CACHES & set(path.relative_to(folder).parts)
    }


def describe(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200] or process.name()
    except psutil.Error:
        return f"process {process.pid}"


def assert_gone(ports: set[int], processes: list[psutil.Process], limit: float = 30.0) -> None:
    """Wait until nothing answers on ``ports`` and none of ``processes`` lives; AssertionError after ``limit`` s."""
    from servicelab.lifecycle import is_listening

    _, alive = psutil.wait_procs(processes, timeout=limit)
    alive = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not alive, f"still running: {[describe(process) for process in alive]}"
    end = time.monotonic() + limit
    while (busy := [port for port in ports if is_listening(port)]) and time.monotonic() < end:
        time.sleep(0.1)
    assert not busy, f"ports still answer: {busy}"


def main(arguments=None) -> int:
    """``python -m tests.notebooks FILE…`` runs each once and prints time, memory and what it left."""
    bad = 0
    for name in sys.argv[1:] if arguments is None else arguments:
        with tempfile.TemporaryDirectory() as folder, Session(Path(name), Path(folder)) as session:
            session.run_all()
            left = session.leaks() + session.stderr()
            report = session.report
            slow = max(report.seconds, key=report.seconds.get, default=None)
            print(f"{name}: {report.total:.1f} s, peak {report.peak_memory / 1e6:.0f} MB, "
                  f"longest cell {slow}: {report.seconds.get(slow, 0):.1f} s")  # fmt: skip
            print("".join(f"  {line}\n" for line in left), end="")
            bad += len(left)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
