#!/usr/bin/env bash
# aiohttp-sse-client 0.2.1: an event that a broken connection cut off becomes the beginning of the next connection's first.
#
# A stream may end anywhere. The format (HTML Living Standard, 9.2.6) wants what has not been ended by an empty line to be
# thrown away; the client asks again with Last-Event-ID, and the server sends the event once more. This client keeps the
# half, asks again, and puts the first event of the new connection behind it: the application gets one event that nobody
# sent. With requests-sse 0.5.3 every event is as it was sent; that is the control.
#
# Seen, when each connection sends event n whole and is cut in the next one, "half":
#        aiohttp-sse-client: ['1', 'half\n2', 'half\n3']     requests-sse: ['1', '2', '3']
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp-sse-client==0.2.1 aiohttp==3.14.5 \
    requests-sse==0.5.3 requests==2.34.2 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import http.server
import importlib.metadata
import sys
import threading

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


def by_aiohttp_sse_client():
    from aiohttp_sse_client.client import EventSource

    async def events():
        async with EventSource(url) as source:
            async for event in source:
                yield event

    yield from stepwise(events())


def by_requests_sse():
    import requests_sse

    with requests_sse.EventSource(url) as source:
        yield from source


READERS = {
    "aiohttp-sse-client": by_aiohttp_sse_client,
    "requests-sse": by_requests_sse,
}


def whole_and_half(handler):
    handler.server.asked += 1
    number = handler.server.asked
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    handler.wfile.write(f"retry: 50\nid: {number}\ndata: {number}\n\ndata: half".encode())


Handler.do_GET = whole_and_half
print(f"Python {sys.version.split()[0]}")
found = {}
for name in sys.argv[1:]:
    server.asked, events = 0, READERS[name]()
    found[name] = [next(events).data for _ in range(3)]
    events.close()
    print(f"{name} {importlib.metadata.version(name)}: {found[name]}")
holds = found["requests-sse"] == ["1", "2", "3"] and found["aiohttp-sse-client"] == ["1", "half\n2", "half\n3"]
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" aiohttp-sse-client requests-sse && echo "It still is so." || { echo "It has changed."; exit 1; }
