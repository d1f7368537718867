"""Exercise 3, repair: a deadline that travels down a chain of three real services.

Nothing here is timed with a stopwatch: what decides is which steps of work were begun, what the headers said, and
which of two events came first. The margins are a second wide.
"""

import time
from contextlib import closing

import requests
from flask import request

from servicelab.checks.exercise import exercise
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.clients import traced
from servicelab.lifecycle import ServerError
from servicelab.servers import serve
from servicelab.trace import from_traceparent

HEADER = "Time-Left"
NAMES = ("gateway", "orders", "payment")
STEP = 0.1  # seconds that one step of work takes
SLACK = 0.02  # seconds for rounding; what else takes time is on the safe side of both bounds
_RESTARTED = (
    "The clock starts when the request arrives, and only then. A limit of your own is for calls without a header."
)


@exercise("10", 3, "A deadline down the chain", limit=60.0)
def check_deadline(ask, make_hop):
    """Let ``make_hop(name, steps, below, web) -> Flask`` build gateway, orders and payment, and call them in a hurry
    and at leisure."""
    for examine in (_leisure, _nothing_left, _used_up, _silent, _for_nobody, _unlimited):
        with section(ask), closing(Chain(ask, make_hop)) as chain:
            examine(chain)


class Chain:
    """gateway → orders → payment, each made by the learner's function, each with work that notes its steps."""

    def __init__(self, ask, make_hop):
        self.ask, self.make_hop = ask, make_hop
        self.servers, self.sessions, self.urls = [], [], {}
        self.did = dict.fromkeys(NAMES, 0)  # steps of work that were begun
        self.worked = dict.fromkeys(NAMES, 0.0)  # seconds of work that were done
        self.got, self.last = [], None  # (service, value of the header), in order of arrival

    def close(self):
        for session in self.sessions:
            session.close()
        for server in self.servers:
            server.stop()

    def start(self, **steps):
        """Start the three services; ``gateway=3`` gives it three steps, a float is one long step of so many
        seconds."""
        below = None
        for name in reversed(NAMES):
            web = traced(requests.Session(), self.ask.trace, name)
            self.sessions.append(web)
            app = self.ask.call(self.make_hop, name, self._steps(name, steps.get(name, 1)), below, web)
            if not hasattr(app, "before_request"):
                what, hint = "make_hop returns a Flask app", "Does it end with return app?"
                self.ask.need("wrong-type", what, False, f"it returned {shown(app)}", hint)
            try:
                app.before_request(self._note(name))
                self.servers.append(serve(app, name, trace=self.ask.trace))
            except (AssertionError, ServerError) as error:
                self.ask.need("no-server", f"{name} starts", False, str(error), "A fresh Flask app for each call.")
            self.urls[name] = below = self.servers[-1].url + "/charge"
        self.web = traced(requests.Session(), self.ask.trace, "client")
        self.sessions.append(self.web)

    def send(self, left, to="gateway"):
        """One call with so much time left (a text, or None for no header): ``(status, how it went in words)``."""
        headers = {} if left is None else {HEADER: left}
        try:
            status = self.web.post(self.urls[to], headers=headers, timeout=6).status_code
            told = f"{to} answered {status}"
        except requests.RequestException as error:
            status, told = None, f"{to} did not answer: {type(error).__name__}"
        mine = [call for call in self.ask.trace.calls if call.caller == "client"]
        self.last = mine[-1].id
        errors = [line for server in self.servers for line in server.errors]
        if status == 500 and errors:
            told += f"; its traceback ends with\n  {errors[-1].strip().splitlines()[-1]}"
        return status, told

    def header_at(self, name):
        """What the header said when it came to ``name``, or None."""
        return next((value for who, value, _ in self.got if who == name), None)

    def call_of(self, name):
        """The id of the call that came to ``name``."""
        return next((id for who, _, id in self.got if who == name and id), self.last)

    def expect(self, code, what, passed, happened, hint, mark=None):
        return self.ask.expect(code, what, passed, happened, hint, mark or self.last)

    def _steps(self, name, steps):
        def step(seconds):
            self.did[name] += 1
            start = time.monotonic()
            time.sleep(seconds)
            self.worked[name] += time.monotonic() - start

        if isinstance(steps, float):
            return [lambda: step(steps)]
        return [lambda: step(STEP)] * steps

    def _note(self, name):
        def note():
            id = (from_traceparent(request.headers.get("traceparent")) or (None, None))[1]
            self.got.append((name, request.headers.get(HEADER), id))

        return note


def _leisure(chain):
    """A second and a half for work of half a second: everything gets done, and the header says less at each hop."""
    chain.start(gateway=2, orders=2, payment=1)
    status, told = chain.send("1.500")
    calls = {call.callee: call for call in chain.ask.trace.calls}
    said = 1.5
    for above, name in zip(NAMES, NAMES[1:]):
        if name not in calls:
            break
        came = chain.header_at(name)
        worked, since = chain.worked[above], calls[name].start - calls[above].start
        code, happened, hint = _judge(came, said, worked, since)
        what = f"{above} hands down what is left: {said:.2f} s came, and its own work took {worked:.2f} s"
        chain.ask.need(code or "handed-down", what, not code, happened, hint, chain.call_of(name))
        said = float(came)
    chain.ask.need(
        "leisure",
        "with 1.5 s left and work of half a second the order goes through",
        status == 200,
        told,
        "Nothing is late here: 200 and the answer of payment.",
        chain.last,
    )


def _judge(came, said, worked, since):
    """What is wrong with a header that said ``came`` to the next hop, when ``said`` came to this one, which worked for
    ``worked`` seconds and made the call ``since`` seconds after it was called itself: code, words, hint."""
    if came is None:
        return "dropped", "the call had no such header", f'web.post(…, headers={{"{HEADER}": …}}), at every hop.'
    try:
        value = float(came)
    except ValueError:
        return "no-number", f"the header said {came!r}", "Seconds, as text: f'{left:.3f}'."
    told = f"it said {value:.3f} s"
    if abs(value - said) < 0.002:
        return "unchanged", told + ", the same as came in", "The time of your own work has gone meanwhile: take it off."
    if value > 1000:
        return "absolute", told, "Two machines do not agree on what time it is. Send what is left, in seconds."
    if value > said - worked + SLACK:
        return "restarted", told, _RESTARTED
    if value < said - since - SLACK:
        return "too-little", told, "What came in, minus what has passed since: nothing else is to be taken off."
    return None, told, ""


def _nothing_left(chain):
    """Zero, and less than that, at every door."""
    chain.start()
    for name in NAMES:
        for left in ("0.000", "-0.200"):
            before = sum(chain.did.values())
            chain.got.clear()
            status, told = chain.send(left, name)
            worked = sum(chain.did.values()) - before
            code = "zero-calls" if len(chain.got) > 1 else "zero-works" if worked else "zero-status"
            happened = f"{told}; {worked} steps of work were done"
            right = status == 504 and not worked and len(chain.got) == 1
            what = f"{name} is called with {HEADER}: {left}. 504, no work, and no further call"
            if not chain.expect(
                code,
                what,
                right,
                happened,
                "0 is a time, too (and not the same as no header): look before the first step.",
            ):
                return


def _used_up(chain):
    """The gateway's own work takes longer than there is."""
    chain.start(gateway=14)
    status, told = chain.send("0.300")
    did, went_on = chain.did["gateway"], chain.header_at("orders")
    happened = f"{told}; the gateway did {did} of its 14 steps of 0.1 s"
    if went_on is not None:
        happened += f", and orders was called with {HEADER}: {went_on}"
    right = chain.expect(
        "calls-too-late",
        f"{HEADER}: 0.300, and 1.4 s of work at the gateway: orders is not called",
        went_on is None,
        happened,
        "Look at the clock once more before you call the next one.",
    )
    chain.expect(
        "work-goes-on",
        "… and the gateway stops working when nobody waits any more",
        did <= 8,
        happened,
        "Look at the clock before every step.",
    )
    if right:
        chain.expect("late-status", "… and says 504", status == 504, happened, 'return "too late", 504')


def _silent(chain):
    """payment is in one long step that nobody can break off."""
    chain.start(gateway=1, orders=1, payment=1.8)
    status, told = chain.send("0.500")
    client = next(call for call in chain.ask.trace.calls if call.caller == "client")
    ends = [work.end for work in chain.ask.trace.work if work.who == "payment" and work.end is not None]
    waited = bool(ends) and client.end > min(ends)
    right = chain.expect(
        "waits-too-long",
        "payment hangs for 1.8 s, 0.5 s are left: the gateway does not wait for it",
        not waited,
        f"{told}, after payment was through",
        "web.post(…, timeout=what is left)",
    )
    if right:
        chain.expect(
            "timeout-is-500",
            "… and answers 504",
            status == 504,
            told,
            "except requests.Timeout: that is your own deadline. A 504 of the next one is passed on.",
        )


def _for_nobody(chain):
    """The work at the bottom stops when nobody waits."""
    chain.start(payment=25)
    status, told = chain.send("0.600")
    end = time.monotonic() + 5
    while any(work.end is None for work in chain.ask.trace.work) and time.monotonic() < end:
        time.sleep(0.02)  # until payment, too, has done what it wants to do
    did = chain.did["payment"]
    chain.expect(
        "work-for-nobody",
        "payment has 2.5 s of work, 0.6 s are left: it stops when nobody waits",
        did <= 15,
        f"{told}; payment did {did} of its 25 steps of 0.1 s",
        "It needs the header, and a look at the clock before every step.",
        chain.call_of("payment"),
    )


def _unlimited(chain):
    """A client that sends no header."""
    chain.start()
    status, told = chain.send(None)
    chain.expect(
        "needs-header",
        "without the header the order goes through",
        status == 200,
        told,
        "Not everybody knows our header. Without one, 2 s of your own are a fair limit.",
    )
