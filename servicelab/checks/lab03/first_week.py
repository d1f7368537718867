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
MANY = 50  # messages handled, of seven

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
not-moved: all messages are in the new queue, in their order, and the old one is empty
    What did move leave behind, and what came out of order?
changed: … with the properties and the body that they had
    What do the properties that you publish them with hold?
miscounted: move returns how many it moved
    What do you count?
not-as-asked: the new queue is durable, and has the arguments that were asked for
    What does queue_declare get?
left-open: move leaves no connection open
    Also when something is raised?
lost: it is killed after any of its steps, and called again: no message is missing
    Whose message is it between two of your steps? Which of them comes first?
not-confirmed: the new queue is full and refuses a message: it stays in the old one
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
        self.labels, self.number, self.dies_at = [], 0, None

    def print_label(self, number):
        if self.dies_at == number:
            self.dies_at = None
            self.current.crash()
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
                message_id=f"order-{number}", delivery_mode=2, content_type="text/plain", headers={"customer": number}
            )
            self.out.basic_publish("", queue, f"order {number}".encode(), properties)
            self.given.append(f"order-{number}")
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
    settled, lives, told = shop.work(b"parcel 1", b"\xff\xfe", b"parcel", b"parcel x", b"letter 2", b"", b"parcel 3")
    yield "dies-of-it", lives, told
    yield "comes-again", settled or shop.current.handled <= MANY, told
    yield "stands-still", settled, told
    yield "not-printed", shop.labels == [1, 3], f"labels were printed for {shop.labels}"
    dead = shop.broker.depth("labels.dead")[0]
    yield "dropped", dead == 5, f"of 5 that cannot be read {dead} are among the dead letters"


@printer
def killed_while_it_prints(shop):
    shop.dies_at = 7
    shop.work(b"parcel 7")
    wait_until(lambda: shop.broker.depth(LABELS)[1] == 0, 1)
    *_, told = shop.work()
    yield "acks-first", shop.labels == [7], told


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
    ids, left = [properties.message_id for _, properties, _ in rows], harbour.broker.depth(OLD)[0]
    told = f"{NEW} holds {len(rows)} messages, {OLD} {left}; {outcome}"
    bodies = [body for _, _, body in rows]
    right = bodies == [f"order {number}".encode() for number in range(1, 6)] and not left
    yield "not-moved", right and outcome.returned, told
    same = all(
        p.content_type == "text/plain" and p.delivery_mode == 2 and p.headers.get("customer") for _, p, _ in rows
    )
    yield "changed", same and ids == harbour.given, f"the last is {shown(rows[-1][1])}"
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
    there = harbour.ids(NEW) + harbour.ids(OLD)
    yield "not-confirmed", set(there) == set(harbour.given), f"in both queues together there are {there}; {outcome}"
    yield "no-error", isinstance(outcome.error, RuntimeError), str(outcome)
    yield "left-open", not harbour.left_open, f"{harbour.left_open} were left open"


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
