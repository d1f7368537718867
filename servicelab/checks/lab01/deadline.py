"""Exercise 2, build: a client with a true deadline, against servers that drip, say nothing, or break off."""

import gc
import socket

from servicelab.checks.exercise import exercise
from servicelab.checks.lab01.wire import CLOSE, Wire, head
from servicelab.lifecycle import HOST

LABEL = b"parcel 17: on its way to 12 Mill Lane\n"
LONG = LABEL * 2000  # 76 kB: more than one read
LATE = 1.4  # seconds after the deadline: so wide that a busy machine is not taken for a mistake
LATE_GASP = 0.6  # here a wrong answer is only a second late; it is tried again before it is judged
LIMIT = 4.5  # seconds for one call; nothing here takes longer than 3.2


class DeadlineExceeded(Exception):
    """The whole call took longer than its caller could use."""


def _drip(data, seconds, pieces=20):
    """Steps that spread ``data`` over so many seconds."""
    size = -(-len(data) // pieces)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [(seconds / len(parts), part) for part in parts]


FAST = [(0, head(len(LONG)) + LONG[:30_000]), (0.1, LONG[30_000:])]
PATIENT = [(0, head(len(LABEL))), *_drip(LABEL, 0.6, 6)]
BODY = [(0, head(len(LABEL))), *_drip(LABEL, 3.0)]
HEADERS = [*_drip(head(len(LABEL)), 3.0), (0, LABEL)]
SILENT = [(8.0, head(len(LABEL)) + LABEL)]
GASP = [(0, head(len(LABEL))), *_drip(LABEL[:9], 0.9, 9), (8.0, LABEL[9:])]
BROKEN = [(0, head(len(LABEL)) + LABEL[:20]), (0.1, CLOSE)]

#: What each way of getting it wrong means.
_HINTS = {
    "late-answer": "What limits each silence (a `timeout`, or a clock that starts anew with every piece) does not "
    "limit their sum. Decide once, at the start, when it must be over.",
    "late-error": "Whoever looks at the clock when the answer is there has waited already. Something must end the "
    "reading while it waits.",
    "endless": "Which wait in it has no limit? A limit inside a loop over the pieces never runs while no piece comes.",
    "half": "A line that was cut also looks like an answer that has ended. Look at the clock before you return.",
    "none": "An answer that is missing must be an exception: None looks to the caller like an empty answer.",
    "other-error": "Translate it: raise DeadlineExceeded(…) from error. Your caller has one case to handle then.",
    "early": "The limit is `seconds` for the whole call; is it divided up somewhere?",
    "part": "One read returns what has arrived so far. The answer is whole when the server says so.",
    "disguised": "There was time left. Say DeadlineExceeded only when the clock does; let other errors pass: `raise`.",
    "swallowed": "Half an answer, or none, must be an exception.",
    "wrong": "Return the bytes of the body, and nothing else.",
}


@exercise("01", 2, "A client with a true deadline", limit=60.0)
def check_deadline(ask, get_within):
    """Call ``get_within(seconds, url) -> bytes`` on servers of every temper; it must end in time and leave nothing."""
    bench = _Bench(ask, get_within)
    bench.whole("fast", "a quick answer comes back whole", FAST, 5.0, LONG)
    bench.whole("patient", "an answer that drips, but ends in time, comes back whole", PATIENT, 4.0, LABEL)
    bench.cut("drip", "a body that drips for 3 s", BODY, 0.6)
    bench.cut("headers", "headers that drip for 3 s", HEADERS, 0.6)
    bench.cut("silence", "a server that picks up and says nothing", SILENT, 0.6)
    if not bench.failed:  # the finest test; who failed the others would wait for news that is none
        bench.cut("gasp", "a body that drips for 0.9 s and then stops", GASP, 1.0, LATE_GASP, tries=3)
    bench.refused()
    bench.broken()
    if not bench.left:
        ask.expect("socket-left", "afterwards no connection is open", True)


class _Bench:
    """Calls the learner's function, and judges how each call ended."""

    def __init__(self, ask, get_within):
        self.ask, self.get_within = ask, get_within
        self.left = False  # did the server still see a connection after a call?

    @property
    def failed(self) -> bool:
        return not all(expectation.passed for expectation in self.ask.expectations)

    def call(self, name, steps, seconds):
        """One call to a server that follows ``steps``: how it ended, and the id of the call."""
        call = self._begin(name, seconds)
        with Wire("shipping", steps, self.ask.trace, call) as server:
            outcome = self._run(call, server.url, name, seconds)
            if not server.is_alone(within=0.1 if self.left else 1.5):
                self._left_open(name, call)
        return outcome, call

    def _left_open(self, name, call):
        if not self.left:
            happened = f"a second and a half after the end of GET /{name} the server still saw an open connection"
            hint = "Close it in a `finally`, or use `with`: also on the way out of an exception."
            self.ask.expect("socket-left", "afterwards no connection is open", False, happened, hint, call)
        self.left = True

    def _begin(self, name, seconds):
        call = self.ask.trace.start_call("client", "shipping", f"GET /{name}", timeout=seconds)
        return self.ask.trace.send("client", "shipping", f"GET /{name}", id=call)

    def _run(self, call, url, name, seconds):
        outcome = self.ask.run(self.get_within, seconds, f"{url}/{name}", limit=LIMIT)
        status = "ok" if outcome.returned else type(outcome.error).__name__ if outcome.error else outcome.how
        self.ask.trace.end_call(call, status)
        if outcome.error is not None:
            _forget_frames(outcome.error)
        gc.collect()
        if outcome.how in ("not-callable", "exit"):
            what, hint = "get_within is a function that returns or raises", "Hand over the function itself, uncalled."
            self.ask.need(outcome.how, what, False, str(outcome), hint, call)
        return outcome

    def whole(self, name, what, steps, seconds, body):
        """The body comes back, all of it."""
        outcome, call = self.call(name, steps, seconds)
        code, hint = f"{name}-error", "This server is slow, but within the deadline."
        if outcome.returned:
            half = isinstance(outcome.value, bytes) and body.startswith(outcome.value)
            kind = "none" if outcome.value is None else "part" if half else "wrong"
            code, hint = f"{name}-{kind}", _HINTS[kind]
        right = outcome.returned and outcome.value == body
        happened = f"{len(body)} bytes were sent; {outcome}"
        self.ask.expect(code, f"{what} (deadline {seconds:g} s)", right, happened, hint, call)

    def cut(self, name, what, steps, seconds, margin=LATE, tries=1):
        """DeadlineExceeded, in time."""
        for _ in range(tries):
            outcome, call = self.call(name, steps, seconds)
            kind = _kind(outcome, seconds, margin)
            if kind not in ("late-answer", "late-error"):
                break
        what = f"{what}: DeadlineExceeded after {seconds:g} s"
        happened = f"after {outcome.seconds:.1f} s {outcome}"
        self.ask.expect(f"{name}-{kind or 'deadline'}", what, not kind, happened, _HINTS.get(kind, ""), call)

    def refused(self):
        """Nobody listens: the error passes as it is."""
        with socket.socket() as nobody:  # bound, and not listening: whoever calls is refused
            nobody.bind((HOST, 0))
            call = self._begin("nobody", 2.0)
            self.ask.trace.lose(call, "refused")
            outcome = self._run(call, f"http://{HOST}:{nobody.getsockname()[1]}", "nobody", 2.0)
        self._passes("refused", "nobody is there: the error passes as it is", outcome, call)

    def broken(self):
        """The server breaks off: so does the error."""
        outcome, call = self.call("broken", BROKEN, 3.0)
        self._passes("broken", "the server breaks off in the middle: an error, and not the deadline", outcome, call)

    def _passes(self, name, what, outcome, call):
        kind = "swallowed" if outcome.returned else "endless"
        if isinstance(outcome.error, DeadlineExceeded):
            kind = "disguised"
        right = outcome.how == "exception" and kind != "disguised"
        self.ask.expect(f"{name}-{kind}", what, right, str(outcome), _HINTS[kind], call)


def _kind(outcome, seconds, margin):
    """In which way a call to a server that is too slow went wrong; "" for well."""
    if outcome.how == "time-limit":
        return "endless"
    if outcome.returned:
        if outcome.value is None:
            return "none"
        return "late-answer" if outcome.value == LABEL else "half"
    if outcome.seconds > seconds + margin:
        return "late-error"
    if not isinstance(outcome.error, DeadlineExceeded):
        return "other-error"
    return "early" if outcome.seconds < seconds / 2 else ""


def _forget_frames(error):
    """Drop the tracebacks of an error and its causes: their frames would keep the learner's variables alive, and with
    them a connection that closes when its function is left."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
