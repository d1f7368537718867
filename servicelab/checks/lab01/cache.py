"""Exercise 3, build: a cache that asks conditionally. A real server counts who asks for what, and with which labels."""

from contextlib import closing

import requests
from flask import Flask, Response, request

from servicelab.checks.exercise import exercise
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

_QUOTES = "The quotes belong to the ETag, and so does a W/ in front: send back exactly what came."


class _Clock:
    """A clock that the check moves, so that nobody has to wait a minute for a minute."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class _Pages:
    """A server whose pages the check changes while it runs; ``asked`` lists the If-None-Match of each request."""

    def __init__(self):
        self.pages, self.asked, self.calls = {}, [], []
        self.app = Flask("inventory")
        self.app.add_url_rule("/<name>", "page", self.page)

    def put(self, name, body, etag=None, control=None, status=200):
        self.pages[name] = (body, etag, control, status)

    def page(self, name):
        label = request.headers.get("If-None-Match")
        self.asked.append(label)
        self.calls.append((from_traceparent(request.headers.get("traceparent")) or (None, None))[1])
        body, etag, control, status = self.pages[name]
        headers = {key: value for key, value in (("ETag", etag), ("Cache-Control", control)) if value}
        if status == 200 and etag and label == etag:
            return Response(status=304, headers=headers)
        return Response(body, status, headers, mimetype="text/plain")


class _Bench:
    """One client of the learner's against fresh pages. Raises nothing: what goes wrong becomes an expectation."""

    def __init__(self, ask, make_client):
        self.ask, self.clock, self.web = ask, _Clock(), _Pages()
        self.server = ask.use(serve(self.web.app, "inventory", trace=ask.trace))
        self.session = ask.use(traced(requests.Session(), ask.trace, "client"))
        self.client = ask.call(make_client, self.session, self.clock)
        if not callable(getattr(self.client, "get", None)):
            happened = f"it is a {type(self.client).__name__} without one"
            ask.need("no-get", "CachingClient has a method get", False, happened, "Write def get(self, url).")

    def get(self, name):
        """What ``get`` returned, and the If-None-Match of every request that it sent meanwhile."""
        before = len(self.web.asked)
        answer = self.ask.call(self.client.get, f"{self.server.url}/{name}", returns=tuple, limit=4.0)
        shape = len(answer) == 2 and isinstance(answer[0], int) and isinstance(answer[1], bytes)
        if not shape:
            what, hint = "get returns (status, body), a number and bytes", "response.status_code and response.content."
            self.ask.need("wrong-type", what, False, f"it returned {shown(answer)}", hint, self.mark)
        return answer, self.web.asked[before:]

    def close(self):
        self.session.close()
        self.server.stop()

    @property
    def mark(self):
        """The latest call that the server saw, which the diagram is to mark."""
        return self.web.calls[-1] if self.web.calls else None


@exercise("01", 3, "A cache that asks conditionally", limit=40.0)
def check_cache(ask, caching_client):
    """Let ``CachingClient(session, clock).get(url) -> (status, body)`` read pages that change, last and fail."""
    for examine in (_revalidates, _weak, _changes, _stays_fresh, _no_store, _several, _unlabelled, _errors):
        with section(ask), closing(_Bench(ask, caching_client)) as bench:
            examine(ask, bench)


def _revalidates(ask, bench):
    bench.web.put("mugs", "nine mugs", '"v1"')
    first, _ = bench.get("mugs")
    ask.need(
        "first-answer",
        "the first get returns what the server said",
        first == (200, b"nine mugs"),
        f"it returned {first}",
        "Nothing to reuse yet: status and body, as they came.",
        bench.mark,
    )
    second, asked = bench.get("mugs")
    stripped = asked == ["v1"]
    ask.expect(
        "etag-altered" if stripped else "no-condition",
        'the second asks with If-None-Match: "v1"',
        asked == ['"v1"'],
        _asked(asked),
        _QUOTES if stripped else "Keep the ETag of the answer beside its body, and send it back in If-None-Match.",
        bench.mark,
    )
    empty = second[1] == b"" or second[0] == 304
    ask.expect(
        "empty-304" if empty else "not-the-copy",
        "a 304 means: what you have is right. get returns the copy",
        second == (200, b"nine mugs"),
        f"it returned {second}",
        "A 304 has no body. Return the status and the body that you kept.",
        bench.mark,
    )


def _weak(ask, bench):
    bench.web.put("cups", "two cups", 'W/"v7"')
    bench.get("cups")
    _, asked = bench.get("cups")
    ask.expect(
        "etag-altered",
        'an ETag like W/"v7" is sent back as it came',
        asked in (['W/"v7"'], [None], []),  # one without a label was refused above
        _asked(asked),
        _QUOTES,
        bench.mark,
    )


def _changes(ask, bench):
    bench.web.put("mugs", "nine mugs", '"v1"')
    bench.get("mugs")
    bench.web.put("mugs", "eight mugs", '"v2"')
    answer, _ = bench.get("mugs")
    ask.expect(
        "stale",
        "changed content is seen",
        answer == (200, b"eight mugs"),
        f"it returned {answer}",
        "Without a max-age no copy may be used before the server has been asked.",
        bench.mark,
    )
    again, asked = bench.get("mugs")
    ask.expect(
        "old-label",
        "… and it replaces the copy, body and label",
        again[1] != b"nine mugs" and "v1" not in str(asked),
        f"it returned {again}, and {_asked(asked)}",
        "A 200 brings a new body *and* a new ETag.",
        bench.mark,
    )


def _stays_fresh(ask, bench):
    bench.web.put("mugs", "nine mugs", '"v1"', "public, max-age=60")
    bench.get("mugs")
    bench.clock.now += 59
    answer, asked = bench.get("mugs")
    ask.expect(
        "max-age-ignored",
        "with max-age=60 nobody is asked within 60 s",
        (answer, asked) == ((200, b"nine mugs"), []),
        f"59 s later it returned {answer}; {_asked(asked)}",
        "Note at clock() when the answer came, and read max-age from Cache-Control.",
        bench.mark,
    )
    bench.clock.now += 2
    bench.web.put("mugs", "eight mugs", '"v2"', "public, max-age=60")
    answer, asked = bench.get("mugs")
    ask.expect(
        "never-revalidates",
        "after 61 s the server is asked again",
        answer == (200, b"eight mugs"),
        f"61 s after the first answer it returned {answer}; {_asked(asked)}",
        "A copy is fresh while clock() < the time it came + max-age. Use the clock that you were given.",
        bench.mark,
    )
    bench.clock.now += 61
    bench.get("mugs")
    bench.clock.now += 59
    _, asked = bench.get("mugs")
    ask.expect(
        "304-does-not-renew",
        "a 304 makes the copy fresh for another 60 s",
        asked == [],
        f"59 s after a 304, {_asked(asked)}",
        "The 304 says 'still right' as of now: its clock starts anew.",
        bench.mark,
    )


def _no_store(ask, bench):
    bench.web.put("basket", "Ann: a mug", '"a1"', "no-store, max-age=60")
    bench.get("basket")
    bench.web.put("basket", "Bob: a cup", '"b1"', "no-store, max-age=60")
    answer, asked = bench.get("basket")
    ask.expect(
        "no-store-stored",
        "no-store: asked each time, as if for the first time",
        (answer, asked) == ((200, b"Bob: a cup"), [None]),
        f"it returned {answer}; {_asked(asked)}",
        "no-store overrules everything else in Cache-Control: keep nothing of that answer.",
        bench.mark,
    )


def _several(ask, bench):
    for name in ("mugs", "cups"):
        bench.web.put(name, f"some {name}", f'"{name}"')
    bench.get("mugs")
    other, _ = bench.get("cups")
    again, asked = bench.get("mugs")
    ask.expect(
        "one-slot",
        "two addresses have two copies",
        other[1] == b"some cups" and again[1] != b"some cups" and "cups" not in str(asked),
        f"mugs, then cups, which returned {other}, then mugs again, which returned {again}; {_asked(asked)}",
        "One copy per URL: a dict.",
        bench.mark,
    )


def _unlabelled(ask, bench):
    bench.web.put("time", "ten past two")
    bench.get("time")
    bench.web.put("time", "a quarter past")
    answer, asked = bench.get("time")
    ask.expect(
        "unlabelled",
        "without ETag and without max-age there is nothing to go by: ask again",
        (answer, asked) == ((200, b"a quarter past"), [None]),
        f"it returned {answer}; {_asked(asked)}",
        "No label, no If-None-Match.",
        bench.mark,
    )


def _errors(ask, bench):
    bench.web.put("pots", "no such page", '"e1"', "max-age=60", 404)
    answer, _ = bench.get("pots")
    ask.expect(
        "error-hidden",
        "a 404 is passed on",
        answer == (404, b"no such page"),
        f"it returned {answer}",
        "The caller must learn of it: status and body as they came.",
        bench.mark,
    )
    bench.web.put("pots", "two pots", '"p1"', "max-age=60")
    answer, asked = bench.get("pots")
    ask.expect(
        "error-cached",
        "… and not kept: the page that appears is seen at once",
        answer == (200, b"two pots"),
        f"it returned {answer}; {_asked(asked)}",
        "Only a 200 is worth keeping.",
        bench.mark,
    )
    bench.clock.now += 61
    bench.web.put("pots", "out of order", '"e2"', "max-age=60", 500)
    bench.get("pots")
    bench.web.put("pots", "two pots", '"p1"', "max-age=60")
    answer, asked = bench.get("pots")
    ask.expect(
        "error-replaces",
        "a 500 never takes the place of a good copy",
        answer[0] != 500 and answer[1] != b"out of order",
        f"after the repair it returned {answer}; {_asked(asked)}",
        "Look at the status before you touch what you keep.",
        bench.mark,
    )


def _asked(labels):
    if not labels:
        return "the server was not asked"
    each = ", ".join(f"with If-None-Match: {label}" if label else "without If-None-Match" for label in labels)
    return f"the server was asked {each}"
