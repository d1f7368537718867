"""Exercise 4, measure and decide: an event with enough in it, so that shipping works while orders is down."""

import json
import re
from itertools import zip_longest
from types import SimpleNamespace

from servicelab.checks.learner_traceback import in_words, shown
from servicelab.checks.runner import run
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table
from servicelab.trace import Trace

MOST, COUNT = 400, 20  # bytes of an event, and orders that are paid while orders is down
SECRETS, SIGNS = ("card", "email"), re.compile(r"\W")  # a card is one also without its spaces

WORDS = words(f"""
not-sent: the order is paid: its parcel is sent, as it stands in the order
    Which call of `send` does a "paid" event lead to? Print what `hear` gets.
outage: orders is down: the parcels of all orders that are paid meanwhile are sent
    Which line of `hear` needs somebody else, and what would have to be in the event, so that it does not? Is each
    parcel its own order's?
asks-orders: orders is not asked once, also while it is well, and whatever the event
    Who asks "to be sure" has a call for each event. What could the answer say that the event could not have said?
no-json: an event is a dict that JSON can carry
    Write your dict with json.dumps. Which entry has a type that JSON does not know, and as what could it go?
too-large: an event has {MOST} bytes at the most, as JSON
    Which entries of the order does a parcel need? How long does the longest of the others get?
private: no event of any kind carries the card or the e-mail address, however written
    Everybody who subscribes reads every entry of it. Who needs these two?
twice: one order, one parcel: also if an event comes twice, or another one comes when the parcel has gone
    How could `hear` know that it has seen this order, whatever its version?
moved: the parcel goes to the newest address that has come, whichever event came last
    Two events of an order may overtake each other: which number is the newer, and what do you compare with it?
other-kind: events of other kinds than paid send nothing, and do no harm
    Which kinds send a parcel, and which begin like "paid"? What does `hear` do with a kind of which it has never heard,
    with its address, and with what it remembers of the order?
""")


def an_order(number: int, version: int = 1, town: str = "Hull") -> dict:
    """An order as ``orders`` has it."""
    return {
        "id": f"o-{number}",
        "version": version,
        "address": f"{number} Quay Street, {town}",
        "lines": [{"article": "mug", "count": 1 + number % 3}, {"article": f"book {number}", "count": 1}],
        "total": 1990 + number,
        "card": f"4000 1234 5678 {number:04}",
        "email": f"customer{number}@example.org",
        "history": [f"looked at article {day * 7 % 40} from {town}" for day in range(30)],
    }


def parcel(number, town="Hull"):
    order = an_order(number, town=town)
    return {"order": order["id"], "address": order["address"], "lines": order["lines"]}


class Depot(Stage):
    """``orders``, and the learner's shipping: what it ``sent``, how often it ``asked``, what ``hear`` raised, the
    ``sizes`` of the events in bytes, which private entries ``leaked``; the last message about each order and parcel."""

    def __init__(self, ask, event, Shipping):
        super().__init__(ask, event, Shipping)
        self.orders, self.is_down, self.marks = {}, False, {}
        self.sent, self.asked, self.sizes, self.leaked, self.raised = [], 0, [], set(), []
        self.event, self.shipping = event, self.call(Shipping, self.look_up, self.send)

    def say(self, sender, to, label):
        super().say(sender, to, label)
        self.marks[label.split(",")[0]] = self.last

    def look_up(self, id):
        """The order, from ``orders``. Raises ConnectionError while that is down."""
        self.asked += 1
        self.say("shipping", "orders", f"{id}?")
        if self.is_down:
            raise ConnectionError("orders is down")
        return dict(self.orders[id])

    def send(self, parcel):
        self.sent.append(parcel)
        self.say("shipping", "van", f"parcel {len(self.sent)}")

    def hear(self, *events):
        """Shipping hears events, each a kind and an order. What it raises is noted, and no more: a service goes on."""
        for kind, *which in events:
            order = an_order(*which)
            self.orders[order["id"]] = order
            self.say("orders", "shipping", f"{kind} {order['id']}, version {order['version']}: {order['address']}")
            made = self.call(self.event, kind, dict(order), returns=dict)
            try:
                text = json.dumps(made, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                self.refuse("no-json", f"event({kind!r}, …) returned {shown(made)}; json.dumps: {in_words(error)}")
            self.sizes.append(len(text.encode()))
            bare = SIGNS.sub("", text).lower()
            self.leaked |= {name for name in SECRETS if SIGNS.sub("", order[name]).lower() in bare}
            heard = self.ask.run(lambda event: self.shipping.hear(event), json.loads(text), limit=1.0)
            self.raised += [] if heard.returned else [f"in hear {heard}"]

    def outage(self):
        """Orders is down, and these events are on the way all the same. How many of the parcels were sent?"""
        self.is_down, numbers = True, range(20, 20 + COUNT)
        self.hear(*[("paid", number) for number in numbers])
        self.is_down = False
        return sum(parcel(number) in self.sent for number in numbers)

    def sends(self, code, *numbers, **where):
        """The parcels of just these orders were sent, in this order, and nobody was asked."""
        pairs = zip_longest(self.sent, [parcel(number, **where) for number in numbers])
        n, one, right = next(((n, *pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1]), (0, None, None))
        self.last = self.marks.get(f"parcel {n}" if one else f"paid {right and right['order']}", self.last)
        told = f"parcel {n} is {shown(one, 200) if one else 'missing'}"
        told += ", and this order had its parcel" if one and one in self.sent[: n - 1] else ""
        told += f"; right is {shown(right, 200) if right else 'none'}"
        yield code, not n, "; ".join([told, *self.raised[:1]])
        yield "asks-orders", not self.asked, f"{self.asked} calls for {len(self.sizes)} events"


def try_out(event, Shipping) -> Table:
    """What this event and this shipping cost while orders is down. Raises what ``event`` raises, and TypeError for what
    is no event at all."""

    def need(code, what, passed, happened, *more):
        raise TypeError(f"{what}: {happened}")

    freely = SimpleNamespace(trace=Trace(), run=run, call=lambda function, *args, **limits: function(*args))
    freely.words, freely.need = WORDS, need
    depot = Depot(freely, event, Shipping)
    depot.hear(("paid", 1))
    parcels = depot.outage()
    yours = [parcels, depot.asked, max(depot.sizes), ", ".join(sorted(depot.leaked)) or "none", len(depot.raised)]
    what = ["right parcels in the outage", "calls back to orders", "bytes of the largest event", "private entries"]
    return Table(("", "yours", "goal"), zip([*what, "errors in hear"], yours, [COUNT, 0, f"{MOST} at most", "none", 0]))


check_parcels = scenario("04", 4, "Shipping without orders", WORDS, event=Depot, Shipping=None)
part = check_parcels.part("event", "Shipping")


@part
def orders_is_well_and_then_down(at):
    at.hear(("paid", 1))
    yield next(at.sends("not-sent", 1))
    sent = at.outage()
    yield "outage", sent == COUNT, "; ".join([f"of {COUNT} right parcels {sent} were sent", *at.raised[-1:]])


@part
def what_everybody_reads(at):
    at.hear(("paid", 7), ("paid", 777), ("moved", 8, 2), ("reviewed", 9))
    yield "too-large", max(at.sizes) <= MOST, f"these had {', '.join(map(str, at.sizes))} bytes"
    yield "private", not at.leaked, f"one of them carried {' and '.join(sorted(at.leaked))}"


@part
def one_order_one_parcel(at):
    at.hear(("paid", 3), ("paid", 3), ("paid", 4), ("paid", 4), ("moved", 3, 2, "York"))
    at.hear(*[("paid", number) for number in range(30, 38)], ("paid", 3), ("paid", 4, 3))
    yield from at.sends("twice", 3, 4, *range(30, 38))


@part
def one_event_overtakes_another(at):
    at.hear(("moved", 8, 12, "York"))
    yield from at.sends("other-kind")
    at.hear(("paid", 8, 9), ("moved", 9, 2, "Leeds"), ("paid", 9, 3, "York"))
    at.hear(("moved", 10, 2, "Leeds"), ("moved", 10, 3, "York"), ("paid", 10))
    at.hear(("moved", 13, 3, "York"), ("moved", 13, 2, "Leeds"), ("paid", 13))
    yield from at.sends("moved", 8, 9, 10, 13, town="York")


@part
def what_is_not_for_shipping(at):
    at.hear(("moved", 11, 4, "York"), ("moved", 12, 4, "York"))
    for kind in ("reviewed", "unpaid", "paid back", "Paid", "removed"):
        at.hear((kind, 10), (kind, 12))
        yield from at.sends("other-kind")
    at.hear(("paid", 11), ("paid", 12, 3))
    yield from at.sends("other-kind", 11, 12, town="York")
    at.hear(("reviewed", 11, 6), ("unpaid", 12, 6), ("paid", 11, 4), ("paid", 12, 3))
    yield from at.sends("other-kind", 11, 12, town="York")
    yield "other-kind", not at.raised, "".join(at.raised[:1])
