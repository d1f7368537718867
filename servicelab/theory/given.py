"""Refusing what has no answer: the arguments of a formula, checked and made floats."""

import numpy as np


def stable(lam, mu, c=1):
    """``lam`` as an array of floats, refused unless 0 <= lam < c × mu."""
    c = count("c", c, "workers")
    if not mu > 0:
        raise ValueError(f"mu={mu} must be > 0 requests/s: it is the rate at which one worker serves")
    lam = at_least_0("lam", lam, "requests/s")
    if np.any(over := lam >= c * mu):
        capacity = f"mu={mu}" if c == 1 else f"c × mu={c * mu}"
        raise ValueError(
            f"lam={first_bad(lam, over)} must be < {capacity} requests/s: at or above capacity the queue grows for ever"
        )
    return lam


def at_least_0(name, value, unit):
    value = np.asarray(value, dtype=float)
    if np.any(bad := ~(value >= 0)):
        raise ValueError(f"{name}={first_bad(value, bad)} must be >= 0 {unit}")
    return value


def count(name, value, what):
    if isinstance(value, bool) or value != int(value) or value < 1:
        raise ValueError(f"{name}={value} must be a whole number >= 1 ({what})")
    return int(value)


def probabilities(values):
    if not values:
        raise ValueError("give at least one probability from 0 to 1")
    for p in values:
        if not 0 <= p <= 1:
            raise ValueError(f"{p} must be a probability from 0 to 1: write 0.99 for 99 %")
    return values


def first_bad(values, where):
    """The first offender, as a plain number."""
    return f"{values[where].flat[0] if values.ndim else float(values):g}"


def plain(value):
    """A float for a single number, an array for many."""
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value
