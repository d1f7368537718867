"""Stamps the messages of a long conversation: one connection, any number of messages both ways.

A message of a WebSocket has no headers in which an id could travel. It needs none: a connection keeps order, so the
n-th message that one end sends is the n-th that the other receives. Both ends count, and the id is made of the
connection's id, the direction and the number. The connection's id is the call id of the W3C ``traceparent`` that the
client sends once, when it opens the connection; ``tracestate`` tells the server the client's name, and that it counts.
A client that does not (a browser, or what another library traces) leaves the server's states in the trace, but no
messages: nobody would say that they arrived.
"""

import itertools
import re
import secrets
from collections import deque

from servicelab.trace import Trace, from_traceparent, new_id, to_traceparent

#: How many of the last messages sent are named as lost when a connection breaks; those that did arrive stay received.
LAST = 64

_LABEL = 24  # characters of a message that a diagram shows


def headers_for(call_id: str, name: str) -> dict[str, str]:
    """The headers with which a client opens a conversation."""
    return {"traceparent": to_traceparent(secrets.token_hex(16), call_id), "tracestate": f"servicelab={_token(name)}"}


def joined(pairs) -> dict[str, str]:
    """Headers as pairs, as a dict with lower-case names: one that came several times is a list (RFC 9110, 5.3), which
    for ``traceparent`` is invalid."""
    found: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def talk_from(headers, lane: str, trace: Trace | None) -> "Talk | None":
    """The server's end of a conversation, from the headers with which it was opened; None if nobody counts along."""
    if trace is None:
        return None
    ids = from_traceparent(headers.get("traceparent"))
    found = re.search(r"servicelab=([^,;\s]+)", headers.get("tracestate") or "")
    return Talk(trace, ids[1], lane, found[1], is_server=True) if ids and found else None


class Talk:
    """One end of a conversation: ``me`` talks with ``other``. Call ``sends`` just before, ``gets`` just after."""

    def __init__(self, trace: Trace, id: str, me: str, other: str, *, is_server: bool):
        self.trace, self.id, self.me, self.other = trace, id, me, other
        mine, theirs = ("down", "up") if is_server else ("up", "down")
        self._sent = (f"{id}.{mine}.{n}" for n in itertools.count(1))
        self._got = (f"{id}.{theirs}.{n}" for n in itertools.count(1))
        self._last: deque[str] = deque(maxlen=LAST)

    @classmethod
    def opened_by(cls, me: str, other: str, trace: Trace) -> "Talk":
        """The client's end of a new conversation."""
        return cls(trace, new_id(), me, other, is_server=False)

    @property
    def headers(self) -> dict[str, str]:
        return headers_for(self.id, self.me)

    def sends(self, what) -> None:
        id = next(self._sent)
        self._last.append(id)
        self.trace.send(self.me, self.other, label(what), id=id, kind="message")

    def gets(self) -> None:
        self.trace.receive(next(self._got), self.me)

    def ends(self) -> None:
        """The conversation is over, and everything was said."""
        self._last.clear()

    def breaks(self, why: str) -> None:
        """The connection ended without a farewell: what was sent last may not have arrived."""
        while self._last:
            self.trace.lose(self._last.popleft(), why)


def label(what) -> str:
    """What a diagram says of a message: the beginning of a text, the size of anything else."""
    if isinstance(what, (bytes, bytearray, memoryview)):
        try:
            what = bytes(what[: 4 * _LABEL]).decode()
        except UnicodeDecodeError:
            return f"{len(what)} bytes"
    what = " ".join(str(what).split())
    return what if len(what) <= _LABEL else what[: _LABEL - 1] + "…"


def _token(name: str) -> str:
    """``name`` as a value of ``tracestate``, which allows neither blanks nor commas nor anything beyond ASCII."""
    return re.sub(r"[^!-+\--:<>-~]", "-", name) or "client"
