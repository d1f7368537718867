"""Exercise 4, measure and decide: how large should the bulkheads of one worker pool be?

The learner measures a real shop. What the sizes are worth is found out in SimPy, where four hundred seconds with each
dependency slow in turn cost a moment and no luck.
"""

import math
from numbers import Integral

from servicelab.checks.exercise import exercise
from servicelab.checks.lab10.mixed import CHECKED, DEPENDENCIES, WORKERS, MixedShop, simulate
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.checks.stall import calmly

TURNED_AWAY = 0.10  # the share of calls that may be turned away on an ordinary day
LIMIT = 15.0  # seconds for the learner's function, which needs 3

_HINTS = {
    "equal-sizes": "The three do not need the same. How many calls of each are under way at once, on the average? "
    "Little's law: rate × seconds.",
    "rate-only": "Many short calls need few places. Little's law: rate × seconds.",
    "time-only": "Few long calls need few places. Little's law: rate × seconds.",
    "no-headroom": "rate × seconds is the average, and half of the time there are more. Leave room above it: about "
    "twice its square root.",
    "too-small": "Measure rate × seconds of this dependency, and add about twice the square root of it.",
    "sum-too-large": "The sizes together must not exceed shop.workers, or one hanging dependency takes workers that "
    "the others need.",
}


@exercise("10", 4, "Bulkhead sizes", limit=60.0)
def check_sizes(ask, size_bulkheads):
    """Let ``size_bulkheads(shop) -> {dependency: places}`` measure a real shop, then make each dependency slow."""
    with section(ask), MixedShop(CHECKED, ask.trace) as shop:
        sizes = calmly(ask.call, size_bulkheads, shop, returns=dict, limit=LIMIT)
        mark = ask.trace.calls[0].id if ask.trace.calls else None
    right = set(sizes) == set(DEPENDENCIES) and all(
        isinstance(size, Integral) and not isinstance(size, bool) for size in sizes.values()
    )
    ask.need(
        "wrong-type",
        "size_bulkheads returns a dict from each dependency to a whole number",
        right,
        f"it returned {shown(sizes)}",
        f"Keys {', '.join(DEPENDENCIES)}; math.ceil makes whole numbers.",
        mark,
    )
    ask.need(
        "no-place",
        "each has a place at least",
        min(sizes.values()) >= 1,
        f"it returned {sizes}",
        "Without a place nobody is ever served.",
        mark,
    )
    _ordinary(ask, sizes)
    _fits(ask, sizes)
    for slow in DEPENDENCIES:
        _one_slow(ask, sizes, slow)


def _ordinary(ask, sizes):
    with section(ask):
        seen = simulate(CHECKED, sizes, trace=ask.trace)
        for name in DEPENDENCIES:
            code = _misled(sizes, name)
            ask.expect(
                code,
                f"an ordinary day: {name} turns away at most one call in ten",
                seen[name].rejected <= TURNED_AWAY,
                f"{sizes[name]} places for {name}, and {seen[name].rejected:.0%} of its calls were turned away",
                _HINTS[code],
                seen[name].mark,
            )


def _fits(ask, sizes):
    total = sum(sizes.values())
    with section(ask):
        seen = {}
        if total > WORKERS:
            slow = max(DEPENDENCIES, key=lambda name: sizes[name])
            seen = simulate(CHECKED, sizes, slow, seconds=60, trace=ask.trace)
        stuck = [one.mark for one in seen.values() if one.mark]
        ask.expect(
            "sum-too-large",
            f"the sizes fit into the pool of {WORKERS} workers",
            total <= WORKERS,
            f"{' + '.join(str(sizes[name]) for name in DEPENDENCIES)} = {total}",
            _HINTS["sum-too-large"],
            stuck[0] if stuck else None,
        )


def _one_slow(ask, sizes, slow):
    with section(ask):
        seen = simulate(CHECKED, sizes, slow, trace=ask.trace)
        others = [name for name in DEPENDENCIES if name != slow]
        worst = max(others, key=lambda name: seen[name].stuck)
        ask.expect(
            f"{slow}-slow",
            f"{slow} hangs: calls of the others find a worker",
            seen[worst].stuck < 0.02,
            f"{seen[worst].stuck:.0%} of the calls of {worst} waited half a second for a worker in vain",
            _HINTS["sum-too-large"],
            seen[worst].mark,
        )


def _misled(sizes, name):
    """By what, if this size is too small: the sizes tell."""
    rates = {one: need.rate for one, need in CHECKED.items()}
    times = {one: need.seconds for one, need in CHECKED.items()}
    if max(sizes.values()) - min(sizes.values()) <= 1:
        return "equal-sizes"
    if _follows(sizes, rates):
        return "rate-only"
    if _follows(sizes, times):
        return "time-only"
    load = CHECKED[name].rate * CHECKED[name].seconds
    return "no-headroom" if abs(sizes[name] - load) <= 1.5 * math.sqrt(load) else "too-small"


def _follows(sizes, what):
    """Are the sizes in the proportions of ``what``, as far as whole numbers can be?"""
    scale = sum(sizes.values()) / sum(what.values())
    return all(abs(sizes[name] - scale * what[name]) <= 1.0 for name in sizes)
