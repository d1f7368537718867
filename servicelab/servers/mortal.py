"""A function in a process of its own, made to be killed: started in some 100 ms, gone at once, leaving what it wrote.

with Mortal(orders, file, rate) as process:
    time.sleep(0.3)
    process.kill()
"""

import os
import signal
import subprocess
import sys

import cloudpickle

from servicelab.lifecycle import Component, ServerError

#: The child: unpacks the function, says so, and calls it. It ends when its standard input closes, and so with us.
_CHILD = """
import os, pickle, sys, threading
data = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "big"))
path, cargo = pickle.loads(data)
sys.path[:] = path
work, arguments = pickle.loads(cargo)
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
os.write(1, b"ready\\n")
os.dup2(2, 1)
try:
    work(*arguments)
except BaseException:
    import traceback
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
os._exit(0)
"""


class Mortal(Component):
    """Calls ``work(*arguments)`` in a child process. It is sent with cloudpickle: what it uses is copied, not shared.

    :meth:`start` (or ``with``) returns when the child begins to work. ``.fate`` is its exit status, negative when it
    was killed, None while it lives. Raises ServerError when ``work`` cannot be sent, or the child dies before it works.
    """

    def __init__(self, work, *arguments, name: str = "mortal"):
        super().__init__(name)
        self.work, self.arguments = work, arguments
        self._process = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def fate(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Nothing in it can notice. ServerError if it was never started."""
        if self._process is None:
            raise ServerError(f"{self.name} has no process: start it before you kill it")
        self._process.kill()
        self._process.wait()

    def wait(self, limit: float = 30) -> int:
        """Until it has ended, by itself or not; its ``fate``. ServerError when it failed or takes over ``limit`` s."""
        if self._process is None:
            raise ServerError(f"{self.name} has no process: start it before you wait for it")
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise ServerError(f"{self.name} still works after {limit:g} s: kill() it") from None
        if self.fate > 0:
            raise ServerError(f"{self.name} failed:\n{self._last_words()}")
        return self.fate

    def _open(self):
        try:
            cargo = cloudpickle.dumps((self.work, self.arguments))
        except Exception as error:
            mend = "Let it open files and sockets itself, by their names."
            raise ServerError(f"{self.work!r} cannot be sent to a child process: {error}. {mend}") from error
        luggage = cloudpickle.dumps((sys.path, cargo))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,  # the kernel's interrupt goes to its whole process group
        )  # fmt: skip
        try:
            self._process.stdin.write(len(luggage).to_bytes(8, "big") + luggage)
            self._process.stdin.flush()
        except OSError:
            pass  # it has died; the next line sees it
        if self._process.stdout.readline() != b"ready\n":
            raise ServerError(f"{self.name} died before it could work:\n{self._last_words()}")

    def _last_words(self):
        return self._process.stderr.read().decode(errors="replace")

    def _close(self):
        if self._process is None:  # it could not be sent
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            pipe.close()


def die() -> None:
    """End this process as SIGKILL does, at this very line."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
