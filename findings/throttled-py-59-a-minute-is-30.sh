#!/usr/bin/env bash
# throttled-py 3.5.0: a token bucket of 59 a minute lets 30 a minute through; one of 60 lets 60 through.
#
# A token bucket's burst is used up at once, and from then on a client that keeps trying gets what is filled in: 59 a
# minute. This bucket looks at whole seconds, fills in whole tokens, and at each call that passes forgets what was left
# over. A token of 59 a minute is there after 1.02 s; after one second there is none, after two there is one, and the other
# 0.97 are thrown away. So below 60 a minute the rate is 60 divided by a whole number, and above it a whole number a second:
# 45 and 59 a minute are 30, 119 are 60. The leaking bucket does the same, and the scripts that both run in Redis calculate
# alike. The GCRA limiter of the same package keeps what it was told, and so do the buckets at 60; these are the controls.
#
# Seen, calls that passed in the 20 s after the burst, tried every 20 ms (10 and 20 are 30 and 60 a minute):
#        per_min(45): token bucket 10, leaking bucket 10, GCRA 15
#        per_min(59): token bucket 10, leaking bucket 10, GCRA 19
#        per_min(60): token bucket 20, leaking bucket 20, GCRA 20
#        per_min(119): token bucket 20, leaking bucket 20, GCRA 39
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check throttled-py==3.5.0 2>/dev/null
cat >"$folder/run.py" <<'PY'
import importlib.metadata
import sys
import time

from throttled import RateLimiterType, Throttled, per_min, store

KINDS = {
    "token bucket": RateLimiterType.TOKEN_BUCKET,
    "leaking bucket": RateLimiterType.LEAKING_BUCKET,
    "GCRA": RateLimiterType.GCRA,
}
LIMITS, SECONDS, BURST = (45, 59, 60, 119), 20, 10
EXACT = {limit: limit * SECONDS / 60 for limit in LIMITS}
ROUNDED = {45: 10, 59: 10, 60: 20, 119: 20}

limiters = {
    (kind, limit): Throttled(
        key="payments", using=using.value, quota=per_min(limit, burst=BURST), store=store.MemoryStore()
    )
    for kind, using in KINDS.items()
    for limit in LIMITS
}
for limiter in limiters.values():
    while not limiter.limit().limited:  # the burst
        pass
passed = dict.fromkeys(limiters, 0)
end = time.monotonic() + SECONDS
while time.monotonic() < end:
    for which, limiter in limiters.items():
        passed[which] += not limiter.limit().limited
    time.sleep(0.02)

print(f"throttled-py {importlib.metadata.version('throttled-py')}, passed in {SECONDS} s after a burst of {BURST}")
for limit in LIMITS:
    print(f"per_min({limit}): " + ", ".join(f"{kind} {passed[kind, limit]}" for kind in KINDS))
near = 2  # where the 20 s begin within a second, and a pause of the machine
holds = all(
    abs(passed["GCRA", limit] - EXACT[limit]) <= near
    and abs(passed["token bucket", limit] - ROUNDED[limit]) <= near
    and abs(passed["leaking bucket", limit] - ROUNDED[limit]) <= near
    for limit in LIMITS
)
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
