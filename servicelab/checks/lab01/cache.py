"""Exercise 3, build: a cache that asks conditionally. A real server counts who asks for what, and with which labels."""

import requests
from flask import Flask, Response, request

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

WORDS = words("""
answer: get returns what the server said, as (status, body): a number and bytes
    Does every path through get end with both of them? What type has the body in requests?
own-session: it asks with the session that it was given (rule 1)
    That session has the settings of its owner. With what did you ask?
label: the ETag goes along the next time, as it came, with its quotes and a W/ in front; without one, none (rule 3)
    In which header does a client send it back? What did the server write, if anything, and what did it get back?
empty-304: a 304 means that the copy is right: get returns it, as (200, body) (rule 3)
    What is in the body of a 304? Who has the page?
stale: without a max-age, or when it is over, the server is asked (rule 4)
    May a copy be used before? Whose clock do you look at, and which number of seconds did this answer have?
max-age: within max-age nobody is asked; a 304 starts it anew (rule 4)
    How long may this copy be used without asking, and since when? What is new when a 304 has come?
no-store: no-store: asked each time, as if for the first time (rule 5)
    What does no-store mean when a max-age and an ETag stand beside it?
one-slot: each address has a copy of its own, and the query belongs to the address (rule 2)
    By what do you find a copy again? Which part of the url is missing in it?
old-label: a new 200 takes the place of the copy, body and label (rule 6)
    What else came with the new body?
error-hidden: a 404 or a 500 is passed on, status and body, even when there is a copy (rule 7)
    The caller must learn of it. What did it see instead?
error-kept: … and is not kept, nor takes the place of a copy, nor does anything else but a 200 (rule 7)
    Which answers are worth keeping? When do you look at the status, and when do you write?
""")


class Catalogue(Stage):
    """A client of the learner's against a server whose pages the check changes while it runs, as it turns the clock.

    ``asked`` has the If-None-Match of each request during the last ``get``, ``told`` what it returned and asked.
    """

    def __init__(self, ask, caching_client):
        super().__init__(ask, caching_client)
        self.now, self.pages, self.asked, self.strangers = 1000.0, {}, [], 0
        app = Flask("inventory")
        app.add_url_rule("/<name>", "page", self._page)
        self.server = self.use(serve(app, "inventory", trace=ask.trace))
        session = self.use(traced(requests.Session(), ask.trace, "client"))
        self.client = self.make(caching_client, session, lambda: self.now, methods=("get",))

    def put(self, name, body, etag=None, control=None, status=200):
        """From now on this is the page with that address."""
        headers = {key: value for key, value in (("ETag", etag), ("Cache-Control", control)) if value}
        self.pages[name] = body, status, headers

    def _page(self, name):
        self.asked.append(request.headers.get("If-None-Match"))
        parent = from_traceparent(request.headers.get("traceparent"))
        self.last, self.strangers = parent[1] if parent else self.last, self.strangers + (not parent)
        body, status, headers = self.pages[request.full_path.strip("/?")]
        if status == 200 and self.asked[-1] == headers.get("ETag", ""):
            return Response(status=304, headers=headers)
        return Response(body, status, headers, mimetype="text/plain")

    def get(self, name, later=0):
        """What ``get`` returns, so many seconds later, with the body as text."""
        self.now, self.asked = self.now + later, []
        answer = self.call(self.client.get, f"{self.server.url}/{name}", limit=4.0)
        match answer:
            case int(), bytes():
                status, body = answer
            case _:
                self.refuse("answer", f"it returned {shown(answer)}")
        each = [f"with If-None-Match: {label}" if label else "without If-None-Match" for label in self.asked]
        asked = f"was asked {', '.join(each)}" if each else "was not asked"
        self.told = f"{f'{later} s later ' if later else ''}it returned {status, body}, and the server {asked}"
        return status, body.decode("latin-1")

    def case(self, code, name, body, asked=None, later=0, status=200):
        """``get`` returns this status and body, and has ``asked`` the server with these labels (None: whatever)."""
        answer = self.get(name, later)
        return code, answer == (status, body) and asked in (None, self.asked), self.told


check_cache = scenario("01", 3, "A cache that asks conditionally", WORDS, go_on=True, CachingClient=Catalogue)
part = check_cache.part


@part
def it_asks_again(c):
    for name, label in (("mugs", '"v1"'), ("cups", 'W/"v7"')):
        c.put(name, "nine", label)
        yield c.case("answer", name, "nine")
        yield "own-session", not c.strangers, "the request did not come through it"
        again = c.get(name)
        yield "label", c.asked == [label], c.told
        yield "empty-304", again == (200, "nine"), c.told


@part
def a_page_that_changes(c):
    c.put("mugs", "nine mugs", '"v1"')
    c.get("mugs")
    c.put("mugs", "eight mugs", '"v2"')
    yield c.case("stale", "mugs", "eight mugs")
    again = c.get("mugs")
    yield "old-label", again[1] != "nine mugs" and '"v1"' not in c.asked, c.told
    c.put("mugs", "seven mugs")
    c.get("mugs")
    yield c.case("old-label", "mugs", "seven mugs", [None])
    for label, control in (('"v3"', None), (None, "max-age=5")):
        c.put("mugs", "six mugs", label, control)
        c.get("mugs")
    c.get("mugs", 6)
    yield "old-label", '"v3"' not in c.asked, c.told


@part
def fresh_for_a_while(c):
    for name, lasts, control in (("mugs", 60, "public, max-age=60"), ("cups", 7, "max-age=7,public")):
        c.put(name, "nine", '"v1"', control)
        c.get(name, 100)  # what was fresh before is so no longer
        yield c.case("max-age", name, "nine", [], lasts - 1)
        c.put(name, "eight", '"v2"', control)
        yield c.case("stale", name, "eight", later=2)
        c.get(name, lasts + 1)  # a 304
        c.get(name, lasts - 1)
        yield "max-age", c.asked == [], f"after a 304: {c.told}"
        c.get(name, 2)
        yield "stale", c.asked, f"more than {lasts} s after a 304: {c.told}"


@part
def no_store(c):
    for body, label, control in (
        ("Ann: a mug", '"a1"', "no-store, max-age=60"),
        ("Bob: a cup", '"b1"', "max-age=60, no-store"),
        ("Eve: a jar", '"e1"', "no-store"),
    ):
        c.put("basket", body, label, control)
        yield c.case("no-store", "basket", body, [None])


@part
def several_addresses(c):
    for name in ("mugs", "cups", "mugs?page=2"):
        c.put(name, f"some {name}", f'"{name}"')
        yield c.case("one-slot", name, f"some {name}", [None])
    again = c.get("mugs")
    yield "one-slot", again[1] in ("some mugs", "") and not {'"cups"', '"mugs?page=2"'} & set(c.asked), c.told


@part
def no_label(c):
    c.put("time", "ten past two")
    c.get("time")
    c.put("time", "a quarter past", None, "max-age=5")
    for later in (0, 6):
        answer = c.get("time", later)
        yield "stale", answer == (200, "a quarter past") and c.asked, c.told
        yield "label", c.asked == [None], c.told
        yield c.case("max-age", "time", "a quarter past", [], 4)


@part
def errors(c):
    c.put("jars", "half a list", '"h1"', "max-age=60", 203)
    c.get("jars")
    c.put("jars", "two jars", '"j1"')
    yield c.case("error-kept", "jars", "two jars", [None])
    for status in (404, 500, 404):  # without a copy, and with one
        c.put("pots", "no pots", '"e1"', "max-age=60", status)
        yield c.case("error-hidden", "pots", "no pots", later=61, status=status)
        c.put("pots", "two pots", '"p1"', "max-age=60")
        answer = c.get("pots")
        kept = not c.asked or answer[0] == status or answer[1] == "no pots" or '"e1"' in c.asked
        yield "error-kept", not kept, f"after the repair {c.told}"
