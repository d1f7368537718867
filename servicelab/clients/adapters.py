"""One policy, put around what makes the calls, in one line.

| line                                     | what then goes by the policy                                              |
|------------------------------------------|---------------------------------------------------------------------------|
| session = guard_session(session, policy) | every request of a ``requests`` session                                   |
| channel = guard_channel(channel, policy) | every unary call of every gRPC stub made from that channel                |
| price = guard(price, policy)             | every call of that function, or coroutine function                        |

Whoever calls sees what it saw before: the value, the response, the exception of the last attempt. Only where the policy
itself ended the call is there something new: :class:`~servicelab.clients.errors.CallFailed`, with a ``status``. For a
session it is a ``requests.RequestException``, too, for a stub a ``grpc.RpcError``.

A policy object keeps what its calls share. Guard two services with one breaker, and one of them can close the other's
door: give each its own. TIMEOUT and LOST leave open whether the work was done: Retry and Hedge belong around what may
be done twice.
"""

import asyncio
import functools
import inspect

import requests

from servicelab.clients import adapter_stack
from servicelab.clients.errors import CallFailed, RequestFailed
from servicelab.clients.session import attempt_number, judge
from servicelab.policies import parts
from servicelab.policies.drive import acall, call
from servicelab.policies.status import Status


def guard(function, policy, *, timeout: str | bool | None = None, mistakes=()):
    """``function`` under ``policy``: a function with the same arguments.

    | setting  | default | consequence                                                                                |
    |----------|---------|--------------------------------------------------------------------------------------------|
    | timeout  | None    | the name of the argument by which ``function`` takes a timeout in seconds; None looks for  |
    |          |         | one called "timeout". False: it takes none and ends soon by itself. A coroutine needs none |
    | mistakes | ()      | exceptions that are no failures but mistakes: raised at once, and no policy hears of them  |

    A value is "ok". TimeoutError is "timeout", ConnectionRefusedError "refused", another ConnectionError "lost", an
    exception of requests what it is for a session, CallFailed its own status, any other Exception "error" (as in
    resilience4j, where every exception counts unless it is ignored).

    Raises TypeError for a ``policy`` or ``function`` that is none; and, when it is called, if the policy sets a limit
    of time to a function that takes no timeout: nothing could end it.
    """
    parts.policy("policy", policy)
    if not callable(function):
        raise TypeError(f"function={function!r} must be something to call: guard(fetch, Retry(Timeout(0.5)))")
    mistakes = tuple(mistakes) if not isinstance(mistakes, type) else (mistakes,)
    name = getattr(function, "__name__", repr(function))
    if inspect.iscoroutinefunction(function):
        return _guard_coroutine(function, policy, mistakes, name)
    timeout = _timeout_of(function) if timeout is None else timeout

    @functools.wraps(function)
    def guarded(*args, **kwargs):
        def attempt(limit, number):
            arguments = kwargs
            if limit is not None and timeout is None:
                raise TypeError(
                    f"{name} takes no timeout, so nothing can end it after {limit} seconds: name its "
                    "argument with timeout='…', or say timeout=False if it always ends soon"
                )
            if limit is not None and timeout:
                arguments = {**kwargs, timeout: adapter_stack.at_most(kwargs.get(timeout), limit)}
            try:
                return Status.OK, function(*args, **arguments)
            except mistakes:
                raise
            except Exception as error:
                return _judge(error), error

        return _value(call(policy, attempt), name)

    return guarded


def guard_session(session: requests.Session, policy, prefix: str | None = None) -> requests.Session:
    """Let every request of ``session`` go by ``policy``; returns the session.

    ``prefix`` limits it to URLs that begin so: give each service its own policy, ``guard_session(session, breaker,
    orders.url)``. A 5xx is a failure to the policy ("error"), and still a response to the caller when the policy leaves
    it at that. The shorter of the request's ``timeout`` and the policy's holds for each attempt. With ``stream=True``
    an attempt ends with the headers. Every hop of a redirect is a call of its own. A second call replaces the policy.

    Raises TypeError for a ``session`` or ``policy`` that is none, and, when it is called, for a body that can be read
    only once. A call that the policy ended raises :class:`~servicelab.clients.errors.RequestFailed`.
    """
    if not isinstance(session, requests.Session):
        raise TypeError(f"session={session!r} is no requests.Session(): guard_session(requests.Session(), policy)")
    parts.policy("policy", policy)
    # With the slash, so that port 80 is not taken for the beginning of port 8080.
    prefixes = None if prefix is None else [prefix.rstrip("/") + "/"]
    adapter_stack.add(session, PolicyAdapter, lambda inner: PolicyAdapter(inner, policy), prefixes)
    return session


def guard_channel(channel, policy):
    """The gRPC ``channel``, every unary call under ``policy``: ``stub = OrdersStub(guard_channel(channel, policy))``.

    Returns the new channel. Each attempt's timeout is the shortest of the call's own, the policy's, and what the caller
    of the running code will still wait (:func:`servicelab.policies.remaining`); gRPC sends it to the server by itself.

    DEADLINE_EXCEEDED is "timeout", UNAVAILABLE "lost" (gRPC does not tell whether anything was sent),
    RESOURCE_EXHAUSTED "rejected", INTERNAL, UNKNOWN, ABORTED and DATA_LOSS "error"; any other code is its own name,
    which no policy retries. A ``.future(…)`` of such a stub waits for the call. Raises TypeError for a ``policy`` or
    ``channel`` that is none.
    """
    from servicelab.clients.rpc import intercepted  # here, because who uses no gRPC need not wait for its import

    return intercepted(channel, parts.policy("policy", policy))


class PolicyAdapter(adapter_stack.Layer):
    """Sends through ``inner``, as often as ``policy`` says."""

    place = adapter_stack.POLICY

    def __init__(self, inner, policy):
        super().__init__(inner)
        self.policy = policy

    def around(self, inner):
        return PolicyAdapter(inner, self.policy)

    def send(self, request, stream=False, timeout=None, **options):
        if not isinstance(request.body, (bytes, str, type(None))):
            raise TypeError(
                f"data={request.body!r} can be read only once, and a policy may send it again: give the bytes"
            )

        def attempt(limit, number):
            before = attempt_number.set(number)
            try:
                # A copy, for attempts that are under way at once would write into each other's headers.
                response = self.inner.send(
                    request.copy(), stream=stream, timeout=adapter_stack.at_most(timeout, limit), **options
                )
                if not stream:
                    response.content  # noqa: B018 -- reads the body: only then is the attempt at its end
            except requests.RequestException as error:
                return judge(error), error
            finally:
                attempt_number.reset(before)
            return judge(response), response

        result = call(self.policy, attempt)
        value = result.value
        if value is None or judge(value) != result.status:
            failed = RequestFailed(result.status, result.attempts, f"{request.method} {request.url}")
            raise failed from (value if isinstance(value, Exception) else None)
        if isinstance(value, Exception):
            raise value
        return value


def _guard_coroutine(function, policy, mistakes, name):
    @functools.wraps(function)
    async def guarded(*args, **kwargs):
        async def attempt(limit, number):
            try:
                return Status.OK, await asyncio.wait_for(function(*args, **kwargs), limit)
            except mistakes:
                raise
            except Exception as error:
                return _judge(error), error

        return _value(await acall(policy, attempt), name)

    return guarded


def _timeout_of(function):
    try:
        return "timeout" if "timeout" in inspect.signature(function).parameters else None
    except (TypeError, ValueError):  # written in C
        return None


def _judge(error) -> str:
    if isinstance(error, CallFailed):
        return error.status
    if isinstance(error, requests.RequestException):
        return judge(error)
    if isinstance(error, TimeoutError):
        return Status.TIMEOUT
    if isinstance(error, ConnectionRefusedError):
        return Status.REFUSED
    return Status.LOST if isinstance(error, ConnectionError) else Status.ERROR


def _value(result, name):
    """The value of a good call; a failed attempt's exception, or ours if the policy had the last word."""
    if result.status == Status.OK:
        return result.value
    error = result.value if isinstance(result.value, Exception) else None
    if error is not None and _judge(error) == result.status:
        raise error
    raise CallFailed(result.status, result.attempts, name) from error
