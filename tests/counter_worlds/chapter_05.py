"""The counter-worlds of chapter 05."""

from tests.counter_worlds import Change

COUNTER = {
    "C14": [
        # A group that always begins at the earliest.
        Change(
            "e-group",
            '"enable.auto.commit": False,',
            '"enable.auto.commit": False, "auto.offset.reset": "earliest",',
            "holds if the group is new, as shipped; if it begins at the earliest",
        ),
        # A job that flushes.
        Change(
            "e-io-job",
            "producer.produce(sys.argv[2], str(number))",
            "producer.produce(sys.argv[2], str(number))\nproducer.flush()",
            "holds if it begins at the earliest; if the sender ends without a flush",
        ),
    ],
    "C57": [
        # Both services read as one group: the second finds the bookmark of the first.
        Change("e-pair-log", "take(pairs, service, **EARLIEST)", 'take(pairs, "invoices", **EARLIEST)', "holds"),
        # A queue that has given the letter another header.
        Change("e-pair-queue", "headers=HEADERS", 'headers=HEADERS | {"x": "y"}', "fails"),
    ],
    "C58": [
        # The one that comes in the evening shares the bookmark of the one that was there all day.
        Change(
            "e-past-run",
            'take(moves, "mailing", **EARLIEST)',
            'take(moves, "billing", **EARLIEST)',
            "holds if a service reads all the time; if a third is not written yet",
        ),
        # A log that forgets nothing while the reader is away.
        Change("e-wrong-run", "kafka.forget(orders, before=90)\n", "", "holds"),
        # A log that keeps the last thirty of each partition.
        Change(
            "e-past-run",
            "        billing += len",
            "        for number, (_, end) in enumerate(kafka.watermarks(moves)):\n"
            "            kafka.forget(moves, max(0, end - 10), number)\n"
            "        billing += len",
            "fails",
        ),
    ],
}

TURNS = {
    "e-log-turn": ("log.bookmarks.clear()", 'log.bookmarks["audit"] = 0'),
    "e-io-turn": ('LAST_LINES = """\n', 'LAST_LINES = """\nproducer.flush()\n'),
    "e-share-turn": ("partitions = 6", "partitions = 8"),
    "e-key-turn": ("consistent_random", "murmur2_random"),
    "e-auto-turn": (
        '"enable.auto.offset.store": True}  # change this\nlast_line = "pass"',
        '"enable.auto.offset.store": False}\nlast_line = "consumer.store_offsets(message)"',
    ),
    "e-again-turn": ('keep, reset = 10, "latest"', 'keep, reset = 90, "error"'),
}
