"""Exercise 4, build: bounded retries with growing delays, and a place for what nobody can handle.

A poison message among healthy ones; two of them, of which one waits longer; consumers that are replaced between two
tries; a broker that is restarted between two tries; a consumer that is killed after each of its steps in turn, at the
first try and at the last. Delays are compared with the pause that was asked for, generously.
"""

import itertools
import time
from functools import wraps

import pika

from servicelab.checks.lab03.broker_stage import BrokerStage, last_words, wait_until
from servicelab.checks.scenario import scenario, words

QUEUE, PARKED = "mails", "mails.parked"
WAITS = (0.1, 0.2)  # seconds between two tries
LONG = (0.1, 0.9)  # where one that waits long must not hold up another
MANY = 12  # tries after which nobody needs to see more
MOST_STEPS = 3  # of a try: publish, acknowledge, and one to spare
_WHY = "customer3 is no address"

WORDS = words(f"""
no-queues: declare(channel) declares {QUEUE} and {PARKED}
    Which names are there, and what did the broker say to your arguments? It counts time in whole milliseconds.
healthy: mails that can be sent are sent once each, and acknowledged
    What follows when send has returned?
dies: whatever send raises, the consumer lives
    Which exceptions does your except let through?
no-delay: after the first failure waits[0] seconds pass before the next try, after the second waits[1]
    Where does a message wait that is put back, and for how long?
held-up: the mails behind a bad one are sent meanwhile
    Who does the waiting: the message, or your consumer?
head-of-line: one that waits for {LONG[1]:g} s does not hold up another that waits for {LONG[0]:g} s
    From which end does a queue let go of what has waited long enough?
no-retry, too-few, unbounded: there is one try more than there are waits, and then it is parked
    What counts the tries, and what does one time round add to that? Where does the number of tries come from?
not-parked: after the last try it is in {PARKED}
    What becomes of a mail after its last try?
goes-round: … and nothing of it is anywhere else, nor comes again
    One message, one end: what have you told the broker about the one that you hold?
no-reason: … with the text of the last exception in the header why
    The person who looks at it tomorrow has nothing else.
no-id: … with its id and its body
    What do the properties that you publish it with hold?
not-kept: … in a way that lasts, and survives a restart: it, and all your queues
    Which of them would not be there tomorrow, or after a restart: a queue, or a message in it?
declared-away: each new process declares again, and what is in the queues stays there
    What does your declare do to queues that are there already?
counts-in-memory: the consumer is replaced after each try: the tries are counted all the same
    The count dies with the process. What does not?
waits-unkept: the broker is restarted while a mail waits for its next try: it is still there
    What is published into a queue says itself whether it wants to be kept.
lost-before-waiting: it dies at a try that fails, after any of its steps: the mail is parked in the end
    Whose message is it between two of your steps? Which of them comes first?
lost: it dies at the last try, after any of its steps: the mail is parked in the end
    Whose message is it between two of your steps? Which of them comes first?
""")


class PostOffice(BrokerStage):
    """The learner's queues, one of their consumers after another, and what ``send`` was called with."""

    def open(self, waits=WAITS):
        """A process that declares the queues."""
        self.waits, self.sent, self.steps, self.number, self.begun = waits, [], [], 0, 0  # sent: (body, began, ended)
        self.out = self.connect().channel()
        self.declare()
        rows = [row[0] for row in self.broker.queues().rows]
        if QUEUE not in rows or PARKED not in rows:
            self.refuse("no-queues", f"there are: {', '.join(rows) or 'no queues'}")

    def declare(self):
        """A new object of the learner's that has declared."""
        mailer = self.make(self.yours, self.send, self.waits, methods=("declare", "on_message"), keep=True)
        outcome = self.ask.run(mailer.declare, self.connect().channel(), keep=True)
        if not outcome.returned:
            self.refuse("no-queues", str(outcome))
        return mailer

    def send(self, body):
        """What learners are given: sends, or raises something."""
        began = time.monotonic()
        self.begun += 1
        time.sleep(0.002)
        self.sent.append((bytes(body), began, time.monotonic()))
        if not body.endswith(b"@shop.example"):
            raise LookupError(_WHY) if len(self.tries(body)) > 1 else ConnectionError("the mail server is away")

    def publish(self, number, body):
        kept = pika.BasicProperties(message_id=f"mail-{number}", delivery_mode=2)
        self.out.basic_publish("", QUEUE, body, kept)

    def start(self, die_after=None, at=None):
        """A started consumer, after it has declared; with ``at`` its steps during this try count, and it dies after so
        many."""
        self.number += 1
        mailer, counted = self.declare(), []

        def stepping(act, name):
            @wraps(act)
            def step(*args, **more):
                act(*args, **more)
                if self.trying == at:  # also before it has sent anything
                    self.steps.append(name)
                    if len(self.steps) - 1 == die_after:
                        consumer.crash()

            return step

        def handle(channel, method, properties, body):
            if not counted:
                for name in ("basic_publish", "basic_ack", "basic_nack", "basic_reject"):
                    setattr(channel, name, stepping(getattr(channel, name), name))
                counted.append(True)
            self.trying = len(self.tries()) + 1
            if len(self.sent) < 100:  # what has gone round so often has shown what it does
                mailer.on_message(channel, method, properties, body)

        consumer = self.consumer(QUEUE, handle, f"notification {self.number}", prefetch=1)
        return consumer

    def tries(self, body=b"customer3"):
        return [(began, ended) for what, began, ended in list(self.sent) if what == body]

    def parked(self):
        return self.broker.depth(PARKED)[0]

    def on_the_way(self):
        """Messages in all queues but the one where they are parked."""
        return sum(row[1] + row[2] for row in self.broker.queues().rows if row[0] != PARKED)

    def is_quiet(self):
        """Is nothing on its way? What goes from a queue into the next while it is counted is in neither: so it is
        counted twice."""
        if self.on_the_way():
            return False
        time.sleep(0.01)
        return not self.on_the_way() and self.begun == len(self.sent)

    def ended(self, consumer):
        """Wait until the bad one is parked, or nothing, or too much, has become of it: ``(code, passed, told)``."""
        limit = sum(self.waits) + 2.0
        is_over = lambda: self.parked() or len(self.tries()) > MANY or not consumer.is_running or self.is_quiet()  # noqa: E731
        wait_until(is_over, limit)
        tries, wanted = len(self.tries()), len(self.waits) + 1
        told = f"it was tried {tries} times, and is {'' if self.parked() else 'not '}parked{last_words(consumer)}"
        if tries > wanted or not consumer.is_running:
            return "unbounded" if consumer.is_running else "dies", False, told
        if tries == wanted or not self.parked():
            return "not-parked", self.parked() > 0, told
        return "no-retry" if tries == 1 else "too-few", False, told

    def dies(self, at, die_after):
        """Killed after a step of try number ``at``: which step it was, and where the mail is in the end; None when it
        has not so many."""
        first = self.start(die_after, at)
        self.publish(3, b"customer3")

        def is_over():
            """This try is, and nothing of it is on its way any more."""
            tries = len(self.tries())
            return tries > at or tries == at and self.steps and self.is_empty(QUEUE)

        wait_until(lambda: not first.is_running or is_over(), sum(self.waits) + 2.0)
        if not wait_until(lambda: not first.is_running or len(self.steps) > die_after, 0.03):
            return None
        wait_until(lambda: not first.is_running)
        wait_until(lambda: self.broker.depth(QUEUE)[1] == 0)
        self.start()
        wait_until(lambda: self.parked() or self.is_quiet(), sum(self.waits) + 2.0)
        return self.steps[die_after]


check_mailer = scenario("03", 4, "A message that nobody can handle", WORDS, Mailer=PostOffice)
part = check_mailer.part


@part
def good_mails(office):
    office.open()
    consumer = office.start()
    for number in range(3):
        office.publish(number, f"customer{number}@shop.example".encode())
    wait_until(lambda: len(office.sent) >= 3 and office.is_quiet(), 1.5)
    happened = f"{len(office.sent)} were sent, {office.on_the_way()} are still in a queue, {office.parked()} parked"
    right = len(office.sent) == 3 and not office.on_the_way() and not office.parked()
    yield "healthy", right, happened + last_words(consumer)


@part
def a_bad_one(office):
    office.open()
    office.publish(3, b"customer3")
    office.declare()
    yield "declared-away", office.broker.depth(QUEUE)[0] == 1, f"{QUEUE} held one, and holds none after another declare"
    consumer = office.start()
    code, right, told = office.ended(consumer)
    if code == "dies":
        yield code, right, told
    tries = office.tries()
    gaps = [later[0] - earlier[1] for earlier, later in zip(tries, tries[1:])]
    paused = f"pauses of {', '.join(f'{gap:.2f}' for gap in gaps[:4])} s; waits are {office.waits}"
    yield "no-delay", all(gap > 0.8 * wait for gap, wait in zip(gaps, office.waits)), paused
    yield code, right, told
    mark, office.last = office.last, office.mark("publish")
    quiet = wait_until(office.is_quiet, 0.5)
    yield "goes-round", quiet and office.parked() == 1, f"{office.parked()} are parked, {office.on_the_way()} go round"
    consumer.stop()
    office.declare()
    yield "declared-away", office.parked() == 1, f"{PARKED} held one, and holds none after another declare"
    plain = [row[0] for row in office.broker.queues().rows if not row[-1]]
    _, properties, body = office.channel().basic_get(PARKED, auto_ack=True)
    why = str((properties.headers or {}).get("why", ""))
    yield "no-reason", _WHY in why, f"why is {why!r}"
    same = properties.message_id == "mail-3" and body == b"customer3"
    yield "no-id", same, f"id {properties.message_id!r}, body {body!r}"
    lasts = properties.delivery_mode == 2 and not properties.expiration
    told = f"delivery_mode is {properties.delivery_mode}, expiration {properties.expiration}; plain queues: {plain}"
    yield "not-kept", lasts and not plain, told
    office.last = mark


@part
def without_waits(office):
    office.open(())
    office.channel().basic_publish("", QUEUE, b"customer3")  # and without properties
    yield office.ended(office.start())


@part
def two_bad_ones(office):
    office.open(LONG)
    office.start()
    office.publish(3, b"customer3")
    wait_until(lambda: len(office.tries()) >= 2, LONG[0] + 2)
    office.publish(4, b"customer4")
    wait_until(lambda: len(office.tries(b"customer4")) >= 2 or len(office.tries()) >= 4, 2 * LONG[1] + 2)
    first, other = office.tries(), office.tries(b"customer4")
    yield "no-retry", len(first) > 1, f"another mail than before was tried once; {office.parked()} are parked"
    waited = other[0][0] - first[1][1] if other else LONG[1]
    yield "held-up", waited < LONG[1] / 2, f"the mail behind the bad one was tried {waited:.2f} s later"
    late = len(other) < 2 or len(first) > 2 and first[2][0] < other[1][0]
    yield "head-of-line", not late, "the third try of the first came before the second try of the other"


@part
def replaced_after_each_try(office):
    office.open((0.05,) * 3)
    office.publish(3, b"customer3")
    for tries in range(1, 6):
        consumer = office.start()
        wait_until(lambda tries=tries: len(office.tries()) >= tries or office.is_quiet(), 2.0)
        wait_until(lambda: office.broker.depth(QUEUE)[1] == 0, 0.5)
        consumer.stop()
        gone = not office.parked() and office.is_quiet()
        yield "declared-away", not gone, f"after {len(office.tries())} tries the mail is nowhere"
        if office.parked():
            break
    told = f"it was tried {len(office.tries())} times, and is {'' if office.parked() else 'not '}parked"
    code = "too-few" if len(office.tries()) < 4 else "counts-in-memory"
    yield code, office.parked() == 1 and len(office.tries()) == 4, f"{told}; there are 3 waits"


@part
def a_restart_while_it_waits(office):
    office.open((0.3,))
    office.publish(3, b"customer3")
    consumer = office.start()
    wait_until(lambda: office.tries() and (office.is_empty(QUEUE) or len(office.tries()) > 1))
    consumer.stop()
    office.last = office.mark("publish")
    office.broker.restart()
    left = office.on_the_way() + office.parked()
    yield "waits-unkept", left > 0, "it is nowhere"


def _killed(office, code, *tries):
    for at, die_after in itertools.product(tries, range(MOST_STEPS)):
        with office.ask.new_trace():
            one = PostOffice(office.ask, office.yours)
            one.open((0.05, 0.05))
            step = one.dies(at, die_after)
            office.last = one.last
            if step is not None:
                happened = f"it died at try {at}, after {step} (step {die_after + 1}), and the mail is not parked"
                yield code, one.parked() >= 1, happened


@part
def killed_on_the_way_to_wait(office):
    yield from _killed(office, "lost-before-waiting", 1, 2)


@part
def killed_at_the_last_try(office):
    yield from _killed(office, "lost", 3)
