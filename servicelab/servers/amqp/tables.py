"""Field tables, with the types that their values had on the wire.

A broker passes tables on, compares them, and names types in its errors; so an 8-bit 5 must stay one. ``pamqp`` turns
both into the same ``int`` and writes the shortest. Here an integer is an ``int`` of its own class, and whatever a
broker never looks into (decimals, arrays of bytes) stays the bytes it was.

Types: https://www.rabbitmq.com/amqp-0-9-1-errata.html#section_3
"""

import struct

from pamqp import encode

DEEPEST = 64  # tables in tables: nobody needs more, and a stack has an end


class Number(int):
    """An integer of the type ``code``."""

    __slots__ = ()
    code = "I"
    type_name = "signedint"


def _number(code, name):
    return type(name.title(), (Number,), {"__slots__": (), "code": code, "type_name": name})


Byte, Long, Timestamp = _number("b", "byte"), _number("l", "long"), _number("T", "timestamp")
_NUMBERS = {
    "b": (">b", Byte),
    "B": (">B", _number("B", "unsignedbyte")),
    "s": (">h", _number("s", "short")),
    "u": (">H", _number("u", "unsignedshort")),
    "I": (">i", Number),
    "i": (">I", _number("i", "unsignedint")),
    "l": (">q", Long),
    "L": (">q", Long),
    "T": (">Q", Timestamp),
}


class Single(float):
    """A float of four bytes."""

    __slots__ = ()


class Raw(bytes):
    """The bytes of a value that is only passed on; ``code`` says of which type."""

    code = "x"


_RAW = {code: type(f"Raw{code}", (Raw,), {"code": code}) for code in "DxS"}
_TYPE_NAMES = {"D": "decimal", "x": "binary", "S": "longstr"}


def type_name(value) -> str:
    """What RabbitMQ calls the type of a value in its error texts."""
    if isinstance(value, Number):
        return value.type_name
    if isinstance(value, Raw):
        return _TYPE_NAMES[value.code]
    for kind, name in (
        (bool, "bool"), (int, "signedint"), (str, "longstr"), (dict, "table"), (list, "array"), (Single, "float"),
        (float, "double"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    return "void" if value is None else "binary"


def shown(value) -> str:
    """A value in an error text: strings and numbers as in RabbitMQ's, the rest as Python has them."""
    if isinstance(value, bool):
        return str(value).lower()
    return value[4:].decode(errors="replace") if isinstance(value, Raw) and value.code in "xS" else str(value)


def read_table(data: bytes, at: int, depth: int = 0) -> tuple[dict, int]:
    """The table at ``at`` and where the next field begins. Raises ValueError, IndexError or struct.error."""
    end = _end(data, at)
    table, at = {}, at + 4
    while at < end:
        key_end = at + 1 + data[at]
        key = data[at + 1 : key_end].decode()
        table[key], at = _value(data, key_end, depth)
    if at != end:
        raise ValueError("an entry is longer than its table")
    return table, end


def _value(data, at, depth):
    code = chr(data[at])
    at += 1
    if code in _NUMBERS:
        form, kind = _NUMBERS[code]
        return kind(struct.unpack_from(form, data, at)[0]), at + struct.calcsize(form)
    if code == "S":
        end = _end(data, at)
        text = data[at + 4 : end]
        try:
            return text.decode(), end
        except UnicodeDecodeError:
            return _RAW[code](data[at:end]), end
    if code == "t":
        return data[at] != 0, at + 1
    if code == "d":
        return struct.unpack_from(">d", data, at)[0], at + 8
    if code == "f":
        return Single(struct.unpack_from(">f", data, at)[0]), at + 4
    if code == "V":
        return None, at
    if code in _RAW:
        end = _end(data, at) if code == "x" else at + 5
        if end > len(data):
            raise ValueError("value is cut short")
        return _RAW[code](data[at:end]), end
    if depth >= DEEPEST:
        raise ValueError("tables are nested too deeply")
    if code == "F":
        return read_table(data, at, depth + 1)
    if code == "A":
        end = _end(data, at)
        values, at = [], at + 4
        while at < end:
            value, at = _value(data, at, depth + 1)
            values.append(value)
        if at != end:
            raise ValueError("a value is longer than its array")
        return values, end
    raise ValueError(f"unknown field type {code!r}")


def _end(data, at):
    (size,) = struct.unpack_from(">I", data, at)
    if at + 4 + size > len(data):
        raise ValueError("value is cut short")
    return at + 4 + size


def entry(key: str, value) -> bytes:
    """One entry of a table."""
    name = key.encode()
    return bytes((len(name),)) + name + _bytes(value)


def table_bytes(table: dict) -> bytes:
    """``table`` in its own order, with its length in front. Raises TypeError for what AMQP has no type for."""
    return _sized(b"".join(entry(key, value) for key, value in table.items()))


def _sized(data):
    return len(data).to_bytes(4, "big") + data


def _bytes(value):
    if isinstance(value, Number):
        return value.code.encode() + struct.pack(_NUMBERS[value.code][0], value)
    if isinstance(value, Raw):
        return value.code.encode() + value
    if isinstance(value, dict):
        return b"F" + table_bytes(value)
    if isinstance(value, list):
        return b"A" + _sized(b"".join(_bytes(each) for each in value))
    if isinstance(value, Single):
        return b"f" + struct.pack(">f", value)
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return b"x" + _sized(value)
    return encode.encode_table_value(value)


def entries(data: bytes, at: int, end: int):
    """``(key, bytes of key and value)`` for each entry between ``at`` and ``end``, so that they can be copied."""
    while at < end:
        key_end = at + 1 + data[at]
        _, after = _value(data, key_end, 0)
        yield data[at + 1 : key_end].decode(), data[at:after]
        at = after
