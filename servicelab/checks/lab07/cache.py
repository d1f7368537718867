"""Exercise 2, build: a cache at the door that never mixes customers. The times are told, so nobody waits."""

from itertools import product
from random import Random
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

CUSTOMERS, PAGES, CALLS = 40, 30, 1000
HITS = 0.6  # of a day's calls, answered without the shop
FORBIDDEN = ("private, max-age=60", "max-age=60, no-store", "no-cache, max-age=60", "max-age=60,PRIVATE")
FORBIDDEN += ("public, No-Store, max-age=60",)
VARIANTS = [  # Vary, and two requests that differ
    ("Accept-Language", {"accept_language": "da"}, {"accept_language": "en"}),
    ("accept-language", {"accept_language": "da"}, {}),
    ("Accept, X-Tenant", {"accept": "a", "x_tenant": "b"}, {"accept": "a", "x_tenant": "c"}),
    ("Accept,X-Tenant", {"accept": "a", "x_tenant": "b"}, {"accept": "b", "x_tenant": "a"}),
    ("Authorization", {"authorization": "a"}, {"authorization": "b"}),
]

WORDS = words("""
wrong-type: answer returns the Reply that ask gave (rule 1)
    Does every path through answer end with one?
expired: from max-age seconds on the copy is gone (rule 2)
    Which of the two moments counts, and what holds at max-age exactly? Does giving a copy away make it younger?
forgets: until then the copy is given, and nobody is asked (rule 2)
    What do you compare with what? Whose copy was overwritten?
no-max-age: without a max-age nothing is kept (rule 2)
    For how long did the shop promise that this stays true?
method: only GET is answered from a copy, and only a GET's reply kept (rule 3)
    What is a POST that is answered from memory worth?
error-kept: only replies with 200 are kept (rule 3)
    The shop is well again. Who still says otherwise?
forbidden: private, no-store and no-cache are not kept, whatever else stands there, large or small (rule 4)
    How do you take Cache-Control apart, and what do you compare its words with?
cookie-kept: a reply with Set-Cookie is not kept (rule 4)
    Whose cookie is it, and who gets it with the copy?
unsaid: what was asked with Authorization is kept only if the reply says public (rule 5)
    For whom is a reply when the request says who asks, and when may it be given to others all the same?
for-strangers: a copy without public is not given to a request with Authorization (rule 5)
    The copy is what strangers see. Who asks now?
public-unused: a copy that says public serves everybody (rule 5)
    How many copies of a public page do your forty customers need?
vary: a copy serves only requests with the same values of each header that its Vary names (rule 6)
    Is a header that is missing the same as one that is there? How do you take Vary apart?
other-variants: each variant has a copy of its own (rule 6)
    Which copies does a new variant push out?
star: Vary: * is not kept (rule 6)
    Which request is like another one in everything?
key: each path with its query has copies of its own (rule 6)
    What belongs to the address?
not-told: after a POST, PUT, PATCH or DELETE that succeeded, the copies of the path are gone, all of them (rule 7)
    Somebody has just changed it. Who still shows the old one?
mixed: no customer of a day gets another one's reply
    Which requests share a copy, and which rule would have told them apart?
few-hits: 60 % of a day's calls are answered from copies
    Count the pages that are asked for most. What keeps them from being kept, or found?
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
        self.cache = self.make(self.yours, methods=("answer",))
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
            return self.reply._replace(body=f"reply {self.asked}".encode())

        reply = self.call(self.cache.answer, Request(method, path, labels), ask, now)
        times, fresh = self.asked - before, self.reply._replace(body=f"reply {self.asked}".encode())
        is_reply = isinstance(reply, tuple) and len(reply) == 3 and isinstance(reply[2], bytes)
        if not is_reply or times > 1 or (times and reply != fresh):
            self.refuse("wrong-type", f"the shop was asked {times} times, and it returned {shown(reply)}")
        self.told = f"{method} {path} {labels or ''} at {now:g} s: "
        self.told += "the shop was asked" if times else f"nobody was asked, and it gave {reply[2].decode()}"
        self.told += f"; the shop's headers are {self.reply.headers}, status {self.reply.status}"
        return bool(times)


check_cache = scenario("07", 2, "A cache that mixes nobody", WORDS, go_on=True, Cache=Behind)
part = check_cache.part


@part
def for_a_while(c):
    for age, control in ((60, "max-age=60"), (7, "public, max-age=7"), (600, "Max-Age=600, public")):
        c.begin(control).get(1000.0)
        for later in (0.0, age / 2, age - 0.5, age, 1.9 * age, 2.1 * age):
            asked, due = c.get(1000.0 + later), later in (age, 2.1 * age)
            yield "expired" if due else "forgets", asked == due, c.told
    for control in ("", "public", "max-age=0"):
        c.begin(control).get()
        yield "no-max-age", c.get(), c.told


@part
def what_is_kept(c):
    for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD"):
        c.begin("max-age=60").get(method=method)
        for now, then in enumerate((method, "GET", method), 1):
            yield "method", c.get(now, method=then), c.told
    for status in (404, 500, 201, 302, 206):
        c.begin("max-age=60", status).get()
        yield "error-kept", c.says("max-age=60").get(1), c.told


@part
def what_the_shop_forbids(c):
    for control in FORBIDDEN:
        c.begin(control).get()
        yield "forbidden", c.get(1), c.told
    c.begin("public, max-age=60", **{"set-cookie": "s=1"}).get()
    yield "cookie-kept", c.get(1), c.told


@part
def who_asks(c):
    c.begin("max-age=60").get(authorization="a")
    for now, labels in enumerate(({"authorization": "b"}, {"authorization": "a"}, {})):
        yield "unsaid", c.get(now, **labels), c.told
    c.begin("max-age=60").get()
    yield "for-strangers", c.get(1, authorization="a"), c.told
    for control, first in (("public, max-age=60", {"authorization": "a"}), ("max-age=60,Public", {})):
        c.begin(control).get(**first)
        for now, labels in enumerate(({"authorization": "b"}, {}, {"authorization": "a", "cookie": "x"})):
            yield "public-unused", not c.get(now, **labels), c.told


@part
def variants(c):
    for vary, one, other in VARIANTS:
        c.begin("public, max-age=60", vary=vary).get(**one)
        yield "vary", c.get(1, **other), c.told
        for labels in (one, other):
            yield "other-variants", not c.get(2, user_agent="new", **labels), c.told
    c.begin("max-age=60", vary="*").get()
    yield "star", c.get(1), c.told


@part
def addresses(c):
    c.begin("max-age=60")
    for code, now in (("key", 0), ("forgets", 1)):
        for path in ("/mugs", "/mugs?page=2", "/mugs?page=3", "/cups", "/Mugs"):
            yield code, c.get(now, path) == (code == "key"), c.told


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
        yield "mixed", not wrong, f"{wrong} of {CALLS} replies were another customer's"
        yield "few-hits", hits >= HITS, f"{hits:.0%} were answered from copies"
