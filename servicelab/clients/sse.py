"""Server-sent events as their reader sees them: a parser without I/O, and one open stream.

Format: HTML Living Standard (WHATWG), section "Interpreting an event stream".
"""

import codecs
import http.client
import re
import socket
import threading
from urllib.parse import urlsplit

from servicelab.arguments import LONGEST, in_reach
from servicelab.clients.session import callee_of
from servicelab.servers.events import MEDIA_TYPE, ServerSentEvent
from servicelab.servers.message_stamps import Talk
from servicelab.servers.threads import shut
from servicelab.trace import Trace, reply_id


class StreamLost(ConnectionError):
    """The connection broke, ended, or was silent for too long; trying again may help."""


class StreamRefused(Exception):
    """The server does not want to stream, and said so; trying again will not help."""


class EventParser:
    """Bytes in, events out, wherever the network has cut them.

    ``last_id`` is the id from which to resume, ``retry`` the seconds that the server wants its readers to wait before
    they reconnect (None: it did not say). What stands after the last empty line when the stream ends is no event.
    """

    def __init__(self, last_id: str = ""):
        self.last_id = last_id
        self.retry: float | None = None
        self._line: list[str] = []  # the pieces of a line that is not complete
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._is_first = True
        self._after_return = False  # the last piece ended with a carriage return; a line feed may belong to it
        self._data: list[str] = []
        self._event = ""
        self._id = last_id

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that ``data`` completes."""
        text = self._decode(data)
        if text and self._is_first:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if text and self._after_return:
            self._after_return = False
            text = text.removeprefix("\n")
        if text:
            self._after_return = text.endswith("\r")
        line, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line.append(line)
        if not lines:
            return []
        lines.insert(0, "".join(self._line))
        self._line = [lines.pop()]
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line):
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = min(float(value) / 1000, LONGEST)  # float: of any number of digits
        return None  # a comment, which has no name, and names nobody knows are ignored

    def _dispatch(self):
        self.last_id = self._id
        data, event = self._data, self._event
        self._data, self._event = [], ""
        if not data:
            return None
        return ServerSentEvent("\n".join(data), id=self.last_id or None, event=event or None)


class _Reply(http.client.HTTPResponse):
    """http.client takes headers that were cut off for complete: a lost connection would look like another server."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fp = _Whole(self.fp)


class _Whole:
    def __init__(self, file):
        self._file = file

    def readline(self, *limit):
        line = self._file.readline(*limit)
        if not line:
            raise http.client.IncompleteRead(b"")
        return line

    def __getattr__(self, name):
        return getattr(self._file, name)


class EventStream:
    """One open stream of events from ``url``: iterate over it, ``close()`` it from any thread.

    ``last_id`` goes into the header ``Last-Event-ID``; "": it is not sent. ``silence``: seconds without a byte,
    heartbeats included, after which the connection counts as lost; None waits for ever, also for a peer that has
    vanished. With a ``trace`` the request, the reply and each event are stamped under the name ``name``.

    Raises :class:`StreamLost` when it cannot connect or when the stream ends, whichever way: a stream of events has no
    end of its own. Raises :class:`StreamRefused` for another status than 200 and for another type of content.
    """

    def __init__(
        self, url: str, last_id="", *, silence: float | None = None, trace: Trace | None = None, name: str = "client"
    ):
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"url={url!r} must be like 'http://127.0.0.1:8000/events'")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        last_id = str(last_id)
        if re.search(r"[\0\r\n\ud800-\udfff]", last_id):
            raise ValueError(f"last_id={last_id!r} must be one line of text without NUL: it goes into a header")
        self.parser = EventParser(last_id)
        self.is_closed = False
        self._talk = Talk.opened_by(name, callee_of(url), trace) if trace is not None else None
        headers = {"Accept": MEDIA_TYPE, "Cache-Control": "no-store"}
        if last_id:
            headers["Last-Event-ID"] = last_id.encode()  # http.client would encode it as Latin-1
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=in_reach(silence))
        self._connection.response_class = _Reply
        self._socket = self._reply = None
        self._is_read = False
        self._lock = threading.Lock()
        try:
            self._open(path, headers, trace, name)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise StreamLost(f"{url}: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise
        kind = self._reply.headers.get_content_type()
        if self._reply.status != 200 or kind != MEDIA_TYPE:
            self.close()
            raise StreamRefused(f"{url} answered {self._reply.status} with {kind}, not 200 with {MEDIA_TYPE}")

    def _open(self, path, headers, trace, name):
        self._connection.connect()
        self._socket = self._connection.sock  # http.client lets go of it when the reply says "close"
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._talk is not None:
            headers.update(self._talk.headers)
            trace.send(name, self._talk.other, f"GET {path.partition('?')[0]}", id=self._talk.id)
        self._connection.request("GET", path, headers=headers)
        self._reply = self._connection.getresponse()
        if self._talk is not None:
            trace.receive(reply_id(self._talk.id), name)

    def __iter__(self):
        why = "the server ended the stream"
        with self._lock:
            self._is_read = not self.is_closed
        try:
            while self._is_read and (data := self._reply.read1(65536)):
                for event in self.parser.feed(data):
                    if self._talk is not None:
                        self._talk.gets()
                    yield event
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: closed while it was read
            why = str(error) or type(error).__name__
        finally:
            self._let_go()
        if not self.is_closed:
            self.is_closed = True
            raise StreamLost(why)

    def close(self) -> None:
        """End it; whoever iterates finds the end."""
        with self._lock:
            self.is_closed = True
            if self._socket is not None:
                shut(self._socket)
            if not self._is_read:  # http.client must not be closed under its reader, who closes it then
                self._let_go()

    def _let_go(self):
        self._connection.close()
        if self._reply is not None:  # it holds the socket, too, and the connection may not know it any more
            self._reply.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
