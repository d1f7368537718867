"""Exercise 4, measure and decide: options with which a silent stream lives behind a middlebox that cuts what is idle.

Three lines at once, each through a proxy of its own: a stream that is silent for long, one whose line dies without a
word, and a channel without a call. Who floods the server speaks HTTP/2 by hand.
"""

import contextlib
import socket
import struct
import threading
import time

import grpc

from servicelab.checks.lab02.lines import channel, plain
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Aside, Stage, scenario, words
from servicelab.faults import Down, FaultProxy, Latency, Timeout
from servicelab.servers import GRPCServer

IDLE, SILENT, WAY = 2.4, 6.6, 0.2  # seconds: of the middlebox, of the stream, and one way through the middlebox
FAR = (2.0, 60.0, 350.0)  # other middleboxes, seconds
TIME, PATIENCE = "grpc.keepalive_time_ms", "grpc.http2.ping_timeout_ms"
FOREVER, MANY = "grpc.http2.max_pings_without_data", 10**4
ALLOWED = "grpc.http2.min_ping_interval_without_data_ms"
PING = 17  # bytes: a frame's head has 9, and a ping 8 (RFC 9113, sections 4.1 and 6.7)
MINUTE = 60_000  # ms, the default for the answer of a ping: measured with grpcio 1.85
DEFAULT = 300_000  # ms between pings that a server allows: gRPC's doc/keepalive.md

WORDS = words("""
options: settings returns {"client": {…}, "server": {…}}, names of options with whole numbers
    Which of the two is missing, or has what no option can be?
no-ping: a silent stream lives: a ping passes before the middlebox loses patience
    Which option asks for pings, and in which unit? How long is the line idle before the first?
pings-end: a silent stream lives for as long as it is silent: the pings go on
    How many pings does gRPC send at your pace without any data in between? Any number is as long as a silence may be.
too-many-pings: the server bears the client's pings, one that is early by a tenth as well
    What does a server allow that was told nothing? A name that gRPC does not know is ignored without a word.
impatient: a ping may be under way for half a second
    For how long does your client wait for the answer of a ping?
not-noticed: a line that has died is noticed within twice the time of the middlebox
    When is the next ping, and how long after it does your client give up?
unasked: no ping where no call is open
    Which option lets a client ping without a call? Is it wanted here?
too-rare: two pings or more in the time of the middlebox, whatever it is
    One ping may be late, on a busy machine. What of yours depends on idle?
too-often: five pings at the most in the time of the middlebox
    Each ping wakes a radio and costs a server something. What of yours depends on idle?
unprotected: ten pings at once are still too many for the server
    By what do you make it bear your pings: by what it allows, or by what it forgives?
""")


class Lines(Stage):
    """What ``settings(idle)`` says, and a server that is run with it."""

    def __init__(self, ask, settings):
        super().__init__(ask, settings)
        self.last = ask.trace.send("client", "prices", "Listen", at=0.0)
        self.plans = {idle: self._plan(idle) for idle in (IDLE, *FAR)}

    def _plan(self, idle):
        plan = self.call(self.yours, idle, returns=dict)
        sides = [plan.get(side) for side in ("client", "server")]
        pairs = [pair for side in sides if isinstance(side, dict) for pair in side.items()]
        whole = all(
            isinstance(name, str) and type(value) in (int, bool) and abs(value) < 2**31 for name, value in pairs
        )
        if not whole or not all(isinstance(side, dict) for side in sides):
            self.refuse("options", f"settings({idle:g}) gave {shown(plan)}")
        return plan

    def serve(self, idle):
        options = list(self.plans[idle]["server"].items())
        add = plain("shop.Prices", "Listen", "unary_stream")
        return self.use(GRPCServer([(add, _listen)], f"prices {idle:g}", options=options))

    def line(self, server, name, *toxics):
        """A proxy before the server, and a method of a channel through it."""
        proxy = self.use(FaultProxy(server, f"{server.name} {name}"))
        for toxic in toxics:
            proxy.add(toxic)
        through = channel(self, "{}:{}".format(*proxy.address), self.plans[IDLE]["client"].items())
        return proxy, through.unary_stream("/shop.Prices/Listen")


def _listen(request, context):
    """A price, silence for so many seconds, another price."""
    gone = threading.Event()
    context.add_callback(gone.set)
    yield b"1"
    gone.wait(float(request or b"9"))
    yield b"2"


class Middlebox:
    """Cuts the connections of a proxy when nothing has passed for IDLE seconds. ``pings``: did anything pass later?"""

    def __init__(self, proxy):
        self.proxy, self.over, self.was_cut, self.pings = proxy, threading.Event(), False, 0
        self.watch = Aside(self._watch)

    def __enter__(self):
        self.watch.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.watch.wait(2.0)

    def _watch(self, step=0.05):
        seen, quiet = None, 0  # counted in steps, so that a machine that stands still is no idle line
        while not self.over.wait(step):
            moved = self.proxy.connections.up
            self.pings += moved != seen and quiet * step > IDLE / 4
            seen, quiet = moved, 0 if moved != seen else quiet + 1
            if quiet * step >= IDLE:
                self.was_cut = True
                self.proxy.add(Down())
                return


def flooded(address) -> bool:
    """Ten pings at once, on a connection with an open stream: does the server say that these are too many?"""
    fields = {":path": "/shop.Prices/Listen", ":authority": "x", "content-type": "application/grpc", "te": "trailers"}
    texts = (part.encode() for pair in fields.items() for part in pair)
    head = [b"\x83\x86", *(b"%b%c%b" % (b"" if at % 2 else b"\0", len(one), one) for at, one in enumerate(texts))]
    opening = _frame(4, 0, 0, b"") + _frame(1, 4, 1, b"".join(head)) + _frame(0, 1, 1, b"\0\0\0\0\x019")
    pings, heard = b"".join(_frame(6, 0, 0, struct.pack(">Q", number)) for number in range(10)), b""
    with socket.create_connection(address, timeout=2) as sock, contextlib.suppress(OSError):
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + opening)
        while heard.count(b"\0\0\x08\x06\x01") < 10 and (data := sock.recv(65536)):  # answers to pings
            heard += data
            if pings and b"\x011" in heard:  # the first price: until then there was data
                sock.sendall(pings)
                pings = b""
    return b"too_many_pings" in heard


def _frame(kind, flags, stream, data):
    return struct.pack(">I", len(data))[1:] + struct.pack(">BBI", kind, flags, stream) + data


check_keepalive = scenario("02", 4, "A silent stream", WORDS, settings=Lines)


@check_keepalive.part
def three_lines_at_once(s):
    server = s.serve(IDLE)
    proxy, listen = s.line(server, "middlebox", Latency(WAY), Latency(WAY, direction="upstream"))
    dying, listen_dying = s.line(server, "dying")
    idle, listen_idle = s.line(server, "idle")
    list(listen_idle(b"0.01", timeout=5))
    prices = listen_dying(b"9", timeout=SILENT + 3)
    next(prices)
    dying.add(Timeout(0))
    dying.add(Timeout(0, direction="upstream"))
    dead = Aside(lambda: next(prices)).start()
    with Middlebox(proxy) as middlebox:
        start, heard, before, error = time.monotonic(), [], 0, ""
        try:
            for price in listen(str(SILENT).encode(), timeout=SILENT + 3):
                before = before or idle.connections.up
                heard.append(price)
        except grpc.RpcError as broken:
            error = f"{broken.code().name}, {broken.details()}"
    told = f"after {time.monotonic() - start:.1f} s of silence: {error or 'the second price'}"
    code = "pings-end" if middlebox.pings else "no-ping"
    if error and not middlebox.was_cut:
        code = "too-many-pings" if "too many" in error.lower() else "impatient"
    s.ask.trace.receive(s.last, "prices", at=WAY)
    second = s.ask.trace.send("prices", "client", "second price", at=SILENT)
    if error:
        s.ask.trace.lose(second, error, at=SILENT)
    else:
        s.ask.trace.receive(second, "client", at=SILENT + WAY)
    yield code, len(heard) == 2, f"{told}, {middlebox.pings} pings had passed"
    dead.wait(max(0.0, start + 2 * IDLE - time.monotonic()))
    told = "it had not been noticed when the silent stream was through"
    yield "not-noticed", isinstance(dead.error, grpc.RpcError), told
    count = (idle.connections.up - before) // PING
    yield "unasked", count < 3, f"some {count} pings went up in {SILENT:g} s on a channel without a call"


@check_keepalive.part
def other_middleboxes(s):
    for idle in FAR:
        plan = s.plans[idle]
        period, allowed = plan["client"].get(TIME, 2**31), plan["server"].get(ALLOWED, DEFAULT)
        patience = plan["client"].get(PATIENCE, MINUTE)
        told = f"settings({idle:g}): a ping every {period / 1000:g} s, and {patience / 1000:g} s for its answer"
        yield "too-rare", period <= 500 * idle, told
        yield "too-often", period >= 200 * idle, told
        yield "impatient", patience >= 500, told
        yield "not-noticed", period + patience <= 2000 * idle, told
        yield "too-many-pings", allowed <= 0.9 * period, f"{told}, and the server allows one every {allowed / 1000:g} s"
        forever = plan["client"].get(FOREVER, 2)
        yield "pings-end", forever == 0 or forever >= MANY, f"settings({idle:g}): {forever} pings, then one a minute"


@check_keepalive.part
def a_flood(s):
    for idle in (IDLE, FAR[-1]):
        told = f"with settings({idle:g}) the server answered all of ten pings"
        yield "unprotected", flooded(s.serve(idle).address), told
