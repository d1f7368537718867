"""Exercise 5: an export and a service in three hands, and the defaults that bite."""

import time
from collections import Counter
from contextlib import closing, suppress
from itertools import count

from confluent_kafka import KafkaError, KafkaException


def export(connect, topic, orders):
    producer, failed = connect(), []
    for order in orders:
        key, value = order

        def told(error, message, order=order):
            if error is not None:
                failed.append(order)

        while True:
            try:
                producer.produce(topic, value, key, on_delivery=told)
                break
            except BufferError:
                producer.poll(0.1)
            except KafkaException:
                failed.append(order)
                break
    producer.flush()
    return failed


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


class Exporter:
    """Looks at the length of the bag before it writes; an idempotent producer."""

    def __call__(self, connect, topic, orders):
        self.results = {}
        producer = connect({"enable.idempotence": True, "compression.type": "gzip"})
        for number, (key, value) in enumerate(orders):
            while len(producer) >= 45:
                producer.poll(0.05)
            try:
                producer.produce(topic, value, key, on_delivery=self.note(number))
            except KafkaException as error:
                self.results[number] = error
        producer.flush(30)
        return [order for number, order in enumerate(orders) if self.results.get(number, "unknown") is not None]

    def note(self, number):
        return lambda error, message: self.results.__setitem__(number, error)


def exports(full="wait", large="report", late=True, end=lambda producer: producer.flush(), each=None, keyed=True):
    """An export that is right, but for what is given."""

    def job(connect, topic, orders):
        producer, failed, aside = connect(), [], []

        def write(order):
            def told(error, message):
                if error is not None and late:
                    failed.append(order)

            key, value = order
            producer.produce(topic, value, key if keyed else None, on_delivery=told)
            if each:
                each(producer)

        for order in orders:
            try:
                write(order)
            except BufferError:
                if full == "raise":
                    raise
                if full == "aside":
                    aside.append(order)
                if full in ("aside", "skip"):
                    producer.poll(0.1)
                while full == "wait":
                    producer.poll(0.1)
                    with suppress(BufferError):
                        write(order)
                        break
            except KafkaException:
                if large == "raise":
                    raise
                if large == "report":
                    failed.append(order)
        for order in aside:
            while True:
                try:
                    write(order)
                    break
                except BufferError:
                    producer.poll(0.1)
        end(producer)
        return failed

    return job


def begins_anew(connect, topic, orders):
    """When it is full, flushes, and writes the last portion once more."""
    producer, failed, since = connect(), [], []
    for order in orders:
        since.append(order)
        try:
            producer.produce(
                topic, order[1], order[0], on_delivery=lambda e, m, order=order: e and failed.append(order)
            )
        except BufferError:
            producer.flush()
            for one in since[-3:]:
                producer.produce(topic, one[1], one[0], on_delivery=lambda e, m, order=one: e and failed.append(order))
            since = []
        except KafkaException:
            failed.append(order)
    producer.flush()
    return failed


def unknown_is_failed(connect, topic, orders):
    """Returns what it knows nothing of, before it has waited."""
    producer, known, failed = connect(), set(), []
    for order in orders:
        while True:
            try:
                producer.produce(topic, order[1], order[0], on_delivery=lambda e, m, order=order: e or known.add(order))
                break
            except BufferError:
                producer.poll(0.1)
            except KafkaException:
                failed.append(order)
                break
    unknown = [order for order in orders if order not in known]
    producer.flush()
    return unknown


def stops_at_the_first(connect, topic, orders):
    """One that was refused, and the rest is left for tomorrow; it says so."""
    producer, failed = connect(), []
    for number, order in enumerate(orders):
        while len(producer) >= 40 and not failed:
            producer.poll(0.1)
        refused = [one for one in failed if len(one[1]) < 1000]
        if refused:
            producer.flush()
            return failed + orders[number:]
        try:
            producer.produce(
                topic, order[1], order[0], on_delivery=lambda e, m, order=order: e and failed.append(order)
            )
        except KafkaException:
            failed.append(order)
    producer.flush()
    return failed


def changed(order=lambda key, value: (key, value), orders=list):
    """Right, but for what it makes of an order, or of them all."""
    return lambda connect, topic, given: [*export(connect, topic, [order(*one) for one in orders(given)])]


class Limited:
    """Its own opinion of what is too large."""

    def __call__(self, connect, topic, orders):
        large = [order for order in orders if len(order[1]) > 10_000]
        return large + export(connect, topic, [order for order in orders if order not in large])


def nothing(producer):
    pass


# -- services -----------------------------------------------------------------------------------


def listen(connect, service, topic, work, is_over):
    with closing(connect({"group.id": service, "auto.offset.reset": "earliest"})) as consumer:
        consumer.subscribe([topic])
        while not is_over():
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                work(message)


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


class Waiting:
    """Looks for its topic first."""

    def __call__(self, connect, service, topic, work, is_over):
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


def listens(group=lambda service: service, reset="earliest", error=lambda error: None, **more):
    def run(connect, service, topic, work, is_over):
        settings = {"group.id": group(service), "auto.offset.reset": reset, **more}
        with closing(connect({name: value for name, value in settings.items() if value is not None})) as consumer:
            consumer.subscribe([topic])
            while not is_over():
                message = consumer.poll(0.1)
                if message is None:
                    continue
                if not message.error():
                    work(message)
                elif error(message.error()) == "end":
                    break

    return run


def hears_once(connect, service, topic, work, is_over):
    heard = []
    return listens(error=lambda error: heard.append(error) or "end" * (len(heard) > 1))(
        connect, service, topic, work, is_over
    )


def works_on_errors(connect, service, topic, work, is_over):
    with closing(connect({"group.id": service, "auto.offset.reset": "earliest"})) as consumer:
        consumer.subscribe([topic])
        while not is_over():
            if (message := consumer.poll(0.1)) is not None:
                work(message)


def drops_the_rest(connect, service, topic, work, is_over):
    with closing(connect({"group.id": service, "auto.offset.reset": "earliest"})) as consumer:
        consumer.subscribe([topic])
        while not is_over():
            for message in consumer.consume(20, 0.5):
                if not is_over() and not message.error():
                    work(message)


def each_value_once(connect, service, topic, work, is_over):
    seen = set()

    def once(message):
        if message.value() not in seen:
            seen.add(message.value())
            work(message)

    listen(connect, service, topic, once, is_over)


def left_open(connect, service, topic, work, is_over):
    with_commits(lambda settings: _Open(connect(settings)), service, topic, work, is_over)


class _Open:
    def __init__(self, consumer):
        self.subscribe, self.consume, self.commit = consumer.subscribe, consumer.consume, consumer.commit

    def close(self):
        pass


def raises(error):
    raise KafkaException(error)


_start = count(1)

RIGHT = {
    "one after another": (export, listen),
    "in portions, with commits": (in_portions, with_commits),
    "looks before": (Exporter(), Waiting()),
}
_EXPORTS = {
    "as it was found": (exports(full="raise", large="raise", late=False, end=nothing), {"dies-when-full"}),
    "dies when it is full": (exports(full="raise"), {"dies-when-full"}),
    "no flush": (exports(end=nothing), {"lost"}),
    "a short look": (exports(end=lambda producer: producer.poll(0)), {"lost"}),
    "skips what does not fit": (exports(full="skip"), {"lost"}),
    "puts aside what does not fit": (exports(full="aside"), {"out-of-order"}),
    "without a key": (exports(keyed=False), {"changed"}),
    "begins anew": (begins_anew, {"changed"}),
    "a flush for each": (exports(each=lambda producer: producer.flush()), {"one-by-one"}),
    "what is unknown has failed": (unknown_is_failed, {"unreported"}),
    "dies of a large one": (exports(large="raise"), {"others-unwritten"}),
    "keeps quiet about a large one": (exports(large="quiet"), {"unreported"}),
    "stops at the first": (stops_at_the_first, {"others-unwritten"}),
    "each order once": (changed(orders=dict.fromkeys), {"lost"}),
    "strips": (changed(lambda key, value: (key, value.strip())), {"changed"}),
    "Latin-1": (changed(lambda key, value: (key, value.encode("latin-1", "replace").decode("latin-1"))), {"changed"}),
    "empty is None": (changed(lambda key, value: (key or None, value or None)), {"changed"}),
    "its own limit": (Limited(), {"others-unwritten"}),
    "a short flush": (exports(end=lambda producer: producer.flush(0.02)), {"lost"}),
    "asks nobody": (exports(late=False), {"unreported"}),
}
_SERVICES = {
    "as shipped": (listens(reset=None), {"from-the-end"}),
    "dies of an error": (listens(error=raises), {"before-its-topic"}),
    "an error is the end": (listens(error=lambda error: "end"), {"before-its-topic"}),
    "one group for all": (listens(group=lambda service: "shop"), {"shared-group"}),
    "a group a start": (listens(group=lambda service: f"{service}-{next(_start)}"), {"again"}),
    "a group for all that begin alike": (listens(group=lambda service: service.split("-")[0]), {"shared-group"}),
    "a group in small letters": (listens(group=str.lower), {"shared-group"}),
    "an end at the second error": (hears_once, {"before-its-topic"}),
    "works on errors": (works_on_errors, {"before-its-topic"}),
    "drops the rest of a batch": (drops_the_rest, {"again"}),
    "each value once": (each_value_once, {"from-the-end"}),
    "left open": (left_open, {"not-closed"}),
    "commits nothing": (listens(**{"enable.auto.commit": False}), {"again"}),
}
WRONG = {name: ((answer, listen), codes) for name, (answer, codes) in _EXPORTS.items()}
WRONG |= {name: ((export, answer), codes) for name, (answer, codes) in _SERVICES.items()}
