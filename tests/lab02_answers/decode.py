"""Exercise 1: three ways to read bytes, and the ways to misread them."""

import io
import struct

from tests.lab11_answers import but


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
                raise ValueError("no-field")
        return sum(digit * 128**place for place, digit in enumerate(digits))

    def __iter__(self):
        while byte := self.stream.read(1):
            self.stream.seek(-len(byte), io.SEEK_CUR)
            number, kind = divmod(self.varint(), 8)
            try:
                sizes = {1: lambda: 8, 2: self.varint, 5: lambda: 4}
                yield [number, kind, self.take(sizes[kind]()) if kind else self.varint()]
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

highest_first = but(varint, "number |= (byte & 127) << shift => number = number << 7 | byte & 127")
with_the_flag = but(varint, "byte & 127 => byte")
nine_bytes = but(varint, "range(10) => range(9)")
without_end = but(varint, "range(10) => range(10**9)")
TAG, NUMBER, LENGTH = "tag, at = varint", "value, at = varint", "length, at = varint"
FOUND, BYTES = "found.append((tag >> 3, kind, value))", "data[at : at + length]"


def either_signed(number):
    """Who takes an int32 for one that is sent in 32 bits."""
    return number - 2**32 if 2**31 <= number < 2**32 else signed(number)


def zigzag_by_float(number):
    return -int((number + 1) / 2) if number % 2 else int(number / 2)


RIGHT = {
    "a loop": (fields, signed, zigzag),
    "a stream": (lambda data: list(Reader(data)), signed_by_struct, zigzag_by_bits),
    "recursion": (by_recursion, lambda number: (number + 2**63) % 2**64 - 2**63, zigzag_by_bits),
}
_FIELDS = {
    "the tag is not split": ("tag >> 3 => tag", "tag"),
    "the highest first": (f"{NUMBER} => value, at = highest_first", "groups"),
    "the flag is kept": (f"{NUMBER} => value, at = with_the_flag", "groups"),
    "nine bytes": (f"{NUMBER} => value, at = nine_bytes", "groups"),
    "a tag has one byte": (f"{TAG}(data, at) => tag, at = data[at], at + 1", "long-tag"),
    "a length has one byte": (f"{LENGTH}(data, at) => length, at = (data[at], at + 1)", "text"),
    "as text": (f"{FOUND} => found.append((tag >> 3, kind, str(value, 'latin') if kind == 2 else value))", "text"),
    "a bytearray": (f"{BYTES} => bytearray({BYTES})", "text"),
    "a tuple of triples": ("return found => return tuple(found)", "wrong-type"),
    "doubles of four bytes": ("{1: 8 => {1: 4", "fixed"),
    "fixed as numbers": (f"{FOUND} => value = value if kind in (0, 2) else sum(value)\n        {FOUND}", "fixed"),
    "a dict": (
        "return found => return [(*two, last) for two, last in {one[:2]: one[2] for one in found}.items()]",
        "list",
    ),
    "an empty message is none": ("[], 0 => [], 0 if data else varint(data, 0)", "list"),
    "a slice is never too short": ("at > len(data) => not data", "cut"),
    "IndexError": ('raise ValueError("cut in its bytes") => raise IndexError', "cut"),
    "everything else is skipped": ('raise ValueError(f"type {kind}") => continue', "no-field"),
    "no end": (f"{NUMBER} => value, at = without_end", "no-field"),
    "no end of a tag": (f"{TAG} => tag, at = without_end", "no-field"),
    "no end of a length": (f"{LENGTH} => length, at = without_end", "no-field"),
}
WRONG = {name: ((but(fields, change), signed, zigzag), {code}) for name, (change, code) in _FIELDS.items()} | {
    "32 bits, or 64": ((fields, either_signed, zigzag), {"signed"}),
    "32 bits": ((fields, lambda number: number - 2**32 if number >= 2**31 else number, zigzag), {"signed"}),
    "a float": ((fields, signed, zigzag_by_float), {"zigzag"}),
}
