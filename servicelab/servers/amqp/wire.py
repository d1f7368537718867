"""Methods as bytes, on the codec of ``pamqp``, and the one check it leaves out: that nothing is cut short.

``pamqp`` slices a string that claims more bytes than there are without a word. A broker must not: what a client sends
is decoded here field by field, each with its length checked.
"""

import base64
import struct

from pamqp import base, commands

from servicelab.servers.amqp.errors import AmqpError
from servicelab.servers.amqp.tables import read_table, table_bytes

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE  # the last octet of every frame
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
BASIC = 60

_FIXED = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q", "timestamp": ">Q"}
_FIELDS: dict[type, list[tuple[str, str]]] = {}


def short_string(text: str) -> bytes:
    """Raises AmqpError 502 when ``text`` has more than 255 bytes."""
    data = text.encode()
    if len(data) > 255:
        raise AmqpError(502, f"a short string has at most 255 bytes, not {len(data)}")
    return bytes((len(data),)) + data


def read_short_string(data: bytes, at: int) -> tuple[str, int]:
    """The string at ``at`` and where the next field begins."""
    end = at + 1 + data[at]
    if end > len(data):
        raise ValueError("short string is cut short")
    return data[at + 1 : end].decode(), end


def pack_table(table: dict) -> str:
    """A table as text, for a journal."""
    return base64.b64encode(table_bytes(table)).decode()


def unpack_table(text: str) -> dict:
    return read_table(base64.b64decode(text), 0)[0]


class QueueDeclared(commands.Queue.DeclareOk):
    """Queue.DeclareOk for any name: ``pamqp`` allows the letters of the specification, RabbitMQ takes all UTF-8."""

    def validate(self):
        """The name came from a client or from us: it is a short string."""


def decode_method(payload: bytes) -> base.Frame:
    """The method in a method frame.

    Raises AmqpError 503 for a method that AMQP does not have, 502 for fields that cannot be decoded.
    """
    kind = commands.INDEX_MAPPING.get(int.from_bytes(payload[:4], "big")) if len(payload) >= 4 else None
    if kind is None:
        raise AmqpError(503, f"unknown method {payload[:4].hex()}")
    try:
        return _fields(kind, payload)
    except (ValueError, IndexError, OverflowError, OSError, RecursionError, struct.error) as error:
        raise AmqpError(502, f"cannot decode {kind.name}: {error}") from None


def _fields(kind, payload):
    method, at, bits = kind(), 4, 0
    known = _FIELDS.get(kind)
    if known is None:
        known = _FIELDS[kind] = [(name, kind.amqp_type(name)) for name in kind.__slots__]
    for name, type_ in known:
        if type_ == "bit":  # up to eight bits in a row share an octet
            if bits % 8 == 0:
                at += 1
            value = bool(payload[at - 1] >> (bits % 8) & 1)
            bits += 1
        elif type_ == "shortstr":
            value, at = read_short_string(payload, at)
        elif type_ == "longstr":
            (size,) = struct.unpack_from(">I", payload, at)
            if at + 4 + size > len(payload):
                raise ValueError("long string is cut short")
            value, at = payload[at + 4 : at + 4 + size].decode(errors="surrogateescape"), at + 4 + size
        elif type_ == "table":
            value, at = read_table(payload, at)
        else:
            (value,) = struct.unpack_from(_FIXED[type_], payload, at)
            at += struct.calcsize(_FIXED[type_])
        if type_ != "bit":
            bits = 0
        setattr(method, name, value)
    if at != len(payload):
        raise ValueError(f"{len(payload) - at} bytes too many")
    return method
