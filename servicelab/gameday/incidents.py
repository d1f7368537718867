"""The ten faults, which of them a seed hides in which round, and what fate does to each order."""

import functools
import math
import random
import threading
from typing import NamedTuple

import numpy as np

from servicelab.arguments import positive, whole

ROUNDS = 4
GRACE = 5.0  # seconds after the last order: then a round is over, whatever still waits
SLOW, LATE = 1.6, 1.2  # seconds: what a slow payment takes, by how much a reply or a shard of stock is late
RTT, TRIPS = 0.150, 7  # seconds to a region far away and back; trips to stock, one article after the other
STEP = 1 / 60  # of a round: for so long each lever that mends something keeps the shop closed, one after the other

SWITCHES = ("close", "retries off", "shed")  # on until they are pulled again
LEVERS = (*SWITCHES, "roll back", "drain region", "restart", "rotate")


class Incident(NamedTuple):
    """It meets a ``share`` of the orders, which lose ``price`` each; of the cards in ``helped`` the first that was
    bought makes it another price. ``ends``: for whoever has the card, after how many orders it is over by itself."""

    service: str
    cause: str
    cure: str
    share: float
    price: float
    helped: dict = {}
    ends: dict = {}


ONE_SHARD = 1 - 0.99**20  # an order asks 20 shards of 100
#: With the card *canary* a push meets one order in ten; a bad version is known after 76 of these, a bad route after 3.
INCIDENTS = {
    "slow": Incident("payment", "payment has become slow", "drain region", 1, 66, {"breaker": 11, "keys": 5}),
    "killed": Incident("orders", "orders dies between books and broker", "restart", 0.1, 36, {"outbox": 1}),
    "lost": Incident("payment", "replies of payment get lost", "drain region", 0.1, 40, {"keys": 5}),
    "canary": Incident("payment", "a new version fails after charging", "roll back", 0.05, 35,
                       {"keys": 0, "canary": 3.5}, {"canary": 760}),
    "route": Incident("gateway", "a bad route leads to a test stand", "roll back", 0.5, 25,
                      {"canary": 2.5}, {"canary": 30}),
    "clock": Incident("gateway", "the clock that stamps tokens is ahead", "rotate", 0.5, 11, {}, {"certificates": 60}),
    "far": Incident("inventory", "a failover: the others are 150 ms away", "drain region", 1, 5, {"queue": 0}),
    "shard": Incident("inventory", "one shard of a hundred is slow", "restart", ONE_SHARD, 5, {"queue": 0}),
    "dark": Incident("registry", "registry and dashboards are gone together", "restart", 0.5, 11),
    "storm": Incident("payment", "retries keep payment busy", "retries off", 1, 66,
                      {"breaker": 1, "keys": 1, "budget": 6}),
}  # fmt: skip


class Plan(NamedTuple):
    """A round: ``orders`` orders at ``rate`` a second; ``begins``: with which order each of its incidents begins."""

    seed: int
    orders: int
    rate: float
    begins: dict

    @property
    def due(self):
        """When each order comes (seconds)."""
        return np.cumsum(np.random.default_rng(self.seed).exponential(1 / self.rate, self.orders))


def hidden(seed: int) -> list[tuple[str, ...]]:
    """The incidents of the four rounds: one in each, two in the last. Raises ValueError for a seed without a code."""
    whole("seed", seed, "it must fit into a team's code", least=0, most=2**20 - 1)
    five = random.Random(f"game day {seed}").sample(list(INCIDENTS), ROUNDS + 1)
    return [(key,) for key in five[:-2]] + [tuple(five[-2:])]


def plan(seed: int, number: int, orders: int = 1200, rate: float = 20.0) -> Plan:
    """Round ``number`` (1 to 4) of the game ``seed``. Raises ValueError for a number out of range."""
    whole("number", number, "a game has four rounds", least=1, most=ROUNDS)
    return ill(*hidden(seed)[number - 1], seed=seed * ROUNDS + number, orders=orders, rate=rate)


def ill(*keys: str, seed: int = 1, orders: int = 1200, rate: float = 20.0) -> Plan:
    """A round with the incidents of your choice, for practice. Raises ValueError for an unknown one."""
    if unknown := [key for key in keys if key not in INCIDENTS]:
        raise ValueError(f"{unknown[0]!r} is no incident: choose from {', '.join(INCIDENTS)}")
    orders, rate = whole("orders", orders), positive("rate", rate, "orders/s")
    first = random.Random(f"begin {seed}").uniform(0.15, 0.3)
    return Plan(seed, orders, rate, {key: int(orders * (first + 0.1 * place)) for place, key in enumerate(keys)})


class Fate:
    """What is ill for which order, and what the levers do about it. ``script``: (order, lever), pulled by itself.
    ``sent`` is the latest order, ``log`` has the levers that were pulled, ``on`` the switches that are on."""

    def __init__(self, plan: Plan, cards, script=()):
        self.plan, self.cards = plan, cards
        self.ends = {key: begin + lasts(key, plan, cards) for key, begin in plan.begins.items()}
        self.on, self.sent, self.busy_until, self.log = set(), -1, -1, []
        self._todo, self._lock = sorted(script), threading.RLock()
        self._free = None  # when each of the workers that the storm leaves will be free
        self.draw = functools.cache(lambda what, n: random.Random(f"{plan.seed} {what} {n}").random())

    def is_on(self, key, n) -> bool:
        return key in self.ends and self.plan.begins[key] <= n < self.ends[key]

    def hits(self, key, n, share, number=1) -> bool:
        """Does the incident ``key`` meet this order, at this attempt, as it meets ``share`` of all?"""
        return self.is_on(key, n) and self.draw(f"{key} {number}", n) < share

    def distance(self, n) -> float:
        """Seconds for a round trip between orders and the others."""
        return RTT if self.is_on("far", n) else 0.0

    def send(self, n) -> None:
        """Order ``n``, the next one, leaves. What the script wants done by then is done."""
        with self._lock:
            while self._todo and self._todo[0][0] <= n:
                self.pull(self._todo.pop(0)[1])
            self.sent = n

    def pull(self, lever: str) -> str:
        """Pull a lever, from the next order on; returns what players are told. Raises ValueError for an unknown one."""
        if lever not in LEVERS:
            raise ValueError(f"{lever!r} is no lever: pull one of {', '.join(LEVERS)}")
        with self._lock:
            n = self.sent + 1
            self.log.append((n, lever))
            if lever in SWITCHES:
                self.on ^= {lever}
                return ""  # which are on, is always seen
            if lever == "drain region" and "region" not in self.cards:
                return "drain region: there is no second region to drain to."
            for key in self.ends:
                if INCIDENTS[key].cure == lever and self.is_on(key, n):
                    self.ends[key] = n
            self.busy_until = max(n, self.busy_until) + math.ceil(self.plan.orders * STEP)
            return f"{lever}: closed for {self.busy_until - n} orders."

    def turn(self, now: float, patience: float) -> float | None:
        """Seconds until the three workers that a storm leaves have served who comes ``now``; None if that is more than
        ``patience``. They stand still for two seconds; then one and a half times the customers would keep them busy."""
        with self._lock:
            self._free = self._free or [now + 2.0] * 3
            free = min(self._free)
            end = max(now, free) + 2 / self.plan.rate
            if end - now > patience:
                return None
            self._free[self._free.index(free)] = end
            return end - now


def lasts(key, plan, cards) -> float:
    """Orders until an incident ends by itself; if nothing ends it, to the end of the round."""
    ends = [length for card, length in INCIDENTS[key].ends.items() if card in cards]
    return min([plan.orders - plan.begins[key], *ends])
