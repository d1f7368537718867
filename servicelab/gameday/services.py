"""What each service of the shop does with an order, written once for both worlds.

A service is a generator: it yields for how many seconds it works or waits, and returns the status of its answer. On
real servers a handler sleeps for them, in SimPy a process does. The network is not in here: distance, and an instance
that is gone, are fault proxies there and a delay and a refusal here.
"""

import math

from servicelab.gameday.cards import PATIENCE
from servicelab.gameday.incidents import LATE, ONE_SHARD, SLOW, TRIPS


class Services:
    """The services of a round. ``clock`` gives the time of its world in seconds."""

    def __init__(self, fate, kit, ledger, clock):
        self.fate, self.kit, self.ledger, self.clock = fate, kit, ledger, clock

    def lets_in(self, n) -> bool:
        """The gateway: closed by a lever, shedding every other order, or a token that is not valid yet (its clock is
        2 s ahead, a customer's token 0 to 4 s old)."""
        if self.fate.hits("clock", n, 0.5):
            self.ledger.facts.append((n, "token", 1))
            return False
        return n >= self.fate.busy_until and "close" not in self.fate.on and not ("shed" in self.fate.on and n % 2)

    def knows_the_gone(self, n) -> bool:
        """Does orders ask an instance of payment that is gone? Nobody tells it while the registry is."""
        return n % 2 == 1 and self.fate.is_on("dark", n)

    def stock(self, n):
        seconds = LATE if self.fate.hits("shard", n, ONE_SHARD) else 0.003
        self.ledger.facts.append((n, "stock", seconds + TRIPS * self.fate.distance(n)))
        yield seconds
        return 200

    def policy(self, n):
        """How orders calls payment."""
        return self.kit.once if "retries off" in self.fate.on else self.kit.policy

    def payment(self, n, number):
        """Attempt ``number`` at charging the order."""
        fate, ledger, keys = self.fate, self.ledger, self.kit.keys
        began, heeds_deadline = self.clock(), self.kit.breaker is not None
        if number > 1:
            ledger.facts.append((n, "retry", 1))
        while keys is not None and (told := keys.ask(n, n, self.clock())).word != "new":
            if told.word == "finished":
                ledger.facts.append((n, "repeated", 1))
                return told.answer
            yield 0.05
        seconds = SLOW if fate.is_on("slow", n) else 0.01
        if fate.is_on("storm", n):
            seconds = fate.turn(began, PATIENCE if heeds_deadline else math.inf)
        if heeds_deadline and (seconds is None or seconds > PATIENCE):  # who will have left is not charged
            for what in ("payment", "failed"):
                ledger.facts.append((n, what, PATIENCE))
            if keys is not None:
                keys.release(n)
            yield PATIENCE + 0.05
            return 504
        yield seconds
        is_new = (fate.is_on("canary", n) or fate.is_on("route", n)) and (
            "canary" not in fate.cards or fate.draw("push", n) < 0.1
        )
        to_test_stand, fails = is_new and fate.hits("route", n, 0.5), is_new and fate.hits("canary", n, 0.05, number)
        if not to_test_stand:
            ledger.charged.append(n)
        if is_new:
            ledger.facts.append((n, "new failed" if to_test_stand or fails else "new", 1))
        if keys is not None:
            keys.finish(n, 200)
        if fate.hits("lost", n, 0.1, number):
            yield LATE  # for who has left, a reply that is late is lost
        ledger.facts.append((n, "payment", self.clock() - began))
        return 500 if fails else 200

    def settle(self, n, paid: bool) -> tuple[bool, bool]:
        """Is the parcel sent off, and does the customer hear of it?"""
        if not (paid and self.fate.hits("killed", n, 0.1)):
            return paid, paid
        relayed = "outbox" in self.fate.cards
        if relayed:
            self.ledger.facts.append((n, "relayed", 1))
        return relayed, False
