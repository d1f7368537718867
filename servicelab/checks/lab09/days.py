"""The fleet of exercise 1: instances with one worker and a queue each, in simulated time, behind a balancer."""

from heapq import heappop, heappush
from math import inf
from numbers import Integral
from random import Random
from typing import NamedTuple

from servicelab.policies.balancer import driven
from servicelab.trace import reply_id

N, WORK, ERROR = 10, 0.1, 0.005  # instances; seconds for an answer, on average, and for an error
DRAWN = 14  # calls in the diagram


class Day(NamedTuple):
    """``calls`` to each instance, ``mean`` time of a call in seconds, ``wrong``: what was picked that is no instance,
    in words, and ``mark``, the id of the last message that is drawn."""

    calls: list[int]
    mean: float
    wrong: str
    mark: str | None

    def share(self) -> float:
        """Of the first instance, the one that something is the matter with."""
        return self.calls[0] / max(1, sum(self.calls))


def day(balancer, trace=None, *, seconds, callers=0, load=0.0, bad=(), until=inf, since=0.0, pace=(), seed=1) -> Day:
    """A day of ``seconds``. Calls come at random and keep the instances busy for the share ``load`` of the time, or
    ``callers`` each make their next call when the last has ended. ``bad`` are the shares of errors of the first
    instances, up to a time ``until``, and ``pace`` factors on their times. Only what comes after ``since`` is counted.

    The same seed has the same arrivals and the same work, whatever the balancer does: days can be compared."""
    arrivals, work, dice = Random(seed), Random(seed + 1000), Random(seed + 2000)
    queue, free, under_way, calls = [0] * N, [0.0] * N, [], [0] * N
    now, took, mark, drawn = 0.0, 0.0, None, 0
    bad, pace = [*bad, *[0.0] * N], [*pace, *[1.0] * N]
    pick, heard = driven(balancer)
    while now < seconds:
        if callers:
            now = under_way[0][0] if len(under_way) >= callers else now
        else:
            now += arrivals.expovariate(N * load / WORK)
        while under_way and under_way[0][0] <= now:
            end, index, came, ok = heappop(under_way)
            queue[index] -= 1
            heard(index, end - came, ok, end)
        index, usual = pick(list(queue), now, None), work.expovariate(1 / WORK)
        if wrong := why_not(index, N):
            return Day(calls, 0.0, wrong, mark)
        ok = now >= until or dice.random() >= bad[index]
        free[index] = max(now, free[index]) + (usual * pace[index] if ok else ERROR)
        queue[index] += 1
        heappush(under_way, (free[index], index, now, ok))
        if now >= since:
            calls[index] += 1
            took += free[index] - now
            if trace is not None and drawn < DRAWN and now >= seconds / 2:
                mark, drawn = draw(trace, index, now, free[index], ok), drawn + 1
    return Day(calls, took / max(1, sum(calls)), "", mark)


def draw(trace, index, now, end, ok):
    who = "instance 0" if index == 0 else "the nine others"
    id = trace.send("client", who, f"to {index}", at=now)
    trace.receive(id, who, at=now + 0.001)
    trace.send(who, "client", "200" if ok else "500", id=reply_id(id), kind="reply", at=end - 0.001)
    trace.receive(reply_id(id), "client", at=end)
    return id


def why_not(index, n: int) -> str:
    """Why this is not the number of one of ``n`` instances; "" if it is."""
    whole = isinstance(index, Integral) and not isinstance(index, bool)
    return "" if whole and 0 <= index < n else f"of {n} instances it picked {index!r}"


def share_of_the_broken(balancer, callers: int = 20, seconds: float = 20.0) -> float:
    """To try a balancer on: the share of the calls that instance 0 of ten gets, which fails at once."""
    return day(balancer, seconds=seconds, callers=callers, bad=[1]).share()
