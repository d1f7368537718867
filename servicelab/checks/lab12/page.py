"""Exercise 1, repair: a trace that a thread pool and a queue have torn. Stock answers on a socket."""

import contextvars
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import requests
from flask import Flask, request
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients.telemetry import Spans, by_trace
from servicelab.servers import serve
from servicelab.table import Table

SHARDS, PATIENCE = ("a", "b", "c"), 2.0  # seconds that those who are asked at once wait for one another
LANES = {"page": "gateway", "ask": "pool", "stock": "inventory", "publish": "queue", "mail": "notification"}
PARENTS = {"page": "—", "publish": "page", "mail": "publish"}
PARENTS |= {f"ask {one}": "page" for one in SHARDS} | {f"stock {one}": f"ask {one}" for one in SHARDS}

WORDS = words("""
other-page, other-spans: nothing else changes: what show and mail return, the text, and nine spans, which always end
    Compare with the code as you got it: the list's order, the message, the names of the spans. Who ends each of them?
pool, was-whole: page has no parent; publish and the three asks have page, and each stock has its own ask
    What does a thread of the pool see of its caller's context variables? What is current when headers are filled?
queue: `mail` is a child of `publish`
    Nothing but the message gets to the other side. What does it say of the span that was current when it was sent?
not-at-once, error-lost: the shards are asked at once, in the pool handed in, and what fetch raises show raises
    Who runs `ask`, who waits for whom, and who looks at the results of the pool's work?
mixed: two pages at once are two traces of nine spans
    What do two calls of `show` share? Let each call hand its own context on.
left-on, patched: after the work, no thread has a current span that it had not before, and `threading` is as it was
    What is attached has to be detached, whatever is raised in between. An instrumentor changes everybody's threads.
old-message: a message without anything but its text is mailed, in a trace of its own
    What does your `mail` look for first, and what if it is not there?
""")


def wait_for_all(line):
    with suppress(threading.BrokenBarrierError):
        line.wait(PATIENCE)


def has_current_span():
    return trace.get_current_span().get_span_context().is_valid


class Pool(ThreadPoolExecutor):
    """A pool of six that counts what it was given. ``line`` is of those pieces of work that begin at the same time."""

    given, line = 0, threading.Barrier(1)

    def submit(self, function, /, *args, **options):
        self.given += 1
        return super().submit(lambda: wait_for_all(self.line) or function(*args, **options))

    def has_current_span(self):
        """Has one of its threads a current span, when all that was given before is done?"""
        self.line = threading.Barrier(6)
        return any(one.result() for one in [self.submit(has_current_span) for _ in range(6)])


class Shop:
    """What a page is given: a tracer of its own, a pool, stock on a socket, and a queue of JSON texts."""

    def __init__(self, use):
        self.spans, self.queue, self.fails, self.line = Spans(), [], "", threading.Barrier(1)
        self.tracer = self.spans.provider("shop").get_tracer("shop")
        app = Flask("inventory")
        app.add_url_rule("/stock/<shard>", "stock", self._stock)
        self.url = use(serve(app, "inventory")).url
        self.pool = use(Pool(6, "servicelab lab12 pool"))
        self.worker = use(ThreadPoolExecutor(1, "servicelab lab12 worker"))
        self.given = self.tracer, self.pool, self.fetch, self.publish  # to the page

    def _stock(self, shard):
        with self.tracer.start_as_current_span(f"stock {shard}", propagate.extract(request.headers)):
            return ("no", 500) if shard == self.fails else str(10 + SHARDS.index(shard))

    def fetch(self, shard, headers):
        wait_for_all(self.line)
        answer = requests.get(f"{self.url}/stock/{shard}", headers=headers, timeout=5)
        answer.raise_for_status()
        time.sleep(0.03 * (len(SHARDS) - SHARDS.index(shard)))  # the last one answers first
        return int(answer.text)

    def publish(self, message):
        self.queue.append(json.dumps(message))

    def rows(self) -> list[tuple[int, str, str]]:
        """Of each span that has ended, the number of its trace, its name, and that of its parent."""
        traces = by_trace(self.spans.ended(PATIENCE)).values()
        spans = [(number, span) for number, one in enumerate(traces, 1) for span in one]
        names = {span.context.span_id: span.name for _, span in spans} | {None: "—"}
        ids = [span.parent and span.parent.span_id for _, span in spans]
        return [(number, span.name, names.get(id, "unknown")) for (number, span), id in zip(spans, ids)]


def spans_of(Page) -> Table:
    """One page and its mail: its spans, each with its trace and its parent."""
    with ExitStack() as stack:
        shop = Shop(stack.enter_context)
        page = Page(*shop.given)
        page.show(SHARDS)
        for message in shop.queue:
            shop.worker.submit(page.mail, json.loads(message)).result()
        rows = shop.rows()
    return Table(("trace", "span", "parent"), rows, f"{len(rows)} spans in {len({row[0] for row in rows})} traces")


def take_away() -> bool:
    """Take away what an instrumentor has put around everybody's threads. Was there anything?"""
    if was_there := ThreadingInstrumentor().is_instrumented_by_opentelemetry:
        ThreadingInstrumentor().uninstrument()
    return was_there


class Shown(Stage):
    def __init__(self, ask, Page):
        super().__init__(ask, Page)
        self.say("customer", "gateway", "page")
        ask.use(ExitStack()).callback(take_away)
        self.shop, self.context = Shop(ask.use), contextvars.copy_context()
        self.page = self.make(Page, *self.shop.given, methods=("show", "mail"))

    def show(self, shards=SHARDS):
        return self.context.run(self.page.show, list(shards))

    def mail(self, message):
        return self.shop.worker.submit(self.page.mail, message).result()

    def draw_spans(self):
        """Each new span as an arrow from its parent's service. What is wrong with the first one that has not the parent
        that is due is returned as (code, what happened), and its arrow is marked; and the rows of all."""
        rows, stray, mark = self.shop.rows(), None, None
        for _, name, parent in rows:
            kind = name.split()[0]
            self.say(LANES.get(parent.split()[0], "nobody"), LANES.get(kind, "nobody"), name)
            if not stray and parent != PARENTS.get(name):
                code, mark = {"ask": "pool", "mail": "queue"}.get(kind, "was-whole"), self.last
                stray = code, f"the parent of `{name}` is {parent}; there are {rows[-1][0]} traces"
        self.last = mark or self.last
        self.shop.spans.clear()
        return stray, rows

    def left_on(self, when):
        on = ["the caller's thread"] * self.context.run(has_current_span)
        on += ["a thread of the pool"] * self.call(self.shop.pool.has_current_span, limit=6.0)
        on += ["the worker's thread"] * self.call(self.shop.worker.submit(has_current_span).result)
        return "left-on", not on, f"after {when}, {', '.join(on)} still has a current span"


check_page = scenario("12", 1, "A torn trace", WORDS, Page=Shown)
part = check_page.part


@part
def one_page_and_an_old_message(s):
    s.shop.line = threading.Barrier(3)
    counts = s.call(s.show, limit=8.0)
    yield "patched", not take_away(), "ThreadingInstrumentor had been at work"
    yield "other-page", counts == [10, 11, 12], f"show returned {shown(counts)}"
    told = f"{s.shop.pool.given} calls came to the pool" + ", one after another" * s.shop.line.broken
    yield "not-at-once", s.shop.pool.given >= 3 and not s.shop.line.broken, told
    told = [one.get("text") if isinstance(one, dict) else one for one in map(json.loads, s.shop.queue)]
    yield "other-page", told == ["33 in stock"], f"published was {shown(s.shop.queue)}"
    mailed = s.call(s.mail, json.loads(s.shop.queue[0]), limit=4.0)
    yield "other-page", mailed == "33 in stock", f"mail returned {shown(mailed)}"
    stray, rows = s.draw_spans()
    names = sorted(name for _, name, _ in rows)
    yield "other-spans", names == sorted(PARENTS), f"the spans are {', '.join(names)}"
    yield stray[0] if stray else "pool", not stray, stray[1] if stray else ""
    yield s.left_on("a page and its mail")
    outcome, (_, rows) = s.ask.run(s.mail, {"text": "7 in stock"}, limit=4.0), s.draw_spans()
    told = f"{outcome}; after a page with its mail, an old message has these spans (trace, name, parent): {rows}"
    yield "old-message", outcome.value == "7 in stock" and rows == [(1, "mail", "—")], told
    yield s.left_on("an old message")


@part
def two_pages_at_once(s):
    s.shop.pool.line = threading.Barrier(6)
    s.at_once(*[partial(contextvars.copy_context().run, s.page.show, list(SHARDS)) for _ in range(2)], limit=8.0)
    for message in reversed(s.shop.queue):
        s.call(s.mail, json.loads(message), limit=4.0)
    stray, rows = s.draw_spans()
    sizes = [*Counter(number for number, *_ in rows).values()]
    told = stray[1] if stray else f"the traces have {' and '.join(map(str, sizes))} spans"
    yield "mixed", not stray and sizes == [9, 9], told


@part
def a_shard_fails(s):
    s.shop.fails = "b"
    outcome, (_, rows) = s.ask.run(s.show, limit=8.0), s.draw_spans()
    names = {name for _, name, _ in rows}
    is_raised = isinstance(outcome.error, requests.HTTPError)
    yield "error-lost", is_raised and not s.shop.queue, f"{outcome}; {len(s.shop.queue)} messages were published"
    told = f"fetch raised, and these spans have ended: {', '.join(sorted(names))}"
    yield "other-spans", {"page", "ask b"} <= names, told
    yield s.left_on("fetch raised")
