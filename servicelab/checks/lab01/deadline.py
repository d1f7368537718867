"""Exercise 2, build: a client with a true deadline, against servers that drip, say nothing, or break off."""

import gc
import socket
import time
import traceback
from http.client import HTTPException

from servicelab.checks.exercise import Stop
from servicelab.checks.lab01.wire import Wire
from servicelab.checks.learner_traceback import is_theirs, shown, told
from servicelab.checks.scenario import Stage, scenario, words

LABEL = b"parcel 17: on its way to\r\n\r\n12 Mill Lane\n"
LONG = LABEL * 2000  # 76 kB: more than one read
PLACE = "/labels/17?size=a6"
SHORT, SLOW = 0.3, 1.8  # seconds: a deadline, and what the server takes
LATE = 1.0  # seconds after the deadline: so wide that a busy machine is not taken for a mistake


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


def head(body, status="200 OK"):
    lines = f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close"
    return "\r\n".join([*lines, "", ""]).encode()


def drip(data, seconds, pieces=20):
    """Steps that spread ``data`` over so many seconds."""
    size = -(-len(data) // pieces)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [(seconds / len(parts), part) for part in parts]


class Caller(Stage):
    """Calls the learner's function, on a server of its own for each call.

    ``answer`` is what it returned, ``error`` the kind of what it raised, or None; ``told`` says it in words.
    """

    def get(self, seconds, *steps):
        """Call it on a server that follows ``steps``. Without any, nobody is there."""
        label = "GET /labels/17"
        self.last = self.ask.trace.start_call("client", "shipping", label, timeout=seconds)
        self.ask.trace.send("client", "shipping", label, id=self.last)

        def get_within():
            start, self.answer, self.error = time.monotonic(), None, None
            try:
                self.answer = self.yours(seconds, server.url + PLACE)
                self.told = f"it returned {shown(self.answer)}"
            except Exception as error:  # it is not kept, for its frames would hold a connection open
                self.error, self.told = type(error), f"it raised {told(error)}"
                self.is_own = is_theirs(traceback.extract_tb(error.__traceback__)[-1].filename)
                self.is_second = error.__context__ is not None
            self.took = time.monotonic() - start
            self.ask.trace.end_call(self.last, self.error.__name__ if self.error else "ok")

        with Wire(steps, self.ask.trace, self.last) as server:
            self.call(get_within if callable(self.yours) else self.yours, limit=6.0)
            if not all(one.passed for one in self.ask.expectations):
                raise Stop  # it left a thread running
            gc.collect()  # of a connection in an error that knows itself
            self.open, self.asked = not server.is_alone(1.5), server.asked

    def left(self):
        default, _ = socket.getdefaulttimeout(), socket.setdefaulttimeout(None)
        told = f"a second and a half later a connection was open: {self.open}; getdefaulttimeout() is {default}"
        return "left", not self.open and default is None, told


def whole(c, body, *steps):
    """The body comes back, all of it."""
    c.get(3.0, *steps)
    told = f"{len(body)} bytes were sent in time; {c.told}"
    yield "error", not c.error, told
    yield "body", c.answer == body, told
    yield "asked", c.asked in ([f"GET {PLACE} HTTP/1.0"], [f"GET {PLACE} HTTP/1.1"]), f"the server read {c.asked}"
    yield c.left()


def fails(c, kinds, *steps):
    """An error that has nothing to do with the deadline, and is one of ``kinds`` if it is not up to the learner."""
    c.get(2.0, *steps)
    yield "swallowed", c.error, c.told
    yield "disguised", not issubclass(c.error, DeadlineExceeded), c.told
    yield "wrapped", not kinds or not c.is_own or not c.is_second and issubclass(c.error, kinds), c.told
    yield "asked", len(c.asked) == bool(steps), f"the server broke off, and read {c.asked}"
    yield c.left()


def cut(c, seconds, margin, *steps):
    """DeadlineExceeded, in time."""
    c.get(seconds, *steps)
    told = f"the deadline was {seconds:g} s; after {c.took:.1f} s {c.told}"
    yield "late", c.took <= seconds + margin, told
    yield "half", c.error, told
    yield "other-error", issubclass(c.error, DeadlineExceeded), told
    yield "early", c.took > 0.9 * seconds, told
    yield c.left()


check_deadline = scenario("01", 2, "A client with a true deadline", WORDS, get_within=Caller)
IN_TIME = {
    "a quick answer": (LONG, (0, head(LONG) + LONG[:30_000]), (0.1, LONG[30_000:])),
    "an answer that drips and is in time": (LABEL, (0, head(LABEL, "404 Not Found")), *drip(LABEL, 0.3, 6)),
}
FAILED = {
    "nobody is there": ((OSError, HTTPException),),
    "the server hangs up": ((), (0.02, b"")),
    "the server breaks off": ((), (0, head(LABEL) + LABEL[:20])),
}
#: The first line of the headers is whole, for ``http.client`` then takes what was cut for an answer. In the last, a
#: limit of 1.5 s for each read, or for the body alone, ends after 2.5 s; a busy machine may drip late.
LATE_ONES = {
    "a body that drips": (SHORT, LATE, (0, head(LABEL)), *drip(LABEL, SLOW)),
    "headers that drip": (SHORT, LATE, (0, head(LABEL)[:17]), *drip(head(LABEL)[17:], SLOW), (0, LABEL)),
    "silence": (SHORT, LATE, (SLOW, head(LABEL) + LABEL)),
    "it drips, then is silent": (1.5, 0.9, *drip(head(LABEL), 1.0, 10), *drip(LABEL[:9], 0.1, 3), (SLOW, LABEL[9:])),
}
for table, play in ((IN_TIME, whole), (FAILED, fails), (LATE_ONES, cut)):
    check_deadline.parts(table, play)
