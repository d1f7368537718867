"""The arguments of a formula: numbers, or arrays of numbers where one formula answers for many at once.

Single numbers are checked by :mod:`servicelab.arguments`; its rules hold for each entry of an array, too.
"""

from fractions import Fraction

import numpy as np

from servicelab.arguments import number, positive, shown, whole


def at_least_0(name, value, unit):
    """``value`` as an array of floats >= 0 and finite."""
    return _numbers(name, value, f">= 0 {unit} and finite", lambda found: found >= 0)


def above_0(name, value, unit, mend):
    """``value`` as an array of floats > 0 and finite."""
    return _numbers(name, value, f"> 0 {unit} and finite: {mend}", lambda found: found > 0)


def stable(lam, mu, c=1):
    """``lam`` as an array of floats, refused unless 0 <= lam < c × mu."""
    c = whole("c", c, "workers")
    mu = positive("mu", mu, "requests/s", "it is the rate at which one worker serves")
    capacity = f"mu={mu}" if c == 1 else f"c × mu={c * mu}"
    return below("lam", at_least_0("lam", lam, "requests/s"), c * mu, f"{capacity} requests/s: {SATURATED}")


#: Why a load at or above capacity is refused.
SATURATED = "at or above capacity the queue grows for ever"


def below(name, values, limit, wanted):
    """The array ``values``, refused unless all are < ``limit``; ``wanted`` says what that is, and why."""
    if np.any(over := values >= limit):
        raise ValueError(f"{name}={_first(values, over)} must be < {wanted}")
    return values


def probabilities(values):
    """At least one probability from 0 to 1, as floats."""
    if not values:
        raise ValueError("give at least one probability from 0 to 1")
    return [probability(value) for value in values]


def probability(value):
    """One from 0 to 1, as a float."""
    found = number("p", value, mend="a probability is from 0 to 1")
    if not 0 <= found <= 1:
        raise ValueError(f"{shown(value)} must be a probability from 0 to 1: write 0.99 for 99%")
    return found


def plain(value):
    """A float for a single number, an array for many."""
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value


def _numbers(name, value, wanted, is_right):
    if isinstance(value, Fraction):
        value = float(value)
    found = np.asarray(value)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{name}={shown(value)} must be a number, or an array of numbers, {wanted}")
    found = found.astype(float)
    if np.any(bad := ~(is_right(found) & np.isfinite(found))):
        raise ValueError(f"{name}={_first(found, bad)} must be {wanted}")
    return found


def _first(values, where):
    """The first offender, as a plain number."""
    return f"{values[where].flat[0]:g}"
