#!/usr/bin/env bash
# aiohttp-retry 2.9.1: FibonacciRetry does not start again with the next request; its waits grow as long as the client lives.
#
# A RetryClient is made once and given its retry options, as its README shows. The waits of FibonacciRetry are those of
# the sequence, up to max_timeout, one expects for each request. They are counted in the options instead, over all
# requests: where one request's waits end, the next one's begin, also when there were only answers with 200 between them,
# and requests that retry at the same time push each other on. After an hour with a handful of failures every first retry
# of the process waits for max_timeout, until it is restarted. It does not show in a test with one request.
# ExponentialRetry of the same package begins anew with each request, and so does FibonacciRetry if it is made anew; these
# are the controls.
#
# Seen, s between the attempts of requests that succeed at the fourth, one after the other, an undisturbed one between them:
#        one FibonacciRetry(multiplier=0.05, max_timeout=1): 0.10 0.15 0.25, then 0.40 0.65 1.00, then 1.00 1.00 1.00
#        a new one each time:                                0.10 0.15 0.25, each time
#        ExponentialRetry(start_timeout=0.05):               0.10 0.20 0.40, each time
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp-retry==2.9.1 aiohttp==3.14.5 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import collections
import importlib.metadata
import sys
import time

from aiohttp import web
from aiohttp_retry import ExponentialRetry, FibonacciRetry, RetryClient

ATTEMPTS, REQUESTS = 4, 3
arrived = collections.defaultdict(list)


async def answer(request):
    """The last attempt of a request succeeds, and an undisturbed request does at once."""
    times = arrived[request.path]
    times.append(time.monotonic())
    undisturbed = request.path.endswith("/undisturbed")
    return web.Response(status=200 if undisturbed or len(times) == ATTEMPTS else 503)


def fibonacci():
    return FibonacciRetry(attempts=ATTEMPTS, multiplier=0.05, max_timeout=1.0)


def exponential():
    return ExponentialRetry(attempts=ATTEMPTS, start_timeout=0.05)


async def waits(url, name, make, anew):
    found = []
    async with RetryClient(retry_options=make()) as client:
        for number in range(REQUESTS):
            path = f"/{name}/{number}"
            async with client.get(url + path, retry_options=make() if anew else None) as response:
                assert response.status == 200, response.status
            async with client.get(f"{url}/{name}/undisturbed") as response:
                assert response.status == 200, response.status
            times = arrived[path]
            found.append([later - earlier for earlier, later in zip(times, times[1:])])
    return found


async def main():
    application = web.Application()
    application.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        return [
            await waits(url, "one", fibonacci, anew=False),
            await waits(url, "anew", fibonacci, anew=True),
            await waits(url, "exponential", exponential, anew=False),
        ]
    finally:
        await runner.cleanup()


def near(found, expected):
    """Never shorter than expected, and not much longer; a machine may be busy."""
    return all(-0.02 < one - other < 0.3 for one, other in zip(sum(found, []), sum(expected, []), strict=True))


one, anew, exponentially = asyncio.run(main())
print(f"aiohttp-retry {importlib.metadata.version('aiohttp-retry')}, s between the attempts of {REQUESTS} requests")
for name, found in (("one FibonacciRetry", one), ("a new one each", anew), ("ExponentialRetry", exponentially)):
    print(f"{name}: " + ", then ".join(" ".join(f"{wait:.2f}" for wait in each) for each in found))
holds = (
    near(one, [[0.10, 0.15, 0.25], [0.40, 0.65, 1.00], [1.00, 1.00, 1.00]])
    and near(anew, [[0.10, 0.15, 0.25]] * REQUESTS)
    and near(exponentially, [[0.10, 0.20, 0.40]] * REQUESTS)
)
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
