"""Exercise 1, build: the partition that Java's producer would choose.

What is right is not computed here: librdkafka's own ``murmur2_random``, which is compatible with Java's producer, puts
the same keys into a topic of a real (mock) cluster.
"""

from uuid import UUID

from confluent_kafka import Producer

from servicelab.checks.lab05.kafka_stage import KafkaStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

WORDS = words("""
hash: keys of whole blocks, four bytes each, lie where Java's producer puts them
    Go through your murmur2 with one block by hand. Where do 32 bits overflow, and in which order do four bytes make a
    number?
tail: keys whose last block is not whole lie there, too
    What becomes of the last one, two or three bytes? Is each in its place, and how often are they multiplied?
partitions: for any number of partitions
    Which numbers of partitions does your last step suit?
sign: keys whose hash Java takes for a negative number lie there, too
    To Java the highest of the 32 bits is a sign. How does Kafka get rid of it?
bytes: a key in bytes is hashed as it is
    Which bytes are not ASCII, or not even text? What do you make of them?
utf-8: a text is hashed as its UTF-8
    How many bytes does your key have, and how many letters?
empty-key: an empty key is a key
    What does your code say of `not key`?
no-key: without a key, None, it is -1: the producer chooses
    There is nothing to hash. What does `produce` take for "no partition given"?
guesses: anything else is a TypeError
    How would four languages write the number 42 as bytes?
""")


class Layout(KafkaStage):
    """The keys in a topic, written by a producer that does as Java's."""

    def __init__(self, ask, partition_for):
        super().__init__(ask, partition_for)
        self.writer = self.use(Producer({**self.kafka.settings, "partitioner": "murmur2_random", "linger.ms": 0}))

    def astray(self, keys, partitions):
        """(is none astray, what happened): the first key for which the learner names another partition."""
        topic, lies = self.kafka.topic("orders", partitions), {}
        for key in keys:
            self.writer.produce(topic, b"", key, on_delivery=lambda _, m: lies.__setitem__(m.key(), m.partition()))
        self.writer.flush(5)
        for key in keys:
            said = self.call(self.yours, key, partitions, returns=int)
            lie = lies[key.encode() if isinstance(key, str) else key]
            if said != lie:
                self.show("orders", "kafka", f"key {shown(key, 20)} to partition {said}")
                return False, f"key {shown(key)}, {partitions} partitions: you said {said}, and it lies in {lie}"
        self.show("orders", "kafka", f"{len(keys)} keys, {partitions} partitions")
        return True, f"{len(keys)} keys"


check_partitioner = scenario("05", 1, "Java's partition", WORDS, partition_for=Layout)

# By murmur2: the hash of each of these is no negative number …
_WHOLE = [b"cups", b"order-00", b"order-05", b"invoice-0004", b"a-little-bit-longer-string..", b"a" * 1100]
_TAILS = [b"d", b"ab", b"cup", b"order", b"order-1"]
_NEGATIVE = [b"21", b"foobar"]


@check_partitioner.part
def whole_blocks(layout):
    yield "hash", *layout.astray(_WHOLE, 8)


@check_partitioner.part
def a_last_block(layout):
    yield "tail", *layout.astray(_TAILS, 8)


@check_partitioner.part
def numbers_of_partitions(layout):
    for partitions in (1, 6, 7, 15, 32, 127):
        yield "partitions", *layout.astray(_WHOLE, partitions)


@check_partitioner.part
def negative_hashes(layout):
    for partitions in (6, 15, 32):
        yield "sign", *layout.astray(_NEGATIVE, partitions)


@check_partitioner.part
def bytes_and_text(layout):
    yield "bytes", *layout.astray([b"\xff\xfe\x00\x80", b"\xc3\xa9", b"caf\xe9", b" mug\n", b"MUG"], 15)
    yield "utf-8", *layout.astray(["mug", "é", "Żaneta Łoś", "鍵", "\U0001d11e", "e\u0301", " mug "], 15)
    yield "empty-key", *layout.astray(["", b""], 15)


@check_partitioner.part
def no_key(layout):
    said = [layout.call(layout.yours, None, partitions, returns=int) for partitions in (1, 6)]
    layout.show("orders", "kafka", f"no key, to partition {said[0]}")
    yield "no-key", said == [-1, -1], f"for 1 and 6 partitions you said {said[0]} and {said[1]}"


@check_partitioner.part
def what_is_no_key(layout):
    for key in (42, 0, -1, False, 4.2, ("mug",), ["mug"], [1, 2], UUID(int=42)):
        outcome = layout.ask.run(layout.yours, key, 6, limit=2.0)
        layout.show("orders", "kafka", f"key {key!r}")
        yield "guesses", isinstance(outcome.error, TypeError), f"key {key!r}: {outcome}"
