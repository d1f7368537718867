#!/usr/bin/env bash
# Six Python clients of server-sent events lose the first event of a stream that begins with a byte order mark.
#
# The format (HTML Living Standard, 9.2.5 and 9.2.6) allows one U+FEFF at the beginning of a stream, and the reader is to
# take it off; it is what a writer of .NET's Encoding.UTF8, for one, puts there. Browsers do. sseclient-py 1.9.0, httpx-sse
# 0.4.3, requests-sse 0.5.3 and aiohttp-sse-client 0.2.1 read a field with a strange name, ignore it, and deliver nothing;
# sseclient 0.0.27 and aiosseclient 0.1.8 deliver an event with empty data. Nothing is raised or logged. The same stream
# without the mark is read by all; that is the control.
#
# Seen, for data "one" and data "two", with the mark:
#        sseclient-py, httpx-sse, requests-sse, aiohttp-sse-client: ['two']
#        aiosseclient, sseclient:                                   ['', 'two']
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp-sse-client==0.2.1 aiohttp==3.14.5 \
    aiosseclient==0.1.8 httpx-sse==0.4.3 httpx==0.28.1 requests-sse==0.5.3 requests==2.34.2 \
    sseclient-py==1.9.0 2>/dev/null
python3 -m venv "$folder/other"
"$folder/other/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 sseclient==0.0.27 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import http.server
import importlib.metadata
import sys
import threading

STREAM = b"data: one\n\ndata: two\n\n"


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


def by_sseclient_py():
    import requests
    import sseclient

    yield from sseclient.SSEClient(requests.get(url, stream=True)).events()


def by_httpx_sse():
    import httpx
    import httpx_sse

    with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", url) as source:
        yield from source.iter_sse()


def by_requests_sse():
    import requests_sse

    with requests_sse.EventSource(url) as source:
        yield from source


def by_aiohttp_sse_client():
    from aiohttp_sse_client.client import EventSource

    async def events():
        async with EventSource(url) as source:
            async for event in source:
                yield event

    yield from stepwise(events())


def by_aiosseclient():
    from aiosseclient import aiosseclient

    yield from stepwise(aiosseclient(url))


def by_sseclient():
    import sseclient

    yield from sseclient.SSEClient(url)


READERS = {
    "sseclient-py": by_sseclient_py,
    "httpx-sse": by_httpx_sse,
    "requests-sse": by_requests_sse,
    "aiohttp-sse-client": by_aiohttp_sse_client,
    "aiosseclient": by_aiosseclient,
    "sseclient": by_sseclient,
}


def read(name):
    found = []
    for event in READERS[name]():
        found.append(event.data)
        if event.data == "two":
            return found


print(f"Python {sys.version.split()[0]}")
holds = True
for name in sys.argv[1:]:
    server.body = STREAM
    without = read(name)
    server.body = b"\xef\xbb\xbf" + STREAM
    found = read(name)
    print(f"{name} {importlib.metadata.version(name)}: without a mark {without}, with one {found}")
    holds = holds and without == ["one", "two"] and found in (["two"], ["", "two"])
sys.exit(0 if holds else 1)
PY
status=0
"$folder/venv/bin/python" "$folder/run.py" sseclient-py httpx-sse requests-sse aiohttp-sse-client aiosseclient || status=1
"$folder/other/bin/python" "$folder/run.py" sseclient || status=1
[ "$status" = 0 ] && echo "It still is so." || { echo "It has changed."; exit 1; }
