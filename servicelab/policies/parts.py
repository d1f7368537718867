"""Refuse what is no part of a policy, when the policy is made rather than when it is used.

Each function returns what it was given, or raises an error which quotes it and says the mend.
"""

from servicelab.policies.status import Status


def policy(name, value):
    """Something with a script."""
    return _able(name, value, ("script",), "a policy, such as Timeout(0.5)")


def backoff(value):
    """A law of delays."""
    return _able("backoff", value, ("delays",), "a law of delays, such as FullJitter(0.1, 10, Random(7))")


def budget(value):
    """A RetryBudget, or None."""
    if value is None:
        return None
    return _able("budget", value, ("deposit", "withdraw"), "a RetryBudget, such as RetryBudget(ratio=0.1), or None")


def law(value):
    """A law of turns."""
    return _able("law", value, ("reserve",), "a law, such as TokenBucket(rate=50, burst=10)")


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


def _able(name, value, methods, what):
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
        raise TypeError(f"{name}={value!r} must be {what}")
    return value
