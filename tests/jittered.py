"""Finds tests that wait for one thing and then look at another: ``python -m pytest -p tests.jittered tests/…``.

Every thread but the main one now and then sleeps for some milliseconds where a function of ours begins or returns. That
is where the system may take the processor away from it, too; only much more often.
"""

import random
import threading
import time
from pathlib import Path

HERE = str(Path(__file__).parent.parent)
OFTEN = 0.003  # of all calls and returns
LONG = 0.02  # seconds, on average
_ours = {}
_rng = random.Random()


def _maybe_sleep(frame, event, argument):
    code = frame.f_code
    ours = _ours.get(code)
    if ours is None:
        name = code.co_filename
        ours = _ours[code] = name.startswith(HERE) and "site-packages" not in name and name != __file__
    if ours and event in ("call", "return") and _rng.random() < OFTEN:
        time.sleep(_rng.expovariate(1 / LONG))


def pytest_configure(config):
    threading.setprofile(_maybe_sleep)
