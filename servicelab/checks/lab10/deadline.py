"""Exercise 3, repair: a deadline that travels down a chain of three real services.

No stopwatch decides, but which steps of work were begun, what the headers said, and which of two events came first.
"""

import threading
import time

import requests
from flask import Flask, request

from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve

HEADER = "Time-Left"
NAMES = ("gateway", "orders", "payment")
STEP = 0.05  # seconds that one step of work takes
SLACK = 0.02  # seconds for rounding; what else takes time is on the safe side of both bounds

WORDS = words(f"""
wrong-type: make_hop returns a Flask app, a fresh one each time
    Where do you make the app, and does each path end with it?
leisure: with 1.25 s left and work of a quarter of a second the order goes through: 200 and what payment answers
    Nothing is late here.
dropped: each hop calls the next one with its `web`, and hands the header down
    What do you call the next service with, and which headers has this call?
handed-down: the header hands down what came in minus what has passed since, in seconds
    When does your clock start, and from what? What has gone by the time that you call? Do two machines agree on a time
    of day?
steps: each did all of its steps, in order, for this customer and for the next
    What is left of `steps` after the first order?
meanwhile: a second customer has no time left, and comes during the work for the first: the first is served all the same
    Where do you keep the time: with the request, or where the next request finds it?
zero: called with {HEADER}: 0.000 or less: 504, no work, and no further call
    0 is a time, too, and not the same as no header. Where do you look first?
too-late: its last step used up the time: 504, also from the last service, and the next one is not called
    Where do you look at the clock for the last time? Where does your code say "paid"?
default: without the header the order goes through, and it hands down what is left of 2 s
    Not everybody knows our header. How long do you allow when nobody has said anything?
goes-on: it begins no further step when nobody waits any more, be it the first of the chain or the last
    How often do you look at the clock while you work?
gives-up: 0.2 s are left when orders calls payment, which takes 0.6 s: it waits no longer than that, and answers 504
    How long is your call willing to wait, and when do you work that out? What does requests do when the time is up, and
    what does Flask make of that?
answer-changed: whatever payment says, its text and status come back to the client
    What do you return of an answer that came in time?
""")


class Chain(Stage):
    """gateway → orders → payment, each made by the learner's function, each with work that notes its steps."""

    def __init__(self, ask, make_hop):
        super().__init__(ask, make_hop)
        self.urls, self.apps, self.servers, self.did, self.got = {}, [], [], [], {}
        self.meanwhile = []  # what happens during the next steps of work
        self.web = self.use(traced(requests.Session(), ask.trace, "client"))

    def start(self, payment=None, seconds=STEP, **steps):
        """Start the three services, each with one step of work, or with so many; ``payment`` is a handler of ours."""

        def work(step):
            self.did.append(step)
            if self.meanwhile:
                self.meanwhile.pop()()
            time.sleep(seconds)

        below = None
        for name in reversed(NAMES):
            if payment and not below:
                app = Flask(name)
                app.add_url_rule("/charge", "charge", payment, methods=["POST"])
            else:
                web = self.use(traced(requests.Session(), self.ask.trace, name))
                todo = [lambda step=f"{name} {n + 1}": work(step) for n in range(steps.get(name, 1))]
                app = self.call(self.yours, name, todo, below, web, returns=Flask)
            if app in self.apps:
                self.refuse("wrong-type", f"it returned the same app for {name} as for another one")
            app.before_request(lambda name=name: self.got.update({name: request.headers.get(HEADER)}))
            self.apps.append(app)
            self.servers.append(self.use(serve(app, name, trace=self.ask.trace)))
            self.urls[name] = below = self.servers[-1].url + "/charge"

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
        self.told += f"steps begun: {len(self.did)}"
        errors = [line for server in self.servers for line in server.errors]
        if self.said[1] == 500 and errors:
            self.told += f"; its traceback ends with\n  {errors[-1].strip().splitlines()[-1]}"

    def handed_down(self, code, name, left):
        """Of ``left`` seconds that came to the one above, did this service get what had not passed?"""
        above, self.last = NAMES[NAMES.index(name) - 1], self.calls[name].id
        passed = self.calls[name].start - self.calls[above].start
        worked = STEP * sum(step.startswith(above) for step in self.did)
        try:
            is_right = left - passed - SLACK <= float(self.got[name]) <= left - worked + SLACK
        except (TypeError, ValueError):
            is_right = False
        told = f"{left:.3f} s came to the service above, and after {worked:.2f} s of work {name} got {HEADER}: "
        return code, is_right, told + str(self.got[name])


check_deadline = scenario("10", 3, "A deadline down the chain", WORDS, make_hop=Chain)
part = check_deadline.part


@part
def at_leisure(c):
    c.start(gateway=2, orders=2)
    for _ in range(2):
        c.send("1.250")
        left = 1.25
        for name in NAMES[1:]:
            yield "leisure", name in c.got, c.told
            yield "dropped", c.got[name] and name in c.calls, f"{name} was called without it, or not with web"
            yield c.handed_down("handed-down", name, left)
            left = float(c.got[name])
        yield "leisure", c.said[1] == 200, c.told
        yield "steps", c.did == ["gateway 1", "gateway 2", "orders 1", "orders 2", "payment 1"], f"it did {c.did}"


@part
def two_at_once(c):
    c.start(gateway=2)
    c.meanwhile = [lambda: c.web.post(c.urls["gateway"], headers={HEADER: "0.000"}, timeout=6)]
    c.send("4.000")
    yield "meanwhile", c.said[1] == 200 and not c.meanwhile, c.told


@part
def little_time(c):
    c.start()
    for code, left in (("zero", "0.000"), ("zero", "-0.200"), ("too-late", "0.030")):
        for name in NAMES:
            c.send(left, name)
            idle = code == "too-late" or not c.did
            yield code, c.said[1] == 504 and list(c.got) == [name] and idle, c.told
    c.send(None)
    yield "default", c.said[1] == 200, c.told
    yield c.handed_down("default", "orders", 2.0)


@part
def used_up_in_many_steps(c):
    c.start(gateway=14, payment=14)
    for name in ("gateway", "payment"):
        c.send("0.150", name)
        yield "goes-on", len(c.did) <= 8, c.told


@part
def hangs_below(c):
    over, late = threading.Event(), []
    c.start(lambda: over.wait(0.6) or late.append("paid") or "paid", seconds=0.8)
    c.send("1.000", "orders")
    over.set()
    told = f"{'payment had done its work before the answer came; ' if late else ''}{c.told}"
    yield "gives-up", c.said[1] == 504 and not late, told


@part
def passed_on(c):
    says = [("card declined", 402), ("closed for tonight", 503), ("we will see", 202)]
    c.start(lambda: says[0])
    while says:
        c.send("4.000")
        yield "answer-changed", c.said == says[0], f"payment said {says.pop(0)}; {c.told}"
    yield c.handed_down("handed-down", "orders", 4.0)
