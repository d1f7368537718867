"""Exercise 1, repair: a trace that a thread pool and a queue have torn. Stock answers on a socket."""

import contextvars
import json
import threading
import time
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
other-spans: the nine spans have their names and end, whatever happens: no one is missing, none is new
    List the names. A trace is mended by parents; no new span is needed for that. Who ends those that you begin?
pool: each of the three `ask` spans is a child of `page`
    The current span is kept in a context variable. What does a thread of the pool see of those of its caller?
queue: `mail` is a child of `publish`
    Nothing but the message gets to the other side. What does it say of the span that was current when it was sent?
was-whole: the hops that were whole are whole: page has no parent, publish has page, and each stock has its own ask
    Which span is current when you fill the headers, and which one when you begin `publish`?
not-at-once: the three shards are asked at once, in the pool that was handed in
    Who runs `ask`, and who waits for whom?
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
        def begin():
            self.gate.wait(PATIENCE)
            return function(*args, **options)

        self.given += 1
        if self.given >= self.waits_for:
            self.gate.set()
        return super().submit(begin)

    def current_spans(self):
        """Has a thread a current span, when all that was given before is done? One answer for each of the threads."""
        line = threading.Barrier(self.size)
        return [one.result() for one in [self.submit(self._look, line) for _ in range(self.size)]]

    def _look(self, line):
        line.wait(PATIENCE)
        return trace.get_current_span().get_span_context().is_valid


class Shop:
    """What a page is given: a tracer of its own, a pool, stock on a socket, and a queue of JSON texts."""

    def __init__(self, use):
        self.spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer, self.queue, self.fails = provider.get_tracer("shop"), [], ""
        self.line = threading.Barrier(1)  # of those who have to be there at once
        app = Flask("inventory")
        app.add_url_rule("/stock/<shard>", "stock", self._stock)
        self.url = use(serve(app, "inventory")).url
        self.pool, self.worker = use(Pool(6)), use(Pool(1, "worker"))
        self.given = self.tracer, self.pool, self.fetch, self.publish  # to the page

    def _stock(self, shard):
        with self.tracer.start_as_current_span(f"stock {shard}", propagate.extract(request.headers)):
            return ("no", 500) if shard == self.fails else str(10 + SHARDS.index(shard))

    def fetch(self, shard, headers):
        with suppress(threading.BrokenBarrierError):
            self.line.wait(PATIENCE)
        answer = requests.get(f"{self.url}/stock/{shard}", headers=headers, timeout=5)
        answer.raise_for_status()
        time.sleep(0.03 * (len(SHARDS) - SHARDS.index(shard)))  # the last one answers first
        return int(answer.text)

    def publish(self, message):
        self.queue.append(json.dumps(message))

    def traces(self):
        """The finished spans of each trace, and the names of all spans by their ids, in order of their beginnings."""
        found, names = {}, {}
        for span in sorted(self.spans.get_finished_spans(), key=lambda span: span.start_time):
            found.setdefault(span.context.trace_id, []).append(span)
            names[span.context.span_id] = span.name
        return list(found.values()), names


def parent_of(span, names):
    """The name of its parent: None if it has none, "unknown" if that is none of these."""
    return names.get(span.parent.span_id, "unknown") if span.parent else None


def spans_of(Page) -> Table:
    """One page and its mail: its spans, each with its trace and its parent."""
    with ExitStack() as stack:
        shop = Shop(stack.enter_context)
        page = Page(*shop.given)
        page.show(SHARDS)
        for message in shop.queue:
            shop.worker.submit(page.mail, json.loads(message)).result()
        traces, names = shop.traces()
    rows = [(number, span.name, parent_of(span, names) or "—") for number, one in enumerate(traces, 1) for span in one]
    return Table(("trace", "span", "parent"), rows, f"{len(rows)} spans in {len(traces)} traces")


def take_away() -> bool:
    """Take away what an instrumentor has put around everybody's threads. Was there anything?"""
    was_there = ThreadingInstrumentor().is_instrumented_by_opentelemetry
    if was_there:
        ThreadingInstrumentor().uninstrument()
    return was_there


class Shown(Stage):
    def __init__(self, ask, Page):
        super().__init__(ask, Page)
        self.last = ask.trace.send("customer", "gateway", "page")
        self.ask.trace.receive(self.last, "gateway")
        ask.use(ExitStack()).callback(take_away)
        self.shop = Shop(ask.use)
        self.page = self.make(Page, *self.shop.given, methods=("show", "mail"))
        self.context = contextvars.copy_context()

    def show(self):
        def show(*shards):
            return self.context.run(self.page.show, list(shards))

        return self.call(show, *SHARDS, limit=8.0)

    def mail(self, text):
        def mail(message):
            return self.shop.worker.submit(self.page.mail, message).result()

        return self.call(mail, json.loads(text), limit=4.0)

    def draw(self):
        """Each span as an arrow from its parent's service. What is wrong with the first one that has not the parent
        that is due is returned as (code, what happened), and its arrow is marked."""
        traces, names = self.shop.traces()
        stray = None
        for span in sum(traces, []):
            parent = parent_of(span, names)
            sender, to = (LANES.get((name or "nobody").split()[0], "nobody") for name in (parent, span.name))
            sent = self.ask.trace.send(sender, to, span.name)
            self.ask.trace.receive(sent)
            if stray is None:
                self.last = sent
                if parent != PARENTS.get(span.name):
                    code = {"ask": "pool", "mail": "queue"}.get(span.name.split()[0], "was-whole")
                    stray = code, f"the parent of `{span.name}` is {parent}; there are {len(traces)} traces"
        return stray, list(names.values()), [len(one) for one in traces]

    def left_on(self, when):
        found = {"the caller's thread": self.context.run(trace.get_current_span).get_span_context().is_valid}
        found["a thread of the pool"] = any(self.call(self.shop.pool.current_spans, limit=6.0))
        found["the worker's thread"] = any(self.call(self.shop.worker.current_spans, limit=6.0))
        on = ", ".join(who for who, is_on in found.items() if is_on)
        return "left-on", not on, f"after {when}, {on} still has a current span"


check_page = scenario("12", 1, "A torn trace", WORDS, Page=Shown)
part = check_page.part


@part
def one_page(s):
    s.shop.line = threading.Barrier(3)
    counts = s.show()
    yield "patched", not take_away(), "ThreadingInstrumentor had been at work"
    yield "other-page", counts == [10, 11, 12], f"show returned {shown(counts)}"
    told = f"{s.shop.pool.given} calls came to the pool" + ", one after another" * s.shop.line.broken
    yield "not-at-once", s.shop.pool.given >= 3 and not s.shop.line.broken, told
    told = [one.get("text") if isinstance(one, dict) else one for one in map(json.loads, s.shop.queue)]
    yield "other-page", told == ["33 in stock"], f"published was {shown(s.shop.queue)}"
    mailed = s.mail(s.shop.queue[0])
    yield "other-page", mailed == "33 in stock", f"mail returned {shown(mailed)}"
    stray, names, _ = s.draw()
    yield "other-spans", sorted(names) == sorted(PARENTS), f"the spans are {', '.join(sorted(names))}"
    yield stray[0] if stray else "pool", not stray, stray[1] if stray else ""
    yield s.left_on("a page and its mail")


@part
def two_pages_at_once(s):
    s.shop.pool.waits_for = 6
    s.at_once(*[partial(contextvars.copy_context().run, s.page.show, list(SHARDS)) for _ in range(2)], limit=8.0)
    for message in reversed(s.shop.queue):
        s.mail(message)
    stray, _, spans = s.draw()
    told = stray[1] if stray else f"the traces have {' and '.join(map(str, spans))} spans"
    yield "mixed", not stray and spans == [9, 9], told


@part
def a_shard_fails(s):
    s.shop.fails = "b"
    outcome = s.ask.run(s.context.run, s.page.show, list(SHARDS), limit=8.0)
    s.shop.pool.current_spans()  # the others have ended, too
    _, names, _ = s.draw()
    is_raised = isinstance(outcome.error, requests.HTTPError)
    yield "error-lost", is_raised and not s.shop.queue, f"{outcome}; {len(s.shop.queue)} messages were published"
    told = f"fetch raised, and these spans have ended: {', '.join(sorted(names))}"
    yield "other-spans", {"page", "ask b"} <= set(names), told
    yield s.left_on("fetch raised")


@part
def an_old_message(s):
    s.show()
    for message in s.shop.queue:  # a new one, before it
        s.mail(message)
    outcome = s.ask.run(lambda: s.shop.worker.submit(s.page.mail, {"text": "7 in stock"}).result(), limit=4.0)
    _, names, spans = s.draw()
    is_mailed = outcome.returned and outcome.value == "7 in stock" and spans == [9, 1] and names[-1] == "mail"
    yield "old-message", is_mailed, f"{outcome}; after a page with its mail, the traces have {spans} spans"
    yield s.left_on("an old message")
