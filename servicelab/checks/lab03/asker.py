"""Exercise 3, repair: an asker that does not wait for ever, on real queues.

Workers that answer, keep silent, answer late, or let others' answers into the wrong queue. What decides is which answer
was returned, and whether it came before or after something else; the margins are a second wide.
"""

import threading
import time
from contextlib import closing, suppress

from servicelab.checks.exercise import exercise
from servicelab.checks.lab03.broker_stage import wait_until
from servicelab.checks.lab03.rpc_stage import QUEUE, Office
from servicelab.checks.learner_traceback import in_words, shown
from servicelab.checks.section import section

QUESTIONS = 5  # one after another
HURRY, LEISURE = 0.4, 2.0  # seconds to wait for an answer
DRIPS, DRIP = 15, 0.1  # answers for others, and seconds between two
THREADS, EACH = 4, 3

_HINTS = {
    "answers": "The answer comes through the queue in reply_to; ask returns its body.",
    "waits-for-ever": "connection.process_data_events(time_limit=what is left), in a loop that looks at the clock.",
    "no-timeout-error": "raise TimeoutError when the time is over. None might be mistaken for an answer.",
    "other-error": "TimeoutError when the time is over, LookupError when there is no such queue; nothing else.",
    "timeout-per-reply": "Each message that comes wakes you, also one for somebody else. The deadline is a moment, "
    "time.monotonic() + seconds, and does not move.",
    "takes-any-answer": "Look at properties.correlation_id before you believe an answer. What is not yours is thrown "
    "away, and you go on waiting.",
    "same-correlation-id": "An id for each question, such as str(uuid.uuid4()). An answer that comes late "
    "is then known for what it is.",
    "unroutable-waits": "mandatory=True gives the question back when there is no such queue; with confirm_delivery "
    "pika raises UnroutableError, without it calls what you gave to channel.add_on_return_callback.",
    "queue-per-question": "One queue for all answers: exclusive=True, declared once; or amq.rabbitmq.reply-to.",
    "connection-per-question": "To open a connection takes several round trips, and the broker keeps a process for "
    "each. Open it once, in __init__, and ask through it.",
    "passive-declare": "A passive declare that fails closes the channel: publish with mandatory=True, or use a new "
    "channel.",
    "waits-for-turn": "seconds is for all of ask, waiting for one's turn included: take the deadline first, and then "
    "lock.acquire(timeout=seconds).",
    "left-behind": "An ordinary queue stays. One that is exclusive=True goes with your connection; and the connection "
    "has to be closed.",
    "shared-connection": "A pika connection belongs to one thread at a time: a Lock around all of ask, or a connection "
    "for each thread (threading.local).",
    "threads": "Each thread asks for another thing and gets its own answer.",
}


@exercise("03", 3, "An asker that does not wait for ever", limit=60.0)
def check_asker(ask, Asker):
    """Let ``Asker(connect).ask(queue, body, seconds)`` ask workers of every sort."""
    for examine in (_well, _silent, _others, _dripping, _late, _nobody, _together, _turn):
        with section(ask), closing(Office(ask, Asker, _HINTS)) as office:
            examine(office)


def _echo(body, reply):
    reply(b"answer to " + body)


def _well(office):
    """Five questions, and then nothing is left."""
    office.worker(_echo)
    office.opened.clear()
    office.declared.clear()
    for number in range(QUESTIONS):
        body = f"mug {number}".encode()
        if not office.answered(
            "answers", f"question {number + 1} is answered", office.put(body, LEISURE), b"answer to " + body
        ):
            break
    names = [row[0] for row in office.desk.broker.queues().rows if row[0] != QUEUE]
    most = max(map(office.opened.count, office.opened), default=0)  # by one thread
    happened = f"{len(office.opened)} were opened"
    what = f"{QUESTIONS} questions, one after another: one connection for all of them"
    if office.expect("connection-per-question", what, most <= 1, happened):
        most = max(map(office.declared.count, office.declared), default=0)
        what = f"{QUESTIONS} questions, and one queue for answers at most"
        happened = f"{len(names)} queues are there, {len(office.declared)} were declared meanwhile"
        office.expect("queue-per-question", what, len(names) <= 1 and most <= 1, happened)
    outcome = office.ask.run(office.yours.close, keep=True)

    def left():
        queues = [row[0] for row in office.desk.broker.queues().rows if row[0] != QUEUE]
        open_ones = office.desk.left_open - 1  # the check's own
        return [*queues, *(["a connection"] * open_ones)]

    wait_until(lambda: not left(), 1.0)
    words = f"{', '.join(left())} stayed" if outcome.returned else str(outcome)
    office.expect(
        "left-behind",
        "after close() no queue and no connection of yours is left",
        not left() and outcome.returned,
        words,
    )


def _silent(office):
    """Nobody works there."""
    answer, kind, words = office.put(b"mug", HURRY)
    code = {"time-limit": "waits-for-ever", "answer": "no-timeout-error"}.get(kind, "other-error")
    office.expect(code, f"nobody answers: after {HURRY} s ask raises TimeoutError", kind == "timeout", words)


def _others(office):
    """Answers for others come first, one of them without any id."""

    def strange(body, reply):
        reply(b"answer to somebody else", id="somebody else")
        reply(b"answer to nobody", id=None)
        office.over.wait(DRIP)  # so that they are looked at before the right one is there
        _echo(body, reply)

    office.worker(strange)
    what = "two answers for others come first: ask returns its own"
    office.answered("takes-any-answer", what, office.put(b"mug", LEISURE), b"answer to mug")


def _dripping(office):
    """Answers for others, one after another, and never the right one."""
    ended = []

    def drip(body, reply):
        for _ in range(DRIPS):
            if office.over.wait(DRIP):
                return
            reply(b"answer to somebody else", id="somebody else")
        ended.append(True)

    office.worker(drip)
    answer, kind, words = office.put(b"mug", HURRY, limit=DRIPS * DRIP + 2)
    if kind == "answer" and answer is not None:
        code = "takes-any-answer"
    else:
        code = {"time-limit": "waits-for-ever", "timeout": "timeout-per-reply", "answer": "no-timeout-error"}.get(
            kind, "other-error"
        )
    office.expect(
        code,
        f"answers for others drip in, one each {DRIP} s: after {HURRY} s ask raises TimeoutError",
        kind == "timeout" and not ended,
        words + (f", after all {DRIPS} of them" if ended else ""),
    )


def _late(office):
    """The first answer comes when its question has been given up, and the second is asked already."""

    def slow(body, reply):
        if body == b"slow":
            office.over.wait(2 * HURRY)
        else:
            office.over.wait(DRIP)
        _echo(body, reply)

    office.worker(slow)
    _, kind, _ = office.put(b"slow", HURRY)
    if kind != "timeout":
        return  # reported already: nobody answered in time there, either
    got = office.put(b"quick", LEISURE)
    wait_until(lambda: len(office.ids) > 1, LEISURE)  # the worker may still be busy with the first
    code = "same-correlation-id" if len(set(office.ids)) < len(office.ids) else "takes-any-answer"
    what = "the answer to question 1 comes late, while question 2 waits: question 2 gets its own"
    office.answered(code, what, got, b"answer to quick")


def _nobody(office):
    """There is no such queue; and a well-addressed question afterwards."""
    office.worker(_echo)
    start = time.monotonic()
    _, kind, words = office.put(b"mug", LEISURE, queue="pricse", limit=LEISURE + 1)
    took = time.monotonic() - start
    code = "unroutable-waits" if kind in ("timeout", "time-limit", "lookup") or took > LEISURE - 0.5 else "other-error"
    if kind == "exception" and office.closed_by_look:
        code = "passive-declare"
    passed = kind == "lookup" and took < LEISURE - 0.5
    office.expect(code, "there is no queue pricse: ask raises LookupError, without waiting", passed, words)
    if passed:
        office.answered("answers", "… and the next question is answered", office.put(b"mug", LEISURE), b"answer to mug")


def _together(office):
    """Several threads, one asker."""

    def work(body, reply):
        time.sleep(0.01)
        _echo(body, reply)

    office.worker(work)
    wrong = []

    def asker(who):
        for number in range(EACH):
            body = f"thread {who}, mug {number}".encode()
            try:
                answer = office.yours.ask(QUEUE, body, LEISURE)
            except BaseException as error:
                return wrong.append(in_words(error))
            if answer != b"answer to " + body:
                wrong.append(f"{body.decode()!r} got {shown(answer)}")

    threads = [
        threading.Thread(target=asker, args=[n], name=f"servicelab check {n}", daemon=True) for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: office.shared or not any(thread.is_alive() for thread in threads), LEISURE + 2)
    if office.shared:  # what becomes of the others is chance
        wait_until(lambda: not any(thread.is_alive() for thread in threads), 0.3)
    hung = sum(thread.is_alive() for thread in threads)
    if hung:
        wrong.append(f"{hung} of {THREADS} threads still waited in the end")
    code = "shared-connection" if office.shared else "threads"
    if code == "threads" and any(
        not one.passed and one.code in ("takes-any-answer", "answers") for one in office.ask.expectations
    ):
        code = "takes-any-answer"
    office.expect(code, f"{THREADS} threads ask at once: each gets its own answers", not wrong, "; ".join(wrong[:3]))


def _turn(office):
    """One thread asks and is not answered yet; another is in more of a hurry."""
    known = ("waits-for-ever", "no-timeout-error", "other-error", "shared-connection")
    if any(one.code in known and not one.passed for one in office.ask.expectations):
        return  # it would be the same again

    def patient():
        with suppress(Exception):
            office.yours.ask(QUEUE, b"patient", LEISURE)

    first = threading.Thread(target=patient, name="servicelab check patient", daemon=True)
    first.start()
    wait_until(lambda: office.desk.broker.depth(QUEUE)[0], 1.0)
    start = time.monotonic()
    _, kind, words = office.put(b"in a hurry", HURRY, limit=LEISURE + 1)
    took, waits = time.monotonic() - start, first.is_alive()
    office.worker(_echo)  # so that the patient one need not wait to the end
    wait_until(lambda: not first.is_alive(), LEISURE)
    what = (
        f"one thread waits {LEISURE:g} s for an answer; another with {HURRY} s raises TimeoutError before that is over"
    )
    office.expect("waits-for-turn", what, kind == "timeout" and waits, f"{words}, after {took:.1f} s")
