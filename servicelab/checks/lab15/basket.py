"""Exercise 1, repair: a page that asks once for each line of a basket. The catalogue is far away, on sockets."""

from contextlib import ExitStack
from math import ceil

import requests
from flask import Flask, jsonify, request

from servicelab.checks.lab15.trips import Together, far, session, timed, trips
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table
from servicelab.trace import Trace

LIMIT, RTT = 25, 0.02  # ids a call; seconds, in the check
TEN = [f"a-{number}" for number in range(10)]

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
    Which call needs an answer of which other one? All the others can be under way at once.
too-many-ids: no call has more ids than the catalogue takes
    How many ids has a basket of sixty lines? What does the catalogue say to that?
too-many-calls: no more calls are made than the ids need
    Who is asked twice for the same thing? How many makers do ten articles have?
nothing-to-ask: where there is nothing to ask, nobody is asked
    Which ids does your call have when the basket is empty, or nobody knows its articles?
error-hidden: the catalogue fails: the page raises a requests.HTTPError
    What is the status of an answer without an article, and that of a catalogue that is ill?
old: the next page shows what the catalogue says then
    What do you remember from one page to the next?
""")


class Catalogue:
    """``makers``: how many there are. It answers in an order of its own, each article once, without those it lacks."""

    def __init__(self, use, rtt=RTT, makers=4):
        self.trace, self.makers, self.price, self.ill = Trace(), makers, 10, ""
        self.gone = {"articles": set(), "makers": set()}
        self.asked, self.together = {"articles": [], "makers": []}, Together()
        app = Flask("catalogue")
        app.add_url_rule("/<kind>", "all", self._all)
        self.url = far(use, app, "catalogue", rtt, self.trace)
        self.session = use(session(self.trace, "page"))

    def get(self, path, params=None):
        return self.session.get(self.url + path, params=params, timeout=10)

    def _all(self, kind):
        ids = request.args.getlist("id")
        self.asked[kind].append(ids)
        self.together.come(kind)
        if self.ill == kind:
            return "ill", 503
        if len(ids) > LIMIT:
            return f"{len(ids)} ids, and no more than {LIMIT} are taken", 400
        makes = {"articles": self._article, "makers": self._maker}[kind]
        return jsonify([makes(one) for one in sorted(set(ids) - self.gone[kind], reverse=True)])

    def _article(self, id):
        number = int(id.split("-")[1])
        return {"id": id, "name": f"mug {number}", "price": self.price + number, "maker": f"m-{number % self.makers}"}

    def _maker(self, id):
        return {"id": id, "name": f"maker {id}"}

    def row(self, id):
        if id in self.gone["articles"]:
            return id, None, None, None
        made = self._article(id)
        return id, made["name"], made["price"], None if made["maker"] in self.gone["makers"] else f"maker {made['maker']}"

    def needs(self, basket):
        """The ids of articles and of makers that have to be asked for."""
        known = set(basket) - self.gone["articles"]
        return {"articles": set(basket), "makers": {self._article(id)["maker"] for id in known}}


def page_of(page, rtt: float = 0.15, lines: int = 10) -> Table:
    """One page of so many lines, with the catalogue ``rtt`` seconds away: its calls, its trips and its time."""
    with ExitStack() as stack:
        catalogue = Catalogue(stack.enter_context, rtt)
        took = timed(page, [f"a-{number}" for number in range(lines)], catalogue.get)
        calls, path = sum(map(len, catalogue.asked.values())), trips(catalogue.trace, "page")
    row = f"{1e3 * rtt:.0f}", calls, path, f"{1e3 * took:.0f}"
    return Table(("RTT (ms)", "calls", "trips", "took (ms)"), [row], f"a basket of {lines} lines")


class Asked(Stage):
    def __init__(self, ask, page):
        super().__init__(ask, page)
        self.catalogue = Catalogue(ask.use)

    def show(self, basket, at_once=0):
        """The page's rows, the ids of each of its calls, and how it went in words."""
        catalogue = self.catalogue
        catalogue.asked = {"articles": [], "makers": []}
        catalogue.trace.clear()
        catalogue.together.expect(articles=at_once, makers=at_once)
        self.last = self.ask.trace.send("customer", "page", f"{len(basket)} lines")
        self.ask.trace.receive(self.last)
        outcome = self.ask.run(self.yours, list(basket), catalogue.get, limit=20.0)
        self.ask.trace.extend(catalogue.trace.events)
        self.calls = {kind: len(calls) for kind, calls in catalogue.asked.items()}
        told = " and ".join(f"{count} for {kind}" for kind, count in self.calls.items())
        return outcome, f"a basket of {len(basket)} lines; calls: {told}"

    def judged(self, basket, at_once=0, code="other-rows"):
        outcome, told = self.show(basket, at_once)
        most = max((len(ids) for calls in self.catalogue.asked.values() for ids in calls), default=0)
        yield "too-many-ids", most <= LIMIT, f"{told}; one of them has {most} ids"
        yield "other-rows", isinstance(outcome.value, list), f"{told}; {outcome}"
        rows = [tuple(row) if isinstance(row, list | tuple) else row for row in outcome.value]
        due = [self.catalogue.row(id) for id in basket]
        if rows != due and code == "other-rows" and sorted(map(repr, rows)) == sorted(map(repr, due)):
            code = "other-order"
        wrong = next((pair for pair in zip(rows, due) if pair[0] != pair[1]), (len(rows), len(due)))
        yield code, rows == due, f"{told}; it showed {shown(wrong[0])}, where {shown(wrong[1])} was due"
        needs = {kind: ceil(len(ids) / LIMIT) for kind, ids in self.catalogue.needs(basket).items()}
        path, over = trips(self.catalogue.trace, "page"), [kind for kind in needs if self.calls[kind] > needs[kind]]
        yield "nothing-to-ask", not any(needs[kind] == 0 for kind in over), told
        in_a_row = path > max(2, sum(self.calls.values()) / 2 * bool(over))  # of many at once, some may be late
        yield "many-trips", not in_a_row, f"{told}, {path} of them one after another"
        yield "too-many-calls", not over, f"{told}; as many as are needed are {needs}"


check_basket = scenario("15", 1, "One trip for each line", WORDS, page=Asked)
part = check_basket.part


@part
def ten_lines(s):
    yield from s.judged(["a-7", "a-2", "a-9", *TEN[3:6], "a-1", "a-8", "a-0", "a-6"])


@part
def the_same_twice(s):
    yield from s.judged(["a-3", "a-1", "a-3", "a-2", "a-3"], code="twice")


@part
def what_nobody_knows(s):
    s.catalogue.gone = {"articles": {"a-4"}, "makers": {"m-2"}}
    yield from s.judged(TEN[:7], code="missing")


@part
def nothing_to_ask(s):
    yield from s.judged([])
    s.catalogue.gone["articles"] = {"a-4", "a-5"}
    yield from s.judged(["a-4", "a-5"], code="missing")


@part
def sixty_lines(s):
    s.catalogue.makers = 60
    yield from s.judged([f"a-{number}" for number in range(60)], at_once=3)


@part
def fifty_lines_of_twenty_articles(s):
    yield from s.judged([f"a-{number % 20}" for number in range(50)])


@part
def the_catalogue_is_ill(s):
    for kind in ("articles", "makers"):
        s.catalogue.ill = kind
        outcome, told = s.show(TEN[:4])
        is_raised = isinstance(outcome.error, requests.HTTPError)
        yield "error-hidden", is_raised, f"{told}; {kind} were answered with 503: {outcome}"


@part
def another_page(s):
    yield from s.judged(TEN[:3])
    s.catalogue.price = 20
    yield from s.judged(TEN[:3], code="old")
