"""Closed forms: what the mathematics of queues, retries and availability says, before anything is run.

Rates (``lam``, ``mu``) are requests per second, times are seconds, probabilities and utilisations lie in [0, 1]. The
arrivals are Poisson; a *wait* is the time in the queue, a *time* is wait and service together. Functions of ``lam``
accept a numpy array of rates and return an array. A queue that has no long run (utilisation 1 or more) is refused
with ValueError, never answered with a negative wait.
"""

import math
from typing import NamedTuple

import numpy as np

# -- queues -------------------------------------------------------------------------------------


def mm1_wait(lam, mu):
    """Mean wait in an M/M/1 queue (one worker, exponential services at rate ``mu``): ρ / (μ − λ) seconds, ρ = λ/μ.

    Source: Kleinrock, "Queueing Systems", vol. 1 (Wiley, 1975), chapter 3.
    """
    lam = _stable(lam, mu)
    return _plain(lam / mu / (mu - lam))


def mm1_time(lam, mu):
    """Mean response time of an M/M/1 queue: 1 / (μ − λ) seconds. Source: Kleinrock 1975, chapter 3."""
    lam = _stable(lam, mu)
    return _plain(1 / (mu - lam))


def mm1_quantile(lam, mu, q):
    """The ``q`` quantile of the response time (not the wait) of an M/M/1 queue: −ln(1 − q) / (μ − λ) seconds.

    ``q=0.99`` is the 99th percentile. The response time is exponential. Source: Kleinrock 1975, section 5.5.
    """
    lam = _stable(lam, mu)
    if not 0 <= q < 1:
        raise ValueError(f"q={q} must be in [0, 1): 0.99 is the 99th percentile, and nothing bounds the longest time")
    return _plain(-math.log1p(-q) / (mu - lam))


def erlang_c(c, a):
    """The probability that a request has to wait in an M/M/c queue with ``c`` workers and offered load ``a`` = λ/μ.

    C(5, 2.5) = 0.1304. Computed from Erlang B by its recursion, which does not overflow. Source: Erlang 1917; the
    recursion in Cooper, "Introduction to Queueing Theory" (North Holland, 1981), section 3.3.
    """
    c = _count("c", c, "workers")
    a = np.asarray(a, dtype=float)
    if np.any(~(a >= 0)):
        raise ValueError(f"a={_bad(a, ~(a >= 0))} must be >= 0: it is the offered load, arrival rate over service rate")
    if np.any(a >= c):
        raise ValueError(f"a={_bad(a, a >= c)} must be < c={c}: with more work than workers the queue grows for ever")
    b = np.ones_like(a)
    for k in range(1, c + 1):
        b = a * b / (k + a * b)
    return _plain(c * b / (c - a * (1 - b)))


def mmc_wait(lam, mu, c):
    """Mean wait in an M/M/c queue (one queue, ``c`` workers of rate ``mu`` each): C(c, λ/μ) / (cμ − λ) seconds.

    Source: Kleinrock 1975, section 3.5.
    """
    lam = _stable(lam, mu, c)
    return _plain(erlang_c(c, lam / mu) / (c * mu - lam))


def mmc_time(lam, mu, c):
    """Mean response time of an M/M/c queue: its wait and one service, 1/μ. Source: Kleinrock 1975, section 3.5."""
    return _plain(np.asarray(mmc_wait(lam, mu, c)) + 1 / mu)


def mg1_wait(lam, mean, scv):
    """Mean wait in an M/G/1 queue: ρ / (1 − ρ) × mean × (1 + scv) / 2 seconds, ρ = λ × mean.

    ``mean`` is the mean service time (seconds), ``scv`` its squared coefficient of variation: variance / mean².
    0 is a constant service, 1 an exponential one. Source: Pollaczek 1930 and Khinchine 1932; Kleinrock 1975, 5.6.
    """
    if not mean > 0:
        raise ValueError(f"mean={mean} must be > 0 seconds: it is the mean service time")
    if not scv >= 0:
        raise ValueError(f"scv={scv} must be >= 0: it is variance / mean²; 0 is constant, 1 exponential")
    lam = np.asarray(lam, dtype=float)
    if np.any(~(lam >= 0)):
        raise ValueError(f"lam={_bad(lam, ~(lam >= 0))} must be >= 0 requests/s")
    rho = lam * mean
    if np.any(rho >= 1):
        raise ValueError(
            f"lam={_bad(lam, rho >= 1)} must be < 1/mean={1 / mean:g} requests/s: at or above capacity the queue "
            "grows for ever"
        )
    return _plain(rho / (1 - rho) * mean * (1 + scv) / 2)


def supermarket(lam, d=2):
    """Mean response time when each request joins the shortest of ``d`` queues chosen at random, in services.

    There are many servers of rate 1 and ``lam`` requests/s for each of them; the result is in units of the mean
    service time. d = 1 is M/M/1; d = 2 at λ = 0.9 gives 2.6141. The formula is the limit of many servers: expect it
    from 100 on, better 500. T = Σ λ^((dⁱ − d)/(d − 1)), i = 1, 2, …

    Source: Vvedenskaya, Dobrushin, Karpelevich 1996; Mitzenmacher 2001, "The Power of Two Choices".
    """
    d = _count("d", d, "choices")
    lam = _stable(lam, 1.0)
    if d == 1:
        return _plain(1 / (1 - lam))
    total, power = np.zeros_like(lam), 0.0
    while np.any(terms := lam**power):  # the exponents grow like dⁱ, so the terms soon underflow to 0
        total = total + terms
        power = power * d + d
    return _plain(total)


def little(lam, w):
    """Mean number in a system through which ``lam`` requests/s pass and stay ``w`` seconds each: L = λ W.

    True of any system that neither creates nor loses requests: a queue, a pool, a whole shop.
    Source: Little, Operations Research 9(3), 1961.
    """
    return _plain(_at_least_0("lam", lam, "requests/s") * _at_least_0("w", w, "seconds"))


def busy_workers(lam, w):
    """Mean number of workers that ``lam`` calls/s keep busy when each holds its worker for ``w`` seconds.

    Little's law for the pool. ``w`` counts all the time the worker is held, waiting for other services included.
    """
    return little(lam, w)


class Bottleneck(NamedTuple):
    """The stage that limits the throughput, and the limit in requests per second."""

    name: str
    rate: float


def bottleneck(**stages) -> Bottleneck:
    """The stage that saturates first, and the requests/s at which it does: the least of workers / service time.

    Each stage is given as the seconds that it works for one request, or as ``(seconds, workers)``::

        bottleneck(gateway=0.002, orders=(0.050, 8), network=1_000 / 1_000_000)  # orders, 160 requests/s

    A network is a stage too: bytes per request over bytes per second. Source: Denning and Buzen, "The Operational
    Analysis of Queueing Network Models", Computing Surveys 10(3), 1978.
    """
    if not stages:
        raise ValueError("bottleneck() needs at least one stage, such as bottleneck(orders=0.050)")
    rates = {}
    for name, stage in stages.items():
        seconds, workers = stage if isinstance(stage, tuple) else (stage, 1)
        if not seconds > 0:
            raise ValueError(f"{name}={seconds} must be > 0 seconds of work for each request")
        rates[name] = _count(name, workers, "workers") / seconds
    name = min(rates, key=rates.get)
    return Bottleneck(name, float(rates[name]))


# -- how far a run of n requests may be from the long run ---------------------------------------


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
    n = _count("n", n, "requests")
    if not z > 0:
        raise ValueError(f"z={z} must be > 0 standard errors: 1.96 holds 95 % of runs")
    lams = _stable(lam, mu, c)
    halves = [z * math.sqrt(_variance(float(one), mu, c, in_service) / n) for one in lams.ravel()]
    return _plain(np.array(halves).reshape(lams.shape))


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


# -- a queue that is filled for a while -----------------------------------------------------------


class Burst(NamedTuple):
    """What a burst does to a queue: see :func:`burst`."""

    peak: float  #: messages that wait when the burst ends
    longest_wait: float  #: seconds that the last message of the burst waits
    drained: float  #: seconds from the beginning of the burst until nothing waits


def burst(lam, mu, c, seconds, after=0.0) -> Burst:
    """The backlog that ``lam`` messages/s for some ``seconds`` leave before ``c`` consumers of rate ``mu`` each.

    Peak (λ − cμ) T messages, longest wait peak / (cμ), drained peak / (cμ − λ₂) seconds after the burst, while λ₂ =
    ``after`` messages/s still come. With λ <= cμ there is no backlog. A *fluid*: messages flow evenly and chance is
    left out, which is good for a backlog of hundreds. :func:`burst_band` says how far chance goes.

    Source: Newell, "Applications of Queueing Theory" (2nd ed., Chapman and Hall, 1982), chapter 2.
    """
    lam, capacity, seconds, after = _fluid(lam, mu, c, seconds, after)
    peak = max(0.0, (lam - capacity) * seconds)
    return Burst(peak, peak / capacity, seconds + peak / (capacity - after) if peak else 0.0)


def burst_backlog(t, lam, mu, c, seconds, after=0.0):
    """Messages that wait at the times ``t`` (seconds from the beginning of the burst), as :func:`burst` has it.

    Q(t) = (λ − cμ) t up to T, then peak − (cμ − λ₂)(t − T), and never below 0.
    """
    lam, capacity, seconds, after = _fluid(lam, mu, c, seconds, after)
    t = _at_least_0("t", t, "seconds")
    peak = max(0.0, (lam - capacity) * seconds)
    rising = np.maximum(0.0, (lam - capacity) * t)
    return _plain(np.where(t <= seconds, rising, np.maximum(0.0, peak - (capacity - after) * (t - seconds))))


def burst_band(t, lam, mu, c, seconds, after=0.0, scv=1.0, gaps_scv=1.0, z=1.96):
    """Half the width of the band around :func:`burst_backlog` in which a run lies at the times ``t`` (messages).

    z √(variance), z = 1.96 for 19 runs in 20. By time t the arrivals vary by (λ min(t, T) + λ₂ (t − T)⁺) gaps_scv, and
    what c busy consumers finish by cμ t scv. ``scv`` is the squared coefficient of variation of the work (0 constant,
    1 exponential), ``gaps_scv`` that of the times between arrivals (0 paced, 1 Poisson). Good as long as all consumers
    are busy, so the band ends where the fluid has run out; not exact near both ends of the backlog, where somebody is
    idle now and then.

    Source: Newell 1982, chapter 2; the variance of a renewal count is Feller, "An Introduction to Probability Theory",
    vol. 2 (Wiley, 1971), section XI.4.
    """
    for name, value in (("scv", scv), ("gaps_scv", gaps_scv)):
        if not value >= 0:
            raise ValueError(f"{name}={value} must be >= 0: it is variance / mean²; 0 is constant, 1 exponential")
    if not z > 0:
        raise ValueError(f"z={z} must be > 0 standard errors: 1.96 holds 95 % of runs")
    drained = burst(lam, mu, c, seconds, after).drained
    lam, capacity, seconds, after = _fluid(lam, mu, c, seconds, after)
    t = _at_least_0("t", t, "seconds")
    arrived = lam * np.minimum(t, seconds) + after * np.maximum(0.0, t - seconds)
    return _plain(np.where(t <= drained, z * np.sqrt(arrived * gaps_scv + capacity * t * scv), 0.0))


def window_rate(work, round_trip, window):
    """Messages/s of one consumer that may hold ``window`` messages unacknowledged (its prefetch).

    The least of 1 / work and window / (work + round trip), for work that does not vary (otherwise it is the most that
    can be had). ``work`` is seconds of work for each, ``round_trip`` seconds from its acknowledgement until the next is
    there. The least window that keeps a consumer at work is 1 + round trip / work. Who fetches messages one by one has
    a window of 1.

    Source: the asymptotic bounds of Denning and Buzen, Computing Surveys 10(3), 1978, with the window as population.
    """
    if not work > 0:
        raise ValueError(f"work={work} must be > 0 seconds for each message")
    round_trip = _at_least_0("round_trip", round_trip, "seconds")
    return _plain(np.minimum(1 / work, _count("window", window, "messages") / (work + round_trip)))


def deliveries(p, limit=None):
    """Mean deliveries of a message, when each ends before its acknowledgement with probability ``p``: 1 / (1 − p).

    If the crash comes after the work, it is also how often the work is done. ``limit`` is how often a message may come
    back before it is put aside (the delivery limit of a quorum queue): then (1 − pⁿ) / (1 − p) with n = limit + 1, and
    pⁿ of the messages are put aside. Independent crashes: a poison message has p = 1, and without a limit no end.

    Source: Feller, "An Introduction to Probability Theory", vol. 1 (Wiley, 1968), section VI.8
    (the geometric law).
    """
    _probabilities([p])
    if limit is not None:
        return retry_load(p, _count("limit + 1", limit + 1, "deliveries"))
    if p == 1:
        raise ValueError("p=1 must be < 1 without a limit: a poison message comes back for ever; give limit=3")
    return float(1 / (1 - p))


def _fluid(lam, mu, c, seconds, after):
    """The arguments of a burst as floats, with the capacity c × mu; refused unless it ends."""
    capacity = _count("c", c, "consumers") * mu
    if not mu > 0:
        raise ValueError(f"mu={mu} must be > 0 messages/s: it is the rate at which one consumer works")
    for name, value in (("lam", lam), ("after", after)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value} must be >= 0 messages/s and finite")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds={seconds} must be >= 0 and finite: a burst without an end fills any queue")
    if after >= capacity:
        raise ValueError(f"after={after} must be < c × mu={capacity} messages/s: otherwise the backlog never drains")
    return float(lam), float(capacity), float(seconds), float(after)


# -- availability, fan-out and retries ----------------------------------------------------------


def availability_series(*availabilities):
    """Availability of something that needs all of its parts, which fail independently: their product.

    Source: Barlow and Proschan, "Mathematical Theory of Reliability" (Wiley, 1965), as for the parallel form.
    """
    return math.prod(_probabilities(availabilities))


def availability_parallel(*availabilities):
    """Availability of something that needs any one of its parts, which fail independently: 1 − Π (1 − aᵢ)."""
    return 1 - math.prod(1 - a for a in _probabilities(availabilities))


def fan_out(p, n):
    """Probability that at least one of ``n`` parallel calls is slow, when each is with probability ``p``: 1 − (1 − p)ⁿ.

    1 % slow calls and a page of 100 calls: 63.4 % slow pages. Source: Dean and Barroso, "The Tail at Scale",
    Communications of the ACM 56(2), 2013.
    """
    _probabilities([p])
    return float(1 - (1 - p) ** _count("n", n, "calls"))


def retry_load(p, attempts):
    """Mean attempts per call, when each fails with probability ``p`` and a call makes up to ``attempts``.

    (1 − pᵏ) / (1 − p), which is k when all attempts fail: the sum 1 + p + … + pᵏ⁻¹. Independent failures; in an
    overload p rises with the load that this adds.
    """
    _probabilities([p])
    return float(sum(p**i for i in range(_count("attempts", attempts, "attempts"))))


def layered_retries(tries, layers):
    """Attempts that reach the bottom of a chain when each of ``layers`` callers tries ``tries`` times: tries^layers.

    Three tries in five layers: 243. Source: "Site Reliability Engineering" (O'Reilly, 2016), chapter 22.
    """
    return _count("tries", tries, "attempts") ** _count("layers", layers, "layers")


# -- service discovery: how long is a dead instance called? ---------------------------------------


class Window(NamedTuple):
    """From when to when something may happen, and when on average: ``least``, ``mean``, ``most`` seconds.

    Delays that follow each other add up: ``lease_window(10, 3) + poll_window(5)``.
    """

    least: float
    mean: float
    most: float

    def __add__(self, other):
        return Window(*(a + b for a, b in zip(self, other, strict=True)))


def lease_window(ttl, period, check=0.0) -> Window:
    """Seconds from a crash until its lease of ``ttl`` s has run out, with a heartbeat every ``period`` s.

    The last heartbeat was sent an *age* before the crash, anything from 0 to ``period`` alike, so what is left is
    ttl − age: on average ttl − period / 2. A registry that looks only every ``check`` seconds adds 0 to ``check``.
    Source: the age of a process with constant intervals is uniform; Cox, "Renewal Theory" (Methuen, 1962), section 5.2.
    Raises ValueError for a period above the TTL: then the lease runs out while the instance lives.
    """
    if not 0 < period <= ttl:
        raise ValueError(
            f"period={period:g} must be > 0 and <= ttl={ttl:g} seconds: slower heartbeats lose the lease of the living"
        )
    check = float(_at_least_0("check", check, "seconds"))
    return Window(ttl - period, ttl - period / 2 + check / 2, ttl + check)


def poll_window(period, jitter=0.0) -> Window:
    """Seconds from a change until a client that asks every ``period`` s knows of it: up to it, on average half.

    With intervals of period × uniform(1 − ``jitter``, 1 + ``jitter``) a change falls into a long one more often:
    the mean is period / 2 × (1 + jitter² / 3), the half of E[X²] / E[X]. Source: Cox 1962, section 5.2.
    """
    _at_least_0("period", period, "seconds")
    if not 0 <= jitter <= 1:
        raise ValueError(f"jitter={jitter} must be a share of the period from 0 to 1")
    return Window(0.0, period / 2 * (1 + jitter**2 / 3), period * (1 + jitter))


def cache_window(ttl, rate=math.inf) -> Window:
    """Seconds from a change until a client asks anew that keeps an answer for ``ttl`` s and makes ``rate`` calls/s.

    As in DNS: an answer is fresh for ``ttl``, then the next call asks, on average 1 / rate later. That cycle has a
    mean length of ttl + 1/rate, and is in its fresh part for the share f = ttl / (ttl + 1/rate). What is left of it is
    f × ttl / 2 + 1 / rate on average; of that, 1 / rate passes without any call. ``most`` is ttl with the mean gap.
    Source: as for :func:`poll_window`; the gap after the end of the TTL has no memory, as the calls are Poisson.
    """
    _at_least_0("ttl", ttl, "seconds")
    if not rate > 0:
        raise ValueError(f"rate={rate} must be > 0 calls/s: without calls nobody asks")
    gap = 1 / rate
    fresh = ttl / (ttl + gap) if ttl else 0.0
    return Window(0.0, fresh * ttl / 2 + gap, ttl + gap)


def watch_window(one_way) -> Window:
    """Seconds from a change until a client knows that has a blocking query waiting: one way of the network."""
    one_way = float(_at_least_0("one_way", one_way, "seconds"))
    return Window(one_way, one_way, one_way)


def failed_calls(rate, share, seconds):
    """Calls that fail on a dead route: ``rate`` calls/s × ``share`` that the dead instance gets × ``seconds``.

    The share is 1/n for n instances in turn. No retries: with one, a call fails only if it meets the dead one twice.
    """
    _probabilities([share])
    return _plain(_at_least_0("rate", rate, "calls/s") * share * _at_least_0("seconds", seconds, "seconds"))


def lookup_rate(clients, period):
    """Lookups/s at the source from ``clients`` that ask every ``period`` seconds: the price of freshness."""
    if not np.all(np.asarray(period) > 0):
        raise ValueError(f"period={period} must be > 0 seconds: to ask without a pause has no rate")
    return _plain(_at_least_0("clients", clients, "clients") / np.asarray(period, dtype=float))


def false_expiries(loss, ttl, period):
    """How often per second the lease of a *living* instance runs out because heartbeats are lost.

    ``loss`` is the share lost, each by itself. After one that arrives, k = ⌊ttl / period⌋ more would be in time; the
    lease ends if all of them are lost. (1 − loss) × lossᵏ / period. At k whole the last one comes with the end: choose
    a TTL that is no whole multiple. Source: derived; one that arrives begins a new lease, so these are renewals.
    """
    _probabilities([loss])
    lease_window(ttl, period)
    return (1 - loss) * loss ** math.floor(ttl / period) / period


# -- streams: a fast producer, a slow reader, a silent connection ----------------------------------


def buffer_growth(lam, mu, t):
    """Items that wait after ``t`` seconds when ``lam`` items/s come and ``mu`` are read: (λ − μ) t, never below 0.

    The fluid limit: chance adds and takes about the root of λ t. Source: Kleinrock, "Queueing Systems", vol. 2
    (Wiley, 1976), section 2.7.
    """
    lam, mu, t = (_at_least_0(*each) for each in (("lam", lam, "items/s"), ("mu", mu, "items/s"), ("t", t, "seconds")))
    return _plain(np.maximum(lam - mu, 0.0) * t)


def time_to_fill(lam, mu, size):
    """Seconds until a buffer of ``size`` items is full: size / (λ − μ); inf when the reader keeps up."""
    lam, mu = np.asarray(_at_least_0("lam", lam, "items/s")), np.asarray(_at_least_0("mu", mu, "items/s"))
    size = _at_least_0("size", size, "items")
    with np.errstate(divide="ignore", invalid="ignore"):
        return _plain(np.where(lam > mu, size / (lam - mu), np.inf))


def freshness_bound(size, mu):
    """The oldest that an item can be when it is read from a buffer of ``size`` items: size / μ seconds.

    At most that many are before it or being read, whatever the producer does. Holds for a reader of constant rate
    ``mu`` (items/s) and a producer that does not wait; one that waits for room adds its own wait.
    """
    mu = np.asarray(_at_least_0("mu", mu, "items/s"))
    if np.any(mu == 0):
        raise ValueError("mu=0 must be > 0 items/s: what nobody reads grows old for ever")
    return _plain(_at_least_0("size", size, "items") / mu)


def credit_rate(window, round_trip):
    """The most that flow control by credit lets through: ``window`` items (or bytes) per ``round_trip`` seconds.

    A credit comes back one round trip after it was spent. True of TCP's and HTTP/2's windows alike. Source: Stevens,
    "TCP/IP Illustrated", vol. 1 (Addison-Wesley, 1994), section 20.7 (the bandwidth-delay product).
    """
    if np.any(~(np.asarray(round_trip) > 0)):
        raise ValueError(f"round_trip={round_trip} must be > 0 seconds: without a delay a window limits nothing")
    return _plain(_at_least_0("window", window, "items") / np.asarray(round_trip, dtype=float))


def silence_window(interval, timeout, delay=0.0) -> Window:
    """Seconds from a peer's death until a heartbeat finds it: a ping after ``interval`` s of silence, dead after
    ``timeout`` s. ``delay`` is one way of the network.

    The peer was last heard at anything from one cycle (interval + a round trip) ago to just now, all alike. So that
    much of the timeout has passed: the mean is timeout − cycle / 2; what it sent while it lived still arrives, which
    adds one ``delay``. Derived as :func:`lease_window` is. Raises ValueError for a timeout that is not above the
    cycle: then the living count as dead.
    """
    cycle = float(_at_least_0("interval", interval, "seconds")) + 2 * float(_at_least_0("delay", delay, "seconds"))
    if not timeout > cycle:
        raise ValueError(
            f"timeout={timeout:g} must be > interval + round trip = {cycle:g} seconds: the living would count as dead"
        )
    return Window(timeout - cycle + delay, timeout - cycle / 2 + delay, timeout + delay)


# -- refusing what has no answer ----------------------------------------------------------------


def _stable(lam, mu, c=1):
    """``lam`` as an array of floats, refused unless 0 <= lam < c × mu."""
    c = _count("c", c, "workers")
    if not mu > 0:
        raise ValueError(f"mu={mu} must be > 0 requests/s: it is the rate at which one worker serves")
    lam = _at_least_0("lam", lam, "requests/s")
    if np.any(over := lam >= c * mu):
        capacity = f"mu={mu}" if c == 1 else f"c × mu={c * mu}"
        raise ValueError(
            f"lam={_bad(lam, over)} must be < {capacity} requests/s: at or above capacity the queue grows for ever"
        )
    return lam


def _at_least_0(name, value, unit):
    value = np.asarray(value, dtype=float)
    if np.any(bad := ~(value >= 0)):
        raise ValueError(f"{name}={_bad(value, bad)} must be >= 0 {unit}")
    return value


def _count(name, value, what):
    if isinstance(value, bool) or value != int(value) or value < 1:
        raise ValueError(f"{name}={value} must be a whole number >= 1 ({what})")
    return int(value)


def _probabilities(values):
    if not values:
        raise ValueError("give at least one probability from 0 to 1")
    for p in values:
        if not 0 <= p <= 1:
            raise ValueError(f"{p} must be a probability from 0 to 1: write 0.99 for 99 %")
    return values


def _bad(values, where):
    """The first offender, as a plain number."""
    return f"{values[where].flat[0] if values.ndim else float(values):g}"


def _plain(value):
    """A float for a single number, an array for many."""
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value
