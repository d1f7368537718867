#!/usr/bin/env bash
# grpcio 1.85.1: a servicer that hands its caller's deadline on, as its documentation invites to, fails every call
# whose caller set none.
#
# `ServicerContext.time_remaining()` is documented to return None when no deadline was specified, and a stub's `timeout`
# takes None for "no deadline". So `stub.Next(request, timeout=context.time_remaining())` should hand on what there is.
# In the synchronous server it returns about 9.2e18 seconds instead of None. A stub that is given so large a timeout
# does not wait for ever: the call ends at once with DEADLINE_EXCEEDED, and the next server is never asked.
# (A caller that did set a deadline is served; that is the control.)
#
# Seen:  time_remaining() without a deadline: 9.223e+18
#        handed on: DEADLINE_EXCEEDED after less than 1 s, next server asked 0 times
#        with a deadline of 30 s: OK, next server asked 1 time
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import sys
import time
from concurrent import futures

import grpc

asked = []


def serve(handler):
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    method = grpc.unary_unary_rpc_method_handler(handler)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", {"Place": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, grpc.insecure_channel(f"127.0.0.1:{port}")


def last(request, context):
    asked.append(request)
    return b"done"


behind, channel_behind = serve(last)
seen = {}


def hand_on(request, context):
    seen["left"] = context.time_remaining()
    try:
        return channel_behind.unary_unary("/shop.Orders/Place")(request, timeout=seen["left"])
    except grpc.RpcError as error:
        return error.code().name.encode()


front, channel = serve(hand_on)
place = channel.unary_unary("/shop.Orders/Place")

begin = time.monotonic()
without = place(b"1")
took, asked_without, left = time.monotonic() - begin, len(asked), seen["left"]
asked.clear()
with_deadline = place(b"2", timeout=30)
asked_with = len(asked)
for one in (channel, channel_behind):
    one.close()
for one in (front, behind):
    one.stop(0)

print(f"grpcio {grpc.__version__}, Python {sys.version.split()[0]}")
print(f"time_remaining() without a deadline: {left if left is None else format(left, '.4g')}")
print(f"handed on: {without.decode()}, next server asked {asked_without} times, after {took:.2f} s")
print(f"with a deadline of 30 s: {with_deadline.decode()}, next server asked {asked_with} times")
holds = left is not None and left > 1e18 and without == b"DEADLINE_EXCEEDED" and asked_without == 0
holds = holds and took < 5 and with_deadline == b"done" and asked_with == 1
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
