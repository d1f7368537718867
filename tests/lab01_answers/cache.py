"""Exercise 3: a right cache in small parts, a second one written otherwise, and mistakes as changes to the first."""

import re
import time
from dataclasses import dataclass

import requests
from werkzeug.http import parse_cache_control_header


class Cache:
    """A right answer. A mistake is a subclass that overrides one part."""

    def __init__(self, session, clock):
        self.session, self.clock, self.copies = session, clock, {}

    def key(self, url):
        return url

    def now(self):
        return self.clock()

    def label(self, etag):
        return etag

    def max_age(self, response):
        found = re.search(r"max-age=(\d+)", response.headers.get("Cache-Control", ""))
        return int(found[1]) if found else 0

    def worth_keeping(self, response):
        return response.status_code == 200 and "no-store" not in response.headers.get("Cache-Control", "")

    def is_fresh(self, copy):
        return self.now() < copy["until"]

    def after_304(self, copy, response):
        copy["until"] = self.now() + self.max_age(response)
        return 200, copy["body"]

    def get(self, url):
        key = self.key(url)
        copy = self.copies.get(key)
        if copy and self.is_fresh(copy):
            return 200, copy["body"]
        headers = {"If-None-Match": self.label(copy["etag"])} if copy and copy["etag"] else {}
        response = self.session.get(url, headers=headers)
        if response.status_code == 304:
            return self.after_304(copy, response)
        if self.worth_keeping(response):
            until = self.now() + self.max_age(response)
            self.copies[key] = {"body": response.content, "etag": response.headers.get("ETag"), "until": until}
        elif response.status_code == 200:
            self.copies.pop(key, None)
        return response.status_code, response.content


@dataclass
class Copy:
    body: bytes
    etag: str | None
    came: float
    lasts: int

    def age(self, now):
        return now - self.came


class OtherHand:
    """Another hand: a dataclass, ages in place of dates, werkzeug's parser, and it forgets a page that is gone."""

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
    """A third hand: no class, a list as the answer, two dicts, and a request with what it has in any case."""
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


class OneSlot(Cache):
    def key(self, url):
        return "the copy"


class PassesOn304(Cache):
    def after_304(self, copy, response):
        super().after_304(copy, response)
        return response.status_code, response.content


class EmptyOn304(Cache):
    def after_304(self, copy, response):
        super().after_304(copy, response)
        return 200, response.content


class NeverAsksAgain(Cache):
    def is_fresh(self, copy):
        return True


class NeverFresh(Cache):
    def is_fresh(self, copy):
        return False


class OwnClock(Cache):
    def now(self):
        return time.monotonic()


class StoresNoStore(Cache):
    def worth_keeping(self, response):
        return response.status_code == 200


class StoresErrors(Cache):
    def worth_keeping(self, response):
        return "no-store" not in response.headers.get("Cache-Control", "")


class StoresServerErrors(Cache):
    def worth_keeping(self, response):
        return response.status_code in (200, 500) and "no-store" not in response.headers.get("Cache-Control", "")


class StripsQuotes(Cache):
    def label(self, etag):
        return etag.removeprefix("W/").strip('"')


class StripsWeak(Cache):
    def label(self, etag):
        return etag.removeprefix("W/")


class KeepsTheOldDate(Cache):
    def after_304(self, copy, response):
        return 200, copy["body"]


class KeepsTheOldLabel(Cache):
    first: dict

    def get(self, url):
        self.first = getattr(self, "first", {})
        answer = super().get(url)
        if url in self.copies:
            self.copies[url]["etag"] = self.first.setdefault(url, self.copies[url]["etag"])
        return answer


class LabelOutlivesItsPage(Cache):
    def get(self, url):
        old = self.copies.get(url, {"etag": None})["etag"]
        answer = super().get(url)
        if url in self.copies:
            self.copies[url]["etag"] = self.copies[url]["etag"] or old
        return answer


class KeepsAnyThatIsOk(Cache):
    def worth_keeping(self, response):
        return response.ok and "no-store" not in response.headers.get("Cache-Control", "")


class KeepsOnlyWithALabel(Cache):
    def worth_keeping(self, response):
        return "ETag" in response.headers and super().worth_keeping(response)


class NoLabel(Cache):
    def get(self, url):
        answer = super().get(url)
        if url in self.copies:
            self.copies[url]["etag"] = None
        return answer


class ReturnsText(Cache):
    def get(self, url):
        status, body = super().get(url)
        return status, body.decode()


class ReturnsTheBody(Cache):
    def get(self, url):
        return super().get(url)[1]


class ForgetsTheQuery(Cache):
    def key(self, url):
        return url.partition("?")[0]


class CoversErrors(Cache):
    """stale-if-error, which nobody asked for."""

    def get(self, url):
        status, body = super().get(url)
        return (200, self.copies[url]["body"]) if status == 500 and url in self.copies else (status, body)


class SaysFine(Cache):
    def get(self, url):
        return 200, super().get(url)[1]


class AsksByItself(Cache):
    def __init__(self, session, clock):
        super().__init__(requests.Session(), clock)


class AlwaysAMinute(Cache):
    def max_age(self, response):
        return 60 if "max-age" in response.headers.get("Cache-Control", "") else 0


class AMinuteAfter304(Cache):
    def after_304(self, copy, response):
        copy["until"] = self.now() + 60
        return 200, copy["body"]


class InventsALabel(Cache):
    def label(self, etag):
        return etag

    def worth_keeping(self, response):
        response.headers.setdefault("ETag", '"none"')
        return super().worth_keeping(response)


class FirstIsAsked(Cache):
    """Returns what it has, and asks for the next time."""

    def get(self, url):
        old = self.copies.get(url)
        new = super().get(url)
        return (200, old["body"]) if old and new[0] == 200 else new


class StartsEmpty(Cache):
    def get(self, url):
        new = url not in self.copies
        answer = super().get(url)
        return (answer[0], b"") if new and answer[0] == 200 else answer


RIGHT = {"in small parts": Cache, "another hand": OtherHand, "functions": of_functions}
WRONG = {
    "one slot": (OneSlot, {"one-slot"}),
    "forgets the query": (ForgetsTheQuery, {"one-slot"}),
    "returns the 304": (PassesOn304, {"empty-304"}),
    "returns the empty body": (EmptyOn304, {"empty-304"}),
    "never asks again": (NeverAsksAgain, {"no-condition", "stale", "never-revalidates", "unlabelled", "error-hidden"}),
    "ignores max-age": (NeverFresh, {"max-age-ignored"}),
    "a clock of its own": (OwnClock, {"never-revalidates", "unlabelled", "error-hidden"}),
    "max-age is always a minute": (AlwaysAMinute, {"never-revalidates", "unlabelled"}),
    "a minute after each 304": (AMinuteAfter304, {"never-revalidates", "old-label"}),
    "stores no-store": (StoresNoStore, {"no-store-stored"}),
    "stores errors": (StoresErrors, {"error-cached"}),
    "stores server errors": (StoresServerErrors, {"error-replaces"}),
    "strips the quotes": (StripsQuotes, {"etag-altered"}),
    "strips the W/": (StripsWeak, {"etag-altered"}),
    "304 does not renew": (KeepsTheOldDate, {"304-does-not-renew"}),
    "keeps the old label": (KeepsTheOldLabel, {"old-label"}),
    "a label outlives its page": (LabelOutlivesItsPage, {"old-label"}),
    "keeps any that is ok": (KeepsAnyThatIsOk, {"error-cached"}),
    "keeps only what has a label": (KeepsOnlyWithALabel, {"max-age-ignored"}),
    "sends no label": (NoLabel, {"no-condition"}),
    "invents a label": (InventsALabel, {"old-label", "unlabelled"}),
    "returns text": (ReturnsText, {"wrong-type"}),
    "returns the body only": (ReturnsTheBody, {"wrong-type"}),
    "the first is empty": (StartsEmpty, {"first-answer", "no-store-stored", "one-slot", "error-cached"}),
    "asks for the next time": (FirstIsAsked, {"stale", "never-revalidates", "unlabelled"}),
    "a session of its own": (AsksByItself, {"own-session"}),
    "a copy in place of an error": (CoversErrors, {"error-hidden"}),
    "an error is fine": (SaysFine, {"error-hidden"}),
}
