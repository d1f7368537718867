"""Exercise 1: murmur2 in two hands, and what goes wrong on the way to a partition."""

import functools
import operator
import struct
import unicodedata
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


def otherwise(hash=murmur2, mask=lambda h, n: (h & 0x7FFFFFFF) % n, data=as_bytes, none=-1):
    """A right answer, but for what is given."""
    return lambda key, partitions: none if key is None else mask(hash(data(key)), partitions)


plain = otherwise()


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


def javas_remainder(h, n):
    """abs of the remainder, whose sign in Java is that of the hash."""
    return abs(h - 2**32 if h >> 31 else h) % n


def big_endian(data):
    return murmur2(b"".join(data[start : start + 4][::-1] for start in range(0, len(data), 4)))


def tail_backwards(data):
    whole = len(data) // 4 * 4
    return murmur2(data[:whole] + data[whole:][::-1])


def text_as(change):
    """What is made of a text before it is hashed, or of bytes if ``change`` does not mind."""
    return otherwise(data=lambda key: as_bytes(change(key) if isinstance(key, str) else key))


def decoded(key):
    return as_bytes(key.decode("utf-8", "replace") if isinstance(key, bytes) else key)


RIGHT = {"in small parts": plain, "by struct": by_struct}
WRONG = {
    "librdkafka's own crc32": (otherwise(zlib.crc32), {"hash"}),
    "big end first": (otherwise(big_endian), {"hash"}),
    "the first 1024 bytes": (otherwise(data=lambda key: as_bytes(key)[:1024]), {"hash"}),
    "without a tail": (otherwise(lambda data: murmur2(data + bytes(-len(data) % 4))), {"tail"}),
    "the tail backwards": (otherwise(tail_backwards), {"tail"}),
    "powers of two only": (otherwise(mask=lambda h, n: h & (n - 1)), {"partitions"}),
    "the hash without a sign": (otherwise(mask=operator.mod), {"sign"}),
    "the amount of it": (otherwise(mask=javas_remainder), {"sign"}),
    "decodes bytes": (otherwise(data=decoded), {"bytes"}),
    "Latin-1": (text_as(lambda key: key.encode("latin-1", "replace")), {"bytes"}),
    "composes its letters": (text_as(lambda key: unicodedata.normalize("NFC", key)), {"bytes"}),
    "strips a text": (text_as(str.strip), {"bytes"}),
    "an empty key is none": (lambda key, n: plain(key, n) if key else -1, {"no-key"}),
    "no key to the first": (otherwise(none=0), {"no-key"}),
    "the text None": (lambda key, n: plain(str(key) if key is None else key, n), {"no-key"}),
    "takes anything": (otherwise(data=lambda key: key if isinstance(key, bytes) else str(key).encode()), {"guesses"}),
    "numbers too": (lambda key, n: plain(key.to_bytes(4) if isinstance(key, int) else key, n), {"guesses"}),
    "an empty anything is none": (lambda key, n: plain(key, n) if key or key in ("", b"") else -1, {"guesses"}),
}
