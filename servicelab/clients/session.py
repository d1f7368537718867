"""A ``requests`` session that stamps its calls, and the bridge from a session to the policies."""

import secrets
from contextvars import ContextVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from servicelab.clients import adapter_stack
from servicelab.clients.adapter_stack import seconds
from servicelab.clients.errors import CallFailed
from servicelab.lifecycle import HOST, server_at
from servicelab.policies.deadline import HEADER
from servicelab.policies.status import Status
from servicelab.trace import Trace, current_call, reply_id, to_traceparent

#: The number of the attempt that is being made, from 1; :func:`attempt` sets it, a trace records it.
attempt_number: ContextVar[int] = ContextVar("servicelab_attempt_number", default=1)

#: Connections that one session keeps open to one server: enough for a load of that many threads.
#: requests keeps ten, and complains on stderr about every further one.
POOL = 256


def traced(session: requests.Session, trace: Trace, name: str = "client") -> requests.Session:
    """Let ``session`` stamp its calls into ``trace`` under the name ``name``; returns the session.

    Every request gets the W3C header ``traceparent``, so that a traced server joins its stamps to
    ours. The call begins when the request is sent and ends when headers and body of the reply are
    read (with ``stream=True``: the headers), with one of these statuses:

    ==================  =======================================================================
    ``"ok"``            2xx or 3xx
    ``"HTTP 503"``      any other reply, with its number
    ``"timeout"``       no connection, or a silence between two bytes, longer than ``timeout``
    ``"refused"``       nobody listens there
    ``"lost"``          the connection broke before the reply was complete
    ==================  =======================================================================

    A call made inside a handler names the call being handled as its parent. The session no longer
    looks at the environment (``trust_env``): a proxy set there must not come between. Calling it
    again changes trace and name. Raises TypeError when ``session`` or ``trace`` is something else.
    """
    if not isinstance(session, requests.Session):
        raise TypeError(f"session={session!r} is no requests.Session(): traced(requests.Session(), trace)")
    if not isinstance(trace, Trace):
        raise TypeError(f"trace={trace!r} is no servicelab.trace.Trace()")
    session.trust_env = False

    def around(inner):
        if type(inner) is HTTPAdapter and inner._pool_maxsize < POOL:
            inner = HTTPAdapter(pool_maxsize=POOL, max_retries=inner.max_retries)
        return TracedAdapter(inner, trace, name)

    adapter_stack.add(session, TracedAdapter, around)
    return session


class TracedAdapter(adapter_stack.Layer):
    """Sends through the adapter ``inner`` and stamps the call."""

    place = adapter_stack.TRACE

    def __init__(self, inner, trace: Trace, name: str):
        super().__init__(inner)
        self.trace, self.name = trace, name

    def send(self, request, stream=False, timeout=None, **options):
        trace = self.trace
        label = f"{request.method} {urlsplit(request.url).path or '/'}"
        callee = callee_of(request.url)
        trace_id, parent = current_call.get() or (secrets.token_hex(16), None)
        call = trace.start_call(
            self.name, callee, label, attempt=attempt_number.get(), timeout=seconds(timeout), parent=parent
        )
        request.headers["traceparent"] = to_traceparent(trace_id, call)
        trace.send(self.name, callee, label, id=call)
        try:
            response = self.inner.send(request, stream=stream, timeout=timeout, **options)
            if not stream:
                response.content  # noqa: B018 -- reads the body: only then is the reply here
        except BaseException as error:
            status = status_of(error)
            if status == "refused":
                trace.lose(call, "refused")
            trace.end_call(call, status)
            raise
        now = trace.clock()
        trace.receive(reply_id(call), self.name, at=now)
        trace.end_call(call, status_of(response), at=now)
        return response


def attempt(session: requests.Session, method: str, url: str, **kwargs):
    """One HTTP request as an attempt for :func:`servicelab.policies.drive.call`.

    Returns a function ``(timeout, number) -> (status, value)``. ``timeout`` is in seconds, ``value``
    is the response or the exception. A reply of 5xx is ``"error"``, which a retry may mend; one of
    4xx is ``"HTTP 404"`` and the like: asking again will not help. "deadline" is the reply of a
    server that heeds deadlines and found none of it left. An exception that is not about the
    network (a bad URL, an interrupt) is raised.
    """

    def send(timeout, number=1):
        before = attempt_number.set(number)
        try:
            response = session.request(method, url, timeout=timeout, **kwargs)
        except requests.RequestException as error:
            return judge(error), error
        finally:
            attempt_number.reset(before)
        return judge(response), response

    return send


def judge(outcome) -> str:
    """The status of a response or a ``requests.RequestException``, as a policy takes it; raises what is a mistake."""
    if isinstance(outcome, requests.Response):
        if outcome.status_code == 504 and HEADER in outcome.headers:
            return Status.DEADLINE
        return Status.ERROR if outcome.status_code >= 500 else status_of(outcome)
    status = status_of(outcome)
    if status not in (Status.TIMEOUT, Status.REFUSED, Status.LOST) and not isinstance(outcome, CallFailed):
        raise outcome
    return status


def status_of(outcome) -> str:
    """The status of a response or of an exception, as a trace records it."""
    if isinstance(outcome, requests.Response):
        return "ok" if outcome.status_code < 400 else f"HTTP {outcome.status_code}"
    if isinstance(outcome, CallFailed):
        return str(outcome.status)
    if isinstance(outcome, requests.Timeout) or _is_about(outcome, ReadTimeoutError):
        return "timeout"
    if _is_about(outcome, NewConnectionError):
        return "refused"
    if isinstance(
        outcome,
        (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError),
    ):
        return "lost"
    return "interrupted" if isinstance(outcome, KeyboardInterrupt) else type(outcome).__name__


def callee_of(url: str) -> str:
    """The lane behind ``url``: the name of our server that listens there, else ``host:port``."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    server = server_at(port) if parts.hostname in (HOST, "localhost") else None
    return server.lane if server else f"{parts.hostname}:{port}"


def _is_about(error, kind) -> bool:
    """Is ``kind`` among what urllib3 and requests have wrapped into ``error``?"""
    for inner in getattr(error, "args", ()):
        if isinstance(inner, kind) or isinstance(getattr(inner, "reason", None), kind):
            return True
    return False
