"""Exercise 2, build: a cache at the door that never mixes customers. The times are told, so nobody waits."""

from itertools import product
from random import Random
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

CUSTOMERS, PAGES, CALLS = 40, 30, 1000
HITS = 0.6  # of a day's calls, answered without the shop
FORBIDDEN = [(f"{words}max-age=60", {}) for words in ("private, ", "no-cache, ", "public,No-Store, ")]
FORBIDDEN += [("max-age=60, no-store", {}), ("max-age=60,PRIVATE", {})]
FORBIDDEN += [("public, max-age=60", {"set-cookie": "s=1"}), ("public, max-age=60", {"vary": "*"})]
VARIANTS = [  # Vary, and requests that differ
    ("Accept-Language", {"accept_language": "da"}, {"accept_language": "en"}, {"accept_language": "DA"}),
    ("accept-language", {"accept_language": "da"}, {}, {"accept_language": ""}),
    ("Accept-Language", {}, {"accept_language": "da"}),
    ("Accept, X-Tenant", {"accept": "a", "x_tenant": "b"}, {"accept": "a", "x_tenant": "c"}),
    ("Accept,X-Tenant", {"accept": "a", "x_tenant": "b"}, {"accept": "b", "x_tenant": "a"}),
    ("Authorization", {"authorization": "a"}, {"authorization": "b"}),
]

WORDS = words("""
wrong-type: answer returns the Reply that ask gave, now or when the copy was kept (rule 1)
    Does every path through answer end with one, and is all of it kept? What may two caches know of each other?
expired: from max-age seconds on the copy is gone, and without a max-age nothing is kept (rule 2)
    Which of the two moments counts, and what holds at max-age exactly? Does giving a copy away make it younger?
forgets: until then the copy is given, and nobody is asked (rules 2 and 7)
    What do you compare with what? Whose copy was overwritten, or thrown away?
not-kept: only a GET is answered from a copy, and only its reply with 200 is kept (rule 3)
    What is a POST worth that is answered from memory? The shop is well again: who still says otherwise?
forbidden: private, no-store, no-cache, Set-Cookie and Vary: * are not kept, whatever else stands there (rules 4 and 6)
    How do you take Cache-Control apart, and what do you compare its words with? Whose cookie goes out with the copy?
not-public: without public nothing is kept for who asks with Authorization, nor given to them (rule 5)
    For whom is a reply when the request says who asks? Who else may get it, and what of strangers' copies may they?
public-unused: a copy that says public serves everybody (rule 5)
    How many copies of a public page do your forty customers need?
vary: a copy is for its path and query alone, and for the same values of what its Vary names (rule 6)
    What belongs to the address? How do you take Vary apart? Is a header that is missing the same as an empty one?
other-variants: each variant has a copy of its own (rule 6)
    Which copies does a new variant push out?
not-told: after a POST, PUT, PATCH or DELETE that succeeded, the copies of the path are gone, all of them (rule 7)
    Somebody has just changed it. Who still shows the old one?
two-days: no customer of a day gets another one's reply, and 60% are answered from copies
    Which requests share a copy that should not? Which pages are asked for most, and what keeps them from being found?
""")


class Request(NamedTuple):
    """``headers``: names in small letters."""

    method: str
    path: str
    headers: dict[str, str] = {}


class Reply(NamedTuple):
    """``headers``: names in small letters."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


def days_calls(seed):
    """Pairs (second, request) of a day: all customers are known, and most calls are for a few pages."""
    dice, now, calls = Random(seed), 0.0, []
    for _ in range(CALLS):
        now += dice.expovariate(5)
        headers = {"authorization": f"Bearer {dice.randrange(CUSTOMERS)}", "accept-language": dice.choice(["da", "en"])}
        page = f"/mugs?number={min(PAGES, int(dice.paretovariate(0.9)))}"
        path = dice.choices([page, "/offers", "/basket", "/login", "/orders"], [65, 20, 11, 2, 2])[0]
        calls.append((now, Request("POST" if path == "/login" else "GET", path, headers)))
    return calls


def shop(request: Request) -> Reply:
    """The service of the day. Pages are the same for all, offers for all of a language; the rest is each one's own."""
    name, language = request.headers["authorization"], request.headers["accept-language"]
    if request.path.startswith("/mugs"):
        return Reply(200, {"cache-control": "public, max-age=600"}, request.path.encode())
    if request.path == "/offers":
        return Reply(200, {"cache-control": "public, max-age=60", "vary": "Accept-Language"}, language.encode())
    labels = {"/login": {"set-cookie": f"s={name}"}, "/orders": {}}.get(request.path, {"cache-control": "max-age=60"})
    return Reply(200, labels, f"{request.path} of {name}".encode())


def spend_day(cache, seed) -> tuple[float, int]:
    """The share of a day's calls that were answered without the shop, and how many replies were another one's."""
    asked, wrong = [], 0
    for now, request in days_calls(seed):
        reply = cache.answer(request, lambda request: asked.append(request) or shop(request), now)
        wrong += getattr(reply, "body", None) != shop(request).body
    return 1 - len(asked) / CALLS, wrong


def try_day(Cache) -> Table:
    """What becomes of one day at a door with this cache."""
    hits, wrong = spend_day(Cache(), 5)
    return Table(("of 1000 calls", ""), [("answered from a copy", f"{hits:.0%}"), ("with another's reply", wrong)])


class Behind(Stage):
    """The learner's cache and a shop behind it, whose next replies the part tells; each is numbered in its body."""

    def __init__(self, ask, Cache):
        super().__init__(ask, Cache)
        self.asked = 0
        self.begin()

    def begin(self, control="", status=200, **labels):
        """A new cache, before a shop that replies so."""
        self.ask.trace.clear()
        self.cache, self.given = self.make(self.yours, methods=("answer",)), []
        return self.says(control, status, **labels)

    def says(self, control="", status=200, **labels):
        self.reply = Reply(status, {**labels, **({"cache-control": control} if control else {})})
        return self

    def get(self, now=0.0, path="/mugs", method="GET", **labels) -> bool:
        """Was the shop asked? ``told`` says what came."""
        before, labels = self.asked, {name.replace("_", "-"): value for name, value in labels.items()}
        self.last = self.ask.trace.send("client", "gateway", f"{method} {path}", at=now)
        self.ask.trace.receive(self.last, "gateway", at=now + 0.05)

        def ask(request):
            self.asked += 1
            id = self.ask.trace.send("gateway", "shop", f"{request.method} {request.path}", at=now + 0.1)
            self.ask.trace.receive(id, "shop", at=now + 0.2)
            self.given.append(self.reply._replace(body=f"reply {self.asked}".encode()))
            return self.given[-1]

        reply = self.call(self.cache.answer, Request(method, path, labels), ask, now)
        times = self.asked - before
        if times > 1 or reply not in self.given or (times and reply != self.given[-1]):
            happened = f"{method} {path} at {now:g} s: the shop was asked {times} times, and it returned {shown(reply)}"
            self.refuse("wrong-type", happened)
        self.told = f"{method} {path} {labels or ''} at {now:g} s: "
        self.told += "the shop was asked" if times else f"nobody was asked, and it gave {reply[2].decode()}"
        self.told += f"; the shop's headers are {self.reply.headers}, status {self.reply.status}"
        return bool(times)


check_cache = scenario("07", 2, "A cache that mixes nobody", WORDS, go_on=True, Cache=Behind)
part = check_cache.part


@part
def for_a_while(c):
    for age, control in ((60, "max-age=60"), (7, "public, max-age=7"), (600, "Max-Age=600, public")):
        c.begin(control).get(1000.75)
        for later in (0.0, age / 2, age - 0.5, age, 1.9 * age, 2.1 * age):
            asked, due = c.get(1000.75 + later), later in (age, 2.1 * age)
            yield "expired" if due else "forgets", asked == due, c.told
    for control in ("", "public", "max-age=0"):
        c.begin(control).get()
        yield "expired", c.get(), c.told


@part
def what_is_kept(c):
    for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD"):
        c.begin("max-age=60").get(method=method)
        for now, then in enumerate((method, "GET", method), 1):
            yield "not-kept", c.get(now, method=then), c.told
    for status in (404, 500, 201, 302, 206):
        c.begin("max-age=60", status).get()
        yield "not-kept", c.says("max-age=60").get(1), c.told


@part
def what_the_shop_forbids(c):
    for control, labels in FORBIDDEN:
        c.begin(control, **labels).get()
        yield "forbidden", c.get(1), c.told


@part
def who_asks(c):
    c.begin("max-age=60").get(authorization="a")
    for now, labels in enumerate(({"authorization": "b"}, {"authorization": "a"}, {})):
        yield "not-public", c.get(now, **labels), c.told
    c.begin("max-age=60").get()
    yield "not-public", c.get(1, authorization="a"), c.told
    for control, first in (("public, max-age=60", {"authorization": "a"}), ("max-age=60,Public", {})):
        c.begin(control).get(**first)
        for now, labels in enumerate(({"authorization": "b"}, {}, {"authorization": "a", "cookie": "x"})):
            yield "public-unused", not c.get(now, **labels), c.told


@part
def variants(c):
    for vary, *variants in VARIANTS:
        c.begin("public, max-age=60", vary=vary)
        for labels in variants:
            yield "vary", c.get(1, **labels), c.told
        for labels in variants:
            yield "other-variants", not c.get(2, user_agent="new", **labels), c.told
    c.begin("max-age=60")
    for code, now in (("vary", 0), ("forgets", 1)):
        for path in ("/mugs", "/mugs?page=2", "/mugs?page=3", "/cups", "/Mugs"):
            yield code, c.get(now, path) == (code == "vary"), c.told


@part
def somebody_writes(c):
    for method, status in (("POST", 200), ("PUT", 204), ("PATCH", 200), ("DELETE", 399), ("POST", 201)):
        c.begin("public, max-age=60", vary="Accept-Language")
        for language, path in product(("da", "en"), ("/mugs", "/mugs?page=2")):
            c.get(0, path, accept_language=language)
        for now, then in enumerate((404, 500, status), 1):
            c.says("", then).get(now, method=method, accept_language="da")
            c.says("public, max-age=60", vary="Accept-Language")
            path = "/mugs" if then >= 400 else "/mugs?page=2"
            yield "forgets", not c.get(now, path, accept_language="en"), f"after a {method} with {then}: {c.told}"
        for language in ("da", "en"):
            yield "not-told", c.get(3, accept_language=language), f"after a {method} with {status}: {c.told}"


@part
def two_days(c):
    for seed in (1, 2):
        cache = c.begin().cache
        c.last = c.ask.trace.send("client", "gateway", "a day of calls")
        hits, wrong = c.call(spend_day, cache, seed, limit=5.0)
        told = f"{wrong} of {CALLS} replies were another customer's, and {hits:.0%} were answered from copies"
        yield "two-days", not wrong and hits >= HITS, told
