"""Server-sent events: an HTTP reply that does not end.

    @app.get("/orders/17/events")
    def events():
        return event_stream(feed.subscribe(after=last_event_id(0)))

Serve the app with ``serve(app, name, workers=…)``: each open stream occupies one worker for as long as it lasts.

Format and semantics: HTML Living Standard (WHATWG), chapter "Server-sent events".
"""

import json
import re
from typing import NamedTuple

from flask import Response, request
from werkzeug.exceptions import BadRequest

from servicelab import arguments
from servicelab.servers.feed import Event, Feed, Outbox
from servicelab.servers.message_stamps import Talk, talk_from

MEDIA_TYPE = "text/event-stream"

#: A line that begins with a colon is a comment; a reader ignores it, and a dead connection does not survive it.
COMMENT = b":\n\n"


class ServerSentEvent(NamedTuple):
    """One event: its text, the id from which a reader resumes, its type, and how long to wait before reconnecting.

    ``retry`` is in seconds (in milliseconds on the wire). ``event`` None is the type "message". Without ``data`` a
    reader delivers nothing, and heeds only id and retry.
    """

    data: str | None
    id: str | None = None
    event: str | None = None
    retry: float | None = None

    def encode(self) -> bytes:
        """The bytes on the wire. Raises ValueError for a line end or NUL in ``id`` or ``event``: they are one line."""
        lines = []
        for name, value in (("id", self.id), ("event", self.event)):
            if value is not None:
                value = str(value)
                if any(mark in value for mark in "\n\r\0"):
                    raise ValueError(f"{name}={value!r} must be one line without NUL: it is one field of the event")
                lines.append(f"{name}: {value}")
        if self.retry is not None:
            arguments.not_negative("retry", self.retry, "seconds", "the reader waits so long before it reconnects")
            lines.append(f"retry: {round(arguments.in_reach(self.retry) * 1000)}")
        if self.data is not None:
            text = str(self.data).replace("\r\n", "\n").replace("\r", "\n")
            lines += [f"data: {line}" for line in text.split("\n")]
        return ("\n".join(lines) + "\n\n").encode()


def as_event(item) -> ServerSentEvent:
    """What goes on the wire for an item: itself, a text as data, an :class:`Event` of a feed as JSON with its id."""
    if isinstance(item, ServerSentEvent):
        return item
    if isinstance(item, Event):
        return ServerSentEvent(json.dumps(item.data), id=str(item.id))
    return ServerSentEvent(item if isinstance(item, str) else json.dumps(item))


def last_event_id(default=None):
    """Where the reader of this request wants to go on: the header ``Last-Event-ID``, or the query's ``after``.

    The browser's EventSource sends the header only when it *re*connects, so a page that knows where it was asks with
    ``?after=17``. A number when ``default`` is one; what is none is answered with status 400.
    """
    # WSGI takes a header's bytes for Latin-1; this one is UTF-8 (HTML Standard, "The Last-Event-ID header").
    found = request.headers.get("Last-Event-ID", "").encode("latin-1").decode(errors="replace")
    found = found or request.args.get("after") or default
    if not isinstance(default, int) or found is default:
        return found
    number = number_of(found)
    if number is None:
        raise BadRequest(f"{found[:40]!r} is no number of an event")
    return number


def number_of(id: str | None) -> int | None:
    """The number that an event's id is; None when it is none."""
    return int(id) if id is not None and re.fullmatch(r"[0-9]{1,18}", id) else None


def event_stream(source, *, heartbeat: float | None = 15.0, retry: float | None = None) -> Response:
    """A Flask reply that sends what ``source`` gives, as events.

    ``source``: a subscription of a feed or an :class:`Outbox`, or any iterable of events, texts, or JSON values. With
    the first two a comment is sent after ``heartbeat`` seconds of silence (None: never), and the stream ends at once
    when the server stops. A plain iterable is asked for its next item and waited for, so it has no heartbeat.

    That the reader has gone is only noticed by writing: after the first write the system says so, at the second it
    fails. So a reader who left during silence is found after two heartbeats at most. Then, as at the end, ``source``
    is closed. ``retry``: seconds that readers shall wait before they reconnect.

    With a traced server and a traced reader, each event is a message in the trace.
    """
    if isinstance(source, (str, bytes)) or not (hasattr(source, "__iter__") or hasattr(source, "get")):
        raise TypeError(f"source={source!r} must be a subscription or an iterable of events: [text] for a single one")
    if heartbeat is not None:
        arguments.positive("heartbeat", heartbeat, "seconds", "None sends no comments")
    close = getattr(source, "close", lambda: None)
    forget = _at_stop(close) if isinstance(source, Outbox) else lambda: None
    talk = _talk(request.environ)

    def chunks():
        # The headers leave with the first bytes, and a reader shall know at once that it is connected.
        yield COMMENT if retry is None else ServerSentEvent(None, retry=retry).encode()
        for item in _items(source, heartbeat):
            if item is None:
                yield COMMENT
                continue
            event = as_event(item)
            data = event.encode()
            if talk is not None:
                talk.sends(event.data)
            yield data
        if talk is not None:
            talk.ends()

    reply = Response(chunks(), mimetype=MEDIA_TYPE)
    reply.call_on_close(forget)  # also when the first chunk was never asked for
    reply.call_on_close(close)
    if talk is not None:
        reply.call_on_close(lambda: talk.breaks("connection broke"))
    reply.headers["Cache-Control"] = "no-store"
    reply.headers["X-Accel-Buffering"] = "no"  # nginx would collect a buffer full first
    return reply


def long_poll(feed: Feed, after: int, timeout: float = 25.0) -> list[Event]:
    """``feed.wait(after, timeout)`` inside a handler: it also returns, with nothing, when the server stops."""
    arguments.positive("timeout", timeout, "seconds", "a proxy on the way may give up after 30 or 60")
    with feed.subscribe(after) as reader:
        forget = _at_stop(reader.close)
        try:
            first = reader.get(timeout)
            return [] if first is None else [first, *(reader.buffer.take() for _ in range(len(reader.buffer)))]
        finally:
            forget()


def _at_stop(close):
    """Have ``close`` called when our server stops; returns a function that calls it off."""
    return request.environ.get("servicelab.at_stop", lambda close: lambda: None)(close)


def _items(source, heartbeat):
    """What ``source`` gives; None where a heartbeat is due."""
    if not isinstance(source, Outbox):
        yield from source
        return
    while not source.is_closed:
        item = source.get(heartbeat)
        if item is not None or not source.is_closed:
            yield item


def _talk(environ) -> Talk | None:
    """The server's end of this stream's conversation, when server and reader are traced."""
    stamped = environ.get("servicelab.stamped")
    if stamped is None:
        return None
    headers = {"traceparent": environ.get("HTTP_TRACEPARENT"), "tracestate": environ.get("HTTP_TRACESTATE")}
    return talk_from(headers, stamped.lane, stamped.trace)
