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


class Stamped:
    """The WSGI app ``app`` with its work stamped into ``trace`` under the name ``lane``."""

    def __init__(self, app, lane: str, trace: Trace):
        self.app = app
        self.lane = lane
        self.trace = trace

    def __call__(self, environ, start_response):
        trace = self.trace
        environ["servicelab.stamped"] = self  # for a stream, which stamps each of its events
        caller = from_traceparent(environ.get("HTTP_TRACEPARENT"))
        trace_id, call_id = caller or (secrets.token_hex(16), new_id())
        label = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO') or '/'}"
        work = trace.start_work(self.lane, label, id=call_id, at=environ.get("servicelab.picked_up"))
        traced = caller is not None and work == call_id
        if traced:
            trace.receive(call_id, self.lane, at=environ.get("servicelab.arrived"))
        reply = _Reply(trace, self.lane, work, traced)
        current_call.set((trace_id, work))

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

    def __init__(self, trace, lane, work, traced):
        self.trace, self.lane, self.work, self.traced = trace, lane, work, traced
        self.status = "500"
        self.left = None  # bytes still to come, if the app said how many there are
        self.is_working = True
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
        if self.is_working:
            self.is_working = False
            self.trace.end_work(self.work)
            current_call.set(None)

    def _send(self):
        if self.traced:
            self.traced = False
            self.trace.send(self.lane, "", self.status, id=reply_id(self.work), kind="reply")
