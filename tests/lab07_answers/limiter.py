"""Exercise 3: a token bucket, GCRA, debts; and mistakes."""

import time
from fractions import Fraction
from math import floor


class Limiter:
    """A token bucket: what was left, and when."""

    def __init__(self, rate, burst, store):
        self.rate, self.burst, self.store = rate, burst, store

    def filled(self, old, now):
        left, at = old or (self.burst, now)
        return min(self.burst, left + self.rate * (now - at))

    def enough(self, left):
        return left >= 1

    def key(self, customer):
        return customer

    def admit(self, customer, now):
        while True:
            old = self.store.read(self.key(customer))
            left = self.filled(old, now)
            if not self.enough(left):
                return self.refuse(customer, old, left, now)
            if self.store.swap(self.key(customer), old, (left - 1, now)) or self.lost():
                return True

    def refuse(self, customer, old, left, now):
        return False

    def lost(self):
        return False


class GCRA:
    """The time at which the bucket would be full again."""

    def __init__(self, rate, burst, store):
        self.step, self.ahead, self.store = 1 / rate, (burst - 1) / rate, store

    def admit(self, customer, now):
        is_written = False
        while not is_written:
            full = self.store.read(f"limit/{customer}")
            start = self.begin(full, now)
            if start - now > self.ahead:
                return False
            is_written = self.store.swap(f"limit/{customer}", full, start + self.step)
        return True

    def begin(self, full, now):
        return now if full is None else max(full, now)


def debts():
    """In fractions, as a closure; the debt falls with time."""

    class Debts:
        def __init__(self, rate, burst, store):
            rate, burst = Fraction(rate), Fraction(burst)

            def admit(customer, now):
                old = store.read(("debt", customer))
                debt, at = (Fraction(old[0], old[1]), Fraction(old[2])) if old else (0, Fraction(now))
                debt = max(Fraction(0), debt - rate * (Fraction(now) - at)) + 1
                if debt > burst:
                    return False
                new = (debt.numerator, debt.denominator, now)
                return store.swap(("debt", customer), old, new) or admit(customer, now)

            self.admit = admit

    return Debts


# -- mistakes ------------------------------------------------------------------------------------------


class Parts(Limiter):
    """A part of a call is a call."""

    def enough(self, left):
        return left > 0


class Rounds(Limiter):
    """Whole calls only."""

    def filled(self, old, now):
        return floor(super().filled(old, now)) if old else self.burst


class SavesUp(Limiter):
    def filled(self, old, now):
        left, at = old or (self.burst, now)
        return left + self.rate * (now - at)


class Pays(Limiter):
    """A refusal is paid for."""

    def refuse(self, customer, old, left, now):
        self.store.swap(customer, old, (left - 1, now))
        return False


class Second(Limiter):
    """A fixed window: burst calls in burst / rate seconds."""

    def admit(self, customer, now):
        old, this = self.store.read(customer), floor(now * self.rate / self.burst)
        calls = old[1] if old and old[0] == this else 0
        return calls + 1 <= self.burst and (
            self.store.swap(customer, old, (this, calls + 1)) or self.admit(customer, now)
        )


class OneForAll(Limiter):
    def key(self, customer):
        return "limit"


class Mine(Limiter):
    """Each gateway for itself."""

    def __init__(self, rate, burst, store):
        super().__init__(rate, burst, type(store)())


class KnowsBetter(Limiter):
    """What the store has forgotten, it knows itself."""

    def __init__(self, *args):
        super().__init__(*args)
        self.known = {}

    def admit(self, customer, now):
        old = self.store.read(customer)
        left = self.filled(old or self.known.get(customer), now)
        if not self.enough(left):
            return False
        self.known[customer] = left - 1, now
        return self.store.swap(customer, old, (left - 1, now)) or Limiter.admit(self, customer, now)


class Deaf(Limiter):
    """swap may say what it wants."""

    def lost(self):
        return True


class TriesTwice(Limiter):
    def admit(self, customer, now):
        for _ in range(2):
            old = self.store.read(customer)
            left = self.filled(old, now)
            if self.enough(left) and self.store.swap(customer, old, (left - 1, now)):
                return True
        return False


class Insists(Limiter):
    """Who lost writes over what the other one wrote."""

    def admit(self, customer, now):
        old = self.store.read(customer)
        left = self.filled(old, now)
        if not self.enough(left):
            return False
        return self.store.swap(customer, old, (left - 1, now)) or self.store.swap(
            customer, self.store.read(customer), (left - 1, now)
        )


class Log(Limiter):
    """All times."""

    def admit(self, customer, now):
        old = self.store.read(customer) or ()
        new = (*old, now)
        if any(len(new) - index > self.rate * (now - at) + self.burst for index, at in enumerate(new)):
            return False
        return self.store.swap(customer, old or None, new) or self.admit(customer, now)


class TwoEntries(Limiter):
    def admit(self, customer, now):
        self.store.swap(f"{customer} at", self.store.read(f"{customer} at"), now)
        return super().admit(customer, now)


class OwnClock(Limiter):
    def filled(self, old, now):
        return super().filled(old, time.monotonic() / 1000)  # no pause of the machine fills its bucket

    def admit(self, customer, now):
        return super().admit(customer, time.monotonic() / 1000)


class ZeroIsNothing(GCRA):
    def begin(self, full, now):
        return max(full or now, now)


class Number(Limiter):
    def admit(self, customer, now):
        return int(super().admit(customer, now))


RIGHT = {"a token bucket": Limiter, "GCRA": GCRA, "debts in fractions": debts()}
WRONG = {
    "a number": (Number, {"wrong-type"}),
    "a part is a call": (Parts, {"burst"}),
    "zero is nothing": (ZeroIsNothing, {"burst"}),
    "whole calls": (Rounds, {"refused"}),
    "saves up": (SavesUp, {"saved-up"}),
    "a refusal is paid for": (Pays, {"costs"}),
    "a fixed window": (Second, {"too-many"}),
    "one for all": (OneForAll, {"others"}),
    "each for itself": (Mine, {"gateways"}),
    "knows better": (KnowsBetter, {"gateways"}),
    "deaf": (Deaf, {"race"}),
    "tries twice": (TriesTwice, {"gives-up"}),
    "insists": (Insists, {"race"}),
    "all times": (Log, {"grows"}),
    "two entries": (TwoEntries, {"grows"}),
    "a clock of its own": (OwnClock, {"clock"}),
}
