#!/usr/bin/env bash
# requests-sse 0.5.3 and aiohttp-sse-client 0.2.1 take every space off the beginning of an event's data.
#
# The format (HTML Living Standard, 9.2.6) takes off *one* space after the colon, if there is one, so that "data:  x" is the
# text " x". A stream of pieces of a text, code or a table depends on it: a language model's tokens are " the", " end". With
# these two clients the words run together and indented lines lose their indent. httpx-sse 0.4.3 gives the text as it was
# sent; that is the control.
#
# Seen, for the pieces "stop", " the", "    line":
#        requests-sse and aiohttp-sse-client: 'stoptheline'     httpx-sse: 'stop the    line'
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp-sse-client==0.2.1 aiohttp==3.14.5 \
    httpx-sse==0.4.3 httpx==0.28.1 requests-sse==0.5.3 requests==2.34.2 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import http.server
import importlib.metadata
import sys
import threading

PIECES = ["stop", " the", "    line", "."]


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


def by_aiohttp_sse_client():
    from aiohttp_sse_client.client import EventSource

    async def events():
        async with EventSource(url) as source:
            async for event in source:
                yield event

    yield from stepwise(events())


def by_httpx_sse():
    import httpx
    import httpx_sse

    with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", url) as source:
        yield from source.iter_sse()


READERS = {
    "requests-sse": by_requests_sse,
    "aiohttp-sse-client": by_aiohttp_sse_client,
    "httpx-sse": by_httpx_sse,
}

server.body = "".join(f"data: {piece}\n\n" for piece in PIECES).encode()
print(f"Python {sys.version.split()[0]}")
found = {}
for name in sys.argv[1:]:
    text = ""
    for event in READERS[name]():
        text += event.data
        if event.data == PIECES[-1]:
            break
    found[name] = text
    print(f"{name} {importlib.metadata.version(name)}: {text!r}")
sent = "".join(PIECES)
holds = found["httpx-sse"] == sent and found["requests-sse"] == found["aiohttp-sse-client"] == "stoptheline."
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" requests-sse aiohttp-sse-client httpx-sse && echo "It still is so." || { echo "It has changed."; exit 1; }
