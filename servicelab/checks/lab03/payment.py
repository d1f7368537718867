"""Exercise 2, repair: a consumer that charges a card once, wherever it dies.

It is killed after each of its own steps in turn (a write, a commit, an acknowledgement), on a real socket, with a real
database; another takes over. No step is known beforehand: a run counts them.
"""

import uuid
from contextlib import closing

import pika

from servicelab.checks.lab03.broker_stage import BrokerStage, last_words, wait_until
from servicelab.checks.lab03.ledger import Ledger
from servicelab.checks.learner_traceback import clip
from servicelab.checks.scenario import scenario, words

QUEUE, DEAD = "charges", "charges.dead"
MOST_STEPS = 12  # that are tried one by one; three writes, a commit and an ack are five
#: Words for the steps.
_STEP = {"begin": "before it does anything", "write": "a write", "commit": "a commit", "ack": "the acknowledgement"}

WORDS = words("""
wrong-charge: three orders with three ids, two of them with the same body: each is charged
    What is on the disk when your process has ended? The body is 'customer cents', as text.
by-body: … also those that look alike
    Two messages may well say the same. What tells them apart?
not-acked: … and each message is acknowledged, also one that is known already
    Does every path through on_message end with an ack?
dies: a message that is known already is no error
    Which line raised it, and who should have caught it?
remembers-outside: another shop, with another database, has orders of the same ids: they are charged
    Something outside db remembers ids from an earlier run: a class attribute, a global?
made-once: a second process can be started with the same database
    A new process finds what the one before it left in db, its tables too.
trusts-redelivered: it dies before it does anything, another takes over: one charge
    The message was sent before. Was the work done, too?
by-tag: a new process: a new order is charged
    Where does this number begin to count?
no-memory: an order is charged once, however often and whenever its publisher repeats it
    Two messages with the same message_id came. What tells you that the first was charged, and for how long?
in-memory: … also when the process that had charged it is gone
    What is left of what you remember when the process ends?
acks-first: it dies after any of its steps, another takes over: one charge
    Nobody was charged, and the message is gone. Who had it last?
noted-first: … also when the message was noted and not charged yet
    What was on the disk at that moment, and what was not?
noted-apart: … also when it was charged and not noted or acknowledged yet
    What was on the disk at that moment, and what was not?
""")


class Till(BrokerStage):
    """A queue of charges, the ledger, and the learner's consumers, one after another."""

    def __init__(self, ask, kind):
        super().__init__(ask, kind)
        self.shop = uuid.uuid4().hex[:8]  # so that an id of another run, or part, is never met again
        self.out = self.connect().channel()
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD}
        self.out.queue_declare(QUEUE, durable=True, arguments=dead)
        self.out.queue_declare(DEAD)
        self.new_shop()
        self.number, self.steps = 0, []

    def new_shop(self):
        self.ledger = self.use(closing(Ledger()))

    def publish(self, order, body):
        kept = pika.BasicProperties(message_id=f"{self.shop}-order-{order}", delivery_mode=2)
        self.out.basic_publish("", QUEUE, body.encode(), kept)

    def start(self, die_after=None):
        """A started consumer with an object of the learner's; it dies after so many steps."""
        self.number += 1
        self.steps, begun = [], []

        def step(what):
            if begun:
                self.steps.append(what)
                if len(self.steps) - 1 == die_after:
                    consumer.crash()

        db = self.ledger.open(step)
        outcome = self.ask.run(self.yours, db, keep=True) if self.number > 1 else None
        if outcome is not None and not outcome.returned:
            self.refuse("made-once", str(outcome))
        yours = outcome.value if outcome else self.make(self.yours, db, methods=("on_message",), keep=True)

        def handle(channel, method, properties, body):
            if not begun:  # the acks of this channel are steps, too
                plain = channel.basic_ack

                def ack(*args, **more):
                    plain(*args, **more)  # it has left when this returns
                    step("ack")

                channel.basic_ack = ack
                begun.append(True)
                step("begin")
            yours.on_message(channel, method, properties, body)

        consumer = self.consumer(QUEUE, handle, f"payment {self.number}", prefetch=5)  # so that the diagram can be read
        return consumer

    def work_off(self, *orders):
        """Publish ``(order, body)`` and let one process take what there is. Says, as an expectation, whether all was
        acknowledged; ``charged`` are the bodies that are charged on the disk then."""
        for order in orders:
            self.publish(*order)
        consumer = self.start()
        wait_until(lambda: self.is_empty(QUEUE) or not consumer.is_running, 2.0)
        consumer.stop()
        left, words = sum(self.broker.depth(QUEUE)) + self.broker.depth(DEAD)[0], last_words(consumer)
        self.ledger.cut()
        self.charged = [f"{customer} {cents}" for customer, cents in self.ledger.charges()]
        charged = clip(", ".join(self.charged), 120) or "nothing"
        told = f"{charged} is charged, {left} messages are still in a queue{words}"
        return "dies" if words else "not-acked", not left, told

    def dies(self, at):
        """One order, and a process that dies after ``at`` steps: ``(steps, charges, is the message gone)``, or None
        when it has not so many."""
        first = self.start(at)
        self.publish(1, "ada 1900")
        wait_until(lambda: not first.is_running or self.is_empty(QUEUE) and len(self.steps) > 1, 2.0)
        if at >= len(self.steps) and not wait_until(lambda: at < len(self.steps), 0.03):
            return None
        wait_until(lambda: not first.is_running)
        steps = self.steps
        self.ledger.cut()
        wait_until(lambda: self.broker.depth(QUEUE)[1] == 0)  # the broker has noticed
        gone = self.is_empty(QUEUE)
        self.work_off()
        return steps, len(self.charged), gone


check_payment = scenario("03", 2, "A consumer that charges once", WORDS, Payment=Till)
part = check_payment.part


@part
def a_calm_day(till):
    bodies = ["ada 1900", "bob 500", "ada 1900"]
    code, empty, told = till.work_off(*enumerate(bodies))
    wrong = "by-body" if till.charged == bodies[:2] else "dies" if code == "dies" else "wrong-charge"
    yield wrong, till.charged == bodies, told
    yield code, empty, told
    till.new_shop()
    *_, told = till.work_off((0, "eve 100"))
    yield "remembers-outside", till.charged == ["eve 100"], told


@part
def killed_at_once(till):
    _, charges, _ = till.dies(0) or ([], 1, True)
    yield "trusts-redelivered", charges > 0, "nobody was charged"


@part
def the_next_day(till):
    till.work_off((1, "ada 1900"))
    others = [(number, f"eve {number}") for number in range(10, 50)]
    code, empty, told = till.work_off((2, "bob 500"), *others, (2, "bob 500"))
    yield "by-tag", till.charged[:2] == ["ada 1900", "bob 500"], told
    bobs = till.charged.count("bob 500")
    again = f"bob's order came again after 40 others; it was charged {bobs} times"
    yield code if code == "dies" and not empty else "no-memory", bobs == 1, again if empty else f"{again}; {told}"
    yield code, empty, told
    code, empty, told = till.work_off((1, "ada 1900"))
    adas = till.charged.count("ada 1900")
    yield "in-memory", adas == 1, f"ada's order came again, to a new process; it was charged {adas} times; {told}"
    yield code, empty, told


@part
def killed_after_each_step(till):
    for at in range(1, MOST_STEPS):
        with till.ask.new_trace():
            one = Till(till.ask, till.yours)
            found = one.dies(at)
            if found is None:
                return
            steps, charges, gone = found
            till.last = one.last
            code = "noted-apart" if charges else "acks-first" if gone else "noted-first"
            happened = f"it died after {_STEP[steps[at]]} (its step {at}): ada was charged {charges} times"
            yield code, charges == 1, happened
