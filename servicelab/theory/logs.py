"""A log that is shared by consumers, read late, and forgotten after a while."""

from servicelab.arguments import not_negative, positive, whole


def shared_speedup(partitions: int, consumers: int) -> float:
    """How many times as fast as one ``consumers`` of a group are, on a topic of ``partitions``: P / ⌈P / c⌉.

    A partition has one reader. The slowest has ⌈P / c⌉ of them, and the others wait for it. The partitions hold equal
    shares, and the work is the same for each event. From c = P on more consumers change nothing.

    Source: the makespan of equal jobs on equal machines (Graham, "Bounds on multiprocessing timing anomalies", SIAM
    Journal on Applied Mathematics 17(2), 1969).
    """
    partitions, consumers = whole("partitions", partitions), whole("consumers", consumers)
    return partitions / -(-partitions // consumers)


def lost_to_retention(lam: float, outage: float, retention: float) -> float:
    """Events that a reader never sees when it is away for ``outage`` seconds: λ max(0, D − R).

    ``lam`` events/s are written, and each is kept for ``retention`` seconds. The reader had read all when it left. A
    *fluid*: events flow evenly.
    """
    lam = not_negative("lam", lam, "events/s")
    away, kept = not_negative("outage", outage, "seconds"), positive("retention", retention, "seconds")
    return lam * max(0.0, away - kept)


def catch_up(lam: float, mu: float, outage: float) -> float:
    """Seconds that a reader of ``mu`` events/s needs after an ``outage`` (s) until it has read all: λ D / (μ − λ).

    ``lam`` events/s are written all the time, and all are kept. Raises ValueError when it never gets there: μ <= λ.
    """
    lam, mu = not_negative("lam", lam, "events/s"), positive("mu", mu, "events/s")
    if mu <= lam:
        raise ValueError(f"mu={mu} must be > lam={lam} events/s: a reader that is no faster never catches up")
    return lam * not_negative("outage", outage, "seconds") / (mu - lam)
