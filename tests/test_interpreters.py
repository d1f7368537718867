"""Clients that go in the middle of a reply leave nothing on stderr, on this Python and on newer ones.

Since Python 3.13 what a finalizer meets is printed ("Exception ignored in …"). An older one does so with ``-X dev``,
which is how this is seen on every machine.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import ROOT

KINDS = ["http", "events", "websocket", "socketio", "fault_proxy"]
SCRIPT = """
import asyncio, gc, socket, struct, sys, time

def http():
    from servicelab.servers import serve
    def app(environ, start_response):
        start_response("200 OK", [])
        yield from [b"x" * 65536] * 200
    return serve(app, "orders", workers=2)

def events():
    from flask import Flask
    from servicelab.servers import event_stream, serve
    app = Flask("orders")
    app.get("/")(lambda: event_stream("x" * 65536 for _ in range(200)))
    return serve(app, "orders", workers=2)

def websocket():
    from servicelab.servers import WebSocketServer
    def handle(connection):
        for _ in range(200):
            connection.send("x" * 65536)
    return WebSocketServer(handle, "orders", compression=None).start()

def socketio():
    from flask import Flask
    from flask_socketio import SocketIO
    from servicelab.servers import SocketIOServer
    app = Flask("orders")
    app.get("/")(lambda: (b"x" * 65536 for _ in range(200)))
    return SocketIOServer(SocketIO(app, async_mode="threading"), "orders").start()

def fault_proxy():
    from servicelab.faults import FaultProxy
    server = http()
    return FaultProxy(server).start()

UPGRADE = b"Upgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n" \\
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n"

def ask(server, kind):
    client = socket.create_connection(server.address)
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n" + (UPGRADE if kind == "websocket" else b"") + b"\\r\\n")
    assert client.recv(1000)
    return client

from servicelab.lifecycle import stop_all
# Python's development mode tells of each callback of a loop that took 0.1 s: on a busy machine any does.
asyncio.base_events.BaseEventLoop.slow_callback_duration = property(lambda loop: 60.0, lambda loop, value: None)

for kind in sys.argv[1:]:
    server = globals()[kind]()
    for _ in range(3):
        client = ask(server, kind)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    client = ask(server, kind)
    stop_all()
    client.close()
    gc.collect()
    print(kind, file=sys.stderr)
"""


def pythons() -> dict[str, str]:
    """This Python, and the newest of the others on this machine if it is 3.12 or later."""
    found = {}
    places = [shutil.which(f"python3.{minor}") for minor in range(12, 20)]
    places += sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    for place in filter(None, places):
        asked = subprocess.run(
            [place, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        version = tuple(map(int, asked.stdout.split())) if asked.returncode == 0 else (0, 0)
        if version >= (3, 12) and version != sys.version_info[:2]:
            found[version] = str(place)
    newest = {"newest": found[max(found)]} if found else {}
    return {"this": sys.executable, **newest}


PYTHONS = pythons()


@pytest.mark.parametrize("which", PYTHONS)
def test_a_client_that_goes_in_the_middle_of_a_reply_leaves_nothing_on_stderr(which):
    # Another Python runs these packages as well: what is compiled in them is not needed here, or has a twin in Python.
    packages = [str(ROOT), sysconfig.get_path("purelib")]
    run = subprocess.run(
        [PYTHONS[which], "-X", "dev", "-W", "ignore", "-c", SCRIPT, *KINDS],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr.split()) == (0, "", KINDS)
