"""Exercise 1, build: a circuit breaker from its specification.

Most of it happens in simulated time, for time is an argument; the clients at once and the real service come last.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask

from servicelab.checks.scenario import Aside, Stage, scenario, words
from servicelab.checks.slow_number import SlowNumber
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import new_id, reply_id

SETTINGS = {"size": 10, "failure_rate": 0.5, "minimum_calls": 4, "wait_open": 30.0, "probes": 3}
START = 100.0  # seconds, when the first call is made
CLIENTS = 12

WORDS = words("""
wrong-type: allow returns a ticket, or None
    None turns a call away; anything else is a ticket.
closed-rejects: a new breaker is closed: calls are made
    allow returns a ticket, any object but None, for each call while it is closed.
lock-held: while one call is under way, a second client is not kept waiting
    The lock belongs around the deciding, in allow and in record, and never around the call between them: with
    self.lock.
opens-on-first-error: one failed call does not open it
    minimum_calls is 4: fewer results decide nothing.
minimum-ignored: three failed calls do not open it: minimum_calls is 4
    First count the results in the window, then divide.
never-opens: the fourth failed call in a row opens it
    In record: put ok into the window, then look at the share of failures.
rate-ignored: every fourth call fails, which is below 0.5: it stays closed
    Not the number of failures decides but their share.
at-the-threshold: two failures in four calls are a share of 0.5: it opens
    The share of failures counts, wherever they stand, and the threshold itself is enough: >=.
window-too-short: forty good calls, four bad ones: 4 of the last 10, it stays closed
    The window holds the last `size` results.
never-forgets: a fifth bad one: 5 of the last 10, it opens
    Results older than the last `size` must leave: deque(maxlen=size).
own-clock: time is what `now` says, not what a clock says
    Use the `now` that you are given, and no time.time() or time.monotonic().
never-half-opens: 30 s after the opening a call is made: the first probe
    No timer helps you here: allow itself has to see that the wait is over.
waits-too-short: 29.9 s after the opening it turns calls away
    wait_open counts from the record that opened it.
rejections-prolong: … also when it was asked every second meanwhile
    A call that is turned away changes nothing, least of all when the wait began.
everyone-through: half-open: of ten calls at once exactly three are made, the probes
    Count the permits down as they are given out, not as the answers come.
too-few-probes: half-open: of ten calls at once exactly three are made, the probes
    Count the permits down as they are given out, not as the answers come.
first-probe-decides: two of three probes were well: nothing is decided yet
    It decides when all `probes` results are there.
never-closes: the third was well, too: closed
    In record: count the results of the probes.
window-kept: it has closed with an empty window: three failures do not open it
    Neither the failures before the opening nor the probes belong to the new window.
one-failure-reopens: one probe of three failed, a share below 0.5: closed
    The same threshold as in closed decides, over the probes.
probes-ignored: all three probes failed: open again
    A bad result in half-open opens it, as in closed, and the wait begins anew.
wait-not-renewed: … for another 30 s
    Each opening has its own start.
opens-for-good: … and then it probes again
    The second half-open needs fresh permits.
rejections-count: six calls turned away beside three good probes: closed
    Who was turned away says nothing about payment.
late-reply-prolongs: a late reply, 20 s after the opening, changes nothing
    While it is open, no result counts.
late-reply-decides: late replies from before the opening are no probes
    The ticket must say in which period the call began. A new state is a new period.
late-reply-counts: … nor do they count once it has closed again
    Closed now is not the closed of then: number the periods.
probes-in-a-race: 12 real clients at once, half-open: three calls reach payment
    Looking at the state, changing it, and taking a permit are one step: put a lock around all of allow, and around
    all of record.
""")


class Bench(Stage):
    """One breaker of the learner's, calls through it in simulated time, and their record."""

    def __init__(self, ask, make, **changed):
        super().__init__(ask, make)
        self.breaker = self.make(make, **{**SETTINGS, **changed}, methods=("allow", "record"))
        self.now, self._state, self._drawn = START, None, 0.0

    def begin(self):
        """Ask whether a call may be made now: ``(ticket, id)``, the ticket None when it was turned away."""
        ticket = self.call(self.breaker.allow, self.now)
        trace, self.last, at = self.ask.trace, new_id(), self._apart()
        if ticket is False:
            what, hint = WORDS["wrong-type"]
            self.ask.need("wrong-type", what, False, "it returned False", hint)
        trace.send("orders", "payment", "charge", id=self.last, at=at)
        if ticket is None:
            trace.lose(self.last, "turned away", at=at)
        else:
            trace.receive(self.last, "payment", at=at + 0.02)
        self._note_state(at)
        return ticket, self.last

    def end(self, call, ok):
        """The call has ended: tell the breaker."""
        ticket, self.last = call
        if ticket is None:
            return
        id, at = reply_id(self.last), self._apart()
        self.ask.trace.send("payment", "orders", "paid" if ok else "500", id=id, kind="reply", at=at)
        self.ask.trace.receive(id, "orders", at=at + 0.02)
        self.call(self.breaker.record, ticket, ok, self.now)
        self._note_state(at + 0.02)

    def calls(self, results):
        """Calls one after another, ✓ "v" or failed "x"; says how many were made."""
        made = 0
        for result in results:
            call = self.begin()
            self.end(call, result == "v")
            self.now += 0.2
            made += call[0] is not None
        return made

    def permits(self, times=1):
        """How many of so many calls may be made. They stay under way."""
        return sum(self.begin()[0] is not None for _ in range(times))

    def opened(self, after=0.0, probes=0):
        """Four failed calls open it at START; then time passes, and so many probes are begun."""
        for call in [self.begin() for _ in range(4)]:
            self.end(call, False)
        self.now = START + after
        return [self.begin() for _ in range(probes)]

    def end_all(self, calls, results):
        for call, result in zip(calls, results):
            self.end(call, result == "v")

    def _apart(self):
        """Where in the diagram: what happens at the same moment is drawn a little apart."""
        self._drawn = max(self.now, self._drawn + 0.04)
        return self._drawn

    def _note_state(self, at):
        state = getattr(self.breaker, "state", None)
        if isinstance(state, str) and state != self._state:
            self._state = state
            self.ask.trace.state("orders", state, at=at)


check_breaker = scenario("10", 1, "A circuit breaker", WORDS, Breaker=Bench)
part = check_breaker.part


@part
def closed(b):
    made = b.calls("vvvvv")
    yield "closed-rejects", made == 5, f"{made} of 5 were made"


@part
def lock(b):
    call = b.begin()
    other = Aside(lambda: b.breaker.allow(b.now)).start()
    held = not other.wait(1.0)
    b.end(call, True)
    other.wait(1.0)
    yield "lock-held", not held, "allow did not return to a second client until record was called for the first"


@part
def opening(b):
    b.calls("x")
    yield "opens-on-first-error", b.permits(), "it was open after one"
    b.calls("xx")
    yield "minimum-ignored", b.permits(), "three results, and the next call was turned away"
    b.calls("x")
    yield "never-opens", not b.permits(), "four calls, four failures, and the fifth was made"


@part
def rate(b):
    made = b.calls("xvvv" * 6)
    yield "rate-ignored", made == 24, f"{made} of 24 calls were made"


@part
def threshold(b):
    b.calls("vxvx")
    yield "at-the-threshold", not b.permits(), "well, failed, well, failed; and the next call was made"


@part
def window(b):
    b.calls("v" * 40 + "xxxx")
    yield "window-too-short", b.permits(), "the next call was turned away"
    b.calls("x")
    yield "never-forgets", not b.permits(), "forty good calls, five bad ones; the next call was made"


@part
def own_clock(b):
    hasty = Bench(b.ask, b.yours, wait_open=0.05)
    hasty.opened()
    time.sleep(0.1)
    made, b.last = hasty.permits(), hasty.last
    told = "`now` had not moved, a tenth of a second had passed, and the breaker let a call through"
    yield "own-clock", not made, told


@part
def waiting(b):
    b.opened(after=30)
    yield "never-half-opens", b.permits(), "it was turned away"


@part
def patient(b):
    b.opened(after=29.9)
    yield "waits-too-short", not b.permits(), "a call was made"


@part
def asked_meanwhile(b):
    b.opened()
    for second in range(1, 30):
        b.now = START + second
        b.permits()
    b.now = START + 30
    yield "rejections-prolong", b.permits(), "29 calls were turned away; 30 s after the opening the next was, too"


@part
def half_open(b):
    calls = b.opened(after=30, probes=10)
    made = sum(ticket is not None for ticket, _ in calls)
    b.last = calls[3][1]  # the first that should have been turned away
    yield "everyone-through" if made > 3 else "too-few-probes", made == 3, f"{made} were made"


@part
def well(b):
    probes = b.opened(after=30, probes=3)
    b.now += 1
    b.end_all(probes[:2], "vv")
    yield "first-probe-decides", not b.permits(), "a fourth call was made"
    b.end(probes[2], True)
    yield "never-closes", b.permits(5) == 5, "five calls came, and not all were made"
    b.calls("xxx")
    yield "window-kept", b.permits(), "three failed calls, and the next was turned away"


@part
def one_bad(b):
    b.end_all(b.opened(after=30, probes=3), "xvv")
    yield "one-failure-reopens", b.permits(4) == 4, "of four calls not all were made"


@part
def badly(b):
    probes = b.opened(after=30, probes=3)
    b.now = START + 40
    b.end_all(probes, "xxx")
    b.now += 1
    yield "probes-ignored", not b.permits(), "the next call was made"
    b.now = START + 69.9
    yield "wait-not-renewed", not b.permits(), "29.9 s after the probes had failed, a call was made"
    b.now = START + 70
    yield "opens-for-good", b.permits(3) == 3, "of three calls not all were made"


@part
def turned_away(b):
    probes = b.opened(after=30, probes=3)
    b.permits(6)
    b.end_all(probes, "vvv")
    yield "rejections-count", b.permits(4) == 4, "of four calls not all were made"


@part
def late(b):
    old = [b.begin() for _ in range(9)]
    b.opened(after=20)
    b.end(old[0], False)
    b.now = START + 30
    first = b.begin()
    yield "late-reply-prolongs", first[0] is not None, "30 s after the opening a call was turned away"
    probes = [first, b.begin(), b.begin()]
    b.end_all(old[1:5], "vvvv")
    told = "four good replies to calls from before the opening came in, and a fourth call was made"
    yield "late-reply-decides", not b.permits(), told
    b.end_all(probes + old[5:], "vvvxxxx")
    told = "four failed replies from before the opening came in, and the breaker opened"
    yield "late-reply-counts", b.permits(), told


@part
def at_once(b):
    """A real payment, a breaker before it, and twelve real clients at the moment when it becomes half-open."""
    ask, is_well, came, asked, all_asked = b.ask, threading.Event(), [], [], threading.Event()
    app = Flask("payment")

    @app.post("/charges")
    def charge():
        came.append(1)
        if is_well.is_set():
            all_asked.wait(3)  # so that no probe is over before everybody has asked
        return ("paid", 200) if is_well.is_set() else ("out of order", 500)

    server = ask.use(serve(app, "payment", trace=ask.trace, workers=CLIENTS))
    web = ask.use(traced(requests.Session(), ask.trace, "orders"))
    line = threading.Barrier(CLIENTS, timeout=5)

    def client(now, together=None):
        if together:
            together.wait()
        ticket = b.breaker.allow(SlowNumber(now))
        if together:
            asked.append(1)
            if len(asked) == CLIENTS:
                all_asked.set()
        if ticket is None:
            return None
        ok = web.post(server.url + "/charges", timeout=5).ok
        b.breaker.record(ticket, ok, SlowNumber(now))
        return ok

    for _ in range(6):
        ask.call(client, START)
    is_well.set()
    came.clear()
    before = len(ask.trace)
    with ThreadPoolExecutor(CLIENTS, thread_name_prefix="servicelab check") as crowd:
        waiting = [crowd.submit(client, START + 31, line) for _ in range(CLIENTS)]
        answers = [one.result() for one in waiting]
    calls = ask.trace.since(before).calls
    b.last = calls[min(3, len(calls) - 1)].id if calls else b.last
    yield "probes-in-a-race", len(came) == 3 and answers.count(True) == 3, f"{len(came)} calls reached it"
