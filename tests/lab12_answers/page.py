"""Exercise 1: pages mended in three ways, and mistakes."""

import contextvars
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import context, propagate, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor


class Torn:
    """The page as it is handed out."""

    def __init__(self, tracer, pool, fetch, publish):
        self.tracer, self.pool, self.fetch, self.publish = tracer, pool, fetch, publish

    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            counts = list(self.pool.map(self.ask, shards))
            self.tell(f"{sum(counts)} in stock")
            return counts

    def ask(self, shard):
        with self.tracer.start_as_current_span(f"ask {shard}"):
            headers = {}
            propagate.inject(headers)
            return self.fetch(shard, headers)

    def tell(self, text):
        with self.tracer.start_as_current_span("publish"):
            self.publish({"text": text})

    def mail(self, message):
        with self.tracer.start_as_current_span("mail"):
            return message["text"]


class Page(Torn):
    """The context is an argument; the message has the headers in a part of their own."""

    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            here = context.get_current()
            counts = list(self.pool.map(lambda shard: self.ask_in(here, shard), shards))
            self.tell(f"{sum(counts)} in stock")
            return counts

    def ask_in(self, here, shard):
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
            work = [self.pool.submit(contextvars.copy_context().run, self.ask, shard) for shard in shards]
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

    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            here = context.get_current()

            def ask(shard):
                token = context.attach(here)
                try:
                    return self.ask(shard)
                finally:
                    context.detach(token)

            counts = list(self.pool.map(ask, shards))
            self.tell(f"{sum(counts)} in stock")
            return counts

    def mail(self, message):
        token = context.attach(propagate.extract(message.get("headers") or {}))
        try:
            return super(Page, self).mail(message)
        finally:
            context.detach(token)


# -- mistakes ------------------------------------------------------------------------------------------


class OnlyTheQueue(Page):
    show = Torn.show


class OnlyThePool(Page):
    mail = Torn.mail


class ChildOfThePage(Page):
    """The headers are those of the page: they were filled before `publish` began."""

    def tell(self, text):
        headers = {}
        propagate.inject(headers)
        with self.tracer.start_as_current_span("publish"):
            self.publish({"text": text, "headers": headers})


class HeadersTooSoon(Page):
    def ask_in(self, here, shard):
        headers = {}
        propagate.inject(headers, context=here)
        with self.tracer.start_as_current_span(f"ask {shard}", context=here):
            return self.fetch(shard, headers)


class OneAfterAnother(Page):
    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            counts = [self.ask(shard) for shard in shards]
            self.tell(f"{sum(counts)} in stock")
            return counts


class PoolOfItsOwn(Page):
    def show(self, shards):
        mine, self.pool = self.pool, ThreadPoolExecutor(3)
        with self.pool:
            counts = super().show(shards)
        self.pool = mine
        return counts


class ContextInTheMessage(Page):
    def tell(self, text):
        with self.tracer.start_as_current_span("publish"):
            self.publish({"text": text, "context": context.get_current()})


class ContextOfTheObject(Page):
    def show(self, shards):
        with self.tracer.start_as_current_span("page"):
            self.here = context.get_current()
            counts = list(self.pool.map(lambda shard: self.ask_in(self.here, shard), shards))
            self.tell(f"{sum(counts)} in stock")
            return counts


class OneMoreSpan(Page):
    def ask_in(self, here, shard):
        with self.tracer.start_as_current_span("in the pool", context=here):
            return self.ask(shard)


class WorkerNeverDetaches(Page):
    def mail(self, message):
        context.attach(propagate.extract(message.get("headers", {})))
        return super(Page, self).mail(message)


class DetachesWhenAllIsWell(Page):
    def ask_in(self, here, shard):
        token = context.attach(here)
        count = self.ask(shard)
        context.detach(token)
        return count


class PublishedAllTheSame(Page):
    def show(self, shards):
        try:
            return super().show(shards)
        except Exception:
            self.tell("0 in stock")
            raise


class NoneForTheFailed(Page):
    def ask_in(self, here, shard):
        try:
            return super().ask_in(here, shard)
        except Exception:
            return 0


class EndsWhenAllIsWell(Page):
    def show(self, shards):
        page = self.tracer.start_span("page")
        with trace.use_span(page):
            here = context.get_current()
            counts = list(self.pool.map(lambda shard: self.ask_in(here, shard), shards))
            self.tell(f"{sum(counts)} in stock")
        page.end()
        return counts


class TheLastHeaders(Page):
    def mail(self, message):
        self.headers = message.get("headers", getattr(self, "headers", {}))
        return super().mail({"text": message["text"], "headers": self.headers})


class HeadersAlways(Page):
    def mail(self, message):
        with self.tracer.start_as_current_span("mail", context=propagate.extract(message["headers"])):
            return message["text"]


class Instrumented(Page):
    def __init__(self, *given):
        super().__init__(*given)
        ThreadingInstrumentor().instrument()

    show = Torn.show


class CallerNeverDetaches(Page):
    def show(self, shards):
        page = self.tracer.start_span("page")
        context.attach(here := trace.set_span_in_context(page))
        counts = list(self.pool.map(lambda shard: self.ask_in(here, shard), shards))
        self.tell(f"{sum(counts)} in stock")
        page.end()
        return counts


class AsTheyCome(Page):
    def show(self, shards):
        return super().show(shards)[::-1]


RIGHT = {"an argument": Page, "copies": Copies, "attach and detach": Attaches}
WRONG = {
    "only the queue": (OnlyTheQueue, {"pool"}),
    "only the pool": (OnlyThePool, {"queue"}),
    "child of the page": (ChildOfThePage, {"queue"}),
    "headers too soon": (HeadersTooSoon, {"was-whole"}),
    "one after another": (OneAfterAnother, {"not-at-once"}),
    "a pool of its own": (PoolOfItsOwn, {"not-at-once"}),
    "a context in the message": (ContextInTheMessage, {"exception"}),
    "the object's context": (ContextOfTheObject, {"mixed"}),
    "one more span": (OneMoreSpan, {"other-spans"}),
    "the worker never detaches": (WorkerNeverDetaches, {"left-on"}),
    "detaches when all is well": (DetachesWhenAllIsWell, {"left-on"}),
    "the caller never detaches": (CallerNeverDetaches, {"left-on"}),
    "published all the same": (PublishedAllTheSame, {"error-lost"}),
    "nothing from the failed": (NoneForTheFailed, {"error-lost"}),
    "ends when all is well": (EndsWhenAllIsWell, {"other-spans"}),
    "the last headers": (TheLastHeaders, {"old-message"}),
    "headers, always": (HeadersAlways, {"old-message"}),
    "everybody's threads": (Instrumented, {"patched"}),
    "another order": (AsTheyCome, {"other-page"}),
}
