"""Exercise 1: gateways on three client libraries, and mistakes as flaws of the first."""

from functools import partial
from http.client import HTTPConnection
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import requests
from flask import Flask, Response, request
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
HOP = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]


def end_to_end(headers, hop=HOP, named=","):
    """Pairs without those of one connection."""
    pairs = [(name.lower(), value) for name, value in headers]
    connection = ",".join(value for name, value in pairs if name == "connection") if named else ""
    drop = {*hop, *(one.strip().lower() for one in connection.split(named or ","))}
    return [(name, value) for name, value in pairs if name not in drop]


def named(flaws):
    return "" if "only the list" in flaws else ", " if "comma and space" in flaws else ","


class Gateway:
    """A right one; ``flaws`` make it wrong."""

    def __init__(self, upstream, timeout, who, flaws=()):
        self.upstream, self.timeout, self.who, self.flaws = upstream, timeout, who, flaws
        self.app, self.session = Flask("gateway"), requests.Session()
        methods = METHODS[:3] if "three methods" in flaws else METHODS
        self.app.add_url_rule("/<path:path>", "all", self.forward, methods=methods)
        if "no root" not in flaws:
            self.app.add_url_rule("/", "root", self.forward, methods=methods)

    def forward(self, path=""):
        silent = requests.Timeout if "all is 502" not in self.flaws else ()
        broken = requests.RequestException if "no 502" not in self.flaws else ()
        try:
            return self.back(self.ask(path))
        except silent:
            return "silent", 504
        except broken as error:
            if "refused only" in self.flaws and "refused" not in str(error):
                raise
            return "broken", 502

    def ask(self, path):
        flaws, headers = self.flaws, self.headers()
        session = self.session if "one jar" in flaws else requests.Session()
        if "retries" in flaws:
            retry = Retry(2, read=False, status_forcelist=[503], allowed_methods=None, raise_on_status=False)
            session.mount("http://", HTTPAdapter(max_retries=retry))
        query = request.query_string.decode()
        path = path.rstrip("/").lower() if "tidy" in flaws else path
        url, options = f"{self.upstream}/{path}", {"timeout": self.timeout}
        if "query parsed" in flaws:
            options["params"] = [(name, value) for name, value in request.args.items(multi=True)]
        elif query:
            url += f"?{query}"
        if "one second" in flaws:
            options["timeout"] = 0.9
        body = request.get_data(as_text=True).encode() if "text" in flaws else request.get_data()
        if "form" in flaws and request.mimetype == "application/x-www-form-urlencoded":
            body = urlencode(parse_qsl(body.decode()))
        if "no body" in flaws and request.method == "DELETE":
            body = None
        options |= {"stream": True, "allow_redirects": "follows" in flaws}
        return session.request(request.method, url, headers=headers, data=body, **options)

    def headers(self):
        flaws = self.flaws
        hop = ["transfer-encoding"] if "hop to service" in flaws else HOP
        headers = dict(end_to_end(request.headers.items(), hop, named(flaws)))
        if "client's host" not in flaws:
            headers.pop("host")
        if "few headers" in flaws:
            kept = ("authorization", "cookie", "content-type", "accept-encoding")
            headers = {name: headers[name] for name in kept if name in headers}
        if "gzip for all" not in flaws:
            headers.setdefault("accept-encoding", "identity")
        name = self.who(headers.get("authorization", "" if "no name is a text" in flaws else None))
        if name or "believes strangers" not in flaws:
            headers.pop("x-user", None)
        if name and "signs nobody" not in flaws:
            headers.setdefault("x-user", name)
        return headers

    def back(self, reply):
        flaws, raw = self.flaws, reply.raw
        body = reply.content if "unpacked" in flaws else raw.read(decode_content=False)
        pairs = list(reply.headers.items() if "glued" in flaws else raw.headers.iteritems())
        pairs = end_to_end(pairs, ["transfer-encoding"] if "hop to client" in flaws else HOP, named(flaws))
        if "chunked" in flaws and "Transfer-Encoding" in reply.headers:
            pairs.append(("Transfer-Encoding", "chunked"))
        if "type only" in flaws:
            kept = ("content-type", "content-encoding", "set-cookie", "location")
            pairs = [(name, value) for name, value in pairs if name in kept]
        status = reply.status_code
        if "hides errors" in flaws and status >= 500:
            status = 502
        return Response(body, 200 if "always 200" in flaws and status == 404 else status, pairs)


def flawed(*flaws):
    return partial(made, flaws)


def made(flaws, upstream, timeout, who):
    return Gateway(upstream, timeout, who, flaws).app


def on_httpx(upstream, timeout, who):
    """It streams, and its client is made anew for each request."""
    app = Flask("gateway", static_folder=None)
    gone = ["keep-alive", "proxy-authorization", "te", "host", "x-user", "upgrade"]

    @app.before_request
    def forward():
        hop = request.headers.get("Connection", "").lower().replace(" ", "").split(",")
        headers = [(n, v) for n, v in request.headers if n.lower() not in [*gone, *hop, "connection"]]
        if (name := who(request.headers.get("Authorization"))) is not None:
            headers.append(("X-User", name))
        query = b"?" + request.query_string if request.query_string else b""
        url = httpx.URL(upstream).copy_with(raw_path=request.path.encode() + query)
        with httpx.Client(timeout=timeout, trust_env=False) as client:
            ask = client.build_request(request.method, url, headers=headers, content=request.get_data())
            if "Accept-Encoding" not in request.headers:
                del ask.headers["Accept-Encoding"]
            try:
                reply = client.send(ask, stream=True)
                body = b"".join(reply.iter_raw())
            except httpx.TimeoutException:
                return Response("the service is silent", 504)
            except httpx.TransportError:
                return Response("the service is not there", 502)
        side = reply.headers.get("connection", "").lower().replace(" ", "").split(",")
        answer = Response(body, reply.status_code)
        answer.headers.clear()
        for name, value in reply.headers.multi_items():
            if name not in ("connection", "keep-alive", "transfer-encoding", "content-length", *side):
                answer.headers.add(name, value)
        answer.headers["Content-Length"] = len(body)
        return answer

    return app


def on_the_standard_library(upstream, timeout, who):
    """No Flask at all."""

    def app(environ, start_response):
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        if environ.get("CONTENT_TYPE"):
            headers["CONTENT-TYPE"] = environ["CONTENT_TYPE"]
        headers.pop("X-USER", None)
        name = who(headers.get("AUTHORIZATION"))
        headers = dict(end_to_end(headers.items())) | ({"x-user": name} if name else {})
        headers["host"] = urlsplit(upstream).netloc
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        query = environ["QUERY_STRING"]
        connection = HTTPConnection(urlsplit(upstream).hostname, urlsplit(upstream).port, timeout=timeout)
        try:
            url = environ["PATH_INFO"] + (f"?{query}" if query else "")
            connection.putrequest(environ["REQUEST_METHOD"], url, skip_host=True, skip_accept_encoding=True)
            for pair in (headers | {"content-length": len(body)}).items():
                connection.putheader(*pair)
            connection.endheaders(body)
            reply = connection.getresponse()
            found = reply.read()
            pairs = [pair for pair in end_to_end(reply.getheaders()) if pair[0] != "content-length"]
            start_response(f"{reply.status} {reply.reason}", [*pairs, ("content-length", str(len(found)))])
            return [found]
        except TimeoutError:
            start_response("504 Gateway Timeout", [("content-length", "0")])
        except OSError:
            start_response("502 Bad Gateway", [("content-length", "0")])
        finally:
            connection.close()
        return []

    return app


RIGHT = {
    "requests, in small parts": flawed(),
    "httpx, before any route": on_httpx,
    "http.client, without Flask": on_the_standard_library,
}
WRONG = {
    "a route that does not know /": (flawed("no root"), {"request"}),
    "a tidy path": (flawed("tidy"), {"request"}),
    "three methods": (flawed("three methods"), {"request"}),
    "the body as text": (flawed("text"), {"request"}),
    "a form read and written anew": (flawed("form"), {"request"}),
    "no body with DELETE": (flawed("no body"), {"request"}),
    "the query taken apart": (flawed("query parsed"), {"request"}),
    "200 with an error's text": (flawed("always 200"), {"reply"}),
    "every 5xx is a 502": (flawed("hides errors"), {"reply"}),
    "unpacks, and says gzip": (flawed("unpacked"), {"gzip"}),
    "two cookies in one": (flawed("glued"), {"cookies"}),
    "follows": (flawed("follows"), {"redirect"}),
    "few headers to the service": (flawed("few headers"), {"headers"}),
    "few headers to the client": (flawed("type only"), {"headers"}),
    "the client's Host": (flawed("client's host"), {"headers"}),
    "gzip for all": (flawed("gzip for all"), {"gzip"}),
    "one session for all": (flawed("one jar"), {"cookies"}),
    "says chunked": (flawed("chunked"), {"reply"}),
    "hop by hop, to the service": (flawed("hop to service"), {"hop"}),
    "hop by hop, to the client": (flawed("hop to client"), {"hop"}),
    "what Connection names": (flawed("only the list"), {"hop"}),
    "a comma and a space": (flawed("comma and space"), {"hop"}),
    "believes strangers": (flawed("believes strangers"), {"user"}),
    "nobody is an empty text": (flawed("no name is a text"), {"user"}),
    "signs nobody": (flawed("signs nobody"), {"user"}),
    "no 502": (flawed("no 502"), {"no-502"}),
    "no 502 for who hangs up": (flawed("refused only"), {"no-502"}),
    "a silence is a 502": (flawed("all is 502"), {"no-504"}),
    "its own second": (flawed("one second"), {"no-504"}),
    "tries a POST again": (flawed("retries"), {"twice"}),
}
