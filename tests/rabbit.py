"""A RabbitMQ node of one's own for tests and benchmarks: private directory, loopback only, gone afterwards.

``with RabbitMQ() as rabbit: … rabbit.url``. The node shares nothing with a RabbitMQ that the machine may run: name,
cookie, ports, data, logs and plugins are its own, and so is the port mapper (epmd) that an Erlang node registers with.
Only AMQP 0-9-1 is offered, no plugin is enabled. Everything is bounded in time and ends by process id.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

START_LIMIT = 60.0  # seconds; a start takes about 6 on an idle machine
STOP_LIMIT = 30.0  # seconds until a node that was asked to stop is killed
COMMAND_LIMIT = 60.0  # seconds for one rabbitmqctl
DEBIAN_SCRIPTS = Path("/usr/lib/rabbitmq/bin")  # Debian's wrapper in PATH insists on its own user and directories

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
loopback_users.guest = true
log.file.level = info
# A test machine with a full disk or a large cache must not block publishers.
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = {memory}
{more}
"""


def find_rabbitmq(name: str = "rabbitmq-server") -> str | None:
    """The path of RabbitMQ's own script ``name``, past Debian's wrapper."""
    found = DEBIAN_SCRIPTS / name
    if found.exists():
        return str(found)
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that the system found free a moment ago, all different."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


class RabbitMQ:
    """One node. ``memory``: bytes at which it blocks publishers; ``more``: further lines of rabbitmq.conf."""

    def __init__(self, memory: int = 1_500_000_000, more: str = ""):
        script = find_rabbitmq()
        if script is None:
            raise FileNotFoundError("rabbitmq-server is not installed (Debian: apt install rabbitmq-server)")
        self.script = script
        self.settings = {"memory": memory, "more": more}
        self.node = self.mapper = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @property
    def pid(self) -> int:
        """Process id of the Erlang machine."""
        return self.node.pid

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="servicelab-rabbitmq-"))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def restart_app(self):
        """Stop and start the broker inside the node: connections end, what is durable stays. About 2 s."""
        self.control("eval", "rabbit:stop(), rabbit:start().")
        self._wait_until_it_answers()

    def kill(self):
        """`kill -9` of the node, at once."""
        self.node.kill()

    def restart(self):
        """Start it again after :meth:`kill`, with the same files and port. As long as a start."""
        self.node.wait(STOP_LIMIT)
        self._start_node()

    def control(self, *arguments: str) -> str:
        """What ``rabbitmqctl <arguments>`` prints; about 1 s a call."""
        command = [find_rabbitmq("rabbitmqctl"), "--quiet", "--node", self.name, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=COMMAND_LIMIT)
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    @contextmanager
    def setting(self, name: str, value: int):
        """The node's setting ``name`` is ``value`` meanwhile."""
        old = self.control("eval", f"application:get_env(rabbit, {name}, undefined).").strip()
        self.control("eval", f"application:set_env(rabbit, {name}, {value}).")
        try:
            yield
        finally:
            self.control("eval", f"application:set_env(rabbit, {name}, {old}).")

    def stop(self):
        """End node and port mapper and remove the directory. Raises RuntimeError when a process is left."""
        processes = []
        for process in (self.node, self.mapper):
            if process is not None and process.poll() is None:
                with suppress(psutil.NoSuchProcess):
                    processes += psutil.Process(process.pid).children(recursive=True)
                process.terminate()
                try:
                    process.wait(STOP_LIMIT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(STOP_LIMIT)
        left = psutil.wait_procs(processes, timeout=5)[1]
        for process in left:  # helpers of the Erlang machine, which end when it does
            with suppress(psutil.NoSuchProcess):
                process.kill()
        left = psutil.wait_procs(left, timeout=5)[1]
        self.node = self.mapper = None
        shutil.rmtree(self.folder, ignore_errors=True)
        if left:
            raise RuntimeError(f"processes of RabbitMQ are left: {left}")

    def _start(self):
        """Start mapper and node, and wait until the node takes clients."""
        self.port, distribution, mapper = free_ports(3)
        self.name = f"servicelab-{os.getpid()}-{self.port}@localhost"
        for name in ("data", "log", "home"):
            (self.folder / name).mkdir()
        configuration = self.folder / "rabbitmq.conf"
        configuration.write_text(CONFIGURATION.format(port=self.port, **self.settings), encoding="utf-8")
        for name in ("enabled_plugins", "rabbitmq-env.conf", "advanced.config"):
            (self.folder / name).write_text("[].\n" if name != "rabbitmq-env.conf" else "", encoding="utf-8")
        ours = {
            "HOME": str(self.folder / "home"),  # the Erlang cookie is made there
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "node.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the Erlang machine, without a shell in between
        }
        strangers = ("RABBITMQ_", "ERL_", "XDG_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(strangers)} | ours
        epmd = shutil.which("epmd") or "epmd"
        self.mapper = subprocess.Popen(
            [epmd, "-address", "127.0.0.1", "-port", str(mapper)], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._wait_until_it_listens(mapper)  # a node that found none would start one that outlives it
        self._start_node()

    def _start_node(self):
        with open(self.folder / "output", "wb") as output:
            self.node = subprocess.Popen(
                [self.script], env=self.environment, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._wait_until_it_answers()

    def _wait_until_it_listens(self, port: int):
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.01)
        raise RuntimeError(f"the Erlang port mapper did not listen on port {port}")

    def _wait_until_it_answers(self):
        """Until the node greets a client with Connection.Start."""
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            if self.node.poll() is not None:
                raise RuntimeError(f"RabbitMQ ended with {self.node.returncode}:\n{self._last_output()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(b"AMQP\x00\x00\x09\x01")
                if client.recv(8)[:3] == b"\x01\x00\x00":
                    return
            time.sleep(0.05)
        raise RuntimeError(f"RabbitMQ did not answer within {START_LIMIT:.0f} s:\n{self._last_output()}")

    def _last_output(self, most: int = 2000) -> str:
        texts = [(self.folder / "output").read_text(encoding="utf-8", errors="replace")]
        texts += [path.read_text(encoding="utf-8", errors="replace") for path in (self.folder / "log").glob("*.log")]
        return "\n".join(text[-most:] for text in texts)
