"""How far a run of n requests may be from the long run."""

import math

import numpy as np

from servicelab.arguments import positive, whole
from servicelab.theory.arrays import plain, stable
from servicelab.theory.queues import mmc_time, mmc_wait


def wait_band(lam, mu, n, c=1, z=1.96):
    """Half the width of the band in which the mean wait of ``n`` requests lies (seconds): z standard errors.

    z = 1.96 is 95 % of runs. The waits of neighbours resemble each other, so the band is far wider than independent
    samples would give: it is z √(σ²/n) with the *asymptotic variance* σ², which adds up all the covariances. For
    c = 1 it is σ² = ρ (2 + 5ρ − 4ρ² + ρ³) / (1 − ρ)⁴ / μ². Good once n is many times 1 / (1 − ρ)²; before that a run
    which starts empty lies below.

    Source: Daley, "The serial correlation coefficients of waiting times in a stationary single server queue", J.
    Australian Math. Soc. 8, 1968; Whitt, "Planning queueing simulations", Management Science 35(11), 1989. For c > 1:
    exact too, by Whitt's method for birth-and-death processes ("Asymptotic formulas for Markov processes with
    applications to simulation", Operations Research 40(2), 1992), with the number of arrivals made part of the sum.
    """
    return _band(lam, mu, n, c, z, in_service=False)


def time_band(lam, mu, n, c=1, z=1.96):
    """The same as :func:`wait_band` for the mean response time, wait and service together (seconds)."""
    return _band(lam, mu, n, c, z, in_service=True)


def _band(lam, mu, n, c, z, in_service):
    """z standard errors of the mean over n requests of the wait, or of the response time.

    The sum over requests of their times, each less its mean w, is the integral of the number present, X, less w for
    every arrival. For that functional of a birth-and-death chain with stationary distribution π the martingale
    central limit theorem gives, for each request, σ² = Σ πᵢ ((Dᵢ − w)² + Dᵢ²), where λ πᵢ Dᵢ = Σ_{j>i} πⱼ (X(j) − λ w).
    Beyond c the chain is geometric and Dᵢ linear in i, so the endless part of the sum is closed.
    """
    n, c = whole("n", n, "requests"), whole("c", c, "workers")
    z = positive("z", z, "standard errors", "1.96 holds 95 % of runs")
    lams = stable(lam, mu, c)
    halves = [z * math.sqrt(_variance(float(one), mu, c, in_service) / n) for one in lams.ravel()]
    return plain(np.array(halves).reshape(lams.shape))


def _variance(lam, mu, c, in_service):
    if lam == 0:
        return 1 / mu**2 if in_service else 0.0
    w = mmc_time(lam, mu, c) if in_service else mmc_wait(lam, mu, c)
    a, rho, mean = lam / mu, lam / mu / c, lam * w  # mean: of the number present
    # π below c is that of Poisson, from c on geometric with ratio ρ; logarithms keep large c from overflowing.
    log_pi = np.array([i * math.log(a) - math.lgamma(i + 1) for i in range(c + 1)])
    pi = np.exp(log_pi - log_pi.max())
    pi /= pi[:c].sum() + pi[c] / (1 - rho)
    # For i = c + k: D = start + k × slope.
    first = c if in_service else 0
    slope = rho / (1 - rho) / lam
    start = ((first - mean) * rho / (1 - rho) + rho / (1 - rho) ** 2) / lam
    # Below c, from πᵢ / πᵢ₋₁ = a / i: upwards while fewer than the mean are present, downwards from c where more
    # are, so that each sum adds terms of one sign and nothing cancels.
    d = np.empty(c)
    present = np.arange(c) if in_service else np.zeros(c)
    few = int(np.sum(present <= mean))
    flow = 0.0
    for i in range(few):
        flow = flow * i / a + mean - present[i]
        d[i] = flow / lam
    flow = start * lam
    for i in range(c - 1, few - 1, -1):
        flow = (flow + (i + 1 if in_service else 0) - mean) * a / (i + 1)
        d[i] = flow / lam
    total = float(np.sum(pi[:c] * ((d - w) ** 2 + d**2)))
    for offset in (start - w, start):
        squares = (
            offset**2 / (1 - rho)
            + 2 * offset * slope * rho / (1 - rho) ** 2
            + slope**2 * rho * (1 + rho) / (1 - rho) ** 3
        )
        total += float(pi[c]) * squares
    return total
