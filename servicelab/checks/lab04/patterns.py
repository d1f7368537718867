"""Exercise 3, decide: six wishes, said to a SUB socket and to a topic exchange, which say what is heard."""

import random

import zmq

from servicelab.checks.lab04.wires import WireStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.clients.amqp import connect
from servicelab.servers.amqp import Broker

END, MOST = b"\xff end", 255  # of what a SUB socket hears; bytes of a routing key (AMQP 0-9-1, shortstr)

#: What comes by in a week: NEW is a word of which nobody has heard, MANY are many.
KEYS = """
order ordered ordered.again orders orders.paid orders.paid.late orders.cancelled gifts.paid orders.eu.cancelled
Orders.paid orders_old.paid parcels.sent parcels.lost.paid parcels.cancelled invoices.paid invoices.unpaid paid
paid.orders cancelled cancelled.orders invoices.uncancelled stock.shelf.7.cancelled border.orders.paid
NEW orders.NEW NEW.paid NEW.cancelled orderNEW order_NEW.paid MANY orders.MANY MANY.paid MANY.cancelled
"""

#: Who wishes what: which keys are heard, and which of the two can say so.
WISHES = {
    "audit": (lambda key: True, {"zmq", "amqp"}),
    "board": (lambda key: key.startswith("orders."), {"zmq", "amqp"}),
    "shipping": (lambda key: key == "orders.paid", {"amqp"}),
    "cash": (lambda key: key.split(".")[1:] == ["paid"], {"amqp"}),
    "support": (lambda key: key.split(".")[-1] == "cancelled", {"amqp"}),
    "search": (lambda key: key.startswith("order"), {"zmq"}),
}

WORDS = words("""
wrong-type: choose returns a dict: for each service a dict with "zmq" and "amqp", each a list of texts, or None
    The task's table names the six services. A single pattern stands in a list, too, and is a text, no bytes.
given-up: None stands only where no list of patterns can say the wish
    What is the same in all the keys of this wish: how they begin, or some of their words? Which of the two knows that?
too-much: who subscribed hears nothing that is not wished
    A prefix has no end: what else begins like that? At the exchange, for how many words does each sign stand, at the
    least?
too-little: who subscribed hears everything that is wished
    A prefix has no signs. At the exchange, for how many words does each sign stand, at the most? If no list will do:
    None.
""")


class Week(WireStage):
    """What ``choose()`` returned, and the two ways to hear the keys of a week."""

    def __init__(self, ask, choose):
        super().__init__(ask, choose)
        new = chr(random.randint(0x100, 0x17F)) + "".join(random.choices("aeiklmnorst", k=5))
        many = ".".join([new] * random.randint(12, 18))
        self.keys = KEYS.replace("NEW", new).replace("MANY", many).split()
        self.chosen = self.call(choose, returns=dict)

    def zmq(self, patterns):
        """What a SUB socket with these subscriptions hears. Whoever subscribed is heard of before a key is sent."""
        publisher, subscriber = self.socket(zmq.XPUB), self.socket(zmq.SUB)
        publisher.bind("inproc://week")
        subscriber.connect("inproc://week")
        for pattern in [*patterns, END]:
            subscriber.subscribe(pattern)
        while publisher.recv() != b"\x01" + END:
            pass
        for key in [*map(str.encode, self.keys), END]:
            publisher.send(key)
        return [key.decode() for key in iter(subscriber.recv, END)]

    def amqp(self, patterns):
        """What comes into a queue that is bound with these keys."""
        with Broker("broker of the check") as broker, connect(broker, "check") as connection:
            channel = connection.channel()
            channel.exchange_declare("events", "topic")
            channel.queue_declare("mine")
            for pattern in patterns:
                channel.queue_bind("mine", "events", pattern)
            for key in self.keys:
                channel.basic_publish("events", key, key.encode())
            found = [channel.basic_get("mine", auto_ack=True)[2] for _ in self.keys]
            return [body.decode() for body in found if body]


check_patterns = scenario("04", 3, "Who wants which?", WORDS, go_on=True, choose=Week)


def some(keys) -> str:
    """The first of these keys, and of a long one its ends."""

    def short(key):
        words = key.split(".")
        return key if len(words) < 6 else f"{'.'.join(words[:2])}. … .{words[-1]} (of {len(words)} words)"

    return ", ".join(map(short, keys[:4]))


def add(name, kind, is_wished, is_sayable):
    def cell(week):
        wish = week.chosen.get(name)
        patterns = wish.get(kind, ...) if isinstance(wish, dict) else ...
        told = f"{name} on {kind}: {'missing' if patterns is ... else shown(patterns)}"
        texts = isinstance(patterns, list | tuple | set)
        texts = texts and all(isinstance(one, str) and len(one.encode()) <= MOST for one in patterns)
        heard = getattr(week, kind)(patterns) if texts else []
        surplus = [key for key in heard if not is_wished(key)]
        missing = [key for key in week.keys if is_wished(key) and key not in heard]
        drawn = [key for key in week.keys if key in heard or is_wished(key)]
        ids = {key: week.arrow(f"publisher ({kind})", name, key, key in heard) for key in drawn}
        week.last = ids[[*surplus, *missing, *drawn][0]]
        yield "wrong-type", texts or patterns is None, told
        if patterns is None:
            yield "given-up", not is_sayable, told
            return
        yield "too-much", not surplus, f"{told} heard {some(surplus)}"
        yield "too-little", not missing, f"{told} did not hear {some(missing)}"

    cell.__name__ = f"{name} on {kind}"
    check_patterns.part(cell)


for name, (is_wished, sayable) in WISHES.items():
    for kind in ("zmq", "amqp"):
        add(name, kind, is_wished, kind in sayable)
