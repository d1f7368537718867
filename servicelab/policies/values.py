"""Refuse what cannot work, when a policy is made rather than when it is used.

Each function returns the value that it was given, or raises an error which quotes the value and says the mend:
TypeError for the wrong kind of thing, ValueError for a number out of range.
"""

import math
import numbers
import random

from servicelab.policies.status import Status

#: The longest wait that every system call takes (seconds, 23 days): poll(2) counts milliseconds in 31 bits. Python
#: refuses more than 9.2e9 s with an OverflowError, and gRPC fails at once from 7.5e9 s on.
LONGEST = 2e6


def in_reach(seconds):
    """``seconds`` as a real wait: at most :data:`LONGEST`; None, without limit, stays None."""
    return None if seconds is None else min(seconds, LONGEST)


def positive(name, value, unit, mend):
    """A finite number > 0."""
    number(name, value, unit)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name}={value} must be > 0 and finite ({unit}): {mend}")
    return value


def not_negative(name, value, unit, mend):
    """A finite number >= 0."""
    number(name, value, unit)
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name}={value} must be >= 0 and finite ({unit}): {mend}")
    return value


def share(name, value, mend):
    """A number from 0 to 1."""
    number(name, value, "a share")
    if not 0 <= value <= 1:
        raise ValueError(f"{name}={value} must be a share from 0 to 1: {mend}")
    return value


def count(name, value, mend):
    """A whole number >= 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} must be a whole number: {mend}")
    if value < 1:
        raise ValueError(f"{name}={value} must be >= 1: {mend}")
    return value


def number(name, value, unit):
    # numpy's scalars are numbers too, so ask what it can do, not what it is.
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}={value!r} must be a number ({unit})")


def generator(rng):
    """A random.Random of one's own."""
    if not isinstance(rng, random.Random):
        raise TypeError(f"rng={rng!r} must be a random.Random: pass random.Random(7), so that a run can be repeated")
    return rng


def policy(name, value):
    """Something with a script."""
    if isinstance(value, type) or not callable(getattr(value, "script", None)):
        raise TypeError(f"{name}={value!r} must be a policy, such as Timeout(0.5)")
    return value


def statuses(name, value):
    """A frozenset of statuses that are failures; from a set, a list or a tuple of them."""
    if isinstance(value, str):
        raise TypeError(f"{name}={value!r} must be a set of statuses: write {name}={{{str(value)!r}}}")
    try:
        found = frozenset(value)
    except TypeError:
        raise TypeError(f'{name}={value!r} must be a set of statuses, such as {{"timeout", "error"}}') from None
    if Status.OK in found:
        raise ValueError(f"{name} contains 'ok', which is no failure: name failures only")
    return found
