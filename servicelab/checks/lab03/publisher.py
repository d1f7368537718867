"""Exercise 1, repair: a publisher that says "sent" of what the broker has, and of nothing else.

The broker is restarted, loses its power in the middle of a message, twice, refuses one, has no queue for one, and does
not come back. No stopwatch decides: what counts is what was said, and what is in the queue afterwards.
"""

import threading
import time
from contextlib import ExitStack

from servicelab.checks.lab03.broker_stage import BrokerStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import wait_until

QUEUE = "mails"
PAUSED, DEAD = 0.15, 0.2  # seconds
FEW, MANY = 4, 25  # tries to connect in PATIENCE; with a pause of 50 ms there are 12
BACK = 1.5  # seconds of patience for a broker that comes back
PATIENCE = 0.6  # seconds, where it is known to be in vain

WORDS = words(f"""
raises, no-bool, hangs: send says True or False within its patience, and raises nothing
    Of what are all of pika's errors a kind? Does every path through send end with one of the two, and every loop?
not-there: all is well: send says True, and the mails are in the queue as they were given
    Where do your mails go, and what do you make of their bodies?
not-kept: the broker is restarted: the queue is still there, with the mails in it
    A queue and a message say each for itself whether it wants to be kept.
not-confirmed: send says True when the broker has the mail: not before, nor when it said no, or nothing
    Who says that bytes have arrived, and on which of your channels? What becomes of an exception on the way to your \
caller?
gave-up: the broker is back after {DEAD + PAUSED:g} s, your patience is {BACK:g} s: the mail is sent again, and is there
    A connection that broke stays broken. What belongs to a new one?
no-id: each mail carries the id that it was given, at each attempt
    Who gets a mail twice can tell by its id alone.
not-mandatory, wrong-key, after-slip: there is no queue malis: send says False, and the next mail is sent, and only that
    With which key did you publish, and what does an exchange do with a mail for nobody? How can you ask for it back?
arguments, full: the queue is declared as asked: it takes two mails and refuses the third, and send says False of it
    What does queue_declare get? And what is made of a no on the way to your caller?
pace, patience: the broker is gone for good: send pauses for 50 ms between two tries, for its whole patience each time
    How often do you knock at a door that is shut, and since when does your clock run?
left-open, close-raises: close() leaves no connection open, and raises nothing, also when the broker is gone
    What becomes of a connection that you replace, and what can be closed of one that broke?
""")


class Sender(BrokerStage):
    """The learner's publisher and its broker."""

    marked = ("publish", "open")

    def open(self, arguments=None, patience=BACK):
        self.given = []
        given = self.connect, QUEUE, arguments, patience
        self.publisher = self.make(self.yours, *given, methods=("send", "close"), keep=True)
        self.use(ExitStack()).callback(self.close_yours)  # a thread of the learner's own ends with it

    def send(self, key=QUEUE, limit=6.0) -> bool:
        """What send says of one more mail."""
        number = len(self.given) + 1
        self.given.append((f"mail-{number}", f"body {number}, \xe9\n".encode("latin-1")))
        outcome = self.ask.run(self.publisher.send, key, *self.given[-1], limit=limit, keep=True)
        self.returned = time.monotonic()
        if not outcome.returned:
            self.refuse("hangs" if outcome.how == "time-limit" else "raises", str(outcome))
        if type(outcome.value) is not bool:
            self.refuse("no-bool", f"it returned {shown(outcome.value)}")
        return outcome.value

    def held(self):
        """All that is in the queue: ``(id, body)`` of each. It is empty then."""
        return [(properties.message_id, body) for properties, body in self.taken(QUEUE)]

    def answered(self, start) -> bool:
        """Did the broker say so: "return", "confirm nack"?"""
        return any(message.label.startswith(start) for message in self.ask.trace.messages)

    def power_cut(self):
        """Send one mail, in the middle of which the broker stops reading, dies, and comes back: what send says, and
        whether it said so too early."""
        moments = []

        def cut():
            for pause, step in ((PAUSED, self.broker.kill), (DEAD, self.broker.restart)):
                time.sleep(pause)
                moments.append(time.monotonic())
                step()

        self.broker.pause()
        power = threading.Thread(target=cut, name="servicelab check", daemon=True)
        power.start()
        try:
            said = self.send()
        finally:
            power.join(10)
        died, back = moments
        told = f"it said {said} {'before the broker died' if self.returned < died else 'while it was dead'}"
        return said, ("not-confirmed", not said or self.returned >= back, told)

    def close_yours(self):
        outcome = self.ask.run(self.publisher.close, keep=True)
        return "close-raises", outcome.returned, str(outcome)


check_publisher = scenario("03", 1, "A publisher that tells the truth", WORDS, go_on=True, Publisher=Sender)
part = check_publisher.part


@part
def a_restart(s):
    s.open()
    said = [s.send() for _ in range(3)]
    wait_until(lambda: s.broker.depth(QUEUE)[0] >= 3, 1.5)
    there = s.broker.depth(QUEUE)[0]
    yield "not-there", all(said) and there == 3, f"it said {said}, and {there} mails are there"
    yield s.close_yours()
    yield s.all_closed()
    s.broker.restart()
    left, is_there = s.broker.depth(QUEUE)[0], bool(s.broker.queues(QUEUE).rows)
    s.ask.trace.state(f"queue {QUEUE}", f"{left} ready, 0 unacked")  # of a queue that is gone the broker says nothing
    yield "not-kept", left == there, f"the queue is {'there' if is_there else 'gone'}, with {left} of {there} mails"
    held = s.held()
    yield "not-there", [body for _, body in held] == [body for _, body in s.given], f"the queue held {shown(held)}"


@part
def two_power_cuts(s):
    s.open()
    yield "not-there", s.send(), "all was well, and it said False"
    cuts = []
    for _ in range(2):  # what was true of the first connection has to be true of the second
        said, honest = s.power_cut()
        yield honest
        cuts.append((said, s.given[-1]))
    s.send()
    held = s.held()
    yield "no-id", set(held) <= set(s.given), f"the queue holds {shown(held)}"
    first, second = (said and mail in held for said, mail in cuts)
    code = "not-kept" if second and cuts[0][0] else "gave-up"  # it was sent again, and lost at the second cut
    told = (
        f"of the mails during the cuts it said {[said for said, _ in cuts]}; the queue holds {[id for id, _ in held]}"
    )
    yield code, first and second and s.given[-1] in held, told
    yield "not-mandatory", not s.send("malis"), "the broker is back, and it said True of a mail for malis"
    yield s.close_yours()
    yield s.all_closed()


@part
def a_slip_of_the_pen(s):
    s.open()
    slip = s.send("malis")
    wait_until(lambda: s.answered("return") or s.broker.depth(QUEUE)[0], 0.5)
    yield "wrong-key", not s.held(), f"the mail for malis is in {QUEUE}"
    told = f"it said True, and the broker {'gave the mail back' if s.answered('return') else 'dropped the mail'}"
    yield "not-confirmed" if s.answered("return") else "not-mandatory", not slip, told
    after = s.send()
    held = s.held()
    yield "after-slip", after and len(held) == 1, f"it said {after} of the next one; the queue holds {held}"


@part
def a_full_queue(s):
    s.open({"x-max-length": 2, "x-overflow": "reject-publish"}, PATIENCE)
    said = [s.send() for _ in range(3)]
    wait_until(lambda: s.broker.depth(QUEUE)[0] >= 2, 1)
    held = s.broker.depth(QUEUE)[0]
    yield "arguments", held <= 2, f"there is room for two, and it holds {held}"
    code = "full" if s.answered("confirm nack") else "not-confirmed"
    yield code, said == [True, True, False], f"there is room for two mails; it said {said}"


@part
def a_broker_that_is_gone(s):
    s.open(None, PATIENCE)
    yield "not-there", s.send(), "all was well, and it said False"
    s.broker.kill()
    for code in ("pace", "patience"):
        before = s.attempts
        yield "not-confirmed", not s.send(limit=PATIENCE + 3), "it said True of a mail to nobody"
        tries = s.attempts - before
        yield code, FEW <= tries <= MANY, f"in {PATIENCE} s it tried to connect {tries} times"
    yield s.close_yours()
