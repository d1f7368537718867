"""Exercise 3: right hops written in three ways, and mistakes as edits of the first."""

import functools
import time

import requests
from flask import Flask, abort, g, request

from tests.lab11_answers import but

HEADER = "Time-Left"


def make_hop(name, steps, below, web):
    app = Flask(name)

    @app.post("/charge")
    def charge():
        end = time.monotonic() + float(request.headers.get(HEADER, 2.0))
        for step in steps:
            if time.monotonic() >= end:
                return "too late", 504
            step()
        left = end - time.monotonic()
        if left <= 0:
            return "too late", 504
        if below is None:
            return "paid"
        try:
            answer = web.post(below, headers={HEADER: f"{left:.3f}"}, timeout=left)
        except requests.Timeout:
            return "too late", 504
        return answer.text, answer.status_code

    return app


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


ALLOWED = "float(request.headers.get(HEADER, 2.0)) =>"
HANDED = 'f"{left:.3f}" =>'
LOOK = '            if time.monotonic() >= end:\n                return "too late", 504\n'
LAST_LOOK = '        if left <= 0:\n            return "too late", 504\n'
#: The mistake: the code that refuses it, and the edits that make it.
EDITS = {
    "the clock restarts at each hop": ("handed-down", f"{ALLOWED} 2.0"),
    "a limit of its own below": ("handed-down", f'{HANDED} "4.900"'),
    "handed down unchanged": ("handed-down", f'{HANDED} request.headers.get(HEADER, "2.0")'),
    "the time of day": ("handed-down", f'{HANDED} f"{{time.time() + left:.3f}}"'),
    "milliseconds": ("handed-down", f'{HANDED} f"{{int(left * 1000)}} ms"'),
    "half of it": ("handed-down", f'{HANDED} f"{{left / 2:.3f}}"'),
    "two seconds at the most": ("handed-down", f"{ALLOWED} min(2.0, float(request.headers.get(HEADER, 2.0)))"),
    "no header below": ("dropped", f"{{HEADER: {HANDED[:-3]}}} => {{}}"),
    "no header at the second hop": (
        "dropped",
        f'{{HEADER: {HANDED[:-3]}}} => {{HEADER: str(left)}} if steps[1:] and name == "gateway" else {{}}',
    ),
    "a session of its own": ("dropped", "web.post => requests.post"),
    "one time for all": (
        "meanwhile",
        "end = time.monotonic() => app.end = time.monotonic()",
        ">= end: => >= app.end:",
        "left = end => left = app.end",
    ),
    "zero is no header": ("zero", f"{ALLOWED} (max(0, float(request.headers.get(HEADER, 0))) or 2.0)"),
    "the first step for free": ("zero", f"{LOOK}            step()\n =>             step()\n{LOOK}"),
    "zero left still calls": (
        "zero",
        'return "too late", 504\n            step() => break\n            step()',
        "if left <= 0: => if left <= 0 and below is None:",
        "timeout=left => timeout=max(0.1, left)",
    ),
    "looks only at the door": (
        "too-late",
        f"{LOOK} => ",
        f"{LAST_LOOK} => ",
        "        for step in steps: => "
        "        if time.monotonic() >= end:\n            return 'too late', 504\n        for step in steps:",
        "timeout=left => timeout=max(0.1, left)",
    ),
    "no look between the last step and the call": (
        "too-late",
        f"{LAST_LOOK} => ",
        "timeout=left => timeout=max(0.1, left)",
    ),
    "the last step for free": ("too-late", "if left <= 0: => if left <= 0 and below:"),
    "works to the end": (
        "goes-on",
        "            if time.monotonic() >= end: =>             if step is steps[0] and time.monotonic() >= end:",
    ),
    "no timeout": ("gives-up", "timeout=left => timeout=None"),
    "waits as long as it had": ("gives-up", f"timeout=left => timeout={ALLOWED[:-3]}"),
    "a timeout is a 500": ("gives-up", "requests.Timeout => ZeroDivisionError"),
    "408": ("zero", '"too late", 504 => "too late", 408'),
    "anything is a 200": ("answer-changed", "return answer.text, answer.status_code => return answer.text"),
    "its own text": (
        "answer-changed",
        "return answer.text, => return 'paid' if answer.ok else 'something went wrong',",
    ),
    "another 5xx": (
        "answer-changed",
        "answer.status_code => {500: 502, 503: 502}.get(answer.status_code, answer.status_code)",
    ),
    "ten seconds without a header": ("default", "HEADER, 2.0 => HEADER, 10.0"),
    "needs the header": ("default", f"{ALLOWED} float(request.headers[HEADER])"),
    "a reserve of its own": ("leisure", "time.monotonic() >= end => time.monotonic() >= end - 1.2"),
    "only the first step": ("steps", "in steps: => in steps[:1]:"),
    "steps that are used up": ("steps", "for step in steps: => while steps:", "step() => steps.pop(0)()"),
    "returns nothing": ("wrong-type", "return app => return None"),
}
RIGHT = {"as one handler": (make_hop,), "hooks": (by_hooks,), "a decorator": (by_decorator,)}
ONE_APP = Flask("shop")


def the_same_app(name, steps, below, web):
    return ONE_APP


WRONG = {name: ((but(make_hop, *edits),), {code}) for name, (code, *edits) in EDITS.items()}
WRONG["one app for all"] = ((the_same_app,), {"wrong-type"})
