"""Asking again when the machine stood still while the learner's code measured something.

A container that is suspended, or a laptop whose processor others took, can stand still for a second. A measurement of
that second is wrong, however right the code. So an exercise that measures real servers asks ``calmly``.
"""

import threading
import time

#: Seconds by which a sleep may be too long. Threads of one interpreter keep each other waiting for less: 5 ms a switch.
LATE = 0.2
#: How often the code is asked at the most; on a machine that never has a calm moment the last answer counts.
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
