"""Exercise 2, build: a reader of a stream that is cut, and comes back.

A server that plays a script (which numbers go out on which connection) shows each mistake by itself; then a real feed
behind the fault proxy, cut at random. Nobody really sleeps, except in the last part.
"""

from servicelab.checks.exercise import exercise
from servicelab.checks.lab06.cuts import exam
from servicelab.checks.lab06.tracking import LAST, Busy, Desk, Loaded
from servicelab.checks.section import section
from servicelab.clients.sse import StreamRefused

BASE, CAP = 0.1, 2.0  # seconds

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
    "was handled sets the step back.",
    "no-cap": "min(2.0, 0.1 * 2**n).",
    "wrong-steps": "The first step is 0.1 s, each is twice the one before, at most 2 s. All chance comes from rng.",
    "never-reset": "After an event was handled the next cut is a new one: the step is 0.1 s again.",
    "retries-refusal": "StreamRefused is an answer: the order does not exist. Let it out.",
    "no-pause": "Whatever sends you away, pause before you come back. A server that has lost an event has lost it the "
    "next time, too, and a thousand readers ask for it.",
    "not-closed": "A connection that nobody closes stays open, for the server as well: `with open_stream(last) as …:`, "
    "or close() in a finally.",
    "reset-by-old": "An event that you skip is no success. Set the step back where an event was handled.",
}


@exercise("06", 2, "A reader that comes back", limit=60.0)
def check_follow(ask, follow):
    """Let ``follow(open_stream, handle, rng, sleep)`` read an order's states over connections that are cut."""
    for examine in (_whole, _cut, _again, _busy, _gap, _refused):
        with section(ask), Desk(ask, _HINTS) as desk:
            examine(desk, follow)
        if any(one.code in ("gives-up", "plain") and not one.passed for one in ask.expectations):
            return
    with section(ask):
        _backoff(ask, follow)
    for examine in (_again_and_again, _lets_go, exam):
        if all(one.passed for one in ask.expectations):
            with section(ask):
                examine(ask, follow)


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


def _backoff(ask, follow):
    """Eight connections cut at once, one after two events, one more at once; with dice that show the most, then 0."""
    script = [[]] * 8 + [[1, 2], []]
    slept = {}
    for number in (0.0, 1 - 1e-9):  # the diagram is of the last
        ask.trace.clear()
        dice = Loaded(number)
        with Desk(ask, _HINTS) as desk:
            desk.run(follow, script, dice)
        slept[number] = [float(one) for one in desk.slept if isinstance(one, int | float)]
    least, most = slept.values()
    told = f"it slept {_words(most)}"

    def need(code, what, passed, happened=told, turn=1):
        ask.need(code, what, passed, happened, _HINTS[code], desk.mark(turn))

    need(
        "no-backoff",
        "ten cuts: it sleeps before each new attempt",
        len(most) >= 10 and len(most) == len(desk.asked) - 1 and max(most) > 0,
    )
    if not dice.drawn:
        need("no-jitter", "the pauses are drawn from rng", False, f"{told}, and never asked rng")
    need("no-jitter", "the pauses are drawn", least != most, f"{told}, whatever rng drew")
    what = "the shortest pause that can be drawn is 0"
    need("not-full", what, max(least) < 0.001, f"with the lowest draws it slept {_words(least)}")
    need("no-cap", f"no pause is longer than {CAP:g} s", max(most) <= CAP)
    growing = all(a < b for a, b in zip(most[:4], most[1:4]))
    need("not-growing", "eight cuts without an event between: the pauses grow", growing)
    right = all(abs(a - b) < 0.01 * b for a, b in zip(most, _STEPS))
    need("wrong-steps", f"the longest that can be drawn are {', '.join(f'{s:g}' for s in _STEPS)} s", right)
    reset = abs(most[8] - BASE) < 0.01 and abs(most[9] - 2 * BASE) < 0.01
    need("never-reset", "after a connection with events the step is 0.1 s again, and then 0.2 s", reset, turn=9)


def _again_and_again(ask, follow):
    """A server that sends the same two events over and over: they were handled once, and are no success any more."""
    with Desk(ask, _HINTS) as desk:
        desk.run(follow, [[1, 2]] * 4, Loaded(1 - 1e-9))
    what = "the server sends events 1 and 2, and nothing else, four times: the pauses grow from the second time on"
    desk.expect("reset-by-old", what, desk.slept[:4] == sorted(set(desk.slept[:4])), f"it slept {_words(desk.slept)}")


def _lets_go(ask, follow):
    """A hole and an event that cannot be handled: no exception of the connection's ends these two."""
    for name, script, busy_at in (
        ("an event is missing", [[1, 2, 4, 5], [4, 5]], None),
        ("handle raises Busy", [], 3),
    ):
        ask.trace.clear()
        with Desk(ask, _HINTS) as desk:
            desk.busy_at = busy_at
            desk.run(follow, script)
        came_back = len(desk.asked) - 1
        told = f"it came back {came_back} times, and slept {_words(desk.slept)}"
        if not desk.expect("no-pause", f"{name}: it sleeps before it comes back", len(desk.slept) >= came_back, told):
            return
        told = f"connection {min(desk.left_open, default=0)} of {len(desk.asked)} was still open"
        what = f"{name}: it closes the connection before it sleeps or returns"
        if not desk.expect("not-closed", what, not desk.left_open, told, min(desk.left_open, default=1) - 1):
            return


def _words(pauses):
    return (", ".join(f"{one:.3g}" for one in pauses) or "not at all, 0") + " s"
