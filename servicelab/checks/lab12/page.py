"""Exercise 1, repair: a trace that a thread pool and a queue have torn. Stock answers on a socket."""

import contextvars
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import requests
from flask import Flask, request
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import serve
from servicelab.table import Table

SHARDS, PATIENCE = ("a", "b", "c"), 2.0  # seconds that those who are asked at once wait for one another
LANES = {"page": "gateway", "ask": "pool", "stock": "inventory", "publish": "queue", "mail": "notification"}
PARENTS = {"page": None, "publish": "page", "mail": "publish"}
PARENTS |= {f"ask {one}": "page" for one in SHARDS} | {f"stock {one}": f"ask {one}" for one in SHARDS}

WORDS = words("""
other-page: show and mail return what they returned, and the message has the text that it had
    Compare with the code as you got it: the order of the list, what goes into the message, what mail returns.
other-spans: the nine spans have their names: no one is missing, none is new
    List the names. A trace is mended by parents; no new span is needed for that.
pool: each of the three `ask` spans is a child of `page`
    The current span is kept in a context variable. What does a thread of the pool see of those of its caller?
queue: `mail` is a child of `publish`
    Nothing but the message gets to the other side. What does it say of the span that was current when it was sent?
was-whole: the hops that were whole are whole: page has no parent, publish has page, and each stock has its own ask
    Which span is current when you fill the headers, and which one when you begin `publish`?
not-at-once: the three shards are asked at once, in the pool that was handed in
    Who runs `ask`, and who waits for whom?
not-json: a message is JSON
    What would json.dumps make of each thing that you put into it?
mixed: two pages at once are two traces of nine spans
    What do two calls of `show` share? Let each call hand its own context on.
error-lost: a shard fails: show raises what fetch raised
    Who looks at the results of the pool's work?
left-on: after the work, no thread has a current span: not the caller's, not the pool's, not the worker's
    What is attached has to be detached, also when something is raised in between.
old-message: a message without anything but its text is mailed, in a trace of its own
    What does your `mail` look for first, and what if it is not there?
patched: the threads of everybody else are as they were
    An instrumentor changes `threading` for the whole process. Mend the page itself.
""")


class Pool(ThreadPoolExecutor):
    """A pool that counts what it was given. Its threads begin to work when it was given so many as it waits for."""

    def __init__(self, size, name="pool"):
        super().__init__(size, f"servicelab lab12 {name}")
        self.size, self.given, self.waits_for, self.gate = size, 0, 0, threading.Event()

    def submit(self, function, /, *args, **options):
        self.given += 1
        if self.given >= self.waits_for:
            self.gate.set()
        return super().submit(self._begin, function, *args, **options)

    def _begin(self, function, *args, **options):
        self.gate.wait(PATIENCE)
        return function(*args, **options)

    def current_spans(self):
        """The current span in each of the threads, when all that was given before is done."""
        line = threading.Barrier(self.size)

        def look():
            line.wait(PATIENCE)
            return trace.get_current_span().get_span_context().is_valid

        return [one.result() for one in [ThreadPoolExecutor.submit(self, look) for _ in range(self.size)]]


class Shop:
    """What a page is given: a tracer of its own, a pool, stock on a socket, and a queue of JSON texts."""

    def __init__(self, use):
        self.spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer, self.queue, self.fails, self.unfit = provider.get_tracer("shop"), [], "", ""
        self.line = threading.Barrier(1)  # of those who have to be there at once
        app = Flask("inventory")
        app.add_url_rule("/stock/<shard>", "stock", self._stock)
        self.url = use(serve(app, "inventory")).url
        self.pool, self.worker = use(Pool(6)), use(Pool(1, "worker"))

    def _stock(self, shard):
        with self.tracer.start_as_current_span(f"stock {shard}", propagate.extract(request.headers)):
            return ("no", 500) if shard == self.fails else str(10 + ord(shard) - ord("a"))

    def fetch(self, shard, headers):
        with suppress(threading.BrokenBarrierError):
            self.line.wait(PATIENCE)
        answer = requests.get(f"{self.url}/stock/{shard}", headers=headers, timeout=5)
        answer.raise_for_status()
        return int(answer.text)

    def publish(self, message):
        try:
            self.queue.append(json.dumps(message))
        except (TypeError, ValueError):
            self.unfit = shown(message)
            raise

    def made(self, Page):
        return Page(self.tracer, self.pool, self.fetch, self.publish)

    def traces(self):
        """The finished spans of each trace, and all of them by id, in order of their beginnings."""
        spans = sorted(self.spans.get_finished_spans(), key=lambda span: span.start_time)
        found = {}
        for span in spans:
            found.setdefault(span.context.trace_id, []).append(span)
        return list(found.values()), {span.context.span_id: span for span in spans}


def parent_of(span, by_id):
    return by_id[span.parent.span_id].name if span.parent and span.parent.span_id in by_id else None


def spans_of(Page) -> Table:
    """One page and its mail: its spans, each with its trace and its parent."""
    with ExitStack() as stack:
        shop = Shop(stack.enter_context)
        page = shop.made(Page)
        page.show(SHARDS)
        for message in shop.queue:
            shop.worker.submit(page.mail, json.loads(message)).result()
        traces, by_id = shop.traces()
    rows = [(number, span.name, parent_of(span, by_id) or "—") for number, one in enumerate(traces, 1) for span in one]
    return Table(("trace", "span", "parent"), rows, f"{len(rows)} spans in {len(traces)} traces")


class Shown(Stage):
    def __init__(self, ask, Page):
        super().__init__(ask, Page)
        self.last = ask.trace.send("customer", "gateway", "page")
        self.ask.trace.receive(self.last, "gateway")
        self.before = threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit
        ask.use(ExitStack()).callback(self.restore)
        self.shop = Shop(ask.use)
        self.page = self.make(Page, self.shop.tracer, self.shop.pool, self.shop.fetch, self.shop.publish,
                              methods=("show", "mail"))  # fmt: skip
        self.context = contextvars.copy_context()
        self.unpatch()

    def show(self):
        def show(*shards):
            return self.context.run(self.page.show, list(shards))

        return self.call(show, *SHARDS, limit=8.0)

    def mail(self, text):
        def mail(message):
            return self.shop.worker.submit(self.page.mail, message).result()

        return self.call(mail, json.loads(text), limit=4.0)

    def restore(self) -> bool:
        """Take away what an instrumentor has put around everybody's threads. Was there anything?"""
        now = threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit
        if all(one is other for one, other in zip(now, self.before)):  # a wrapper says that it equals what it wraps
            return False
        ThreadingInstrumentor().uninstrument()
        threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit = self.before
        return True

    def unpatch(self):
        if self.restore():
            self.refuse("patched", "threading.Thread or ThreadPoolExecutor are others than before")

    def message(self):
        if self.shop.unfit or not self.shop.queue:
            self.refuse("not-json" if self.shop.unfit else "other-page", self.shop.unfit or "nothing was published")
        return self.shop.queue[-1]

    def draw(self, wrong=None):
        """Each span as an arrow from its parent's service; the one that is wrong is marked."""
        traces, by_id = self.shop.traces()
        for span in by_id.values():
            sender = LANES.get((parent_of(span, by_id) or "nobody").split()[0], "nobody")
            sent = self.ask.trace.send(sender, LANES.get(span.name.split()[0], "somewhere"), span.name)
            self.ask.trace.receive(sent)
            if wrong is None or span is wrong:
                self.last, wrong = sent, span
        return traces, by_id

    def strays(self):
        """What is wrong with the spans of each page, as (code, what happened), or None."""
        traces, by_id = self.shop.traces()
        names = Counter(span.name for span in by_id.values())
        pages = max(1, names["page"])
        if names != Counter(dict.fromkeys(PARENTS, pages)):
            self.draw()
            return "other-spans", f"the spans are {', '.join(sorted(names.elements()))}"
        for span in by_id.values():
            parent = parent_of(span, by_id)
            if parent != PARENTS[span.name] or (span.parent is not None) != (parent is not None):
                self.draw(span)
                code = {"ask": "pool", "mail": "queue"}.get(span.name.split()[0], "was-whole")
                return code, f"the parent of `{span.name}` is {parent}; there are {len(traces)} traces"
        self.draw()
        return None

    def left_on(self):
        found = {"the caller's thread": self.context.run(trace.get_current_span).get_span_context().is_valid}
        found["a thread of the pool"] = any(self.call(self.shop.pool.current_spans, limit=6.0))
        found["the worker's thread"] = any(self.call(self.shop.worker.current_spans, limit=6.0))
        return ", ".join(who for who, is_on in found.items() if is_on)


check_page = scenario("12", 1, "A torn trace", WORDS, Page=Shown)
part = check_page.part


@part
def one_page(s):
    s.shop.line = threading.Barrier(3)
    answer = s.ask.run(partial(s.context.run, s.page.show, list(SHARDS)), limit=8.0)
    s.unpatch()
    if s.shop.unfit:
        s.message()
    if not answer.returned:
        s.show()
    yield "other-page", answer.value == [10, 11, 12], f"show returned {shown(answer.value)}"
    told = f"{s.shop.pool.given} calls came to the pool" + ", one after another" * s.shop.line.broken
    yield "not-at-once", s.shop.pool.given >= 3 and not s.shop.line.broken, told
    message = s.message()
    text = json.loads(message).get("text") if isinstance(json.loads(message), dict) else None
    yield "other-page", len(s.shop.queue) == 1 and text == "33 in stock", f"published was {shown(s.shop.queue)}"
    mailed = s.mail(message)
    yield "other-page", mailed == "33 in stock", f"mail returned {shown(mailed)}"
    stray = s.strays()
    yield stray[0] if stray else "pool", not stray, stray[1] if stray else ""
    on = s.left_on()
    yield "left-on", not on, f"{on} still has a current span"


@part
def two_pages_at_once(s):
    s.shop.pool.waits_for = 6
    s.at_once(*[partial(contextvars.copy_context().run, s.page.show, list(SHARDS)) for _ in range(2)], limit=8.0)
    for message in reversed(s.shop.queue):
        s.mail(message)
    stray = s.strays()
    told = stray[1] if stray else ""
    traces = s.shop.traces()[0]
    told = told or f"the traces have {' and '.join(str(len(one)) for one in traces)} spans"
    yield "mixed", not stray and [len(one) for one in traces] == [9, 9], told


@part
def a_shard_fails(s):
    s.shop.fails = "b"
    outcome = s.ask.run(s.context.run, s.page.show, list(SHARDS), limit=8.0)
    s.shop.pool.current_spans()  # the others have ended, too
    s.draw()
    is_raised = isinstance(outcome.error, requests.HTTPError)
    yield "error-lost", is_raised and not s.shop.queue, f"{outcome}; {len(s.shop.queue)} messages were published"
    on = s.left_on()
    yield "left-on", not on, f"a shard had failed, and {on} still has a current span"


@part
def an_old_message(s):
    outcome = s.ask.run(lambda: s.shop.worker.submit(s.page.mail, {"text": "7 in stock"}).result(), limit=4.0)
    _, by_id = s.draw()
    spans = [(span.name, span.parent) for span in by_id.values()]
    is_mailed = outcome.returned and outcome.value == "7 in stock" and spans == [("mail", None)]
    yield "old-message", is_mailed, f"{outcome}; the spans are {', '.join(name for name, _ in spans) or 'none'}"
    on = s.left_on()
    yield "left-on", not on, f"{on} still has a current span"
