"""The outage that outlives its cause: a metastable failure, and what ends it.

A service can do 300 requests/s and is asked for 280. For ten seconds it does nothing; then it is as good as new.
Meanwhile 2 800 requests have come to wait, so everybody now waits for more than the timeout of one second, gives
up and tries again. The service works at full speed on requests whose callers have left, and is asked for 560/s::

    model = Outage(load=280, retries=1)
    model.run(until=60)
    stop_retrying(model)     # mend it now, or before the outage, and see
    course = model.run(until=180)

While nobody is answered in time each call makes 1 + r attempts, so the queue shrinks exactly when λ(1 + r) < μ (load λ,
capacity μ, both in requests/s; r retries per call): :func:`critical_load`. Above that line nothing gets better by
itself. Source: N. Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021.
"""

import math

import numpy as np
import simpy

from servicelab.arguments import not_negative, positive, seconds
from servicelab.policies.budget import RetryBudget
from servicelab.policies.retry import Retry
from servicelab.policies.timeout import Timeout
from servicelab.sim.arrivals import poisson
from servicelab.sim.client import Client
from servicelab.sim.draws import Draws
from servicelab.sim.service import Service
from servicelab.sim.storm import retry_storm


class Outage:
    """One service with one worker, all its callers, and an outage from ``begins`` to ``ends`` (seconds).

    | setting   | default | unit       | consequence                                                              |
    |-----------|---------|------------|--------------------------------------------------------------------------|
    | load      | 280     | requests/s | calls that are due, a Poisson stream                                     |
    | capacity  | 300     | requests/s | the work of one request is exponential with mean 1 / capacity            |
    | timeout   | 1       | s          | for each attempt                                                         |
    | retries   | 1       | per call   | at once, after a timeout; 0.5 gives one to every other call              |
    | policy    | None    | policy     | instead of timeout and retries: anything from servicelab.policies        |
    | begins    | 10      | s          | from here on the worker gets nothing done                                |
    | ends      | 20      | s          | from here on it works as before                                          |
    | seed      | 1       |            | of all the random numbers                                                |
    | settings  |         |            | of the queue, as Service takes them: order="lifo", drop_abandoned=True   |

    ``env``, ``service``, ``client`` and ``journeys`` are there to look at, and to change between two runs: the client's
    policy and the service's settings are what a remedy is made of. Raises ValueError for a load, capacity or timeout
    that is not above 0, negative retries and an outage that ends before it begins.
    """

    def __init__(
        self,
        load=280.0,
        capacity=300.0,
        timeout=1.0,
        retries=1.0,
        policy=None,
        *,
        begins=10.0,
        ends=20.0,
        seed=1,
        **settings,
    ):
        self.load, self.capacity = positive("load", load, "requests/s"), positive("capacity", capacity, "requests/s")
        self.timeout = positive("timeout", timeout, "seconds")
        self.begins, self.ends = _require_span(begins, ends)
        self.env, self.draws = simpy.Environment(), Draws(seed)
        self._work = self.draws.exponential("work", 1 / capacity)
        self._lot = self.draws.uniform("retries", 0, 1)
        self.service = Service(self.env, "orders", self._work_or_hang, **settings)
        self._meter = _Meter(self.env, self.service)
        policy = self.retrying(retries) if policy is None else policy
        self.client = Client(self.env, self._meter, policy)
        self.journeys = poisson(self.env, load, self.client, self.draws, until=math.inf)

    def retrying(self, retries):
        """The policy of callers who make ``retries`` retries at once after a timeout, on average."""
        whole, rest = _split(retries)
        few = Retry(Timeout(self.timeout), tries=1 + whole)
        if not rest:
            return few
        more = Retry(Timeout(self.timeout), tries=2 + whole)
        return _Lottery(self._lot, rest, more, few)

    def run(self, until) -> "Course":
        """Go on until ``until`` seconds, and return the whole course so far.

        Raises ValueError if that time has passed, or lies in the first bin.
        """
        if not max(self.env.now, _BIN) <= until < math.inf or until == self.env.now:
            raise ValueError(
                f"until={until!r} must be later than now, {self.env.now:g} seconds, finite, and at least "
                f"{_BIN:g}: the course comes in bins of that length"
            )
        self.env.run(until=until)
        return Course(self)

    def _work_or_hang(self):
        """How long the worker takes: a request that it begins during the outage hangs until its end."""
        now = self.env.now
        return self._work() + (self.ends - now if self.begins <= now < self.ends else 0.0)


class Course:
    """How it went, in bins of one second: arrays of equal length, one entry a bin, for a figure.

    ``time`` begins of the bins (seconds) · ``load`` calls that were due per second · ``offered`` attempts that reached
    the service per second · ``goodput`` calls that were answered ``"ok"`` per second · ``waiting`` requests in
    the queue at the end of the bin · ``success`` share of the calls due in the bin that were answered ``"ok"``,
    ``nan`` if none of them has ended yet.
    """

    def __init__(self, model: Outage):
        self.ends = model.ends
        edges = np.arange(math.floor(model.env.now / _BIN) + 1) * _BIN
        journeys = model.journeys
        due, ok = journeys.due, journeys.ok
        decided = ~np.isnan(journeys.end)

        def per_bin(times):
            return np.histogram(times, edges)[0]

        self.time = edges[:-1]
        self.load = per_bin(due) / _BIN
        self.offered = per_bin(model._meter.attempts) / _BIN
        self.goodput = per_bin(journeys.end[ok]) / _BIN
        self.waiting = np.array(model._meter.waiting[: len(self.time)])
        with np.errstate(invalid="ignore"):
            self.success = per_bin(due[ok]) / per_bin(due[decided])

    def recovered_at(self, share=0.9) -> float:
        """When the service was well again and stayed so: the first bin (its begin, in seconds) after the outage from
        which on at least ``share`` of the calls of every bin succeeded. ``inf`` if it was not by the end."""
        ill = np.flatnonzero((self.success < share) | (self.time < self.ends))
        well = ill[-1] + 1 if len(ill) else 0
        if not np.isfinite(self.success[well:]).any():
            return math.inf
        return float(self.time[well])

    def __repr__(self):
        at = self.recovered_at()
        return f"<{len(self.time) * _BIN:g} s, {'still down' if math.isinf(at) else f'well again from {at:g} s'}>"


_BIN = 1.0  # seconds


class _Meter:
    """Stands before the service, notes when attempts come, and at the end of every bin how many wait."""

    def __init__(self, env, to):
        self.env, self.to, self.name = env, to, to.name
        self.attempts, self.waiting = [], []
        env.process(self._watch())

    def call(self, message):
        self.attempts.append(self.env.now)
        return self.to.call(message)

    def _watch(self):
        while True:
            # A hair before the end: run(until=60) stops before what happens at 60.
            yield self.env.timeout(_BIN * (len(self.waiting) + 1) - 1e-6 - self.env.now)
            self.waiting.append(len(self.to.waiting))


class _Lottery:
    """A share ``p`` of all calls has the policy ``drawn``, the others ``other``; ``lot`` draws from 0 to 1."""

    def __init__(self, lot, p, drawn, other):
        self.lot, self.p, self.drawn, self.other = lot, p, drawn, other

    def script(self, now):
        return (self.drawn if self.lot() < self.p else self.other).script(now)


def _split(retries):
    retries = not_negative("retries", retries, "per call", "the mean number of retries")
    return int(retries), retries - int(retries)


# -- remedies: each changes a model, before the outage or long after ----------------------------------------


def stop_retrying(model):
    """Callers try once."""
    model.client.policy = Timeout(model.timeout)


def retry_budget(model, ratio=0.1):
    """Callers retry once, but all together at most ``ratio`` of their calls (and ten at the start).

    ``min_per_second`` is 0 here: Finagle's default of 10 retries/s is 3.6% of 280 calls/s, and would blur the line.
    """
    budget = RetryBudget(ratio=ratio, min_per_second=0.0, reserve=10.0)
    model.client.policy = Retry(Timeout(model.timeout), tries=2, budget=budget)


def drop_expired(model):
    """The service puts aside every request whose caller has given up, before any work is done on it."""
    model.service.drop_abandoned = True


def newest_first(model):
    """The service answers the newest request first (LIFO)."""
    model.service.order = "lifo"


def shed_late(model, share=0.5):
    """The service turns away every request that has waited for more than ``share`` of the timeout."""
    model.service.max_wait = share * model.timeout


def limit_queue(model, share=0.5):
    """The service turns away requests that would wait for more than ``share`` of the timeout, on arrival."""
    # Rounded in the twelfth digit first: 0.29 × 100 is 28.999999999999996, and means 29.
    model.service.queue_limit = int(float(f"{share * model.timeout * model.capacity:.12g}"))


def with_policy(policy):
    """A remedy: callers change to ``policy``, such as ``CircuitBreaker(Timeout(1.0), wait_open=5.0)``, or to what it
    makes if it is a function: a policy that has seen one run is of no use in the next."""

    def remedy(model):
        model.client.policy = policy if hasattr(policy, "script") else policy()

    return remedy


#: The remedies that need no argument, by name.
REMEDIES = {
    "none": lambda model: None,
    "stop retrying": stop_retrying,
    "retry budget": retry_budget,
    "drop expired": drop_expired,
    "newest first": newest_first,
    "shed late": shed_late,
    "limit queue": limit_queue,
}


def outage(remedy=None, at=0.0, until=120.0, **settings) -> Course:
    """The course of an outage (``settings`` as :class:`Outage` takes them) with ``remedy`` applied at ``at`` seconds.

    ``remedy`` is a function that is given the model, such as :func:`newest_first`, or None.
    """
    seconds("at", at)
    model = Outage(**settings)
    if at > 0:
        model.env.run(until=at)
    if remedy is not None:
        remedy(model)
    return model.run(until)


# -- the phase map --------------------------------------------------------------------------------------------


def critical_load(retries, capacity=300.0):
    """The load (requests/s) below which an overload with ``retries`` retries per call ends by itself: μ / (1 + r)."""
    return capacity / (1 + np.asarray(retries, dtype=float))


def recovery(load, retries, seed, *, capacity=300.0, timeout=1.0, begins=5.0, ends=8.0, until=60.0) -> float:
    """Share of the calls due in the last ten seconds but for the very last that were answered in time (0 to 1).

    1 is well again, 0 is down. The same model as :class:`Outage` on the same draws, by the recursion
    :func:`servicelab.sim.storm.retry_storm`. The outage is short, so that a slow recovery has come to its end too: it
    takes λ(1 + r) / (μ - λ(1 + r)) times as long as the outage.
    """
    due, storm = storm_of(load, retries, seed, capacity=capacity, timeout=timeout, outage=(begins, ends), until=until)
    settled = until - timeout * (1 + math.ceil(retries))  # those due before it have had their answer, or none
    late = (due >= settled - 10) & (due < settled)
    return float(np.isfinite(storm.end[late]).mean())


def storm_of(load, retries, seed, *, capacity=300.0, timeout=1.0, outage=(10.0, 20.0), until=120.0, budget=None):
    """When calls are due (seconds), and the :class:`~servicelab.sim.storm.Storm` that they come to.

    The draws are those of ``Outage(load, capacity, timeout, retries, seed=seed)``; a ``budget`` is a fresh RetryBudget.
    """
    for name, value in (("load", load), ("capacity", capacity)):
        positive(name, value, "requests/s")
    draws, (whole, rest) = Draws(seed), _split(retries)
    plenty = int(load * until + 10 * math.sqrt(load * until) + 10)  # ten standard deviations more than expected
    due = np.cumsum(draws.exponential("arrivals", 1 / load).sample(plenty))
    due = due[due < until]
    more = draws.uniform("retries", 0, 1).sample(len(due)) < rest
    work = draws.exponential("work", 1 / capacity).sample(len(due) * (1 + math.ceil(retries)))
    return due, retry_storm(due, work, timeout, whole + more, outage=outage, until=until, budget=budget)


def _require_span(begins, ends):
    begins, ends = seconds("begins", begins), seconds("ends", ends)
    if ends < begins:
        raise ValueError(f"ends={ends!r} must be >= begins={begins!r} seconds")
    return begins, ends
