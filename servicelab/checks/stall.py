"""Asking again when the machine stood still meanwhile.

A container that is suspended, or a laptop whose processor others took, can stand still for a second. What is timed in
that second is wrong, however right the code. So a check that was not passed is made again then, and an exercise that
lets the learner's code measure something for long asks for it calmly: one still moment does not cost all the rest.
"""

import math
import threading
import time
import weakref
from typing import Any, NamedTuple

#: Seconds by which a sleep may be too long. Threads of one interpreter keep each other waiting for less: 5 ms a switch.
LATE = 0.2
#: How often the code is asked, or a check made, at the most; where the machine is never calm the last answer counts.
TIMES = 3
_STEP = 0.01  # seconds


class StallWatch:
    """Sees, for the length of a ``with`` block, by how much a short sleep was too long: ``.longest``, in seconds."""

    def __init__(self):
        self._seen, over = [0.0], threading.Event()
        # Without a hold on this object, whose end is the thread's too: an interrupt may come before the block begins.
        self._end = weakref.finalize(self, over.set)
        self._thread = threading.Thread(
            target=_watch, args=(self._seen, over), name="servicelab check stall watch", daemon=True
        )

    @property
    def longest(self) -> float:
        return self._seen[0]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._end()
        self._thread.join()


def _watch(seen: list[float], over: threading.Event) -> None:
    is_over = False
    while not is_over:  # once more after the end, which may have come while the machine stood still
        start = time.monotonic()
        is_over = over.wait(_STEP)
        seen[0] = max(seen[0], time.monotonic() - start - _STEP)


class Asked(NamedTuple):
    """The last ``answer``, how many ``times`` the code was asked, and for how long the machine ``stood_still`` at the
    longest (seconds). ``is_calm`` is False when it did so during the last one, too."""

    answer: Any
    times: int
    stood_still: float
    is_calm: bool


def ask_calmly(call, is_enough=lambda answer: False, until: float = math.inf) -> Asked:
    """``call()``, and again if the machine stood still for LATE seconds meanwhile and the answer is not enough: TIMES
    at the most, and only if one more, as long as the last, ends before ``until`` (monotonic, seconds)."""
    longest, times, is_last = 0.0, 0, False
    while not is_last:
        times, start = times + 1, time.monotonic()
        with StallWatch() as watch:
            answer = call()
        now, longest, is_calm = time.monotonic(), max(longest, watch.longest), watch.longest < LATE
        is_last = is_calm or is_enough(answer) or times == TIMES or now + (now - start) > until
    return Asked(answer, times, longest, is_calm)


def calmly(call, *args, **kwargs):
    """The answer of ``call(*args, **kwargs)``, asked calmly."""
    return ask_calmly(lambda: call(*args, **kwargs)).answer
