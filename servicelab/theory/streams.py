"""A fast producer and a slow reader."""

import numpy as np

from servicelab.theory.arrays import above_0, at_least_0, plain


def buffer_growth(lam, mu, t):
    """Items that wait after ``t`` seconds when ``lam`` items/s come and ``mu`` are read: (λ − μ) t, never below 0.

    The fluid limit: chance adds and takes about the root of λ t. Source: Kleinrock, "Queueing Systems", vol. 2
    (Wiley, 1976), section 2.7.
    """
    lam, mu, t = (at_least_0(*each) for each in (("lam", lam, "items/s"), ("mu", mu, "items/s"), ("t", t, "seconds")))
    return plain(np.maximum(lam - mu, 0.0) * t)


def time_to_fill(lam, mu, size):
    """Seconds until a buffer of ``size`` items is full: size / (λ − μ); inf when the reader keeps up."""
    lam, mu = at_least_0("lam", lam, "items/s"), at_least_0("mu", mu, "items/s")
    size = at_least_0("size", size, "items")
    with np.errstate(divide="ignore", invalid="ignore"):
        return plain(np.where(lam > mu, size / (lam - mu), np.inf))


def freshness_bound(size, mu):
    """The oldest that an item can be when it is read from a buffer of ``size`` items: size / μ seconds.

    At most that many are before it or being read, whatever the producer does. Holds for a reader of constant rate
    ``mu`` (items/s) and a producer that does not wait; one that waits for room adds its own wait.
    """
    mu = above_0("mu", mu, "items/s", "what nobody reads grows old for ever")
    return plain(at_least_0("size", size, "items") / mu)


def credit_rate(window, round_trip):
    """The most that flow control by credit lets through: ``window`` items (or bytes) per ``round_trip`` seconds.

    A credit comes back one round trip after it was spent. True of TCP's and HTTP/2's windows alike. Source: Stevens,
    "TCP/IP Illustrated", vol. 1 (Addison-Wesley, 1994), section 20.7 (the bandwidth-delay product).
    """
    round_trip = above_0("round_trip", round_trip, "seconds", "without a delay a window limits nothing")
    return plain(at_least_0("window", window, "items") / round_trip)
