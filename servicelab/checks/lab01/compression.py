"""Exercise 5, measure and decide: when does compressing pay? Each case is measured on a real wire, there and then."""

import gzip
import json
import random
import time
import zlib

import numpy as np
import requests
from flask import Flask, Response, request

from servicelab.checks.exercise import exercise
from servicelab.checks.section import section
from servicelab.checks.stall import calmly
from servicelab.clients import traced
from servicelab.faults import Bandwidth, FaultProxy
from servicelab.servers import serve

#: With gzip ÷ without: below the first it pays, above the second it costs, between them either answer is fine.
PAYS, COSTS = 0.7, 1.4
#: Saving less than this share of the bytes is no gain on any line.
SOME = 0.02


def _text(size, seed):
    rng = random.Random(seed)
    lines = [
        json.dumps({"parcel": f"{rng.getrandbits(64):016x}", "to": f"{rng.randrange(99)} Mill Lane", "state": "sent"})
        for _ in range(size // 60)
    ]
    return "\n".join(lines).encode()[:size]


#: code: what it is, the body, the speed of the line in bytes/s (None: the loopback), a hint for whoever gets it wrong.
CASES = {
    "text-slow": ("a list of parcels", _text(200_000, 1), 1e6, "Long text on a slow line: what takes longer, the saved "
                  "bytes on the line or the processor's effort?"),
    "text-fast": ("a longer list", _text(400_000, 2), 2e6, "The processor shrinks this faster than that line carries "
                  "it. Find out how many bytes per second yours can compress."),
    "small-slow": ("a short list", _text(12_000, 3), 4e4, "Not long, but on this line each byte is dear."),
    "tiny": ("one status", b'{"paid": true}', 1e6, "gzip adds a header and a check sum, about 20 bytes: what it saves "
             "here is less than that."),
    "zipped": ("a file that is compressed already", zlib.compress(_text(300_000, 4), 9), 1e6,
               "It does not shrink. You cannot see that from its length: try it, on a piece of the body."),
    "random": ("a photograph, as good as random", random.Random(5).randbytes(800_000), 2e7,
               "It does not shrink, and trying costs time. Compress a few kB of it and look how long they become."),
    "text-faster": (
        "a long list",
        _text(1_500_000, 7),
        1.5e8,
        "It shrinks well, and yet the line is done before the processor is. Put both times on the scales.",
    ),
    "loopback": ("a very long list", _text(2_000_000, 6), None, "None means next door: the line costs nothing, so "
                 "there is nothing to gain."),
}  # fmt: skip


@exercise("01", 5, "To compress or not", limit=60.0)
def check_compression(ask, should_compress):
    """Measure bodies of every kind, with and without gzip, and compare ``should_compress(body, bytes_per_second)``."""
    for code in CASES:
        with section(ask):
            _examine(ask, should_compress, code)


def _examine(ask, should_compress, code):
    name, body, speed, hint = CASES[code]
    decision = bool(ask.call(should_compress, body, speed, returns=(bool, np.bool_), limit=4.0))
    runs = 1 if speed and len(body) / speed > 0.08 else 3
    with serve(_archive(), "shipping", trace=ask.trace) as server, FaultProxy(server) as line:
        if speed:
            line.add(Bandwidth(speed))
        plain, plain_call = _seconds(ask, line.url, code, "identity", runs)
        packed, packed_call = _seconds(ask, line.url, code, "gzip", runs)
    after = len(gzip.compress(body, 6))
    right = _verdict(len(body), after, plain, packed)
    where = f"at {speed / 1e6:g} MB/s" if speed else "on the loopback"
    what = (
        f"{name} {where}: {len(body):,} bytes in {plain * 1e3:.0f} ms, compressed {after:,} in "
        f"{packed * 1e3:.0f} ms, so {_WORDS[right]}"
    )
    happened = f"should_compress(body, {speed}) said {decision}"
    ask.expect(code, what, right in (None, decision), happened, hint, packed_call if decision else plain_call)


_WORDS = {True: "compress", False: "do not compress", None: "either will do"}


def _verdict(before, after, plain, packed):
    """Does it pay? None when the measurement is too close to call."""
    if before - after < SOME * before:
        return False
    if packed < PAYS * plain:
        return True
    return False if packed > COSTS * plain else None


def _seconds(ask, url, code, coding, runs):
    """The shortest of so many calls in seconds, and the id of the last one."""
    took = []

    def call():
        start = time.perf_counter()
        web.get(f"{url}/{code}/{coding}", timeout=10)
        took.append(time.perf_counter() - start)

    with traced(requests.Session(), ask.trace, "client") as web:
        web.headers["Accept-Encoding"] = coding
        for _ in range(runs):
            calmly(call)
    return min(took), ask.trace.calls[-1].id


def _archive():
    app = Flask("shipping")

    @app.get("/<code>/<coding>")
    def parcels(code, coding):
        body = CASES[code][1]
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return Response(gzip.compress(body, 6), headers={"Content-Encoding": "gzip"})
        return Response(body)

    return app
