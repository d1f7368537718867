"""Exercise 2, build: a lookup at a real registry, and a resolver with a memory, whose clock and registry are the
check's, so that no second is waited for and every number is a count."""

import time

import requests
from flask import Flask

from servicelab.checks.lab08.registry_stage import RegistryStage, urls
from servicelab.checks.learner_traceback import in_words, shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import serve

TTL, NEGATIVE, RETRY, MOST = 5.0, 2.0, 1.0, 3  # seconds, and names
TOOK, FAILED = 0.6, 0.2  # seconds until a question is answered, or has failed
SLOW = 2.0  # seconds in which a lookup must have given up
LATE = 0.5  # seconds until an answer, which is late and no failure
KINDS = (list, tuple, set)
HOME = {"Address": "127.0.0.1", "Port": 8001}
ENTRY = [{"Node": HOME, "Service": HOME, "Checks": [{"Status": "passing"}]}]

WORDS = words("""
wrong-addresses: lookup finds the addresses of the two that pass, and not of the third, which is in the state 'warning'
    Which instances does the registry list when nothing else is said, and what does an address look like in the task?
nobody-raises: nobody of that name: an empty list
    The registry has answered. What did it say?
no-timeout: a registry that hangs: lookup gives up after a second
    For how long does requests wait when nobody says how long?
hasty: a registry that takes half a second to answer is heard
    For how long may it take to answer, by the task?
not-your-session: it asks with the session that it is given
    Who sends your question? Connections, headers and proxies are set up in the session.
error-is-nobody: a registry that answers 500, hangs or is dead: lookup raises
    'I cannot tell' must not become 'nobody is there'. Who could tell the two apart later?
first-answer: the first call gives what the registry says, of this name and not of another
    What does instances return while nothing is remembered yet, and by what do you remember?
asks-every-call, ignores-ttl: an answer is fresh for the TTL, from when it came: until then the registry is not asked
    Where do you look before you ask, and what must stand there beside the addresses? From when on do you count, and
    where do you compare that with the clock?
not-a-copy: a caller who empties his list does not empty the memory
    Whose list is it that you hand out?
nobody-not-believed: all have left, and the registry says so: an empty list
    Does your code take 'nobody' for a failure? Last known good is for silence.
nobody-not-kept, nobody-kept-too-long: 'nobody' is remembered for negative_ttl, and no longer
    For how long is which answer fresh? Do you look at its time, or at the list, to see whether you know something?
last-known-good-lost, nobody-forgotten: no answer: what was known last is given, 'nobody', too, for hours
    What happens to what you knew when the question fails, and is 'nobody' something that was heard?
asks-while-down, never-back: after a failure the registry is left alone for retry_after, then asked, and believed
    What do you note after a failure, and where, for a name that has no answer yet? For how long do you leave the
    registry alone then, and is that the time that the task gives?
unknown-is-nobody: nothing was ever heard, and the registry is dead: LookupError
    An empty list would say that nobody is there. Who has said so?
forgets-others, unbounded: one name too many: the one used longest ago is forgotten, and no other
    Names come from outside: links, typing errors, attackers. How many do you hold, also of those that nobody has
    answered for, and which one is thrown out?
""")


class Looking(RegistryStage):
    """The learner's lookup, with two instances that pass and one that is not well."""

    def __init__(self, ask, lookup):
        super().__init__(ask, lookup)
        self.web, self.url = self.session("gateway"), self.registry.url
        for number, status in ((1, "passing"), (2, "passing"), (3, "warning")):
            where = {"Address": f"127.0.0.{number}", "Port": 8000 + number}  # the registry itself is at 127.0.0.1
            here = {"Name": "orders", "ID": f"orders-{number}"} | where
            told = here | {"Check": {"TTL": "60s", "Status": status}}
            self.web.put(self.url + "/v1/agent/service/register", json=told, timeout=2)

    def look(self, url, service="orders"):
        return self.ask.run(self.yours, self.web, url, service, limit=SLOW)


class Remembering(Stage):
    """The learner's resolver, on a clock that stands still until it is moved, at a registry that is a dict.

    ``asked`` are the names of all questions; ``fails``: they do, with this.
    """

    def __init__(self, ask, Resolver):
        super().__init__(ask, Resolver)
        self.now, self.drawn, self.asked, self.fails = 1000.0, 1000.0, [], None
        self.book = {"orders": urls(1, 2)}
        args = self.lookup, TTL, NEGATIVE, RETRY, MOST, lambda: self.now
        self.resolver = self.make(Resolver, *args, methods=("instances",))

    def tell(self, *message):
        """Draw it; messages of the same moment lie a little apart."""
        self.drawn = max(self.drawn + 0.02, self.now)
        self.draw(*message, self.drawn)

    def lookup(self, service):
        """What the learner's resolver is given to ask with."""
        self.asked.append(service)
        self.tell("resolver", "registry", f"who is {service}?")
        self.now += FAILED if self.fails else TOOK
        if self.fails:
            raise self.fails("nobody answers")
        return list(self.book.get(service, []))

    def get(self, service="orders"):
        """What a call returned, or the exception that it raised."""

        def instances():
            try:
                return self.resolver.instances(service)
            except Exception as error:
                return error

        self.tell("caller", "resolver", service)
        return self.call(instances, returns=(*KINDS, Exception))

    def gives(self, code, wanted, after=0.0, service="orders"):
        self.now += after
        found, when = self.get(service), f"{self.now - 1000:.1f} s after the beginning it"
        self.given = found
        if isinstance(found, Exception):
            return code, wanted is LookupError and isinstance(found, wanted), f"{when} raised {in_words(found)}"
        return code, sorted(found) == wanted, f"{when} returned {shown(found)}"

    def asks(self, service="orders"):
        before = len(self.asked)
        self.get(service)
        return len(self.asked) > before

    def is_quiet(self, code, after):
        """Is the registry not asked in five calls now, nor in five some seconds later?"""
        many = 0
        for pause in (0, 0, 0, 0, 0, after, 0, 0, 0, 0):
            self.now += pause
            many += self.asks()
        return code, not many, f"for ten calls it asked {many} ×"


check_resolver = scenario("08", 2, "A resolver that remembers", WORDS, go_on=True, lookup=Looking, Resolver=Remembering)
part = check_resolver.part


@part("lookup")
def lookup(at):
    found = sorted(at.call(at.yours, at.web, at.url, "orders", returns=KINDS))
    wanted = ["http://127.0.0.1:8001", "http://127.0.0.2:8002"]
    yield "wrong-addresses", found == wanted, f"it returned {shown(found)}"
    others = [one for one in at.asked("GET") if one.sender != "gateway"]
    yield "not-your-session", not others, f"{len(others)} of {len(at.asked('GET'))} requests came another way"
    nobody = at.look(at.url, "odrers")
    yield "nobody-raises", nobody.returned and nobody.value is not None and not nobody.value, str(nobody)


@part("lookup")
def no_answer(at):
    app = Flask("registry")
    app.add_url_rule("/<path:path>", "all", lambda path: ("[]", 500))
    app.add_url_rule("/late/<path:path>", "late", lambda path: time.sleep(LATE) or ENTRY)
    ill = at.use(serve(app, "leaderless registry of the check", trace=at.ask.trace, lane="registry"))
    late = at.look(ill.url + "/late")
    yield "hasty", late.returned, f"it was answered after {LATE} s: {late}"
    yield from raises(at, "the registry answered 500", ill.url)
    at.registry.pause()
    yield from raises(at, "the registry was silent", at.url)
    at.kill()
    yield from raises(at, "the registry was dead", at.url)


def raises(at, what, url):
    outcome = at.look(url)
    yield "no-timeout", outcome.how != "time-limit", f"{what}: {outcome}"
    yield "error-is-nobody", outcome.how == "exception", f"{what}: {outcome}"


@part("Resolver")
def fresh(r):
    yield r.gives("first-answer", urls(1, 2))
    for _ in range(2):  # the list that came with the answer, and one from memory
        if isinstance(r.given, list | set):
            r.given.clear()
        yield r.gives("not-a-copy", urls(1, 2))
    yield r.is_quiet("asks-every-call", 0.9 * TTL)
    r.book["orders"] = urls(2)
    yield r.gives("ignores-ttl", urls(2), after=0.2 * TTL)
    yield r.is_quiet("asks-every-call", 0.9 * TTL)


@part("Resolver")
def nobody(r):
    r.get()
    r.book["orders"] = []
    yield r.gives("nobody-not-believed", [], after=1.1 * TTL)
    yield r.is_quiet("nobody-not-kept", 0.9 * NEGATIVE)
    r.book["orders"] = urls(2)
    yield r.gives("nobody-kept-too-long", urls(2), after=0.2 * NEGATIVE)
    r.book["orders"] = []
    yield r.gives("nobody-not-believed", [], after=1.1 * TTL)
    r.fails = requests.ConnectionError
    yield r.gives("nobody-forgotten", [], after=1.1 * NEGATIVE)


@part("Resolver")
def down(r):
    r.fails = requests.ConnectionError
    yield r.gives("unknown-is-nobody", LookupError)
    yield r.is_quiet("asks-while-down", 0.9 * RETRY)
    r.fails = None
    yield r.gives("never-back", urls(1, 2), after=0.2 * RETRY)
    r.fails = KeyError  # which is a LookupError, too
    yield r.gives("last-known-good-lost", urls(1, 2), after=1.1 * TTL)
    yield r.is_quiet("asks-while-down", 0.9 * RETRY)
    for _ in range(30):
        yield r.gives("last-known-good-lost", urls(1, 2), after=600)
    r.fails, r.book["orders"] = None, urls(3)
    yield r.gives("never-back", urls(3), after=1.1 * RETRY)


@part("Resolver")
def names(r):
    r.book["ship"] = urls(4)
    r.get()
    yield r.gives("first-answer", [], service="pay")
    for name in ("ship", "orders", "mail"):  # the last is one too many
        r.get(name)
    for name in ("orders", "mail", "ship"):
        told = f"there is room for {MOST}; orders, pay, ship, orders and mail were used, and {name} was asked for anew"
        yield "forgets-others", not r.asks(name), told
    told = f"there is room for {MOST} names; the one used before the last three was not asked for anew"
    yield "unbounded", r.asks("pay"), told
    r.now += 600
    r.fails = requests.ConnectionError
    r.get("book")
    yield r.gives("forgets-others", urls(4), service="ship")
    for name in ("cart", "user"):
        r.get(name)
        yield "forgets-others", not r.asks("book"), f"book and then {name} were asked in vain, and book at once again"
    r.get("cash")
    yield "unbounded", r.asks("cart"), f"{told}, while nobody answered"
