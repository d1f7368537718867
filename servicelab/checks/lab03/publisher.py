"""Exercise 1, repair: a publisher that says "sent" of what the broker has, and of nothing else.

The broker is restarted, loses its power in the middle of a message, twice, refuses one, has no queue for one, and does
not come back. No stopwatch decides: what counts is what was said, and what is in the queue afterwards.
"""

import time
from contextlib import ExitStack
from itertools import pairwise
from statistics import median

from servicelab.checks.lab03.broker_stage import BrokerStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Aside, scenario, words
from servicelab.lifecycle import wait_until

QUEUE = "mails"
PAUSED, DEAD = 0.15, 0.2  # seconds
SHORT, LONG = 0.04, 0.24  # seconds from one try to the next: most take longer, one at least is quicker; 50 ms is asked
BACK = 1.5  # seconds of patience for a broker that comes back
PATIENCE = 0.6  # seconds, where it is known to be in vain
SLOW = 0.1  # seconds that it takes to hear that nobody is there, when the way is long

WORDS = words(f"""
no-bool: send says True or False within its patience, and raises nothing
    Of what are all of pika's errors a kind? Does every path through send end with one of the two, and every loop?
not-there: all is well: send says True, and the mails are in the queue as they were given
    Where do your mails go, and what do you make of their bodies?
left-open: close() leaves no connection open, and raises nothing, also when the broker is gone
    What becomes of a connection that you replace, and what can be closed of one that broke?
not-kept: the broker is restarted: the queue is still there, with the mails in it
    A queue and a message say each for itself whether it wants to be kept.
not-confirmed: send says True when the broker has the mail: not before, nor when it said no, or nothing
    Who says that bytes have arrived, and on which of your channels? What becomes of an exception on the way to your \
caller?
gave-up: the broker is back after {DEAD + PAUSED:g} s, your patience is {BACK:g} s: the mail is sent again
    A connection that broke stays broken. What belongs to a new one?
no-id: each mail carries the id that it was given, at each attempt
    Who gets a mail twice can tell by its id alone.
slip: there is no queue malis: send says False, and the next mail is sent, and only that, on each connection
    With which key did you publish, what does an exchange do with a mail for nobody, and how can you ask for it back? \
What is made of a no on the way to your caller?
full: the queue is declared as asked: it takes two mails and refuses the third, and send says False of it
    What does queue_declare get? And what is made of a no on the way to your caller?
pace: the broker is gone for good: send pauses for 50 ms between two tries, for its whole patience, and then says so
    How often do you knock at a door that is shut, and since when does your clock run?
""")


class Sender(BrokerStage):
    """The learner's publisher and its broker."""

    marked = ("publish", "open")
    slow = 0.0

    def connect(self):
        time.sleep(self.slow)
        return super().connect()

    def open(self, arguments=None, patience=BACK):
        self.given = []
        given = self.connect, QUEUE, arguments, patience
        self.publisher = self.make(self.yours, *given, methods=("send", "close"), keep=True)
        self.use(ExitStack()).callback(self.closed)  # a thread of the learner's own ends with it

    def send(self, key=QUEUE, limit=6.0) -> bool:
        """What send says of one more mail."""
        number = len(self.given) + 1
        self.given.append((f"mail-{number}", f"body {number}, \xe9\n".encode("latin-1")))
        outcome = self.ask.run(self.publisher.send, key, *self.given[-1], limit=limit, keep=True)
        self.returned = time.monotonic()
        if type(outcome.value) is not bool:
            self.refuse("no-bool", str(outcome))
        return outcome.value

    def held(self):
        """All that is in the queue: ``(id, body)`` of each. It is empty then."""
        return [(properties.message_id, body) for properties, body in self.taken(QUEUE)]

    def power_cut(self):
        """Send one mail, in the middle of which the broker stops reading, dies, and comes back. What send says, and
        whether the broker was back when it said so."""

        def cut():
            time.sleep(PAUSED)
            self.broker.kill()
            time.sleep(DEAD)
            back = time.monotonic()
            self.broker.restart()
            return back

        self.broker.pause()
        power = Aside(cut).start()
        try:
            said = self.send()
        finally:
            power.wait(10)
        if power.error:
            raise power.error
        return said, self.returned >= power.answer

    def closed(self):
        outcome = self.ask.run(self.publisher.close, keep=True)
        left = self.left_open()
        return "left-open", outcome.returned and not left, f"{left or 'no'} connections were left open, and {outcome}"


check_publisher = scenario("03", 1, "A publisher that tells the truth", WORDS, Publisher=Sender)
part = check_publisher.part


@part
def a_restart(s):
    s.open()
    said = [s.send() for _ in range(3)]
    wait_until(lambda: s.broker.depth(QUEUE)[0] >= 3, 1.5)
    there = s.broker.depth(QUEUE)[0]
    yield "not-there", all(said) and there == 3, f"it said {said}, and {there} mails are there"
    yield s.closed()
    s.broker.restart()
    left, is_there = s.broker.depth(QUEUE)[0], bool(s.broker.queues(QUEUE).rows)
    s.ask.trace.state(f"queue {QUEUE}", f"{left} ready, 0 unacked")  # of a queue that is gone the broker says nothing
    yield "not-kept", left == there, f"the queue is {'there' if is_there else 'gone'}, with {left} of {there} mails"
    held = s.held()
    yield "not-there", [body for _, body in held] == [body for _, body in s.given], f"the queue held {shown(held)}"


@part
def two_power_cuts(s):
    s.open({"x-max-length": 100})  # to be declared again as it is
    yield "not-there", s.send(), "all was well, and it said False"
    for _ in range(2):  # what was true of the first connection has to be true of the second
        said, was_back = s.power_cut()
        yield "not-confirmed", was_back or not said, "it said True before the broker was back"
        yield "gave-up", said, "it said False of a mail during which the broker was away for a while"
    yield "gave-up", s.send(), "the broker is back, and it said False of the next mail"
    held = s.held()
    yield "no-id", set(held) <= set(s.given), f"the queue holds {shown(held)}"
    yield "not-kept", set(held) == set(s.given), f"it said True of all mails; the queue holds {[id for id, _ in held]}"
    yield s.closed()


@part
def a_slip_of_the_pen(s):
    s.open()
    for connection in ("the first connection", "the next one"):
        slip, after, held = s.send("malis"), s.send(), s.held()
        told = (
            f"on {connection} it said {slip} of a mail for malis, {after} of one for {QUEUE}; there are {shown(held)}"
        )
        yield "slip", not slip and after and held == s.given[-1:], told
        s.broker.restart()


@part
def a_full_queue(s):
    s.open({"x-max-length": 2, "x-overflow": "reject-publish"}, PATIENCE)
    said, held = [s.send() for _ in range(3)], s.broker.depth(QUEUE)[0]
    told = f"there is room for two mails, and it holds {held}; it said {said}"
    yield "full", said == [True, True, False] and held == 2, told


@part
def a_broker_that_is_gone(s):
    s.open(None, PATIENCE)
    yield "not-there", s.send(), "all was well, and it said False"
    s.broker.kill()
    pauses = []
    for which, s.slow in ("first", 0), ("second", SLOW):
        before, began = len(s.attempts), time.monotonic()
        yield "not-confirmed", not s.send(limit=PATIENCE + 3), "it said True of a mail to nobody"
        took, tries = s.returned - began, s.attempts[before:]
        told = f"the {which} send took {took:.2f} s of its {PATIENCE} s, and tried to connect {len(tries)} times"
        told += f", {s.slow:g} s each" if s.slow else ""
        most = PATIENCE / (SHORT + s.slow) + 2  # and not how long it took: a busy machine tries less often, never more
        yield "pace", 0 < len(tries) < most and took > 0.8 * PATIENCE, told
        pauses += [later - earlier for earlier, later in pairwise(tries)]
    yield "pace", pauses and min(pauses) < LONG and median(pauses) > SHORT, told
    yield s.closed()
