"""What was charged, shipped and answered; money from that, and never from claims."""

from collections import Counter, defaultdict

#: Money for what became of an order; who was charged twice too often costs twice.
PRICES = {
    "paid once, shipped once": 10,
    "charged once too often": -25,
    "paid, no parcel": -25,
    "parcel, not paid": -15,
    "refused": -1,
    "page over 1 s": -5,
}


class Ledger:
    """The books of a round, to which many threads append: ``charged`` and ``shipped`` orders by their numbers,
    ``answers`` (order, was it accepted?, seconds), and ``facts`` (order, what, how much) that instruments may show."""

    def __init__(self):
        self.charged, self.shipped, self.answers, self.facts = [], [], [], []

    def counts(self, first: int = 0) -> Counter:
        """How many of the orders from ``first`` on met what has a price; an order counts when its page is answered."""
        charged, shipped = Counter(list(self.charged)), Counter(list(self.shipped))
        answers = {n: (accepted, took) for n, accepted, took in list(self.answers)}
        seen = Counter(dict.fromkeys(PRICES, 0))
        for n, (accepted, took) in answers.items():
            if n >= first:
                paid, parcels = charged[n], shipped[n]
                seen["paid once, shipped once"] += paid == parcels == 1
                seen["charged once too often"] += max(0, paid - 1)
                seen["paid, no parcel"] += paid > parcels == 0
                seen["parcel, not paid"] += parcels > paid == 0
                seen["refused"] += not accepted
                seen["page over 1 s"] += took > 1.0
        return seen

    @property
    def money(self) -> int:
        return sum(PRICES[what] * count for what, count in self.counts().items())


def signals(ledger, fate) -> dict[str, str]:
    """What the instruments show of the latest twelfth of a round, by card, "" being what everybody has. A card that was
    not bought shows nothing, and nothing is shown while the dashboards are gone."""
    if fate.is_on("dark", fate.sent):
        return {"": "no data"}
    first = max(0, fate.sent - max(10, fate.plan.orders // 12))
    bad, fact, orders = ledger.counts(first), defaultdict(list), max(1, fate.sent - first + 1)
    for n, what, much in list(ledger.facts):
        if n >= first:
            fact[what].append(much)
    count = lambda what: len(fact[what])  # noqa: E731
    mean = lambda what: f"{1000 * sum(fact[what]) / max(1, len(fact[what])):.0f} ms"  # noqa: E731
    read = {
        "": f"of the last {orders} orders {bad['refused']} refused, {bad['page over 1 s']} slow pages",
        "keys": f"{count('repeated')} repetitions known, {bad['charged once too often']} double charges",
        "outbox": f"{count('relayed')} sent by the relay, {bad['paid, no parcel']} paid without a parcel",
        "breaker": f"{count('failed')} payments of {count('payment')} failed",
        "budget": f"{count('retry')} retries for {orders} orders",
        "traces": f"payment {mean('payment')}, stock {mean('stock')} (at most {1000 * max(fact['stock'] or [0]):.0f})",
        "alert": f"burn rate {1000 * (bad['refused'] + bad['page over 1 s']) / orders:.0f} (pages from 14.4 on)",
        "canary": f"{count('new failed')} of {count('new') + count('new failed')} in the new version wrong",
        "region": f"{1000 * fate.distance(fate.sent):.0f} ms to the others",
        "queue": f"{orders} messages to stock",
        "certificates": f"{count('token')} tokens refused",
    }
    return {card: text for card, text in read.items() if not card or card in fate.cards}
