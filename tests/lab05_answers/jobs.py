"""Exercise 5: an export in two hands and a service in three, and the defaults that bite."""

import time
from collections import Counter
from contextlib import suppress
from itertools import count

from confluent_kafka import KafkaError, KafkaException


def flush(producer):
    producer.flush()


def exports(full="wait", large="report", heard=None, end=flush, each=lambda producer: None, change=lambda *one: one):
    """An export that is right, but for what is given. ``heard`` is called with each delivery, in place of the list."""

    def job(connect, topic, orders):
        producer, failed, aside = connect(), [], []

        def note(error, order):
            if error is not None:
                failed.append(order)

        def write(order):
            key, value = change(*order)
            producer.produce(topic, value, key, on_delivery=lambda error, _: (heard or note)(error, order))
            each(producer)

        def write_in_time(order):
            while True:
                try:
                    return write(order)
                except BufferError:
                    producer.poll(0.1)

        for number, order in enumerate(orders):
            try:
                (write_in_time if full == "wait" else write)(order)
            except BufferError:
                if full == "raise":
                    raise
                producer.poll(0.1)
                aside += [order] if full == "aside" else []
                if full == "begin anew":
                    producer.flush()
                    for one in orders[number - 2 : number + 1]:
                        write(one)
            except KafkaException:
                if large == "raise":
                    raise
                failed += [order] if large == "report" else []
        for order in aside:
            write_in_time(order)
        end(producer)
        return failed

    return job


export = exports()


def in_portions(connect, topic, orders):
    """Never more than fits, with a flush after each portion; what has arrived is struck off."""
    left = Counter(orders)
    with connect({"acks": "all"}) as producer:
        for start in range(0, len(orders), 40):
            for key, value in orders[start : start + 40]:
                with suppress(KafkaException):
                    producer.produce(topic, key=key.encode(), value=value.encode(), callback=lambda error, message: (
                        error or left.subtract([((message.key() or b"").decode(), (message.value() or b"").decode())])
                    ))  # fmt: skip
            while producer.flush(1.0):
                pass
    return [*left.elements()]


def unknown_is_failed(connect, topic, orders):
    """Returns what it knows nothing of, before it has waited."""
    left, unknown = list(orders), []

    def end(producer):
        unknown.extend(left)
        producer.flush()

    exports(heard=lambda error, order: error or left.remove(order), end=end)(connect, topic, orders)
    return unknown


def stops_at_the_first(connect, topic, orders):
    """What comes after a portion in which one was refused is left for tomorrow; it says so."""
    failed = []
    for start in range(0, len(orders), 40):
        failed += export(connect, topic, orders[start : start + 40])
        if any(len(value) < 1000 for _, value in failed):
            return failed + orders[start + 40 :]
    return failed


def each_order_once(connect, topic, orders):
    return export(connect, topic, [*dict.fromkeys(orders)])


def its_own_limit(connect, topic, orders):
    large = [order for order in orders if len(order[1]) > 10_000]
    return large + export(connect, topic, [order for order in orders if order not in large])


# -- services -----------------------------------------------------------------------------------


def listens(group=str, reset="earliest", error=lambda error: None, looks=True, closes=True, **more):
    """A service that is right, but for what is given."""

    def run(connect, service, topic, work, is_over):
        settings = {"group.id": group(service), "auto.offset.reset": reset, **more}
        consumer = connect({name: value for name, value in settings.items() if value is not None})
        consumer.subscribe([topic])
        while not is_over():
            message = consumer.poll(0.1)
            if message is None:
                continue
            if not message.error() or not looks:
                work(message)
            elif error(message.error()) == "end":
                break
        if closes:
            consumer.close()

    return run


listen = listens()


def with_commits(connect, service, topic, work, is_over):
    consumer = connect(
        {"group.id": f"shop.{service}", "auto.offset.reset": "smallest", "enable.auto.commit": False,
         "topic.metadata.refresh.interval.ms": 300}
    )  # fmt: skip
    consumer.subscribe([topic], on_assign=lambda consumer, partitions: None)
    while not is_over():
        for message in consumer.consume(5, timeout=0.1):
            if message.error() is None:
                work(message)
                consumer.commit(message, asynchronous=False)
            elif message.error().code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaException(message.error())
    consumer.close()


def waits(connect, service, topic, work, is_over):
    """Looks for its topic first."""
    consumer = connect({"group.id": "group of " + service, "auto.offset.reset": "beginning"})
    while not is_over() and consumer.list_topics(timeout=2).topics.get(topic) is None:
        consumer.poll(0)
        time.sleep(0.05)
    consumer.subscribe([topic])
    while not is_over():
        message = consumer.poll(0.1)
        if message and not message.error():
            work(message)
    consumer.close()


def drops_the_rest(connect, service, topic, work, is_over):
    with connect({"group.id": service, "auto.offset.reset": "earliest"}) as consumer:
        consumer.subscribe([topic])
        while not is_over():
            for message in consumer.consume(20, 0.5):
                if not is_over() and not message.error():
                    work(message)


def each_value_once(connect, service, topic, work, is_over):
    seen = []

    def once(message):
        seen.append(message.value())
        if seen.count(message.value()) == 1:
            work(message)

    listen(connect, service, topic, once, is_over)


def lists_first(connect, service, topic, work, is_over):
    """Asks the cluster for its topic until it is there, and subscribes then."""
    with connect({"group.id": service}) as consumer:
        while not is_over() and topic not in consumer.list_topics().topics:
            time.sleep(0.05)
    listen(connect, service, topic, work, is_over)


def until_it_is_quiet(connect, service, topic, work, is_over):
    """Asks is_over when nothing has come, and at no other time."""
    with connect({"group.id": service, "auto.offset.reset": "earliest"}) as consumer:
        consumer.subscribe([topic])
        message = None
        while message is not None or not is_over():
            message = consumer.poll(0.1)
            if message and not message.error():
                work(message)


def pairs_as_lists(connect, topic, orders):
    return [[*order] for order in export(connect, topic, orders)]


def raises(error):
    raise KafkaException(error)


_start, _error = count(1), count()

RIGHT = {
    "one after another": (export, listen),
    "in portions, with commits": (in_portions, with_commits),
    "looks before": (export, waits),
    "asks for its topic, and never polls before": (pairs_as_lists, lists_first),
}
_EXPORTS = {
    "dies when it is full": (exports(full="raise"), {"dies-when-full"}),
    "no flush": (exports(end=lambda producer: None), {"lost"}),
    "a short flush": (exports(end=lambda producer: producer.flush(0.02)), {"lost"}),
    "skips what does not fit": (exports(full="skip"), {"lost"}),
    "each order once": (each_order_once, {"lost"}),
    "without a key": (exports(change=lambda key, value: (None, value)), {"changed"}),
    "strips": (exports(change=lambda key, value: (key, value.strip())), {"changed"}),
    "empty is None": (exports(change=lambda key, value: (key or None, value or None)), {"changed"}),
    "begins anew": (exports(full="begin anew"), {"changed"}),
    "puts aside what does not fit": (exports(full="aside"), {"out-of-order"}),
    "a flush for each": (exports(each=flush), {"one-by-one"}),
    "dies of a large one": (exports(large="raise"), {"others-unwritten"}),
    "its own limit": (its_own_limit, {"others-unwritten"}),
    "stops at the first": (stops_at_the_first, {"others-unwritten"}),
    "keeps quiet about a large one": (exports(large="quiet"), {"unreported"}),
    "what is unknown has failed": (unknown_is_failed, {"unreported"}),
    "asks nobody": (exports(heard=lambda error, order: None), {"unreported"}),
}
_SERVICES = {
    "dies of an error": (listens(error=raises), {"before-its-topic"}),
    "an end at the second error": (listens(error=lambda _: "end" * (next(_error) > 0)), {"before-its-topic"}),
    "works on errors": (listens(looks=False), {"before-its-topic"}),
    "as shipped": (listens(reset=None), {"from-the-end"}),
    "each value once": (each_value_once, {"from-the-end"}),
    "one group for all": (listens(group=lambda service: "shop"), {"shared-group"}),
    "a group for all that begin alike": (listens(group=lambda service: service.split("-")[0]), {"shared-group"}),
    "a group in small letters": (listens(group=str.lower), {"shared-group"}),
    "left open": (listens(closes=False), {"not-closed"}),
    "asks only when it is quiet": (until_it_is_quiet, {"goes-on"}),
    "a group a start": (listens(group=lambda service: f"{service}-{next(_start)}"), {"again"}),
    "commits nothing": (listens(**{"enable.auto.commit": False}), {"again"}),
    "drops the rest of a batch": (drops_the_rest, {"again"}),
}
WRONG = {name: ((answer, listen), codes) for name, (answer, codes) in _EXPORTS.items()}
WRONG |= {name: ((export, answer), codes) for name, (answer, codes) in _SERVICES.items()}
