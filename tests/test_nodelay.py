"""What a kernel says goes to the page when it is said: in a real Jupyter server, whose sockets are looked at."""

import json
import os
import subprocess
import sys

import pytest

from tools import settings

# Opens one kernel's websocket, as a page does, and prints the TCP_NODELAY of its socket on the server's side.
SERVER = """
import asyncio, json, socket
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

app = ServerApp(ip="127.0.0.1", port=0, open_browser=False, allow_root=True, log_level="ERROR")
app.initialize(argv=[], new_httpserver=True)

async def main():
    _, port = next(iter(app.http_server._sockets.values())).getsockname()[:2]
    at, token = f"127.0.0.1:{port}{app.base_url}api/kernels", f"token={app.identity_provider.token}"
    made = await AsyncHTTPClient().fetch(f"http://{at}?{token}", method="POST", body="{}", request_timeout=100)
    kernel = json.loads(made.body)["id"]
    address = f"ws://{at}/{kernel}/channels?{token}"
    page = await websocket_connect(address, subprotocols=["v1.kernel.websocket.jupyter.org"])
    await page.read_message()
    one, = app.web_app.settings["kernel_websocket_connection_class"]._open_sockets
    of = one.websocket_handler.ws_connection.stream.socket
    print(json.dumps(bool(of.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))))
    page.close()
    await app.kernel_manager.shutdown_all(now=True)

app.io_loop.run_sync(main)
"""


@pytest.mark.parametrize("on", [True, False], ids=["with our settings", "without"])
def test_the_socket_between_kernel_and_page_waits_for_nothing(tmp_path, monkeypatch, on):
    """Without our settings it does: once a Jupyter server sees to that itself, ``servicelab.nodelay`` can go."""
    if not on:  # the environment that runs the tests has them, too
        monkeypatch.setitem(settings.SERVER["ServerApp"]["jpserver_extensions"], "servicelab.nodelay", False)
    settings.put(tmp_path)
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    env = os.environ | folders | {"JUPYTER_CONFIG_PATH": str(tmp_path / "etc" / "jupyter"), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SERVER], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) is on
