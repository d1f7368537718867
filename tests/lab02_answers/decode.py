"""Exercise 1: three ways to read bytes, and the ways to misread them."""

import io
import struct


def varint(data, at):
    number = shift = 0
    for _ in range(10):
        if at >= len(data):
            raise ValueError("cut in a number")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    raise ValueError("more than ten bytes")


def fields(data):
    found, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 2, 5):
            length, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise ValueError("cut in its bytes")
        else:
            raise ValueError(f"type {kind}")
        found.append((tag >> 3, kind, value))
    return found


def signed(number):
    return number - 2**64 if number >= 2**63 else number


def zigzag(number):
    return -(number + 1) // 2 if number % 2 else number // 2


class Reader:
    """A stream that is read to its end; every read is whole or an error."""

    def __init__(self, data):
        self.stream = io.BytesIO(data)

    def take(self, count):
        got = self.stream.read(count)
        if len(got) != count:
            raise ValueError(f"{count} bytes wanted, {len(got)} there")
        return got

    def varint(self):
        byte, digits = 128, []
        while byte & 128:
            (byte,) = self.take(1)
            digits.append(byte & 127)
            if len(digits) > 10:
                raise ValueError("endless")
        return sum(digit * 128**place for place, digit in enumerate(digits))

    def __iter__(self):
        while byte := self.stream.read(1):
            self.stream.seek(-len(byte), io.SEEK_CUR)
            number, kind = divmod(self.varint(), 8)
            try:
                read = {
                    0: self.varint,
                    1: lambda: self.take(8),
                    2: lambda: self.take(self.varint()),
                    5: lambda: self.take(4),
                }
                yield [number, kind, read[kind]()]
            except KeyError:
                raise ValueError(f"no such type: {kind}") from None


def by_recursion(data):
    if not data:
        return []
    tag, at = varint(data, 0)
    number, kind = tag // 8, tag % 8
    match kind:
        case 0:
            value, at = varint(data, at)
        case 2:
            length, start = varint(data, at)
            value, at = bytes(data[start : start + length]), start + length
        case 1 | 5:
            at, start = at + (8 if kind == 1 else 4), at
            value = bytes(data[start:at])
        case _:
            raise ValueError(kind)
    if at > len(data):
        raise ValueError("cut")
    return [(number, kind, value), *by_recursion(data[at:])]


def signed_by_struct(number):
    return struct.unpack("<q", struct.pack("<Q", number))[0]


def zigzag_by_bits(number):
    return (number >> 1) ^ -(number & 1)


# -- mistakes ------------------------------------------------------------------------------------------


def reads(
    tag=varint, number=varint, length=varint, split=lambda tag: (tag >> 3, tag & 7), fixed=8, whole=True, skip=()
):
    """A ``fields`` like the first one, with one thing done otherwise."""

    def fields(data):
        found, at = [], 0
        while at < len(data):
            value, at = tag(data, at)
            field, kind = split(value)
            if kind == 0:
                value, at = number(data, at)
            elif kind in (1, 2, 5):
                size, at = length(data, at) if kind == 2 else ({1: fixed, 5: 4}[kind], at)
                value, at = data[at : at + size], at + size
                if whole and at > len(data):
                    raise ValueError("cut in its bytes")
            elif kind in skip:
                continue
            else:
                raise ValueError(f"type {kind}")
            found.append((field, kind, value))
        return found

    return fields


def one_byte(data, at):
    if at >= len(data):
        raise ValueError("cut")
    return data[at], at + 1


def highest_first(data, at):
    start, (_, at) = at, varint(data, at)
    number = 0
    for byte in data[start:at]:
        number = number << 7 | byte & 127
    return number, at


def with_the_flag(data, at):
    start, (_, at) = at, varint(data, at)
    return sum(byte << 7 * place for place, byte in enumerate(data[start:at])), at


def nine_bytes(data, at):
    number, end = varint(data, at)
    return number & 2**63 - 1, end


def without_end(data, at):
    number = shift = 0
    while at < len(data):
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at
    raise ValueError("cut")


def as_a_dict(data):
    return [(field, kind, value) for (field, kind), value in {one[:2]: one[2] for one in fields(data)}.items()]


def never_empty(data):
    if not data:
        raise ValueError("no message")
    return fields(data)


def changed(kinds, change):
    def changed_fields(data):
        return [(field, kind, change(value) if kind in kinds else value) for field, kind, value in fields(data)]

    return changed_fields


as_text = changed([2], lambda value: value.decode(errors="replace"))
fixed_as_numbers = changed([1, 5], lambda value: int.from_bytes(value, "little"))


def index_error(data):
    """It notices, and says it in Python's words."""
    try:
        return fields(data)
    except ValueError as error:
        raise IndexError(*error.args) if "cut" in str(error) else error from None


def zigzag_by_float(number):
    return -int((number + 1) / 2) if number % 2 else int(number / 2)


def either_signed(number):
    """Who takes an int32 for one that is sent in 32 bits."""
    return number - 2**32 if 2**31 <= number < 2**32 else signed(number)


def signed_32(number):
    return number - 2**32 if number >= 2**31 else number


RIGHT = {
    "a loop": (fields, signed, zigzag),
    "a stream": (lambda data: list(Reader(data)), signed_by_struct, zigzag_by_bits),
    "recursion": (by_recursion, lambda number: (number + 2**63) % 2**64 - 2**63, zigzag_by_bits),
}
_FIELDS = {
    "the tag is not split": (reads(split=lambda tag: (tag, tag & 7)), {"tag"}),
    "the highest first": (reads(number=highest_first), {"groups"}),
    "the flag is kept": (reads(number=with_the_flag), {"groups"}),
    "63 bits": (reads(number=nine_bytes), {"groups"}),
    "a tag has one byte": (reads(tag=one_byte), {"long-tag"}),
    "a length has one byte": (reads(length=one_byte), {"text"}),
    "as text": (as_text, {"text"}),
    "a bytearray": (changed([2], bytearray), {"text"}),
    "memory views": (
        lambda data: [(*head, v if isinstance(v, int) else memoryview(v)) for *head, v in fields(data)],
        {"text"},
    ),
    "a tuple of triples": (lambda data: tuple(fields(data)), {"wrong-type"}),
    "doubles of four bytes": (reads(fixed=4), {"fixed"}),
    "fixed as numbers": (fixed_as_numbers, {"fixed"}),
    "a dict": (as_a_dict, {"again"}),
    "an empty message is none": (never_empty, {"empty"}),
    "a slice is never too short": (reads(whole=False), {"cut"}),
    "IndexError": (index_error, {"cut"}),
    "everything else is skipped": (reads(skip=(3, 4, 6, 7)), {"unknown-type"}),
    "no end": (reads(number=without_end), {"endless"}),
    "no end of a tag": (reads(tag=without_end), {"endless"}),
    "no end of a length": (reads(length=without_end), {"endless"}),
}
WRONG = {name: ((answer, signed, zigzag), codes) for name, (answer, codes) in _FIELDS.items()} | {
    "32 bits, or 64": ((fields, either_signed, zigzag), {"signed"}),
    "32 bits": ((fields, signed_32, zigzag), {"signed"}),
    "a float": ((fields, signed, zigzag_by_float), {"zigzag"}),
}
