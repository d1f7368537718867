"""Queues in the long run: M/M/1, M/M/c, M/G/1, two choices."""

import numpy as np

from servicelab.arguments import not_negative, positive, whole
from servicelab.theory.arrays import SATURATED, at_least_0, below, plain, stable


def mm1_wait(lam, mu):
    """Mean wait in an M/M/1 queue (one worker, exponential services at rate ``mu``): ρ / (μ − λ) seconds, ρ = λ/μ.

    Source: Kleinrock, "Queueing Systems", vol. 1 (Wiley, 1975), chapter 3.
    """
    lam = stable(lam, mu)
    return plain(lam / mu / (mu - lam))


def mm1_time(lam, mu):
    """Mean response time of an M/M/1 queue: 1 / (μ − λ) seconds. Source: Kleinrock 1975, chapter 3."""
    lam = stable(lam, mu)
    return plain(1 / (mu - lam))


def erlang_c(c, a):
    """The probability that a request has to wait in an M/M/c queue with ``c`` workers and offered load ``a`` = λ/μ.

    C(5, 2.5) = 0.1304. Computed from Erlang B by its recursion, which does not overflow. Source: Erlang 1917; the
    recursion in Cooper, "Introduction to Queueing Theory" (North Holland, 1981), section 3.3.
    """
    c = whole("c", c, "workers")
    a = at_least_0("a", a, "of offered load, arrival rate over service rate,")
    below("a", a, c, f"c={c}: with more work than workers the queue grows for ever")
    b = np.ones_like(a)
    for k in range(1, c + 1):
        b = a * b / (k + a * b)
    return plain(c * b / (c - a * (1 - b)))


def mmc_wait(lam, mu, c):
    """Mean wait in an M/M/c queue (one queue, ``c`` workers of rate ``mu`` each): C(c, λ/μ) / (cμ − λ) seconds.

    Source: Kleinrock 1975, section 3.5.
    """
    lam = stable(lam, mu, c)
    return plain(erlang_c(c, lam / mu) / (c * mu - lam))


def mmc_time(lam, mu, c):
    """Mean response time of an M/M/c queue: its wait and one service, 1/μ. Source: Kleinrock 1975, section 3.5."""
    return plain(np.asarray(mmc_wait(lam, mu, c)) + 1 / mu)


def mg1_wait(lam, mean, scv):
    """Mean wait in an M/G/1 queue: ρ / (1 − ρ) × mean × (1 + scv) / 2 seconds, ρ = λ × mean.

    ``mean`` is the mean service time (seconds), ``scv`` its squared coefficient of variation: variance / mean².
    0 is a constant service, 1 an exponential one. Source: Pollaczek 1930 and Khinchine 1932; Kleinrock 1975, 5.6.
    """
    mean = positive("mean", mean, "seconds", "it is the mean service time")
    scv = not_negative("scv", scv, "of variance / mean²", "0 is constant, 1 exponential")
    lam = at_least_0("lam", lam, "requests/s")
    rho = below("lam", lam, 1 / mean, f"1/mean={1 / mean:g} requests/s: {SATURATED}") * mean
    return plain(rho / (1 - rho) * mean * (1 + scv) / 2)


def supermarket(lam, d=2):
    """Mean response time when each request joins the shortest of ``d`` queues chosen at random, in services.

    There are many servers of rate 1 and ``lam`` requests/s for each of them; the result is in units of the mean
    service time. d = 1 is M/M/1; d = 2 at λ = 0.9 gives 2.6141. The formula is the limit of many servers: expect it
    from 100 on, better 500. T = Σ λ^((dⁱ − d)/(d − 1)), i = 1, 2, …

    Source: Vvedenskaya, Dobrushin, Karpelevich 1996; Mitzenmacher 2001, "The Power of Two Choices".
    """
    d = whole("d", d, "choices")
    lam = stable(lam, 1.0)
    if d == 1:
        return plain(1 / (1 - lam))
    total, power = np.zeros_like(lam), 0.0
    while np.any(terms := lam**power):  # the exponents grow like dⁱ, so the terms soon underflow to 0
        total = total + terms
        power = power * d + d
    return plain(total)
