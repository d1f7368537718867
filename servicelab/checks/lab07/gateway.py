"""Exercise 1, repair: a gateway that passes on what it gets. A service behind it records what arrives."""

import gzip
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from flask import Flask, Response, request
from urllib3 import HTTPResponse, PoolManager
from urllib3.exceptions import HTTPError
from urllib3.util import SKIP_HEADER

from servicelab.checks.scenario import Stage, scenario, words
from servicelab.faults import FaultProxy
from servicelab.servers import serve
from servicelab.trace import reply_id

PAGE = b"mugs, cups and pots. " * 50
PEOPLE = {"Bearer a-1": "alice", "Bearer b-2": "bob"}

WORDS = words("""
path: each path, method and body arrives as it came, and the reply comes back, for / too (rule 1)
    Which paths does your route know, and which methods? Who reads the body of a form first?
query: the query arrives as it came: order, repeated names, quotes (rule 1)
    Is there a way to pass it on without taking it apart?
status: each status of the service comes back with its body (rule 2)
    Whose status does your gateway return?
encoding: a body in gzip comes back as it is, label and bytes (rule 2)
    What does your client library do with the body before you see it? And what does the label still say then?
cookies: two cookies remain two (rule 2)
    A dict has one value for each name. What became of the other one?
redirect: a redirect goes to the client, and nobody follows it (rule 2)
    Who read the Location, and who should?
headers: other headers arrive with the service, and with the client (rule 2)
    Which headers do you copy, in each direction?
host: the header Host names the service (rule 3)
    Whose name does the client write into Host, and who gets to read it?
unasked: who did not ask for gzip gets none (rule 3)
    Which headers does your client library add when you leave them out?
jar: no cookie of one customer goes out with another customer's request (rule 3)
    Where does your client library keep what Set-Cookie brought, and for whom?
chunked: a reply of unknown length comes back whole (rule 4)
    In how many pieces a body travels is a matter of one connection. What did you tell the client about its own?
hop-to-service, hop-to-client: headers of one connection stay there, and so do those that Connection names (rule 4)
    Which names does rule 4 list, which are listed by the message itself, and in which of the two directions?
impostor: X-User as the client wrote it never arrives (rule 5)
    Who may say who somebody is? What becomes of the client's own header when nobody is known?
unsigned: X-User says whom who() knows (rule 5)
    What does who() get to read, and where does its answer go?
no-502: nobody listens, or the service hangs up without an answer: 502 (rule 6)
    What does your client library raise then, and what does Flask make of an exception?
no-504: the service is silent for `timeout` seconds: 504 (rule 6)
    Which exception says that there was silence, and what is it a kind of? How long did you wait?
impatient: a service that takes less than `timeout` seconds is waited for (rule 6)
    Whose number of seconds is it?
twice: one request of the client is one request to the service (rule 7)
    Who tries again here? What would become of an order that is sent twice?
""")


def who(authorization):
    """What the gateway asks: the name of the customer with this header Authorization (a text or None), or None."""
    return PEOPLE.get(authorization)


class Door(Stage):
    """A service and the learner's gateway before it. ``arrived``: method, path, query, headers, body of what came."""

    def __init__(self, ask, gateway):
        super().__init__(ask, gateway)
        self.arrived, self.silence, self.gateway, self.client = [], threading.Event(), None, self.use(PoolManager())
        self.replies()
        app = Flask("shop", static_folder=None)
        app.before_request(self._answer)  # before a route is looked for: it serves all paths and methods
        self.service = self.use(serve(app, "shop", workers=4))
        self.use(ExitStack()).callback(self.silence.set)  # at the end nobody waits any more
        self.open(self.service.url)

    def _answer(self):
        query, headers, body = request.query_string.decode(), request.headers, request.get_data()
        self.arrived.append((request.method, request.path, query, headers, body))
        self.ask.trace.receive(self.ask.trace.send("gateway", "shop", f"{request.method} {request.path}"), "shop")
        return self.reply(request)

    def open(self, upstream, timeout=5.0):
        app = self.call(self.yours, upstream, timeout, who, returns=Callable)
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
        return self.arrived[-1][3].get(name) if self.arrived else None


check_gateway = scenario("07", 1, "A gateway that passes on", WORDS, go_on=True, gateway=Door)
part = check_gateway.part


@part
def what_is_asked(d):
    raw, form = bytes(range(256)), [("Content-Type", "application/x-www-form-urlencoded")]
    asked = [("GET", "/mugs/7", None, []), ("GET", "/", None, []), ("POST", "/orders", b"mug=1&cup=2", form)]
    asked += [("POST", "/orders", raw, [("Content-Type", "image/png")]), ("PUT", "/orders/7", b'{"mug": 2}', [])]
    for method, path, body, headers in [*asked, ("PATCH", "/orders/7", raw, []), ("DELETE", "/orders/7", None, [])]:
        got = d.get(path, method, body, headers)
        came = [(m, p, b) for m, p, _, _, b in d.arrived]
        told = f"{method} {path} with {len(body or b'')} bytes: {str(came)[:90]} arrived; {d.told}"
        yield "path", came == [(method, path, body or b"")] and (got.status, got.data) == (200, b"fine"), told
    for query in ("page=2&size=10", "tag=red&tag=blue&max=5", "q=a%20b&q=a%2Bb&empty=", "zoe=Zo%C3%AB&b&a"):
        got = d.get(f"/mugs?{query}")
        came = [query for _, _, query, _, _ in d.arrived]
        yield "query", came == [query], f"?{query} was sent, {came} arrived; {d.told}"


@part
def what_comes_back(d):
    for status in (201, 404, 502, 503, 504):
        d.replies(PAGE, status)
        got = d.get(method="POST", body=b"a mug")
        yield "status", (got.status, got.data) == (status, PAGE), f"the service said {status}; {d.told}"
        yield "twice", len(d.arrived) == 1, f"the service said {status}, and was asked {len(d.arrived)} times"


@part
def a_body_in_gzip(d):
    packed = gzip.compress(PAGE, mtime=0)
    d.replies(packed, headers=[("Content-Encoding", "gzip")])
    got = d.get(headers=[("Accept-Encoding", "gzip")])
    label = got.headers.get("Content-Encoding")
    told = f"{len(packed)} bytes of gzip; {d.told}, Content-Encoding {label}"
    yield "encoding", (got.status, got.data, label) == (200, packed, "gzip"), told


@part
def a_body_in_pieces(d):
    d.reply = lambda request: Response(iter([b"mugs, ", b"cups, ", b"pots"]))
    got = d.get()
    yield "chunked", (got.status, got.data) == (200, b"mugs, cups, pots"), d.told


@part
def cookies(d):
    both = ["basket=a-1; Path=/", "seen=mug; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]
    d.replies(headers=[("Set-Cookie", one) for one in both])
    got = d.get(headers=[("Authorization", "Bearer a-1")])
    came = got.headers.getlist("Set-Cookie")
    yield "cookies", came == both, f"Set-Cookie came {len(came)} times: {d.told}"
    d.get(headers=[("Authorization", "Bearer b-2")])
    yield "jar", d.came("Cookie") is None, f"bob sent no Cookie, and {d.came('Cookie')} arrived"


@part
def a_redirect(d):
    inner = f"{d.service.url}/inner"
    for status in (302, 307):
        d.replies(b"there", status, [("Location", inner)])
        got = d.get("/old")
        came = [path for _, path, *_ in d.arrived][:3]
        where = got.headers.get("Location")
        told = f"the service said {status} and was asked for {came}; {d.told}, Location {where}"
        yield "redirect", (got.status, where, came) == (status, inner, ["/old"]), told


@part
def other_headers(d):
    sent = {"X-Tenant": "blue", "Accept-Encoding": "gzip, br", "Cookie": "seen=mug; a=1", "Content-Type": "image/png"}
    sent["Authorization"] = "Bearer a-1"
    back = {"X-Stock": "7", "ETag": '"v1"', "Cache-Control": "private"}
    d.replies(headers=back.items())
    got = d.get(headers=sent.items())
    lost = [name for name in sent if d.came(name) != sent[name]]
    lost += [name for name in back if got.headers.get(name) != back[name]]
    yield "headers", not lost, f"{lost} did not arrive as they were; {d.told}"
    netloc = d.service.url.split("//")[1]
    yield "host", d.came("Host") == netloc, f"the service at {netloc} was asked for {d.came('Host')}"
    d.reply = as_wished
    got = d.get()
    is_plain = got.data == PAGE and "Content-Encoding" not in got.headers
    yield "unasked", is_plain, f"no gzip was asked for; {d.told}"


def as_wished(request):
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return Response(gzip.compress(PAGE), headers={"Content-Encoding": "gzip"})
    return Response(PAGE)


@part
def of_one_connection(d):
    sent = [("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=77"), ("TE", "trailers")]
    d.replies(headers=[("Connection", "X-Side"), ("X-Side", "1"), ("Keep-Alive", "timeout=77")])
    got = d.get(headers=sent)
    came = [name for name in ("X-Hop", "Keep-Alive", "TE") if d.came(name)]
    came += ["X-Hop in Connection"] * ("X-Hop" in (d.came("Connection") or ""))
    yield "hop-to-service", d.arrived and not came, f"{came or 'nothing'} arrived; {d.told}"
    back = [name for name in ("X-Side", "Keep-Alive") if name in got.headers]
    back += ["X-Side in Connection"] * ("X-Side" in got.headers.get("Connection", ""))
    yield "hop-to-client", got.status == 200 and not back, f"{back} came back; {d.told}"


@part
def whom_to_believe(d):
    told_of = {(None, "admin"): None, ("Bearer x-9", "bob"): None, ("Bearer a-1", "bob"): "alice"}
    for (name, claims), knows in {**told_of, ("Bearer b-2", None): "bob"}.items():
        sent = [("Authorization", name)] * bool(name) + [("X-User", claims)] * bool(claims)
        found = d.get(headers=sent) and d.came("X-User")
        told = f"with {dict(sent)} the service read X-User {found}; {d.told}"
        yield "impostor", not claims or claims not in str(found), told
        yield "unsigned", (found or None) == knows and len(d.arrived) == 1, told


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
    d.reply = lambda request: Response(f"late: {d.silence.wait(4)}")
    d.open(d.service.url, 0.4)
    got = d.get(method="POST", body=b"a mug")
    yield "no-504", got.status == 504, f"the service was silent, the timeout 0.4 s; {d.told}"
    yield "twice", len(d.arrived) == 1, f"the service was silent, and {len(d.arrived)} requests arrived"
    d.reply = lambda request: time.sleep(1.2) or Response("at last")
    d.open(d.service.url, 5.0)
    got = d.get(limit=6.0)
    yield "impatient", (got.status, got.data) == (200, b"at last"), f"it took 1.2 s, the timeout 5 s; {d.told}"
