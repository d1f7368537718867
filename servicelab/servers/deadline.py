"""Servers that know when their caller stops waiting: WSGI middleware, and an interceptor for gRPC.

Both set ``current_deadline`` for the code that handles the call, so that it can look (``remaining(time.monotonic())``),
stop early, and hand the rest down: a session made with ``propagated`` does so by itself.
"""

import time

from servicelab.policies.deadline import HEADER, current_deadline, from_header
from servicelab.servers.arguments import check_app

#: A call without a deadline has some hundreds of years left, says gRPC (seconds: this is thirty).
NO_DEADLINE = 1e9

GONE = b"the caller has stopped waiting"


class HeedsDeadline:
    """The WSGI app ``app``, and no work for a caller who has gone.

    ``Deadline-Left`` (seconds) counts from the moment at which the request could be read: what it waited for a worker
    is taken off. When nothing is left the answer is 504 with ``Deadline-Left: 0.000000`` at once, and ``app`` is not
    called; a policy's attempt takes that for "deadline", which is not retried. Other servers' 504 stay errors. Without
    the header, or with one that is no number, ``app`` runs without a limit. Raises ServerError when ``app`` is no app.
    """

    def __init__(self, app, clock=time.monotonic):
        check_app(app, "HeedsDeadline")
        self.app = app
        self.clock = clock
        self.logger = getattr(app, "logger", None)  # a server keeps the log of a Flask app

    def __call__(self, environ, start_response):
        left = from_header(environ.get("HTTP_" + HEADER.upper().replace("-", "_")))
        # The worker thread is used again: what the last request left there must not hold for this one.
        if left is None:
            current_deadline.set(None)
            return self.app(environ, start_response)
        now = self.clock()
        arrived = environ.get("servicelab.arrived")
        end = (now if arrived is None else min(arrived, now)) + left
        if end <= now:
            current_deadline.set(None)
            start_response(
                "504 Gateway Timeout",
                [("Content-Type", "text/plain"), (HEADER, "0.000000"), ("Content-Length", str(len(GONE)))],
            )
            return [GONE]
        current_deadline.set(end)
        return self.app(environ, start_response)


def heeding_grpc(clock=time.monotonic):
    """An interceptor for ``grpc.server(…, interceptors=[heeding_grpc()])``: the same for unary calls.

    gRPC carries the deadline by itself and ends the call for the client when it passes; what it does not do in Python
    is tell the calls that the handler makes. This does, through ``current_deadline``. A call that has waited for a
    worker until its deadline is not handled.
    """
    import grpc  # here, because a server of HTTP only need not wait for it

    class Heeding(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            handler = continuation(details)
            if handler is None or handler.unary_unary is None:
                return handler

            def handle(request, context):
                left = context.time_remaining()
                limited = left is not None and left < NO_DEADLINE
                before = current_deadline.set(clock() + left if limited else None)
                try:
                    if limited and left <= 0:
                        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, GONE.decode())
                    return handler.unary_unary(request, context)
                finally:
                    current_deadline.reset(before)

            return grpc.unary_unary_rpc_method_handler(
                handle, handler.request_deserializer, handler.response_serializer
            )

    return Heeding()
