"""Exercise 3, repair: a deadline that travels down a chain of three real services.

Nothing here is timed with a stopwatch: what decides is which steps of work were begun, what the headers said, and
which of two events came first. The margins are a second wide.
"""

import time

import requests
from flask import Flask, request

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.lifecycle import ServerError
from servicelab.servers import serve
from servicelab.trace import from_traceparent

HEADER = "Time-Left"
NAMES = ("gateway", "orders", "payment")
STEP = 0.1  # seconds that one step of work takes
SLACK = 0.02  # seconds for rounding; what else takes time is on the safe side of both bounds

WORDS = words(f"""
wrong-type: make_hop returns a Flask app, a fresh one each time
    Does it end with the app that it made?
dropped, other-session: each hop calls the next one with its `web`, and hands the header down
    What do you call the next service with, and which headers has this call?
no-number: … as a number of seconds
    What would the next service make of it? Seconds, as text.
unchanged: … with less in it than came in
    What has gone of it by the time that you call the next one?
absolute: … as seconds that are left, not as a time of day
    Two machines do not agree on what time it is.
restarted: … and says no more than what came in minus its own work
    When does your clock start, and from what?
too-little: … and no less than what came in minus what has passed since
    What else do you take off?
no-default: without the header it hands down what is left of 2 s
    How long do you allow when nobody has said anything?
steps-left-out: each did all of its steps, in order, for this customer and for the next
    What is left of `steps` after the first order?
leisure: with 1.5 s left and work of half a second the order goes through: 200 and what payment answers
    Nothing is late here.
needs-header: without the header the order goes through
    Not everybody knows our header.
zero-calls, zero-works, zero-status: called with {HEADER}: 0.000 or less: 504, no work, and no further call
    0 is a time, too, and not the same as no header. Where do you look first?
calls-too-late: its own work used up the time: the next service is not called
    Where do you look at the clock for the last time before the call?
work-goes-on: … and it stops working when nobody waits any more
    How often do you look at the clock while you work?
late-status, paid-too-late: … and it says 504, the last service, which has nobody to call, as well
    What does a caller learn from your status? Where does your code say "paid"?
waits-too-long: 1.5 s come to orders, 1.2 s of them are gone when it calls payment, which takes 0.9 s: it gives up
    How long is your call of the next service willing to wait, and when do you work that out?
timeout-is-500: … and answers 504
    What does requests do when the time is up, and what does Flask make of that?
work-for-nobody: payment has 2.5 s of work, 0.6 s are left: it stops when nobody waits
    It is the last of the chain. Does it know how long it has, and does it look?
answer-changed: whatever payment says, its text and status come back to the client
    What do you return of an answer that came in time?
""")


class Chain(Stage):
    """gateway → orders → payment, each made by the learner's function, each with work that notes its steps."""

    def __init__(self, ask, make_hop):
        super().__init__(ask, make_hop)
        self.urls, self.servers = {}, []
        self.did = dict.fromkeys(NAMES, 0)  # steps of work that were begun
        self.order = []  # (service, number of the step)
        self.web = self.use(traced(requests.Session(), ask.trace, "client"))

    def start(self, payment_app=None, **steps):
        """Start the three services; ``gateway=3`` gives it three steps, a float is one long step of so many seconds.
        ``payment_app`` is a payment of the check's own."""
        below = None
        for name in reversed(NAMES):
            app = payment_app if below is None and payment_app else self._made(name, steps.get(name, 1), below)
            try:
                app.before_request(lambda name=name: self._note(name))
                self.servers.append(self.use(serve(app, name, trace=self.ask.trace)))
            except (AssertionError, ServerError) as error:
                self.refuse("wrong-type", f"{name}: {error}")
            self.urls[name] = below = self.servers[-1].url + "/charge"

    def _made(self, name, steps, below):
        web = self.use(traced(requests.Session(), self.ask.trace, name))
        seconds, count = (steps, 1) if isinstance(steps, float) else (STEP, steps)
        work = [lambda number=number: self._step(name, seconds, number) for number in range(count)]
        app = self.call(self.yours, name, work, below, web)
        if not hasattr(app, "before_request"):
            self.refuse("wrong-type", f"it returned {shown(app)}")
        return app

    def _step(self, name, seconds, number):
        self.did[name] += 1
        self.order.append((name, number))
        start = time.monotonic()
        time.sleep(seconds)
        self.worked[name] += time.monotonic() - start

    def _note(self, name):
        id = (from_traceparent(request.headers.get("traceparent")) or (None, None))[1]
        self.got.append((name, request.headers.get(HEADER), id))

    def send(self, left, to="gateway"):
        """One call with so much time left (a text, or None for no header): ``(status or None, text, how it went)``."""
        self.got = []  # (service, value of the header, id of the call), in order of arrival, of this call alone
        self.worked = dict.fromkeys(NAMES, 0.0)  # seconds of work that were done for it
        try:
            headers = {} if left is None else {HEADER: left}
            answer = self.web.post(self.urls[to], headers=headers, timeout=6)
            told = f"{to} answered {answer.status_code}"
        except requests.RequestException as error:
            answer, told = None, f"{to} did not answer: {type(error).__name__}"
        self.client = [call for call in self.ask.trace.calls if call.caller == "client"][-1]
        self.last = self.client.id
        errors = [line for server in self.servers for line in server.errors]
        if answer is not None and answer.status_code == 500 and errors:
            told += f"; its traceback ends with\n  {errors[-1].strip().splitlines()[-1]}"
        return getattr(answer, "status_code", None), getattr(answer, "text", ""), told

    def header_at(self, name):
        """What the header said when it came to ``name``, or None; that call is marked."""
        came = next(((value, id) for who, value, id in self.got if who == name), (None, self.last))
        self.last = came[1] or self.last
        return came[0]

    def handed_down(self, above, name, said):
        """What is wrong with the header at ``name``, when ``said`` seconds came to ``above``: ``(code, words)``, the
        code None if nothing is."""
        calls, came = {call.callee: call for call in self.ask.trace.calls}, self.header_at(name)
        if came is None:
            return (
                ("dropped", f"{name} was called without it") if name in calls else ("leisure", f"{name} was not called")
            )
        try:
            value = float(came)
        except ValueError:
            return "no-number", f"the header said {came!r}"
        if name not in calls:
            return "other-session", f"{name} was called, and not with it"
        since = calls[name].start - calls[above].start
        told = (
            f"{said:.3f} s came to {above}, which worked for {self.worked[above]:.3f} s and handed down {value:.3f} s"
        )
        if abs(value - said) < 0.002:
            return "unchanged", told
        if value > 1000:
            return "absolute", told
        if value > said - self.worked[above] + SLACK:
            return "restarted", told
        return "too-little" if value < said - since - SLACK else None, told


check_deadline = scenario("10", 3, "A deadline down the chain", WORDS, go_on=True, make_hop=Chain)
part = check_deadline.part


@part
def at_leisure(c):
    c.start(gateway=2, orders=2, payment=1)
    status, _, told = c.send("1.500")
    client, said = c.last, 1.5
    for above, name in zip(NAMES, NAMES[1:]):
        code, happened = c.handed_down(above, name, said)
        if code:  # all that comes later rests on it
            c.refuse(code, f"{happened}; {told}" if code == "leisure" else happened)
        said = float(c.header_at(name))
    c.last = client
    if status != 200:
        c.refuse("leisure", told)
    yield "leisure", True, told
    c.send("1.500")
    told = ", ".join(f"{name} {number + 1}" for name, number in c.order)
    steps = [(name, number) for name in NAMES for number in range(1 if name == "payment" else 2)]
    yield "steps-left-out", c.order == steps * 2, f"of 2, 2 and 1 steps these were done, twice: {told}"


@part
def nothing_left(c):
    c.start()
    for name in NAMES:
        for left in ("0.000", "-0.200"):
            before = sum(c.did.values())
            status, _, told = c.send(left, name)
            worked = sum(c.did.values()) - before
            code = "zero-calls" if len(c.got) > 1 else "zero-works" if worked else "zero-status"
            right = status == 504 and not worked and len(c.got) == 1
            yield code, right, f"{HEADER}: {left} came to {name}. {told}; {worked} steps of work were done"


@part
def used_up_in_one_step(c):
    c.start(gateway=0.4)
    status, _, told = c.send("0.200")
    went_on = c.header_at("orders")
    told += f" after one step of 0.4 s, and orders was called with {HEADER}: {went_on}"
    yield "calls-too-late", len(c.got) == 1, told
    yield "late-status", status == 504, told
    status, _, told = c.send("0.050", "payment")
    code = "paid-too-late" if status == 200 else "late-status"
    yield code, status == 504, f"{HEADER}: 0.050 came to payment, its one step takes 0.1 s. {told}"


@part
def used_up_in_many_steps(c):
    c.start(gateway=14)
    c.send("0.300")
    yield "work-goes-on", c.did["gateway"] <= 8, f"of 14 steps of 0.1 s, 0.3 s left, the gateway did {c.did['gateway']}"


@part
def hangs_below(c):
    c.start(orders=1.2, payment=0.9)
    status, _, told = c.send("1.500", "orders")
    ends = [work.end for work in c.ask.trace.work if work.who == "payment" and work.end is not None]
    waited = bool(ends) and c.client.end > min(ends)
    yield "waits-too-long", not waited, f"{told}, after payment was through"
    yield "timeout-is-500", status == 504, told


@part
def for_nobody(c):
    c.start(payment=25)
    _, _, told = c.send("0.600")
    end = time.monotonic() + 5
    while any(work.end is None for work in c.ask.trace.work) and time.monotonic() < end:
        time.sleep(0.02)  # until payment, too, has done what it wants to do
    c.header_at("payment")
    yield "work-for-nobody", c.did["payment"] <= 15, f"{told}; payment did {c.did['payment']} of its 25 steps of 0.1 s"


@part
def without_header(c):
    c.start()
    status, _, told = c.send(None)
    yield "needs-header", status == 200, told
    code, happened = c.handed_down("gateway", "orders", 2.0)
    yield "no-default", code in (None, "unchanged"), happened


@part
def passed_on(c):
    says, payment = [("card declined", 402), ("closed for tonight", 503), ("we will see", 202)], Flask("payment")
    payment.add_url_rule("/charge", "charge", lambda: says[0], methods=["POST"])
    c.start(payment)
    while says:
        status, text, told = c.send("4.000")
        yield "answer-changed", (text, status) == says[0], f"payment said {says.pop(0)}; {told}: {text[:60]!r}"
    code, happened = c.handed_down("gateway", "orders", 4.0)
    yield code or "too-little", code is None, happened
