"""Exercise 3, from production: a consumer that forgets an ack, and a queue that cannot be changed.

Both are the same everywhere: what is not acknowledged stays with the consumer, which is sent no more than its prefetch;
and a queue that is declared again with other settings is answered with 406. The move is killed after each of its steps.
"""

import pika

from servicelab.checks.lab03.broker_stage import BrokerStage, last_words, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.clients.amqp import cut

LABELS, OLD, NEW = "labels", "orders", "orders.v2"
PREFETCH = 2
MOST_STEPS = 10
MANY = 50  # messages handled, of twelve
#: Not one of them is a word that the printers know, a blank and a whole number.
UNREADABLE = b"parcel,parcel x,voucher x,letter 2,,parcel4,Parcel 4,parcel 4 5,parcel 4.5,parcel 4\xff".split(b",")
#: What the orders say. One says nothing, one is no text, and two say the same.
BODIES = b"order 1", b"\xff\xfe", b"", b"order 4", b"order 4"

WORDS = words("""
stands-still: each message is settled: also a voucher, which needs no label
    What is ready, and what is unacknowledged? Which path through on_message ends without telling the broker?
settled-twice: … and none is settled twice
    The broker closes a channel on which a tag is settled twice: 406. Which path does it twice?
not-printed: each parcel has its label, once, and a voucher has none
    Which labels were printed?
comes-again: what cannot be read is rejected, and does not come again
    What does the broker do with a message that you do not want, if you say nothing else?
dies-of-it: … and the consumer lives
    Which line raised it?
dropped: … but goes where the queue sends its dead letters
    An ack says that the work is done. Was it?
acks-first: it dies while it prints, and another takes over: the label is printed
    Between the ack and the work it is nobody's message.
print-fails: … or print_label raises: it is printed by another, or when it comes again
    What does your except catch? Of the message, that says nothing.
not-moved: all messages are in the new queue, in their order, and the old one is there, and empty
    What did move leave behind, what ended it, and what came out of order?
changed: … with all properties that they had, and no others
    What do the properties that you publish them with hold?
miscounted: move returns how many it moved
    What do you count?
not-as-asked: the new queue is durable, and has the arguments that were asked for
    What does queue_declare get?
left-open: move leaves no connection open
    Also when something is raised?
lost: it is killed after any of its steps, and called again: no message is missing
    Whose message is it between two of your steps? Which of them comes first?
not-confirmed: the new queue is full and refuses a message: it and those behind it stay in the old one, in their order
    Who says that a message has arrived, before you settle the one that you hold?
no-error: … and move raises RuntimeError
    A nack is an exception of pika's, if you asked for confirms. What does your caller see?
not-refused: the new queue is there, with other settings: move raises ValueError
    The broker says 406 and closes the channel. What is raised then, and who catches it?
deleted: … and everything stays where it is
    A queue that is there may be somebody's, and full.
""")


class PrintShop(BrokerStage):
    """A queue of labels with dead letters, and the learner's printers."""

    def __init__(self, ask, kind, *others):
        super().__init__(ask, kind)
        self.out = self.connect().channel()
        self.out.confirm_delivery()
        self.out.queue_declare("labels.dead", durable=True)
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "labels.dead"}
        self.out.queue_declare(LABELS, durable=True, arguments=dead)
        self.labels, self.number, self.trouble = [], 0, {}

    def print_label(self, number):
        if number in self.trouble:
            self.trouble.pop(number)()
            raise ValueError("the printer is out of paper")
        self.labels.append(number)

    def start(self):
        self.number += 1
        printer = self.make(self.yours, self.print_label, methods=("on_message",), keep=True)
        self.current = self.consumer(LABELS, printer.on_message, f"shipping {self.number}", prefetch=PREFETCH)
        return self.current

    def work(self, *bodies):
        """Let a new consumer do these: ``(is all of it settled, does the consumer live, how it stands)``."""
        consumer = self.start()
        for body in bodies:
            self.out.basic_publish("", LABELS, body)  # it is in the queue when this returns
        wait_until(lambda: self.is_empty(LABELS) or not consumer.is_running or consumer.handled > MANY, 2.0)
        (ready, unacked), lives = self.broker.depth(LABELS), consumer.is_running
        consumer.stop()
        told = f"{ready} ready, {unacked} unacknowledged, prefetch {PREFETCH}; labels {self.labels}"
        return not ready + unacked, lives, told + last_words(consumer)


class Harbour(BrokerStage):
    """An old queue with orders in it, and the learner's move."""

    def __init__(self, ask, kind, *others):
        super().__init__(ask, kind)
        self.out, self.steps, self.die_after = self.channel(), [], None
        self.out.queue_declare(OLD, durable=True)
        self.given = []

    def fill(self, count, queue=OLD):
        for number in range(1, count + 1):
            properties = pika.BasicProperties(
                message_id=f"order-{number}", delivery_mode=1 + number % 2, content_type="text/plain",
                content_encoding="identity", headers={"customer": number}, priority=number, correlation_id=f"c{number}",
                reply_to="answers", expiration="600000", timestamp=number, type="order", app_id="shop",
            )  # fmt: skip
            self.out.basic_publish("", queue, BODIES[number - 1], properties)
            self.given.append(properties)
        wait_until(lambda: self.broker.depth(queue)[0] == count)

    def connect(self):
        """A connection whose channels count the learner's steps, and that is cut after one of them."""
        connection = super().connect()
        plain = connection.channel

        def channel(*args, **more):
            made = plain(*args, **more)
            for name in ("basic_get", "basic_publish", "basic_ack"):
                setattr(made, name, stepping(getattr(made, name), name))
            return made

        def stepping(act, name):
            def step(*args, **more):
                result = act(*args, **more)
                self.steps.append(name)
                if len(self.steps) - 1 == self.die_after:
                    cut(connection)
                    raise SystemExit("killed by the check")
                return result

            return step

        connection.channel = channel
        return connection

    def move(self, arguments=None):
        arguments = {"x-max-length": 50} if arguments is None else arguments
        return self.ask.run(self.yours, self.connect, OLD, NEW, arguments, limit=4.0, keep=True)

    def ids(self, queue):
        return [id for id, _ in self.bodies(queue)]


check_first_week = scenario("03", 3, "The first week", WORDS, Printer=PrintShop, move=Harbour)
printer, moving = check_first_week.part("Printer"), check_first_week.part("move")


@printer
def vouchers(shop):
    settled, _, told = shop.work(b"voucher 1", b"voucher 2", b"voucher 3", b"parcel 4", b"parcel 5", b"voucher 6")
    yield "settled-twice" if "PRECONDITION" in told else "stands-still", settled, told
    yield "not-printed", shop.labels == [4, 5], f"labels were printed for {shop.labels}"


@printer
def what_cannot_be_read(shop):
    settled, lives, told = shop.work(b"parcel 1", *UNREADABLE, b"parcel 3")
    yield "settled-twice" if "PRECONDITION" in told else "dies-of-it", lives, told
    yield "comes-again", settled or shop.current.handled <= MANY, told
    yield "stands-still", settled, told
    told, dead = f"between 1 and 3 came {shown(UNREADABLE, 200)}", shop.broker.depth("labels.dead")[0]
    yield "not-printed", shop.labels == [1, 3], f"labels were printed for {shop.labels}; {told}"
    yield "dropped", dead == len(UNREADABLE), f"{dead} are among the dead letters; {told}"


@printer
def killed_while_it_prints(shop):
    shop.trouble = {7: lambda: shop.current.crash(), 8: lambda: None}
    shop.work(b"parcel 7")
    wait_until(lambda: shop.broker.depth(LABELS)[1] == 0, 1)
    *_, told = shop.work()
    yield "acks-first", shop.labels == [7], told
    shop.work(b"parcel 8")
    *_, told = shop.work()
    dead = shop.broker.depth("labels.dead")[0]
    yield "print-fails", shop.labels == [7, 8], f"{told}; {dead} among the dead letters"


@moving
def a_move(harbour):
    harbour.fill(5)
    outcome = harbour.move()
    found = harbour.queue(NEW)
    rows = []
    channel = harbour.channel()
    if found:
        while (got := channel.basic_get(NEW, auto_ack=True))[0] is not None:
            rows.append(got)
    old, bodies = harbour.queue(OLD), tuple(body for _, _, body in rows)
    told = f"{NEW} holds {shown(bodies)}, {OLD} {old[1] if old else 'is gone'}; {outcome}"
    yield "not-moved", bodies == BODIES and old and not old[1] and outcome.returned, told
    for _, has, _ in rows:
        (has.headers or {}).pop("traceparent", None)  # the check's own: that is how it draws
    pairs = [(had.__dict__, has.__dict__) for had, (_, has, _) in zip(harbour.given, rows)]
    other = {name: (had[name], has[name]) for had, has in pairs for name in had if had[name] != has[name]}
    yield "changed", not other, "; ".join(f"{name} was {had!r} and is {has!r}" for name, (had, has) in other.items())
    yield "miscounted", outcome.value == 5, str(outcome)
    yield "not-as-asked", found[-1] and _has(harbour, {"x-max-length": 50}), f"{NEW}: durable {found[-1]}"
    yield "left-open", not harbour.left_open, f"{harbour.left_open} were left open"


def _has(harbour, arguments):
    """Is the new queue there with these arguments? The broker says so by 406, when it is declared again."""
    try:
        harbour.channel().queue_declare(NEW, durable=True, arguments=arguments)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


@moving
def killed_after_each_step(harbour):
    for die_after in range(MOST_STEPS):
        with harbour.ask.new_trace():
            one = Harbour(harbour.ask, harbour.yours)
            one.fill(1)
            one.die_after = die_after
            one.move()
            if len(one.steps) <= die_after:
                return
            killed, one.die_after = one.steps[die_after], None
            wait_until(lambda one=one: one.broker.depth(OLD)[1] == 0)
            one.move()
            ids = one.ids(NEW)
            harbour.last = one.last
            told = f"killed after {killed} (step {die_after + 1}), and called again: {NEW} holds {ids}"
            yield "lost", "order-1" in ids, told


@moving
def a_new_queue_that_is_full(harbour):
    harbour.fill(4)
    outcome = harbour.move({"x-max-length": 2, "x-overflow": "reject-publish"})
    wait_until(lambda: harbour.broker.depth(OLD)[1] == 0, 1)
    yield "left-open", not harbour.left_open, f"{harbour.left_open} were left open, with what they hold of {OLD}"
    there, given = (harbour.ids(NEW), harbour.ids(OLD)), [properties.message_id for properties in harbour.given]
    told = f"{NEW} holds {there[0]}, {OLD} {there[1]}; {outcome}"
    yield "not-confirmed", there == (given[:2], given[2:]), told
    yield "no-error", isinstance(outcome.error, RuntimeError), str(outcome)


@moving
def a_new_queue_that_is_there(harbour):
    harbour.out.queue_declare(NEW, durable=True, arguments={"x-max-length": 9})
    harbour.fill(1, NEW)
    harbour.fill(3)
    outcome = harbour.move()
    wait_until(lambda: harbour.broker.depth(OLD)[1] == 0, 1)
    left = harbour.broker.depth(OLD)[0], harbour.broker.depth(NEW)[0]
    yield "deleted", left == (3, 1), f"{OLD} held 3 and holds {left[0]}, {NEW} held 1 and holds {left[1]}; {outcome}"
    yield "not-refused", isinstance(outcome.error, ValueError), str(outcome)
    yield "left-open", not harbour.left_open, f"{harbour.left_open} were left open"
