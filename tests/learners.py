"""Functions that a learner might hand in for anything, and that a check has to survive."""

import sys
import threading
import time
from contextlib import suppress


def never_returns(*args, **kwargs):
    while True:
        pass


def raises(*args, **kwargs):
    return {}["no such key"]


def leaves(*args, **kwargs):
    sys.exit(3)


def says_nothing(*args, **kwargs):
    pass


def leaves_a_thread():
    """Begins a thread that never ends by itself, "my housekeeping", and returns."""

    def housekeeping():
        with suppress(SystemExit):  # the check ends it so, and pytest would warn of it
            while True:
                time.sleep(0.01)

    threading.Thread(target=housekeeping, name="my housekeeping").start()
