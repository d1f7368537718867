"""Exercise 4, build: bounded retries with growing delays, and a place for what nobody can handle.

A poison message among healthy ones; two of them, of which one waits longer; a broker that is restarted while one waits;
a consumer that is replaced after each try, and one that is killed after each of its steps in turn. Delays are compared
with the pause that was asked for, generously.
"""

import time

import pika

from servicelab.checks.lab03.broker_stage import MANY, BrokerStage, last_words
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import wait_until

QUEUE, PARKED = "mails", "mails.parked"
WAITS = (0.1, 0.2)  # seconds between two tries
LONG = (0.1, 0.9)  # where one that waits long must not hold up another
MOST_TRIES = 12  # after which nobody needs to see more
BAD, OTHER = b"customer3 \xff", b"customer4"  # the first is no text: a body is bytes
_WHY = "customer3 is no address"

WORDS = words(f"""
no-queues: declare(channel) declares {QUEUE} and {PARKED}
    Which names are there, and what did the broker say to your arguments? It counts time in whole milliseconds.
healthy: mails that can be sent are sent once each, and acknowledged
    What follows when send has returned?
dies: whatever send raises, the consumer lives
    Which exceptions does your except let through?
tries: there is one try more than there are waits, also when the consumer is replaced after each
    What counts the tries, where does that stand when a process ends, and what does one time round add to it?
parked: after the last try it is in {PARKED}, once, and nowhere else
    One message, one end: what becomes of it, and what have you told the broker about the one that you hold?
no-delay: after the first failure waits[0] seconds pass before the next try, after the second waits[1]
    Where does a message wait that is put back, and for how long?
held-up: the mails behind a bad one are sent meanwhile
    Who does the waiting: the message, or your consumer?
head-of-line: one that waits for {LONG[1]:g} s does not hold up another that waits for {LONG[0]:g} s
    From which end does a queue let go of what has waited long enough?
no-note: what is parked has its id and its body, and the text of the last exception in the header why
    What do the properties that you publish it with hold?
not-kept: … in a way that lasts, and survives a restart: it, what waits, and all your queues
    Which of them would not be there tomorrow, or after a restart: a queue, or a message in it?
declared-away: each new process declares again, and what is in the queues stays there
    What does your declare do to queues that are there already?
lost: it dies after any of its steps: the mail is parked in the end
    Whose message is it between two of your steps? Which of them comes first?
""")


class PostOffice(BrokerStage):
    """The learner's queues, one of their consumers after another, and what ``send`` was called with."""

    def __init__(self, ask, kind):
        super().__init__(ask, kind)
        self.waits, self.sent, self.begun = WAITS, [], 0  # sent: (body, began, ended)
        self.out = self.channel("orders", ask.trace)

    def declare(self):
        """A new object of the learner's that has declared."""
        mailer = self.make(self.yours, self.send, self.waits, methods=("declare", "on_message"), keep=True)
        outcome = self.ask.run(mailer.declare, self.connect().channel(), keep=True)
        rows = [row[0] for row in self.broker.queues().rows]
        if not {QUEUE, PARKED} <= set(rows) or not outcome.returned:
            self.refuse("no-queues", f"there are: {', '.join(rows) or 'no queues'}; {outcome}")
        return mailer

    def start(self, *bodies):
        """A started consumer, after it has declared, and these mails."""
        mailer = self.declare()

        def handle(*message):
            if len(self.sent) < MANY:  # what has gone round so often has shown what it does
                mailer.on_message(*message)

        self.consume(QUEUE, handle, "notification", 1)
        self.publish(*bodies)

    def send(self, body):
        """What learners are given: sends, or raises something."""
        began = time.monotonic()
        self.begun += 1
        time.sleep(0.002)
        self.sent.append((bytes(body), began, time.monotonic()))
        if not body.endswith(b"@shop.example"):
            raise LookupError(_WHY) if len(self.tries(body)) > 1 else ConnectionError("the mail server is away")

    def publish(self, *bodies):
        for body in bodies:
            kept = pika.BasicProperties(message_id=f"id of {body}", delivery_mode=2)
            self.out.basic_publish("", QUEUE, body, kept)

    def tries(self, body=BAD):
        return [(began, ended) for what, began, ended in list(self.sent) if what[:9] == body[:9]]

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

    def at_the_end(self):
        """Wait until the bad one is parked, or nothing, or too much, has become of it: how it stands."""

        def is_over():
            return self.parked() or len(self.tries()) > MOST_TRIES or self.is_quiet()

        wait_until(lambda: not self.current.is_running or is_over(), sum(self.waits) + 2.0)
        parked = "parked" if self.parked() else "not parked"
        return f"it was tried {len(self.tries())} times, and is {parked}{last_words(self.current)}"

    def is_done(self):
        """All its tries, and parked."""
        told = f"{self.at_the_end()}; there are {len(self.waits)} waits"
        yield "dies", self.current.is_running, told
        yield "tries", len(self.tries()) == len(self.waits) + 1, told
        yield "parked", self.parked() > 0, told


check_mailer = scenario("03", 4, "A message that nobody can handle", WORDS, Mailer=PostOffice)
part = check_mailer.part


@part
def good_mails_and_a_bad_one(office):
    office.start(*(b"customer%d@shop.example" % number for number in range(3)))
    wait_until(lambda: len(office.sent) >= 3 and office.is_quiet(), 1.5)
    told = f"{len(office.sent)} were sent, {office.on_the_way()} are still in a queue, {office.parked()} parked"
    right = len(office.sent) == 3 and not office.on_the_way() and not office.parked()
    yield "healthy", right, told + last_words(office.current)
    office.publish(BAD)
    yield from office.is_done()
    parked, tries = office.taken(PARKED), office.tries()
    yield "not-kept", parked, "it was parked, and is not there any more"
    gaps = [later[0] - earlier[1] for earlier, later in zip(tries, tries[1:])]
    paused = f"pauses of {', '.join(f'{gap:.2f}' for gap in gaps)} s; waits are {office.waits}"
    yield "no-delay", all(gap > 0.8 * wait for gap, wait in zip(gaps, office.waits)), paused
    office.marked = ("publish",)
    quiet, count = wait_until(office.is_quiet, 0.5), len(parked) + office.parked()
    yield "parked", quiet and count == 1, f"{count} are parked, {office.on_the_way()} go round"
    ((note, body),) = parked
    why = str((note.headers or {}).get("why", ""))
    told = f"its id is {note.message_id!r}, its body {body!r}, why is {why!r}"
    yield "no-note", _WHY in why and (note.message_id, body) == (f"id of {BAD}", BAD), told
    plain = [row[0] for row in office.broker.queues().rows if not row[-1]]
    told = f"delivery_mode is {note.delivery_mode}, expiration {note.expiration}; plain queues: {plain}"
    yield "not-kept", note.delivery_mode == 2 and not note.expiration and not plain, told
    office.out.basic_publish("", PARKED, body)
    office.current.stop()
    office.declare()
    yield "declared-away", office.parked() == 1, f"{PARKED} held one, and holds none after another declare"


@part
def without_waits(office):
    office.waits = ()
    office.start()
    office.channel().basic_publish("", QUEUE, BAD)  # and without properties
    yield from office.is_done()


@part
def two_bad_ones(office):
    office.waits = LONG
    office.start(BAD)
    wait_until(lambda: len(office.tries()) >= 2, LONG[0] + 2)
    office.publish(OTHER)
    wait_until(lambda: len(office.tries(OTHER)) >= 2 or len(office.tries()) >= 4, 2 * LONG[1] + 2)
    first, other = office.tries(), office.tries(OTHER)
    yield "tries", len(first) > 1, f"another mail than before was tried once; {office.parked()} are parked"
    waited = other[0][0] - first[1][1] if other else LONG[1]
    yield "held-up", waited < LONG[1] / 2, f"the mail behind the bad one was tried {waited:.2f} s later"
    late = len(other) < 2 or len(first) > 2 and first[2][0] < other[1][0]
    yield "head-of-line", not late, "the third try of the first came before the second try of the other"


@part
def replaced_after_each_try(office):
    office.waits, office.marked = (0.3,) * 3, ("publish",)
    office.declare()
    office.publish(BAD)
    for number in range(1, 5):
        office.start()
        wait_until(lambda number=number: len(office.tries()) >= number or office.is_quiet(), 2.0)
        told = f"after {len(office.tries())} tries, and before the next one, it is nowhere"
        yield "declared-away", len(office.tries()) >= number or office.parked(), f"{told}: a new process had declared"
        wait_until(lambda: office.broker.depth(QUEUE)[1] == 0, 0.5)
        if number < 4:
            office.current.stop()
        if number == 1:
            office.broker.restart()
            yield "not-kept", office.on_the_way() or office.parked(), f"{told}: the broker was restarted"
    yield from office.is_done()


@part
def killed_after_each_step(office):
    for one in office.deaths():
        one.waits = (0.05, 0.05)
        one.start(BAD)
        one.at_the_end()
        wait_until(lambda one=one: one.broker.depth(QUEUE)[1] == 0)
        one.start()
        told = one.at_the_end()
        yield "lost", one.parked() > 0, f"{one.died}; {told}"
