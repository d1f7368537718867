"""A message as the broker holds it: where it was sent, its properties as they came over the wire, and its body.

Properties are looked at, not decoded: a broker needs five of them, and passes all of them on as they came. Messages
with the same properties or the same address share one object, so that a queue of a million stays small.
"""

import struct
from functools import lru_cache

from servicelab.servers.amqp import tables, wire
from servicelab.servers.amqp.errors import AmqpError

LONGEST_TTL = 2**32 - 1  # milliseconds; RabbitMQ's bound for TTLs and x-expires
OVERHEAD = 256  # bytes: what one queued message costs besides its body, measured

#: The properties in the order of their flags, from the highest bit on, and how each is written.
_ORDER = (
    ("content_type", 1), ("content_encoding", 1), ("headers", 4), ("delivery_mode", 0), ("priority", 0),
    ("correlation_id", 1), ("reply_to", 1), ("expiration", 1), ("message_id", 1), ("timestamp", 8), ("type", 1),
    ("user_id", 1), ("app_id", 1), ("cluster_id", 1),
)  # fmt: skip
_FLAG = {name: 0x8000 >> place for place, (name, _) in enumerate(_ORDER)}
_STAMP = struct.Struct(">BdII")


class Properties:
    """The properties of a message: ``raw`` as on the wire, and where each of them lies in it.

    ``fault`` says what a publisher has done wrong in them, if anything; in ``plain`` ones there is nothing to check.

    Raises AmqpError 502 when ``raw`` cannot be read.
    """

    __slots__ = ("raw", "spans", "persistent", "priority", "user_id", "reply_to", "expiration", "fault", "plain",
                 "shown", "_headers")  # fmt: skip

    def __init__(self, raw: bytes):
        self.raw = raw
        self._headers = None
        try:
            self.spans = _spans(raw)
            mode = self._octet("delivery_mode")
            self.priority = self._octet("priority") or 0
            self.user_id = self.text("user_id")
            self.reply_to = self.text("reply_to")
            self.persistent = mode == 2
            text = self.text("expiration")
            self.expiration, self.fault = _milliseconds(text)
            if mode not in (None, 1, 2):
                self.fault = f"invalid message: {{delivery_mode_unknown,{mode}}}"
            self.shown = raw  # what consumers get: all but the header BCC
            if b"CC" in raw:
                self.fault = self.fault or _copies_fault(self.headers)
                if "BCC" in self.headers:
                    self.shown = self.with_headers({"BCC": None}).raw
            self.plain = self.fault is None and self.user_id is None and self.reply_to is None
        except (ValueError, IndexError, OverflowError, OSError, RecursionError, struct.error) as error:
            raise AmqpError(502, f"cannot decode the properties: {error}") from None

    @property
    def headers(self) -> dict:
        """The header table, decoded when it is first asked for."""
        if self._headers is None:
            span = self.spans.get("headers")
            self._headers = tables.read_table(self.raw, span[0])[0] if span else {}
        return self._headers

    def text(self, name: str) -> str | None:
        """A property that is a short string, such as ``message_id``; None when it was not given."""
        span = self.spans.get(name)
        return self.raw[span[0] + 1 : span[1]].decode(errors="replace") if span else None

    def replaced(self, **changes) -> "Properties":
        """A copy with ``headers`` (bytes of a table) or short strings set, or taken away where None."""
        flags, parts = 0, []
        for name, _ in _ORDER:
            if name in changes:
                value = changes[name]
                data = None if value is None else value if isinstance(value, bytes) else wire.short_string(value)
            else:
                span = self.spans.get(name)
                data = self.raw[span[0] : span[1]] if span else None
            if data is not None:
                flags |= _FLAG[name]
                parts.append(data)
        return Properties(flags.to_bytes(2, "big") + b"".join(parts))

    def with_headers(self, changes: dict, **more) -> "Properties":
        """A copy with these headers set, or taken away where None. All others keep their bytes, and so their types."""
        span = self.spans.get("headers")
        kept = [] if span is None else [
            data for key, data in tables.entries(self.raw, span[0] + 4, span[1]) if key not in changes
        ]  # fmt: skip
        kept += [tables.entry(key, value) for key, value in changes.items() if value is not None]
        table = b"".join(kept)
        return self.replaced(headers=len(table).to_bytes(4, "big") + table, **more)

    def _octet(self, name):
        span = self.spans.get(name)
        return self.raw[span[0]] if span else None


def _spans(raw):
    flags, at, spans = int.from_bytes(raw[:2], "big"), 2, {}
    if len(raw) < 2 or flags & 3:
        raise ValueError("unknown property flags")
    for place, (name, width) in enumerate(_ORDER):
        if not flags & (0x8000 >> place):
            continue
        if width == 1:
            end = at + 1 + raw[at]
        elif width == 4:
            end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        else:
            end = at + (width or 1)
        if end > len(raw):
            raise ValueError(f"{name} is cut short")
        spans[name], at = (at, end), end
    if at != len(raw):
        raise ValueError(f"{len(raw) - at} bytes too many")
    return spans


def _milliseconds(text):
    """``(milliseconds, None)`` for a property ``expiration``, or ``(None, what is wrong)``."""
    if text is None:
        return None, None
    digits = text[1:] if text[:1] in ("-", "+") else text
    whole = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    if not whole or not whole.isascii():
        why = "no_integer"
    elif whole != digits:
        why = f'{{leftover_string,"{digits[len(whole) :]}"}}'
    elif text[0] == "-" and int(whole):
        why = f"{{value_negative,{int(text)}}}"
    elif int(whole) > LONGEST_TTL:
        why = f"{{value_too_large,{int(whole)}}}"
    else:
        return int(whole), None
    return None, f"invalid expiration '{text}': {why}"


def _copies_fault(headers):
    for name in ("CC", "BCC"):
        if name in headers and not isinstance(headers[name], list):
            kind = tables.type_name(headers[name])
            return f'invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}'
    return None


class Target:
    """Where a message is published: ``exchange``, routing ``key``, and both as they stand in a delivery."""

    __slots__ = ("exchange", "key", "route")

    def __init__(self, exchange: str, key: str):
        self.exchange = exchange
        self.key = key
        self.route = wire.short_string(exchange) + wire.short_string(key)


properties = lru_cache(maxsize=4096)(Properties)  # a publisher's messages mostly have the same few
target = lru_cache(maxsize=4096)(Target)


class Message:
    """What was published. Never changed: every queue that it was routed to holds the same one."""

    __slots__ = ("target", "properties", "body")

    def __init__(self, target: Target, properties: Properties, body: bytes):
        self.target = target
        self.properties = properties
        self.body = body

    def __repr__(self):
        return f"<Message to {self.target.exchange!r} {self.target.key!r}, {len(self.body)} bytes>"

    def encode(self, expires: float = 0.0) -> bytes:
        """For a journal. ``expires``: seconds of the epoch at which it dies, 0 for never."""
        route, raw = self.target.route, self.properties.raw
        return b"".join((_STAMP.pack(1, expires, len(route), len(raw)), route, raw, self.body))

    def routing_keys(self) -> list[str]:
        """The routing key and those in the headers CC and BCC."""
        if b"CC" not in self.properties.raw:
            return [self.target.key]
        copies = [key for name in ("CC", "BCC") for key in self.properties.headers.get(name) or ()]
        return [self.target.key, *(key for key in copies if isinstance(key, str))]


def decode(data: bytes) -> tuple[Message, float]:
    """What :meth:`Message.encode` wrote: the message and when it expires. Raises ValueError."""
    version, expires, route, raw = _STAMP.unpack_from(data)
    if version != 1:
        raise ValueError(f"a message of version {version} is not known here")
    at = _STAMP.size
    exchange, middle = wire.read_short_string(data, at)
    key, _ = wire.read_short_string(data, middle)
    found = properties(data[at + route : at + route + raw])
    return Message(target(exchange, key), found, data[at + route + raw :]), expires


class Entry:
    """One message in one queue. ``number`` is its place in the order of arrival; ``expires`` in seconds or None."""

    __slots__ = ("number", "message", "expires", "redelivered", "returns", "stored")

    def __init__(self, number: int, message: Message, expires: float | None = None):
        self.number = number
        self.message = message
        self.expires = expires
        self.redelivered = False
        self.returns = 0  # how often it came back, which is what a quorum queue's delivery limit counts
        self.stored = False  # in the journal
