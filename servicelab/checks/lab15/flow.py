"""Exercise 2, measure and decide: an order of seven trips, with six services as far away as one likes."""

from collections import Counter
from contextlib import ExitStack
from statistics import median

import requests
from flask import Flask

from servicelab.checks.lab15.trips import Together, far, session, timed, trips
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table
from servicelab.trace import Trace

RTT = 0.01  # seconds, in the check
#: What each service does when asked: a name in the books, and by how much it goes up or down.
DEEDS = {
    "inventory/reserve": ("reserved", 1), "inventory/release": ("reserved", -1), "risk/check": ("checked", 1),
    "payment/charge": ("paid", 1), "payment/void": ("paid", -1), "shipping/book": ("shipped", 1),
    "mail/send": ("mailed", 1), "points/add": ("points", 1),
}  # fmt: skip
FIRST = ("inventory/reserve", "risk/check")  # they need no answer of each other
AFTERWARDS = ("shipped", "mailed", "points")

WORDS = words("""
other-answer: order returns True when it is accepted, and False when it is not
    What does it return on each of its ways?
not-reserved, not-checked, not-paid: when order returns True, the mug is reserved, risk has been asked, and it is paid
    What has the customer been told, and what if the queue stands still until tomorrow?
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


class Shop:
    """Six services on sockets. ``rtts`` are seconds for each of them, or one number for all. ``says_no`` are those that
    refuse; payment may be ``silent``: "paid", "not paid". The queue is at home, and stands still until :meth:`drain`."""

    def __init__(self, use, rtts=RTT):
        self.trace, self.together, self.books, self.queue = Trace(), Together(), {}, []
        self.says_no, self.silent, self.urls = (), "", {}
        for name in dict.fromkeys(path.split("/")[0] for path in DEEDS):
            app = Flask(name)
            app.add_url_rule("/<deed>/<number>", "do", lambda deed, number, name=name: self._do(f"{name}/{deed}", number))
            rtt = rtts.get(name, 0.001) if isinstance(rtts, dict) else rtts
            self.urls[name] = far(use, app, name, rtt, self.trace)
        self.sessions = {name: use(session(self.trace, name)) for name in ("order", "queue")}

    def call(self, path, number):
        """Ask a service: True or False. Raises requests.Timeout where no answer came."""
        return self._ask("order", path, number)

    def later(self, path, number):
        """Put it into the queue."""
        if path not in DEEDS:
            raise ValueError(f"{path!r} is none of {', '.join(DEEDS)}")
        self.queue.append((path, number))

    def drain(self):
        self.silent = ""
        while self.queue:
            self._ask("queue", *self.queue.pop(0))

    def _ask(self, who, path, number):
        if path not in DEEDS:
            raise ValueError(f"{path!r} is none of {', '.join(DEEDS)}")
        name, _, deed = path.partition("/")
        answer = self.sessions[who].get(f"{self.urls[name]}/{deed}/{number}", timeout=10)
        if answer.status_code == 504:
            raise requests.Timeout(f"{name} did not answer")
        answer.raise_for_status()
        return answer.text == "yes"

    def _do(self, path, number):
        if path in FIRST:
            self.together.come("first")
        what, by = DEEDS[path]
        book = self.books.setdefault(number, Counter())
        book[path] += 1
        is_silent = path == "payment/charge" and self.silent != ""
        if by < 0:
            book[what] = 0
        elif path.split("/")[0] not in self.says_no and not (is_silent and self.silent == "not paid"):
            book[what] += by
        return ("", 504) if is_silent else "no" if path.split("/")[0] in self.says_no else "yes"


def orders_at(order, rtts=(0.001, 0.03, 0.15), orders: int = 10) -> Table:
    """So many orders one after another, with all services ``rtts`` seconds away: trips, median and slowest time."""
    rows = []
    for rtt in rtts:
        with ExitStack() as stack:
            shop, took, path = Shop(stack.enter_context, rtt), [], 0
            for number in range(orders):
                shop.trace.clear()
                took.append(1e3 * timed(order, number, shop.call, shop.later))
                path = max(path, trips(shop.trace, "order"))
                shop.drain()
        rows.append((f"{1e3 * rtt:.0f}", path, f"{median(took):.0f}", f"{max(took):.0f}"))
    return Table(("RTT (ms)", "trips", "median (ms)", "slowest (ms)"), rows, f"{orders} orders at each distance")


class Ordered(Stage):
    def __init__(self, ask, order):
        super().__init__(ask, order)
        self.shop, self.number = Shop(ask.use), 0

    def place(self, says_no=(), silent=""):
        """One order: what it answered, its books when it did and when the queue is empty, and all of it in words."""
        shop, self.number = self.shop, self.number + 1
        shop.says_no, shop.silent = says_no, silent
        shop.trace.clear()
        shop.together.expect(first=2)
        self.last = self.ask.trace.send("customer", "order", f"order {self.number}")
        self.ask.trace.receive(self.last)
        run = self.ask.run if silent else self.call  # where payment is silent, an exception has words of its own
        said = run(self.yours, self.number, shop.call, shop.later, limit=15.0)
        said = getattr(said, "value", said)
        before, queue, path = self.book(), [path for path, _ in shop.queue], trips(shop.trace, "order")
        shop.drain()
        self.ask.trace.extend(shop.trace.events)
        books = ", ".join(f"{what} {many}" for what, many in self.book().items() if "/" not in what)
        told = f"it returned {shown(said)} after {path} trips; queued was {', '.join(queue) or 'nothing'}; at the end: "
        return said, before, self.book(), path, told + (books or "nothing in the books")

    def book(self):
        return Counter(self.shop.books.get(f"{self.number}"))

    def refused(self, who, code="other-answer", **how):
        said, _, after, path, told = self.place(**how)
        told = f"{who}: {told}"
        yield code, said is False, told
        is_asked = "payment" not in who and after["payment/charge"]
        yield "asked-to-pay", not is_asked, told
        yield "silent" if code == "silent" else "kept", after["reserved"] == 0, told
        yield "silent", after["paid"] == 0, told
        yield "sent-all-the-same", not any(after[what] for what in AFTERWARDS), told
        yield "many-trips", path <= 2, told


check_flow = scenario("15", 2, "Seven trips", WORDS, order=Ordered)
part = check_flow.part


@part
def all_is_well(s):
    said, before, after, path, told = s.place()
    yield "other-answer", said is True, told
    for code, what in (("not-reserved", "reserved"), ("not-checked", "checked"), ("not-paid", "paid")):
        yield code, before[what] == 1, f"{told}; when it returned: {what} {before[what]}"
    yield "not-done", all(after[what] == 1 for what in AFTERWARDS), told
    yield "many-trips", path <= 2, told


@part
def somebody_says_no(s):
    for says_no in (("inventory",), ("risk",), ("inventory", "risk")):
        yield from s.refused(f"{' and '.join(says_no)} said no", says_no=says_no)


@part
def payment_says_no(s):
    yield from s.refused("payment said no", says_no=("payment",))


@part
def payment_says_nothing(s):
    for silent in ("paid", "not paid"):
        yield from s.refused(f"payment said nothing ({silent})", "silent", silent=silent)
