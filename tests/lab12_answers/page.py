"""Exercise 1: pages mended in three ways, and mistakes."""

import contextvars
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import context, propagate, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from tests.lab11_answers import but

POOL, INSTRUMENTOR = ThreadPoolExecutor, ThreadingInstrumentor  # the mistakes use them


class Page:
    """The context is an argument; the message has the headers in a part of their own."""

    def __init__(self, tracer, pool, fetch, publish):
        self.tracer, self.pool, self.fetch, self.publish = tracer, pool, fetch, publish

    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            here = context.get_current()
            counts = list(self.pool.map(lambda shard: self.ask(here, shard), shards))
            self.tell(f"{sum(counts)} in stock")
            return counts

    def ask(self, here, shard):
        with self.tracer.start_as_current_span(f"ask {shard}", context=here):
            headers = {}
            propagate.inject(headers)
            return self.fetch(shard, headers)

    def tell(self, text):
        with self.tracer.start_as_current_span("publish"):
            headers = {}
            propagate.inject(headers)
            self.publish({"text": text, "headers": headers})

    def mail(self, message):
        with self.tracer.start_as_current_span("mail", context=propagate.extract(message.get("headers", {}))):
            return message["text"]


class Copies(Page):
    """Each piece of work runs in a copy of the caller's context; the message carries the headers beside its text."""

    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            work = [self.pool.submit(contextvars.copy_context().run, self.ask, None, shard) for shard in shards]
            counts = [one.result() for one in work]
            self.tell(f"{sum(counts)} in stock")
            return counts

    def tell(self, text):
        with self.tracer.start_as_current_span("publish"):
            message = {"text": text}
            propagate.inject(message)
            self.publish(message)

    def mail(self, message):
        with self.tracer.start_as_current_span("mail", context=propagate.extract(message)):
            return message["text"]


class Attaches(Page):
    """It attaches and detaches, in the pool and in the worker."""

    def ask(self, here, shard):
        token = context.attach(here)
        try:
            return super().ask(None, shard)
        finally:
            context.detach(token)

    def mail(self, message):
        before = context.attach(propagate.extract(message.get("headers") or {}))
        try:
            with self.tracer.start_as_current_span("mail"):
                return message["text"]
        finally:
            context.detach(before)


# -- mistakes ------------------------------------------------------------------------------------------


class PublishedAllTheSame(Page):
    def show(self, shards):
        try:
            return super().show(shards)
        except Exception:
            self.tell("0 in stock")
            raise


class TheLastHeaders(Page):
    def mail(self, message):
        self.headers = message.get("headers", getattr(self, "headers", {}))
        return super().mail({"text": message["text"], "headers": self.headers})


class CallerNeverDetaches(Page):
    def show(self, shards):
        page = self.tracer.start_span("page")
        context.attach(here := trace.set_span_in_context(page))
        counts = list(self.pool.map(lambda shard: self.ask(here, shard), shards))
        self.tell(f"{sum(counts)} in stock")
        page.end()
        return counts


Instrumented = but(
    Page,
    ", context=here => ",
    "= tracer, pool, fetch, publish => = tracer, pool, fetch, publish; INSTRUMENTOR().instrument()",
)
RIGHT = {"an argument": Page, "copies": Copies, "attach and detach": Attaches}
WRONG = {
    "only the queue": (but(Page, ", context=here => "), {"pool"}),
    "only the pool": (but(Page, ', context=propagate.extract(message.get("headers", {})) => '), {"queue"}),
    "child of the page": (
        but(
            Page,
            "here = => here = self.page =",
            "inject(headers)\n            self.publish => inject(headers, context=self.page)\n            self.publish",
        ),
        {"queue"},
    ),
    "headers too soon": (
        but(Page, "inject(headers)\n            return => inject(headers, context=here)\n            return"),
        {"was-whole"},
    ),
    "one after another": (but(Page, "self.pool.map => map"), {"not-at-once"}),
    "a pool of its own": (
        but(Page, "counts = list(self.pool => with POOL(3) as own:\n                counts = list(own"),
        {"not-at-once"},
    ),
    "a context in the message": (but(Page, '"headers": headers => "here": context.get_current()'), {"exception"}),
    "the object's context": (but(Page, "here = => self.here =", "ask(here => ask(self.here"), {"mixed"}),
    "one more span": (
        but(
            Page,
            "with self.tracer.start_as_current_span(f => with self.tracer.start_as_current_span('thread', here), "
            "self.tracer.start_as_current_span(f",
            ", context=here => ",
        ),
        {"other-spans"},
    ),
    "the worker never detaches": (but(Attaches, "context.detach(before) => pass"), {"left-on"}),
    "detaches when all is well": (
        but(
            Attaches,
            "try:\n            return super().ask => count = super().ask",
            "finally:\n            context.detach(token) => context.detach(token)\n        return count",
        ),
        {"left-on"},
    ),
    "the caller never detaches": (CallerNeverDetaches, {"left-on"}),
    "published all the same": (PublishedAllTheSame, {"error-lost"}),
    "nothing from the failed": (
        but(
            Page,
            "return self.fetch(shard, headers) => try:\n                return self.fetch(shard, headers)\n"
            "            except Exception:\n                return 0",
        ),
        {"error-lost"},
    ),
    "ends when all is well": (
        but(
            Page,
            'self.tracer.start_as_current_span("page") => trace.use_span(page := self.tracer.start_span("page"))',
            "return counts => page.end()\n            return counts",
        ),
        {"other-spans"},
    ),
    "the last headers": (TheLastHeaders, {"old-message"}),
    "headers, always": (but(Page, 'message.get("headers", {}) => message["headers"]'), {"old-message"}),
    "everybody's threads": (Instrumented, {"patched"}),
    "another order": (but(Page, "return counts => return counts[::-1]"), {"other-page"}),
}
