"""Exercise 5, from production: when does compressing pay? On a clock that the check keeps."""

import gzip
import json
import random
import zlib
from functools import cache

import numpy as np

from servicelab.checks.scenario import Stage, scenario, words

MOST = 32 * 1024  # bytes that should_compress may let the processor compress
EARLIER = 20_000_000  # bytes that it has compressed before


class Processor:
    """A processor that compresses ``speed`` bytes per second. ``seconds`` is how long it has worked so far.

    It keeps a clock of its own, so a thousandth of a second is the same here on a busy machine as on an idle one.
    """

    def __init__(self, speed: float):
        self._speed, self._bytes = speed, 0

    @property
    def seconds(self) -> float:
        return self._bytes / self._speed

    def compress(self, data: bytes) -> bytes:
        """``gzip.compress(data, 6)``, and the time that it takes."""
        self._bytes += len(data)
        return gzip.compress(data, 6)


WORDS = words("""
too-much: it lets the processor compress at most 32 kB (rule 4)
    Who compresses everything in order to decide has paid already. How much of the body do you need to see?
slow-line: a text on a slow line is compressed, a short one, too, if the line is slow enough
    What takes longer, the saved bytes on the line or the processor's effort?
quick-processor: text is compressed when the processor is quicker than the line
    How many bytes per second does this processor shrink, and how many does the line carry?
slow-processor: the same text on the same line is not compressed by a processor that is slower than the line
    What differs from the case before? Where do you look at it?
fast-line: a text that shrinks well is sent as it is on a fast line
    How long would it be on the line, and how long does the processor take?
dense: what does not shrink is sent as it is, on a slow line, too: few bytes, a zipped file, a photograph
    How much of it is saved? Its length does not tell you.
loopback: nothing is compressed for next door (rule 2)
    None means that the line takes no time. What is there to gain?
""")


@cache
def parcels(size: int) -> bytes:
    """So many bytes of text that shrinks to about a third."""
    rng = random.Random(size)
    lines = [
        json.dumps({"parcel": f"{rng.getrandbits(64):016x}", "to": f"{rng.randrange(99)} Mill Lane", "state": "sent"})
        for _ in range(size // 60)
    ]
    return "\n".join(lines).encode()[:size]


#: By title: code, the body, what the line carries and what the processor compresses (bytes/s), does it pay?
CASES = {
    "a text on a slow line": ("slow-line", lambda: parcels(200_000), 1e6, 5e7, True),
    "a short text on a slower line": ("slow-line", lambda: parcels(12_000), 4e4, 5e6, True),
    "a quick processor": ("quick-processor", lambda: parcels(300_000), 3e6, 2e7, True),
    "a slow processor": ("slow-processor", lambda: parcels(300_000), 3e6, 1e6, False),
    "a fast line": ("fast-line", lambda: parcels(300_000), 2e8, 5e7, False),
    "thirteen bytes": ("dense", lambda: b'{"paid": true}', 1e4, 5e7, False),
    "a zipped file": ("dense", lambda: zlib.compress(parcels(400_000), 9), 1e6, 5e7, False),
    "a photograph": ("dense", lambda: random.Random(5).randbytes(300_000), 1e4, 5e7, False),
    "next door": ("loopback", lambda: parcels(200_000), None, 5e7, False),
}


class Shipping(Stage):
    """Decides about one body, and shows in the trace when it would arrive either way."""

    def ship(self, code, body, line, speed, pays):
        body, mine, theirs, ways = body(), Processor(speed), Processor(speed), []
        theirs._bytes = EARLIER
        packed = len(mine.compress(body))
        for name, start, size in (("plain", 0.0, len(body)), ("gzip", mine.seconds, packed)):
            arrives = start + (size / line if line else 0.0)
            self.last = self.ask.trace.send("shipping", "client", f"{name}, {size:,} bytes", at=start)
            self.ask.trace.receive(self.last, "client", at=arrives)
            ways.append((self.last, f"{name} {size:,} bytes after {arrives * 1e3:.3g} ms"))
        decision = bool(self.call(self.yours, body, line, theirs, returns=(bool, np.bool_), limit=4.0))
        self.last, done = ways[decision][0], theirs._bytes - EARLIER
        yield "too-much", done <= MOST, f"it compressed {done:,} bytes"
        where = f"at {line / 1e6:g} MB/s" if line else "on the loopback"
        told = f"{where} {ways[0][1]}, {ways[1][1]}; should_compress said {decision}"
        yield code, decision == pays, told


check_compression = scenario("01", 5, "To compress or not", WORDS, go_on=True, should_compress=Shipping)
check_compression.parts(CASES, Shipping.ship)
