"""Exercise 2: right resolvers, one with an OrderedDict and one with a dict of tuples, and mistakes as changes."""

import sys
import threading
from collections import OrderedDict

import requests


def lookup(web, url, service):
    answer = web.get(f"{url}/v1/health/service/{service}", params={"passing": "1"}, timeout=1)
    answer.raise_for_status()
    return [f"http://{entry['Service']['Address']}:{entry['Service']['Port']}" for entry in answer.json()]


class Resolver:
    """A right answer. A mistake is a subclass that overrides one part."""

    def __init__(self, lookup, ttl, negative_ttl, retry_after, most, clock):
        self.lookup, self.ttl, self.negative_ttl = lookup, ttl, negative_ttl
        self.retry_after, self.most, self.clock = retry_after, most, clock
        self.known = OrderedDict()

    def entry(self, service):
        found = self.known.setdefault(service, {"list": None, "until": 0.0})
        self.known.move_to_end(service)
        self.bound()
        return found

    def bound(self):
        while len(self.known) > self.most:
            self.known.popitem(last=False)

    def is_fresh(self, entry):
        return self.clock() < entry["until"]

    def good_for(self, found):
        return self.ttl if found else self.negative_ttl

    def heard(self, entry, found):
        entry["list"], entry["until"] = found, self.clock() + self.good_for(found)

    def failed(self, entry):
        entry["until"] = self.clock() + self.retry_after

    def unknown(self, service):
        raise LookupError(service)

    def out(self, entry):
        return list(entry["list"])

    def instances(self, service):
        entry = self.entry(service)
        if not self.is_fresh(entry):
            try:
                found = self.lookup(service)
            except Exception:
                self.failed(entry)
            else:
                self.heard(entry, found)
        return self.unknown(service) if entry["list"] is None else self.out(entry)


class Tuples:
    """Another hand: an immutable record a name, `max` to throw out, a lock around the memory only."""

    def __init__(self, lookup, ttl, negative_ttl, retry_after, most, clock):
        self.ask, self.times, self.wait = lookup, {True: ttl, False: negative_ttl}, retry_after
        self.room, self.clock, self.lock, self.memory = most, clock, threading.Lock(), {}
        self.uses = 0

    def instances(self, service):
        with self.lock:
            self.uses += 1
            _, until, addresses = self.memory.get(service, (0, float("-inf"), None))
        if self.clock() >= until:
            try:
                addresses = tuple(self.ask(service))
                until = self.clock() + self.times[bool(addresses)]
            except Exception:
                until = self.clock() + self.wait
        with self.lock:
            self.memory[service] = self.uses, until, addresses
            if len(self.memory) > self.room:
                del self.memory[min(self.memory, key=lambda name: self.memory[name][0])]
        if addresses is None:
            raise KeyError(service)
        return addresses


def health(web, url, service):
    """Asks for all, and sorts out; a generator's values, as a set."""
    with web.get(f"{url}/v1/health/service/{service}", timeout=(0.5, 1)) as answer:
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        entries = answer.json()
    well = (one["Service"] for one in entries if {check["Status"] for check in one["Checks"]} == {"passing"})
    return {"http://{Address}:{Port}".format(**one) for one in well}


class TwoTables:
    """A third hand: one table for what was said, one for when to ask again, and a list of who was used when."""

    def __init__(self, lookup, ttl, negative_ttl, retry_after, most, clock):
        self.lookup, self.times, self.most, self.clock = lookup, (negative_ttl, ttl, retry_after), most, clock
        self.said, self.again, self.used = {}, {}, []

    def instances(self, service):
        self.used = [*(name for name in self.used if name != service), service][-self.most :]
        for table in (self.said, self.again):
            for name in set(table) - set(self.used):
                del table[name]
        if self.again.get(service, self.clock()) <= self.clock():
            negative, ttl, retry = self.times
            try:
                found = self.said[service] = list(self.lookup(service))
                self.again[service] = self.clock() + (ttl if found else negative)
            except Exception as error:
                self.again[service] = self.clock() + retry
                if service not in self.said:
                    raise LookupError(service) from error
        try:
            return self.said[service][:]
        except KeyError:
            raise LookupError(f"{service}: nothing was heard") from None


def no_scheme(web, url, service):
    return [address.removeprefix("http://") for address in lookup(web, url, service)]


def nothing(web, url, service):
    return lookup(web, url, service) or None


def nobody_raises(web, url, service):
    return lookup(web, url, service) or {}["nobody"]


def dead_is_nobody(web, url, service):
    try:
        return lookup(web, url, service)
    except requests.HTTPError:
        raise
    except requests.ReadTimeout:
        raise
    except requests.ConnectionError:
        return []


def patient(web, url, service):
    answer = web.get(f"{url}/v1/health/service/{service}?passing=1", timeout=10)
    answer.raise_for_status()
    return [f"http://{entry['Service']['Address']}:{entry['Service']['Port']}" for entry in answer.json()]


def critical_too(web, url, service):
    answer = web.get(f"{url}/v1/health/service/{service}", timeout=1)
    answer.raise_for_status()
    return [f"http://{entry['Service']['Address']}:{entry['Service']['Port']}" for entry in answer.json()]


def error_is_nobody(web, url, service):
    answer = web.get(f"{url}/v1/health/service/{service}?passing=1", timeout=1)
    if not answer.ok:
        return []
    return [f"http://{entry['Service']['Address']}:{entry['Service']['Port']}" for entry in answer.json()]


def no_timeout(web, url, service):
    answer = web.get(f"{url}/v1/health/service/{service}?passing=1")
    answer.raise_for_status()
    return [f"http://{entry['Service']['Address']}:{entry['Service']['Port']}" for entry in answer.json()]


def silence_is_nobody(web, url, service):
    try:
        return lookup(web, url, service)
    except requests.ConnectionError:
        raise
    except requests.Timeout:
        return []


class AsksEveryCall(Resolver):
    def is_fresh(self, entry):
        return False


class IgnoresTTL(Resolver):
    def is_fresh(self, entry):
        return bool(entry["list"]) or super().is_fresh(entry)


class NobodyIsNotBelieved(Resolver):
    def heard(self, entry, found):
        if found or not entry["list"]:
            entry["list"] = found
        entry["until"] = self.clock() + self.good_for(found)


class NobodyIsNotKept(Resolver):
    def is_fresh(self, entry):
        return entry["list"] != [] and super().is_fresh(entry)


class NobodyKeptTooLong(Resolver):
    def good_for(self, found):
        return self.ttl


class ThrowsAway(Resolver):
    """Clears first, and asks then."""

    def failed(self, entry):
        entry["list"] = None
        super().failed(entry)


class EmptyAfterAFailure(Resolver):
    def failed(self, entry):
        entry["list"] = []
        super().failed(entry)


class PassesTheErrorOn(Resolver):
    def instances(self, service):
        entry = self.entry(service)
        if not self.is_fresh(entry):
            self.heard(entry, self.lookup(service))
        return self.out(entry)


class AsksWhileDown(Resolver):
    def failed(self, entry):
        pass


class FailureIsFresh(Resolver):
    """After a failure it waits for the whole TTL."""

    def failed(self, entry):
        entry["until"] = self.clock() + self.ttl


class SilenceIsNobody(Resolver):
    def unknown(self, service):
        return []


class ForgetsItsFailures(Resolver):
    """Only a name that was heard of is remembered."""

    def failed(self, entry):
        if entry["list"] is not None:
            super().failed(entry)


class GivesUp(Resolver):
    """Keeps the last known good for an hour."""

    def heard(self, entry, found):
        super().heard(entry, found)
        entry["at"] = self.clock()

    def failed(self, entry):
        super().failed(entry)
        if entry["list"] is not None and self.clock() > entry["at"] + 3600:
            entry["list"] = None


class Unbounded(Resolver):
    def bound(self):
        pass


class ForgetsTheUsed(Resolver):
    """First in, first out: by age, not by use."""

    def entry(self, service):
        found = self.known.setdefault(service, {"list": None, "until": 0.0})
        self.bound()
        return found


class OneForAll(Resolver):
    def entry(self, service):
        return super().entry("the one")


class NotACopy(Resolver):
    def out(self, entry):
        return entry["list"]


class NobodyIsForgotten(Resolver):
    """Takes an empty list for nothing known when the question fails."""

    def failed(self, entry):
        super().failed(entry)
        entry["list"] = entry["list"] or None


class ForgetsTheNewest(Resolver):
    """Full is full: who comes last is not kept."""

    def bound(self):
        while len(self.known) > self.most:
            self.known.popitem(last=True)


class ThrowsAllAway(Resolver):
    """When it is full, it begins anew with the newest."""

    def bound(self):
        if len(self.known) > self.most:
            while len(self.known) > 1:
                self.known.popitem(last=False)


class OneMore(Resolver):
    def bound(self):
        while len(self.known) > self.most + 1:
            self.known.popitem(last=False)


class NeverRenewed(Resolver):
    """Fresh counts from the first answer."""

    def heard(self, entry, found):
        begin = entry.setdefault("begin", self.clock())
        entry["list"], entry["until"] = found, begin + self.good_for(found)


class FailuresUnbounded(Resolver):
    """What failed is noted in a table of its own."""

    def __init__(self, *args):
        super().__init__(*args)
        self.failures = {}

    def instances(self, service):
        if service not in self.known and self.clock() < self.failures.get(service, 0.0):
            raise LookupError(service)
        self.failures[service] = self.clock() + self.retry_after
        return super().instances(service)


class FirstNothing(Resolver):
    """Gives what it has, and asks for the next one."""

    def instances(self, service):
        before = self.entry(service)["list"]
        found = super().instances(service)
        return found if before is not None else []


class FromTheQuestion(Resolver):
    """Looks at the clock once, before it asks."""

    def instances(self, service):
        clock, now = self.clock, self.clock()
        self.clock = lambda: now
        try:
            return super().instances(service)
        finally:
            self.clock = clock


class OneKindOfError(Resolver):
    """Catches what its own lookup would raise."""

    def failed(self, entry):
        error = sys.exc_info()[1]
        if not isinstance(error, requests.RequestException):
            raise error
        super().failed(entry)


class TheFirstHasItAll(Resolver):
    """Copies what it remembers, and not what it has just heard."""

    def heard(self, entry, found):
        super().heard(entry, found)
        self.heard_now = found

    def out(self, entry):
        self.heard_now, heard = None, getattr(self, "heard_now", None)
        return super().out(entry) if heard is None else heard


class UnknownForEver(Resolver):
    def failed(self, entry):
        entry["until"] = self.clock() + (self.retry_after if entry["list"] is not None else 60.0)


class ReturnsNothing(Resolver):
    def instances(self, service):
        super().instances(service)


RIGHT = {
    "an ordered dict": (lookup, Resolver), "tuples": (lookup, Tuples), "two tables": (health, TwoTables),
}  # fmt: skip
_LOOKUPS = {
    "the critical, too": (critical_too, {"critical-too"}),
    "addresses without a scheme": (no_scheme, {"wrong-addresses"}),
    "nothing for nobody": (nothing, {"nobody-raises"}),
    "nobody raises": (nobody_raises, {"nobody-raises"}),
    "an error is nobody": (error_is_nobody, {"error-is-nobody"}),
    "no timeout": (no_timeout, {"no-timeout"}),
    "ten seconds": (patient, {"no-timeout"}),
    "silence is nobody, in lookup": (silence_is_nobody, {"silence-is-nobody"}),
    "the dead is nobody": (dead_is_nobody, {"dead-is-nobody"}),
}
_RESOLVERS = {
    "asks every call": (
        AsksEveryCall,
        {"asks-every-call", "nobody-not-kept", "asks-while-down", "asks-while-unknown", "forgets-the-used"},
    ),
    "never renewed": (NeverRenewed, {"asks-every-call", "nobody-not-kept"}),
    "ignores the TTL": (IgnoresTTL, {"ignores-ttl", "nobody-not-believed", "never-back"}),
    "nobody is not believed": (NobodyIsNotBelieved, {"nobody-not-believed"}),
    "nobody is not kept": (NobodyIsNotKept, {"nobody-not-kept", "forgets-the-newest"}),
    "nobody is kept too long": (NobodyKeptTooLong, {"nobody-kept-too-long"}),
    "nobody is forgotten": (NobodyIsForgotten, {"nobody-forgotten"}),
    "throws away the last known good": (ThrowsAway, {"last-known-good-lost", "nobody-forgotten"}),
    "empty after a failure": (EmptyAfterAFailure, {"last-known-good-lost", "unknown-is-nobody"}),
    "passes the error on": (PassesTheErrorOn, {"last-known-good-lost", "unknown-is-nobody", "nobody-forgotten"}),
    "asks while it is down": (AsksWhileDown, {"asks-while-down", "asks-while-unknown"}),
    "a failure is fresh": (FailureIsFresh, {"never-back"}),
    "silence is nobody": (SilenceIsNobody, {"unknown-is-nobody"}),
    "forgets its failures": (ForgetsItsFailures, {"asks-while-unknown"}),
    "unknown for ever": (UnknownForEver, {"never-back"}),
    "gives up": (GivesUp, {"gives-up"}),
    "without a bound": (Unbounded, {"unbounded", "unbounded-failures"}),
    "one more": (OneMore, {"unbounded", "unbounded-failures"}),
    "failures without a bound": (FailuresUnbounded, {"unbounded-failures"}),
    "forgets the used": (ForgetsTheUsed, {"forgets-the-used"}),
    "forgets the newest": (ForgetsTheNewest, {"forgets-the-newest", "unbounded-failures"}),
    "throws all away": (ThrowsAllAway, {"forgets-the-used"}),
    "one for all names": (OneForAll, {"names-mixed", "unbounded-failures"}),
    "not a copy": (NotACopy, {"not-a-copy"}),
    "the first has the list itself": (TheFirstHasItAll, {"not-a-copy"}),
    "one kind of error": (OneKindOfError, {"last-known-good-lost"}),
    "from the question": (
        FromTheQuestion, {"asks-every-call", "nobody-not-kept", "asks-while-down", "asks-while-unknown"},
    ),
    "first nothing": (FirstNothing, {"first-answer", "never-back"}),
    "returns nothing": (ReturnsNothing, {"wrong-type"}),
}  # fmt: skip
WRONG = {name: ((answer, Resolver), codes) for name, (answer, codes) in _LOOKUPS.items()}
WRONG |= {name: ((lookup, answer), codes) for name, (answer, codes) in _RESOLVERS.items()}
