"""Exercise 3, repair: a deadline that travels down a chain of three real services.

No stopwatch decides, but which steps of work were begun, what the headers said, and which of two events came first.
"""

import time

import requests
from flask import Flask, request

from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.lifecycle import ServerError
from servicelab.servers import serve

HEADER = "Time-Left"
NAMES = ("gateway", "orders", "payment")
STEP = 0.1  # seconds that one step of work takes
SLACK = 0.02  # seconds for rounding; what else takes time is on the safe side of both bounds

WORDS = words(f"""
wrong-type: make_hop returns a Flask app, a fresh one each time
    Does it end with the app that it made?
leisure: with 1.5 s left and work of half a second the order goes through: 200 and what payment answers
    Nothing is late here.
dropped: each hop calls the next one with its `web`, and hands the header down
    What do you call the next service with, and which headers has this call?
handed-down: the header hands down what came in minus what has passed since, in seconds
    When does your clock start, and from what? What has gone by the time that you call? Do two machines agree on a time
    of day?
steps: each did all of its steps, in order, for this customer and for the next
    What is left of `steps` after the first order?
zero: called with {HEADER}: 0.000 or less: 504, no work, and no further call
    0 is a time, too, and not the same as no header. Where do you look first?
too-late: its last step used up the time: 504, also from the last service, and the next one is not called
    Where do you look at the clock for the last time? Where does your code say "paid"?
goes-on: it begins no further step when nobody waits any more, be it the first of the chain or the last
    How often do you look at the clock while you work?
gives-up: 0.3 s are left when orders calls payment, which takes 0.9 s: it waits no longer than that, and answers 504
    How long is your call willing to wait, and when do you work that out? What does requests do when the time is up, and
    what does Flask make of that?
default: without the header the order goes through, and it hands down what is left of 2 s
    Not everybody knows our header. How long do you allow when nobody has said anything?
answer-changed: whatever payment says, its text and status come back to the client
    What do you return of an answer that came in time?
""")


class Chain(Stage):
    """gateway → orders → payment, each made by the learner's function, each with work that notes its steps."""

    def __init__(self, ask, make_hop):
        super().__init__(ask, make_hop)
        self.urls, self.servers, self.did, self.got = {}, [], [], {}
        self.web = self.use(traced(requests.Session(), ask.trace, "client"))

    def start(self, payment=None, **steps):
        """Start the three services, each with one step of work, or with so many; ``payment`` is a handler of ours."""
        below = None
        for name in reversed(NAMES):
            if payment and not below:
                app = Flask(name)
                app.add_url_rule("/charge", "charge", payment, methods=["POST"])
            else:
                web = self.use(traced(requests.Session(), self.ask.trace, name))
                work = [lambda step=f"{name} {n + 1}": self.step(step) for n in range(steps.get(name, 1))]
                app = self.call(self.yours, name, work, below, web)
            try:
                app.before_request(lambda name=name: self.got.update({name: request.headers.get(HEADER)}))
                self.servers.append(self.use(serve(app, name, trace=self.ask.trace)))
            except (AttributeError, AssertionError, ServerError) as error:
                self.refuse("wrong-type", f"it returned {type(app).__name__} for {name}: {error}")
            self.urls[name] = below = self.servers[-1].url + "/charge"

    def step(self, name):
        self.did.append(name)
        time.sleep(STEP)

    def send(self, left, to="gateway"):
        """One call with so much time left (a text, or None for no header); ``told`` is how it went."""
        self.did, self.got, before = [], {}, len(self.ask.trace)
        try:
            answer = self.web.post(self.urls[to], headers={} if left is None else {HEADER: left}, timeout=6)
            self.said = answer.text, answer.status_code
        except requests.RequestException as error:
            self.said = type(error).__name__, None
        self.calls = {call.callee: call for call in self.ask.trace.since(before).calls}
        self.last = self.calls[to].id
        self.told = f"{f'{HEADER}: {left}' if left else 'a call without the header'} came to {to}, which said "
        self.told += f"{self.said[1]}, {self.said[0][:60]!r}; called: {', '.join(self.got)}; "
        self.told += f"steps of {STEP:g} s begun: {len(self.did)}"
        errors = [line for server in self.servers for line in server.errors]
        if self.said[1] == 500 and errors:
            self.told += f"; its traceback ends with\n  {errors[-1].strip().splitlines()[-1]}"

    def handed_down(self, name, left):
        """Of ``left`` seconds that came to the one above, did this service get what had not passed?"""
        above, self.last = NAMES[NAMES.index(name) - 1], self.calls[name].id
        try:
            value = float(self.got[name])
        except (TypeError, ValueError):
            return False
        passed = self.calls[name].start - self.calls[above].start
        worked = STEP * sum(step.startswith(above) for step in self.did)
        return left - passed - SLACK <= value <= left - worked + SLACK

    def need(self, code, passed, told):
        """What a part yields, where all that comes later rests on it."""
        if not passed:
            self.refuse(code, told)
        return code, True, told


check_deadline = scenario("10", 3, "A deadline down the chain", WORDS, go_on=True, make_hop=Chain)
part = check_deadline.part


@part
def at_leisure(c):
    c.start(gateway=2, orders=2)
    for _ in range(2):
        c.send("1.500")
        left = 1.5
        for name in NAMES[1:]:
            yield c.need("leisure", name in c.got, c.told)
            yield c.need("dropped", c.got[name] and name in c.calls, f"{name} was called without it, or not with web")
            told = f"{left:.3f} s came to the service above, and after its two steps of 0.1 s {name} got "
            yield c.need("handed-down", c.handed_down(name, left), f"{told}{HEADER}: {c.got[name]}")
            left = float(c.got[name])
        yield c.need("leisure", c.said[1] == 200, c.told)
        yield "steps", c.did == ["gateway 1", "gateway 2", "orders 1", "orders 2", "payment 1"], f"it did {c.did}"


@part
def nothing_left(c):
    c.start()
    for name in NAMES:
        for left in ("0.000", "-0.200"):
            c.send(left, name)
            yield "zero", c.said[1] == 504 and not c.did and list(c.got) == [name], c.told


@part
def used_up_in_one_step(c):
    c.start()
    for name in NAMES:
        c.send("0.050", name)
        yield "too-late", c.said[1] == 504 and list(c.got) == [name], c.told


@part
def used_up_in_many_steps(c):
    c.start(gateway=14, payment=14)
    for name in ("gateway", "payment"):
        c.send("0.300", name)
        yield "goes-on", len(c.did) <= 8, c.told


@part
def hangs_below(c):
    late = []
    c.start(lambda: time.sleep(0.9) or late.append("paid") or "paid", orders=12)
    c.send("1.500", "orders")
    right = c.said[1] == 504 and not late or len(c.did) < 12  # who worked less had time left to wait
    yield "gives-up", right, f"{'payment had done its work before the answer came; ' if late else ''}{c.told}"


@part
def without_header(c):
    c.start()
    c.send(None)
    yield "default", c.said[1] == 200, c.told
    yield "default", c.handed_down("orders", 2.0), f"after one step of 0.1 s orders got {HEADER}: {c.got['orders']}"


@part
def passed_on(c):
    says = [("card declined", 402), ("closed for tonight", 503), ("we will see", 202)]
    c.start(lambda: says[0])
    while says:
        c.send("4.000")
        yield "answer-changed", c.said == says[0], f"payment said {says.pop(0)}; {c.told}"
    told = f"4.000 s came to the gateway, and after one step of 0.1 s orders got {HEADER}: {c.got['orders']}"
    yield "handed-down", c.handed_down("orders", 4.0), told
