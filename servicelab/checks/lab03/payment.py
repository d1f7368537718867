"""Exercise 2, repair: a consumer that charges a card once, wherever it dies.

It is killed after each of its own steps in turn (a write, a commit, an acknowledgement), on a real socket, with a real
database; another takes over. No step is known beforehand: a first run counts them.
"""

import uuid
from contextlib import closing

import pika

from servicelab.checks.exercise import exercise
from servicelab.checks.lab03.broker_stage import Desk, wait_until
from servicelab.checks.lab03.ledger import Ledger
from servicelab.checks.section import section
from servicelab.clients.amqp import Consumer

QUEUE = "charges"
MOST_STEPS = 12  # that are tried one by one; three writes, a commit and an ack are five
#: Words for the steps.
_STEP = {"begin": "before it does anything", "write": "a write", "commit": "a commit", "ack": "the acknowledgement"}

_HINTS = {
    "acks-first": "Between the ack and the work it is nobody's message. First the work, then the ack.",
    "noted-first": "It had noted the message as done, and committed that, before the work was. Both belong into one "
    "transaction.",
    "trusts-redelivered": "redelivered says that it was sent before, and nothing about whether the work was done.",
    "in-memory": "A set or dict dies with the process. What it has done has to be where the charges are: self.db.",
    "remembers-outside": "Something outside db remembers ids from an earlier run: a class attribute, a global? A new "
    "process would not have it.",
    "made-once": "A new process finds what the one before it left in db, its tables too: create table if not exists.",
    "noted-apart": "The charge was committed, and the note that it was done was not. One transaction for both: "
    "with self.db: around the two.",
    "no-memory": "The same message comes again, with the same properties.message_id. Note the id with the charge.",
    "by-body": "Two messages may well say the same. What tells them apart is properties.message_id.",
    "by-tag": "The delivery tag counts the deliveries of one channel, and each channel begins at 1.",
    "not-acked": "Each message needs an ack, also one that is known already: or it comes again for ever.",
    "wrong-charge": "The body is 'customer cents', as text.",
    "dies": "A message that is known already is no error.",
}


@exercise("03", 2, "A consumer that charges once", limit=60.0)
def check_payment(ask, Payment):
    """Give ``Payment(db).on_message`` the charges of a shop whose publisher repeats itself, and kill it."""
    for examine in (_calm, _resent, _next_day):
        with section(ask), closing(Till(ask, Payment)) as till:
            examine(till)
            if till.refused("not-acked", "dies", "wrong-charge", "remembers-outside"):
                return  # it would be the same again, and take long
    _crashes(ask, Payment)


class Till:
    """A queue of charges, the ledger, and the learner's consumers, one after another."""

    def __init__(self, ask, kind):
        self.ask, self.kind = ask, kind
        self.desk, self.ledger = Desk(ask, "orders"), Ledger()
        self.out = self.desk.connect().channel()
        self.out.queue_declare(QUEUE, durable=True)
        self.number, self.steps, self.error = 0, [], ""

    def close(self):
        self.desk.close()
        self.ledger.close()

    def publish(self, id, body):
        kept = pika.BasicProperties(message_id=id, delivery_mode=2)
        self.out.basic_publish("", QUEUE, body.encode(), kept)

    def consumer(self, die_after=None):
        """A started consumer with an object of the learner's; it dies after so many steps."""
        self.number += 1
        self.steps, self.begun = [], False
        name = f"payment {self.number}"

        def step(what):
            if self.begun:
                self.steps.append(what)
                if len(self.steps) - 1 == die_after:
                    consumer.crash()

        what = "Payment(db) can be made, also by a second process with the same database"
        again = ("made-once", what, _HINTS["made-once"]) if self.number > 1 else None
        yours = self.desk.make(self.kind, self.ledger.open(step), methods=("on_message",), again=again)

        def handle(channel, method, properties, body):
            if not self.begun:  # the acks of this channel are steps, too
                plain = channel.basic_ack

                def ack(*args, **more):
                    plain(*args, **more)  # it has left when this returns
                    step("ack")

                channel.basic_ack = ack
                self.begun = True
                step("begin")
            yours.on_message(channel, method, properties, body)

        consumer = Consumer(self.desk.url, QUEUE, handle, name=f"check {name}", lane=name, trace=self.ask.trace)
        self.current = self.ask.use(consumer)
        return consumer

    def idle(self, limit=2.0):
        """Wait until nothing is left to do, or the consumer has died."""
        wait_until(lambda: self.empty or not self.current.is_running, limit)

    def work_off(self):
        """One consumer takes what there is, and stops; says whether the queue is empty."""
        consumer = self.consumer()
        self.idle()
        done = self.empty
        self.error = consumer.errors[-1].strip().splitlines()[-1] if consumer.errors else ""
        consumer.stop()
        self.ledger.cut()
        return done

    @property
    def empty(self):
        return self.desk.broker.depth(QUEUE) == (0, 0)

    def refused(self, *codes):
        """Has one of these expectations failed already?"""
        return any(one.code in codes and not one.passed for one in self.ask.expectations)

    def expect(self, code, what, passed, happened, mark=None):
        if self.error and not passed:
            happened += f"; it ended with {self.error}"
        mark = mark or self.desk.mark("deliver", "redeliver") or self.desk.mark()
        return self.ask.expect(code, what, passed, happened, _HINTS[code], mark)

    def told(self):
        return ", ".join(f"{customer} {cents}" for customer, cents in self.ledger.charges()) or "nothing"


def _calm(till):
    """Three orders, two of which look alike."""
    bodies = ["ada 1900", "bob 500", "ada 1900"]
    for number, body in enumerate(bodies, 1):
        till.publish(f"order-{number}", body)
    empty = till.work_off()
    found = [f"{customer} {cents}" for customer, cents in till.ledger.charges()]
    code = "by-body" if found == bodies[:2] else "dies" if till.error else "wrong-charge"
    told, error = till.told(), till.error
    if not found and empty:  # is it the ids? Then one that nobody ever saw is charged
        till.publish(f"order-{uuid.uuid4()}", "eve 100")
        till.work_off()
        code = "remembers-outside" if till.ledger.charges() else code
        till.error = error
    what = "three orders with three ids, two of them with the same body: each is charged"
    till.expect(code, what, found == bodies, f"charged: {told}")
    till.expect("dies" if till.error else "not-acked", "… and all are acknowledged", empty, _left(till))


def _resent(till):
    """The publisher did not hear the confirm, and sends again."""
    till.publish("order-1", "ada 1900")
    till.publish("order-1", "ada 1900")
    empty = till.work_off()
    found = len(till.ledger.charges())
    code = "dies" if till.error else "no-memory" if found else "remembers-outside"
    what = "a publisher that did not hear the confirm sends order-1 again: it is charged once"
    till.expect(code, what, found == 1, f"it was charged {found} times")
    till.expect("dies" if till.error else "not-acked", "… and both messages are acknowledged", empty, _left(till))


def _next_day(till):
    """A new process, a new channel."""
    till.publish("order-1", "ada 1900")
    till.work_off()
    first = len(till.ledger.charges())
    till.publish("order-2", "bob 500")
    till.work_off()
    second = len(till.ledger.charges())
    till.publish("order-1", "ada 1900")
    till.work_off()
    third = len(till.ledger.charges())
    if first != 1:
        return
    known = till.ledger.charges()[:second]
    right = till.expect("by-tag", "a new process: order-2 is charged", second == 2, f"charged: {known}")
    if not right or till.refused("no-memory"):
        return
    till.expect(
        "in-memory",
        "… and order-1, which the old process had charged and now comes once more, is not",
        third == second,
        f"charged: {till.told()}",
    )


def _crashes(ask, kind):
    """Kill it after each step in turn, until a run has fewer steps than that."""
    for die_after in range(MOST_STEPS):
        with section(ask), closing(Till(ask, kind)) as till:
            if not _crash(till, die_after):
                break


def _crash(till, die_after):
    """Says whether there was such a step."""
    first = till.consumer(die_after)
    till.publish("order-1", "ada 1900")
    wait_until(lambda: not first.is_running or (till.empty and len(till.steps) > 1), 2.0)
    if die_after >= len(till.steps) and not wait_until(lambda: die_after < len(till.steps), 0.03):
        first.stop()
        return False
    wait_until(lambda: not first.is_running)
    steps = till.steps
    till.ledger.cut()
    wait_until(lambda: till.desk.broker.depth(QUEUE)[1] == 0)  # the broker has noticed
    gone = till.desk.broker.depth(QUEUE)[0] == 0
    till.work_off()
    found = len(till.ledger.charges())
    where = _STEP[steps[-1]] if len(steps) == 1 else f"after {_STEP[steps[-1]]} (its step {len(steps) - 1})"
    if found == 1:
        till.expect("no-memory", f"it dies {where}, another takes over: one charge", True, "")
    elif found == 0:
        code = "acks-first" if gone else "noted-first" if "commit" in steps else "trusts-redelivered"
        till.expect(code, f"it dies {where}, another takes over: one charge", False, "nobody was charged")
    else:
        code = next((one for one in ("no-memory", "in-memory") if till.refused(one)), "noted-apart")
        happened = f"ada was charged {found} times"
        till.expect(code, f"it dies {where}, another takes over: one charge", False, happened)
    return found == 1


def _left(till):
    ready, unacked = till.desk.broker.depth(QUEUE)
    return f"{ready + unacked} are still in the queue"
