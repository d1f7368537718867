"""Exercise 2, build: a reader of a stream that is cut, and comes back.

A server plays a script: which numbers go out on which connection. Nobody really sleeps.
"""

from servicelab.checks.lab06.tracking import SHUT, Desk, Loaded
from servicelab.checks.scenario import scenario, words
from servicelab.clients.sse import StreamRefused

STEPS = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)  # seconds: the longest pauses, one after the other

WORDS = words("""
plain: each event is handled, once and in order, with its number as an int
    What do you give to handle, and of which type is it?
kept: … as it comes
    Who waits for the events that you collect, and until when?
begins-now: it begins with what comes after 0
    What has been said before you came, and who sends it to you?
gives-up: the connection is cut: it comes back
    What does the iteration raise when the line breaks, and where is that caught?
gives-up-at-the-door: nobody can be reached: it tries again, however often
    Which two lines can raise StreamLost, and are both of them in the try? Does anything count the attempts?
no-resume, from-zero, off-by-one: when it comes back it asks for what comes after the last event that was handled
    What does the server have to know of you, and what does the number in open_stream say?
doubled: what the server sends again is not handled twice
    How do you recognise an event that you have had?
busy-escapes: handle raises Busy: it comes back
    Which exceptions send you back?
not-handled: … for the event that was not handled
    At which moment is an event done?
stays: … over a new connection
    What does the task want after Busy, before the event is tried again?
gap: an event is missing: nothing beyond it is handled, and it is asked for again
    How do you recognise that something is missing between two events?
no-pause: one pause before each attempt but the first, whatever sent it away, with the sleep that it was given
    Which ways lead from a loss to the next attempt? Does each of them pass the pause once, and whose sleep is it?
not-closed: it closes a connection before it pauses or returns
    Who closes a connection that did not break, and when?
retries-refusal: anything else that open_stream raises comes out as it is, and there is no second try
    What do you catch, and what else is of that class?
no-jitter: the pauses are drawn from rng
    A thousand readers lost their connection in the same moment. What makes them different?
not-growing: without a handled event between, the pauses grow
    What counts as a success that sets the step back? A server may take every connection, and drop it at once.
not-full: … evenly, and the shortest that can be drawn is 0
    From where to where does full jitter draw?
no-cap: no pause is longer than 2 s
    What bounds the step?
wrong-steps: the longest that can be drawn are 0.1, 0.2, 0.4, 0.8, 1.6, 2 s
    With what do you begin, and by what do you multiply?
never-reset: after an event was handled the step is 0.1 s again
    When is a cut a new one?
reset-by-old: … and not after one that was skipped
    In which line is the step set back, and which events come to it?
reset-by-busy: … nor after one that could not be handled
    In which line is the step set back, and has the event been handled there?
""")

check_follow = scenario("06", 2, "A reader that comes back", WORDS, follow=Desk)
part = check_follow.part


def behaved(desk):
    """What holds of each run that went to its end."""
    told = f"{len(desk.asked)} attempts, and {len(desk.slept)} pauses; {desk.told}"
    yield "kept", not desk.kept, f"event {desk.kept[:1]} was handled when its connection had ended; {desk.told}"
    yield "no-pause", len(desk.slept) == len(desk.asked) - 1, told
    if desk.left_open:
        desk.mark(min(desk.left_open) - 1)
        yield "not-closed", False, f"connection {min(desk.left_open)} of {len(desk.asked)} was still open"


def asked(desk, *wanted):
    """At which numbers the attempts after the first began."""
    for last, want in zip(desk.asked[1:], wanted):
        code = "no-resume" if last is None else "from-zero" if last == 0 else "off-by-one"
        told = "it did not say where it was" if last is None else f"it asked for what comes after {last!r}"
        yield code, last == want, f"{told}, and {want} was the last that it had handled"


@part
def no_cut_at_all(desk):
    for end in (6, 3):
        desk.follow(end=end)
        desk.mark(0)
        happened = ", ".join(f"handle({number!r}, {state!r})" for number, state in desk.handled[:9])
        yield "plain", desk.all_handled(), f"{happened or 'nothing was handled'}; {end} events were sent"
        yield "begins-now", desk.asked[0] == 0, f"it asked for what comes after {desk.asked[0]}"
        yield from behaved(desk)


@part
def a_cut(desk):
    for sent, script in ((4, [[1, 2, 3], [4]]), (0, [[]])):
        desk.follow(*script)
        desk.mark(len(script))
        yield "gives-up", len(desk.asked) > 1, f"cut after event {sent}; {desk.told}, and returned"
        yield from list(asked(desk, *[numbers[-1] if numbers else 0 for numbers in script]))
        yield "plain", desk.all_handled(), desk.told
        yield from behaved(desk)


@part
def what_was_there_already(desk):
    desk.follow([1, 2, 3], [2, 3, 4, 5, 6])
    yield "doubled", desk.all_handled(), f"events 2 and 3 were sent again; {desk.told}"


@part
def busy(desk):
    for at in ([1], [6], [3, 3, 3]):
        desk.follow(busy=at)
        told = f"handle raised Busy for event {at[0]}, {len(at)} times; {desk.told}"
        yield "not-handled", desk.all_handled(), told
        yield "stays", len(desk.asked) == 1 + len(at), f"{told}; there were {len(desk.asked)} connections"
        yield from behaved(desk)
        yield from asked(desk, *[at[0] - 1] * len(at))


@part
def a_hole(desk):
    for last, script in ((2, [[1, 2, 4, 5], [4, 5]]), (2, [[1, 2, 6]]), (0, [[2, 3]]), (2, [[1, 2, 4, 3]])):
        desk.follow(*script)
        back = f"it came back for what comes after {', '.join(map(str, desk.asked[1:])) or 'nothing'}"
        right = desk.all_handled() and set(desk.asked[1:]) == {last}
        yield "gap", right, f"{script[0]} was sent; {desk.told}, and {back}"
        yield from behaved(desk)


@part
def a_door_that_is_shut(desk):
    for script in ([SHUT] * 130, [[1, 2], SHUT]):
        outcome = desk.follow(*script)
        yield "gives-up-at-the-door", len(desk.asked) > len(script), f"{outcome}, after {len(desk.asked)} attempts"
        yield "plain", desk.all_handled(), desk.told
        yield from behaved(desk)


@part
def no_such_order(desk):
    for script, kind in (([404] * 3, StreamRefused), ([[1], PermissionError("not your order")], PermissionError)):
        outcome = desk.follow(*script)
        told = f"{kind.__name__} was raised at attempt {len(script) if kind is not StreamRefused else 1}; {outcome}"
        right = type(outcome.error) is kind and len(desk.asked) == len(script if kind is not StreamRefused else [1])
        yield "retries-refusal", right, f"{told}, after {len(desk.asked)} attempts"


@part
def pauses(desk):
    """Six cuts, one after two events, one more; the same two again; a shut door; twice Busy. With dice that show the
    most; and a shut door with dice that show the least, and the half."""

    def slept(dice, script=(SHUT,) * 4, busy=()):
        desk.follow(*script, busy=busy, rng=dice)
        return desk.slept

    low, dice, wanted = Loaded(0.0), Loaded(1 - 1e-9), [*STEPS, *STEPS]
    least, half = slept(low), slept(Loaded(0.5))
    if least > half:  # as step * (1 - rng.random()) is
        low, dice = dice, low
        least = slept(low)
    most = slept(dice, [[]] * 6 + [[1, 2], [], [1, 2], SHUT], [3, 3])
    told = f"it slept {', '.join(f'{one:.3g}' for one in most)} s"
    yield "no-pause", len(most) == len(wanted), f"{len(desk.asked)} attempts, and {len(most)} pauses"
    yield "no-jitter", dice.drawn and least != most[:4], f"{told}, whatever rng drew"
    yield "not-growing", most[0] < most[1] < most[2] < most[3], told
    lowest = f"{max(least):.3g} s at most with the lowest, {half[0]:.3g} s first in between"
    is_even = all(abs(one - end / 2) < 0.01 * end for one, end in zip(half, most))
    yield "not-full", max(least) < 0.001 and is_even, f"{told} with the highest draws, {lowest}"
    yield "no-cap", max(most) <= STEPS[-1], told
    for begin, code in ((0, "wrong-steps"), (6, "never-reset"), (8, "reset-by-old"), (10, "reset-by-busy")):
        end = 6 if begin == 0 else begin + 2
        desk.mark(end - 1)
        right = all(abs(a - b) < 0.01 * b for a, b in zip(most[begin:end], wanted[begin:end]))
        yield code, right, f"{told}; pause {begin + 1} was to be {wanted[begin]:g} s at most"
