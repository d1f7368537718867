#!/usr/bin/env bash
# opentelemetry-instrumentation-grpc 0.66b1: a gRPC handler that raises is a call without fault in the server's own spans.
#
# A unary handler raises ValueError. grpcio answers UNKNOWN (status 2), and the client's span says so: an error, with
# rpc.grpc.status_code 2. The server's span of the same call has rpc.grpc.status_code 0 (OK) and no error status, so an
# error rate, or a tail sampler, that looks at servers' spans sees nothing. A handler that calls context.abort() is
# counted as an error at both ends; that is the control.
#
# Seen:  raised:  client UNKNOWN, span ERROR with status 2; server span UNSET with status 0
#        aborted: client INTERNAL, span ERROR with status 13; server span ERROR with status 13
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 opentelemetry-sdk==1.45.1 \
    opentelemetry-instrumentation-grpc==0.66b1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import logging
import sys
from concurrent import futures

import grpc
from opentelemetry.instrumentation.grpc import client_interceptor, server_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

logging.disable()  # grpcio logs the traceback, as it should
kept, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))


def handle(request, context):
    if request == b"raise":
        raise ValueError("no such order")
    context.abort(grpc.StatusCode.INTERNAL, "no such order")


server = grpc.server(
    futures.ThreadPoolExecutor(2),
    interceptors=[server_interceptor(tracer_provider=provider)],
    options=[("grpc.so_reuseport", 0)],
)
method = grpc.unary_unary_rpc_method_handler(handle)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", {"Place": method}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
place = intercept_channel(channel, client_interceptor(tracer_provider=provider)).unary_unary("/shop.Orders/Place")


def seen(request):
    kept.clear()
    try:
        place(request)
    except grpc.RpcError as error:
        code = error.code().name
    found = {span.kind: span for span in kept.get_finished_spans()}
    ends = [found[kind] for kind in (SpanKind.CLIENT, SpanKind.SERVER)]
    return code, *[(end.status.status_code.name, end.attributes["rpc.grpc.status_code"]) for end in ends]


raised, aborted = seen(b"raise"), seen(b"abort")
channel.close()
server.stop(0)
print(f"grpcio {grpc.__version__}, instrumentation 0.66b1, Python {sys.version.split()[0]}")
for name, (code, client, at_server) in {"raised": raised, "aborted": aborted}.items():
    print(f"{name}: client {code}, span {client[0]} with status {client[1]}; server span {at_server[0]} with {at_server[1]}")
holds = raised == ("UNKNOWN", ("ERROR", 2), ("UNSET", 0)) and aborted == ("INTERNAL", ("ERROR", 13), ("ERROR", 13))
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
