"""Refuse what cannot work, where it is given: numbers, shares, counts and names.

Each function returns the value that it was given or raises an error which quotes it and says the mend: TypeError for
the wrong kind of thing, ValueError for one that is out of range. Rules, the same in the whole package:

1. A number is finite. Infinities, NaN, None, True, texts and arrays are refused; numpy's integers and floats, and
   fractions, are numbers, and come back as Python's own.
2. A whole number is an integer; 3.0 is none, for it may have been 2.9 a moment ago.
"""

import math
import random
import sys
from numbers import Integral, Real

#: The longest wait that every system call takes (seconds, 23 days): poll(2) counts milliseconds in 31 bits. Python
#: refuses more than 9.2e9 s with an OverflowError, and gRPC fails at once from 7.5e9 s on.
LONGEST = 2e6


def in_reach(seconds):
    """``seconds`` as a real wait: at most :data:`LONGEST`; None, without limit, stays None."""
    return LONGEST if seconds is not None and seconds > LONGEST else seconds  # min() takes three times as long


def number(name, value, unit="", mend=""):
    """A finite number."""
    unit = unit and f" of {unit}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}={shown(value)} must be a number{unit}{_because(mend)}")
    try:
        plain = int(value) if isinstance(value, Integral) else float(value)
        if math.isfinite(plain):
            return plain
    except OverflowError:  # a whole number with more than 308 digits
        pass
    raise ValueError(f"{name}={shown(value)} must be a finite number{unit}{_because(mend)}")


def positive(name, value, unit, mend=""):
    """A finite number > 0."""
    return _in_range(name, value, unit, mend, f"> 0 {unit} and finite", lambda plain: plain > 0)


def not_negative(name, value, unit, mend=""):
    """A finite number >= 0."""
    return _in_range(name, value, unit, mend, f">= 0 {unit} and finite", lambda plain: plain >= 0)


def seconds(name, value, mend="a time cannot run backwards"):
    """A finite number >= 0 of seconds."""
    return not_negative(name, value, "seconds", mend)


def share(name, value, mend=""):
    """A number from 0 to 1."""
    return _in_range(name, value, "", mend, "a share from 0 to 1", lambda plain: 0 <= plain <= 1)


def whole(name, value, mend="", *, least=1, most=None):
    """A whole number from ``least`` to ``most`` (None: no limit)."""
    if most is None and least is not None:  # a count: more than fits into a machine's word is none
        most = sys.maxsize if isinstance(value, Integral) and value > sys.maxsize else None
    wanted = "a whole number"
    if least is not None:
        wanted += f" >= {least}" if most is None else f" from {least} to {most}"
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name}={shown(value)} must be {wanted}{_because(mend)}")
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"{name}={shown(value)} must be {wanted}{_because(mend)}")
    return int(value)


def text(name, value, mend=""):
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name}={shown(value)} must be a text that is not empty{_because(mend)}")
    return value


def generator(rng):
    """A random.Random of one's own."""
    if not isinstance(rng, random.Random):
        raise TypeError(f"rng={rng!r} must be a random.Random: pass random.Random(7), so that a run can be repeated")
    return rng


def shown(value) -> str:
    """``value`` on one line, as an error may quote it: plain if it is a number, cut if it is long."""
    try:
        text = f"{value}" if isinstance(value, Real) else " ".join(repr(value).split())
    except ValueError:  # Python writes no whole number of more than 4 300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 120 else f"{text[:117]}..."


def _in_range(name, value, unit, mend, wanted, is_right):
    try:
        plain = number(name, value, unit, mend)
        if is_right(plain):
            return plain
    except ValueError:  # say all that is wanted
        pass
    raise ValueError(f"{name}={shown(value)} must be {wanted}{_because(mend)}")


def _because(mend):
    return f": {mend}" if mend else ""
