"""Exercise 2, build: a reader of a stream that is cut, and comes back.

A server plays a script: which numbers go out on which connection. Nobody really sleeps.
"""

from servicelab.checks.lab06.tracking import SHUT, Desk, Loaded
from servicelab.checks.scenario import scenario, words
from servicelab.clients.sse import StreamRefused

STEPS = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]  # seconds: the longest pauses, one after the other

WORDS = words("""
plain: each event is handled as it comes, once and in order from 1, with its number as an int, up to "delivered"
    With which number do you begin? What do you give to handle, of which type, and when? After which event is it over?
gives-up: the connection is cut, or nobody can be reached: it comes back, however often
    Which two lines can raise StreamLost, and are both of them in the try? Does anything count the attempts?
no-resume: when it comes back it asks for what comes after the last event that was handled
    What does the server have to know of you, and what does the number in open_stream say?
doubled: what the server sends again is not handled twice
    How do you recognise an event that you have had?
busy: handle raises Busy: it comes back over a new connection, for the event that was not handled
    Which exceptions send you back? At which moment is an event done?
gap: an event is missing: nothing beyond it is handled, and it is asked for again
    How do you recognise that something is missing between two events?
no-pause: one pause before each attempt but the first, whatever sent it away, with the sleep that it was given
    Which ways lead from a loss to the next attempt? Does each of them pass the pause once, and whose sleep is it?
not-closed: it closes a connection before it pauses or returns
    Who closes a connection that did not break, and when?
refusal: anything else that open_stream raises comes out as it is, and there is no second try
    What do you catch, and what else is of that class?
jitter: the pauses are drawn from rng, evenly between 0 and the step
    A thousand readers lost their connection in the same moment. What makes them different, and how much?
steps: the longest pauses that can be drawn are 0.1, 0.2, 0.4, 0.8, 1.6, 2 s, and 2 s from then on
    With what do you begin, by what do you multiply, and what bounds it? A server may take every connection, and drop it
    at once.
reset: an event that was handled sets the step back to 0.1 s; nothing else does, and each loss doubles it
    In which line is the step set back, which events come to it, and has the event been handled there? Which losses pass
    the line that doubles it?
""")

#: Of each part and run: a code, the script, and where it has to ask; see :meth:`Desk.ride`.
RIDES = {
    "no cut at all": (("plain", [], [0]), ("plain", [], [0], {"end": 3})),
    "a cut": (("gives-up", [[1, 2, 3], [4]], [0, 3, 4], {"wrong": "no-resume"}),
              ("gives-up", [[]], [0, 0], {"wrong": "no-resume"})),
    "what was there already": (("doubled", [[1, 2, 3], [2, 3, 4, 5, 6]], [0, 3]),),
    "busy": (("busy", [], [0, 0], {"busy": [1]}), ("busy", [], [0, 5], {"busy": [6]}),
             ("busy", [], [0, 2, 2, 2], {"busy": [3, 3, 3]})),
    "a hole": (("gap", [[1, 2, 4, 5], [4, 5]], [0, 2, 2]), ("gap", [[1, 2, 6]], [0, 2]), ("gap", [[2, 3]], [0, 0]),
               ("gap", [[1, 2, 4, 3]], [0, 2])),
    "a door that is shut": (("gives-up", [SHUT] * 130, [0] * 131), ("gives-up", [[1, 2], SHUT], [0, 2, 2])),
}  # fmt: skip
check_follow = scenario("06", 2, "A reader that comes back", WORDS, follow=Desk)
check_follow.parts(RIDES, Desk.rides)


@check_follow.part
def no_such_order(desk):
    for kind, *script in ((StreamRefused, 404, 404, 404), (PermissionError, [1], PermissionError("not your order"))):
        outcome, due = desk.follow(script), 1 + ([1] in script)
        told = f"{kind.__name__} was raised at attempt {due}; {outcome}, after {len(desk.asked)} attempts"
        yield "refusal", type(outcome.error) is kind and len(desk.asked) == due, told


@check_follow.part
def pauses(desk):
    """Six cuts, one after two events, a hole; the same two again; a shut door; twice Busy: with dice that show the
    least, the half, and the most."""

    def slept(number):
        desk.follow([[], [], [], [], [], [], [1, 2], [4], [1, 2], SHUT], busy=[3, 3], rng=Loaded(number))
        return desk.slept

    least, half, most = map(slept, (0.0, 0.5, 1 - 1e-9))
    if least > most:  # as step * (1 - rng.random()) is
        least, most = most, least
    told = f"it slept {', '.join(f'{one:.3g}' for one in most)} s with the highest draws"
    yield "no-pause", len(most) == 2 * len(STEPS), f"{len(desk.asked)} attempts, and {len(most)} pauses"
    is_even = max(least) < 0.001 and all(abs(one - end / 2) < 0.01 * end for one, end in zip(half, most))
    middle = ", ".join(f"{one:.3g}" for one in half)
    yield "jitter", is_even, f"{told}; {middle} s with those in the middle; {max(least):.3g} s at most with the lowest"
    right = [abs(one - step) < 0.01 * step for one, step in zip(most, 2 * STEPS)]
    yield "steps", all(right[:6]), told
    yield "reset", all(right), told
