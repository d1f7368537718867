#!/usr/bin/env bash
# httpx-sse 0.4.3, aiosseclient 0.1.8 and sseclient 0.0.27 deliver events that have no data; a browser delivers none.
#
# In the format (HTML Living Standard, 9.2.6) a block without a data line is no event: "id: 5" alone only moves the place
# from which the reader resumes, and "event: ping" alone keeps the line open. A server that is tested with a browser sends
# them freely. These clients hand each to the application as a message with empty data, so that `json.loads(event.data)`
# raises on the first heartbeat. sseclient does so for comment lines (": ping"), too, the usual heartbeat, and httpx-sse for
# every comment after the first id of a stream. requests-sse 0.5.3 and sseclient-py 1.9.0 deliver what a browser does; that
# is the control.
#
# Seen, data of the events of a stream with "id: 5", "event: ping" and ": ping" in blocks of their own, before "one":
#        requests-sse, sseclient-py: ['one']     httpx-sse, sseclient: ['', '', '', 'one']     aiosseclient: ['', '', 'one']
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 aiosseclient==0.1.8 \
    httpx-sse==0.4.3 httpx==0.28.1 requests-sse==0.5.3 requests==2.34.2 sseclient-py==1.9.0 2>/dev/null
python3 -m venv "$folder/other"
"$folder/other/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 sseclient==0.0.27 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import http.server
import importlib.metadata
import sys
import threading

DUE = {
    "requests-sse": ["one"],
    "sseclient-py": ["one"],
    "httpx-sse": ["", "", "", "one"],
    "aiosseclient": ["", "", "one"],
    "sseclient": ["", "", "", "one"],
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"


def stepwise(events):
    """What an asynchronous iterator gives, one by one."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            yield loop.run_until_complete(anext(events))
    except StopAsyncIteration:
        pass
    finally:
        loop.run_until_complete(events.aclose())
        loop.close()


def by_requests_sse():
    import requests_sse

    with requests_sse.EventSource(url) as source:
        yield from source


def by_sseclient_py():
    import requests
    import sseclient

    yield from sseclient.SSEClient(requests.get(url, stream=True)).events()


def by_httpx_sse():
    import httpx
    import httpx_sse

    with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", url) as source:
        yield from source.iter_sse()


def by_aiosseclient():
    from aiosseclient import aiosseclient

    yield from stepwise(aiosseclient(url))


def by_sseclient():
    import sseclient

    yield from sseclient.SSEClient(url)


READERS = {
    "requests-sse": by_requests_sse,
    "sseclient-py": by_sseclient_py,
    "httpx-sse": by_httpx_sse,
    "aiosseclient": by_aiosseclient,
    "sseclient": by_sseclient,
}

server.body = b"id: 5\n\nevent: ping\n\n: ping\n\ndata: one\n\n"
print(f"Python {sys.version.split()[0]}")
holds = True
for name in sys.argv[1:]:
    found = []
    for event in READERS[name]():
        found.append(event.data)
        if event.data == "one":
            break
    print(f"{name} {importlib.metadata.version(name)}: {found}")
    holds = holds and found == DUE[name]
sys.exit(0 if holds else 1)
PY
status=0
"$folder/venv/bin/python" "$folder/run.py" requests-sse sseclient-py httpx-sse aiosseclient || status=1
"$folder/other/bin/python" "$folder/run.py" sseclient || status=1
[ "$status" = 0 ] && echo "It still is so." || { echo "It has changed."; exit 1; }
