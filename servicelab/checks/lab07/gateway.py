"""Exercise 1, repair: a gateway that passes on what it gets. A service behind it records what arrives."""

import gzip
import threading
import time
from collections.abc import Callable
from itertools import product

from flask import Flask, Response, request
from urllib3 import HTTPResponse, PoolManager
from urllib3.exceptions import HTTPError
from urllib3.util import SKIP_HEADER

from servicelab.checks.scenario import Stage, scenario, words
from servicelab.faults import FaultProxy
from servicelab.servers import serve
from servicelab.trace import reply_id

PAGE = b"mugs, cups and pots. " * 50
#: What ``who`` says of a header Authorization, and of none.
PEOPLE = {"Bearer a-1": "alice", "Bearer b-2": "bob", None: "a visitor"}

WORDS = words("""
request: method, path, query and body arrive as they came, for / too (rule 1)
    Which paths and methods does your route know? Who reads the body of a form first? Must a query be taken apart?
reply: the reply comes back with the service's own status, and whole (rules 2 and 4)
    Whose status does your gateway return? What did you tell the client about pieces that came on another connection?
gzip: a body in gzip comes back as it is, and who did not ask for gzip gets none (rules 2 and 3)
    What does your client library do with the body before you see it? What does it add when you leave headers out?
cookies: two cookies remain two, and nobody's cookie goes out with another's request (rules 2 and 3)
    How many values has a name in a dict? Where does your client library keep what Set-Cookie brought, and for whom?
redirect: a redirect goes to the client, and nobody follows it (rule 2)
    Who read the Location, and who should?
headers: other headers pass in both directions, and Host names the service (rules 2 and 3)
    Which headers do you copy, in each direction? Whose name does the client write into Host?
hop: headers of one connection stay there, and so do those that Connection names (rule 4)
    Which names does rule 4 list, which are listed by the message itself, and in which of the two directions?
user: X-User says whom who() knows, and never what the client wrote there (rule 5)
    What does who() get to read? What becomes of the client's own header when nobody is known?
no-502: nobody listens, or the service hangs up without an answer: 502 (rule 6)
    What does your client library raise then, and what does Flask make of an exception?
no-504: silence for `timeout` seconds is a 504, and who takes less time is waited for (rule 6)
    Which exception says that there was silence, and what is it a kind of? Whose number of seconds do you wait?
twice: one request of the client is one request to the service (rule 7)
    Who tries again here? What would become of an order that is sent twice?
""")


class Door(Stage):
    """A service and the learner's gateway before it. ``arrived``: method, target, body, headers of what came."""

    def __init__(self, ask, gateway):
        super().__init__(ask, gateway)
        self.arrived, self.gateway, self.client = [], None, self.use(PoolManager())
        self.replies()
        app = Flask("shop", static_folder=None)
        app.before_request(self._answer)  # before a route is looked for: it serves all paths and methods
        self.service = self.use(serve(app, "shop", workers=4))
        self.open(self.service.url)

    def _answer(self):
        target = request.path + f"?{request.query_string.decode()}" * bool(request.query_string)
        self.arrived.append((request.method, target, request.get_data(), request.headers))
        self.ask.trace.receive(self.ask.trace.send("gateway", "shop", f"{request.method} {request.path}"), "shop")
        return self.reply(request)

    def open(self, upstream, timeout=1.5):
        app = self.call(self.yours, upstream, timeout, PEOPLE.get, returns=Callable)
        if self.gateway:
            self.gateway.stop()
        self.gateway = self.use(serve(app, "gateway"))

    def replies(self, body=b"fine", status=200, headers=()):
        self.reply = lambda request: Response(body, status, list(headers))

    def get(self, path="/mugs", method="GET", body=None, headers=(), limit=2.0) -> HTTPResponse:
        """What the client gets, as it came; ``told`` says it in words."""
        del self.arrived[:]
        self.last = self.ask.trace.send("client", "gateway", f"{method} {path}")
        self.ask.trace.receive(self.last, "gateway")
        given = {"Accept-Encoding": SKIP_HEADER, **dict(headers)}
        options = {"timeout": limit, "retries": False, "redirect": False, "decode_content": False}
        try:
            got = self.client.request(method, self.gateway.url + path, body=body, headers=given, **options)
            text = got.data if len(got.data) < 40 else f"{len(got.data)} bytes"
            self.told = f"the client got {got.status} and {text}"
        except HTTPError as error:
            got, self.told = HTTPResponse(b"", status=0), f"the client got no whole reply: {error}"[:120]
        id = self.ask.trace.send("gateway", "client", f"{got.status}", kind="reply", id=reply_id(self.last))
        self.ask.trace.receive(id, "client")
        errors = [f"; in the gateway: {text.strip().splitlines()[-1][:120]}" for text in self.gateway.errors[-1:]]
        self.told = "".join([self.told, *errors])
        return got

    def came(self, name):
        """The header as it arrived, or None."""
        return self.arrived[-1][-1].get(name) if self.arrived else None


check_gateway = scenario("07", 1, "A gateway that passes on", WORDS, go_on=True, gateway=Door)
part = check_gateway.part


@part
def what_is_asked(d):
    raw, form = bytes(range(256)), [("Content-Type", "application/x-www-form-urlencoded")]
    asked = [("GET", "/mugs/7/", b"", []), ("GET", "/", b"", []), ("POST", "/orders", b"mug=a%20b&cup=2", form)]
    asked += [("POST", "/", raw, []), ("PUT", "/orders/7", b'{"mug":2}', [("Content-Type", "application/json")])]
    asked += [("PATCH", "/Orders/7", raw, [("Content-Type", "image/png")]), ("DELETE", "/orders/7", b"broken", [])]
    for query in ("page=2&size=10", "tag=red&tag=blue&max=5", "q=a%20b&q=a%2Bb&empty=", "zoe=Zo%C3%AB&b&a"):
        asked.append(("GET", f"/mugs?{query}", b"", []))
    for method, target, body, headers in asked:
        got = d.get(target, method, body or None, headers)
        came = [tuple(one) for *one, _ in d.arrived]
        told = f"{method} {target} with {len(body)} bytes was sent, and {str(came)[:90]} arrived; {d.told}"
        yield "request", came == [(method, target, body)] and (got.status, got.data) == (200, b"fine"), told


@part
def what_comes_back(d):
    for method, status in product(("GET", "POST"), (201, 404, 502, 503, 504)):
        d.replies(PAGE, status)
        got = d.get(method=method)
        yield "reply", (got.status, got.data) == (status, PAGE), f"the service said {status}; {d.told}"
        yield "twice", len(d.arrived) == 1, f"the service said {status}, and was asked {len(d.arrived)} times"
    d.reply = lambda request: Response(iter([b"mugs, ", b"cups, ", b"pots"]))
    got = d.get(limit=1.0)
    yield "reply", (got.status, got.data) == (200, b"mugs, cups, pots"), f"it came in three pieces; {d.told}"


@part
def in_gzip(d):
    packed = gzip.compress(PAGE, mtime=0)
    labelled = {True: (packed, 200, {"Content-Encoding": "gzip"}), False: (PAGE,)}
    d.reply = lambda request: Response(*labelled["gzip" in request.headers.get("Accept-Encoding", "")])
    for wish, due in (("gzip, br", packed), (None, PAGE)):
        got = d.get(headers=[("Accept-Encoding", wish)] * bool(wish))
        label = got.headers.get("Content-Encoding")
        is_right = (got.status, got.data, label) == (200, due, "gzip" if wish else None)
        told = (
            f"Accept-Encoding {wish} was sent, {d.came('Accept-Encoding')} arrived; {d.told}, Content-Encoding {label}"
        )
        yield "gzip", is_right, f"{told}; {len(due)} bytes were due"


@part
def cookies(d):
    both = ["basket=a-1; Path=/", "seen=mug; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]
    d.replies(headers=[("Set-Cookie", one) for one in both])
    came = d.get(headers=[("Authorization", "Bearer a-1")]).headers.getlist("Set-Cookie")
    yield "cookies", came == both, f"Set-Cookie came {len(came)} times: {d.told}"
    d.get(headers=[("Authorization", "Bearer b-2")])
    yield "cookies", d.came("Cookie") is None, f"bob sent no Cookie, and {d.came('Cookie')} arrived"


@part
def a_redirect(d):
    for status, inner in ((302, f"{d.service.url}/inner"), (307, "/inner")):
        d.replies(b"there", status, [("Location", inner)])
        got = d.get("/old")
        came, where = [target for _, target, *_ in d.arrived][:3], got.headers.get("Location")
        told = f"the service said {status} and was asked for {came}; {d.told}, Location {where}"
        yield "redirect", (got.status, where, came) == (status, inner, ["/old"]), told


@part
def other_headers(d):
    sent = {"X-Tenant": "blue", "Accept-Encoding": "gzip, br", "Cookie": "seen=mug; a=1", "Content-Type": "image/png"}
    sent |= {"Authorization": "Bearer a-1", "User-Agent": "till/7"}
    back = {"X-Stock": "7", "ETag": '"v1"', "Cache-Control": "private", "Content-Type": "image/png"}
    d.replies(headers=back.items())
    got, netloc = d.get(headers=sent.items()), d.service.url.split("//")[1]
    lost = [f"{name} to the service" for name in sent if d.came(name) != sent[name]]
    lost += [f"{name} to the client" for name in back if got.headers.get(name) != back[name]]
    yield "headers", not lost, f"{', '.join(lost)} did not arrive as it was; {d.told}"
    yield "headers", d.came("Host") == netloc, f"the service at {netloc} was asked for {d.came('Host')}"


@part
def of_one_connection(d):
    sent = [("Connection", "keep-alive, X-Hop,x-step"), ("X-Hop", "1"), ("X-Step", "1"), ("TE", "trailers")]
    d.replies(headers=[("Connection", "X-Side"), ("X-Side", "1"), ("Keep-Alive", "timeout=77")])
    got = d.get(headers=[*sent, ("Keep-Alive", "timeout=77")])
    came = [name for name in ("X-Hop", "X-Step", "Keep-Alive", "TE") if d.came(name)]
    came += ["X-Hop in Connection"] * ("X-Hop" in (d.came("Connection") or ""))
    yield "hop", d.arrived and not came, f"{came or 'nothing'} arrived at the service; {d.told}"
    back = [name for name in ("X-Side", "Keep-Alive") if name in got.headers]
    back += ["X-Side in Connection"] * ("X-Side" in got.headers.get("Connection", ""))
    yield "hop", got.status == 200 and not back, f"{back} came back to the client; {d.told}"


@part
def whom_to_believe(d):
    asked = {(None, "admin"): "a visitor", ("Bearer x-9", "bob"): None, ("Bearer a-1", "bob"): "alice"}
    for (name, claims), knows in {**asked, ("Bearer b-2", None): "bob"}.items():
        sent = [("Authorization", name)] * bool(name) + [("X-User", claims)] * bool(claims)
        found = d.get(headers=sent) and d.came("X-User")
        told = f"who({name!r}) is {knows}; with {dict(sent)} the service read X-User {found}; {d.told}"
        yield "user", (found or None) == knows and len(d.arrived) == 1, told


@part
def nobody_there(d):
    with serve(Flask("gone"), "gone") as gone:
        url = gone.url
    d.open(url)
    got = d.get()
    yield "no-502", got.status == 502, f"nobody listens; {d.told}"
    proxy = d.use(FaultProxy(d.service))
    proxy.add("limit_data", bytes=0)
    d.open(proxy.url)
    for method in ("GET", "POST"):
        got = d.get(method=method)
        yield "no-502", got.status == 502, f"it hung up without an answer; {d.told}"
        yield "twice", len(d.arrived) == 1, f"it hung up, and {len(d.arrived)} requests arrived"


@part
def a_silence(d):
    over = threading.Event()
    d.reply = lambda request: Response(f"late: {over.wait(4)}")
    d.open(d.service.url, 0.3)
    for method in ("GET", "POST"):
        over.clear()
        got = d.get(method=method, limit=1.0)
        over.set()
        yield "no-504", got.status == 504, f"the service was silent, the timeout 0.3 s; {d.told}"
        yield "twice", len(d.arrived) == 1, f"the service was silent, and {len(d.arrived)} requests arrived"
    d.reply = lambda request: time.sleep(1.2) or Response("at last")
    d.open(d.service.url, 5.0)
    got = d.get(limit=6.0)
    yield "no-504", (got.status, got.data) == (200, b"at last"), f"it took 1.2 s, the timeout 5 s; {d.told}"
