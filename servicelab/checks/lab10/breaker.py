"""Exercise 1, build: a circuit breaker from its specification, in simulated time, for time is an argument."""

import time

from servicelab.checks.scenario import Aside, Stage, scenario, words
from servicelab.checks.slow_number import SlowNumber
from servicelab.trace import new_id, reply_id

SETTINGS = {"size": 10, "failure_rate": 0.5, "minimum_calls": 4, "wait_open": 30.0, "probes": 3}
START = 100.0  # seconds, when the calls that open it have failed; they began two seconds earlier
CLIENTS = 12

WORDS = words("""
wrong-type: allow returns a ticket, or None
    What does the task say a call that is turned away gets?
closed-rejects: a new breaker is closed: calls are made
    What does your allow return while it is closed?
lock-held: while one call is under way, a second client is not kept waiting
    From when to when do you hold the lock? The call itself lies between allow and record.
opens-on-first-error: one failed call does not open it
    How many results are needed before anything is decided?
minimum-ignored: three failed calls do not open it: minimum_calls is 4
    How many results does the window hold when you divide?
never-opens: the fourth failed call in a row opens it
    Which line of record looks at the share of failures?
rate-ignored: every fourth call fails, which is below 0.5: it stays closed
    Not the number of failures decides but their share.
at-the-threshold: two failures in four calls, wherever they stand, are a share of 0.5: it opens
    Read rule 1 again: "after each result", "the share", "or more".
window-too-short: forty good calls, four bad ones: 4 of the last 10, it stays closed
    How many results does your window hold?
never-forgets: a fifth bad one: 5 of the last 10, it opens
    What leaves the window when it is full?
waits-too-short: 29.9 s after the opening it turns calls away
    From when does wait_open count, and how long is it?
own-clock: time is what `now` says, not what a clock says
    Where do you ask a clock of your own?
never-half-opens: 30 s after the opening a call is made: the first probe
    Nothing happens by a timer here. Who can notice that the wait is over?
rejections-prolong: … and is over after 30 s also when it was asked every second meanwhile
    What does turning a call away change in your breaker? Rule 5.
everyone-through, too-few-probes: half-open: of ten calls at once exactly three are made, the probes
    When do you count a probe: as it begins, or as its answer comes?
first-probe-decides: two of three probes were well: nothing is decided yet
    How many results must be there before half-open ends?
never-closes: the third was well, too: closed
    What do you do when the last of the probes' results has come?
window-kept: it has closed with an empty window: three failures do not open it
    What is in your window at the moment when it closes?
one-failure-reopens: one probe of three failed, a share below 0.5: closed
    By which rule do the probes decide?
two-failures-close: four probes, two of them failed, a share of 0.5: open
    By which rule do the probes decide?
settings-ignored, minimum-of-probes: another breaker: window of 6, minimum of 2, open from 0.3 on, 7 s, three probes
    Which numbers stand in your code? And which of the settings is for the window, which for half-open?
probes-ignored: all three probes failed: open again
    What follows from a bad share in half-open?
wait-not-renewed: … for another 30 s
    When did *this* opening begin?
opens-for-good: … and then it probes again
    How many permits does the second half-open have?
probes-expire, rejections-count: three good probes that take 31 s, and six calls turned away meanwhile: closed
    What ends half-open, by rule 3? Does time, or a call that was never made?
late-reply-closes, late-reply-prolongs: late replies, 20 s after the opening, change nothing, good or bad
    In which period was this call allowed? Rule 4.
late-reply-decides: late replies from before the opening are no probes
    How does record know in which period the call was allowed?
late-reply-counts: … nor do they count once it has closed again
    Is closed now the same period as the closed of then?
probes-in-a-race: 12 clients at once, half-open: three probes
    What can another thread do between your look at the state and your change of it?
""")


class Bench(Stage):
    """One breaker of the learner's, calls through it in simulated time, and their record."""

    def __init__(self, ask, make, **changed):
        super().__init__(ask, make)
        self.breaker = self.make(make, **{**SETTINGS, **changed}, methods=("allow", "record"))
        self.now, self._state, self._drawn = START - 2, None, 0.0

    def begin(self):
        """Ask whether a call may be made now: ``(ticket, id)``, the ticket None when it was turned away."""
        return self.drawn(self.call(self.breaker.allow, self.now))

    def drawn(self, ticket):
        trace, self.last, at = self.ask.trace, new_id(), self._apart()
        trace.send("orders", "payment", "charge", id=self.last, at=at)
        if ticket is False:
            self.refuse("wrong-type", "it returned False")
        if ticket is None:
            trace.lose(self.last, "turned away", at=at)
        else:
            trace.receive(self.last, "payment", at=at + 0.02)
        self._note_state(at)
        return ticket, self.last

    def end(self, calls, results):
        """These calls have ended, well "v" or badly "x": tell the breaker."""
        for (ticket, self.last), result in zip(calls, results):
            if ticket is None:
                continue
            id, at = reply_id(self.last), self._apart()
            self.ask.trace.send("payment", "orders", "paid" if result == "v" else "500", id=id, kind="reply", at=at)
            self.ask.trace.receive(id, "orders", at=at + 0.02)
            self.call(self.breaker.record, ticket, result == "v", self.now)
            self._note_state(at + 0.02)

    def calls(self, results):
        """Calls one after another; says how many were made."""
        made = 0
        for result in results:
            call = self.begin()
            self.end([call], result)
            self.now += 0.2
            made += call[0] is not None
        return made

    def permits(self, times=1):
        """How many of so many calls may be made. They stay under way."""
        return sum(self.begin()[0] is not None for _ in range(times))

    def opened(self, after=0.0, probes=0):
        """Four failed calls open it at START; then time passes, and so many probes are begun."""
        calls, self.now = [self.begin() for _ in range(4)], START
        self.end(calls, "xxxx")
        self.now = START + after
        return [self.begin() for _ in range(probes)]

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
    b.end([call], "v")
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
def share(b):
    made = b.calls("xvvv" * 6)
    yield "rate-ignored", made == 24, f"{made} of 24 calls were made"


@part
def threshold(b):
    for one, told in ((b, "well, failed, well, failed"), (Bench(b.ask, b.yours), "failed, failed, well, well")):
        one.calls("vxvx" if one is b else "xxvv")
        made, b.last = one.permits(), one.last
        yield "at-the-threshold", not made, f"{told}; and the next call was made"


@part
def window(b):
    b.calls("v" * 40 + "xxxx")
    yield "window-too-short", b.permits(), "the next call was turned away"
    b.calls("x")
    yield "never-forgets", not b.permits(), "forty good calls, five bad ones; the next call was made"


@part
def patience(b):
    b.opened(after=29.9)
    yield "waits-too-short", not b.permits(), "a call was made"


@part
def clock(b):
    hasty = Bench(b.ask, b.yours, wait_open=0.05)
    hasty.opened()
    time.sleep(0.1)
    made, b.last = hasty.permits(), hasty.last
    yield "own-clock", not made, "`now` had not moved, 0.1 s had passed, and the breaker let a call through"


@part
def waiting(b):
    b.opened(after=30)
    yield "never-half-opens", b.permits(), "it was turned away"


@part
def asked_meanwhile(b):
    b.opened()
    for b.now in range(101, 130):
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
def good_probes(b):
    probes = b.opened(after=30, probes=3)
    b.now += 1
    b.end(probes[:2], "vv")
    yield "first-probe-decides", not b.permits(), "a fourth call was made"
    b.end(probes[2:], "v")
    yield "never-closes", b.permits(5) == 5, "five calls came, and not all were made"
    b.calls("xxx")
    yield "window-kept", b.permits(), "three failed calls, and the next was turned away"


@part
def one_bad_probe(b):
    b.end(b.opened(after=30, probes=3), "xvv")
    yield "one-failure-reopens", b.permits(4) == 4, "of four calls not all were made"


@part
def bad_probes(b):
    probes = b.opened(after=30, probes=3)
    b.now = START + 40
    b.end(probes, "xxx")
    b.now += 1
    yield "probes-ignored", not b.permits(), "the next call was made"
    b.now = START + 69.9
    yield "wait-not-renewed", not b.permits(), "29.9 s after the probes had failed, a call was made"
    b.now = START + 70
    yield "opens-for-good", b.permits(3) == 3, "of three calls not all were made"


@part
def two_bad_probes(b):
    other = Bench(b.ask, b.yours, probes=4)
    other.end(other.opened(after=30, probes=4), "xxvv")
    made, b.last = other.permits(), other.last
    yield "two-failures-close", not made, "the next call was made"


@part
def other_settings(b):
    other = Bench(b.ask, b.yours, size=6, failure_rate=0.3, minimum_calls=2, wait_open=7.0, probes=3)
    made = [other.calls("vvvvvvxx"), other.permits()]  # 2 of the last 6
    other.now += 7.0
    probes = [other.begin() for _ in range(5)]
    made, b.last = [*made, sum(ticket is not None for ticket, _ in probes)], other.last
    told = "six good calls, two bad ones, one more; 7 s later five at once: {} + {} + {} were made, not 8 + 0 + 3"
    yield "settings-ignored", made == [8, 0, 3], told.format(*made)
    other.end(probes[:2], "vv")
    made, b.last = other.permits(), other.last
    yield "minimum-of-probes", not made, "a fourth call was made"


@part
def turned_away(b):
    probes = b.opened(after=30, probes=3)
    b.now += 31
    yield "probes-expire", not b.permits(6), "one of the six was made"
    b.end(probes, "vvv")
    yield "rejections-count", b.permits(4) == 4, "of four calls not all were made"


@part
def late_replies(b):
    old = [b.begin() for _ in range(14)]
    b.opened(after=20)
    b.end(old[:2], "vx")
    yield "late-reply-closes", not b.permits(), "a good one and a bad one came in, and the next call was made"
    b.now = START + 30
    probes = [b.begin()]
    yield "late-reply-prolongs", probes[0][0] is not None, "30 s after the opening a call was turned away"
    probes += [b.begin(), b.begin()]
    b.end(old[2:6], "vvvv")
    told = "four good replies to calls from before the opening came in, and a fourth call was made"
    yield "late-reply-decides", not b.permits(), told
    b.end(old[6:10], "xxxx")
    b.end(probes, "vvv")
    told = "four failed replies from before the opening came in among three good probes, and it did not close"
    yield "late-reply-decides", b.permits(), told
    b.end(old[10:], "xxxx")
    told = "four failed replies from before the opening came in, and the breaker opened"
    yield "late-reply-counts", b.permits(), told


@part
def many_clients(b):
    b.opened()
    asked = b.at_once(*[lambda: b.breaker.allow(SlowNumber(START + 31))] * CLIENTS)
    b.now = START + 31
    made = sum(b.drawn(one.answer)[0] is not None for one in asked)
    yield "probes-in-a-race", made == 3, f"{made} calls were made"
