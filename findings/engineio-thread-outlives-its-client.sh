#!/usr/bin/env bash
# python-engineio 4.15.1 (under python-socketio and Flask-SocketIO), async_mode="threading": for each client that has left,
# a thread stays until the next ping would have been due.
#
# A server has a thread a connection in this mode, so one expects as many threads as there are clients. The thread that
# sends the pings sleeps for `ping_interval` (25 s by default) and looks only then whether the client is still there.
# A client that connects and leaves at once costs a thread for 25 s: with 40 such clients a second (a
# page that is reloaded, a reconnect storm) there are 1000 threads for nobody, although "disconnect" has been called for
# each. With ping_interval=1 the threads go after a second; that is the control.
#
# Seen:  ping_interval=25: of 30 clients that came and left, 30 are known to have left; 2 s later 30 ping threads are alive
#        ping_interval=1:  of 30 clients that came and left, 30 are known to have left; 2 s later 0 ping threads are alive
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-engineio==4.15.1 simple-websocket==1.1.0 \
    websocket-client==1.9.2 werkzeug==3.1.9 2>/dev/null
cat >"$folder/run.py" <<'PY'
import importlib.metadata
import logging
import sys
import threading
import time

import engineio
import websocket
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
CLIENTS = 30


def left_behind(interval):
    """For how many clients "disconnect" was called, and how many threads still wait to ping one."""
    server, gone = engineio.Server(async_mode="threading", ping_interval=interval, cors_allowed_origins="*"), []
    server.on("disconnect", lambda sid, reason=None: gone.append(sid))
    web = make_server("127.0.0.1", 0, engineio.WSGIApp(server), threaded=True)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    before = set(threading.enumerate())
    for _ in range(CLIENTS):
        client = websocket.create_connection(f"ws://127.0.0.1:{web.server_port}/engine.io/?EIO=4&transport=websocket")
        client.recv()  # the server's greeting: it is connected
        client.close(timeout=0)  # says goodbye, and does not wait for the answer
    time.sleep(2)
    pinging = [
        thread
        for thread in set(threading.enumerate()) - before
        if getattr(getattr(thread, "_target", None), "__name__", "") == "_send_ping"
    ]
    web.shutdown()
    return len(gone), len(pinging)


print(f"python-engineio {importlib.metadata.version('python-engineio')}, Python {sys.version.split()[0]}")
found = {}
for interval in (25, 1):
    found[interval] = gone, threads = left_behind(interval)
    print(
        f"ping_interval={interval}: of {CLIENTS} clients that came and left, {gone} are known to have left; 2 s after the "
        f"last {threads} ping threads are alive"
    )
sys.exit(0 if found == {25: (CLIENTS, CLIENTS), 1: (CLIENTS, 0)} else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
