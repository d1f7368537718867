"""Exercise 1, build: a circuit breaker from its specification.

Most of it happens in simulated time, for time is an argument; the clients at once and the real service come last.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask

from servicelab.checks.exercise import exercise
from servicelab.checks.lab10.slow import SlowNumber
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import new_id, reply_id

SETTINGS = {"size": 10, "failure_rate": 0.5, "minimum_calls": 4, "wait_open": 30.0, "probes": 3}
START = 100.0  # seconds, when the first call is made
PATIENCE = 2.0  # seconds for one allow or record: thousands of times what any right answer needs
CLIENTS = 12


@exercise("10", 1, "A circuit breaker", limit=60.0)
def check_breaker(ask, breaker):
    """Put ``Breaker(size, failure_rate, minimum_calls, wait_open, probes)`` between orders and payment."""
    for examine in (
        _closed,
        _lock,
        _opening,
        _rate,
        _threshold,
        _window,
        _own_clock,
        _waiting,
        _patient,
        _asked_meanwhile,
        _half_open,
        _well,
        _one_bad,
        _badly,
        _turned_away,
        _late,
        _at_once,
    ):
        with section(ask):
            examine(Bench(ask, breaker))


class Bench:
    """One breaker of the learner's, calls through it in simulated time, and their record."""

    def __init__(self, ask, make, **changed):
        self.ask, self.make, self.now, self.last, self._state = ask, make, START, None, None
        self._drawn = 0.0
        self.breaker = ask.call(make, **{**SETTINGS, **changed}, limit=PATIENCE)
        has = [name for name in ("allow", "record") if callable(getattr(self.breaker, name, None))]
        if len(has) < 2:
            ask.need(
                "no-methods",
                "a Breaker has the methods allow and record",
                False,
                f"it is a {type(self.breaker).__name__} with {' and '.join(has) or 'neither'}",
                "def allow(self, now) and def record(self, ticket, ok, now).",
            )

    def begin(self):
        """Ask whether a call may be made now: ``(ticket, id)``, the ticket None when it was turned away."""
        ticket = self.ask.call(self.breaker.allow, self.now, limit=PATIENCE)
        if ticket is False:
            self.expect(
                "wrong-type",
                "allow returns a ticket, or None",
                False,
                "it returned False",
                "None turns a call away; anything else is a ticket.",
            )
        trace, self.last = self.ask.trace, new_id()
        at = self._apart()
        trace.send("orders", "payment", "charge", id=self.last, at=at)
        if ticket is None:
            trace.lose(self.last, "turned away", at=at)
        else:
            trace.receive(self.last, "payment", at=at + 0.02)
        self._note_state(at)
        return ticket, self.last

    def end(self, call, ok):
        """The call has ended: tell the breaker."""
        ticket, id = call
        if ticket is None:
            return
        trace, label = self.ask.trace, "paid" if ok else "500"
        at = self._apart()
        trace.send("payment", "orders", label, id=reply_id(id), kind="reply", at=at)
        trace.receive(reply_id(id), "orders", at=at + 0.02)
        self.ask.call(self.breaker.record, ticket, ok, self.now, limit=PATIENCE)
        self.last = id
        self._note_state(at + 0.02)

    def call(self, ok) -> bool:
        """One call from beginning to end. Was it made?"""
        call = self.begin()
        self.end(call, ok)
        self.now += 0.2
        return call[0] is not None

    def calls(self, *oks) -> int:
        """How many of these were made."""
        return sum(self.call(ok) for ok in oks)

    def permits(self, times=1) -> int:
        """How many of so many calls may be made. They stay under way."""
        return sum(self.begin()[0] is not None for _ in range(times))

    def open(self):
        """Four failed calls, which open it, at ``START``."""
        for call in [self.begin() for _ in range(4)]:
            self.end(call, False)

    def probes(self):
        """Thirty seconds after the opening, three calls: the probes."""
        self.now = START + 30.0
        return [self.begin() for _ in range(3)]

    def expect(self, code, what, passed, happened, hint):
        """Each rule rests on those before it: the first that does not hold ends the check."""
        self.ask.need(code, what, passed, happened, hint, self.last)

    def _apart(self):
        """Where in the diagram: what happens at the same moment is drawn a little apart."""
        self._drawn = max(self.now, self._drawn + 0.04)
        return self._drawn

    def _note_state(self, at):
        state = getattr(self.breaker, "state", None)
        if isinstance(state, str) and state != self._state:
            self._state = state
            self.ask.trace.state("orders", str(state), at=at)


def _closed(bench):
    made = bench.calls(*[True] * 5)
    bench.expect(
        "closed-rejects",
        "a new breaker is closed: calls are made",
        made == 5,
        f"{made} of 5 were made",
        "allow returns a ticket, any object but None, for each call while it is closed.",
    )


def _opening(bench):
    bench.calls(False)
    bench.expect(
        "opens-on-first-error",
        "one failed call does not open it",
        bench.permits(),
        "it was open after one",
        "minimum_calls is 4: fewer results decide nothing.",
    )
    bench.calls(False, False)
    bench.expect(
        "minimum-ignored",
        "three failed calls do not open it: minimum_calls is 4",
        bench.permits(),
        "three results, and the next call was turned away",
        "First count the results in the window, then divide.",
    )
    bench.calls(False)
    bench.expect(
        "never-opens",
        "the fourth failed call in a row opens it",
        not bench.permits(),
        "four calls, four failures, and the fifth was made",
        "In record: put ok into the window, then look at the share of failures.",
    )


def _threshold(bench):
    bench.calls(True, False, True, False)
    bench.expect(
        "at-the-threshold",
        "two failures in four calls are a share of 0.5: it opens",
        not bench.permits(),
        "well, failed, well, failed; and the next call was made",
        "The share of failures counts, wherever they stand, and the threshold itself is enough: >=.",
    )


def _rate(bench):
    made = bench.calls(*[False, True, True, True] * 6)
    bench.expect(
        "rate-ignored",
        "every fourth call fails, which is below 0.5: it stays closed",
        made == 24,
        f"{made} of 24 calls were made",
        "Not the number of failures decides but their share.",
    )


def _window(bench):
    bench.calls(*[True] * 40, *[False] * 4)
    bench.expect(
        "window-too-short",
        "forty good calls, four bad ones: 4 of the last 10, it stays closed",
        bench.permits(),
        "the next call was turned away",
        "The window holds the last `size` results.",
    )
    bench.calls(False)
    bench.expect(
        "never-forgets",
        "a fifth bad one: 5 of the last 10, it opens",
        not bench.permits(),
        "forty good calls, five bad ones; the next call was made",
        "Results older than the last `size` must leave: deque(maxlen=size).",
    )


def _waiting(bench):
    bench.open()
    bench.now = START + 30.0
    bench.expect(
        "never-half-opens",
        "30 s after the opening a call is made: the first probe",
        bench.permits(),
        "it was turned away",
        "No timer helps you here: allow itself has to see that the wait is over.",
    )


def _patient(bench):
    bench.open()
    bench.now = START + 29.9
    bench.expect(
        "waits-too-short",
        "29.9 s after the opening it turns calls away",
        not bench.permits(),
        "a call was made",
        "wait_open counts from the record that opened it.",
    )


def _own_clock(bench):
    bench = Bench(bench.ask, bench.make, wait_open=0.05)
    bench.open()
    time.sleep(0.1)
    bench.expect(
        "own-clock",
        "time is what `now` says, not what a clock says",
        not bench.permits(),
        "`now` had not moved, a tenth of a second had passed, and the breaker let a call through",
        "Use the `now` that you are given, and no time.time() or time.monotonic().",
    )


def _asked_meanwhile(bench):
    bench.open()
    for second in range(1, 30):
        bench.now = START + second
        bench.permits()
    bench.now = START + 30
    bench.expect(
        "rejections-prolong",
        "… also when it was asked every second meanwhile",
        bench.permits(),
        "29 calls were turned away; 30 s after the opening the next was, too",
        "A call that is turned away changes nothing, least of all when the wait began.",
    )


def _half_open(bench):
    bench.open()
    bench.now = START + 30
    calls = [bench.begin() for _ in range(10)]
    made = sum(ticket is not None for ticket, _ in calls)
    bench.last = calls[3][1]  # the first that should have been turned away
    code = "everyone-through" if made > 3 else "too-few-probes"
    bench.expect(
        code,
        "half-open: of ten calls at once exactly three are made, the probes",
        made == 3,
        f"{made} were made",
        "Count the permits down as they are given out, not as the answers come.",
    )


def _well(bench):
    bench.open()
    first, second, third = bench.probes()
    bench.now += 1
    bench.end(first, True)
    bench.end(second, True)
    bench.expect(
        "first-probe-decides",
        "two of three probes were well: nothing is decided yet",
        not bench.permits(),
        "a fourth call was made",
        "It decides when all `probes` results are there.",
    )
    bench.end(third, True)
    bench.expect(
        "never-closes",
        "the third was well, too: closed",
        bench.permits(5) == 5,
        "five calls came, and not all were made",
        "In record: count the results of the probes.",
    )
    bench.calls(False, False, False)
    bench.expect(
        "window-kept",
        "it has closed with an empty window: three failures do not open it",
        bench.permits(),
        "three failed calls, and the next was turned away",
        "Neither the failures before the opening nor the probes belong to the new window.",
    )


def _one_bad(bench):
    bench.open()
    for call, ok in zip(bench.probes(), (False, True, True)):
        bench.end(call, ok)
    bench.expect(
        "one-failure-reopens",
        "one probe of three failed, a share below 0.5: closed",
        bench.permits(4) == 4,
        "of four calls not all were made",
        "The same threshold as in closed decides, over the probes.",
    )


def _badly(bench):
    bench.open()
    probes = bench.probes()
    bench.now = START + 40
    for call in probes:
        bench.end(call, False)
    bench.now += 1
    bench.expect(
        "probes-ignored",
        "all three probes failed: open again",
        not bench.permits(),
        "the next call was made",
        "A bad result in half-open opens it, as in closed, and the wait begins anew.",
    )
    bench.now = START + 69.9
    bench.expect(
        "wait-not-renewed",
        "… for another 30 s",
        not bench.permits(),
        "29.9 s after the probes had failed, a call was made",
        "Each opening has its own start.",
    )
    bench.now = START + 70
    bench.expect(
        "opens-for-good",
        "… and then it probes again",
        bench.permits(3) == 3,
        "of three calls not all were made",
        "The second half-open needs fresh permits.",
    )


def _turned_away(bench):
    bench.open()
    probes = bench.probes()
    bench.permits(6)
    for call in probes:
        bench.end(call, True)
    bench.expect(
        "rejections-count",
        "six calls turned away beside three good probes: closed",
        bench.permits(4) == 4,
        "of four calls not all were made",
        "Who was turned away says nothing about payment.",
    )


def _late(bench):
    old = [bench.begin() for _ in range(9)]
    bench.open()
    bench.now = START + 20
    bench.end(old[0], False)
    bench.now = START + 30
    first = bench.begin()
    bench.expect(
        "late-reply-prolongs",
        "a late reply, 20 s after the opening, changes nothing",
        first[0] is not None,
        "30 s after the opening a call was turned away",
        "While it is open, no result counts.",
    )
    probes = [first, bench.begin(), bench.begin()]
    for call in old[1:5]:
        bench.end(call, True)
    bench.expect(
        "late-reply-decides",
        "late replies from before the opening are no probes",
        not bench.permits(),
        "four good replies to calls from before the opening came in, and a fourth call was made",
        "The ticket must say in which period the call began. A new state is a new period.",
    )
    for call in probes:
        bench.end(call, True)
    for call in old[5:]:
        bench.end(call, False)
    bench.expect(
        "late-reply-counts",
        "… nor do they count once it has closed again",
        bench.permits(),
        "four failed replies from before the opening came in, and the breaker opened",
        "Closed now is not the closed of then: number the periods.",
    )


def _lock(bench):
    call, answers = bench.begin(), []
    other = threading.Thread(
        target=lambda: answers.append(bench.breaker.allow(bench.now)),
        daemon=True,
        name="servicelab check second client",
    )
    other.start()
    other.join(1.0)
    held = not answers
    bench.end(call, True)
    other.join(1.0)
    bench.expect(
        "lock-held",
        "while one call is under way, a second client is not kept waiting",
        not held,
        "allow did not return to a second client until record was called for the first",
        "The lock belongs around the deciding, in allow and in record, and never around the call between "
        "them: with self.lock.",
    )


def _at_once(bench):
    """A real payment, a breaker before it, and twelve real clients at the moment when it becomes half-open."""
    ask, well, came = bench.ask, threading.Event(), []
    asked, all_asked = [], threading.Event()
    app = Flask("payment")

    @app.post("/charges")
    def charge():
        came.append(1)
        if well.is_set():
            all_asked.wait(3)  # so that no probe is over before everybody has asked
        return ("paid", 200) if well.is_set() else ("out of order", 500)

    server = ask.use(serve(app, "payment", trace=ask.trace, workers=CLIENTS))
    web = ask.use(traced(requests.Session(), ask.trace, "orders"))
    line = threading.Barrier(CLIENTS, timeout=5)

    def client(now, together=None):
        if together:
            together.wait()
        ticket = bench.breaker.allow(SlowNumber(now))
        if together:
            asked.append(1)
            if len(asked) == CLIENTS:
                all_asked.set()
        if ticket is None:
            return None
        ok = web.post(server.url + "/charges", timeout=5).ok
        bench.breaker.record(ticket, ok, SlowNumber(now))
        return ok

    for _ in range(6):
        ask.call(client, START)
    bench.last = ask.trace.calls[-1].id if ask.trace.calls else None
    bench.expect(
        "real-outage",
        "a real payment that fails: four calls reach it, then none",
        len(came) == 4,
        f"{len(came)} of 6 calls reached it",
        f"allow returned {shown(bench.breaker.allow(START))} at the end.",
    )
    well.set()
    came.clear()
    before = len(ask.trace)
    with ThreadPoolExecutor(CLIENTS, thread_name_prefix="servicelab check") as crowd:
        waiting = [crowd.submit(client, START + 31, line) for _ in range(CLIENTS)]
        answers = [one.result() for one in waiting]
    calls = ask.trace.since(before).calls
    bench.last = calls[min(3, len(calls) - 1)].id if calls else bench.last
    bench.expect(
        "probes-in-a-race",
        f"{CLIENTS} real clients at once, half-open: three calls reach payment",
        len(came) == 3 and answers.count(True) == 3,
        f"{len(came)} calls reached it",
        "Looking at the state, changing it, and taking a permit are one step: put a lock around all of "
        "allow, and around all of record.",
    )
