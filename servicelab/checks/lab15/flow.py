"""Exercise 2, measure and decide: an order of six trips, with six services as far away as one likes."""

import time
from collections import Counter
from contextlib import ExitStack
from statistics import median

import requests

from servicelab.checks.lab15.trips import Far
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

DEEDS = {  # what each service does when asked: a name in the books, and by how much it goes up
    "inventory/reserve": ("reserved", 1), "inventory/release": ("reserved", -1), "risk/check": ("checked", 1),
    "payment/charge": ("paid", 1), "payment/void": ("paid", -1), "shipping/book": ("shipped", 1),
    "mail/send": ("mailed", 1), "points/add": ("points", 1),
}  # fmt: skip
LATE = 0.5  # seconds that a slow one takes
#: What needs no answer of each other, and what can wait.
FIRST, AFTERWARDS = ("inventory/reserve", "risk/check"), ("shipped", "mailed", "points")

WORDS = words("""
other-answer: order returns True when it is accepted, and False when it is not
    What does it return on each of its ways?
not-reserved, not-checked, not-paid: an accepted order is reserved, checked and paid when order returns, and stays so
    What has the customer been told? What if the queue stands still until tomorrow, and what does it do then?
many-trips: whatever the answer, no more than two calls are made one after another
    Which call needs an answer of which other one? Which of them does the customer's answer need?
not-done: an accepted order is shipped, mailed and given its points, each once
    What must happen, but not before the answer? Who does it, if you do not wait for it?
asked-to-pay: payment is asked only when inventory and risk have both said yes
    What is known when you call payment? What if inventory, or risk, says no a moment later?
kept: a refused order leaves nothing reserved
    Who gives back what was reserved, on each way that ends in a refusal?
sent-all-the-same: a refused order is not shipped, not mailed, and has no points
    What was known when you asked for the parcel? What is in the queue cannot be taken back.
silent: payment says nothing: the order is refused, and in the end neither paid nor reserved
    Was it paid? You cannot know. What undoes it, if it was, and does no harm, if not?
""")


class Shop(Far):
    """Six services, each ``rtt`` seconds away. ``no`` are those that refuse; payment may be ``silent``: "paid", "not
    paid". One may be ``slow``. The queue is at home, and stands still until :meth:`drain`."""

    def __init__(self, use, rtt=0.01):
        super().__init__(use)
        self.books, self.queue, self.no, self.silent, self.slow, self.urls = {}, [], (), "", "", {}
        for name in dict.fromkeys(path.split("/")[0] for path in DEEDS):
            self.urls[name] = self.serve(name, "/<path:path>", self._do, rtt)
        self.sessions = {name: self.session(name) for name in ("order", "queue")}

    def call(self, path, number, who="order"):
        """Ask a service: True or False. Raises requests.Timeout where no answer came."""
        name = self.known(path).split("/")[0]
        answer = self.sessions[who].get(f"{self.urls[name]}/{path}/{number}", timeout=10)
        if answer.status_code == 504:
            raise requests.Timeout(f"{name} did not answer")
        answer.raise_for_status()
        return answer.text == "yes"

    def later(self, path, number):
        self.queue.append((self.known(path), number))

    def drain(self):
        self.silent = ""
        while self.queue:
            self.call(*self.queue.pop(0), who="queue")

    @staticmethod
    def known(path):
        if path not in DEEDS:
            raise ValueError(f"{path!r} is none of {', '.join(DEEDS)}")
        return path

    def _do(self, path):
        path, _, number = path.rpartition("/")
        self.come("first" if path in FIRST else path)
        time.sleep(LATE * (path == self.slow))
        (what, by), is_charge, book = DEEDS[path], path == "payment/charge", self.books.setdefault(number, Counter())
        says_no = path.split("/")[0] in self.no or (is_charge and self.silent == "not paid")
        book["asked to pay"] += is_charge
        book[what] = 0 if by < 0 else book[what] + (not says_no)
        return ("", 504) if is_charge and self.silent else "no" if says_no else "yes"


def orders_at(order, rtts=(0.001, 0.03, 0.15), orders: int = 5) -> Table:
    """So many orders one after another, with all services ``rtts`` seconds away: trips, median, slowest time."""
    rows = []
    for rtt in rtts:
        with ExitStack() as stack:
            shop, took = Shop(stack.enter_context, rtt), []
            for number in range(orders):
                shop.begin()
                begin = time.perf_counter()
                order(number, shop.call, shop.later)
                took.append(1e3 * (time.perf_counter() - begin))
                path = shop.trips("order")
                shop.drain()
        rows.append((f"{1e3 * rtt:.0f}", path, median(took), max(took)))
    return Table(("RTT (ms)", "trips", "median (ms)", "slowest (ms)"), rows, f"{orders} orders at each distance")


class Ordered(Stage):
    def __init__(self, ask, order):
        super().__init__(ask, order)
        self.shop, self.number = Shop(ask.use), 0

    def place(self, no=(), silent="", slow=""):
        """One order: what it answered, its books then and when the queue is empty, its trips; and that in words."""
        shop, self.number = self.shop, self.number + 1
        shop.no, shop.silent, shop.slow = no, silent, slow
        shop.begin(first=2)
        self.last = self.ask.trace.send("customer", "order", f"order {self.number}")
        self.ask.trace.receive(self.last)
        run = self.ask.run if silent else self.call  # where payment is silent, an exception has words of its own
        said = run(self.yours, self.number, shop.call, shop.later, limit=15.0)
        said, path, queue = getattr(said, "value", said), shop.trips("order"), [path for path, _ in shop.queue]
        before = Counter(shop.books.get(f"{self.number}"))
        shop.drain()
        self.ask.trace.extend(shop.trace.events)
        after = Counter(shop.books.get(f"{self.number}"))
        told = f"it returned {shown(said)} after {path} trips; queued was {', '.join(queue) or 'nothing'}; "
        return said, before, after, path, f"{told}at the end: {dict(after)}"

    def refused(self, who, code="other-answer", **how):
        said, _, after, path, told = self.place(**how)
        told = f"{who}: {told}"
        yield code, said is False, told
        yield "asked-to-pay", "payment" in who or not after["asked to pay"], told
        yield "silent" if code == "silent" else "kept", after["reserved"] == 0, told
        yield "silent", after["paid"] == 0, told
        yield "sent-all-the-same", not any(after[what] for what in AFTERWARDS), told
        yield "many-trips", path <= 2, told


check_flow = scenario("15", 2, "Six trips", WORDS, order=Ordered)
part = check_flow.part


@part
def all_is_well(s):
    said, before, after, path, told = s.place()
    yield "other-answer", said is True, told
    for code, what in (("not-reserved", "reserved"), ("not-checked", "checked"), ("not-paid", "paid")):
        yield code, before[what] == after[what] == 1, f"{told}; when it returned: {what} {before[what]}"
    yield "not-done", all(after[what] == 1 for what in AFTERWARDS), told
    yield "many-trips", path <= 2, told


@part
def somebody_says_no(s):
    for no in (("inventory",), ("risk",), ("inventory", "risk"), ("payment",)):
        slow = "inventory/reserve" if no == ("risk",) else ""
        yield from s.refused(f"{' and '.join(no)} said no{', before inventory' * bool(slow)}", no=no, slow=slow)


@part
def payment_says_nothing(s):
    for silent in ("paid", "not paid"):
        yield from s.refused(f"payment said nothing ({silent})", "silent", silent=silent)
