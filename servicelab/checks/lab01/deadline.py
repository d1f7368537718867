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
SHORT, SLOW = 0.3, 1.8  # seconds: a deadline, and what the server takes
LATE = 1.0  # seconds after the deadline: so wide that a busy machine is not taken for a mistake
LIMIT = 3.2  # seconds for one call; nothing here takes longer than a deadline and LATE


class DeadlineExceeded(Exception):
    """The whole call took longer than its caller could use."""


WORDS = words("""
asked: it sends one GET, for the path and the query of the url (rule 1)
    What did the server read, and how often? What does a url consist of?
error: an answer that comes within the deadline is returned, whatever its status (rule 1)
    This server takes its time, but it is not late. What ended your call? And which answers do you take for errors?
body: the bytes of the body come back, all of them and nothing else (rule 1)
    Where does the body begin, and who says where it ends? One read returns what has arrived so far. Does every path
    end with a return or a raise?
late: it ends when the deadline has passed, and not a second later (rule 2)
    What limits each silence does not limit their sum, and what is looked at between two pieces is not looked at while
    no piece comes. Which of your waits went on, and how often do you decide when it must be over?
half: half an answer, or none, is not an answer: DeadlineExceeded (rule 2)
    A line that was cut looks like an answer that has ended. What else could tell you that it is not?
other-error: the deadline has one name, DeadlineExceeded (rule 2)
    Your caller wants one case to handle. Which error reached it?
early: DeadlineExceeded does not come before the deadline (rule 2)
    The limit is `seconds` for the whole call. Is it divided up somewhere?
swallowed: when nobody is there, or the server breaks off, an error is raised (rule 3)
    Half an answer, or none, was taken for one, or waited for. What did you know about it?
disguised: another error is not taken for the deadline (rule 3)
    There was time left. What tells you whether it was the deadline?
wrapped: any other error passes as it is (rule 3)
    The caller looks for the error that the network raised. What did it get in its place?
left: afterwards no connection is open, and other sockets are as they were before (rule 4)
    Who closes it, on which way out? What else did you set, and for whom does it hold?
""")


def drip(data, seconds, pieces=20):
    """Steps that spread ``data`` over so many seconds."""
    size = -(-len(data) // pieces)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [(seconds / len(parts), part) for part in parts]


class Caller(Stage):
    """Calls the learner's function on a server of its own for each call. ``open`` is whether a connection was left."""

    def get(self, seconds, *steps):
        """How a call to a server that follows ``steps`` ended. Without any, nobody is there."""
        label = "GET /labels/17"
        self.last = self.ask.trace.start_call("client", "shipping", label, timeout=seconds)
        self.ask.trace.send("client", "shipping", label, id=self.last)
        if not steps:
            self.ask.trace.lose(self.last, "refused")
            with socket.socket() as nobody:  # bound, and not listening
                nobody.bind((HOST, 0))
                return self._run(f"http://{HOST}:{nobody.getsockname()[1]}", seconds)
        with Wire("shipping", steps, self.ask.trace, self.last) as server:
            outcome = self._run(server.url, seconds)
            self.open, self.asked = not server.is_alone(1.5), server.asked
        return outcome

    def _run(self, url, seconds):
        self.raised_there = False  # did an error begin in the learner's own code?

        def get_within():
            try:
                return self.yours(seconds, url + PLACE)
            except Exception as error:
                self.raised_there = is_theirs(traceback.extract_tb(error.__traceback__)[-1].filename)
                raise

        outcome = self.ask.run(get_within if callable(self.yours) else self.yours, limit=LIMIT)
        status = "ok" if outcome.returned else type(outcome.error).__name__ if outcome.error else outcome.how
        self.ask.trace.end_call(self.last, status)
        _forget_frames(outcome.error)
        if outcome.how in ("exit", "not-callable"):
            hint = "exit() would end the program of your caller; and hand over the function itself, not what it returns"
            self.ask.need(outcome.how, "get_within returns or raises", False, str(outcome), hint, self.last)
        return outcome

    def left(self):
        default, _ = socket.getdefaulttimeout(), socket.setdefaulttimeout(None)
        told = f"a second and a half later a connection was open: {self.open}; getdefaulttimeout() is {default}"
        return "left", not self.open and default is None, told


def _forget_frames(error):
    """Drop the tracebacks of an error and its causes: their frames would keep the learner's variables alive, and with
    them a connection that closes when its function is left."""
    for _ in range(9):  # causes may go round in a circle
        if error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
    gc.collect()


def whole(c, body, seconds, *steps):
    """The body comes back, all of it."""
    outcome = c.get(seconds, *steps)
    told = f"{len(body)} bytes were sent within {seconds:g} s; {outcome}"
    yield "error", outcome.returned, told
    yield "body", outcome.value == body, told
    yield "asked", c.asked in ([f"GET {PLACE} HTTP/1.0"], [f"GET {PLACE} HTTP/1.1"]), f"the server read {c.asked}"
    yield c.left()


def cut(c, seconds, *steps, margin=LATE):
    """DeadlineExceeded, in time."""
    outcome = c.get(seconds, *steps)
    told = f"the deadline was {seconds:g} s; after {outcome.seconds:.1f} s {outcome}"
    yield "late", outcome.seconds <= seconds + margin, told
    yield "half", not outcome.returned, told
    yield "other-error", isinstance(outcome.error, DeadlineExceeded), told
    yield "early", outcome.seconds > 0.9 * seconds, told
    yield c.left()


def passes(c, outcome, kinds):
    """An error that has nothing to do with the deadline, one of ``kinds`` if the learner's code raised it."""
    yield "swallowed", outcome.how == "exception", str(outcome)
    yield "disguised", not isinstance(outcome.error, DeadlineExceeded), str(outcome)
    is_own = c.raised_there and (outcome.error.__context__ or not isinstance(outcome.error, kinds))
    yield "wrapped", not is_own, str(outcome)


check_deadline = scenario("01", 2, "A client with a true deadline", WORDS, get_within=Caller)
part = check_deadline.part


@part
def a_quick_answer(c):
    yield from whole(c, LONG, 3.0, (0, head(len(LONG)) + LONG[:30_000]), (0.1, LONG[30_000:]))


@part
def an_answer_that_drips_and_is_in_time(c):
    yield from whole(c, LABEL, 3.0, (0, head(len(LABEL), "404 Not Found")), *drip(LABEL, 0.3, 6))


@part
def nobody_is_there(c):
    yield from passes(c, c.get(2.0), (OSError, HTTPException))


@part
def the_server_breaks_off(c):
    yield from passes(c, c.get(2.0, (0, head(len(LABEL)) + LABEL[:20])), Exception)
    yield "asked", len(c.asked) == 1, f"the server broke off, and read {c.asked}"
    yield c.left()


@part
def a_body_that_drips(c):
    yield from cut(c, SHORT, (0, head(len(LABEL))), *drip(LABEL, SLOW))


@part
def headers_that_drip(c):
    yield from cut(c, SHORT, *drip(head(len(LABEL)), SLOW), (0, LABEL))


@part
def silence(c):
    yield from cut(c, SHORT, (8.0, head(len(LABEL)) + LABEL))


@part
def it_drips_and_then_falls_silent(c):
    """A limit for each read, set to the whole deadline, would end twice as late here; so would one for the body."""
    steps = [*drip(head(len(LABEL)), 1.2), *drip(LABEL[:9], 0.2, 3), (8.0, LABEL[9:])]
    yield from cut(c, 1.5, *steps, margin=0.9)
