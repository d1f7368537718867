"""Exercise 2, repair: a consumer that charges a card once, wherever it dies.

It is killed after each of its own steps in turn (a write, a commit, an acknowledgement), on a real socket, with a real
database; another takes over. No step is known beforehand: a run counts them.
"""

import uuid
from contextlib import closing

import pika

from servicelab.checks.crashing import Database
from servicelab.checks.lab03.broker_stage import BrokerStage
from servicelab.checks.learner_traceback import clip
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import wait_until

QUEUE = "charges"

WORDS = words("""
not-acked: each message is acknowledged, also one that is known already, and none is an error
    Does every path through on_message end with an ack? Which line raised it, and who should have caught it?
wrong-charge: three orders with three ids are charged, also two that look alike
    What is on the disk when your process has ended? And what tells apart two messages that say the same?
not-new: … also by a new process, and in another shop with another database and the same ids
    Who counts what you know a message by, and from when on? What remembers outside db: a class attribute, a global?
no-memory: an order is charged once, however often and whenever its publisher repeats it
    Two messages with the same message_id came. What tells you that the first was charged, and for how long?
in-memory: … also when the process that had charged it is gone
    What is left of what you remember when the process ends?
killed: it dies before it does anything, or after any of its steps, and another takes over: one charge
    Which of your rows was on the disk at that moment, and whose was the message?
""")


class Till(BrokerStage):
    """A queue of charges, the ledger, and the learner's processes, one after another."""

    def __init__(self, ask, kind):
        super().__init__(ask, kind)
        self.shop = uuid.uuid4().hex[:8]  # so that an id of another run, or part, is never met again
        self.out = self.with_dead_letters(QUEUE)
        self.new_shop()

    def new_shop(self):
        self.ledger = self.use(closing(Database("create table charges (customer text, cents integer)")))

    def process(self, *orders):
        """Publish ``(order, body)``, and start a process of the learner's. Its first message is its first step."""
        for order, body in orders:
            kept = pika.BasicProperties(message_id=f"{self.shop}-order-{order}", delivery_mode=2)
            self.out.basic_publish("", QUEUE, body.encode(), kept)
        self.steps = []
        db = self.ledger.open(lambda what: self.steps and self.step(what))
        payment = self.make(self.yours, db, methods=("on_message",), keep=True)

        def handle(*message):
            if not self.steps:
                self.step("begin")
            payment.on_message(*message)

        return self.consume(QUEUE, handle, "payment", 5)  # so few that the diagram can be read

    def work_off(self, *orders):
        """Let a process take these. Says, as an expectation, whether all was acknowledged; ``charged`` are the bodies
        that are charged on the disk then."""
        self.process(*orders)
        acked = self.settles(QUEUE) and not self.broker.depth(f"{QUEUE}.dead")[0]
        self.ledger.cut()
        rows = self.ledger.read("select customer, cents from charges order by rowid")
        self.charged = [f"{customer} {cents}" for customer, cents in rows]
        self.told = f"{clip(', '.join(self.charged), 120) or 'nothing'} is charged; {self.told}"
        return "not-acked", acked, self.told


check_payment = scenario("03", 2, "A consumer that charges once", WORDS, Payment=Till)
part = check_payment.part


@part
def a_calm_day(till):
    bodies = ["ada 1900", "bob 500", "ada 1900"]
    yield till.work_off(*enumerate(bodies))
    yield "wrong-charge", till.charged == bodies, till.told
    till.new_shop()
    yield till.work_off((0, "eve 100"))
    yield "not-new", till.charged == ["eve 100"], till.told


@part
def the_next_day(till):
    yield till.work_off((1, "ada 1900"))
    others = [(number, f"eve {number}") for number in range(10, 50)]
    yield till.work_off((2, "bob 500"), *others, (2, "bob 500"))
    yield "not-new", till.charged[:2] == ["ada 1900", "bob 500"], till.told
    yield "no-memory", till.charged.count("bob 500") == 1, f"bob's came again after 40 others; {till.told}"
    yield till.work_off((1, "ada 1900"))
    yield "in-memory", till.charged.count("ada 1900") == 1, f"ada's came again, to a new process; {till.told}"


@part
def killed_after_each_step(till):
    for one in till.deaths():
        first = one.process((1, "ada 1900"))
        wait_until(lambda first=first: not first.is_running or first.handled, 2.0)
        one.ledger.cut()
        wait_until(lambda one=one: one.broker.depth(QUEUE)[1] == 0, 1.0)  # the broker has noticed
        acked = one.work_off()
        yield "killed", one.charged == ["ada 1900"], f"{one.died}; {one.told}"
        yield acked
