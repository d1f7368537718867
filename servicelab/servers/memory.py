"""A limit on what a process may take, so that it can be seen to run out of memory without taking the machine with it.

    memory = MemoryLimit(100_000_000)  # bytes more than now
    memory.check(spare=2_000_000)      # MemoryError, unless that much can still be had

Meant for a child process (:class:`~servicelab.servers.server_process.ServerProcess`): a limit is for life.
"""

import mmap
import os

import psutil

from servicelab import arguments


class MemoryLimit:
    """This process may hold ``room`` bytes more than it does now.

    ``is_enforced``: the system itself refuses more, to whoever asks (Linux since 4.7: RLIMIT_DATA, which counts memory
    of one's own that can be written, and the stack of each thread in full). Elsewhere only :meth:`check` does. Making
    another one begins anew from what is held then. Raises ValueError for a ``room`` that is not above 0.
    """

    def __init__(self, room: int):
        arguments.positive("room", room, "bytes", "what the process may take beyond what it has now")
        self.room = room
        self._most = psutil.Process().memory_info().rss + room
        self.is_enforced = _limit_data(room)

    def check(self, spare: int = 0) -> None:
        """Raise MemoryError unless ``spare`` bytes more can be had.

        Where the limit is enforced they are asked for and given back. Who makes sure of more than anybody else asks
        for at once is the first to know, and can end the process in good order.
        """
        if not self.is_enforced:
            have = psutil.Process().memory_info().rss + spare <= self._most
        else:
            have = spare == 0 or _can_have(spare)
        if not have:
            raise MemoryError(f"the limit of {self.room / 1e6:.0f} MB more than at the start is reached")


def _limit_data(room) -> bool:
    """Set the soft limit; whether the system heeds it."""
    try:
        import resource

        with open("/proc/self/status") as status:
            held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = held + int(room)
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    except (ImportError, OSError, ValueError, StopIteration):  # not Linux
        return False
    return not _can_have(int(room) + mmap.PAGESIZE)  # some sandboxes know the call and ignore it


def _can_have(size) -> bool:
    """Whether the system gives ``size`` bytes (which are not touched, and given back at once)."""
    if os.name != "posix":
        return True
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True
