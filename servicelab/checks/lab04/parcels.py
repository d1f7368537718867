"""Exercise 4, measure and decide: an event with enough in it, so that shipping works while orders is down."""

import json
import time
from contextlib import closing
from itertools import zip_longest

import requests
from flask import Flask, jsonify

from servicelab.checks.learner_traceback import shown, told
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.table import Table
from servicelab.trace import Trace

MOST = 400  # bytes of an event
DOWN, COUNT = 2.0, 20  # seconds that orders is down, and orders that are paid meanwhile
SECRETS = ("card", "email")

WORDS = words(f"""
wrong-type: event(kind, order) returns a dict that JSON can carry
    Which of its values is no text, number, list or dict?
not-sent: the order is paid: its parcel is sent, as it stands in the order
    Which call of `send` does a "paid" event lead to? Print what `hear` gets.
outage: orders is down for two seconds: the parcels of all orders that were paid meanwhile are sent
    Which line of `hear` needs somebody else? What would have to be in the event, so that it does not?
asks-orders: orders is not asked once, also while it is well, and whatever the event
    Who asks "to be sure" has a call for each event. What could the answer say that the event could not have said?
too-large: an event has {MOST} bytes at the most, as JSON
    Which entries of the order does a parcel need? How long does the longest of the others get?
private: no event of any kind carries the card or the e-mail address, however written
    Everybody who subscribes reads every entry of it. Who needs these two?
twice: one order, one parcel: also if an event comes twice, or another one comes when the parcel has gone
    How could `hear` know that it has seen this order, whatever its version?
moved: an event with a newer address came before: the parcel goes to the newest
    Two events of an order may overtake each other: which number tells which one is the newer? Who keeps the address?
older-wins: of two "moved" events the older one came last: the parcel goes to the newer address
    Is what came last the newest? What do you compare before you overwrite?
other-kind: events of other kinds send nothing, and do no harm
    What does `hear` do with a kind of which it has never heard, and with its address? Which kinds begin like "paid"?
""")


def an_order(number: int, version: int = 1, town: str = "Hull", history: int = 30) -> dict:
    """An order as ``orders`` has it."""
    return {
        "id": f"o-{number}",
        "version": version,
        "address": f"{number} Quay Street, {town}",
        "lines": [{"article": "mug", "count": 1 + number % 3}, {"article": f"book {number}", "count": 1}],
        "total": 1990 + number,
        "card": f"4000 1234 5678 {number:04}",
        "email": f"customer{number}@example.org",
        "history": [f"looked at article {day * 7 % 40} from {town}" for day in range(history)],
    }


def parcel_of(order: dict) -> dict:
    """The parcel that this order asks for."""
    return {"order": order["id"], "address": order["address"], "lines": order["lines"]}


def plain(text: str) -> str:
    """Letters and digits alone: a card is one also without its spaces."""
    return "".join(sign for sign in text.lower() if sign.isalnum())


class World:
    """An ``orders`` on a socket, and the learner's shipping: the parcels that it ``sent``, how often it ``asked``, the
    ``sizes`` of the events in bytes, which private entries have ``leaked``, what ``hear`` has ``raised``."""

    def __init__(self, event, Shipping, trace):
        self.event, self.trace, self.orders, self.last = event, trace, {}, None
        self.sent, self.asked, self.sizes, self.leaked, self.raised = [], 0, [], set(), []
        self.told = {}  # the last event of each order, in the diagram
        app = Flask("orders")
        app.add_url_rule("/orders/<id>", "order", lambda id: jsonify(self.orders[id]))
        self.server, self.web = serve(app, "orders", trace=trace), traced(requests.Session(), trace, "shipping")
        self.url, self.shipping = self.server.url, Shipping and Shipping(self.ask, self.send)

    def close(self):
        self.web.close()
        self.server.stop()

    def ask(self, id):
        """The order, from ``orders``. Raises requests.ConnectionError while that is down."""
        self.asked += 1
        return self.web.get(f"{self.url}/orders/{id}", timeout=1).json()

    def send(self, parcel):
        self.sent.append(parcel)
        self.trace.receive(self.trace.send("shipping", "van", f"parcel {len(self.sent)}", kind="message"), "van")

    def hear(self, kind, *orders, times=1, pace=0.0):
        """Shipping hears events about these orders. What it raises is noted, and no more: a service goes on."""
        for order in orders:
            time.sleep(pace)
            self.orders[order["id"]] = order
            town, version = order["address"].split(", ")[-1], order["version"]
            label = f"{kind} {order['id']}, version {version}: {town}"
            self.last = self.told[order["id"]] = self.trace.send("orders", "shipping", label, kind="message")
            self.trace.receive(self.last, "shipping")
            text = json.dumps(self.event(kind, dict(order)))
            self.sizes.append(len(text.encode()))
            self.leaked |= {name for name in SECRETS if plain(order[name]) in plain(text)}
            for _ in range(times):
                try:
                    self.shipping.hear(json.loads(text))
                except Exception as error:
                    self.raised.append(told(error))

    def outage(self):
        """Orders is down, and still these were paid: their events are on the way. How many of the parcels were sent?"""
        orders = [an_order(number) for number in range(20, 20 + COUNT)]
        self.server.stop()
        self.hear("paid", *orders, pace=DOWN / COUNT)
        self.server.start()
        return sum(parcel_of(order) in self.sent for order in orders)


def try_out(event, Shipping) -> Table:
    """What this event and this shipping cost in two seconds without orders. Raises what ``event`` raises."""
    with closing(World(event, Shipping, Trace())) as world:
        world.hear("paid", an_order(1))
        parcels = world.outage()
    yours = [parcels, world.asked, max(world.sizes), ", ".join(sorted(world.leaked)) or "none", len(world.raised)]
    what = ["right parcels in the outage", "calls back to orders", "bytes of the largest event", "private entries"]
    goal = [COUNT, 0, f"{MOST} at most", "none", 0]
    return Table(("", "yours", "goal"), zip([*what, "errors in hear"], yours, goal))


class Depot(Stage):
    """The learner's shipping, in a world of its own."""

    def __init__(self, ask, event, Shipping):
        super().__init__(ask, event, Shipping)
        self.world = self.use(closing(World(event, None, ask.trace)))
        self.world.shipping = self.make(Shipping, self.world.ask, self.world.send, methods=("hear",))

    @property
    def last(self):
        return self.world.last if hasattr(self, "world") else None

    def hear(self, kind, *orders, **how):
        self.call(self.world.hear, kind, *orders, **how)

    def sends(self, *orders):
        """``(passed, happened)``: the parcels of just these orders were sent, in this order. Marks the first wrong."""
        wanted = [parcel_of(order) for order in orders]
        for n, (one, right) in enumerate(zip_longest(self.world.sent, wanted), 1):
            if one != right:
                self.world.last = self.world.told.get((right or one)["order"] if isinstance(right or one, dict) else "")
                raised = f"; hear raised {self.world.raised[-1]}" if self.world.raised else ""
                return False, f"parcel {n} is {differs(one, right)}; right is {differs(right, one)}{raised}"
        return True, ""

    def asks_nobody(self):
        return self.world.asked == 0, f"{self.world.asked} calls for {len(self.world.sizes)} events"


def differs(one, other) -> str:
    """A parcel, without what it has in common with the other."""
    if isinstance(one, dict) and isinstance(other, dict):
        one = {name: value for name, value in one.items() if name == "order" or value != other.get(name)}
    return "none" if one is None else shown(one)


check_parcels = scenario("04", 4, "Shipping without orders", WORDS, event=Depot, Shipping=None)
part = check_parcels.part("event", "Shipping")


@part
def all_is_well(at):
    made = at.call(at.yours[0], "paid", an_order(1))
    outcome = at.ask.run(json.dumps, made)
    yield "wrong-type", isinstance(made, dict) and outcome.returned, f"it returned {shown(made)}; for JSON {outcome}"
    at.hear("paid", an_order(1))
    yield "not-sent", *at.sends(an_order(1))


@part
def two_seconds_without_orders(at):
    at.hear("paid", an_order(1))
    sent = at.call(at.world.outage, limit=DOWN + 6)
    told = f"{sent} of {COUNT} were sent; hear raised {at.world.raised[-1] if at.world.raised else 'nothing'}"
    yield "outage", sent == COUNT, told
    yield "asks-orders", *at.asks_nobody()


@part
def what_everybody_reads(at):
    at.hear("paid", an_order(7), an_order(77, history=200))
    at.hear("moved", an_order(8, version=2))
    at.hear("reviewed", an_order(9, history=200))
    yield "too-large", max(at.world.sizes) <= MOST, f"these had {', '.join(map(str, at.world.sizes))} bytes"
    yield "private", not at.world.leaked, f"one of them carried {' and '.join(sorted(at.world.leaked))}"


@part
def one_order_one_parcel(at):
    others = [an_order(number) for number in range(30, 38)]
    at.hear("paid", an_order(3), an_order(4), times=2)
    at.hear("moved", an_order(3, version=2, town="York"))
    at.hear("paid", *others, an_order(3), an_order(4, version=3))
    yield "twice", *at.sends(an_order(3), an_order(4), *others)
    yield "asks-orders", *at.asks_nobody()


@part
def one_event_overtakes_another(at):
    at.hear("moved", an_order(8, version=12, town="York"))
    at.hear("paid", an_order(8, version=9))
    at.hear("moved", an_order(9, version=2, town="Leeds"))
    at.hear("paid", an_order(9, version=3, town="York"))
    at.hear("moved", an_order(10, version=2, town="Leeds"), an_order(10, version=3, town="York"))
    at.hear("paid", an_order(10))
    york = [an_order(number, town="York") for number in (8, 9, 10, 13)]
    yield "moved", *at.sends(*york[:3])
    at.hear("moved", an_order(13, version=3, town="York"), an_order(13, version=2, town="Leeds"))
    at.hear("paid", an_order(13))
    yield "older-wins", *at.sends(*york)
    yield "asks-orders", *at.asks_nobody()


@part
def what_is_not_for_shipping(at):
    at.hear("moved", an_order(12, version=4, town="York"))
    for kind in ("reviewed", "unpaid", "paid back", "Paid", "removed"):
        at.hear(kind, an_order(11), an_order(12))
        yield "other-kind", *at.sends()
    at.hear("paid", an_order(11), an_order(12, version=3))
    passed, happened = at.sends(an_order(11), an_order(12, town="York"))
    yield "other-kind", passed, happened
    yield "other-kind", not at.world.raised, f"hear raised {at.world.raised[:1]}"
    yield "asks-orders", *at.asks_nobody()
