"""Exercise 1, repair: a publisher that says "sent" of what the broker has, and of nothing else.

The broker is restarted, loses its power in the middle of a message, twice, refuses one, has no queue for one, and does
not come back. No stopwatch decides: what counts is what was said, and what is in the queue afterwards.
"""

import threading
import time
from contextlib import ExitStack

from servicelab.checks.lab03.broker_stage import BrokerStage, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

QUEUE = "mails"
PAUSED, DEAD = 0.15, 0.2  # seconds
FEW, MANY = 4, 25  # tries to connect in PATIENCE; with a pause of 50 ms there are 12
BACK = 1.5  # seconds of patience for a broker that comes back
PATIENCE = 0.6  # seconds, where it is known to be in vain

WORDS = words(f"""
raises: send says True or False, and raises nothing
    Which of pika's errors get out? Of what are they all a kind?
no-bool: … and says nothing else
    Does every path through send end with one of the two?
hangs: … within its patience
    What ends the loop that tries again?
not-there: all is well: send says True, and the mails are in the queue as they were given
    Where do your mails go, and what do you make of their bodies?
queue-not-durable: the broker is restarted: the queue is still there
    The queue itself was forgotten. What does queue_declare say about that?
message-transient: … with the mails in it
    The queue was there again, and empty. A message says itself whether it wants to be kept.
not-confirmed: send does not say True before the broker has the mail
    To publish is to hand bytes to the operating system. Who says that they have arrived, and on which of your channels?
swallowed: … nor when the broker said no, or nothing
    What becomes of an exception on the way to your caller? After one, nobody knows whether the mail is there.
gave-up: the broker is back after {DEAD + PAUSED:g} s, your patience is {BACK:g} s: the mail is sent again, and is there
    A connection that broke stays broken. What belongs to a new one?
no-id: each mail carries the id that it was given, at each attempt
    Who gets a mail twice can tell by its id alone.
not-mandatory: there is no queue malis: send says False
    An exchange drops what it has no queue for, and confirms that. How can you ask for it back?
wrong-key: … and nothing is sent to another queue
    Which key did you publish it with?
after-slip: … and the next mail, well addressed, is sent
    Only that one was bad.
arguments: the queue is declared with the arguments that are given
    What does queue_declare get?
full: the queue takes two mails and refuses the third: send says False of that one
    The broker has said no. What is made of it on the way to your caller?
pace: the broker is gone for good: send pauses for 50 ms between two attempts
    A broker that gets up has enough to do; and when it is up, your caller has waited long enough.
patience: … and has its whole patience for the next mail, too
    Since when does your clock run?
left-open: close() leaves no connection open
    What becomes of a connection that you replace?
close-raises: close() raises nothing, also when the broker is gone
    What can be closed of a connection that broke?
""")


class Sender(BrokerStage):
    """The learner's publisher and its broker."""

    marked = ("publish", "open")

    def open(self, arguments=None, patience=BACK):
        self.number, self.given = 0, []
        given = self.connect, QUEUE, arguments, patience
        self.publisher = self.make(self.yours, *given, methods=("send", "close"), keep=True)
        self.use(ExitStack()).callback(self.close_yours)  # a thread of the learner's own ends with it

    def send(self, key=QUEUE, limit=6.0) -> bool:
        """What send says of one more mail."""
        self.number += 1
        mail = f"mail-{self.number}", f"body {self.number}, \xe9\n".encode("latin-1")
        self.given.append(mail)
        outcome = self.ask.run(self.publisher.send, key, *mail, limit=limit, keep=True)
        self.returned = time.monotonic()
        if not outcome.returned:
            self.refuse("hangs" if outcome.how == "time-limit" else "raises", str(outcome))
        if type(outcome.value) is not bool:
            self.refuse("no-bool", f"it returned {shown(outcome.value)}")
        return outcome.value

    def answered(self, start) -> bool:
        """Did the broker say so: "return", "confirm nack"?"""
        return any(message.label.startswith(start) for message in self.ask.trace.messages)

    def power_cut(self):
        """Send one mail, in the middle of which the broker stops reading, dies, and comes back: what send says, and
        how it went with the truth until then."""
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
        self.last = self.mark("publish")
        died, back = moments
        early = said and self.returned < back
        words = f"it said {said} {'before the broker died' if self.returned < died else 'while it was dead'}"
        return said, "not-confirmed" if self.returned < died else "swallowed", not early, words

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
    durable = bool((s.queue(QUEUE) or [False])[-1])
    there = s.broker.depth(QUEUE)[0]
    yield "not-there", all(said) and there == 3, f"it said {said}, and {there} mails are there"
    yield s.close_yours()
    yield "left-open", not s.left_open, f"{s.left_open} were left open"
    s.broker.restart()
    left = s.broker.depth(QUEUE)[0]
    s.ask.trace.state(f"queue {QUEUE}", f"{left} ready, 0 unacked")  # of a queue that is gone the broker says nothing
    yield "queue-not-durable", durable, f"it is gone, and {there} mails with it"
    yield "message-transient", left == there, f"{left} of {there} are there"
    found = s.bodies(QUEUE)
    yield "not-there", [body for _, body in found] == [body for _, body in s.given], f"the queue held {shown(found)}"


@part
def two_power_cuts(s):
    s.open()
    yield "not-there", s.send(), "all was well, and it said False"
    cuts = []
    for _ in range(2):  # what was true of the first connection has to be true of the second
        said, code, honest, happened = s.power_cut()
        yield code, honest, happened
        cuts.append((said, s.number))
    s.send()
    found = s.bodies(QUEUE)
    ids = [id for id, _ in found]
    yield "no-id", set(found) <= set(s.given), f"the queue holds {shown(found)}"
    durable, there = s.queue(QUEUE)[-1], [said and f"mail-{number}" in ids for said, number in cuts]
    lost = (
        "message-transient" if durable else "queue-not-durable"
    )  # sent on the second connection, before the second cut
    code = lost if there[1] and cuts[0][0] else "gave-up"
    told = f"of the mails during the cuts it said {[said for said, _ in cuts]}; the queue holds {ids}"
    yield code, all(there) and f"mail-{s.number}" in ids, told
    slip = s.send("malis")
    yield "not-mandatory" if not s.answered("return") else "swallowed", not slip, "the broker is back; it said True"
    yield s.close_yours()
    yield "left-open", not s.left_open, f"{s.left_open} were left open"


@part
def a_slip_of_the_pen(s):
    s.open()
    slip, s.last = s.send("malis"), s.mark("publish")
    after = s.send()
    wait_until(lambda: s.broker.depth(QUEUE)[0], 1)  # by then it has dealt with the first, too
    found = s.bodies(QUEUE)
    yield "wrong-key", len(found) < 2, f"the mail for malis is in {QUEUE}"
    returned = s.answered("return")
    code = "not-mandatory" if not returned else "swallowed" if s.answered("confirm") else "not-confirmed"
    yield code, not slip, f"it said True, and the broker {'gave the mail back' if returned else 'dropped the mail'}"
    yield "after-slip", after and len(found) == 1, f"it said {after}; the queue holds {found}"


@part
def a_full_queue(s):
    s.open({"x-max-length": 2, "x-overflow": "reject-publish"}, PATIENCE)
    said = [s.send() for _ in range(3)]
    wait_until(lambda: s.broker.depth(QUEUE)[0] >= 2, 1)
    held = s.broker.depth(QUEUE)[0]
    yield "arguments", held <= 2, f"there is room for two, and it holds {held}"
    yield (
        "full" if s.answered("confirm nack") else "not-confirmed",
        said == [True, True, False],
        f"there is room for two mails; it said {said}",
    )


@part
def a_broker_that_is_gone(s):
    s.open(None, PATIENCE)
    yield "not-there", s.send(), "all was well, and it said False"
    s.broker.kill()
    for code in ("pace", "patience"):
        before = len(s.attempts)
        said = s.send(limit=PATIENCE + 3)
        lied = "swallowed" if s.answered("confirm") else "not-confirmed"
        yield lied, not said, "it said True of a mail to nobody"
        tries = len(s.attempts) - before
        yield code, FEW <= tries <= MANY, f"in {PATIENCE} s it tried to connect {tries} times"
    yield s.close_yours()
