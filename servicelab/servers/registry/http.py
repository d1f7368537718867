"""The HTTP side: tornado's server, in an event loop of the registry's own.

Why tornado: a long poll occupies a connection for minutes and does nothing. cheroot, which serves the shop, gives each
request a thread for as long as it takes; 200 waiting queries would be 200 threads. In an event loop a waiting query is
one entry in a dictionary. tornado comes with JupyterLab, which is served by it.
"""

import asyncio
import socket
import struct
import traceback
import weakref
from urllib.parse import parse_qs, unquote

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from servicelab.servers.registry import api, routes
from servicelab.servers.registry.agent import Agent
from servicelab.servers.stamps import Visit
from servicelab.trace import from_traceparent


class Listener(HTTPServer):
    """tornado's server, which can also be torn down without a goodbye."""

    def __init__(self, *args, **kwargs):
        self._streams = weakref.WeakSet()
        super().__init__(*args, **kwargs)

    def handle_stream(self, stream, address):
        self._streams.add(stream)
        super().handle_stream(stream, address)

    def cut(self) -> None:
        """Reset every connection, as the death of a process with unread data does."""
        for stream in list(self._streams):
            if stream.socket is not None:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()


def application(agent: Agent, counts, errors: list[str]) -> Application:
    """What tornado's server serves. ``counts`` is told each request's method and route."""
    return _Silent([(r".*", _Endpoint, {"agent": agent, "counts": counts, "errors": errors})])


class _Silent(Application):
    def log_request(self, handler):
        """Nothing is printed."""

    def find_handler(self, request, **kwargs):
        request.headers.pop("Content-Type", None)  # a body is what its path says; tornado would take a form apart
        return super().find_handler(request, **kwargs)


class _Endpoint(RequestHandler):
    def initialize(self, agent, counts, errors):
        self.agent, self.counts, self.errors = agent, counts, errors
        self.gone = asyncio.get_running_loop().create_future()

    def set_default_headers(self):
        self.clear_header("Server")
        self.set_header("Vary", "Accept-Encoding")

    def compute_etag(self):
        return None  # a query's version is its index

    def check_xsrf_cookie(self):
        """There is no cookie."""

    def on_connection_close(self):
        if not self.gone.done():
            self.gone.set_result(None)

    def log_exception(self, kind, error, where):
        if error is not None and not isinstance(error, (StreamClosedError, HTTPError)):
            self.errors.append("".join(traceback.format_exception(kind, error, where)).rstrip())

    def write_error(self, status_code, **kwargs):
        self.set_header("Content-Type", api.TEXT)
        self.finish(self._reason)

    async def handle(self):
        visit = _visit(self.agent, self.request) if self.agent.trace is not None else _Untraced()
        await self.agent.running.wait()
        try:
            answer = await self._answer(visit)
        except api.Refused as refused:
            answer = api.Answer(refused.text.encode(), refused.status, headers=refused.headers)
        visit.done()
        if self.gone.done() or self.agent.is_cut:
            return
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        if answer.body or answer.status == 200:
            self.set_header("Content-Type", answer.kind)
        index = answer.headers.get("X-Consul-Index")
        visit.replies(f"{answer.status} index {index}" if index else str(answer.status))
        self.finish(answer.body)

    get = put = post = delete = head = patch = options = handle

    async def _answer(self, visit) -> api.Answer:
        request = self.request
        route, rest, handler = routes.find(request.method, unquote(request.path))
        self.counts[f"{request.method} {route}"] += 1
        ask = api.Ask(request.method, rest, parse_qs(request.query, keep_blank_values=True), request.body)
        api.common(ask)
        index, wait = api.seen(ask)
        agent = self.agent
        agent.advance()
        result = handler(agent, ask)
        if isinstance(result, api.Answer):
            return result
        if index and result.index_of() <= index:
            visit.done()  # to wait is no work
            await agent.changed(result.index_of, index, wait, self.gone)
        answer = result.answer()
        answer.headers |= {
            "X-Consul-Index": str(result.index_of()),
            "X-Consul-KnownLeader": "true",
            "X-Consul-LastContact": "0",
            "X-Consul-Effective-Consistency": "stale" if ask.has("stale") else "leader",
        }
        return answer


def _visit(agent: Agent, request) -> Visit:
    """The request in the trace. A client that is not traced has the User-Agent as its lane, if that is a plain name
    such as "orders-1"."""
    return Visit(
        agent.trace,
        agent.lane,
        f"{request.method} {unquote(request.path)}",
        from_traceparent(request.headers.get("traceparent")),
        stranger=lane_of(request.headers.get("User-Agent", "")),
    )


class _Untraced:
    def done(self): ...
    def replies(self, label): ...


def lane_of(user_agent: str) -> str:
    """The lane of a client that gave no ``traceparent``."""
    return "client" if not user_agent or any(mark in user_agent for mark in "/ ") else user_agent
