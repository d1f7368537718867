#!/usr/bin/env bash
# sseclient 0.0.27 and aiosseclient 0.1.8 cut an event's data at U+2028, U+0085 and other characters that end no line.
#
# In the format (HTML Living Standard, 9.2.5) a line ends with CR, LF or both, and with nothing else. These two clients cut
# lines as Python's str.splitlines does, which also takes U+2028, U+2029, U+0085, \\v, \\f and U+001E for an end. JSON as
# JavaScript writes it holds U+2028 as it is, and text that people have pasted holds it, too. The event is delivered with the
# first half as its data, without an error, and `json.loads` fails or a text is short. httpx-sse 0.4.3 gives the whole; that
# is the control.
#
# Seen, for {"note": "first", U+2028, "second"} in one line:
#        sseclient and aiosseclient: the data ends after "first"     httpx-sse: whole
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 aiosseclient==0.1.8 \
    httpx-sse==0.4.3 httpx==0.28.1 requests==2.34.2 sseclient==0.0.27 2>/dev/null
cat >"$folder/run.py" <<'PY'
import asyncio
import contextlib
import http.server
import importlib.metadata
import io
import sys
import threading
import warnings

DATA = '{"note": "first\u2028second"}'


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


def by_sseclient():
    import sseclient

    yield from sseclient.SSEClient(url)


def by_aiosseclient():
    from aiosseclient import aiosseclient

    yield from stepwise(aiosseclient(url))


def by_httpx_sse():
    import httpx
    import httpx_sse

    with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", url) as source:
        yield from source.iter_sse()


READERS = {
    "sseclient": by_sseclient,
    "aiosseclient": by_aiosseclient,
    "httpx-sse": by_httpx_sse,
}

server.body = f"data: {DATA}\n\n".encode()
print(f"Python {sys.version.split()[0]}")
found = {}
with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(action="ignore"):
    for name in sys.argv[1:]:
        found[name] = next(READERS[name]()).data
for name, data in found.items():
    print(f"{name} {importlib.metadata.version(name)}: {data!r}, {'whole' if data == DATA else 'cut'}")
cut = DATA.partition("\u2028")[0]
sys.exit(0 if found["httpx-sse"] == DATA and found["sseclient"] == found["aiosseclient"] == cut else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" sseclient aiosseclient httpx-sse && echo "It still is so." || { echo "It has changed."; exit 1; }
