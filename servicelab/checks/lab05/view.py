"""Exercise 3, build: a view of the stock out of all that a log still has, and what a compaction leaves."""

import json
import zlib

from confluent_kafka import Consumer, TopicPartition

from servicelab.checks.lab05.kafka_stage import KafkaStage, Reader
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

PARTITIONS = 4
GROUP = "stock"

WORDS = words("""
from-the-bookmark: the view has what is in the log, from its oldest event on
    Where does your consumer begin, and what does it do when this offset is not there any more?
one-partition: … in all partitions
    How many partitions are there, and who says so?
ends-early: … up to the end
    A poll that returns None: what does it say, and what not? What says where a partition ends?
counted-twice: a movement that is in the log twice counts once
    What tells one movement from another one that looks alike?
counted-once: two movements that look alike count twice
    What tells one movement from another one that looks alike?
still-there: an article with a tombstone is not in the view
    What does an event look like that has no value?
risen: what comes after the tombstone begins at nothing
    What did the view still know of the article?
not-there: an article of which nothing is left is in the view, with 0, and one that was oversold with less than 0
    Which of your conditions takes 0 for nothing? Which number do you hold back?
moved-bookmark: the bookmarks of the group stock are where they were
    Your consumer is a member of which group? What does a consumer do when it is closed?
latest: of the cleaned part, the last record of each key is there, and no other
    Of which key did you keep more than one, or none?
active-part: the newest records, the active part, stay as they are
    What does a cleaner do to the part that is still being written?
shadowed: a record of the cleaned part is not removed for one in the active part
    From which records does the cleaner know what is the last?
order: what stays has its offset, and the order is that of the log
    In which order does your dict have its keys?
tombstones: a tombstone stays, too, as long as tombstones are kept
    A reader that is half way through: how does it learn that the article is gone?
tombstone-dropped: when tombstones are dropped, neither it nor what it deleted is there
    Which of two goes first: the tombstone, or what it deletes?
empty-value: … and a value that is empty, or 0, is no tombstone
    What exactly is the value of a tombstone?
spoilt: the records that were handed over are as they were
    What does the list of the caller look like after the call?
""")


def _movement(id, add, backwards=False):
    return json.dumps({"add": add, "id": id} if backwards else {"id": id, "add": add}).encode()


class Movements(KafkaStage):
    """A topic of movements in which one partition has lost its beginning, and one never had an event."""

    lane = "stock"

    def __init__(self, ask, *yours):
        super().__init__(ask, *yours)
        self.topic, self.events = self.kafka.topic("movements", PARTITIONS), []

    def label(self, message):
        return f"{(message.key() or b'?').decode()}: {(message.value() or b'tombstone').decode()}"[:40]

    def connect(self, settings=None):
        return self.open(lambda stage, given: Reader(stage, {"group.id": GROUP, **given}), settings or {})

    def write(self, *events):
        """Events (article, partition, id, number), or (article, partition) for a tombstone.

        One more True writes the JSON in another order."""
        self.put(self.topic, *((a, _movement(*rest) if rest else None, p) for a, p, *rest in events))

    def set_bookmarks(self, *offsets):
        with Consumer({**self.kafka.settings, "group.id": GROUP}) as consumer:
            places = [TopicPartition(self.topic, number, offset) for number, offset in enumerate(offsets)]
            consumer.commit(offsets=places, asynchronous=False)

    def view(self):
        rebuild = self.yours[0] if isinstance(self.yours, tuple) else self.yours
        self.must_return(self.live(rebuild, self.connect, self.topic))
        if not isinstance(self.answer, dict):
            self.call(lambda: self.answer, returns=dict)
        return self.answer


def _told(view, wanted):
    """Checksums, and the first article in which they differ."""
    sums = [f"{zlib.crc32(repr(sorted(one.items(), key=repr)).encode()):08x}" for one in (view, wanted)]
    if odd := [article for article in view if not isinstance(article, str)]:
        return f"checksum {sums[0]}, not {sums[1]}; an article is text, and {shown(odd[0])} is none: decode the key"
    for article in sorted(set(view) | set(wanted), key=repr):
        if view.get(article, "missing") != wanted.get(article, "missing"):
            more = f"; {shown(article)} is {shown(view.get(article, 'missing'))}, not {wanted.get(article, 'missing')}"
            return f"checksum {sums[0]}, not {sums[1]}{more}"
    return f"checksum {sums[0]}"


class Cleaner(Stage):
    """Records (offset, key, value), of which the last few are active."""

    def clean(self, *keys_and_values, active=0, drop_tombstones=False, gap=1):
        self.records = [(7 + gap * at, key, value) for at, (key, value) in enumerate(keys_and_values)]
        for offset, key, value in self.records[-9:]:
            self.last = self.ask.trace.send("log", "cleaner", f"{offset} {key}: {value}")
            self.ask.trace.receive(self.last, "cleaner")
        given = list(self.records)
        kept = self.call(self.yours, given, active, drop_tombstones, returns=list)
        self.spoilt = given != self.records
        return kept, f"of {_short(self.records)}, {active} of them active, you kept {_short(kept)}"


def _short(records):
    return (
        " ".join(f"{one[0]}:{one[1]}={one[2]}" if _is_record(one) else shown(one, 20) for one in records) or "nothing"
    )


def _is_record(one):
    return isinstance(one, tuple) and len(one) == 3


check_view = scenario("05", 3, "The past, replayed", WORDS, rebuild=Movements, compact=Cleaner)


@check_view.part("rebuild")
def three_partitions(log):
    log.write(*(("mug", 0, f"a{number}", number) for number in range(1, 9)))
    log.write(*(("cup", 1, f"b{number}", number) for number in range(1, 8)), ("pot", 3, "c1", 30))
    view, wanted = log.view(), {"mug": 36, "cup": 28, "pot": 30}
    if not view and log.over:
        code = "from-the-bookmark"
    else:
        code = "one-partition" if len(log.assigned) < PARTITIONS else "ends-early"
    yield code, view == wanted, _told(view, wanted)


@check_view.part("rebuild")
def a_bookmark_and_a_beginning_that_is_gone(log):
    log.topic = log.kafka.topic("movements", 6)
    log.write(*(("mug", 0, f"a{number}", number) for number in range(1, 5)), ("pot", 5, "c1", 30))
    log.write(*(("cup", 1, f"b{number}", number) for number in range(1, 5)))
    log.kafka.forget(log.topic, before=2)
    log.set_bookmarks(4, 3, 0, 0, 0, 0)
    before = log.kafka.committed(log.topic, GROUP)
    view, wanted = log.view(), {"mug": 7, "cup": 10, "pot": 30}
    yield "one-partition", "pot" in view, _told(view, wanted)
    yield "from-the-bookmark", view == wanted, _told(view, wanted)
    after = log.kafka.committed(log.topic, GROUP)
    yield "moved-bookmark", after == before, f"they were {before}, and are {after}"


@check_view.part("rebuild")
def the_same_and_alike(log):
    log.write(("mug", 0, "a1", 5), ("mug", 0, "a2", -1), ("mug", 0, "a1", 5), ("mug", 0, "a2", -1))
    log.write(("cup", 1, "b1", 3), ("cup", 1, "b2", 3), ("cup", 1, "b3", 3), ("pot", 3, "c1", 3))
    log.write(("mug", 0, "a1", 5, True), ("mug", 0, "a2", -1))
    view = log.view()
    yield "counted-twice", view.get("mug") == 4, _told(view, {"mug": 4, "cup": 9, "pot": 3})
    yield "counted-once", view == {"mug": 4, "cup": 9, "pot": 3}, _told(view, {"mug": 4, "cup": 9, "pot": 3})


@check_view.part("rebuild")
def tombstones(log):
    log.write(
        ("mug", 0, "a1", 5),
        ("mug", 0),
        ("jar", 0),
        ("cup", 1, "b1", 3),
        ("cup", 1),
        ("cup", 1, "b2", 2),
        ("cup", 1, "b1", 3),
    )
    log.write(("pot", 3, "c1", 4), ("pot", 3, "c2", -4), ("lid", 3, "d1", 0), ("pan", 2, "e1", 2), ("pan", 2, "e2", -5))
    view, wanted = log.view(), {"cup": 2, "pot": 0, "lid": 0, "pan": -3}
    yield "still-there", not {"mug", "jar"} & set(view), _told(view, wanted)
    yield "risen", view.get("cup") == 2, _told(view, wanted)
    yield "not-there", view == wanted, _told(view, wanted)


def _kept(log, *places):
    return [log.records[place] for place in places]


@check_view.part("compact")
def the_last_of_each(log):
    kept, told = log.clean(("mug", 9), ("cup", 2), ("mug", 3), ("pot", 4), ("cup", 2), ("mug", 3), ("jug", 1), gap=3)
    wanted = _kept(log, 3, 4, 5, 6)
    same = sorted(map(repr, kept)) == sorted(map(repr, wanted)) or [one[1:] for one in kept if _is_record(one)] == [
        one[1:] for one in wanted
    ]
    yield "order" if same else "latest", kept == wanted, told
    yield "spoilt", not log.spoilt, "the list that it got is another one now"
    kept, told = log.clean()
    yield "latest", kept == [], told


@check_view.part("compact")
def the_active_part(log):
    kept, told = log.clean(("mug", 1), ("mug", 2), ("cup", 1), ("mug", 3), ("mug", 4), active=2)
    yield "active-part", kept[-2:] == _kept(log, 3, 4), told
    yield "shadowed", kept == _kept(log, 1, 2, 3, 4), told
    kept, told = log.clean(("mug", 1), ("mug", None), ("mug", 2), ("mug", None), active=4, drop_tombstones=True)
    yield "active-part", kept == log.records, told
    kept, told = log.clean(
        ("mug", 1), ("mug", 2), ("jug", 1), ("mug", None), ("jug", 2), active=2, drop_tombstones=True
    )
    yield "active-part", kept == _kept(log, 1, 2, 3, 4), told


@check_view.part("compact")
def deleted(log):
    events = (
        ("mug", 1),
        ("mug", None),
        ("cup", 0),
        ("pot", 3),
        ("jug", 5),
        ("pot", ""),
        ("jug", None),
        ("jug", 6),
        ("lid", b""),
    )
    kept, told = log.clean(*events)
    yield "tombstones", kept == _kept(log, 1, 2, 5, 7, 8), told
    kept, told = log.clean(*events, drop_tombstones=True)
    is_back = any(one[1] == "mug" for one in kept if _is_record(one))
    yield "tombstone-dropped" if is_back else "empty-value", kept == _kept(log, 2, 5, 7, 8), told
