"""Exercise 2, build: a reader of a stream that is cut, and comes back.

A server that plays a script (which numbers go out on which connection) shows each mistake by itself; then a real feed
behind the fault proxy, cut at random. Nobody really sleeps, except in the last part, where seconds are milliseconds.
"""

import json
import random
import threading
import time

from flask import Flask

from servicelab.checks.exercise import exercise
from servicelab.checks.section import section
from servicelab.clients.sse import EventStream, StreamLost, StreamRefused
from servicelab.faults import Down, FaultProxy, LimitData, ResetPeer
from servicelab.servers import serve
from servicelab.servers.events import ServerSentEvent, event_stream, last_event_id
from servicelab.servers.feed import Feed

BASE, CAP = 0.1, 2.0  # seconds
LAST = 6  # the number of "delivered" in the scripts
FUSE = 16  # connections after which the script's server sends everything
PATIENCE = 5.0  # seconds for one call of the learner's
CUTS = 10

_STATES = ["ordered", "paid", "picked", "packed", "sent", "delivered"]
_STEPS = [min(CAP, BASE * 2**n) for n in range(8)]

_HINTS = {
    "gives-up": "A cut is no reason to stop: except StreamLost, and round again.",
    "plain": "handle(int(event.id), event.data) for each, and return after 'delivered'.",
    "no-resume": "open_stream() without a number begins at now. Say where you were: open_stream(last).",
    "from-zero": "It sends everything again each time, and the older the order the more that is. open_stream(last).",
    "off-by-one": "The number you give is the last that you have: the server goes on after it.",
    "doubled": "A number that is not above the last one has been handled before: skip it.",
    "not-handled": "Set `last` after handle(…) has returned, not before: what was received is not yet done.",
    "busy-escapes": "except (StreamLost, Busy): the event comes again.",
    "gap": "A number more than one above the last: something is missing. Do not handle it; come back and ask again.",
    "no-backoff": "sleep(rng.uniform(0, step)) before each new attempt, with the sleep you are given.",
    "no-jitter": "A thousand readers lost their connection in the same moment. rng.uniform(0, step) spreads them.",
    "not-full": "Full jitter begins at 0: rng.uniform(0, step).",
    "not-growing": "0.1, 0.2, 0.4, … A connection that was opened and cut at once is no success: only an event that "
    "was "
    "handled sets the step back.",
    "no-cap": "min(2.0, 0.1 * 2**n).",
    "wrong-steps": "The first step is 0.1 s, each is twice the one before, at most 2 s. All chance comes from rng.",
    "never-reset": "After an event was handled the next cut is a new one: the step is 0.1 s again.",
    "retries-refusal": "StreamRefused is an answer: the order does not exist. Let it out.",
    "gives-up-at-the-door": "open_stream itself raises StreamLost, too, while nobody can be reached: into the try.",
    "exam-lost": "Between two connections something was published. Ask for what comes after the last handled number.",
    "exam-doubled": "Handle only what is above the last number.",
    "exam-backoff": "One sleep before each attempt but the first, whatever the loss looked like: also when open_stream "
    "itself raises StreamLost.",
}


class Busy(Exception):
    """What ``handle`` raises when it could not handle the event this time."""


@exercise("06", 2, "A reader that comes back", limit=60.0)
def check_follow(ask, follow):
    """Let ``follow(open_stream, handle, rng, sleep)`` read an order's states over connections that are cut."""
    for examine in (_whole, _cut, _again, _busy, _gap, _refused):
        with section(ask), Desk(ask) as desk:
            examine(desk, follow)
        if any(one.code in ("gives-up", "plain") and not one.passed for one in ask.expectations):
            return
    with section(ask):
        _backoff(ask, follow)
    if all(one.passed for one in ask.expectations):
        with section(ask):
            _exam(ask, follow)


class Desk:
    """A server that plays ``script``: for each connection the numbers that it sends before it is cut."""

    def __init__(self, ask, status=200):
        self.ask, self.script, self.status = ask, [], status
        self.asked, self.handled, self.slept = [], [], []
        self.busy_at = None
        app = Flask("tracking")

        @app.get("/orders/17/events")
        def events():
            self.asked.append(last_event_id(0) if last_event_id() is not None else None)
            turn = len(self.asked) - 1
            if self.status != 200 and turn < 3:
                return "no such order", self.status
            return event_stream([self._event(number) for number in self._numbers(turn)])

        self.server = serve(app, "tracking of the check", lane="tracking", trace=ask.trace)
        self.url = self.server.url + "/orders/17/events"

    def _numbers(self, turn):
        if turn < len(self.script) and self.script[turn] is not None:
            return self.script[turn]
        after = self.asked[turn]
        if after is None:  # from now on; and from the beginning, when this is the first or goes on for ever
            after = 4 if 0 < turn < FUSE else 0
        return range((after if turn < FUSE else 0) + 1, LAST + 1)

    @staticmethod
    def _event(number):
        return ServerSentEvent(_STATES[number - 1], id=str(number))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.stop()

    def open_stream(self, last=None):
        return EventStream(self.url, "" if last is None else last, silence=2.0, trace=self.ask.trace, name="client")

    def handle(self, number, state):
        if number == self.busy_at:
            self.busy_at = None
            raise Busy("the database is locked")
        self.handled.append(number)

    def run(self, follow, script=(), rng=None):
        """Let the learner's function follow; returns how it ended. Ends the check when it raises what it should not."""
        self.script = list(script)
        outcome = self.ask.run(
            follow, self.open_stream, self.handle, rng or random.Random(6), self.slept.append, limit=PATIENCE
        )
        if isinstance(outcome.error, StreamLost):
            what = f"the connection is cut after event {self.handled[-1] if self.handled else 0}: it comes back"
            self.need("gives-up", what, False, str(outcome))
        if not outcome.returned and not isinstance(outcome.error, Busy | StreamRefused):
            what, hint = "follow returns when the order is delivered", "What ends each of your loops?"
            self.ask.need(outcome.how, what, False, f"{outcome}; it handled {self.told}", hint, self.mark(-1))
        return outcome

    @property
    def told(self):
        return ", ".join(map(str, self.handled)) or "nothing"

    def mark(self, turn=0):
        sent = [m.id for m in self.ask.trace.messages if m.label.startswith("GET")]
        return sent[min(turn, len(sent) - 1)] if sent else None

    def expect(self, code, what, passed, happened, turn=1):
        return self.ask.expect(code, what, passed, happened, _HINTS[code], self.mark(turn))

    def need(self, code, what, passed, happened, turn=0):
        self.ask.need(code, what, passed, happened, _HINTS[code], self.mark(turn))


def _whole(desk, follow):
    desk.run(follow)
    all_of_them = list(range(1, LAST + 1))
    what = f"one connection, {LAST} events: each is handled, in order"
    if not desk.asked:
        hint = "for event in open_stream(): …"
        desk.ask.need("wrong-type", "follow reads a stream", False, "it did not open one", hint)
    desk.need("plain", what, desk.handled == all_of_them, f"it handled {desk.told}")
    desk.expect("plain", "… and then it returns", len(desk.asked) == 1, f"it connected {len(desk.asked)} times")


def _cut(desk, follow):
    desk.run(follow, [[1, 2, 3]])
    asked = desk.asked[1] if len(desk.asked) > 1 else None
    code = "no-resume" if asked is None else "from-zero" if asked == 0 else "off-by-one"
    told = "it did not say where it was" if asked is None else f"it asked for what comes after {asked}"
    desk.expect(code, "cut after event 3: it comes back and asks for what comes after 3", asked == 3, told)


def _again(desk, follow):
    desk.run(follow, [[1, 2, 3], [2, 3, 4, 5, 6]])
    twice = sorted({number for number in desk.handled if desk.handled.count(number) > 1})
    told = f"it handled {desk.told}"
    desk.expect("doubled", "the server sends events 2 and 3 once more: they are not handled twice", not twice, told)


def _busy(desk, follow):
    desk.busy_at = 3
    outcome = desk.run(follow)
    if isinstance(outcome.error, Busy):
        return desk.expect("busy-escapes", "handle raises Busy: it comes back", False, str(outcome), 0)
    told = f"it handled {desk.told}"
    return desk.expect(
        "not-handled", "handle(3, …) raises Busy once: event 3 is handled later", 3 in desk.handled, told
    )


def _gap(desk, follow):
    desk.run(follow, [[1, 2, 4, 5]])
    told = f"it handled {desk.told}"
    what = "event 3 is missing on the way: it is asked for again, before 4 is handled"
    return desk.expect("gap", what, desk.handled[:3] == [1, 2, 3], told, 0)


def _refused(desk, follow):
    desk.status = 404
    outcome = desk.run(follow)
    told = f"it asked {len(desk.asked)} times, and {outcome}"
    right = isinstance(outcome.error, StreamRefused) and len(desk.asked) == 1
    return desk.expect("retries-refusal", "the server answers 404: StreamRefused, and no second try", right, told, 0)


class _Loaded(random.Random):
    """Draws the same number each time."""

    def __new__(cls, number):
        return super().__new__(cls, 1)

    def __init__(self, number):
        super().__init__(1)
        self._number = number

    def random(self):
        return self._number


def _backoff(ask, follow):
    """Eight connections cut at once, one after two events, one more at once; with dice that show the most, then 0."""
    script = [[]] * 8 + [[1, 2], []]
    slept = {}
    for number in (0.0, 1 - 1e-9):  # the diagram is of the last
        ask.trace.clear()
        with Desk(ask) as desk:
            desk.run(follow, script, _Loaded(number))
        slept[number] = [float(one) for one in desk.slept if isinstance(one, int | float)]
    least, most = slept.values()
    told = "it slept " + (", ".join(f"{one:.3g}" for one in most) or "not at all") + " s"

    def need(code, what, passed, happened=told, turn=1):
        ask.need(code, what, passed, happened, _HINTS[code], desk.mark(turn))

    need(
        "no-backoff",
        "ten cuts: it sleeps before each new attempt",
        len(most) >= 10 and len(most) == len(desk.asked) - 1 and max(most) > 0,
    )
    need("no-jitter", "the pauses are drawn", least != most, f"{told}, whatever rng drew")
    need("not-full", "the shortest pause that can be drawn is 0", max(least) < 0.001, f"with the lowest draws {least}")
    need("no-cap", f"no pause is longer than {CAP:g} s", max(most) <= CAP)
    growing = all(a < b for a, b in zip(most[:4], most[1:4]))
    need("not-growing", "eight cuts without an event between: the pauses grow", growing)
    right = all(abs(a - b) < 0.01 * b for a, b in zip(most, _STEPS))
    need("wrong-steps", f"the longest that can be drawn are {', '.join(f'{s:g}' for s in _STEPS)} s", right)
    reset = abs(most[8] - BASE) < 0.01 and abs(most[9] - 2 * BASE) < 0.01
    need("never-reset", "after a connection with events the step is 0.1 s again, and then 0.2 s", reset, turn=9)


class _Felt(EventStream):
    """An open stream of a feed's events that notes when its reader has felt the cut."""

    def __init__(self, losses, *args, **options):
        super().__init__(*args, **options)
        self._losses = losses

    def __iter__(self):
        try:
            for event in super().__iter__():
                yield event._replace(data=json.loads(event.data))
        except StreamLost:
            self._losses.append("on the way")
            raise


def _exam(ask, follow):
    """A real feed behind the fault proxy, cut at random."""
    feed, rng = Feed(), random.Random(66)
    slept, handled, attempts, losses = [], [], [], []
    app = Flask("tracking")
    app.get("/events", endpoint="events")(
        lambda: event_stream(feed.subscribe(last_event_id(0) if last_event_id() is not None else None), heartbeat=0.2)
    )
    done = threading.Event()

    def open_stream(last=None):
        attempts.append(last)
        last = "" if last is None and handled else last or 0
        try:
            return _Felt(losses, proxy.url + "/events", last, silence=1.0, trace=ask.trace, name="client")
        except StreamLost:
            losses.append("at the door")
            raise

    def sleep(seconds):
        slept.append(seconds)
        time.sleep(min(max(seconds, 0.0), CAP) / 100)

    def publish_and_cut():
        _until(lambda: feed.subscribers or done.is_set())
        for _ in range(CUTS):
            _publish(rng.randrange(1, 4))
            _until(lambda: feed.last in handled or done.is_set())  # it stands, so this cut is felt for itself
            before = len(losses)
            proxy.add(rng.choice([ResetPeer(), Down(), LimitData(rng.randrange(0, 40))]))
            _publish(rng.randrange(1, 4))
            _until(lambda before=before: len(losses) > before or done.is_set())
            _publish(1)
            proxy.clear()
        while not done.wait(0.05):  # more than once for a reader that may have missed it
            feed.publish("delivered")

    def _publish(count):
        for _ in range(count):
            feed.publish("on its way")

    def handle(number, state):
        handled.append(number)

    with (
        serve(app, "cut tracking of the check", lane="tracking", workers=24, trace=ask.trace) as server,
        FaultProxy(server, "road of the check", seed=6) as proxy,
    ):
        cutter = threading.Thread(target=publish_and_cut, name="servicelab check cuts", daemon=True)
        cutter.start()
        try:
            outcome = ask.run(follow, open_stream, handle, random.Random(7), sleep, limit=8.0)
        finally:
            done.set()
            cutter.join(5.0)
            feed.close()
    gets = [m.id for m in ask.trace.messages if m.label.startswith("GET")]
    mark = gets[1] if len(gets) > 1 else None
    if not outcome.returned:
        code = "gives-up-at-the-door" if isinstance(outcome.error, StreamLost) else outcome.how
        ask.need(
            code, f"over {CUTS} cuts it follows to the end", False, str(outcome), _HINTS["gives-up-at-the-door"], mark
        )
    lost = sorted(set(range(1, handled[-1] + 1)) - set(handled)) if handled else [1]
    told = f"of {len(set(handled)) + len(lost)} events {len(lost)} were lost"
    ask.expect("exam-lost", f"{CUTS} cuts at random: nothing is lost", not lost, told, _HINTS["exam-lost"], mark)
    twice = len(handled) - len(set(handled))
    told = f"{twice} events were handled more than once"
    ask.expect("exam-doubled", "… and nothing handled twice", not twice, told, _HINTS["exam-doubled"], mark)
    told = f"{len(attempts)} attempts, {len(slept)} sleeps"
    right = len(slept) == len(attempts) - 1
    ask.expect(
        "exam-backoff", "… and each attempt but the first after a sleep", right, told, _HINTS["exam-backoff"], mark
    )


def _until(condition, limit=3.0):
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
