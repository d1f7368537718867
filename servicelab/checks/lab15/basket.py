"""Exercise 1, repair: a page that asks once for each line of a basket. The catalogue is far away, on sockets."""

import time
from collections import Counter
from contextlib import ExitStack
from math import ceil

import requests
from flask import jsonify, request

from servicelab.checks.lab15.trips import Far
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

LIMIT = 25  # ids a call

WORDS = words("""
other-rows: each line of the basket has its row, with the article's name and price and its maker's name
    Compare a row with what the code that you got makes of it.
other-order: the rows stand in the order of the basket
    In whose order does the catalogue answer?
twice: an article that stands twice in the basket has two rows
    What do you go through at the end: the basket, or what came back?
missing: an article that nobody knows has a row of its id and three times None, an unknown maker is None
    What is not in the answer, and who looks for it there?
many-trips: whatever the basket's size, the page takes two trips
    Which call needs an answer of which other one? How many of the others does your code have under way at once?
too-many-ids: no call has more ids than the catalogue takes
    How many different ids has the basket? What does the catalogue say to that?
too-many-calls: no more calls are made than the ids need
    Who is asked twice for the same thing? How full are the calls?
nothing-to-ask: where there is nothing to ask, nobody is asked
    Which ids does your call have when the basket is empty, or nobody knows its articles?
error-hidden: the catalogue answers a call with an error: the page raises a requests.HTTPError
    Who looks at the status of each answer, and what becomes of an error in a thread?
old: the next page shows what the catalogue says then
    What do you remember from one page to the next?
""")


def ids(*numbers):
    return [f"a-{number}" for number in numbers]


class Catalogue(Far):
    """It answers in an order of its own, each thing once, without the ``gone``; it fails who asks for the ``ill``."""

    def __init__(self, use, rtt=0.02):
        super().__init__(use)
        self.makers, self.price, self.ill, self.gone, self.asked = 4, 10, "", set(), []
        self.url, self.mine = self.serve("catalogue", "/<kind>", self._all, rtt), self.session("page")

    def get(self, path, params=None):
        return self.mine.get(self.url + path, params=params, timeout=10)

    def _all(self, kind):
        wanted = request.args.getlist("id")
        self.asked.append((kind, len(wanted)))
        self.come(kind)
        if self.ill in wanted or len(wanted) > LIMIT:
            return ("ill", 503) if self.ill in wanted else (f"{len(wanted)} ids; no more than {LIMIT} are taken", 400)
        return jsonify([self._one(id) for id in sorted(set(wanted) - self.gone, reverse=True)])

    def _one(self, id):
        kind, number = id.split("-")
        more = {"price": self.price + int(number), "maker": f"m-{int(number) % self.makers}"} if kind == "a" else {}
        return {"id": id, "name": f"{'mug' if more else 'maker'} {number}"} | more

    def due(self, basket):
        """The rows, and how many calls for articles and for makers are needed."""
        known = {id: self._one(id) for id in basket if id not in self.gone}
        makers = {one["maker"] for one in known.values()}
        names = {id: self._one(id)["name"] for id in makers - self.gone}
        rows = {id: (id, one["name"], one["price"], names.get(one["maker"])) for id, one in known.items()}
        return [rows.get(id, (id, None, None, None)) for id in basket], {
            "articles": ceil(len(set(basket)) / LIMIT),
            "makers": ceil(len(makers) / LIMIT),
        }


def page_of(page, rtt: float = 0.15, lines: int = 10) -> Table:
    """One page of so many lines, with the catalogue ``rtt`` seconds away: its calls, its trips and its time."""
    with ExitStack() as stack:
        catalogue, begin = Catalogue(stack.enter_context, rtt), time.perf_counter()
        page(ids(*range(lines)), catalogue.get)
        row = f"{1e3 * rtt:.0f}", len(catalogue.asked), catalogue.trips("page"), 1e3 * (time.perf_counter() - begin)
    return Table(("RTT (ms)", "calls", "trips", "took (ms)"), [row], f"a basket of {lines} lines")


class Asked(Stage):
    def __init__(self, ask, page):
        super().__init__(ask, page)
        self.catalogue = Catalogue(ask.use)

    def show(self, basket, **at_once):
        self.catalogue.asked.clear()
        self.catalogue.begin(**at_once)
        self.last = self.ask.trace.send("customer", "page", f"{len(basket)} lines")
        self.ask.trace.receive(self.last)
        outcome = self.ask.run(self.yours, list(basket), self.catalogue.get, limit=20.0)
        self.ask.trace.extend(self.catalogue.trace.events)
        self.calls = Counter(kind for kind, _ in self.catalogue.asked)
        return outcome, f"a basket of {len(basket)} lines; calls: {dict(self.calls)}"

    def judged(self, basket, code="other-rows", **at_once):
        outcome, told = self.show(basket, **at_once)
        most = max((many for _, many in self.catalogue.asked), default=0)
        yield "too-many-ids", most <= LIMIT, f"{told}; one of them has {most} ids"
        yield code, isinstance(outcome.value, list), f"{told}; {outcome}"
        rows = [tuple(row) if isinstance(row, list | tuple) else row for row in outcome.value]
        due, needed = self.catalogue.due(basket)
        if code == "other-rows" and rows != due and sorted(map(repr, rows)) == sorted(map(repr, due)):
            code = "other-order"
        wrong = next((pair for pair in zip(rows, due) if pair[0] != pair[1]), (len(rows), len(due)))
        yield code, rows == due, f"{told}; it showed {shown(wrong[0])}, where {shown(wrong[1])} was due"
        over = [kind for kind in needed if self.calls[kind] > needed[kind]]
        yield "nothing-to-ask", all(needed[kind] for kind in over), told
        path = self.catalogue.trips("page")  # of many at once, one may be late: those are told by their number
        in_a_row = path > max(2, sum(self.calls.values()) / 2 * bool(over))
        yield "many-trips", not in_a_row, f"{told}, {path} of them one after another"
        yield "too-many-calls", not over, f"{told}; needed are {needed}"


check_basket = scenario("15", 1, "One trip for each line", WORDS, page=Asked)
part = check_basket.part


@part
def ten_lines(s):
    yield from s.judged(ids(7, 2, 9, 3, 4, 5, 1, 8, 0, 6))
    yield from s.judged(ids(3, 1, 3, 2, 3), code="twice")


@part
def what_nobody_knows(s):
    s.catalogue.makers, s.catalogue.gone = 1000, {"a-104", "m-102", "a-105"}
    for basket in (range(100, 107), (104, 105), ()):
        yield from s.judged(ids(*basket), code="missing")


@part
def another_page(s):
    yield from s.judged(ids(0, 1, 2))
    s.catalogue.price, s.catalogue.gone = 20, {"a-0", "m-1"}
    yield from s.judged(ids(0, 1, 2), code="old")
    s.catalogue.gone = set()
    yield from s.judged(ids(0, 1, 2), code="old")


@part
def many_lines(s):
    yield from s.judged(ids(*range(20), *range(20), *range(10)))
    s.catalogue.makers = 30
    yield from s.judged(ids(*range(250)), articles=10, makers=2)


@part
def the_catalogue_is_ill(s):
    s.catalogue.makers = 30
    for s.catalogue.ill in ("a-29", "m-29"):
        outcome, told = s.show(ids(*range(30)))
        told = f"{told}; to the one with {s.catalogue.ill} the answer was 503: {outcome}"
        yield "error-hidden", isinstance(outcome.error, requests.HTTPError), told
        yield "too-many-calls", max(s.calls.values(), default=0) <= 2, told
