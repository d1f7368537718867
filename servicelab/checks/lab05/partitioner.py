"""Exercise 1, build: the partition that Java's producer would choose. What is right is not computed here: librdkafka's
own ``murmur2_random``, which is compatible with Java's producer, puts the same keys into a topic."""

from confluent_kafka import Producer

from servicelab.checks.lab05.kafka_stage import KafkaStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

WORDS = words("""
hash: keys of whole blocks, four bytes each, lie where Java's producer puts them
    Go through your murmur2 with one block by hand. Where do 32 bits overflow, and which of four bytes comes first?
tail: keys whose last block is not whole lie there, too
    What becomes of the last one, two or three bytes? Is each in its place, and how often are they multiplied?
partitions: for any number of partitions
    Which numbers of partitions does your last step suit?
sign: keys whose hash Java takes for a negative number lie there, too
    To Java the highest of the 32 bits is a sign. How does Kafka get rid of it?
bytes: a key in bytes is hashed as it is, a text as its UTF-8
    Which bytes are not ASCII, or not even text? How many bytes does a text have, and how many letters?
empty-key: an empty key is a key
    What does your code say of `not key`?
no-key: without a key, None, it is -1: the producer chooses
    There is nothing to hash. What does `produce` take for "no partition given"?
guesses: anything else is a TypeError
    How would four languages write the number 42 as bytes?
""")
WHOLE = [b"cups", b"order-00", b"order-05", b"invoice-0004", b"a-little-bit-longer-string..", b"a" * 1100]
TEXTS = ["mug", "é", "Żaneta Łoś", "鍵", "\U0001d11e", "e\u0301", " mug "]
KEYS = {  # code: numbers of partitions, and keys. Of the first three the hash, by murmur2, is no negative number
    "hash": ((8,), WHOLE),
    "tail": ((8,), [b"d", b"ab", b"cup", b"order", b"order-1"]),
    "partitions": ((1, 6, 7, 15, 32, 127), WHOLE),
    "sign": ((6, 15, 32), [b"21", b"foobar"]),
    "bytes": ((15,), [b"\xff\xfe\x00\x80", b"\xc3\xa9", b"caf\xe9", b" mug\n", b"MUG", *TEXTS]),
    "empty-key": ((15,), ["", b""]),
    "no-key": ((1, 6), [None]),
}


class Layout(KafkaStage):
    """Topics, and a producer that does as Java's."""

    def __init__(self, ask, partition_for):
        super().__init__(ask, partition_for)
        self.java = self.use(Producer({**self.kafka.settings, "partitioner": "murmur2_random", "linger.ms": 0}))

    def partition_of(self, key):
        found = [-1]
        if key is not None:
            self.java.produce(self.topic, b"", key, on_delivery=lambda _, message: found.append(message.partition()))
            self.java.flush(5)
        return found[-1]


check_partitioner = scenario("05", 1, "Java's partition", WORDS, partition_for=Layout)


@check_partitioner.part
def keys_and_no_key(layout):
    for code, (counts, keys) in KEYS.items():
        for count in counts:
            layout.topic = layout.kafka.topic("orders", count)
            for key in keys:
                said, lies = layout.call(layout.yours, key, count, returns=int), layout.partition_of(key)
                layout.say("orders", "kafka", f"key {shown(key, 20)} to partition {said} of {count}")
                yield code, said == lies, f"key {shown(key)}, {count} partitions: you said {said}, and right is {lies}"


@check_partitioner.part
def what_is_no_key(layout):
    for key in (42, 0, -1, False, 4.2, ("mug",), ["mug"], [1, 2], {}):
        outcome = layout.ask.run(layout.yours, key, 6, limit=2.0)
        layout.say("orders", "kafka", f"key {key!r}")
        yield "guesses", isinstance(outcome.error, TypeError), f"key {key!r}: {outcome}"
