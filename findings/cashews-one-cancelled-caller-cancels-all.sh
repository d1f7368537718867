#!/usr/bin/env bash
# cashews 7.6.0: if one of many callers that wait for the same value is cancelled, all of them are.
#
# @cache(ttl=...) makes one call of many that miss the same key at once; the others wait for its result. They wait for the
# task itself, so whoever gives up takes the task along: one request whose client has gone, or one caller with a
# timeout shorter than the others', and every caller ends with CancelledError, though nobody cancelled them. That is no
# Exception, so neither `except Exception` nor a retry sees it. In a TaskGroup a task that ends so counts as
# cancelled on purpose: the group goes on as if all were well, without the values. It needs no lock=True: it is so by
# default. async-lru 2.4.0, which also makes one call of many, gives the others their value; and so does cashews if
# nobody is cancelled; these are the controls.
#
# Seen, 50 callers of a loader that takes 0.5 s, one of which has a timeout of 0.1 s:
#        cashews:   49 CancelledError, 0 values; in a TaskGroup 0 values and no exception
#        async-lru: 49 values, 1 load; in a TaskGroup 49 values
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cashews==7.6.0 async-lru==2.4.0 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import contextlib
import importlib.metadata
import sys

import async_lru
import cashews

CALLERS, LOAD, SHORT = 50, 0.5, 0.1  # LOAD and SHORT in seconds
loads = []


async def price(item):
    loads.append(item)
    await asyncio.sleep(LOAD)
    return 42


async def impatient(cached, item):
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(cached(item), SHORT)


async def gathered(cached, item, one):
    """What the other callers end with."""
    ends = await asyncio.gather(one(cached, item), *[cached(item) for _ in range(CALLERS - 1)], return_exceptions=True)
    return ends[1:].count(42), sum(isinstance(end, asyncio.CancelledError) for end in ends[1:])


async def grouped(cached, item, one):
    """How many values the callers of a group of tasks have when it has ended, and what it raised."""
    values = []

    async def caller():
        values.append(await cached(item))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(one(cached, item))
            for _ in range(CALLERS - 1):
                group.create_task(caller())
    except BaseException as error:
        return len(values), type(error).__name__
    return len(values), "nothing"


async def patient(cached, item):
    await cached(item)


async def main():
    cashews.cache.setup("mem://")
    caches = {
        "cashews": cashews.cache(ttl="1m", key="price:{item}")(price),
        "async-lru": async_lru.alru_cache(ttl=60)(price),
    }
    found = {}
    for name, cached in caches.items():
        loads.clear()
        undisturbed = await gathered(cached, "a", patient)
        disturbed = await gathered(cached, "b", impatient)
        in_group = await grouped(cached, "c", impatient)
        found[name] = undisturbed, disturbed, in_group
        print(f"{name} {importlib.metadata.version(name)}, {CALLERS - 1} callers, {len(loads)} loads of 3 keys")
        print("  nobody gives up: {} values, {} CancelledError".format(*undisturbed))
        print("  one gives up: {} values, {} CancelledError".format(*disturbed))
        print("  one gives up, in a TaskGroup: {} values, raised {}".format(*in_group))
    return found


found, others = asyncio.run(main()), CALLERS - 1
all_well = ((others, 0), (others, 0), (others, "nothing"))
sys.exit(0 if found["async-lru"] == all_well and found["cashews"] == ((others, 0), (0, others), (0, "nothing")) else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
