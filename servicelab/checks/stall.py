"""Asking again when the machine stood still meanwhile.

A container that is suspended, or a laptop whose processor others took, can stand still for a second. What is timed in
that second is wrong, however right the code. So a check that was not passed is made again then, and an exercise that
lets the learner's code measure something for long asks for it ``calmly``: one still moment does not cost all the rest.
"""

import threading
import time

#: Seconds by which a sleep may be too long. Threads of one interpreter keep each other waiting for less: 5 ms a switch.
LATE = 0.2
#: How often the code is asked, or a check made, at the most; where the machine is never calm the last answer counts.
TIMES = 3
_STEP = 0.01  # seconds


class StallWatch:
    """Sees, for the length of a ``with`` block, by how much a short sleep was too long: ``.longest``, in seconds."""

    def __init__(self):
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="servicelab check stall watch", daemon=True)

    def _watch(self):
        is_over = False
        while not is_over:  # once more after the end, which may have come while the machine stood still
            start = time.monotonic()
            is_over = self._over.wait(_STEP)
            self.longest = max(self.longest, time.monotonic() - start - _STEP)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()


def calmly(call, *args, **kwargs):
    """``call(*args, **kwargs)``, and again if the machine stood still for LATE seconds meanwhile: TIMES at the most."""
    for _ in range(TIMES):
        with StallWatch() as watch:
            answer = call(*args, **kwargs)
        if watch.longest < LATE:
            break
    return answer
