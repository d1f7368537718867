"""Exercise 3, from production: a consumer that forgets an ack, and a queue that cannot be changed.

Both are the same everywhere: what is not acknowledged stays with the consumer, which is sent no more than its prefetch;
and a queue that is declared again with other settings is answered with 406. The move is killed after each of its steps.
"""

import pika

from servicelab.checks.lab03.broker_stage import MANY, BrokerStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.clients.amqp import cut
from servicelab.lifecycle import wait_until

LABELS, OLD, NEW = "labels", "orders", "orders.v2"
LIMIT = {"x-max-length": 50}
UNREADABLE = b"parcel,parcel x,voucher x,letter 2,,parcel4,Parcel 4,parcel 4 5,parcel 4.5,parcel 4\xff".split(b",")
BODIES = b"order 1", b"\xff\xfe", b"", b"order 4", b"order 4"  # what the orders say

WORDS = words("""
unreadable: what cannot be read does not come again, and goes where the queue sends its dead letters
    What can you tell the broker of a message that you do not want, and which of your words says all of that?
settled: each message is settled once, also a voucher, which needs no label; and none ends the consumer
    What is ready, and what is unacknowledged? Which path through on_message raises, or ends without telling the broker,
    or tells it twice? Then it closes the channel: 406.
not-printed: each parcel has its label, once, and nothing else has one
    Which labels were printed?
print-fails: it dies while it prints, or print_label raises: the label is printed all the same, later
    Whose message is it while it is printed? And does an exception of the printer say anything about the message?
not-moved: all messages are in the new queue, in their order, as they were; the old one is there, and empty; \
move returns how many it moved
    What did move leave behind, what ended it, and what of a message did you not hand on, or change? What do you count?
not-as-asked: the new queue is durable, and has the arguments that were asked for
    What does queue_declare get?
left-open: move leaves no connection open
    Also when something is raised?
lost: it is killed after any of its steps, and called again: no message is missing
    Whose message is it between two of your steps? Which of them comes first?
full: the new queue is full: RuntimeError, and what was not moved is in the old one, in its order
    Who says that a message has arrived, before you settle the one that you hold? And as what do you hear of a no?
there-already: the new queue is there, with other settings: ValueError, and everything stays where it is
    The broker says 406 and closes the channel. What is raised then, and who catches it? Whose queue may that be?
""")


class PrintShop(BrokerStage):
    """A queue of labels with dead letters, and the learner's printers."""

    def __init__(self, ask, kind):
        super().__init__(ask, kind)
        self.out = self.with_dead_letters(LABELS)
        self.labels, self.trouble = [], {}

    def print_label(self, number):
        if number in self.trouble:
            self.trouble.pop(number)()
            raise ValueError("the printer is out of paper")
        self.labels.append(number)

    def work(self, *bodies):
        """Let a new process do these."""
        printer = self.make(self.yours, self.print_label, methods=("on_message",), keep=True)
        self.consume(LABELS, printer.on_message, "shipping", 2)
        for body in bodies:
            self.out.basic_publish("", LABELS, body)  # it is in the queue when this returns
        self.settled = self.settles(LABELS)
        self.told += f"; labels {self.labels}"


class Harbour(BrokerStage):
    """An old queue with orders in it, and the learner's move."""

    def __init__(self, ask, kind):
        super().__init__(ask, kind)
        self.out, self.given = self.channel(), []
        self.out.queue_declare(OLD, durable=True)

    def fill(self, count, queue=OLD):
        for number in range(1, count + 1):
            properties = pika.BasicProperties(
                message_id=f"{number}", delivery_mode=1 + number % 2, content_type="text/plain",
                content_encoding="identity", headers={"customer": number}, priority=number, correlation_id=f"c{number}",
                reply_to="answers", expiration="600000", timestamp=number, type="order", app_id="shop",
            )  # fmt: skip
            self.out.basic_publish("", queue, BODIES[number - 1], properties)
            self.given.append(properties)

    def connect(self):
        connection = super().connect()
        plain = connection.channel
        connection.channel = lambda *args, **more: self.counted(plain(*args, **more))
        return connection

    def die(self):
        for connection in self.connections:
            cut(connection)
        raise SystemExit("killed by the check")

    def move(self, arguments=LIMIT):
        """What becomes of the learner's move, when the broker has noticed that it is over."""
        outcome = self.ask.run(self.yours, self.connect, OLD, NEW, dict(arguments), limit=4.0, keep=True)
        wait_until(lambda: self.broker.depth(OLD)[1] == 0, 0.5)
        return outcome

    def closed(self):
        left = self.left_open()
        return "left-open", not left, f"{left} connections were left open, with what they hold"

    def refused(self, code, outcome, error, **orders):
        """Did it say so, and are these orders in the queues?"""
        held = {"old": self.ids(OLD), "new": self.ids(NEW)}
        told = f"{OLD} holds the orders {held['old']}, {NEW} {held['new']}; {outcome}"
        return code, held == orders and isinstance(outcome.error, error), told

    def ids(self, queue):
        """The numbers of the orders in it. It is empty then."""
        return [int(properties.message_id or 0) for properties, _ in self.taken(queue)]


check_first_week = scenario("03", 3, "The first week", WORDS, Printer=PrintShop, move=Harbour)
printer, moving = check_first_week.part("Printer"), check_first_week.part("move")


@printer
def a_tuesday(shop):
    shop.work(b"voucher 1", b"voucher 2", b"voucher 3", b"parcel 4", *UNREADABLE, b"parcel 5", b"voucher 6")
    shop.told += f"; between 4 and 5 came {shown(UNREADABLE, 200)}"
    yield "unreadable", shop.settled or shop.current.handled <= MANY, shop.told
    yield "settled", shop.settled, shop.told
    yield "not-printed", shop.labels == [4, 5], shop.told
    yield "unreadable", shop.broker.depth(f"{LABELS}.dead")[0] == len(UNREADABLE), shop.told


@printer
def killed_while_it_prints(shop):
    shop.trouble = {7: lambda: shop.current.crash(), 8: lambda: None}
    for labels in ([7], [7, 8]):
        shop.work(b"parcel %d" % labels[-1])
        wait_until(lambda: shop.broker.depth(LABELS)[1] == 0, 1)
        died_of_it = not shop.lives and ": (406, " not in shop.told  # of the printer, then, and nothing is settled yet
        yield "settled", shop.settled or died_of_it, shop.told
        shop.work()
        yield "print-fails", shop.labels == labels, shop.told


@moving
def a_move(harbour):
    harbour.fill(5)
    outcome = harbour.move()
    moved, old = harbour.taken(NEW), harbour.broker.queues(OLD).rows
    bodies = tuple(body for _, body in moved)
    told = f"{NEW} holds {shown(bodies)}, {OLD} {old[0][1] if old else 'is gone'}; {outcome}"
    yield "not-moved", bodies == BODIES and old and not old[0][1] and outcome.value == 5, told
    for had, (has, _) in zip(harbour.given, moved):
        (has.headers or {}).pop("traceparent", None)  # the check's own: that is how it draws
        was, now = vars(had), vars(has)
        other = [f"{name} was {was[name]!r} and is {now[name]!r}" for name in was if was[name] != now[name]]
        yield "not-moved", not other, "; ".join(other)
    again = harbour.ask.run(harbour.out.queue_declare, NEW, durable=True, arguments=LIMIT, keep=True)
    yield "not-as-asked", again.returned, f"declared like that by the check: {again}"
    yield harbour.closed()


@moving
def killed_after_each_step(harbour):
    for one in harbour.deaths():
        one.fill(1)
        one.move()
        one.move()
        ids = one.ids(NEW)
        yield "lost", 1 in ids, f"{one.died}, and was called again: {NEW} holds the orders {ids}"


@moving
def a_new_queue_that_is_full(harbour):
    harbour.fill(4)
    outcome = harbour.move({"x-max-length": 2, "x-overflow": "reject-publish"})
    yield harbour.closed()
    yield harbour.refused("full", outcome, RuntimeError, old=[3, 4], new=[1, 2])


@moving
def a_new_queue_that_is_there(harbour):
    harbour.out.queue_declare(NEW, durable=True, arguments={"x-max-length": 9})
    harbour.fill(1, NEW)
    harbour.fill(3)
    outcome = harbour.move()
    yield harbour.refused("there-already", outcome, ValueError, old=[1, 2, 3], new=[1])
    yield harbour.closed()
