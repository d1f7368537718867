"""How every policy compares times.

Rules:

1. Intervals are half-open, [begin, begin + length): at its end it is over, and equal times count as reached.
2. Times are floats, and ``0.1 + 0.2`` is not ``0.3``. So what is missing by less than ``TOLERANCE`` is not missing.
   That is above the rounding of seconds since 1970 (2.4e-7), and far below what clocks and sleeps do (50 µs and more).
3. Threads read the clock before they get a policy's lock, so times may seem to go back a little; the later one counts.
   More than ``MOST_BACK`` is no thread but another run, whose clock began anew. What is remembered would be nonsense
   there, so whatever decides refuses it: a new run needs new policies. (To look, as a panel does, is allowed any time.)
"""

#: Seconds that do not count.
TOLERANCE = 1e-6

#: By how many seconds the times that a policy hears may go back.
MOST_BACK = 5.0

#: Before every time.
NEVER = float("-inf")


def reached(value: float, limit: float) -> bool:
    """Has ``value`` (a time, a length of time, a level) come to ``limit``?

    "Beyond the limit" is ``not reached(limit, value)``.
    """
    return limit <= value + TOLERANCE  # horizon(value), without the price of calling it


def horizon(now: float) -> float:
    """All limits up to here are reached at ``now``: to compare many with one call."""
    return now + TOLERANCE


def interval(now: float, length: float) -> int:
    """The number of the interval in which ``now`` lies, when time is cut into pieces of ``length`` seconds."""
    return int((now + TOLERANCE) // length)


def onward(now: float, latest: float) -> float:
    """``now``, or ``latest``, the latest time so far, when that is a little later.

    Raises ValueError when time has gone back by more than ``MOST_BACK``.
    """
    if now >= latest:
        return now
    if now >= latest - MOST_BACK:
        return latest
    raise ValueError(
        f"now={now} must not be before {latest:g} (seconds), the latest time that this policy has seen: a run whose "
        "clock begins anew needs new policies"
    )
