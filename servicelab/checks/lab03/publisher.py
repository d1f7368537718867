"""Exercise 1, repair: a publisher that says "sent" of what the broker has, and of nothing else.

The broker is restarted, loses its power in the middle of a message, refuses one, has no queue for one, and does not
come back. No stopwatch decides: what counts is what was said, and what is in the queue afterwards.
"""

import time
from contextlib import closing

from servicelab.checks.exercise import exercise
from servicelab.checks.lab03.broker_stage import Desk, Later, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section

QUEUE = "mails"
PAUSED, DEAD = 0.15, 0.2  # seconds
MANY = 25  # tries to connect in PATIENCE; with a pause of 50 ms there are 12
BACK = 1.5  # seconds of patience for a broker that comes back
PATIENCE = 0.6  # seconds, where it is known to be in vain

_SAYS = {
    "raises": "send answers True or False. What pika raises is for you to catch: a broken connection "
    "(AMQPConnectionError and its kin), a NackError, an UnroutableError.",
    "no-bool": "True when the broker has confirmed it, False otherwise: does every path end with one of the two?",
    "hangs": "The loop that tries again must end when patience seconds are over.",
    "swallowed": "except … : pass, and then return True? After an exception nobody knows whether the message is there.",
}


@exercise("03", 1, "A publisher that tells the truth", limit=45.0)
def check_publisher(ask, Publisher):
    """Let ``Publisher(connect, queue, arguments, patience)`` send to a broker that has a bad day."""
    for examine in (_restart, _power_cut, _slip, _full, _gone):
        with section(ask), closing(Desk(ask, "orders")) as desk:
            examine(Sender(desk, Publisher))


class Sender:
    """The learner's publisher at a desk."""

    def __init__(self, desk, kind):
        self.desk, self.ask, self.kind, self.number = desk, desk.ask, kind, 0

    def open(self, arguments=None, patience=BACK):
        self.yours = self.desk.make(
            self.kind, self.desk.connect, QUEUE, arguments, patience, methods=("send", "close")
        )  # fmt: skip

    def send(self, what, key=QUEUE, limit=6.0):
        """``(said, words, id)``: True, False, or None when it could not be told, which has been reported."""
        self.number += 1
        id = f"mail-{self.number}"
        outcome = self.ask.run(self.yours.send, key, id, f"body {self.number}".encode(), limit=limit, keep=True)
        self.returned = time.monotonic()
        if outcome.returned and type(outcome.value) is bool:
            return outcome.value, f"send said {outcome.value}", id
        code = "no-bool" if outcome.returned else {"exception": "raises", "time-limit": "hangs"}.get(outcome.how)
        words = f"it returned {shown(outcome.value)}" if outcome.returned else str(outcome)
        self.expect(code or outcome.how, f"{what}: send says True or False", False, words, _SAYS.get(code, ""))
        return None, words, id

    def expect(self, code, what, passed, happened="", hint="", mark=None):
        return self.ask.expect(code, what, passed, happened, hint, mark or self.desk.mark("publish", "open"))

    def answered(self, start):
        """Did the broker say so: "return", "confirm nack"?"""
        return any(message.label.startswith(start) for message in self.desk.trace.messages)


def _restart(sender):
    """Three mails, and a broker that is restarted politely."""
    sender.open()
    desk = sender.desk
    said = [sender.send("all is well")[0] for _ in range(3)]
    if None in said:
        return
    sender.expect("calm", "all is well: send says True", all(said), f"it said {said}", "Nothing is wrong here.")
    there = wait_until(lambda: desk.broker.depth(QUEUE)[0] >= 3)
    durable = desk.is_durable(QUEUE)
    desk.broker.restart()
    left = desk.broker.depth(QUEUE)[0]
    desk.trace.state(f"queue {QUEUE}", f"{left} ready, 0 unacked")  # of a queue that is gone the broker says nothing
    code = "not-there" if not there else "message-transient" if durable else "queue-not-durable"
    hint = {
        "not-there": "Did they reach the queue that you were given?",
        "message-transient": "The queue was there again, and empty. A message says itself that it wants to be kept: "
        "pika.BasicProperties(delivery_mode=2).",
        "queue-not-durable": "The queue itself was forgotten: durable=True, wherever it is declared.",
    }[code]
    sender.expect(
        code, "the broker is restarted: the three mails are still there", left == 3, f"{left} of 3 are there", hint
    )


def _power_cut(sender):
    """The broker stops reading, dies, and is back a moment later."""
    sender.open(patience=BACK)
    desk, broker = sender.desk, sender.desk.broker
    if sender.send("all is well")[0] is None:
        return
    broker.pause()
    with Later(PAUSED, broker.kill, DEAD, broker.restart) as cut:
        said, words, id = sender.send("the power goes while a mail is on its way")
    mark = desk.mark("publish")
    if said and sender.returned < cut.at[3]:
        died = "before the broker died" if sender.returned < cut.at[0] else "while the broker was dead"
        sender.expect(
            "not-confirmed" if sender.returned < cut.at[0] else "swallowed",
            "the power goes while a mail is on its way: send does not say True before the broker has it",
            False,
            f"it said True {died}",
            "To publish is to hand bytes to the operating system. channel.confirm_delivery(), once for each channel, "
            "and basic_publish waits until the broker has it."
            if sender.returned < cut.at[0]
            else _SAYS["swallowed"],
            mark,
        )
        return
    if said is None:
        return
    after, later_words, later = sender.send("the broker is back")
    found = desk.bodies(QUEUE)
    ids = [one for one, _ in found]
    if (said or after) and not sender.expect(
        "no-id",
        "each mail carries the id that it was given, at each attempt",
        set(ids) <= {"mail-1", "mail-2", "mail-3"},
        f"the ids in the queue are {ids}",
        "pika.BasicProperties(message_id=…): who gets it twice can tell by that.",
        mark,
    ):
        return
    sender.expect(
        "gave-up",
        f"the broker is back after half a second, your patience is {BACK} s: the mail is sent again, and is there",
        said and id in ids,
        f"{words}; the queue holds {ids}",
        "Try again until it is confirmed or the patience is over. A connection that broke stays broken: "
        "make a new one, with a new channel, declare, confirm_delivery.",
        mark,
    )
    if after is not None:
        sender.expect(
            "not-reopened",
            "… and so is the next one",
            after and later in ids,
            f"{later_words}; the queue holds {ids}",
            "The old connection is gone for good. Make a new one with connect().",
            desk.mark("publish"),
        )
    sender.ask.run(sender.yours.close, keep=True)
    sender.expect(
        "left-open",
        "close() leaves no connection open",
        desk.left_open <= 1,  # the check's own
        f"{desk.left_open - 1} were left open",
        "Keep one connection, and close the one that you replace.",
    )


def _slip(sender):
    """A slip of the pen in the routing key."""
    sender.open()
    said, words, _ = sender.send("a slip of the pen, malis for mails", key="malis")
    mark = sender.desk.mark("publish")
    after, next_words, _ = sender.send("the next mail, well addressed")
    if said is None or after is None:
        return
    wait_until(lambda: sender.desk.broker.depth(QUEUE)[0], 1)  # by then it has dealt with the first, too
    returned, confirmed = sender.answered("return"), sender.answered("confirm")
    sender.expect(
        "not-mandatory" if not returned else "swallowed" if confirmed else "not-confirmed",
        "there is no queue malis: send says False",
        not said,
        words + (", although the broker gave the mail back" if returned else ", and the broker dropped the mail"),
        "An exchange drops what it has no queue for, and confirms that. With mandatory=True it gives the message back."
        if not returned
        else _SAYS["swallowed"]
        if confirmed
        else "With confirms, pika raises UnroutableError. Without, nobody tells you.",
        mark,
    )
    sender.expect(
        "after-slip", "… and the next mail, well addressed, is sent", after, next_words, "Only that one was bad."
    )


def _full(sender):
    """A queue that takes two, and refuses the third."""
    sender.open({"x-max-length": 2, "x-overflow": "reject-publish"}, PATIENCE)
    desk = sender.desk
    said = [sender.send("a queue with room for two")[0] for _ in range(3)]
    wait_until(lambda: desk.broker.depth(QUEUE)[0] >= 2, 1)
    if desk.broker.depth(QUEUE)[0] > 2:
        hint = "queue_declare(…, arguments=arguments), each time."
        what = "the queue is declared with the arguments that are given: room for two"
        sender.expect("arguments", what, False, f"it holds {desk.broker.depth(QUEUE)[0]}", hint)
        return
    nacked = sender.answered("confirm nack")
    if said[2] is not None:
        sender.expect(
            "swallowed" if nacked else "not-confirmed",
            "the queue is full and refuses the third mail: send says False",
            said == [True, True, False],
            f"it said {said}",
            _SAYS["swallowed"] if nacked else "The broker says no with a nack, and only to a channel with confirms.",
        )


def _gone(sender):
    """A broker that does not come back."""
    if "not-confirmed" in [one.code for one in sender.ask.expectations if not one.passed]:
        return  # it would say True of anything
    sender.open(None, PATIENCE)
    desk = sender.desk
    if sender.send("all is well")[0] is None:
        return
    desk.broker.kill()
    before = len(desk.tries)
    said, words, _ = sender.send("the broker is gone for good", limit=PATIENCE + 3)
    if said is None:
        return
    sender.expect(
        "swallowed", "the broker is gone for good: send says False", not said, words, _SAYS["swallowed"]
    )  # fmt: skip
    tries = len(desk.tries) - before
    sender.expect(
        "no-pause",
        f"… and in {PATIENCE} s it knocks a few times, with a pause of 50 ms between",
        tries <= MANY,
        f"it tried to connect {tries} times",
        "time.sleep(0.05) before each new attempt. A broker that gets up has enough to do.",
    )
