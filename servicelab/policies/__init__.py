"""Decisions about calls: how long to wait, when to try again, whom to ask. No I/O happens here.

A policy is asked by its *script* and answered by a *driver*, so the same object decides for real sockets, for a
SimPy process and for asyncio. Policies nest, the outer one first::

    Deadline(2.0, Retry(Timeout(0.5), tries=3, backoff=FullJitter(0.05, 1.0, Random(7)), budget=RetryBudget()))

| module   | subject                                                                                 |
|----------|-----------------------------------------------------------------------------------------|
| status   | how a call can end                                                                      |
| moments  | how every policy compares times, and what it makes of a clock that goes back            |
| script   | what a policy says (Try, Sleep, …) and hears (Answer), and the rules of their talk      |
| timeout  | one attempt, and how long to wait for it                                                |
| retry    | further attempts after a failure                                                        |
| backoff  | how long to sleep between attempts: no backoff, plain exponential, three laws of jitter |
| budget   | how many retries all calls together may make                                            |
| deadline | how long a call may take in all, attempts and sleeps included, here and further down    |
| hedge    | the same question to a second server when the first is slow to answer                   |
| limiter  | how many calls in how much time: token bucket, sliding window                           |
| throttle | asking less when the server says no often                                               |
| breaker  | when to stop asking a service, and when to ask it again                                 |
| bulkhead | how many calls of a service may be under way at once                                    |
| balancer | which of several servers to ask                                                         |
| least_time | the one that is likely to answer soonest                                              |
| weighted | servers of unequal strength; a slow start                                               |
| ring     | the same key, the same server: consistent hashing, with bounded loads                   |
| outliers | leaving out who fails, and never too many                                               |
| subset   | which of many servers a client knows                                                    |
| reconnect | when to come back after a lost connection, and from where in its stream to go on       |
| heartbeat | is the peer of a silent connection still there                                         |
| buffer   | what waits for a slower reader, and what is given up when it is too much                |
| keys     | who has asked this before: idempotency keys, and how long they are remembered            |
| lookup   | what a resolver says (Lookup, Sleep) and hears (Found), and its two drivers             |
| resolver | who is there: a memory of instances with last known good, and asking on demand          |
| watch    | keeping that memory fresh: polling, and watching with blocking queries                  |
| drive    | the three drivers                                                                       |
| race     | what the drivers do when several attempts are under way at once                         |
| record   | record a run and replay it                                                              |

Rules of the room: time is an argument, in seconds, from whatever clock the driver reads; randomness is a
``random.Random`` that the caller supplies; what several calls share is safe under threads. Only ``drive`` and
``race`` know of clocks, and only as defaults, and so does ``find`` in ``lookup``.
"""

from servicelab.policies.backoff import (
    DecorrelatedJitter,
    EqualJitter,
    Exponential,
    FullJitter,
    NoBackoff,
)
from servicelab.policies.balancer import LeastOutstanding, PowerOfTwo, RandomChoice, RoundRobin
from servicelab.policies.breaker import CircuitBreaker, State
from servicelab.policies.budget import RetryBudget
from servicelab.policies.buffer import BoundedBuffer, Offer
from servicelab.policies.bulkhead import Bulkhead
from servicelab.policies.deadline import Deadline, InheritedDeadline, current_deadline, remaining
from servicelab.policies.drive import Result, acall, call, sim_call
from servicelab.policies.heartbeat import Heartbeat
from servicelab.policies.hedge import Hedge
from servicelab.policies.keys import IdempotencyKeys
from servicelab.policies.least_time import LeastTime
from servicelab.policies.limiter import RateLimiter, SlidingWindow, TokenBucket
from servicelab.policies.lookup import Found, Lookup, Told, find, sim_find
from servicelab.policies.outliers import OutlierEjection
from servicelab.policies.race import when_abandoned
from servicelab.policies.reconnect import Reconnect, Resume, Seen
from servicelab.policies.record import Entry, Recorder, replay
from servicelab.policies.resolver import Freshness, InstanceCache, OnDemand, View
from servicelab.policies.retry import Retry
from servicelab.policies.ring import HashRing
from servicelab.policies.script import Answer, Await, Sleep, Start, Try
from servicelab.policies.status import Status
from servicelab.policies.subset import subset
from servicelab.policies.throttle import AdaptiveThrottle
from servicelab.policies.timeout import Timeout
from servicelab.policies.watch import Poll, Watch
from servicelab.policies.weighted import SlowStart, Weighted

__all__ = [
    "AdaptiveThrottle",
    "Answer",
    "Await",
    "BoundedBuffer",
    "Bulkhead",
    "CircuitBreaker",
    "Deadline",
    "DecorrelatedJitter",
    "Entry",
    "EqualJitter",
    "Exponential",
    "Found",
    "Freshness",
    "FullJitter",
    "HashRing",
    "Heartbeat",
    "Hedge",
    "IdempotencyKeys",
    "InheritedDeadline",
    "InstanceCache",
    "LeastOutstanding",
    "LeastTime",
    "Lookup",
    "NoBackoff",
    "Offer",
    "OnDemand",
    "OutlierEjection",
    "Poll",
    "PowerOfTwo",
    "RandomChoice",
    "RateLimiter",
    "Reconnect",
    "Recorder",
    "Result",
    "Resume",
    "Retry",
    "RetryBudget",
    "RoundRobin",
    "Seen",
    "Sleep",
    "SlowStart",
    "SlidingWindow",
    "Start",
    "State",
    "Status",
    "Timeout",
    "TokenBucket",
    "Told",
    "Try",
    "View",
    "Watch",
    "Weighted",
    "acall",
    "call",
    "current_deadline",
    "find",
    "remaining",
    "replay",
    "sim_call",
    "sim_find",
    "subset",
    "when_abandoned",
]
