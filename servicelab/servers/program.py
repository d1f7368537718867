"""Somebody else's server, such as nginx, for the length of a ``with`` block."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from servicelab.lifecycle import ServerError

# A process between us and the program: it ends the program when its standard input closes, which happens also when
# this process is killed. It ends with the program.
KEEPER = """
import subprocess, sys, threading
program = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, pass_fds=eval(sys.argv[1]))
def wait():
    sys.stdin.read()
    program.kill()
threading.Thread(target=wait, daemon=True).start()
sys.exit(program.wait())
"""


@contextmanager
def foreign(command, address, *, pass_fds=(), limit: float = 10.0):
    """Run ``command``, a list, until the block ends, however it ends, or this process does.

    The block begins when something listens at ``address``, a pair ``(host, port)``. ``pass_fds`` are file descriptors
    that the program inherits. What it prints is dropped. Raises ServerError when it has ended by itself, or does not
    listen within ``limit`` seconds.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-c", KEEPER, repr(tuple(pass_fds)), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(pass_fds),
    )
    try:
        _wait_until_it_listens(keeper, command[0], address, limit)
        yield
    finally:
        keeper.stdin.close()
        keeper.wait()


def _wait_until_it_listens(keeper, program, address, limit):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if keeper.poll() is not None:
            raise ServerError(f"{program} ended by itself with {keeper.returncode}: run it in a terminal to see why")
        try:
            socket.create_connection(address, 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise ServerError(f"{program} does not listen at {address[0]}:{address[1]} after {limit:g} s")
