"""A session that hands down the time its caller has left."""

import time

from servicelab.arguments import in_reach
from servicelab.clients import adapter_stack
from servicelab.clients.errors import DeadlineExceeded
from servicelab.policies.deadline import HEADER, remaining, to_header


def propagated(session, clock=time.monotonic):
    """Let ``session`` send the time left with each request, and wait no longer; returns the session.

    The time left is the shorter of the request's own ``timeout`` and of what the caller of the running code will still
    wait (:func:`servicelab.policies.remaining`, set by a server that heeds deadlines). It goes out as
    ``Deadline-Left: 0.350000`` (seconds) and becomes the request's timeout. Without either nothing is sent. When the
    time is up already, nothing is sent either: :class:`~servicelab.clients.errors.DeadlineExceeded` is raised, a
    ``requests.RequestException`` with the status "deadline".

    requests limits each silence and not the whole call, so a server that drips still outlives the deadline here; the
    server that reads the header can stop by itself. ``clock`` is the one of ``current_deadline``: time.monotonic.
    Calling it again changes nothing. Raises TypeError when ``session`` is no session.
    """
    if not hasattr(session, "get_adapter"):
        raise TypeError(f"session={session!r} is no requests.Session(): propagated(requests.Session())")
    adapter_stack.add(session, DeadlineAdapter, lambda inner: DeadlineAdapter(inner, clock))
    return session


class DeadlineAdapter(adapter_stack.Layer):
    """Sends through ``inner`` with the time left."""

    place = adapter_stack.DEADLINE

    def __init__(self, inner, clock):
        super().__init__(inner)
        self.clock = clock

    def around(self, inner):
        return DeadlineAdapter(inner, self.clock)

    def send(self, request, stream=False, timeout=None, **options):
        left = remaining(self.clock())
        if left is not None and left <= 0:
            raise DeadlineExceeded(f"{request.method} {request.url}")
        timeout = adapter_stack.at_most(timeout, in_reach(left))
        wait = adapter_stack.seconds(timeout)
        request.headers.pop(HEADER, None)
        if wait is not None:
            request.headers[HEADER] = to_header(wait)
        return self.inner.send(request, stream=stream, timeout=timeout, **options)
