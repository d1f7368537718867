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
    Which numbers of partitions does your last step suit? And has the hash before it 32 bits, and no more?
sign: keys whose hash Java takes for a negative number lie there, too
    To Java the highest of the 32 bits is a sign. How does Kafka get rid of it?
bytes: a key in bytes is hashed as it is, a text as its UTF-8
    Which bytes are not ASCII, or not even text? How many bytes does a text have, and how many letters?
no-key: an empty key is a key; without one, None, it is -1: the producer chooses
    What does your code say of `not key`? What does `produce` take for "no partition given"?
guesses: anything else is a TypeError
    How would four languages write the number 42 as bytes? Which types do you let through, and what do the others get?
""")
WHOLE = [b"cups", b"order-00", b"order-05", b"invoice-0004", b"a-little-bit-longer-string..", b"a" * 1100]
BYTES = [b"\xff\xfe\x00\x80", b"\xc3\xa9", b"caf\xe9", b" mug\n", b"MUG"]
KEYS = {  # code: numbers of partitions, and keys. Of the first three the hash, by murmur2, is no negative number
    "hash": ((8,), WHOLE),
    "tail": ((8,), [b"d", b"ab", b"cup", b"order", b"order-1"]),
    "partitions": ((1, 6, 7, 15, 32, 127), WHOLE),
    "sign": ((6, 15, 32), [b"21", b"foobar"]),
    "bytes": ((15,), [*BYTES, "mug", "é", "Żaneta Łoś", "鍵", "\U0001d11e", "e\u0301", " mug "]),
    "no-key": ((15, 1), ["", b"", None]),
}

check_partitioner = scenario("05", 1, "Java's partition", WORDS, partition_for=KafkaStage)


@check_partitioner.part
def keys_and_no_key(orders):
    java = orders.use(Producer({**orders.kafka.settings, "partitioner": "murmur2_random", "linger.ms": 0}))
    for code, (counts, keys) in KEYS.items():
        for count in counts:
            topic, lies = orders.kafka.topic("orders", count), []
            for key in keys:
                java.produce(topic, b"", key, on_delivery=lambda _, to, lies=lies: lies.append(to.partition()))
                java.flush(5)
                said, right = orders.call(orders.yours, key, count, returns=int), -1 if key is None else lies[-1]
                orders.say("orders", "kafka", f"key {shown(key, 20)} to partition {said} of {count}")
                yield code, said == right, f"key {shown(key)}, {count} partitions: you said {said}, right is {right}"


@check_partitioner.part
def what_is_no_key(orders):
    for key in (42, 0, -1, False, 4.2, ("mug",), ["mug"], [1, 2], {}):
        outcome = orders.ask.run(orders.yours, key, 6, limit=2.0)
        orders.say("orders", "kafka", f"key {key!r}")
        yield "guesses", isinstance(outcome.error, TypeError), f"key {key!r}: {outcome}"
