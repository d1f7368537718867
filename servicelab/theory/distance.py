"""What distance costs, and what a second place buys: trips, locks that are held across them, common causes."""

from servicelab.arguments import not_negative, positive, whole
from servicelab.theory.arrays import probability


def far_time(own, trips, rtt):
    """Seconds of a request with ``trips`` round trips, one after the other: ``own + trips × rtt``.

    ``own`` are the seconds that it takes with no distance, ``rtt`` those there and back. Trips that are made at once
    count as one, those that nobody waits for as none. A plain sum; by Little's law ``workers / far_time(…)`` requests
    a second is the most that so many workers do.
    """
    own, rtt = not_negative("own", own, "seconds"), not_negative("rtt", rtt, "seconds")
    return own + whole("trips", trips, "round trips", least=0) * rtt


def row_rate(rtt, trips=2):
    """The most transactions a second on one row that is locked for ``trips`` round trips each: 1 / (trips × rtt).

    Two trips are a two-phase commit: ask, and decide. Whoever holds the lock is served alone, so its time is that of a
    single server. Source: Bernstein, Hadzilacos and Goodman, "Concurrency Control and Recovery in Database Systems"
    (Addison-Wesley, 1987), chapter 7, for the two rounds; Little's law for the rate.
    """
    return 1 / (whole("trips", trips, "round trips") * positive("rtt", rtt, "seconds"))


def common_cause(down, shared, copies=2):
    """Share of the time in which all ``copies`` are down: ``shared × down + ((1 − shared) × down)ⁿ``.

    Each is down for a share ``down`` of the time. Of that, ``shared`` comes from causes that hit all at once; the rest
    is independent. 0: they have nothing in common; 1: a copy is worth nothing. Source: the beta factor model of
    Fleming, "A Reliability Model for Common Mode Failures in Redundant Safety Systems" (General Atomic, 1974).
    """
    down, shared = probability(down), probability(shared)
    return shared * down + ((1 - shared) * down) ** whole("copies", copies, "copies")
