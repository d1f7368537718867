"""Runs a command on a machine that stalls: its processes are suspended again and again, each time for a moment.

``python -m tests.stalled 7 python -m pytest -n0 tests/test_dns.py`` suspends pytest, and now and then its children
with it, every second or so for up to a second; 7 is the seed. What then fails has counted on being quick: a sleep that
was to be long enough, an order of two threads, a list of threads right after a stop. With notebooks it finds means of
nothing and timeouts: ``python -m tests.stalled 7 python -m tests.notebooks notebooks/03-message-queues.ipynb``.

Prints how often it did so, and ends with the command's status. Needs a system with SIGSTOP.
"""

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

RUN, STALL, ALL = (0.2, 2.0), (0.1, 1.0), 0.4  # seconds between two stalls, seconds of one, share that stalls children


def family(process: psutil.Process, with_children: bool) -> list[psutil.Process]:
    """The processes to suspend; not those that the program itself keeps suspended."""
    found = [process, *(process.children(recursive=True) if with_children else ())]
    return [one for one in found if one.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)]


def each(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def run(command: list[str], seed: int) -> tuple[int, int]:
    """The status of ``command``, and how often it was suspended."""
    rng, stalls = random.Random(seed), 0
    with subprocess.Popen(command) as process:
        try:
            while process.poll() is None:
                try:
                    process.wait(rng.uniform(*RUN))
                except subprocess.TimeoutExpired:
                    stalls += _stall(psutil.Process(process.pid), rng)
        finally:
            process.kill()  # if we are interrupted; else it has ended
    return process.returncode, stalls


def _stall(process, rng) -> bool:
    try:
        stopped = family(process, rng.random() < ALL)
    except psutil.NoSuchProcess:
        return False
    try:
        each(stopped, signal.SIGSTOP)
        time.sleep(rng.uniform(*STALL))
    finally:
        each(stopped, signal.SIGCONT)
    return bool(stopped)


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not arguments[0].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    status, stalls = run(arguments[1:], int(arguments[0]))
    print(f"suspended {stalls} times, seed {arguments[0]}; status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
