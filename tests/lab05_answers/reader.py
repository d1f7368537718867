"""Exercise 2: bookmarks that are set after the work, in three hands, and those that are not."""

import itertools
import time
from contextlib import closing, suppress

from confluent_kafka import KafkaException, TopicPartition

BY_HAND = {"enable.auto.commit": False, "auto.offset.reset": "earliest"}


def persist(work, message, pause=0.06):
    while True:
        try:
            return work(message)
        except ConnectionError:
            time.sleep(pause)


def plain(connect, work, is_over):
    consumer = connect(BY_HAND)
    try:
        while not is_over():
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            persist(work, message)
            with suppress(KafkaException):
                consumer.commit(message, asynchronous=False)
    finally:
        consumer.close()


def in_batches(connect, work, is_over):
    """Several at once from the consumer; each has its own commit, by offset."""
    with closing(connect({**BY_HAND, "max.poll.interval.ms": 600000})) as consumer:
        while not is_over():
            for one in filter(lambda one: one.error() is None, consumer.consume(10, timeout=0.2)):
                for pause in itertools.chain([0], itertools.repeat(0.07)):
                    time.sleep(pause)
                    try:
                        work(one)
                        break
                    except ConnectionError:
                        pass
                try:
                    consumer.commit(
                        offsets=[TopicPartition(one.topic(), one.partition(), one.offset() + 1)], asynchronous=False
                    )
                except KafkaException as error:
                    print(error)


class Seeking:
    """Turns back on a failure, and stores the offsets that a commit without arguments takes."""

    def __call__(self, connect, work, is_over):
        with connect({**BY_HAND, "enable.auto.offset.store": "false"}) as self.consumer:
            self.work = work
            while not is_over():
                if (message := self.consumer.poll(timeout=0.05)) is not None and not message.error():
                    self.read(message)

    def read(self, message):
        try:
            self.work(message)
        except ConnectionError:
            self.consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
            time.sleep(0.1)
            return
        self.consumer.store_offsets(message)
        with suppress(KafkaException):
            self.consumer.commit(asynchronous=False)


def reader(settings=BY_HAND, do=persist, before=False, commit=None, patient=True, closes=True, looks=True):
    """A reader that is right, but for what is given."""

    def commits(consumer, message):
        with suppress(KafkaException if patient else ZeroDivisionError):
            if commit is None:
                consumer.commit(message, asynchronous=False)
            else:
                commit(consumer, message)

    def run(connect, work, is_over):
        consumer = connect(settings)
        while not is_over():
            message = consumer.poll(0.1)
            if message is None or (looks and message.error()):
                continue
            if before:
                commits(consumer, message)
            do(work, message)
            if not before:
                commits(consumer, message)
        if closes:
            consumer.close()

    return run


def nothing(*args):
    pass


def not_waited_for(consumer, message):
    consumer.commit(message)


def this_one(consumer, message):
    """The offset of this event, where the next one is meant: one is always read again."""
    consumer.commit(
        offsets=[TopicPartition(message.topic(), message.partition(), message.offset())], asynchronous=False
    )


def stored(consumer, message):
    consumer.store_offsets(message)


def once(work, message):
    work(message)


def skips(work, message):
    with suppress(ConnectionError):
        work(message)


def at_once(work, message):
    persist(work, message, 0)


def tries(most):
    def patient(work, message):
        for _ in range(most):
            with suppress(ConnectionError):
                return work(message)
            time.sleep(0.06)

    return patient


def every_second(connect, work, is_over):
    """Counts from each start, and commits all that was read."""
    return reader(commit=second())(connect, work, is_over)


def second():
    numbers = itertools.count(1)
    return lambda consumer, message: next(numbers) % 2 or consumer.commit(asynchronous=False)


def works_until_committed(connect, work, is_over):
    """A commit was refused: all of it once more."""
    with closing(connect(BY_HAND)) as consumer:
        while not is_over():
            message = consumer.poll(0.1)
            while message is not None and not message.error():
                persist(work, message)
                with suppress(KafkaException):
                    consumer.commit(message, asynchronous=False)
                    break


def tries_until_it_is_over(connect, work, is_over):
    """Nobody wants the invoice any more, it thinks, and sets the bookmark."""

    def do(work, message):
        while not is_over():
            with suppress(ConnectionError):
                return work(message)
            time.sleep(0.06)

    reader(do=do)(connect, work, is_over)


def turns_back_and_goes_on(connect, work, is_over):
    """Turns back when one has failed, with the later ones of its batch still in hand."""
    with closing(connect(BY_HAND)) as consumer:
        while not is_over():
            for one in filter(lambda one: one.error() is None, consumer.consume(10, 0.1)):
                try:
                    work(one)
                except ConnectionError:
                    time.sleep(0.06)
                    consumer.seek(TopicPartition(one.topic(), one.partition(), one.offset()))
                    continue
                with suppress(KafkaException):
                    consumer.commit(one, asynchronous=False)


def looks_at_silence(connect, work, is_over):
    """Asks is_over() only when nothing has come."""
    with closing(connect(BY_HAND)) as consumer:
        while True:
            message = consumer.poll(0.1)
            if message is None or message.error():
                if is_over():
                    return
                continue
            persist(work, message)
            with suppress(KafkaException):
                consumer.commit(message, asynchronous=False)


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
            consumer.commit(message, asynchronous=False)
    consumer.close()


def raises_every_error(connect, work, is_over):
    consumer = connect(BY_HAND)
    while not is_over():
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        persist(work, message)
        with suppress(KafkaException):
            consumer.commit(message, asynchronous=False)
    consumer.close()


def ends_at_silence(connect, work, is_over):
    """Nothing there, so that is all, it thinks."""
    with closing(connect(BY_HAND)) as consumer:
        while (message := consumer.poll(1)) is not None:
            if not message.error():
                persist(work, message)
                with suppress(KafkaException):
                    consumer.commit(message, asynchronous=False)


def a_whole_batch(connect, work, is_over):
    """One commit for what consume has brought."""
    consumer = connect(BY_HAND)
    while not is_over():
        messages = [one for one in consumer.consume(10, 0.1) if one.error() is None]
        for message in messages:
            persist(work, message)
        for message in messages:
            with suppress(KafkaException):
                consumer.commit(message, asynchronous=False)
    consumer.close()


def no_look_at_none(connect, work, is_over):
    consumer = connect(BY_HAND)
    while not is_over():
        message = consumer.poll(0.1)
        if not message.error():
            persist(work, message)
            consumer.commit(message, asynchronous=False)
    consumer.close()


def stumbles_at_first(connect, work, is_over):
    connect(BY_HAND).poll_once()


LATEST = {"enable.auto.commit": False}
AUTO = {"auto.offset.reset": "earliest"}
RIGHT = {"one after another": plain, "in batches": in_batches, "turns back": Seeking()}
WRONG = {
    "as shipped": (reader(LATEST), {"from-the-end"}),
    "commits before the work": (reader(before=True), {"lost"}),
    "auto-commit": (reader(AUTO, commit=nothing), {"lost"}),
    "auto-commit and its own": (reader(AUTO), {"lost"}),
    "auto-commit of what was stored": (
        reader(AUTO | {"enable.auto.offset.store": False}, commit=stored), {"repeated"},
    ),
    "never commits": (reader(commit=nothing), {"read-again"}),
    "its own offset": (reader(commit=this_one), {"read-again"}),
    "a whole batch": (a_whole_batch, {"repeated"}),
    "waits for no commit": (reader(commit=not_waited_for), {"repeated"}),
    "does not close": (reader(closes=False), {"not-closed"}),
    "dies of the printer": (reader(do=once), {"skipped"}),
    "skips": (reader(do=skips), {"skipped"}),
    "ten tries": (reader(do=tries(10)), {"skipped"}),
    "every second": (every_second, {"repeated"}),
    "works until it is committed": (works_until_committed, {"repeated"}),
    "looks at is_over in silence": (looks_at_silence, {"gives-up"}),
    "puts it aside": (later, {"out-of-turn"}),
    "turns back, and goes on": (turns_back_and_goes_on, {"skipped"}),
    "tries until it is over": (tries_until_it_is_over, {"skipped"}),
    "without a pause": (reader(do=at_once), {"no-pause"}),
    "a short pause": (reader(do=lambda work, message: persist(work, message, 0.001)), {"no-pause"}),
    "works on errors": (reader(looks=False), {"dies-of-errors"}),
    "dies of an error": (raises_every_error, {"dies-of-errors"}),
    "dies of a commit": (reader(patient=False), {"dies-of-errors"}),
    "looks at no None": (no_look_at_none, {"exception"}),
    "ends at a silence": (ends_at_silence, {"gives-up"}),
    "stumbles": (stumbles_at_first, {"exception"}),
}  # fmt: skip
