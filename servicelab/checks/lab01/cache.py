"""Exercise 3, build: a cache that asks conditionally. A real server counts who asks for what, and with which labels."""

import requests
from flask import Flask, Response, request

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

WORDS = words("""
wrong-type: get returns (status, body): a number and bytes
    Does every path through get end with both of them? What type has the body in requests?
first-answer: the first get returns what the server said
    There is nothing to reuse yet. What came, and what did you return?
own-session: it asks with the session that it was given (rule 1)
    That session has the settings of its owner. With what did you ask?
no-condition: the second get asks whether the page is still the one that it has (rule 3)
    In which header does a client send back the ETag? Where did you keep it?
etag-altered: the ETag is sent back as it came, with its quotes and with a W/ in front (rule 3)
    What did the server write, and what did it get back?
empty-304: a 304 means that the copy is right: get returns it, as (200, body) (rule 3)
    What is in the body of a 304? Who has the page?
stale: content that has changed is seen (rule 4)
    Without a max-age, may a copy be used before the server has been asked?
old-label: … and takes the place of the copy, body and label (rule 6)
    What else came with the new body?
max-age-ignored: within max-age nobody is asked (rule 4)
    How long may this copy be used without asking, and since when?
never-revalidates: when max-age is over the server is asked again (rule 4)
    Whose clock do you look at, and which number of seconds did this answer have?
304-does-not-renew: a 304 makes the copy fresh once more (rule 4)
    The 304 says 'still right' as of now. What did you note about it?
no-store-stored: no-store: asked each time, as if for the first time (rule 5)
    What does no-store mean when a max-age and an ETag stand beside it?
one-slot: each address has a copy of its own, and the query belongs to the address (rule 2)
    By what do you find a copy again? Which part of the url is missing in it?
unlabelled: without an ETag there is no condition to send (rule 3)
    There is nothing to go by. What did you send in If-None-Match?
error-hidden: a 404 or a 500 is passed on, status and body, even when there is a copy (rule 7)
    The caller must learn of it. What did it see instead?
error-cached: … and is not kept, nor is anything else but a 200: the page that appears is seen at once (rule 7)
    Which answers are worth keeping?
error-replaces: … and never takes the place of a copy (rule 7)
    When do you look at the status, and when do you write?
""")


class Clock:
    """A clock that the check moves, so that nobody has to wait a minute for a minute."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Catalogue(Stage):
    """A client of the learner's against a server whose pages the check changes while it runs.

    ``asked`` has the If-None-Match of each request during the last ``get``, ``told`` what it returned and asked.
    """

    def __init__(self, ask, caching_client):
        super().__init__(ask, caching_client)
        self.clock, self.pages, self.asked, self.strangers = Clock(), {}, [], 0
        app = Flask("inventory")
        app.add_url_rule("/<name>", "page", self._page)
        self.server = self.use(serve(app, "inventory", trace=ask.trace))
        session = self.use(traced(requests.Session(), ask.trace, "client"))
        self.client = self.make(caching_client, session, self.clock, methods=("get",))

    def put(self, name, body, etag=None, control=None, status=200):
        """From now on this is the page with that address."""
        self.pages[name] = (body, etag, control, status)

    def _page(self, name):
        label = request.headers.get("If-None-Match")
        self.asked.append(label)
        parent = from_traceparent(request.headers.get("traceparent"))
        self.strangers += parent is None
        self.last = parent[1] if parent else self.last
        body, etag, control, status = self.pages[request.full_path.strip("/?")]
        headers = {key: value for key, value in (("ETag", etag), ("Cache-Control", control)) if value}
        if status == 200 and etag and label == etag:
            return Response(status=304, headers=headers)
        return Response(body, status, headers, mimetype="text/plain")

    def get(self, name, later=0):
        """What ``get`` returns, so many seconds later."""
        self.clock.now += later
        self.asked = []
        answer = self.call(self.client.get, f"{self.server.url}/{name}", limit=4.0)
        shape = isinstance(answer, tuple | list) and len(answer) == 2
        if not (shape and isinstance(answer[0], int) and isinstance(answer[1], bytes)):
            what, hint = WORDS["wrong-type"]
            self.ask.need("wrong-type", what, False, f"it returned {shown(answer)}", hint, self.last)
        each = [f"with If-None-Match: {label}" if label else "without If-None-Match" for label in self.asked]
        asked = f"was asked {', '.join(each)}" if each else "was not asked"
        self.told = f"{f'{later} s later ' if later else ''}it returned {tuple(answer)}, and the server {asked}"
        return tuple(answer)


check_cache = scenario("01", 3, "A cache that asks conditionally", WORDS, go_on=True, CachingClient=Catalogue)


@check_cache.part
def it_asks_again(c):
    c.put("mugs", "nine mugs", '"v1"')
    yield "first-answer", c.get("mugs") == (200, b"nine mugs"), c.told
    yield "own-session", not c.strangers, "the request did not come through it"
    second = c.get("mugs")
    yield "no-condition", c.asked and c.asked[0], c.told
    yield "etag-altered", c.asked == ['"v1"'], c.told
    yield "empty-304", second == (200, b"nine mugs"), c.told


@check_cache.part
def a_weak_label(c):
    c.put("cups", "two cups", 'W/"v7"')
    c.get("cups")
    c.get("cups")
    yield "etag-altered", c.asked in (['W/"v7"'], [None], []), c.told  # who sends no label is refused elsewhere


@check_cache.part
def a_page_that_changes(c):
    c.put("mugs", "nine mugs", '"v1"')
    c.get("mugs")
    c.put("mugs", "eight mugs", '"v2"')
    yield "stale", c.get("mugs") == (200, b"eight mugs"), c.told
    again = c.get("mugs")
    yield "old-label", again[1] != b"nine mugs" and "v1" not in str(c.asked), c.told
    c.put("mugs", "seven mugs")
    c.get("mugs")
    again = c.get("mugs")
    yield "old-label", again[1] == b"seven mugs" and c.asked == [None], f"the newest page has no label; {c.told}"


@check_cache.part
def fresh_for_a_while(c):
    for name, lasts in (("mugs", 60), ("cups", 7)):
        c.clock.now += 100  # what was fresh before is so no longer
        c.put(name, "nine", '"v1"', f"public, max-age={lasts}")
        c.get(name)
        yield "max-age-ignored", (c.get(name, lasts - 1), c.asked) == ((200, b"nine"), []), c.told
        c.put(name, "eight", '"v2"', f"public, max-age={lasts}")
        yield "never-revalidates", c.get(name, 2) == (200, b"eight"), c.told
        c.get(name, lasts + 1)
        c.get(name, lasts - 1)
        yield "304-does-not-renew", c.asked == [], f"after a 304: {c.told}"
        c.get(name, 2)
        yield "never-revalidates", c.asked, f"more than {lasts} s after a 304: {c.told}"


@check_cache.part
def no_store(c):
    c.put("basket", "Ann: a mug", '"a1"', "no-store, max-age=60")
    c.get("basket")
    c.put("basket", "Bob: a cup", '"b1"', "no-store, max-age=60")
    yield "no-store-stored", (c.get("basket"), c.asked) == ((200, b"Bob: a cup"), [None]), c.told


@check_cache.part
def several_addresses(c):
    for name in ("mugs", "cups", "mugs?page=2"):
        c.put(name, f"some {name}", f'"{name}"')
        answer = c.get(name)
        yield "one-slot", answer == (200, f"some {name}".encode()) and c.asked == [None], f"{name}: {c.told}"
    again = c.get("mugs")
    yield "one-slot", again[1] in (b"some mugs", b"") and c.asked in (['"mugs"'], ["mugs"], [None], []), c.told


@check_cache.part
def no_label(c):
    c.put("time", "ten past two")
    c.get("time")
    c.put("time", "a quarter past", None, "max-age=5")
    yield "unlabelled", (c.get("time"), c.asked) == ((200, b"a quarter past"), [None]), c.told
    c.get("time", 4)
    yield "max-age-ignored", c.asked == [], f"it has a max-age of 5, and no label: {c.told}"
    c.get("time", 2)
    yield "unlabelled", c.asked == [None], c.told


@check_cache.part
def errors(c):
    c.put("jars", "half a list", '"h1"', "max-age=60", 203)
    c.get("jars")
    c.put("jars", "two jars", '"j1"')
    yield "error-cached", (c.get("jars"), c.asked) == ((200, b"two jars"), [None]), f"after a 203: {c.told}"
    c.put("pots", "no such page", '"e1"', "max-age=60", 404)
    yield "error-hidden", c.get("pots") == (404, b"no such page"), c.told
    c.put("pots", "two pots", '"p1"', "max-age=60")
    yield "error-cached", c.get("pots") == (200, b"two pots"), c.told
    c.put("pots", "out of order", '"e2"', "max-age=60", 500)
    yield "error-hidden", c.get("pots", 61) == (500, b"out of order"), c.told
    c.put("pots", "two pots", '"p1"', "max-age=60")
    answer = c.get("pots")
    replaced = answer[0] == 500 or answer[1] == b"out of order" or c.asked == ['"e2"']
    yield "error-replaces", not replaced, f"after the repair {c.told}"
