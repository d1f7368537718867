"""Gateways under a flood: copies, limits, and what is left for the service behind them. A loop, for panels."""

from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

import numpy as np

from servicelab.arguments import positive, whole
from servicelab.policies.expiry import FETCH, SERVE, Copy
from servicelab.theory.caches import zipf

#: What a call may become.
OWN, WRONG, REFUSED = "answered", "somebody else's basket", "429"


class Flood(NamedTuple):
    """Moments (s) of the calls ``front`` of the gateways and ``behind`` them; ``became``: kind → number of calls."""

    front: np.ndarray
    behind: np.ndarray
    became: dict


def flood(policies, limits, load, until, *, key="user", pages=300, ttl=2.0, cost=0.2, users=50, own=0.2, seed=1):
    """``load`` calls/s for ``until`` seconds, dealt out in turn to gateways, one for each of ``policies``.

    A policy (:mod:`servicelab.policies.expiry`), or None to keep nothing, has copies of its own, each fresh for ``ttl``
    seconds. ``limits`` are as many laws with ``admit(now)``, or None; one law may stand there several times, and is
    then shared. A limit counts what leaves for the service. ``own`` of the calls want the basket of one of ``users``;
    the others one of ``pages`` (Zipf). ``key``: "path" keeps a basket as if it were one page for all, "user" keeps
    none. A fetch takes ``cost`` seconds, whatever the load. Raises ValueError for an unknown ``key`` or a number out of
    range.
    """
    if key not in ("path", "user"):
        raise ValueError(f"key={key!r} must be 'path' or 'user'")
    load, until = positive("load", load, "calls/s"), positive("until", until, "seconds")
    rng = Random(f"gateways {seed}")
    chosen = np.random.default_rng(seed).choice(whole("pages", pages), int(load * until * 2) + 100, p=zipf(pages))
    copies = [{} for _ in policies]
    fetching = [{} for _ in policies]  # page → whose it will be, of the fetch that was begun last
    ends, front, behind = [], [], []
    became = {OWN: 0, WRONG: 0, REFUSED: 0}
    now = 0.0
    for number, page in enumerate(chosen):
        now += rng.expovariate(load)
        if now > until:
            break
        front.append(now)
        while ends and ends[0][0] <= now:
            end, _, gateway, what, whose = heappop(ends)
            copies[gateway][what] = Copy(whose, end + ttl, cost)
            fetching[gateway].pop(what, None)
        gateway = number % len(policies)
        me = rng.randrange(users) if rng.random() < own else None
        what = int(page) if me is None else "basket"
        kept = policies[gateway] is not None and (me is None or key == "path")
        copy = copies[gateway].get(what) if kept else None
        do = policies[gateway].decide(now, copy, what in fetching[gateway]) if kept else FETCH
        whose = copy.value if do == SERVE else me if do == FETCH else fetching[gateway][what]
        if do == FETCH:
            if limits[gateway] is not None and not limits[gateway].admit(now):
                became[REFUSED] += 1
                continue
            behind.append(now)
            if kept:
                fetching[gateway][what] = me
                heappush(ends, (now + cost, number, gateway, what, me))
        became[OWN if whose == me else WRONG] += 1
    return Flood(np.array(front), np.array(behind), became)
