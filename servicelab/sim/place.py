"""A place: anything with a generator method ``call(message)`` that returns a status.

The rule has three lines. A place is called with ``status = yield from place.call(message)``; while
it works it yields SimPy events; it returns a status and raises nothing. Whoever keeps it can be put
wherever a service, a link or a balancer stands::

    class Slow:
        def __init__(self, env, to):
            self.env, self.to = env, to

        def call(self, message):
            yield self.env.timeout(0.1)
            return (yield from self.to.call(message))

This module only checks what constructors are given, so that a mistake is named where it is made.
"""

import math
from collections.abc import Callable
from numbers import Real


def require_place(what: str, place):
    """``place``, if it is one. Raises TypeError, naming the argument ``what``."""
    if not callable(getattr(place, "call", None)):
        raise TypeError(f"{what}={place!r} is not a place: it needs a generator method call(message), as Service has")
    return place


def require_whole(what: str, value, least: int) -> int:
    """``value``, if it is a whole number of at least ``least``. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what}={value!r} must be a whole number, at least {least}")
    return value


def require_seconds(what: str, value) -> float:
    """``value``, if it is a number of seconds, >= 0 and finite. Raises ValueError, TypeError for no number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{what}={value!r} must be a number of seconds")
    if not 0 <= value < math.inf:
        raise ValueError(f"{what}={value!r} must be >= 0 seconds and finite: a time cannot run backwards")
    return value


def require_law(what: str, law) -> Callable[[], float]:
    """A law of seconds: ``law`` itself, or a number of seconds as a law that always gives it.

    Raises ValueError for a negative or endless time, TypeError for what is neither.
    """
    if isinstance(law, Real) and not isinstance(law, bool):
        require_seconds(what, law)
        return lambda: law
    if not callable(law):
        raise TypeError(f"{what}={law!r} must be a number of seconds or a law: draws.exponential('work', 0.01)")
    return law


def require_share(what: str, law) -> Callable[[], bool] | None:
    """A law of yes and no: None, ``law`` itself, or 0 or 1 for never and always.

    Raises ValueError for a number outside 0 to 1, and for one between: it would need a stream of draws.
    """
    if law is None:
        return None
    if isinstance(law, Real):
        if not 0 <= law <= 1:
            raise ValueError(f"{what}={law!r} must be a share from 0 to 1")
        if 0 < law < 1:
            raise ValueError(f"{what}={law!r} needs draws of its own: {what}=draws.bernoulli('{what}', {law!r})")
        return (lambda: True) if law else None
    if not callable(law):
        raise TypeError(f"{what}={law!r} must be None or a law: draws.bernoulli('{what}', 0.01)")
    return law
