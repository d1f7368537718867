#!/usr/bin/env bash
# dramatiq 2.2.1: WindowRateLimiter's window of n seconds may be only a little longer than n - 1, and its default does not
# slide at all.
#
# The documentation of BucketRateLimiter warns of bursts of twice the limit where two buckets meet, and names
# WindowRateLimiter, "over some sliding window", for those who cannot have that. It counts in whole seconds of the clock,
# and adds up the current one and the n - 1 before it. With window=1, the default, that is the current second alone: a bucket,
# with the very bursts. With window=2 whatever was let through at the end of a second is forgotten a second later, not two. An
# API that allows 10 calls a second and counts exactly answers 429, or bans. The limiter chooses these keys itself, so
# it is the same with every backend; the one in memory is used here. limits 5.8.0's moving window is the control.
#
# Seen, 10 calls tried just before a second turns, and 10 more just after a turn, window - 1 seconds later:
#        limit=10, window=1: 20 pass within 0.1 s     limit=10, window=2: 20 pass within 1.1 s
#        limits, 10 per 1 s and 10 per 2 s, tried at the same times: 10 pass
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dramatiq==2.2.1 limits==5.8.0 2>/dev/null
cat >"$folder/run.py" <<'PY'
import importlib.metadata
import sys
import time

import limits
from dramatiq.rate_limits import WindowRateLimiter
from dramatiq.rate_limits.backends import StubBackend

LIMIT, MARGIN = 10, 0.05  # calls; seconds from a turn of the clock


def by_dramatiq(window):
    limiter = WindowRateLimiter(StubBackend(), "payments", limit=LIMIT, window=window)

    def passes():
        with limiter.acquire(raise_on_failure=False) as acquired:
            return acquired

    return passes


def by_limits(window):
    strategy = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
    rate = limits.RateLimitItemPerSecond(LIMIT, window)
    return lambda: strategy.hit(rate, "payments")


def tried(passes, window):
    """How many calls passed, and within how many seconds the first and the last of them."""
    time.sleep(1 - (time.time() + MARGIN) % 1)  # MARGIN before a second turns
    times = []
    for pause in (0, window - 1 + 2 * MARGIN):
        time.sleep(pause)
        for _ in range(LIMIT):
            if passes():
                times.append(time.monotonic())
    return len(times), times[-1] - times[0]


def within_the_window(make, window):
    """The most that passed in a time shorter than the window; more tries, for a machine may be busy."""
    found = [tried(make(window), window) for _ in range(5)]
    return max(((count, span) for count, span in found if span < window - 0.5), default=(0, 0.0))


holds = True
for window in (1, 2):
    (own, span), (control, _) = within_the_window(by_dramatiq, window), within_the_window(by_limits, window)
    print(f"limit={LIMIT}, window={window} s: dramatiq {importlib.metadata.version('dramatiq')} let {own} pass in {span:.2f} s")
    print(f"  limits {importlib.metadata.version('limits')} let {control} pass")
    holds &= own == 2 * LIMIT and control == LIMIT
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
