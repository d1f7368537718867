"""Exercise 4, measure and decide: which stage of a running shop sets the pace, and at how many requests per second?"""

from numbers import Real

from servicelab.checks.exercise import exercise
from servicelab.checks.lab01.shop import STAGES, Shop
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.clients import closed_loop

TOLERANCE = 0.35  # of the limit, to either side: more than a busy machine adds
SHOPS = ((11, "payment"), (12, "line"), (13, "orders"))
LIMIT = 15.0  # seconds for one shop


_HINTS = {
    "wrong-stage": "Load every stage by itself, with many clients at once, and take the one that lets least through.",
    "one-client": "One client at a time keeps one worker busy, however many there are. Send many at once: "
    "closed_loop(…, clients=16, count=40).",
    "slowest-call": "A slow call is no bottleneck where many are served side by side. Capacity is workers ÷ seconds: "
    "measure requests per second under load.",
    "limit-wrong": "The stage is right. Its limit is requests answered ÷ seconds, with enough clients to keep it busy. "
    "Stages in a row neither add up nor multiply: the narrowest one decides.",
}


@exercise("01", 4, "Find the bottleneck", limit=90.0)
def check_bottleneck(ask, find_bottleneck):
    """Let ``find_bottleneck(shop) -> (stage, requests/s)`` measure three shops, each with another narrow stage."""
    for number, (seed, narrow) in enumerate(SHOPS, 1):
        with section(ask), Shop(seed, narrow, ask.trace) as shop:
            answer = ask.calmly(find_bottleneck, shop, returns=tuple, limit=LIMIT)
            shape = len(answer) == 2 and answer[0] in shop.stages and isinstance(answer[1], Real)
            if not shape:
                what, hint = "find_bottleneck returns (stage, requests/s)", f"One of {', '.join(STAGES)}, and a number."
                ask.need("wrong-type", what, False, f"it returned {shown(answer)}", hint)
            _judge(ask, number, shop, *answer, _longest(ask.trace, narrow))


def _judge(ask, number, shop, stage, rate, mark):
    narrow = shop._narrow
    limit = shop._limits[narrow]
    told = f"it said {stage}, {rate:.0f} requests/s"
    if stage != narrow:
        code = _misled(shop, stage, rate)
        happened = f"{told}; but alone that stage lets through {shop._limits[stage]:.0f}, and another one {limit:.0f}"
        ask.expect(code, f"shop {number}: the bottleneck is found", False, happened, _HINTS[code], mark)
        return
    near = _near(rate, limit)
    if not near:  # the machine may be having a bad minute: see what the stage lets through now
        samples = closed_loop(shop.probe(narrow), clients=16, count=40)
        near = _near(rate, len(samples) / max(s.end for s in samples))
    what = f"shop {number}: the bottleneck is {narrow}, at {limit:.0f} requests/s (± 35 %)"
    ask.expect("limit-wrong", what, near, told, _HINTS["limit-wrong"], mark)


def _misled(shop, stage, rate):
    """By what: the number that was returned beside the wrong stage tells."""
    if rate > 0.4 * shop._limits[stage]:  # more than one client sees, even on a busy machine: it was loaded
        return "wrong-stage"
    if _near(rate, 1 / shop._seconds(stage)):
        return "one-client"
    return "slowest-call" if shop._seconds(stage) > shop._seconds(shop._narrow) else "wrong-stage"


def _near(rate, limit):
    return abs(rate - limit) <= TOLERANCE * limit


def _longest(trace, stage):
    """The call to ``stage`` that took the longest: where the queue was."""
    ended = [call for call in trace.calls if call.callee == stage and call.end is not None]
    return max(ended, key=lambda call: call.end - call.start).id if ended else None
