"""Exercise 4, measure and decide: options with which a stream that is silent lives behind a middlebox."""

import threading
import time

from servicelab.checks.lab02.lines import channel, serve
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.faults import Down, FaultProxy, Latency
from servicelab.servers import load_version

IDLE, SILENT, WAY = 2.4, 6.6, 0.2  # seconds: of the middlebox, of the stream, and one way through the middlebox
FAR = (2.0, 60.0, 350.0)  # other middleboxes, seconds
prices = load_version("""syntax = "proto3";
package prices;
message Price { double seconds = 1; }
service Prices { rpc Listen(Price) returns (stream Price); }
""")

WORDS = words("""
options: settings returns {"client": {…}, "server": {…}}, names of options with whole numbers
    Which of the two is missing, or has what no option can be?
no-ping: a silent stream lives: a ping passes before the middlebox loses patience
    Which option asks for pings, and in which unit? How long is the line idle before the first?
pings-end: a silent stream lives for as long as it is silent: the pings go on
    How many pings does gRPC send at your pace without any data in between? Any number is as long as a silence may be.
too-many-pings: the server bears the client's pings, one that is early by a tenth as well
    What does a server allow that was told nothing? Is yours a tenth shorter than the client's pace? A name that gRPC
    does not know is ignored without a word.
impatient: a ping may be under way for half a second
    For how long does your client wait for the answer of a ping?
not-noticed: a line that has died is noticed within twice the time of the middlebox
    When is the next ping, and how long after it does your client give up?
unasked: no ping where no call is open
    Which option lets a client ping without a call? Is it wanted here?
pace: two pings or more in the time of the middlebox, whatever it is, and five at the most
    One may be late, on a busy machine; each wakes a radio and costs a server something. What of yours depends on idle?
unprotected: ten pings at once are still too many for the server
    By what do you make it bear your pings: by what it allows, or by what it forgives?
""")


class Line(Stage):
    """What ``settings(idle)`` says, and a server that is run with it."""

    def __init__(self, ask, settings):
        super().__init__(ask, settings)
        self.draw("client", "prices", "Listen", 0.0)
        self.plans = {idle: self.call(settings, idle, returns=dict) for idle in (*FAR, IDLE)}
        for idle, plan in self.plans.items():
            sides = [plan.get(side) for side in ("client", "server")]
            pairs = [pair for side in sides for pair in (side.items() if isinstance(side, dict) else [("", None)])]
            wrong = [at for at, n in pairs if not isinstance(at, str) or type(n) not in (int, bool) or abs(n) >= 2**31]
            if wrong:
                self.refuse("options", f"settings({idle:g}) gave {shown(plan)}")

    def Listen(self, request, context):
        """A price, silence for so many seconds, another price."""
        gone = threading.Event()
        context.add_callback(gone.set)
        yield request
        gone.wait(request.seconds)
        yield request


def cut_when_idle(proxy, call, step=0.05):
    """A middlebox: cuts the connections when nothing has passed for IDLE seconds. Returns whether it did so, and how
    often something passed in the silence of the call."""
    seen, quiet, pings = None, 0, 0  # counted in steps, so that a machine that stands still is no idle line
    while call.is_active() and quiet * step < IDLE:
        time.sleep(step)
        moved = proxy.connections.up
        pings += moved != seen and quiet * step > IDLE / 4
        seen, quiet = moved, 0 if moved != seen else quiet + 1
    if quiet * step >= IDLE:
        proxy.add(Down())
    return quiet * step >= IDLE, pings


check_keepalive = scenario("02", 4, "A silent stream", WORDS, settings=Line)


@check_keepalive.part
def behind_the_middlebox(s):
    client, server = (s.plans[IDLE][side].items() for side in ("client", "server"))
    proxy = s.use(FaultProxy(serve(s, prices, "Prices", s, "prices", options=server), "middlebox"))
    for direction in ("upstream", "downstream"):
        proxy.add(Latency(WAY, direction=direction))
    stub = prices.services.PricesStub(channel(s, "{}:{}".format(*proxy.address), client))
    call = stub.Listen(prices.messages.Price(seconds=SILENT), timeout=SILENT + 3)
    middlebox, stream = s.at_once(lambda: cut_when_idle(proxy, call), lambda: [*call], limit=SILENT + 5)
    (was_cut, pings), error = middlebox.answer, stream.error
    said = f"{error.code().name}, {error.details()}" if error else "the second price"
    code = "pings-end" if pings else "no-ping"
    if error and not was_cut:
        code = "too-many-pings" if "too many" in said.lower() else "impatient"
    second = s.ask.trace.send("prices", "client", "second price", at=SILENT)
    if error:
        s.ask.trace.lose(second, said, at=SILENT)
    else:
        s.ask.trace.receive(second, at=SILENT + WAY)
    yield code, not error, f"{pings} pings had passed in the silence, and then {said}"


@check_keepalive.part
def other_middleboxes(s):
    for idle, plan in s.plans.items():
        client, server = plan["client"], plan["server"]  # and the defaults of the task's table
        period = client.get("grpc.keepalive_time_ms", 2**31)
        patience = client.get("grpc.http2.ping_timeout_ms", 60_000)
        pings = client.get("grpc.http2.max_pings_without_data", 2)
        allowed = server.get("grpc.http2.min_ping_interval_without_data_ms", 300_000)
        strikes = server.get("grpc.http2.max_ping_strikes", 2)
        pace = f"a ping every {period / 1000:g} s" if period < 2**31 else "no ping of the client's"
        told = f"settings({idle:g}): {pace}, and {patience / 1000:g} s for its answer"
        yield "pace", 200 * idle <= period <= 500 * idle, told
        yield "impatient", patience >= 500, told
        yield "not-noticed", period + patience <= 2000 * idle, told
        yield "too-many-pings", allowed <= 0.9 * period, f"{told}, and the server allows one every {allowed / 1000:g} s"
        yield "pings-end", pings == 0 or pings >= 10**4, f"settings({idle:g}): {pings} pings, then one a minute"
        unasked = client.get("grpc.keepalive_permit_without_calls", 0)
        yield "unasked", not unasked, f"settings({idle:g}): the client may ping where no call is open"
        told = f"settings({idle:g}): the server allows a ping every {allowed / 1000:g} s, and {strikes} strikes"
        yield "unprotected", 0 < strikes < 9 and allowed > 0, told
