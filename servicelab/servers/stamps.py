"""Stamps what happens to a request inside a server, as a WSGI middleware.

========== ==================================================================================
receive    the request could be read from its connection (it may now wait for a worker)
start_work a worker took it up
end_work   the last of the body is ready; the handler has nothing more to do
send       the first byte of the reply is about to leave
========== ==================================================================================

Every stamp is made before the client can have the whole reply, so a cell which has its answer
finds the complete record in the trace. The reply of a generator leaves while the work goes on.
A request without ``traceparent`` leaves its work in the trace but no messages: nobody said when it
was sent. So does one whose ``traceparent`` has been here before.
"""

import secrets

from servicelab.trace import Trace, current_call, from_traceparent, new_id, reply_id


class Visit:
    """One request as its server, in ``lane``, sees it: received, worked on, answered.

    ``caller`` is ``(trace id, call id)`` of the traced client that sent it. Of a request without one, and of one that
    has been here before, nobody said when it was sent: it leaves its work only; or it is drawn from the lane
    ``stranger``, as if the wire took no time. ``arrived`` and ``begun`` are times on the trace's clock, by default now.
    ``ids`` are what ``current_call`` shall be for its handler.
    """

    def __init__(self, trace: Trace, lane: str, label: str, caller, *, stranger=None, arrived=None, begun=None):
        self.trace, self.lane = trace, lane
        trace_id, call_id = caller or (secrets.token_hex(16), new_id())
        self.id = trace.start_work(lane, label, id=call_id, at=begun)
        self.ids = trace_id, self.id
        self._client = "" if caller and self.id == call_id else stranger
        self._is_working, self._is_open = True, self._client is not None
        if self._is_open:
            arrived = trace.clock() if arrived is None else arrived
            if self._client:
                trace.send(self._client, lane, label, id=self.id, at=arrived)
            trace.receive(self.id, lane, at=arrived)

    def done(self) -> None:
        """The handler has nothing more to do. Only the first time counts."""
        if self._is_working:
            self._is_working = False
            self.trace.end_work(self.id)

    def replies(self, label: str) -> None:
        """The reply begins to leave. Only the first time counts."""
        if self._is_open:
            self._is_open = False
            now, id = self.trace.clock(), reply_id(self.id)
            self.trace.send(self.lane, self._client, label, id=id, kind="reply", at=now)
            if self._client:
                self.trace.receive(id, self._client, at=now)


class Stamped:
    """The WSGI app ``app`` with its work stamped into ``trace`` under the name ``lane``."""

    def __init__(self, app, lane: str, trace: Trace):
        self.app = app
        self.lane = lane
        self.trace = trace

    def __call__(self, environ, start_response):
        environ["servicelab.stamped"] = self  # for a stream, which stamps each of its events
        visit = Visit(
            self.trace,
            self.lane,
            f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO') or '/'}",
            from_traceparent(environ.get("HTTP_TRACEPARENT")),
            arrived=environ.get("servicelab.arrived"),
            begun=environ.get("servicelab.picked_up"),
        )
        reply = _Reply(visit)
        current_call.set(visit.ids)

        def note(status, headers, exc_info=None):
            reply.status = status.partition(" ")[0]
            length = next((value for key, value in headers if key.lower() == "content-length"), None)
            reply.left = int(length) if length and length.isdecimal() else None
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            reply.app_chunks = self.app(environ, note)
            reply.chunks = iter(reply.app_chunks)
        except BaseException:
            reply.fail()
            raise
        return reply


class _Reply:
    """The body of a reply; notes when its first byte leaves and when the last is ready."""

    def __init__(self, visit):
        self.visit = visit
        self.status = "500"
        self.left = None  # bytes still to come, if the app said how many there are
        self.app_chunks = self.chunks = ()

    def __iter__(self):
        return self

    def __next__(self):
        try:
            chunk = next(self.chunks)
        except StopIteration:
            self._end_work()
            self._send()
            raise
        except BaseException:
            self.fail()
            raise
        if chunk:
            if self.left is not None:
                self.left -= len(chunk)
                if self.left <= 0:
                    self._end_work()
            self._send()
        return chunk

    def close(self):
        self._end_work()
        if hasattr(self.app_chunks, "close"):
            self.app_chunks.close()

    def fail(self):
        self.status = "500"
        self._end_work()
        self._send()

    def _end_work(self):
        self.visit.done()
        current_call.set(None)

    def _send(self):
        self.visit.replies(self.status)
