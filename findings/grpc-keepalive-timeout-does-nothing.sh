#!/usr/bin/env bash
# grpcio 1.85.1: the channel option `grpc.keepalive_timeout_ms` changes nothing; how soon a dead line is noticed is
# decided by `grpc.http2.ping_timeout_ms`, whose default is a minute.
#
# gRPC's guide to keepalive says that a connection is closed when a keepalive ping is not answered within the keepalive
# timeout. So keepalive_time_ms=1000 and keepalive_timeout_ms=1000 should end a call on a line that has gone silent
# after about two seconds. It ends after a minute, with "ping timeout". With `grpc.http2.ping_timeout_ms` at 1000 the
# same call ends in two seconds: so the pings are sent, and only their timeout is another one.
# The line is a forwarder of bytes on the loopback that stops forwarding.
#
# Seen:  keepalive_timeout_ms=1000: UNAVAILABLE (Stream removed (ping timeout)) after 60.5 s
#        and http2.ping_timeout_ms=1000: UNAVAILABLE (Stream removed (ping timeout)) after 1.5 s
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import select
import socket
import sys
import threading
import time
from concurrent import futures

import grpc

over = threading.Event()


def quiet(request, context):
    """One message, and then nothing for as long as anybody listens."""
    yield b"hello"
    over.wait(90)


handlers = {"Watch": grpc.unary_stream_rpc_method_handler(quiet)}
allow = [("grpc.http2.min_ping_interval_without_data_ms", 100), ("grpc.keepalive_permit_without_calls", 1)]
server = grpc.server(futures.ThreadPoolExecutor(4), options=allow)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()


class Line:
    """Forwards bytes both ways between one client and the server, until it is cut: then it keeps both sockets open."""

    def __init__(self):
        self.cut = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.forward, daemon=True).start()

    def forward(self):
        self.client, _ = self.listener.accept()
        self.server = socket.create_connection(("127.0.0.1", port))
        while not self.cut.is_set():
            for one in select.select([self.client, self.server], [], [], 0.05)[0]:
                other = self.server if one is self.client else self.client
                other.sendall(one.recv(65536))


def noticed(*more):
    """Seconds from the cut until the call ends."""
    line = Line()
    options = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 1000)]
    options += [("grpc.http2.max_pings_without_data", 0), *more]
    with grpc.insecure_channel(f"127.0.0.1:{line.port}", options=options) as channel:
        answers = channel.unary_stream("/shop.Orders/Watch")(b"", timeout=80)
        next(answers)
        time.sleep(0.5)
        line.cut.set()
        begin = time.monotonic()
        try:
            next(answers)
            return 0.0, "an answer"
        except grpc.RpcError as error:
            return time.monotonic() - begin, f"{error.code().name} ({error.details()})"


alone, told = noticed()
print(f"keepalive_timeout_ms=1000: {told} after {alone:.1f} s")
pinged, told = noticed(("grpc.http2.ping_timeout_ms", 1000))
print(f"and http2.ping_timeout_ms=1000: {told} after {pinged:.1f} s")
over.set()
server.stop(0)
sys.exit(0 if alone > 30 and 0 < pinged < 15 else 1)
PY
"$folder/venv/bin/python" "$folder/run.py"
