"""Exercise 3: a right cache in small parts, a second one written otherwise, and mistakes as changes to the first."""

import re
import time
from dataclasses import dataclass

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
        elif answer.ok:
            self.kept.pop(url, None)
            if "no-store" not in rules:
                self.kept[url] = Copy(answer.content, answer.headers.get("ETag"), self.clock(), lasts)
        return answer.status_code, answer.content


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
        return response.status_code != 404 and "no-store" not in response.headers.get("Cache-Control", "")


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


class NeedsALabel(Cache):
    def worth_keeping(self, response):
        return response.headers["ETag"] and super().worth_keeping(response)


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


RIGHT = {"in small parts": Cache, "another hand": OtherHand}
WRONG = {
    "one slot": (OneSlot, {"one-slot"}),
    "returns the 304": (PassesOn304, {"empty-304"}),
    "returns the empty body": (EmptyOn304, {"empty-304"}),
    "never asks again": (NeverAsksAgain, {"no-condition", "stale", "old-label", "never-revalidates", "unlabelled"}),
    "ignores max-age": (NeverFresh, {"max-age-ignored", "304-does-not-renew"}),
    "a clock of its own": (OwnClock, {"never-revalidates"}),
    "stores no-store": (StoresNoStore, {"no-store-stored"}),
    "stores errors": (StoresErrors, {"error-cached", "error-replaces"}),
    "stores server errors": (StoresServerErrors, {"error-replaces"}),
    "strips the quotes": (StripsQuotes, {"etag-altered"}),
    "strips the W/": (StripsWeak, {"etag-altered"}),
    "304 does not renew": (KeepsTheOldDate, {"304-does-not-renew"}),
    "keeps the old label": (KeepsTheOldLabel, {"old-label"}),
    "fails without a label": (NeedsALabel, {"exception"}),
    "sends no label": (NoLabel, {"no-condition"}),
    "returns text": (ReturnsText, {"wrong-type"}),
    "returns the body only": (ReturnsTheBody, {"wrong-type"}),
}
