"""Exercise 1: murmur2 in three hands, and what goes wrong on the way to a partition."""

import functools
import hashlib
import operator
import struct
import zlib

M, SEED, ALL = 0x5BD1E995, 0x9747B28C, 0xFFFFFFFF


def murmur2(data):
    h, whole = SEED ^ len(data), len(data) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * M & ALL
        h = (h * M & ALL) ^ ((k ^ k >> 24) * M & ALL)
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * M & ALL
    h = (h ^ h >> 13) * M & ALL
    return h ^ h >> 15


def as_bytes(key):
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes):
        return key
    raise TypeError(f"{key!r} is neither text nor bytes")


def plain(key, partitions):
    return -1 if key is None else (murmur2(as_bytes(key)) & 0x7FFFFFFF) % partitions


def by_struct(key, partitions):
    """Blocks by struct, the tail as a padded block, and match."""
    match key:
        case None:
            return -1
        case str():
            data = key.encode("utf-8")
        case bytes():
            data = key
        case _:
            raise TypeError(type(key).__name__)
    *blocks, last = struct.unpack(f"<{len(data) // 4 + 1}I", data + bytes(4 - len(data) % 4))

    def mix(h, k):
        k = k * M % 2**32
        return h * M % 2**32 ^ (k ^ k >> 24) * M % 2**32

    h = functools.reduce(mix, blocks, SEED ^ len(data))
    if len(data) % 4:
        h = (h ^ last) * M % 2**32
    h = (h ^ h >> 13) * M % 2**32
    return int((h ^ h >> 15) % 2**31) % partitions


class Java:
    """Numbers with a sign, as in Java, byte by byte."""

    def __call__(self, key, partitions):
        if key is None:
            return -1
        if not isinstance(key, str | bytes):
            raise TypeError("a key is text or bytes")
        data = bytearray(key, "utf8") if isinstance(key, str) else bytearray(key)
        return (self.signed(self.murmur2(data)) & 0x7FFFFFFF) % partitions

    def signed(self, number):
        return (number & ALL) - ((number & 0x80000000) << 1)

    def murmur2(self, data):
        h, left = SEED ^ len(data), len(data)
        while left >= 4:
            at = len(data) - left
            k = functools.reduce(operator.or_, (data[at + i] << 8 * i for i in range(4))) * M & ALL
            k ^= k >> 24
            h, left = h * M & ALL ^ k * M & ALL, left - 4
        tail = data[len(data) - left :]
        for i in reversed(range(left)):
            h ^= tail[i] << 8 * i
        if left:
            h = h * M & ALL
        h ^= h >> 13
        h = h * M & ALL
        return h ^ h >> 15


def otherwise(hash=murmur2, mask=lambda h, n: (h & 0x7FFFFFFF) % n, data=as_bytes, none=-1):
    def partition_for(key, partitions):
        return none if key is None else mask(hash(data(key)), partitions)

    return partition_for


def signed(h):
    return h - 2**32 if h >> 31 else h


def javas_remainder(h, n):
    """abs of the remainder, whose sign in Java is that of the hash."""
    return abs(signed(h)) % n


def big_endian(data):
    padded = b"".join(data[start : start + 4][::-1] for start in range(0, len(data), 4))
    return murmur2(padded)


def without_a_tail(data):
    whole = len(data) // 4 * 4
    h = SEED ^ len(data)
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * M & ALL
        h = (h * M & ALL) ^ ((k ^ k >> 24) * M & ALL)
    h = (h ^ h >> 13) * M & ALL
    return h ^ h >> 15


def tail_backwards(data):
    whole = len(data) // 4 * 4
    return murmur2(data[:whole] + data[whole:][::-1])


def stripped(key):
    return as_bytes(key.strip() if isinstance(key, str) else key)


def decoded(key):
    return as_bytes(key.decode("utf-8", "replace") if isinstance(key, bytes) else key)


def latin(key):
    return key.encode("latin-1", "replace") if isinstance(key, str) else as_bytes(key)


def ascii_only(key):
    return key.encode("ascii", "ignore") if isinstance(key, str) else as_bytes(key)


def normal(key):
    import unicodedata

    return unicodedata.normalize("NFC", key).encode() if isinstance(key, str) else as_bytes(key)


def through_text(key):
    return as_bytes(key if isinstance(key, bytes) else str(key))


def anything(key, partitions):
    return plain(key if key is None else through_text(key), partitions)


def numbers_too(key, partitions):
    """A whole number as Java's IntegerSerializer writes it."""
    return plain(key.to_bytes(4, "big") if isinstance(key, int) else key, partitions)


def falsy(key, partitions):
    return plain(key, partitions) if key else -1


def empty_to_the_first(key, partitions):
    return plain(key, partitions) if key is None or len(key) else 0


RIGHT = {"in small parts": plain, "by struct": by_struct, "as in Java": Java()}
WRONG = {
    "librdkafka's own crc32": (otherwise(zlib.crc32), {"hash"}),
    "another hash": (otherwise(lambda data: int(hashlib.md5(data).hexdigest(), 16)), {"hash"}),
    "big end first": (otherwise(big_endian), {"hash"}),
    "without a tail": (otherwise(without_a_tail), {"tail"}),
    "the tail backwards": (otherwise(tail_backwards), {"tail"}),
    "powers of two only": (otherwise(mask=lambda h, n: h & (n - 1)), {"partitions"}),
    "one partition less": (
        otherwise(mask=lambda h, n: (h & 0x7FFFFFFF) % (n if n == 8 else max(1, n - 1))),
        {"partitions"},
    ),
    "the hash without a sign": (otherwise(mask=operator.mod), {"sign"}),
    "the amount of it": (otherwise(mask=javas_remainder), {"sign"}),
    "Python's remainder": (otherwise(mask=lambda h, n: signed(h) % n), {"sign"}),
    "decodes bytes": (otherwise(data=decoded), {"bytes"}),
    "lower case": (otherwise(data=lambda key: as_bytes(key).lower()), {"bytes"}),
    "Latin-1": (otherwise(data=latin), {"bytes"}),
    "ASCII": (otherwise(data=ascii_only), {"bytes"}),
    "composes its letters": (otherwise(data=normal), {"bytes"}),
    "strips a text": (otherwise(data=stripped), {"bytes"}),
    "an empty key is none": (falsy, {"empty-key"}),
    "an empty key comes first": (empty_to_the_first, {"empty-key"}),
    "no key to the first": (otherwise(none=0), {"no-key"}),
    "the text None": (lambda key, n: plain(str(key) if key is None else key, n), {"no-key"}),
    "None for None": (otherwise(none=None), {"wrong-type"}),
    "takes anything": (anything, {"guesses"}),
    "numbers too": (numbers_too, {"guesses"}),
    "an empty anything is none": (
        lambda key, n: -1 if key != b"" and key != "" and not key else plain(key, n),
        {"guesses"},
    ),
    "whatever bytes takes": (
        otherwise(data=lambda key: key.encode() if isinstance(key, str) else bytes(key)),
        {"guesses"},
    ),
    "the first 1024 bytes": (otherwise(data=lambda key: as_bytes(key)[:1024]), {"hash"}),
}
