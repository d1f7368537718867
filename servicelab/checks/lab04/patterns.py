"""Exercise 3, decide: six wishes, said to a SUB socket and to a topic exchange, which say what is heard."""

import random
from contextlib import closing

import zmq

from servicelab.checks.lab04.wires import WireStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.clients.amqp import connect
from servicelab.servers.amqp import Broker

END = b"\xff end"  # of what a SUB socket hears
MOST = 255  # bytes of a routing key (AMQP 0-9-1, shortstr)

#: What comes by in any week.
KEYS = """
order ordered ordered.again orders orders.paid orders.paid.late orders.cancelled gifts.paid orders.eu.cancelled
Orders.paid orders_old.paid parcels.sent parcels.lost.paid parcels.cancelled invoices.paid invoices.unpaid paid
paid.orders cancelled cancelled.orders invoices.uncancelled stock.shelf.7.cancelled border.orders.paid
orders.eu.uk.yorkshire.hull.cancelled
""".split()  # noqa: SIM905


def a_week() -> list[str]:
    """The keys of a week: those of any week, and some with words of which nobody has heard, and with many."""
    new = chr(random.randint(0x100, 0x17F)) + "".join(random.choices("aeiklmnorst", k=5))
    many = ".".join([new] * random.randint(12, 18))
    of_new = (f"{new}", f"orders.{new}", f"{new}.paid", f"{new}.cancelled", f"order{new}", f"order_{new}.paid")
    return [*KEYS, *of_new, many, f"orders.{many}", f"{many}.cancelled", f"{many}.paid"]


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
wrong-type: choose returns a dict: for each wish a dict with "zmq" and "amqp", each a list of texts, or None
    The task names the six wishes. One text is a list of one text.
zmq-given-up: for ZeroMQ, None stands only where no list of prefixes can say the wish
    What is the same in all the keys of this wish? Do they begin alike?
amqp-given-up: for AMQP, None stands only where no list of binding keys can say the wish
    What is the same in all the keys of this wish? Which of their words are given, and how many are there?
zmq-too-much: on ZeroMQ, who subscribed hears nothing that is not wished
    A prefix knows letters, no words and no end. Which keys begin like that? Is there a prefix that leaves these out?
zmq-too-little: on ZeroMQ, who subscribed hears everything that is wished
    Which of the wished keys do not begin like that? Does ZeroMQ know a sign that stands for something? If \
no list of prefixes will do, even an empty one: say None.
amqp-too-much: at the topic exchange, the queue hears nothing that is not wished
    How many words does each of the two signs stand for, at the least? Can a part of a word be said?
amqp-too-little: at the topic exchange, the queue hears everything that is wished
    How many words does each of the two signs stand for, at the most? What is a pattern without a sign? And which keys \
will come next week? If no list of binding keys will do: say None.
""")


class Week(WireStage):
    """What ``choose()`` returned, and the two ways to hear the keys of a week."""

    def __init__(self, ask, choose):
        super().__init__(ask, choose)
        self.keys, self.chosen = a_week(), self.call(choose, returns=dict)

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
        with Broker("broker of the check") as broker, closing(connect(broker.url, "check")) as connection:
            channel = connection.channel()
            channel.exchange_declare("events", "topic")
            channel.queue_declare("mine")
            for pattern in patterns:
                channel.queue_bind("mine", "events", pattern)
            for key in self.keys:
                channel.basic_publish("events", key, key.encode())
            return [body.decode() for *_, body in iter(lambda: channel.basic_get("mine", auto_ack=True), (None,) * 3)]

    def draw(self, sender, who, heard, wished):
        """Each key that was heard or wished; the mark is the first that is wrong."""
        self.last = None
        for key in [key for key in self.keys if key in heard or key in wished]:
            id = self.arrow(sender, who, key, key in heard)
            if (key in heard) != (key in wished):
                self.last = self.last or id


check_patterns = scenario("04", 3, "Who wants which?", WORDS, go_on=True, choose=Week)


def _cell(name, kind):
    is_wished, sayable = WISHES[name]

    def hears(week):
        wished, wish = [key for key in week.keys if is_wished(key)], week.chosen.get(name)
        patterns = wish.get(kind, wish) if isinstance(wish, dict) else 0
        told, listed = f"{name} on {kind}: {shown(patterns)}", isinstance(patterns, list | tuple | set)
        if not isinstance(wish, dict) or kind not in wish:
            told = f"{name} is {shown(wish)}, without {kind}" if name in week.chosen else f"there is no {name}"
        texts = listed and all(isinstance(one, str) and len(one.encode()) <= MOST for one in patterns)
        heard = getattr(week, kind)(patterns) if texts else []
        week.draw(f"publisher ({kind})", name, heard, wished)
        yield "wrong-type", texts or patterns is None, told
        if patterns is None:
            yield f"{kind}-given-up", kind not in sayable, told
            return
        surplus, missing = [key for key in heard if key not in wished], [key for key in wished if key not in heard]
        yield f"{kind}-too-much", not surplus, f"{told} heard {', '.join(surplus[:4])}"
        yield f"{kind}-too-little", not missing, f"{told} did not hear {', '.join(missing[:4])}"

    hears.__name__ = f"{name} on {kind}"
    return hears


for _name in WISHES:
    for _kind in ("zmq", "amqp"):
        check_patterns.part(_cell(_name, _kind))
