"""What was charged, shipped and answered; money from that, and never from claims."""

import threading
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
    """The books of a round, by the numbers of orders; written by many threads at once."""

    def __init__(self):
        self._charged, self._shipped, self._answers = Counter(), Counter(), {}
        self._facts = []  # (order, what, how much): what instruments may show
        self._lock = threading.Lock()

    def charge(self, n):
        with self._lock:
            self._charged[n] += 1

    def ship(self, n):
        with self._lock:
            self._shipped[n] += 1

    def answer(self, n, accepted: bool, took: float):
        with self._lock:
            self._answers[n] = accepted, took

    def note(self, n, what, much=1.0):
        with self._lock:
            self._facts.append((n, what, much))

    def counts(self, first: int = 0) -> Counter:
        """How many of the orders from ``first`` on met what has a price."""
        with self._lock:
            charged, shipped, answers = dict(self._charged), dict(self._shipped), dict(self._answers)
        seen = Counter(dict.fromkeys(PRICES, 0))
        for n in {*charged, *shipped, *answers}:
            if n >= first:
                paid, parcels, (accepted, took) = charged.get(n, 0), shipped.get(n, 0), answers.get(n, (False, 0.0))
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

    def facts(self, first: int = 0) -> dict[str, list[float]]:
        """What was noted of the orders from ``first`` on: what → how much, each time."""
        with self._lock:
            facts = list(self._facts)
        found = defaultdict(list)
        for n, what, much in facts:
            if n >= first:
                found[what].append(much)
        return found


def signals(ledger, fate) -> dict[str, str]:
    """What the instruments show of the latest twelfth of a round, by card, "" being what everybody has. A card that was
    not bought shows nothing, and nothing is shown while the dashboards are gone."""
    if fate.is_on("dark", fate.sent):
        return {"": "no data"}
    first = max(0, fate.sent - max(10, fate.plan.orders // 12))
    bad, fact = ledger.counts(first), ledger.facts(first)
    count, orders = {what: len(all) for what, all in fact.items()}.get, max(1, fate.sent - first + 1)
    mean = {what: 1000 * sum(all) / len(all) for what, all in fact.items()}.get
    read = {
        "": f"of the last {orders} orders {bad['refused']} refused, {bad['page over 1 s']} slow pages",
        "keys": f"{count('repeated', 0)} repetitions known, {bad['charged once too often']} double charges",
        "outbox": f"{count('relayed', 0)} sent by the relay, {bad['paid, no parcel']} paid without a parcel",
        "breaker": f"{count('failed', 0)} payments of {count('payment', 0)} failed",
        "budget": f"{count('retry', 0)} retries for {orders} orders",
        "traces": f"payment {mean('payment', 0):.0f} ms, stock {mean('stock', 0):.0f} ms,"
        f" its slowest {1000 * max(fact['stock'], default=0):.0f} ms",
        "alert": f"burn rate {1000 * (bad['refused'] + bad['page over 1 s']) / orders:.0f} (pages from 14.4 on)",
        "canary": f"{count('new failed', 0)} of {count('new', 0)} in the new version wrong",
        "region": f"{1000 * fate.distance(fate.sent):.0f} ms to the others",
        "queue": f"{orders} messages to stock",
        "certificates": f"{count('token', 0)} tokens refused",
    }
    return {card: text for card, text in read.items() if not card or card in fate.cards}
