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
slow-line: long text on a slow line is compressed
    What takes longer, the saved bytes on the line or the processor's effort?
small: a short text on a very slow line is compressed
    It is not long, but how long does it take on this line?
quick-processor: text is compressed when the processor is quicker than the line
    How many bytes per second does this processor shrink, and how many does the line carry?
slow-processor: the same text on the same line is not compressed by a processor that is slower than the line
    What differs from the case before? Where do you look at it?
fast-line: a list that shrinks well is sent as it is on a fast line
    How long would it be on the line, and how long does the processor take?
tiny: thirteen bytes are sent as they are
    How long are they when they are compressed?
zipped: a file that is compressed already is sent as it is
    How much of it is saved? Its length does not tell you.
random: a photograph is sent as it is, on a slow line, too
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


#: code: the body, what the line carries (bytes/s, None: the loopback), what the processor compresses (bytes/s), pays?
CASES = {
    "slow-line": (lambda: parcels(200_000), 1e6, 5e7, True),
    "small": (lambda: parcels(12_000), 4e4, 5e6, True),
    "quick-processor": (lambda: parcels(400_000), 3e6, 1e8, True),
    "slow-processor": (lambda: parcels(400_000), 3e6, 1e6, False),
    "fast-line": (lambda: parcels(1_000_000), 2e8, 5e7, False),
    "tiny": (lambda: b'{"paid": true}', 1e4, 5e7, False),
    "zipped": (lambda: zlib.compress(parcels(600_000), 9), 1e6, 5e7, False),
    "random": (lambda: random.Random(5).randbytes(300_000), 1e4, 5e7, False),
    "loopback": (lambda: parcels(500_000), None, 5e7, False),
}


class Shipping(Stage):
    """Decides about one body, and shows in the trace when it would arrive either way."""

    def decide(self, body, line, processor):
        """The decision, and both ways in words."""
        mine = Processor(processor._speed)
        after, effort = len(mine.compress(body)), mine.seconds
        ways = []
        for name, start, size in (("plain", 0.0, len(body)), ("gzip", effort, after)):
            took = size / line if line else 0.0
            id = self.ask.trace.send("shipping", "client", f"{name}, {size:,} bytes", at=start)
            self.ask.trace.receive(id, "client", at=start + took)
            ways.append((f"{name} {size:,} bytes after {(start + took) * 1e3:.3g} ms", id))
        self.last = ways[0][1]
        decision = bool(self.call(self.yours, body, line, processor, returns=(bool, np.bool_), limit=4.0))
        self.last = ways[decision][1]
        where = f"at {line / 1e6:g} MB/s" if line else "on the loopback"
        return decision, f"{where} {ways[0][0]}, {ways[1][0]}; should_compress said {decision}"


check_compression = scenario("01", 5, "To compress or not", WORDS, go_on=True, should_compress=Shipping)


def case(code):
    def part(s):
        body, line, speed, pays = CASES[code]
        processor = Processor(speed)
        processor._bytes = EARLIER
        decision, told = s.decide(body(), line, processor)
        done = processor._bytes - EARLIER
        yield "too-much", done <= MOST, f"it compressed {done:,} bytes"
        yield code, decision == pays, told

    part.__name__ = code.replace("-", "_")
    return part


for code in CASES:
    check_compression.part(case(code))
