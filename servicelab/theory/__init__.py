"""Closed forms: what the mathematics of queues, retries and availability says, before anything is run.

Rates (``lam``, ``mu``) are requests per second, times are seconds, probabilities and utilisations lie in [0, 1]. The
arrivals are Poisson; a *wait* is the time in the queue, a *time* is wait and service together. Functions of ``lam``
accept a numpy array of rates and return an array. A queue that has no long run (utilisation 1 or more) is refused
with ValueError, never answered with a negative wait.

| module | subject |
|---|---|
| queues | the long run: M/M/1, M/M/c, M/G/1, two choices |
| backlog | a queue that is filled for a while; prefetch; deliveries with crashes |
| retries | availability, fan-out, retries, layers of retries |
| windows | how long the dead are believed alive: lease, poll, cache, watch, heartbeat |
| streams | buffer growth, freshness, credit |
| logs | a shared log: speed-up, retention, catching up |
| caches | kept answers, stampedes, the slowest of several, a token bucket's most |
| consistency | lost in a crash, done twice, forgotten keys, dirty windows, quorums |
| distance | round trips, locks held across them, regions with a common cause |
| telemetry | what buckets and alerts can know |
| security | what clocks that differ cost |
| mesh | a control plane's lag, what a canary can know |
"""

from servicelab.theory.backlog import Burst, burst, deliveries, window_rate
from servicelab.theory.caches import lru_hits, most_admitted, slowest, stampede, ttl_hits, zipf
from servicelab.theory.consistency import (
    dirty_window,
    executions,
    failed_but_done,
    forgotten,
    lost_per_crash,
    outbox_lag,
    stale_reads,
)
from servicelab.theory.distance import common_cause, far_time, row_rate
from servicelab.theory.logs import catch_up, lost_to_retention, shared_speedup
from servicelab.theory.mesh import canary, refresh_lag, requests_to_see
from servicelab.theory.queues import (
    erlang_c,
    mg1_wait,
    mm1_time,
    mm1_wait,
    mmc_time,
    mmc_wait,
    supermarket,
)
from servicelab.theory.retries import availability_parallel, availability_series, fan_out, layered_retries, retry_load
from servicelab.theory.security import refused_fresh
from servicelab.theory.streams import buffer_growth, credit_rate, freshness_bound, time_to_fill
from servicelab.theory.telemetry import burn_rate, histogram_quantile, time_to_alert
from servicelab.theory.windows import (
    Window,
    cache_window,
    failed_calls,
    false_expiries,
    lease_window,
    lookup_rate,
    poll_window,
    silence_window,
    watch_window,
)

__all__ = [
    "Burst",
    "Window",
    "availability_parallel",
    "availability_series",
    "buffer_growth",
    "burn_rate",
    "burst",
    "cache_window",
    "canary",
    "catch_up",
    "common_cause",
    "credit_rate",
    "deliveries",
    "dirty_window",
    "erlang_c",
    "executions",
    "failed_but_done",
    "failed_calls",
    "false_expiries",
    "fan_out",
    "far_time",
    "forgotten",
    "freshness_bound",
    "histogram_quantile",
    "layered_retries",
    "lease_window",
    "lookup_rate",
    "lost_per_crash",
    "lost_to_retention",
    "lru_hits",
    "mg1_wait",
    "mm1_time",
    "mm1_wait",
    "mmc_time",
    "mmc_wait",
    "most_admitted",
    "outbox_lag",
    "poll_window",
    "refused_fresh",
    "refresh_lag",
    "requests_to_see",
    "retry_load",
    "row_rate",
    "shared_speedup",
    "silence_window",
    "slowest",
    "stale_reads",
    "stampede",
    "supermarket",
    "time_to_alert",
    "time_to_fill",
    "ttl_hits",
    "watch_window",
    "window_rate",
    "zipf",
]
