"""OpenTelemetry in a notebook: all spans in memory, libraries that are let go again, and spans as one of our traces.

Nothing is exported anywhere, and no global provider is set: each service has a provider of its own, as each process
has. Written against opentelemetry-sdk 1.45 and instrumentation 0.66b1.
"""

import threading
import time
from collections import defaultdict

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, StatusCode

from servicelab.lifecycle import Component, ServerError
from servicelab.trace import Trace, reply_id


class Spans(SpanProcessor):
    """Keeps every span that has ended, and knows whether any is still under way.

    ``provider("orders")`` is a provider whose spans come here; ``sampler`` as OpenTelemetry has it, by default all.
    """

    def __init__(self):
        self._ended: list[ReadableSpan] = []
        self._open = 0
        self._lock = threading.Condition()

    def provider(self, service: str, sampler=ALWAYS_ON) -> TracerProvider:
        """A provider for the service of this name; it has no thread, and does nothing at the end of the kernel."""
        resource = Resource({"service.name": service})
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self)
        return provider

    def on_start(self, span, parent_context=None):
        with self._lock:
            self._open += 1

    def on_end(self, span):
        with self._lock:
            self._open -= 1
            self._ended.append(span)
            self._lock.notify_all()

    def clear(self) -> None:
        """Forget what has ended."""
        with self._lock:
            self._ended.clear()

    def ended(self, limit: float = 5.0) -> list[ReadableSpan]:
        """All spans so far, by their beginning, once none is under way; after ``limit`` seconds those that there are.

        A server ends its span after it has answered: whoever has the answer may be a little too early.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._open == 0, limit)
            return sorted(self._ended, key=lambda span: span.start_time)


class Instrumented(Component):
    """A library that is instrumented as long as this runs: ``Instrumented(RequestsInstrumentor(), …).start()``.

    An instrumentor changes the library for the whole process; ``stop()`` (so ``stop_all()``, and the end of a ``with``
    block) undoes it. ``options`` are those of its ``instrument``. Raises ServerError for what is no instrumentor.
    """

    def __init__(self, instrumentor, **options):
        if not callable(getattr(instrumentor, "uninstrument", None)):
            raise ServerError(f"instrumentor={instrumentor!r} is none: give one such as RequestsInstrumentor()")
        super().__init__(type(instrumentor).__name__)
        self.instrumentor, self.options = instrumentor, options

    def _open(self):
        self.instrumentor.instrument(**self.options)

    def _close(self):
        if self.instrumentor.is_instrumented_by_opentelemetry:
            self.instrumentor.uninstrument()


def by_trace(spans) -> dict[int, list[ReadableSpan]]:
    """The spans of each trace, by its id; what began first comes first."""
    found = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start_time):
        found[span.context.trace_id].append(span)
    return dict(found)


def trace_of(spans) -> Trace:
    """Finished spans as a :class:`~servicelab.trace.Trace`, for ``spacetime`` and tables.

    A lane is a service (``service.name``). What a library does for a service is done in the lane of the span around it,
    if there is one. A client's span and the server's below it are a call with two messages, a producer's and a
    consumer's one message. Times are seconds since the first span began.
    """
    spans = sorted(spans, key=lambda span: span.start_time)
    own = {span.context.span_id: span for span in spans}
    first = spans[0].start_time if spans else 0
    trace = Trace(clock=time.monotonic)
    answered = {span.parent.span_id: span for span in spans if span.kind in _FAR and span.parent}
    for span in spans:
        id, begin, end = f"{span.context.span_id:016x}", (span.start_time - first) / 1e9, (span.end_time - first) / 1e9
        lane = _lane(span, own)
        far = answered.get(span.context.span_id)
        if span.kind == SpanKind.CLIENT:
            other = _lane(far, own) if far else "?"
            trace.start_call(lane, other, span.name, id=id, at=begin)
            trace.end_call(id, "error" if span.status.status_code is StatusCode.ERROR else "ok", at=end)
        if span.kind in (SpanKind.CLIENT, SpanKind.PRODUCER) and far:
            kind = "request" if span.kind == SpanKind.CLIENT else "message"
            trace.send(lane, _lane(far, own), span.name, id=id, kind=kind, at=begin)
            trace.receive(id, _lane(far, own), at=max(begin, (far.start_time - first) / 1e9))
            if span.kind == SpanKind.CLIENT:
                trace.send(_lane(far, own), lane, "", id=reply_id(id), kind="reply",
                           at=min(end, (far.end_time - first) / 1e9))  # fmt: skip
                trace.receive(reply_id(id), lane, at=end)
        if span.kind in _FAR or span.kind == SpanKind.INTERNAL:
            near = span.kind in _FAR and span.parent and own.get(span.parent.span_id)
            work = trace.start_work(lane, span.name, id=f"{near.context.span_id:016x}" if near else id, at=begin)
            trace.end_work(work, at=end)
    return trace


_FAR = (SpanKind.SERVER, SpanKind.CONSUMER)


def _lane(span, own) -> str:
    """The service of ``span``: that of the span around it in the same process, else what its provider says."""
    while span.kind not in _FAR and span.parent and span.parent.span_id in own:
        span = own[span.parent.span_id]
    return span.resource.attributes.get("service.name", "?")
