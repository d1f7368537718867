"""Exercise 3, build: a view of the stock out of all that a log still has, and what a compaction leaves."""

import json
from itertools import product

from confluent_kafka import Consumer, TopicPartition

from servicelab.checks.lab05.kafka_stage import LIMIT, KafkaStage
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
not-all: the view has what is in the log, of all partitions, from the oldest event that is there up to the end
    Where does your consumer begin? Who says how many partitions there are, and where one ends? Does None say so? And is
    each key a text?
moved-bookmark: the bookmarks of the group stock are where they were
    Your consumer is a member of which group? What does a consumer do when it is closed?
counted: a movement counts once, however often it is in the log, and two that look alike count twice
    What tells one movement from another one that looks alike? For how long do you remember it?
still-there: an article with a tombstone is not in the view, and what comes after it begins at nothing
    What does an event look like that has no value? What did the view still know of the article?
not-there: an article of which nothing is left is in the view, with 0, and one that was oversold with less than 0
    Which of your conditions takes 0 for nothing? Which number do you hold back?
latest: of the cleaned part, the last record of each key is there, and no other
    Of which key did you keep more than one, or none?
order: what stays has its offset, and the order is that of the log
    In which order does your dict have its keys, and does each record keep the number that it came with?
active-part: the active part stays as it is, and nothing in front of it is removed because of it
    What does a cleaner do to the part that is still being written? From which records does it know what is the last?
tombstones: a tombstone stays, too; when tombstones are dropped, neither it nor what it deleted is there
    How does a reader that is half way through learn that the article is gone? And of two that go, which goes first?
empty-value: a value that is empty, or 0, is no tombstone
    What exactly is the value of a tombstone?
spoilt: the records that were handed over are as they were
    What does the list of the caller look like after the call?
""")
MISSING = object()  # of an article that is not in the view
REPEATED = [("a1", 5), ("a2", -1), ("a1", 5), ("a3", 2), ("a4", 3), ("a5", 4), {"add": 5, "id": "a1"}, ("a2", -1)]
STOCK = (  # code, article, movements (None: a tombstone), what is left
    ("counted", "mug", REPEATED, 13),
    ("counted", "cup", [("b1", 3), ("b2", 3), ("b3", 3)], 9),
    ("still-there", "jug", [("c1", 5), None], MISSING),
    ("still-there", "jar", [None], MISSING),
    ("still-there", "tea", [("d1", 3), None, ("d2", 2)], 2),
    ("counted", "tin", [("g1", 3), None, ("g2", 2), ("g1", 3)], 2),
    ("not-there", "pot", [("e1", 4), ("e2", -4)], 0),
    ("not-there", "pan", [("f1", 2), ("f2", -5)], -3),
)
CLEANED = (  # code, active, records, the places of those that stay, and of those that stay when tombstones go
    ("latest", 0, [("mug", 9), ("cup", 2), ("mug", 3), ("pot", 4), ("cup", 2), ("mug", 3), ("jug", 1)], (3, 4, 5, 6)),
    ("latest", 0, [], ()),
    ("active-part", 4, [("mug", 1), ("mug", None), ("mug", 2), ("mug", None)], (0, 1, 2, 3)),
    ("active-part", 2, [("mug", 1), ("mug", 2), ("jug", 1), ("mug", None), ("jug", 2)], (1, 2, 3, 4)),
    ("tombstones", 0, [("mug", 1), ("mug", None), ("jug", 5), ("jug", None), ("jug", 6)], (1, 4), (4,)),
    ("empty-value", 0, [("cup", 0), ("pot", 3), ("pot", ""), ("lid", b"")], (0, 2, 3)),
)


def shown_left(number) -> str:
    return "missing" if number is MISSING else shown(number)


class Movements(KafkaStage):
    lane, settings = "stock", {"group.id": "stock"}

    def write(self, partition, article, movements):
        """Movements (id, number) of an article; a dict says in which order its JSON is."""
        values = [{"id": one[0], "add": one[1]} if isinstance(one, tuple) else one for one in movements]
        self.put(*((article, one and json.dumps(one), partition) for one in values))


check_view = scenario("05", 3, "The past, replayed", WORDS, rebuild=Movements, compact=Stage)


@check_view.part("rebuild")
def a_beginning_that_is_gone(log):
    log.topic, wanted = log.kafka.topic("movements", 6), {"mug": 18, "cup": 10, "pot": 30}
    log.write(0, "mug", [(f"a{number}", number) for number in range(1, 7)])
    log.write(1, "cup", [(f"b{number}", number) for number in range(1, 5)])
    log.write(5, "pot", [("c1", 30)])
    log.kafka.forget(log.topic, before=2)
    with Consumer({**log.kafka.settings, "group.id": "stock"}) as consumer:
        marks = [TopicPartition(log.topic, *mark) for mark in enumerate((4, 3, 0, 0, 0, 0))]
        consumer.commit(offsets=marks, asynchronous=False)
    before = log.kafka.committed(log.topic, "stock")
    view = log.call(log.yours, log.connect, log.topic, returns=dict, limit=LIMIT)
    yield "not-all", view == wanted, f"the view is {shown(view)}, and right is {wanted}"
    after = log.kafka.committed(log.topic, "stock")
    yield "moved-bookmark", after == before, f"they were {before}, and are {after}"


@check_view.part("rebuild")
def what_is_left_of_each_article(log):
    log.topic = log.kafka.topic("movements", 4)
    for number, (_, article, movements, _) in enumerate(STOCK):
        log.write(number % 3, article, movements)
    view = log.call(log.yours, log.connect, log.topic, returns=dict, limit=LIMIT)
    for code, article, movements, left in STOCK:
        found = view.get(article, MISSING)
        told = f"{article} with {movements} is {shown_left(found)} in your view"
        yield code, found == left, f"{told}, and {shown_left(left)} is right"


@check_view.part("compact")
def what_stays(log):
    for drop, (code, active, some, *places) in product((False, True), CLEANED):
        records = [(7 + 3 * at, *one) for at, one in enumerate(some)]
        log.say("log", "cleaner", f"{len(records)} records, {active} of them active, {drop=}")
        for offset, key, value in records:
            log.say("log", "cleaner", f"{offset} {key}: {value}")
        given, wanted = list(records), [records[place] for place in places[-1 if drop else 0]]
        kept = log.call(log.yours, given, active, drop, returns=list)
        kept = [tuple(one) if isinstance(one, list) else one for one in kept]
        told = (
            f"of {shown(records, 300)}, {active} of them active, you kept {shown(kept, 300)} (drop_tombstones={drop})"
        )
        same = [sorted(repr(one[1:]) for one in both if isinstance(one, tuple)) for both in (kept, wanted)]
        yield "order" if same[0] == same[1] else code, kept == wanted, told
        yield "spoilt", given == records, f"the list that it got is {shown(given, 300)} now"
