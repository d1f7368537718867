"""Exercise 2, build: a client with a true deadline, against servers that drip, say nothing, or break off."""

import gc
import socket
import traceback
from http.client import HTTPException

from servicelab.checks.lab01.wire import Wire, head
from servicelab.checks.learner_traceback import is_theirs
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.lifecycle import HOST

LABEL = b"parcel 17: on its way to\r\n\r\n12 Mill Lane\n"
LONG = LABEL * 2000  # 76 kB: more than one read
PLACE = "/labels/17?size=a6"
SHORT, SLOW = 0.5, 2.5  # seconds: a deadline, and what the server takes
LATE = 1.0  # seconds after the deadline: so wide that a busy machine is not taken for a mistake
LIMIT = 4.0  # seconds for one call; nothing here takes longer than SLOW


class DeadlineExceeded(Exception):
    """The whole call took longer than its caller could use."""


WORDS = words("""
exit: get_within returns or raises
    exit() would end the program of your caller. What should it learn instead?
asked: it sends one GET for the path and the query of the url (rule 1)
    What did the server read, and what does a url consist of?
error: an answer that comes within the deadline is returned, whatever its status (rule 1)
    This server takes its time, but it is not late. What ended your call? And which answers do you take for errors?
none: an answer that is missing is an exception, never None (rule 1)
    None looks to the caller like an empty answer. Does every path end with a return or a raise?
part: the body comes back whole (rule 1)
    One read returns what has arrived so far. Who says where the answer ends?
wrong: the bytes of the body come back, and nothing else (rule 1)
    Where does the body begin, and may a body have empty lines? And what type has it?
endless: it ends when the deadline has passed (rule 2)
    Which wait in it has no limit? What is looked at between two pieces is not looked at while no piece comes.
late-answer: an answer that is late is DeadlineExceeded, at the deadline (rule 2)
    What limits each silence does not limit their sum. How often do you decide when it must be over?
late-error: DeadlineExceeded comes at the deadline, not later (rule 2)
    It was right in the end, but the caller had to wait. Which of your waits went on, and how long may it last?
half: half an answer is not an answer: DeadlineExceeded (rule 2)
    A line that was cut looks like an answer that has ended. What else could tell you that it is not?
other-error: the deadline has one name, DeadlineExceeded (rule 2)
    Your caller wants one case to handle. Which error reached it?
early: DeadlineExceeded does not come before the deadline (rule 2)
    The limit is `seconds` for the whole call. Is it divided up somewhere?
swallowed: when nobody is there, or the server breaks off, an error is raised (rule 3)
    Half an answer, or none, was returned as if it were one. What did you know about it?
disguised: another error is not taken for the deadline (rule 3)
    There was time left. What tells you whether it was the deadline?
wrapped: any other error passes as it is (rule 3)
    The caller looks for the error that the network raised. What did it get in its place?
socket-left: afterwards no connection is open (rule 4)
    Who closes it, on which way out?
setting-left: afterwards other sockets are as they were before (rule 4)
    What did you set, and for whom does it hold?
""")


def drip(data, seconds, pieces=20):
    """Steps that spread ``data`` over so many seconds."""
    size = -(-len(data) // pieces)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [(seconds / len(parts), part) for part in parts]


class Caller(Stage):
    """Calls the learner's function on a server of its own for each call."""

    def get(self, steps, seconds):
        """How a call to a server that follows ``steps`` ended."""
        call = self._begin(seconds)
        with Wire("shipping", steps, self.ask.trace, call) as server:
            outcome = self._run(server.url + PLACE, seconds)
            self.is_alone, self.asked = server.is_alone(1.5), server.asked
        return outcome

    def get_from_nobody(self, seconds):
        with socket.socket() as nobody:  # bound, and not listening: whoever calls is refused
            nobody.bind((HOST, 0))
            self.ask.trace.lose(self._begin(seconds), "refused")
            return self._run(f"http://{HOST}:{nobody.getsockname()[1]}{PLACE}", seconds)

    def _begin(self, seconds):
        label = "GET /labels/17"
        call = self.ask.trace.start_call("client", "shipping", label, timeout=seconds)
        self.last = self.ask.trace.send("client", "shipping", label, id=call)
        return call

    def _run(self, url, seconds):
        self.raised_there = False  # did an error begin in the learner's own code?

        def get_within(seconds, url):
            try:
                return self.yours(seconds, url)
            except Exception as error:
                self.raised_there = is_theirs(traceback.extract_tb(error.__traceback__)[-1].filename)
                raise

        function = get_within if callable(self.yours) else self.yours
        outcome = self.ask.run(function, seconds, url, limit=LIMIT)
        status = "ok" if outcome.returned else type(outcome.error).__name__ if outcome.error else outcome.how
        self.ask.trace.end_call(self.last, status)
        _forget_frames(outcome.error)
        if outcome.how == "not-callable":
            self.call(self.yours)  # says so, and ends the check
        return outcome


def _forget_frames(error):
    """Drop the tracebacks of an error and its causes: their frames would keep the learner's variables alive, and with
    them a connection that closes when its function is left."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
    gc.collect()


def whole(c, steps, seconds, body):
    """The body comes back, all of it."""
    outcome = c.get(steps, seconds)
    told, value = f"{len(body)} bytes were sent within {seconds:g} s; {outcome}", outcome.value
    yield "exit", outcome.how != "exit", told
    yield "error", outcome.returned, told
    yield "none", value is not None, told
    wanted = f"GET {PLACE} HTTP/1.1"
    yield "asked", c.asked[:1] in ([wanted], [wanted[:-1] + "0"]), f"the server read {c.asked}"
    yield "part", not (isinstance(value, bytes) and len(value) < len(body) and body.startswith(value)), told
    yield "wrong", value == body, told
    yield from left(c)


def cut(c, steps, seconds, margin=LATE):
    """DeadlineExceeded, in time."""
    outcome = c.get(steps, seconds)
    told = f"the deadline was {seconds:g} s; after {outcome.seconds:.1f} s {outcome}"
    late = outcome.seconds > seconds + margin
    yield "endless", outcome.how != "time-limit", told
    yield "none", not (outcome.returned and outcome.value is None), told
    yield "late-answer", not (outcome.returned and late), told
    yield "half", not outcome.returned, told
    yield "late-error", not late, told
    yield "other-error", isinstance(outcome.error, DeadlineExceeded), told
    yield "early", outcome.seconds > 0.9 * seconds, told
    yield from left(c)


def left(c):
    told = "a second and a half after the end of the call the server still saw an open connection"
    yield "socket-left", c.is_alone, told
    default, _ = socket.getdefaulttimeout(), socket.setdefaulttimeout(None)
    yield "setting-left", default is None, f"socket.getdefaulttimeout() is {default} now"


def passes(outcome, is_wrapped):
    """An error that has nothing to do with the deadline."""
    yield "endless", outcome.how != "time-limit", str(outcome)
    yield "swallowed", outcome.how == "exception", str(outcome)
    yield "disguised", not isinstance(outcome.error, DeadlineExceeded), str(outcome)
    yield "wrapped", not is_wrapped(outcome.error), str(outcome)


check_deadline = scenario("01", 2, "A client with a true deadline", WORDS, get_within=Caller)


@check_deadline.part
def a_quick_answer(c):
    yield from whole(c, [(0, head(len(LONG)) + LONG[:30_000]), (0.1, LONG[30_000:])], 5.0, LONG)


@check_deadline.part
def an_answer_that_drips_and_is_in_time(c):
    yield from whole(c, [(0, head(len(LABEL), "404 Not Found")), *drip(LABEL, 0.4, 6)], 4.0, LABEL)


@check_deadline.part
def nobody_is_there(c):
    outcome = c.get_from_nobody(2.0)
    yield from passes(
        outcome, lambda error: c.raised_there and (error.__context__ or not isinstance(error, OSError | HTTPException))
    )


@check_deadline.part
def the_server_breaks_off(c):
    outcome = c.get([(0, head(len(LABEL)) + LABEL[:20])], 2.0)
    yield from passes(outcome, lambda error: c.raised_there and error.__context__)
    yield "asked", len(c.asked) == 1, f"the server broke off, and read {c.asked}"
    yield from left(c)


@check_deadline.part
def a_body_that_drips(c):
    yield from cut(c, [(0, head(len(LABEL))), *drip(LABEL, SLOW)], SHORT)


@check_deadline.part
def headers_that_drip(c):
    yield from cut(c, [*drip(head(len(LABEL)), SLOW), (0, LABEL)], SHORT)


@check_deadline.part
def silence(c):
    yield from cut(c, [(8.0, head(len(LABEL)) + LABEL)], SHORT)


@check_deadline.part
def it_drips_and_then_falls_silent(c):
    """A limit for each read, set to the whole deadline, would end twice as late here; so would one for the body."""
    steps = [*drip(head(len(LABEL)), 1.3), *drip(LABEL[:9], 0.3, 3), (8.0, LABEL[9:])]
    yield from cut(c, steps, 1.7, 0.9)
