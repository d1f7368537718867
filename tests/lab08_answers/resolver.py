"""Exercise 2: right resolvers, one with an OrderedDict and one with a dict of tuples, and mistakes as changes."""

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
        now = self.clock()
        if now >= until:
            try:
                addresses = tuple(self.ask(service))
                until = now + self.times[bool(addresses)]
            except (requests.RequestException, ValueError):
                until = now + self.wait
        with self.lock:
            self.memory[service] = self.uses, until, addresses
            if len(self.memory) > self.room:
                del self.memory[min(self.memory, key=lambda name: self.memory[name][0])]
        if addresses is None:
            raise KeyError(service)
        return addresses


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


class ReturnsNothing(Resolver):
    def instances(self, service):
        super().instances(service)


RIGHT = {"an ordered dict": (lookup, Resolver), "tuples": (lookup, Tuples)}
WRONG = {
    "the critical, too": (critical_too, {"critical-too"}),
    "an error is nobody": (error_is_nobody, {"error-is-nobody"}),
    "no timeout": (no_timeout, {"no-timeout"}),
    "silence is nobody, in lookup": (silence_is_nobody, {"silence-is-nobody"}),
    "asks every call": (AsksEveryCall, {"asks-every-call"}),
    "ignores the TTL": (IgnoresTTL, {"ignores-ttl", "nobody-not-believed"}),
    "nobody is not believed": (NobodyIsNotBelieved, {"nobody-not-believed"}),
    "nobody is not kept": (NobodyIsNotKept, {"nobody-not-kept"}),
    "nobody is kept too long": (NobodyKeptTooLong, {"nobody-kept-too-long"}),
    "throws away the last known good": (ThrowsAway, {"last-known-good-lost"}),
    "empty after a failure": (EmptyAfterAFailure, {"last-known-good-lost", "silence-is-nobody"}),
    "passes the error on": (
        PassesTheErrorOn,
        {"last-known-good-lost", "asks-while-down", "silence-is-nobody", "asks-while-unknown"},
    ),
    "asks while it is down": (AsksWhileDown, {"asks-while-down", "asks-while-unknown"}),
    "a failure is fresh": (FailureIsFresh, {"never-back"}),
    "silence is nobody": (SilenceIsNobody, {"silence-is-nobody"}),
    "forgets its failures": (ForgetsItsFailures, {"asks-while-unknown"}),
    "gives up": (GivesUp, {"gives-up"}),
    "without a bound": (Unbounded, {"unbounded"}),
    "forgets the used": (ForgetsTheUsed, {"forgets-the-used"}),
    "one for all names": (OneForAll, {"names-mixed"}),
    "not a copy": (NotACopy, {"not-a-copy"}),
    "returns nothing": (ReturnsNothing, {"wrong-type"}),
}
WRONG = {
    name: ((lookup, answer) if isinstance(answer, type) else (answer, Resolver), codes)
    for name, (answer, codes) in WRONG.items()
}
WRONG["swapped"] = ((Resolver, lookup), {"swapped"})
