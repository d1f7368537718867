"""Exercise 2: caches written in three ways, and mistakes as flaws of the first."""

import re
from functools import partial

from werkzeug.http import parse_cache_control_header, parse_list_header

from servicelab.checks.lab07 import Reply

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Cache:
    """One table of copies for each path. A mistake is a flaw."""

    def __init__(self, flaws=()):
        self.copies, self.flaws = {}, flaws

    def words(self, reply):
        text = reply.headers.get("cache-control", "")
        text = text if "large and small" in self.flaws else text.lower()
        return [word.strip() for word in text.split(", " if "comma and space" in self.flaws else ",")]

    def max_age(self, reply):
        found = [int(word[8:].split(",")[0]) for word in self.words(reply) if word.lower().startswith("max-age=")]
        return 60 if "a minute" in self.flaws else found[0] if found else 60 if "a default" in self.flaws else 0

    def may_keep(self, request, reply):
        flaws, words = self.flaws, self.words(reply)
        forbidden = {"private", "no-store", "no-cache"} - set(flaws)
        return (
            (request.method == "GET" or "each method" in flaws or (request.method == "HEAD" and "HEAD" in flaws))
            and (reply.status == 200 or "any status" in flaws)
            and not forbidden & {*words}
            and ("set-cookie" not in reply.headers or "cookies" in flaws)
            and ("authorization" not in request.headers or "public" in words or "who asks" in flaws)
            and (reply.headers.get("vary") != "*" or "star" in flaws)
        )

    def names(self, reply):
        names = reply.headers.get("vary", "").replace(" ", "").split(",") * ("no vary" not in self.flaws)
        names += ["authorization"] * ("a copy each" in self.flaws)
        names = names if "large Vary" in self.flaws else [name.lower() for name in names]
        return names[:1] if "first of Vary" in self.flaws else names

    def serves(self, copy, request, now):
        reply, values, since = copy
        if not now < since + self.max_age(reply) and not (now == since + self.max_age(reply) and "at" in self.flaws):
            return False
        if "public" not in self.words(reply) and "authorization" in request.headers and "to all" not in self.flaws:
            return False
        there = request.headers
        if "small values" in self.flaws:
            return all(str(there.get(name)).lower() == str(value).lower() for name, value in values.items())
        if "missing is empty" in self.flaws:
            return all(there.get(name, "") == (value or "") for name, value in values.items())
        if "missing is any" in self.flaws:
            return all(there.get(name, value) == value for name, value in values.items())
        return all(there.get(name) == value for name, value in values.items())

    def key(self, path):
        return path.split("?")[0] if "no query" in self.flaws else path

    def answer(self, request, ask, now):
        copies = self.copies.setdefault(self.key(request.path), [])
        if request.method == "GET" or "each method" in self.flaws or request.method in self.flaws:
            for copy in copies:
                if self.serves(copy, request, now):
                    if "younger" in self.flaws:
                        copies[copies.index(copy)] = (*copy[:2], now)
                    return copy[0]
        reply = ask(request)
        if self.may_keep(request, reply):
            values = {name: request.headers.get(name) for name in self.names(reply)}
            kept = [copy for copy in copies if copy[1] != values] if "one variant" not in self.flaws else []
            copies[:] = [*kept, (reply, values, now)]
        elif self.has_changed(request.method, reply.status):
            copies[:] = [copy for copy in copies if "its variant" in self.flaws and not self.same(copy, request)]
            if "all paths" in self.flaws:
                self.copies.clear()
        return reply

    def has_changed(self, method, status):
        writes = WRITES[:1] if "only a POST" in self.flaws else WRITES
        last = 599 if "fails" in self.flaws else 299 if "only 2xx" in self.flaws else 399
        return method in writes and status <= last and "deaf" not in self.flaws

    def same(self, copy, request):
        return all(request.headers.get(name) == value for name, value in copy[1].items())


class TwoSteps:
    """The path says by what the copies differ, the values find one; what is kept for customers lies apart."""

    def __init__(self):
        self.vary, self.store = {}, {}

    def find(self, request):
        names = self.vary.get(request.path, ())
        return request.path, *(request.headers.get(name) for name in names)

    def answer(self, request, ask, now):
        get, known = request.method == "GET", "authorization" in request.headers
        until, is_public, reply = self.store.get(self.find(request), (now, False, None)) if get else (now, False, None)
        if now < until and (is_public or not known):
            return reply
        reply = ask(request)
        control = parse_cache_control_header(reply.headers.get("cache-control", "").lower())
        names = [name.lower() for name in parse_list_header(reply.headers.get("vary", ""))]
        if not get:
            if request.method != "HEAD" and reply.status < 400:
                self.store = {key: copy for key, copy in self.store.items() if key[0] != request.path}
        elif (
            reply.status == 200
            and control.max_age
            and not (control.get("private", False) is None or control.no_store or "no-cache" in control)
            and "set-cookie" not in reply.headers
            and "*" not in names
            and ("public" in control or not known)
        ):
            self.vary[request.path] = names
            self.store[self.find(request)] = now + control.max_age, "public" in control, reply
        return reply


class Plain:
    """Every copy in one list, looked at from the end; the public ones have no word about who asked."""

    def __init__(self):
        self.log = []

    def answer(self, request, ask, now):
        who = request.headers.get("authorization")
        for path, until, test, reply in reversed(self.log if request.method == "GET" else ()):
            if path == request.path and now < until and test(request):
                return reply
        reply = ask(request)
        labels = reply.headers.get("cache-control", "").lower()
        age = re.search(r"max-age=(\d+)", labels)
        public, vary = "public" in labels, re.findall(r"[\w*-]+", reply.headers.get("vary", "").lower())
        if request.method not in ("GET", "HEAD") and reply.status < 400:
            self.log = [copy for copy in self.log if copy[0] != request.path]
        forbidden = re.search(r"private|no-store|no-cache", labels) or "set-cookie" in reply.headers or "*" in vary
        if (request.method, reply.status) == ("GET", 200) and age and not forbidden and (public or not who):
            wanted = [request.headers.get(name) for name in vary]

            def test(other):
                mine = [other.headers.get(name) for name in vary]
                return mine == wanted and (public or "authorization" not in other.headers)

            self.log.append((request.path, now + int(age[1]), test, Reply(*reply)))
        return reply


class ByPath:
    """The chapter's opening."""

    def __init__(self):
        self.copies = {}

    def answer(self, request, ask, now):
        if request.path not in self.copies:
            self.copies[request.path] = ask(request)
        return self.copies[request.path]


class Nothing:
    def answer(self, request, ask, now):
        return ask(request)


class BodyOnly(Cache):
    """It keeps the bodies, and makes replies of them."""

    def answer(self, request, ask, now):
        asked = []
        reply = super().answer(request, lambda request: asked.append(ask(request)) or asked[0], now)
        return reply if asked else Reply(200, {}, reply.body)


class AsksTwice(Cache):
    def answer(self, request, ask, now):
        return super().answer(request, lambda request: ask(request) and ask(request), now)


class One(Cache):
    """The copies are the class's."""

    all_copies = {}

    def __init__(self):
        super().__init__()
        self.copies = self.all_copies


def flawed(*flaws):
    return partial(Cache, flaws)


RIGHT = {"a list for each path": Cache, "two steps": TwoSteps, "one list, and regular expressions": Plain}
WRONG = {
    "keeps the body alone": (BodyOnly, {"wrong-type"}),
    "asks twice": (AsksTwice, {"wrong-type"}),
    "all caches are one": (One, {"wrong-type"}),
    "fresh at max-age, still": (flawed("at"), {"expired"}),
    "each use makes it younger": (flawed("younger"), {"expired"}),
    "a minute, always": (flawed("a minute"), {"expired"}),
    "a minute, if nothing is said": (flawed("a default"), {"expired"}),
    "each method": (flawed("each method"), {"not-kept", "not-told"}),
    "HEAD, too": (flawed("HEAD"), {"not-kept"}),
    "any status": (flawed("any status"), {"not-kept"}),
    "private": (flawed("private"), {"forbidden"}),
    "no-store": (flawed("no-store"), {"forbidden"}),
    "no-cache": (flawed("no-cache"), {"forbidden"}),
    "large and small": (flawed("large and small"), {"forbidden", "public-unused"}),
    "cookies": (flawed("cookies"), {"forbidden"}),
    "who asks is nothing": (flawed("who asks"), {"not-public"}),
    "a stranger's copy for all": (flawed("to all"), {"not-public"}),
    "a copy for each customer": (flawed("a copy each"), {"public-unused", "two-days"}),
    "a comma and a space": (flawed("comma and space"), {"forbidden", "public-unused"}),
    "no Vary": (flawed("no vary"), {"not-told", "two-days", "vary"}),
    "the first of Vary": (flawed("first of Vary"), {"vary"}),
    "Vary as it is written": (flawed("large Vary"), {"not-told", "two-days", "vary"}),
    "missing is anything": (flawed("missing is any"), {"vary"}),
    "missing is empty": (flawed("missing is empty"), {"vary"}),
    "large and small values": (flawed("small values"), {"vary"}),
    "one variant": (flawed("one variant"), {"other-variants"}),
    "star": (flawed("star"), {"forbidden"}),
    "without the query": (flawed("no query"), {"forgets", "two-days", "vary"}),
    "deaf to writers": (flawed("deaf"), {"not-told"}),
    "told by a POST alone": (flawed("only a POST"), {"not-told"}),
    "told by 2xx alone": (flawed("only 2xx"), {"not-told"}),
    "its own variant": (flawed("its variant"), {"not-told"}),
    "told by failures": (flawed("fails"), {"forgets"}),
    "forgets all": (flawed("all paths"), {"forgets"}),
    "by path": (ByPath, {"expired", "forbidden", "not-kept", "not-public", "not-told", "two-days", "vary"}),
    "nothing": (Nothing, {"forgets", "other-variants", "public-unused", "two-days"}),
}
