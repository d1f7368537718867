"""Exercise 3: caches written in three ways, and mistakes."""

import re
import time
from dataclasses import dataclass

import requests  # noqa: F401  # for an answer that is made of another
from werkzeug.http import parse_cache_control_header

from tests.lab11_answers import but


class Cache:
    """Conditions one after another."""

    def __init__(self, session, clock):
        self.session, self.clock, self.copies = session, clock, {}

    def get(self, url):
        key, now = url, self.clock()
        copy = self.copies.get(key)
        if copy and now < copy["until"]:
            return 200, copy["body"]
        headers = {"If-None-Match": copy["etag"]} if copy and copy["etag"] else {}
        answer = self.session.get(url, headers=headers)
        control, etag = answer.headers.get("Cache-Control", ""), answer.headers.get("ETag")
        lasts = re.search(r"max-age=(\d+)", control)
        until = now + (int(lasts[1]) if lasts else 0)
        if answer.status_code == 304:
            copy["until"] = until
            return 200, self.copies[key]["body"]
        if answer.status_code == 200:
            self.copies.pop(key, None)
        if answer.status_code == 200 and "no-store" not in control:
            self.copies[key] = {"body": answer.content, "etag": etag, "until": until}
        return answer.status_code, answer.content


@dataclass
class Copy:
    body: bytes
    etag: str | None
    came: float
    lasts: int

    def age(self, now):
        return now - self.came


class OtherHand:
    """A dataclass, ages in place of dates, werkzeug's parser, and it forgets a page that is gone."""

    def __init__(self, session, clock=time.monotonic):
        self.session, self.clock = session, clock
        self.kept: dict[str, Copy] = {}

    def get(self, url):
        match self.kept.get(url):
            case Copy() as copy if copy.age(self.clock()) < copy.lasts:
                return 200, copy.body
            case Copy(etag=str() as etag) as copy:
                answer = self.session.get(url, headers={"If-None-Match": etag})
            case copy:
                answer = self.session.get(url)
        rules = parse_cache_control_header(answer.headers.get("Cache-Control"))
        lasts = int(rules.get("max-age") or 0)
        if answer.status_code == 304:
            copy.came, copy.lasts = self.clock(), lasts
            return 200, copy.body
        if answer.status_code in (404, 410):
            self.kept.pop(url, None)
        elif answer.status_code == 200:
            self.kept.pop(url, None)
            if "no-store" not in rules:
                self.kept[url] = Copy(answer.content, answer.headers.get("ETag"), self.clock(), lasts)
        return answer.status_code, answer.content


def of_functions(session, clock):
    """No class, a list as the answer, two dicts, and a request with what it has in any case."""
    bodies, rules = {}, {}

    def get(url):
        if url in bodies and clock() < rules[url][0]:
            return [200, bodies[url]]
        label = rules.get(url, (0, None))[1]
        answer = session.request("GET", url, headers=label and {"If-None-Match": label})
        control = [one.strip() for one in answer.headers.get("cache-control", "").split(",")]
        lasts = next((float(one[8:]) for one in control if one.startswith("max-age=")), 0.0)
        if answer.status_code == 200:
            bodies.pop(url, None), rules.pop(url, None)
        if answer.status_code in (200, 304) and "no-store" not in control:
            bodies.setdefault(url, answer.content)
            rules[url] = (clock() + lasts, answer.headers.get("ETag"))
        return [200, bodies[url]] if answer.status_code == 304 else [answer.status_code, answer.content]

    return type("Functions", (), {"get": staticmethod(get)})()


def cache(*changes):
    return but(Cache, *changes)


def returning(what):
    return but(Cache, f"return answer.status_code, answer.content => return {what}")


RIGHT = {"conditions": Cache, "another hand": OtherHand, "functions": of_functions}
WRONG = {
    "one slot": (cache("key, now = url => key, now = 0"), {"one-slot"}),
    "forgets the query": (cache("key, now = url => key, now = url.partition('?')[0]"), {"one-slot"}),
    "returns the 304": (cache('return 200, self.copies[key]["body"] => return 304, answer.content'), {"empty-304"}),
    "returns the empty body": (cache('self.copies[key]["body"] => answer.content'), {"empty-304"}),
    "never asks again": (cache('now < copy["until"] => True'), {"label", "stale", "error-hidden"}),
    "ignores max-age": (cache('now < copy["until"] => False'), {"max-age"}),
    "a clock of its own": (cache("self.clock() => time.monotonic()"), {"stale", "error-hidden"}),
    "max-age is always a minute": (cache("int(lasts[1]) => 60"), {"stale"}),
    "a minute after each 304": (cache('copy["until"] = until => copy["until"] = now + 60'), {"stale", "old-label"}),
    "304 does not renew": (cache('copy["until"] = until => pass'), {"max-age"}),
    "stores no-store": (cache(' and "no-store" not in control => '), {"no-store"}),
    "stores errors": (cache('answer.status_code == 200 and "no => "no'), {"error-kept"}),
    "stores server errors": (cache("_code == 200 and => _code in (200, 500) and"), {"error-kept"}),
    "keeps any that is ok": (cache("answer.status_code == 200 and => answer.ok and"), {"error-kept"}),
    "keeps only what has a label": (cache('and "no-store" => and etag and "no-store"'), {"max-age"}),
    "a new page without a label keeps the old one": (
        cache('"etag": etag => "etag": etag or (copy["etag"] if copy and lasts else None)'),
        {"old-label"},
    ),
    "max-age behind a comma and a space": (
        cache("""re.search(r"max-age=(\\d+)", control) => re.search(r"(?:^|, )max-age=(\\d+)(?:$|, )", control)"""),
        {"max-age"},
    ),
    "no-store in the first place": (
        cache('"no-store" not in control => not control.startswith("no-store")'),
        {"no-store"},
    ),
    "no-store in the last place": (
        cache('"no-store" not in control => not control.endswith("no-store")'),
        {"no-store"},
    ),
    "an error renews": (
        cache(
            "if answer.status_code == 304: => "
            "copy and copy.update(until=until)\n        if answer.status_code == 304:"
        ),
        {"error-kept"},
    ),
    "strips the quotes": (cache("""h": copy["etag"]} => h": copy["etag"].strip('"')}"""), {"label"}),
    "strips the W/": (cache('h": copy["etag"]} => h": copy["etag"].removeprefix("W/")}'), {"label"}),
    "sends no label": (cache('"etag": etag => "etag": None'), {"label"}),
    "invents a label": (cache("""get("ETag") => get("ETag", '"none"')"""), {"label", "old-label"}),
    "keeps the old label": (cache('"etag": etag => "etag": copy["etag"] if copy else etag'), {"old-label"}),
    "a label outlives its page": (cache('"etag": etag => "etag": etag or copy and copy["etag"]'), {"old-label"}),
    "a session of its own": (cache("= session, clock => = requests.Session(), clock"), {"own-session"}),
    "a copy in place of an error": (cache("_code == 304 => _code in (304, 500) and copy"), {"error-hidden"}),
    "an error is fine": (returning("200, answer.content"), {"error-hidden"}),
    "returns text": (returning("answer.status_code, answer.text"), {"answer"}),
    "returns the body only": (returning("answer.content"), {"answer"}),
    "the first is empty": (
        returning('answer.status_code, answer.content if copy or not answer.ok else b""'),
        {"answer", "error-kept", "no-store", "one-slot"},
    ),
    "asks for the next time": (
        returning('answer.status_code, copy["body"] if copy and answer.ok else answer.content'),
        {"stale"},
    ),
}  # fmt: skip
