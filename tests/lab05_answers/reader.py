"""Exercise 2: bookmarks that are set after the work, in three hands, and those that are not."""

import time
from contextlib import closing, suppress

from confluent_kafka import KafkaException, TopicPartition

LATEST, AUTO = {"enable.auto.commit": False}, {"auto.offset.reset": "earliest"}
BY_HAND = LATEST | AUTO


def place_of(message, after=1):
    return TopicPartition(message.topic(), message.partition(), message.offset() + after)


def persist(work, message, pause=0.06):
    while True:
        try:
            return work(message)
        except ConnectionError:
            time.sleep(pause)


def commit(consumer, message):
    consumer.commit(message, asynchronous=False)


def reader(
    settings=BY_HAND,
    do=persist,
    before=False,
    commit=commit,
    closes=True,
    looks=True,
    forgives=KafkaException,
    ends=None,
):
    """A reader that is right, but for what is given. ``ends`` is asked with each message, too."""

    def run(connect, work, is_over):
        consumer = connect(settings)
        while not is_over():
            message = consumer.poll(0.1)
            if ends and ends(message):
                break
            if message is None or (looks and message.error()):
                continue
            for step in (commits, does)[:: 1 if before else -1]:
                step(consumer, work, message)
        if closes:
            consumer.close()

    def does(consumer, work, message):
        do(work, message)

    def commits(consumer, work, message):
        with suppress(forgives):
            commit(consumer, message)

    return run


plain = reader()


def in_batches(connect, work, is_over):
    """Several at once from the consumer; each has its own commit, by offset."""
    with closing(connect({**BY_HAND, "max.poll.interval.ms": 600000})) as consumer:
        while not is_over():
            for one in filter(lambda one: one.error() is None, consumer.consume(10, timeout=0.2)):
                persist(work, one)
                with suppress(KafkaException):
                    consumer.commit(offsets=[place_of(one)], asynchronous=False)


def turns_back(connect, work, is_over):
    """On a failure; and stores the offsets that a commit without arguments takes."""
    with connect({**BY_HAND, "enable.auto.offset.store": "false"}) as consumer:
        while not is_over():
            message = consumer.poll(timeout=0.05)
            if message is None or message.error():
                continue
            try:
                work(message)
            except ConnectionError:
                consumer.seek(place_of(message, 0))
                time.sleep(0.1)
                continue
            consumer.store_offsets(message)
            with suppress(KafkaException):
                consumer.commit(asynchronous=False)


def skips(work, message):
    with suppress(ConnectionError):
        work(message)


def tries(most):
    def patient(work, message):
        for _ in range(most):
            with suppress(ConnectionError):
                return work(message)
            time.sleep(0.06)

    return patient


def works_until_committed(connect, work, is_over):
    """A commit was refused: all of it once more."""
    with closing(connect(BY_HAND)) as consumer:
        while not is_over():
            message = consumer.poll(0.1)
            while message is not None and not message.error():
                persist(work, message)
                with suppress(KafkaException):
                    commit(consumer, message)
                    break


def tries_until_it_is_over(connect, work, is_over):
    """Nobody wants the invoice any more, it thinks, and sets the bookmark."""

    def do(work, message):
        while not is_over():
            with suppress(ConnectionError):
                return work(message)
            time.sleep(0.06)

    reader(do=do)(connect, work, is_over)


def looks_at_silence(connect, work, is_over):
    """Asks is_over() only when nothing has come."""
    silent = []
    reader(ends=lambda message: silent.append(message is None) or (silent[-1] and is_over()))(
        connect, work, lambda: False
    )


def later(connect, work, is_over):
    """Puts aside what fails, and goes on."""
    consumer, aside = connect(BY_HAND), []
    while aside or not is_over():
        message = consumer.poll(0.1)
        if message is None and aside:
            message = aside.pop(0)
        if message is None or message.error():
            continue
        try:
            work(message)
        except ConnectionError:
            time.sleep(0.06)
            aside.append(message)
            continue
        with suppress(KafkaException):
            commit(consumer, message)
    consumer.close()


def raises_errors(message):
    if message is not None and message.error():
        raise KafkaException(message.error())


def a_whole_batch(connect, work, is_over):
    """One commit for what consume has brought."""
    consumer = connect(BY_HAND)
    while not is_over():
        messages = [one for one in consumer.consume(10, 0.1) if one.error() is None]
        for message in messages:
            persist(work, message)
        for message in messages:
            with suppress(KafkaException):
                commit(consumer, message)
    consumer.close()


RIGHT = {"one after another": plain, "in batches": in_batches, "turns back": turns_back}
_STORED = reader(AUTO | {"enable.auto.offset.store": False}, commit=lambda consumer, one: consumer.store_offsets(one))
_SAME = reader(commit=lambda consumer, one: consumer.commit(offsets=[place_of(one, 0)], asynchronous=False))
WRONG = {
    "as shipped": (reader(LATEST), {"from-the-end"}),
    "commits before the work": (reader(before=True), {"lost"}),
    "auto-commit": (reader(AUTO, commit=lambda *_: None), {"lost"}),
    "auto-commit and its own": (reader(AUTO), {"lost"}),
    "auto-commit of what was stored": (_STORED, {"repeated"}),
    "never commits": (reader(commit=lambda *_: None), {"read-again"}),
    "its own offset": (_SAME, {"read-again"}),
    "a whole batch": (a_whole_batch, {"repeated"}),
    "waits for no commit": (reader(commit=lambda consumer, message: consumer.commit(message)), {"repeated"}),
    "works until it is committed": (works_until_committed, {"repeated"}),
    "does not close": (reader(closes=False), {"not-closed"}),
    "dies of the printer": (reader(do=lambda work, message: work(message)), {"skipped"}),
    "skips": (reader(do=skips), {"skipped"}),
    "ten tries": (reader(do=tries(10)), {"skipped"}),
    "tries until it is over": (tries_until_it_is_over, {"skipped"}),
    "puts it aside": (later, {"out-of-turn"}),
    "a short pause": (reader(do=lambda work, message: persist(work, message, 0.001)), {"no-pause"}),
    "works on errors": (reader(looks=False), {"dies-of-errors"}),
    "dies of an error": (reader(ends=raises_errors), {"dies-of-errors"}),
    "dies of a commit": (reader(forgives=ZeroDivisionError), {"dies-of-errors"}),
    "looks at no None": (reader(ends=lambda message: message.error() and False), {"exception"}),
    "looks at is_over in silence": (looks_at_silence, {"gives-up"}),
    "ends at a silence": (reader(ends=lambda message: message is None), {"gives-up"}),
}
