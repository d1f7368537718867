#!/usr/bin/env bash
# opentelemetry-sdk 1.45.1: force_flush() returns True when no span was delivered.
#
# TracerProvider.force_flush() is what a job, a function in a cloud or a worker calls before it ends; the specification
# wants it to let the caller know whether it succeeded, failed or timed out. With BatchSpanProcessor it returns True
# also when the exporter has said SpanExportResult.FAILURE to every batch, when it raised, and when it took ten times
# the timeout that was asked for. The spans are gone, and nothing tells the caller.
#
# Seen:  exporter says FAILURE: force_flush() True, 0 of 100 delivered
#        exporter raises:       force_flush() True, 0 of 100 delivered
#        force_flush(100) with an exporter that takes 1 s: True, after 1.0 s
# Exit status: 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.1 2>/dev/null
cat >"$folder/run.py" <<'PY'
import logging
import sys
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

logging.disable()


class Away(SpanExporter):
    """A collector that is not there: it says so, or raises, or answers after ``seconds``."""

    def __init__(self, raises=False, seconds=0.0):
        self.raises, self.seconds, self.delivered = raises, seconds, 0

    def export(self, spans):
        time.sleep(self.seconds)
        if self.raises:
            raise ConnectionError("the collector is away")
        if self.seconds:
            self.delivered += len(spans)
            return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE


def flushed(away, *timeout):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(away))
    for _ in range(100):
        provider.get_tracer("shop").start_span("order").end()
    begin = time.monotonic()
    said = provider.force_flush(*timeout)
    took = time.monotonic() - begin
    provider.shutdown()
    return said, away.delivered, took


failed, raised, slow = flushed(Away()), flushed(Away(raises=True)), flushed(Away(seconds=1.0), 100)
print(f"opentelemetry-sdk 1.45.1, Python {sys.version.split()[0]}")
print(f"exporter says FAILURE: force_flush() {failed[0]}, {failed[1]} of 100 delivered")
print(f"exporter raises: force_flush() {raised[0]}, {raised[1]} of 100 delivered")
print(f"force_flush(100) with an exporter that takes 1 s: {slow[0]}, after {slow[2]:.1f} s")
holds = failed[:2] == raised[:2] == (True, 0) and slow[0] is True and slow[2] > 0.5
sys.exit(0 if holds else 1)
PY
"$folder/venv/bin/python" "$folder/run.py" && echo "It still is so." || { echo "It has changed."; exit 1; }
