"""Exercise 4, build: bounded retries with a delay, and a place for what nobody can handle.

A poison message among healthy ones; consumers that are replaced between two tries; a broker that is restarted between
two tries; a consumer that is killed after each of its steps in turn, at the first try and while it parks. Delays are
compared with the pause that was asked for, generously.
"""

import time
from contextlib import closing

import pika

from servicelab.checks.exercise import exercise
from servicelab.checks.lab03.broker_stage import Desk, wait_until
from servicelab.checks.section import section
from servicelab.clients.amqp import Consumer

QUEUE, PARKED = "mails", "mails.parked"
TRIES = 3
WAIT = 0.25  # seconds between two tries
MANY = 12  # tries after which nobody needs to see more
MOST_STEPS = 8
_TIMES = {
    1: "first",
    TRIES: "third",
}  # the tries at which it is killed: on the way to wait, and on the way to be parked
_POISON = b"customer3"
_WHY = "customer3 is no address"

_HINTS = {
    "healthy": "send(body), and then the ack.",
    "no-retry": "After the first failure comes a second try, and a third: it is not parked before that.",
    "unbounded": "Count the tries, and stop at the third: x-death counts how often it was rejected. redelivered does "
    "not: a message that went through another queue is new to the broker.",
    "too-few": "x-death has an entry for each queue *and* reason: rejected from one, expired in the other. Count one "
    "of the two.",
    "no-delay": "Put back is delivered again at once. A queue with x-message-ttl and without consumers is a waiting "
    "room, and its dead letters come back here.",
    "held-up": "A consumer that sleeps holds up everybody. Let the message wait elsewhere, in a queue of its own.",
    "not-parked": "After the last try: publish it to mails.parked, and acknowledge it here.",
    "no-reason": "headers={'why': str(error)}: the person who looks at it tomorrow has nothing else.",
    "no-id": "Pass the properties on: message_id=properties.message_id, and the same body.",
    "not-kept": "delivery_mode=2, and durable=True for all your queues, the one in which messages wait included.",
    "waits-unkept": "What you publish into the waiting room needs delivery_mode=2, too. A message that is rejected "
    "into it keeps its own.",
    "float-ttl": "x-message-ttl must be whole milliseconds: int(wait * 1000).",
    "counts-in-memory": "The count dies with the process. It has to travel with the message: x-death does.",
    "lost": "Between the ack and the next line it is nobody's. First publish, then acknowledge.",
    "lost-before-waiting": "It was acknowledged before it was in the waiting room. The way there is like the way to "
    "mails.parked: first publish, then acknowledge.",
    "crash-loop": "After a crash it is delivered again, and parked then.",
    "dies": "Whatever send raises is a reason to try again later, and no reason to die.",
}


@exercise("03", 4, "A message that nobody can handle", limit=60.0)
def check_mailer(ask, Mailer):
    """Let ``Mailer(send, wait)`` declare its queues and send mails, one of which cannot be sent."""
    for examine in (_healthy, _poison, _replaced, _restarted):
        with section(ask), closing(PostOffice(ask, Mailer)) as office:
            examine(office)
        if office.refused("unbounded", "too-few", "no-retry", "not-parked", "healthy", "dies"):
            return
    for at in _TIMES:
        for die_after in range(MOST_STEPS):
            with section(ask), closing(PostOffice(ask, Mailer)) as office:
                if not _crash(office, at, die_after):
                    break


class PostOffice:
    """The learner's queues, one of their consumers after another, and what ``send`` was called with."""

    def __init__(self, ask, kind):
        self.ask, self.kind, self.desk = ask, kind, Desk(ask, "orders")
        self.sent, self.steps, self.number, self.error = [], [], 0, ""  # sent: (body, began, ended)
        self.out = self.desk.connect().channel()
        outcome = ask.run(self.new().declare, self.out, keep=True)
        right = outcome.returned and self.desk.has(QUEUE) and self.desk.has(PARKED)
        words = "there are: " + (", ".join(row[0] for row in self.desk.broker.queues().rows) or "no queues")
        if "UnsupportedAMQPField" in str(outcome) and "x-message-ttl" in str(outcome):
            what = "declare(channel) gives x-message-ttl as a whole number"
            ask.need("float-ttl", what, False, str(outcome), _HINTS["float-ttl"], self.desk.mark())
        if not right:
            ask.need(
                "wrong-type",
                f"declare(channel) declares {QUEUE} and {PARKED}",
                False,
                words if outcome.returned else str(outcome),
                "queue_declare for each of them; and for the one in which messages wait.",
                self.desk.mark(),
            )

    def close(self):
        self.desk.close()

    def new(self):
        return self.desk.make(self.kind, self.send, WAIT, methods=("declare", "on_message"))

    def send(self, body):
        """What learners are given: sends, or raises ValueError."""
        began = time.monotonic()
        time.sleep(0.002)
        self.sent.append((bytes(body), began, time.monotonic()))
        if body == _POISON:
            raise ValueError(_WHY)

    def publish(self, id, body):
        self.out.basic_publish("", QUEUE, body, pika.BasicProperties(message_id=id, delivery_mode=2))

    def consumer(self, die_after=None, at=None):
        """A started consumer; with ``at`` its steps during this try count, and it dies after so many."""
        self.number += 1
        name, yours = f"notification {self.number}", self.new()
        counted = []

        def step(what):
            if len(self.tries()) == at:
                self.steps.append(what)
                if len(self.steps) - 1 == die_after:
                    consumer.crash()

        def stepping(channel, name):
            plain = getattr(channel, name)

            def act(*args, **more):
                plain(*args, **more)
                step(name)

            setattr(channel, name, act)

        def handle(channel, method, properties, body):
            if not counted:
                for name in ("basic_publish", "basic_ack", "basic_nack", "basic_reject"):
                    stepping(channel, name)
                counted.append(True)
            if len(self.sent) < 100:  # what has gone round so often has shown what it does
                yours.on_message(channel, method, properties, body)

        consumer = Consumer(
            self.desk.url, QUEUE, handle, name=f"check {name}", lane=name, prefetch=1, trace=self.ask.trace
        )  # fmt: skip
        return self.ask.use(consumer)

    def tries(self, body=_POISON):
        return [(began, ended) for what, began, ended in list(self.sent) if what == body]

    def on_the_way(self):
        """Messages in all queues but the one where they are parked."""
        names = [row[0] for row in self.desk.broker.queues().rows if row[0] != PARKED]
        return sum(sum(self.desk.broker.depth(name)) for name in names)

    def is_over(self):
        """Is a message parked, or is there none on its way any more? One that goes from a queue into the next while
        they are counted is in neither: so they are counted twice."""
        if self.parked():
            return True
        if self.on_the_way():
            return False
        time.sleep(0.01)
        return not self.on_the_way()

    def parked(self):
        return self.desk.broker.depth(PARKED)[0]

    def refused(self, *codes):
        return any(one.code in codes and not one.passed for one in self.ask.expectations)

    def expect(self, code, what, passed, happened, mark=None):
        mark = mark or self.desk.mark("deliver", "redeliver") or self.desk.mark()
        return self.ask.expect(code, what, passed, happened, _HINTS[code], mark)

    def died(self, consumer):
        return f"; it ended with {consumer.errors[-1].strip().splitlines()[-1]}" if consumer.errors else ""


def _healthy(office):
    """Three mails without a fault."""
    consumer = office.consumer()
    for number in range(3):
        office.publish(f"mail-{number}", f"customer{number}@shop.example".encode())
    wait_until(lambda: len(office.sent) >= 3 and office.desk.broker.depth(QUEUE) == (0, 0), 1.5)
    time.sleep(0.02)
    ready, unacked = office.desk.broker.depth(QUEUE)
    words = f"{len(office.sent)} were sent, {ready + unacked} are still in {QUEUE}, {office.parked()} parked"
    right = len(office.sent) == 3 and ready + unacked == 0 and not office.parked()
    office.expect(
        "healthy",
        "three mails without a fault: each is sent once, and acknowledged",
        right,
        words + office.died(consumer),
    )


def _poison(office):
    """One that cannot be sent, before five that can."""
    office.publish("mail-3", _POISON)
    for number in range(5):
        office.publish(f"mail-{number + 4}", f"customer{number}@shop.example".encode())
    consumer = office.consumer()
    wait_until(lambda: office.parked() or len(office.tries()) > MANY or not consumer.is_running, TRIES * WAIT + 1.5)
    tries = office.tries()
    wait_until(lambda: len(office.sent) > len(office.tries()) or len(office.tries()) > MANY, 0.5)
    if not consumer.is_running:
        return office.expect(
            "dies", f"send raises ValueError({_WHY!r}): the consumer lives", False, "it is dead" + office.died(consumer)
        )
    gaps = [later[0] - earlier[1] for earlier, later in zip(tries, tries[1:])]
    if gaps:
        told = f"{len(tries)} tries; the shortest pause between two was {min(gaps) * 1000:.0f} ms"
        office.expect("no-delay", f"between two tries at least {WAIT} s pass", min(gaps) > WAIT * 0.8, told)
    first = min([began for body, began, _ in office.sent if body != _POISON], default=None)
    if tries and len(tries) <= MANY:
        waited = (first or time.monotonic()) - tries[0][1]
        told = f"the first of them was sent {waited * 1000:.0f} ms after the bad one had failed"
        office.expect(
            "held-up",
            "the five good mails behind it are sent meanwhile",
            first is not None and waited < WAIT * 0.8,
            told,
        )
    if not office.parked():
        code = "unbounded" if len(tries) > TRIES else "not-parked"
        return office.expect(
            code, f"after {TRIES} tries it is in {PARKED}", False, f"it was tried {len(tries)} times, and is not there"
        )
    code = "no-retry" if len(tries) == 1 else "too-few" if len(tries) < TRIES else "unbounded"
    office.expect(
        code, f"it is tried {TRIES} times and then parked", len(tries) == TRIES, f"it was tried {len(tries)} times"
    )
    wait_until(lambda: office.desk.broker.depth(QUEUE) == (0, 0), 1.0)
    consumer.stop()
    _looked_at(office)


def _looked_at(office):
    """What the person sees who looks at the parked message."""
    left = sum(office.desk.broker.depth(QUEUE))
    office.expect("not-parked", f"… and is not in {QUEUE} any more", left == 0, f"{left} are still there")
    plain = [row[0] for row in office.desk.broker.queues().rows if not row[-1]]
    mark = office.desk.mark("publish")
    _, properties, body = office.desk.channel().basic_get(PARKED, auto_ack=True)
    why = str((properties.headers or {}).get("why", ""))
    office.expect("no-reason", "… with the reason in the header why", _WHY in why, f"why is {why!r}", mark)
    same = properties.message_id == "mail-3" and body == _POISON
    office.expect("no-id", "… with its id and its body", same, f"id {properties.message_id!r}, body {body!r}", mark)
    kept = properties.delivery_mode == 2 and not plain
    told = f"delivery_mode is {properties.delivery_mode}" + (f"; plain queues: {', '.join(plain)}" if plain else "")
    office.expect("not-kept", "… in a way that survives a restart", kept, told, mark)


def _replaced(office):
    """A new version is rolled out after each try."""
    office.publish("mail-3", _POISON)
    for tries in range(1, TRIES + 2):
        consumer = office.consumer()
        wait_until(lambda tries=tries: office.parked() or len(office.tries()) >= tries, WAIT + 1.5)
        wait_until(lambda: office.desk.broker.depth(QUEUE)[1] == 0, 0.5)
        consumer.stop()
        if office.parked():
            break
    happened = f"it was tried {len(office.tries())} times, and is {'' if office.parked() else 'not '}parked"
    office.expect(
        "counts-in-memory",
        f"the consumer is replaced after each try: {TRIES} tries, then parked",
        office.parked() == 1 and len(office.tries()) == TRIES,
        happened,
    )


def _restarted(office):
    """The broker is restarted while the bad one waits for its second try."""
    if office.refused("not-kept"):
        return  # a queue that is gone has been reported
    office.publish("mail-3", _POISON)
    consumer = office.consumer()
    wait_until(lambda: office.tries() and (office.desk.broker.depth(QUEUE) == (0, 0) or len(office.tries()) > 1))
    consumer.stop()
    office.desk.broker.restart()
    left, mark = office.on_the_way() + office.parked(), office.desk.mark("publish")
    happened = "it is still there" if left else "it is nowhere"
    what = "the broker is restarted while a mail waits for its next try: it is still there"
    office.expect("waits-unkept", what, left > 0, happened, mark)


def _crash(office, at, die_after):
    """Killed after a step of try number ``at``; says whether there was such a step and all went well."""
    first = office.consumer(die_after, at)
    office.publish("mail-3", _POISON)
    limit = TRIES * WAIT + 2.0

    def is_over():
        """This try is, and nothing of it is on its way any more."""
        tries = len(office.tries())
        return tries > at or tries == at and not sum(office.desk.broker.depth(QUEUE)) and office.steps

    wait_until(lambda: not first.is_running or len(office.tries()) >= at, limit)
    wait_until(lambda: not first.is_running or is_over(), 1.0)
    if not wait_until(lambda: not first.is_running or len(office.steps) > die_after, 0.03):
        first.stop()
        return False
    wait_until(lambda: not first.is_running)
    wait_until(lambda: office.desk.broker.depth(QUEUE)[1] == 0)
    office.consumer()
    wait_until(office.is_over, limit)
    words = {"basic_publish": "it has published", "basic_ack": "the ack"}.get(
        office.steps[die_after], office.steps[die_after]
    )
    lost = not office.parked() and office.is_over()
    code = ("lost" if at == TRIES else "lost-before-waiting") if lost else "crash-loop"
    what = f"it dies at the {_TIMES[at]} try, after {words} (step {die_after + 1}): the mail is parked in the end"
    return office.expect(code, what, office.parked() >= 1, "it is nowhere" if lost else "it is not parked")
