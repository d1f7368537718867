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

from collections.abc import Callable
from numbers import Real

from servicelab.arguments import seconds, share


def require_place(what: str, place):
    """``place``, if it is one. Raises TypeError, naming the argument ``what``."""
    if not callable(getattr(place, "call", None)):
        raise TypeError(f"{what}={place!r} is not a place: it needs a generator method call(message), as Service has")
    return place


def require_law(what: str, law) -> Callable[[], float]:
    """A law of seconds: ``law`` itself, or a number of seconds as a law that always gives it.

    Raises ValueError for a negative or endless time, TypeError for what is neither.
    """
    if isinstance(law, Real):
        value = seconds(what, law)
        return lambda: value
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
        if 0 < share(what, law) < 1:
            raise ValueError(f"{what}={law!r} needs draws of its own: {what}=draws.bernoulli('{what}', {law!r})")
        return (lambda: True) if law else None
    if not callable(law):
        raise TypeError(f"{what}={law!r} must be None or a law: draws.bernoulli('{what}', 0.01)")
    return law
