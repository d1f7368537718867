#!/usr/bin/env bash
# opentelemetry-instrumentation-grpc 0.66b1: GrpcInstrumentorClient().instrument(tracer_provider=…) does not use it.
#
# Every instrumentor of OpenTelemetry takes a tracer_provider, for those who do not use the global one, and the server's
# of this package does. The client's puts its interceptor on each new channel, but with the global provider: the
# call's span goes there, and where no global provider is set it is recorded nowhere, without a word. The header
# traceparent is then missing, too, so the server begins a trace of its own. (`client_interceptor(tracer_provider=…)`
# with `grpcext.intercept_channel` works; that is the control.)
#
# Seen:  instrument(tracer_provider=mine): 0 spans in mine, traceparent sent: no
#        client_interceptor(tracer_provider=mine): 1 span in mine, traceparent sent: yes
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 opentelemetry-sdk==1.45.1 \
    opentelemetry-instrumentation-grpc==0.66b1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import sys
from concurrent import futures

import grpc
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, client_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept, mine, headers = InMemorySpanExporter(), TracerProvider(), []
mine.add_span_processor(SimpleSpanProcessor(kept))


def handle(request, context):
    headers.append(dict(context.invocation_metadata()))
    return b"done"


server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
method = grpc.unary_unary_rpc_method_handler(handle)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", {"Place": method}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()


def seen(wrap):
    kept.clear()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        wrap(channel).unary_unary("/shop.Orders/Place")(b"1")
    return len(kept.get_finished_spans()), "traceparent" in headers[-1]


instrumentor = GrpcInstrumentorClient()
instrumentor.instrument(tracer_provider=mine)
by_instrumentor = seen(lambda channel: channel)
instrumentor.uninstrument()
by_hand = seen(lambda channel: intercept_channel(channel, client_interceptor(tracer_provider=mine)))
server.stop(0)
print(f"grpcio {grpc.__version__}, instrumentation 0.66b1, Python {sys.version.split()[0]}")
for name, (spans, sent) in {"instrument": by_instrumentor, "client_interceptor": by_hand}.items():
    print(f"{name}(tracer_provider=mine): {spans} spans in mine, traceparent sent: {'yes' if sent else 'no'}")
sys.exit(0 if by_instrumentor == (0, False) and by_hand == (1, True) else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
