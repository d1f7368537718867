"""Exercise 2: right resolvers, one with an OrderedDict and one with a dict of tuples, and mistakes as changes."""

import threading
from collections import OrderedDict

import requests

from tests.lab11_answers import but


def lookup(web, url, service):
    answer = web.get(f"{url}/v1/health/service/{service}?passing=1", timeout=1)
    answer.raise_for_status()
    return [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in answer.json()]


class Resolver:
    def __init__(self, lookup, ttl, negative_ttl, retry_after, most, clock):
        self.lookup, self.ttl, self.negative_ttl = lookup, ttl, negative_ttl
        self.retry_after, self.most, self.clock = retry_after, most, clock
        self.known = OrderedDict()

    def entry(self, service):
        found = self.known.setdefault(service, {"list": None, "until": 0.0})
        self.known.move_to_end(service)
        while len(self.known) > self.most:
            self.known.popitem(last=False)
        return found

    def instances(self, service):
        entry = self.entry(service)
        if self.clock() >= entry["until"]:
            try:
                found = self.lookup(service)
            except Exception:
                entry["until"] = self.clock() + self.retry_after
            else:
                entry["list"] = found
                entry["until"] = self.clock() + (self.ttl if found else self.negative_ttl)
        if entry["list"] is None:
            raise LookupError(service)
        return list(entry["list"])


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


def nobody_for(kind):
    """A lookup that takes one kind of failure for an answer."""

    def takes_it_for_nobody(*args):
        try:
            return lookup(*args)
        except requests.RequestException as error:
            if type(error) is not kind:
                raise
            return []

    return takes_it_for_nobody


RIGHT = {
    "an ordered dict": (lookup, Resolver), "tuples": (lookup, Tuples), "two tables": (health, TwoTables),
}  # fmt: skip
_LOOKUPS = {
    "the critical, too": ("wrong-addresses", "?passing=1 => "),
    "all that are not critical": (
        "wrong-addresses",
        "?passing=1 => ",
        "answer.json()] => answer.json() if all(c['Status'] != 'critical' for c in one['Checks'])]",
    ),
    "addresses without a scheme": ("wrong-addresses", "http:// => "),
    "nothing for nobody": ("nobody-raises", "answer.json()] => answer.json()] or None"),
    "nobody raises": ("nobody-raises", "answer.json()] => answer.json()] or {}['nobody']"),
    "an error is nobody": ("error-is-nobody", "answer.raise_for_status() => "),
    "no timeout": ("no-timeout", ", timeout=1 => "),
    "ten seconds": ("no-timeout", "timeout=1 => timeout=10"),
    "a tenth of a second": ("hasty", "timeout=1 => timeout=0.1"),
    "a connection of its own": ("not-your-session", "web.get => requests.get"),
    "all at one address": ("wrong-addresses", "{one['Service']['Address']} => 127.0.0.1"),
    "the address of the node": ("wrong-addresses", "['Service']['Address'] => ['Node']['Address']"),
}
_HEARD = 'entry["list"] = found => entry["list"] = found'
_FAILED = "+ self.retry_after => + self.retry_after"
_ASKS = "if self.clock() >= => if "
_OUT = 'return list(entry["list"]) => '
_RESOLVERS = {
    "asks every call": (
        "asks-every-call nobody-not-kept asks-while-down forgets-others", _ASKS + "True or self.clock() >="
    ),
    "from the question": (
        "asks-every-call nobody-not-kept asks-while-down", "try: => now = self.clock()\n            try:",
        "self.clock() + => now +",
    ),
    "never renewed": (
        "asks-every-call nobody-not-kept", _HEARD + "; begin = entry.setdefault('begin', self.clock())",
        "self.clock() + (self.ttl => begin + (self.ttl",
    ),
    "ignores the TTL": (
        "ignores-ttl nobody-not-believed never-back", _ASKS + 'not entry["list"] and self.clock() >='
    ),
    "nobody is not believed": ("nobody-not-believed", _HEARD + ' or entry["list"] or found'),
    "nobody is not kept": ("nobody-not-kept forgets-others", _ASKS + 'entry["list"] == [] or self.clock() >='),
    "nobody is kept too long": ("nobody-kept-too-long", "if found else self.negative_ttl => if True else 0"),
    "nobody is forgotten": ("nobody-forgotten", _FAILED + '; entry["list"] = entry["list"] or None'),
    "throws away the last known good": (
        "last-known-good-lost nobody-forgotten forgets-others", _FAILED + '; entry["list"] = None'
    ),
    "empty after a failure": ("unknown-is-nobody forgets-others", _FAILED + '; entry["list"] = []'),
    "passes the error on": (
        "unknown-is-nobody nobody-forgotten forgets-others", "except Exception => except ZeroDivisionError"
    ),
    "one kind of error": ("last-known-good-lost", "except Exception => except requests.RequestException"),
    "no lookup errors": (
        "last-known-good-lost",
        "except Exception => except LookupError:\n                raise\n            except Exception",
    ),
    "asks while it is down": ("asks-while-down forgets-others", _FAILED + " * 0"),
    "forgets its failures": ("asks-while-down forgets-others", _FAILED + ' * (entry["list"] is not None)'),
    "a failure is fresh": ("never-back", "+ self.retry_after => + self.ttl"),
    "unknown for ever": ("never-back", _FAILED + ' + 60 * (entry["list"] is None)'),
    "silence is nobody": ("unknown-is-nobody", "raise LookupError(service) => return []"),
    "gives up": (
        "last-known-good-lost", _HEARD + "; entry['at'] = self.clock()",
        _FAILED + "; entry['list'] = entry['list'] if self.clock() < entry.get('at', 0) + 3600 else None",
    ),
    "without a bound": ("unbounded", "> self.most => > 1000"),
    "one more": ("unbounded", "> self.most => > self.most + 1"),
    "failures without a bound": (
        "unbounded", "OrderedDict() => OrderedDict(); self.failures = {}",
        "entry = self.entry(service) => entry = self.entry(service); "
        "entry['until'] = max(entry['until'], self.failures.get(service, 0.0))",
        _FAILED + "; self.failures[service] = entry['until']",
    ),
    "forgets the used": ("forgets-others", "self.known.move_to_end(service) => pass"),
    "a failure is no use": (
        "forgets-others", "self.known.move_to_end(service) => found['list'] is None or self.known.move_to_end(service)"
    ),
    "forgets the oldest answer": (
        "forgets-others",
        "self.known.popitem(last=False) => del self.known[min(self.known, "
        "key=lambda name: self.known[name]['until'] or 1e9)]",
    ),
    "forgets failures first": (
        "forgets-others",
        "self.known.popitem(last=False) => del self.known[min(self.known, "
        "key=lambda name: (self.known[name]['list'] is not None or name == service))]",
    ),
    "forgets what is not fresh": (
        "forgets-others",
        "> self.most: => > self.most:\n            for name in [one for one in self.known if one != service]:\n"
        "                self.known[name]['until'] > self.clock() or len(self.known) < 2 or self.known.pop(name)\n"
        "            if len(self.known) <= self.most:\n                break",
    ),
    "forgets all at a failure": ("forgets-others", _FAILED + "; self.known = OrderedDict({service: entry})"),
    "forgets the newest": ("forgets-others", "last=False => last=True"),
    "throws all away": (
        "forgets-others",
        "found = self => service in self.known or len(self.known) < self.most or self.known.clear(); found = self",
    ),
    "one for all names": ("first-answer", "= self.entry(service) => = self.entry('the one')"),
    "not a copy": ("not-a-copy", _OUT + 'return entry["list"]'),
    "the first has the list itself": (
        "not-a-copy", "else self.negative_ttl) => else self.negative_ttl)\n                return found"
    ),
    "first nothing": (
        "first-answer never-back", "entry = self.entry(service) => entry = self.entry(service); old = entry['list']",
        _OUT + "return [] if old is None else list(entry['list'])",
    ),
    "returns nothing": ("wrong-type", _OUT + "list(entry['list'])"),
}  # fmt: skip
WRONG = {name: ((but(lookup, *changes), Resolver), {code}) for name, (code, *changes) in _LOOKUPS.items()}
WRONG["silence is nobody, in lookup"] = (nobody_for(requests.ReadTimeout), Resolver), {"error-is-nobody"}
WRONG["the dead is nobody"] = (nobody_for(requests.ConnectionError), Resolver), {"error-is-nobody"}
WRONG |= {
    name: ((lookup, but(Resolver, *changes)), set(codes.split())) for name, (codes, *changes) in _RESOLVERS.items()
}
