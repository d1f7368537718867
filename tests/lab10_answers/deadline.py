"""Exercise 3: right hops in small parts, two written otherwise, and mistakes as changes to the first."""

import functools
import time

import requests
from flask import Flask, abort, g, request

from tests.lab10_answers import but

HEADER = "Time-Left"


class Hop:
    """A right answer. A mistake is a subclass that overrides one part."""

    def __init__(self, name, steps, below, web):
        self.name, self.steps, self.below, self.web = name, steps, below, web

    @classmethod
    def make(cls, name, steps, below, web):
        app, hop = Flask(name), cls(name, steps, below, web)
        app.add_url_rule("/charge", "charge", hop.handle, methods=["POST"])
        return app

    def allowed(self):
        return float(request.headers.get(HEADER, 2.0))

    def left(self, end):
        return end - time.monotonic()

    def is_over(self, end):
        return self.left(end) <= 0

    def headers(self, end):
        return {HEADER: f"{self.left(end):.3f}"}

    def timeout(self, end):
        return self.left(end)

    def work(self, end):
        """True when it came to its end."""
        for step in self.steps:
            if self.is_over(end):
                return False
            step()
        return True

    def handle(self):
        end = time.monotonic() + self.allowed()
        if not self.work(end) or self.is_over(end):
            return "too late", 504
        return self.call_below(end) if self.below else "paid"

    def call_below(self, end):
        try:
            answer = self.web.post(self.below, headers=self.headers(end), timeout=self.timeout(end))
        except requests.Timeout:
            return "too late", 504
        return answer.text, answer.status_code


def by_hooks(name, steps, below, web):
    """Another hand: a before_request hook sets the end, a helper aborts, an error handler speaks."""
    app = Flask(name)

    @app.before_request
    def begin():
        said = request.headers.get(HEADER)
        g.end = time.perf_counter() + (2.0 if said is None else float(said))

    def left():
        rest = g.end - time.perf_counter()
        return rest if rest > 0 else abort(504)

    @app.errorhandler(requests.exceptions.Timeout)
    def gone(error):
        return "nobody waits", 504

    @app.route("/charge", methods=["POST"])
    def charge():
        for step in steps:
            left()
            step()
        rest = left()
        if not below:
            return "paid"
        reply = web.post(below, headers={HEADER: repr(rest)}, timeout=(rest, rest))
        return reply.content, reply.status_code

    return app


def by_decorator(name, steps, below, web):
    """A third: a decorator that hands the rest of the time to the handler as a function."""

    def heeding(handler):
        @functools.wraps(handler)
        def outer():
            start = time.monotonic()
            return handler(lambda: float(request.headers.get(HEADER, "2")) - (time.monotonic() - start))

        return outer

    app = Flask(name)

    @app.post("/charge")
    @heeding
    def charge(rest):
        todo = list(steps)
        while todo and rest() > 0:
            todo.pop(0)()
        if rest() <= 0:
            return "late", 504
        if below is None:
            return "done", 200
        try:
            there = web.request("POST", below, timeout=max(0.001, rest()), headers={HEADER: str(rest())})
            return there.text, there.status_code
        except requests.RequestException:
            return "late", 504

    return app


class ZeroIsNoHeader(Hop):
    """`or` takes 0 for nothing said."""

    def allowed(self):
        left = float(request.headers.get(HEADER, 0))
        return left if left > 0 else 2.0


class ZeroStillCalls(Hop):
    """Does no work of its own, and calls all the same."""

    def timeout(self, end):
        return max(0.1, self.left(end))

    def handle(self):
        end = time.monotonic() + self.allowed()
        self.work(end)
        if self.below:
            return self.call_below(end)
        return ("too late", 504) if self.is_over(end) else "paid"


class FirstStepForFree(Hop):
    def work(self, end):
        for step in self.steps:
            step()
            if self.is_over(end):
                return False
        return True


class OnlyAtTheDoor(Hop):
    """Looks at the clock when the request comes, and never again."""

    def work(self, end):
        if self.is_over(end):
            return False
        for step in self.steps:
            step()
        return True

    def handle(self):
        end = time.monotonic() + self.allowed()
        if not self.work(end):
            return "too late", 504
        return self.call_below(end) if self.below else "paid"

    def timeout(self, end):
        return max(0.1, self.left(end))


class WorksToTheEnd(Hop):
    """Looks before it works and after it, not in between."""

    def work(self, end):
        if self.is_over(end):
            return False
        for step in self.steps:
            step()
        return True


class TimeoutIs500(Hop):
    def call_below(self, end):
        answer = self.web.post(self.below, headers=self.headers(end), timeout=self.timeout(end))
        return answer.text, answer.status_code


class Says408(Hop):
    def handle(self):
        answer = super().handle()
        return ("too late", 408) if answer == ("too late", 504) else answer


class AnythingIs200(Hop):
    """Whatever came in time is well."""

    def call_below(self, end):
        answer = super().call_below(end)
        return answer if answer[1] == 504 else answer[0]


class OwnText(Hop):
    def call_below(self, end):
        _, status = super().call_below(end)
        return ("paid" if status == 200 else "something went wrong"), status


class NoLookBeforeTheCall(Hop):
    """Looks before each step, and not after the last."""

    def handle(self):
        end = time.monotonic() + self.allowed()
        if not self.work(end):
            return "too late", 504
        return self.call_below(end) if self.below else "paid"

    def is_over(self, end):
        return super().is_over(end)

    def timeout(self, end):
        return max(0.1, self.left(end))


class OnlyTheFirstStep(Hop):
    def work(self, end):
        self.steps = self.steps[:1]
        return super().work(end)


class StepsUsedUp(Hop):
    """The second customer finds nothing left of them."""

    def work(self, end):
        while self.steps and not self.is_over(end):
            self.steps.pop(0)()
        return not self.steps


class SessionOfItsOwn(Hop):
    def __init__(self, *args):
        super().__init__(*args)
        self.web = requests


class LastStepForFree(Hop):
    """Who has nobody to call does not look at the clock again."""

    def is_over(self, end):
        return super().is_over(end) and not (self.below is None and self.done)

    def work(self, end):
        self.done = False
        self.done = super().work(end)
        return self.done


class HidesTheirTrouble(Hop):
    """A 5xx of the next service becomes a 502 of its own."""

    def call_below(self, end):
        text, status = super().call_below(end)
        return text, 502 if status in (500, 503) else status


class NothingReturned(Hop):
    @classmethod
    def make(cls, *args):
        super().make(*args)


RIGHT = {"in small parts": (Hop.make,), "hooks": (by_hooks,), "a decorator": (by_decorator,)}
WRONG = {
    "the clock restarts at each hop": (but(Hop, allowed=lambda self: 2.0), {"handed-down"}),
    "a limit of its own below": (but(Hop, headers=lambda self, end: {HEADER: "4.900"}), {"handed-down"}),
    "handed down unchanged": (
        but(Hop, headers=lambda self, end: {HEADER: request.headers.get(HEADER, "2.0")}),
        {"handed-down"},
    ),
    "the time of day": (
        but(Hop, headers=lambda self, end: {HEADER: f"{time.time() + self.left(end):.3f}"}),
        {"handed-down"},
    ),
    "no header below": (but(Hop, headers=lambda self, end: {}), {"dropped"}),
    "no header at the second hop": (
        but(Hop, headers=lambda self, end: Hop.headers(self, end) if self.name == "gateway" else {}),
        {"dropped"},
    ),
    "milliseconds": (but(Hop, headers=lambda self, end: {HEADER: f"{int(self.left(end) * 1000)} ms"}), {"handed-down"}),
    "half of it": (but(Hop, headers=lambda self, end: {HEADER: f"{self.left(end) / 2:.3f}"}), {"handed-down"}),
    "zero is no header": (ZeroIsNoHeader, {"zero"}),
    "zero left still calls": (ZeroStillCalls, {"zero", "too-late"}),
    "the first step for free": (FirstStepForFree, {"zero"}),
    "looks only at the door": (OnlyAtTheDoor, {"too-late", "goes-on"}),
    "works to the end": (WorksToTheEnd, {"goes-on"}),
    "no timeout": (but(Hop, timeout=lambda self, end: None), {"gives-up"}),
    "a timeout is a 500": (TimeoutIs500, {"gives-up"}),
    "408": (Says408, {"zero", "too-late", "gives-up"}),
    "anything is a 200": (AnythingIs200, {"answer-changed"}),
    "its own text": (OwnText, {"answer-changed"}),
    "no look between the last step and the call": (NoLookBeforeTheCall, {"too-late"}),
    "ten seconds without a header": (
        but(Hop, allowed=lambda self: float(request.headers.get(HEADER, 10.0))),
        {"default"},
    ),
    "a reserve of its own": (but(Hop, work=lambda self, end: Hop.work(self, end - 1.2)), {"leisure"}),
    "needs the header": (but(Hop, allowed=lambda self: float(request.headers[HEADER])), {"default"}),
    "only the first step": (OnlyTheFirstStep, {"steps"}),
    "steps that are used up": (StepsUsedUp, {"steps"}),
    "a session of its own": (SessionOfItsOwn, {"dropped"}),
    "the last step for free": (LastStepForFree, {"too-late"}),
    "waits as long as it had": (but(Hop, timeout=lambda self, end: self.allowed()), {"gives-up"}),
    "two seconds at the most": (but(Hop, allowed=lambda self: min(2.0, Hop.allowed(self))), {"handed-down"}),
    "another 5xx": (HidesTheirTrouble, {"answer-changed"}),
    "returns nothing": (NothingReturned, {"wrong-type"}),
}
WRONG = {name: ((answer.make,), codes) for name, (answer, codes) in WRONG.items()}
