"""What a team may buy before the game, and the policies that a shop with these cards has."""

from servicelab.policies import CircuitBreaker, IdempotencyKeys, Retry, RetryBudget, Timeout

POINTS = 10
POINT_PRICE = 50  # money that a point costs, in a game of four rounds of 1200 orders
PATIENCE = 1.0  # seconds that orders waits for payment: as long as a customer likes a page to take

#: Points, and what a card does. The order is that of the bits in a team's code.
CARDS = {
    "keys": (3, "payment knows whom it has charged"),
    "outbox": (2, "what an order wrote is shipped, though it died"),
    "breaker": (2, "asks no more; whoever left is not charged"),
    "budget": (1, "one retry for every ten calls"),
    "traces": (2, "where time goes: the cause is known sooner"),
    "alert": (2, "the burn rate: the trouble is seen sooner"),
    "canary": (1, "a push meets one in ten, then goes back"),
    "region": (3, "there is a region to drain to"),
    "queue": (2, "stock is told by message, nobody waits"),
    "certificates": (1, "tokens and clocks are renewed on the way"),
}


def buy(*cards: str) -> frozenset:
    """The cards of a team. Raises ValueError for an unknown card, and for more than ten points."""
    if unknown := [card for card in cards if card not in CARDS]:
        raise ValueError(f"{unknown[0]!r} is no card: choose from {', '.join(CARDS)}")
    if points(set(cards)) > POINTS:
        raise ValueError(f"{', '.join(cards)} cost {points(set(cards))} points of {POINTS}: leave one out")
    return frozenset(cards)


def points(cards) -> int:
    return sum(CARDS[card][0] for card in cards)


class Kit:
    """The policy objects of one round: ``policy`` is how orders calls payment, ``once`` the same without retries."""

    def __init__(self, cards):
        self.keys = IdempotencyKeys() if "keys" in cards else None
        self.once, self.breaker = Timeout(PATIENCE), None
        if "breaker" in cards:
            # A failure is retried, so where half of the orders fail, two thirds of the calls do: not yet a reason.
            limits = {"size": 20, "minimum_calls": 10, "failure_rate": 0.85, "wait_open": 3, "permitted_half_open": 3}
            self.once = self.breaker = CircuitBreaker(self.once, **limits)
        budget = RetryBudget(ratio=0.1, min_per_second=0, reserve=10) if "budget" in cards else None
        self.policy = Retry(self.once, tries=2, budget=budget)
