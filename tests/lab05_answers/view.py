"""Exercise 3: a view out of the whole log in three hands, three cleaners, and what they get wrong."""

import json
import time
from collections import defaultdict, deque
from contextlib import closing
from itertools import count

from confluent_kafka import OFFSET_BEGINNING, OFFSET_STORED, KafkaError, TopicPartition

ALONE = {"enable.auto.commit": False}


def places(consumer, topic, offset=OFFSET_BEGINNING):
    return [TopicPartition(topic, number, offset) for number in consumer.list_topics(topic).topics[topic].partitions]


def events(connect, topic, settings=ALONE, offset=OFFSET_BEGINNING, most=99):
    """Everything up to the end of each partition."""
    with closing(connect({**settings, "enable.partition.eof": True})) as consumer:
        left = places(consumer, topic, offset)[:most]
        consumer.assign(left)
        left = {one.partition for one in left}
        while left:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                yield message
            elif message is not None and message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())


def summed(messages, id=lambda movement, message: movement["id"]):
    view, seen = {}, set()
    for message in messages:
        article = message.key().decode()
        if message.value() is None:
            view.pop(article, None)
            continue
        movement = json.loads(message.value())
        if id(movement, message) not in seen:
            seen.add(id(movement, message))
            view[article] = view.get(article, 0) + movement["add"]
    return view


def by_the_end_of_partitions(connect, topic):
    return summed(events(connect, topic))


def by_watermarks(connect, topic):
    """One partition after the other, from its low to its high watermark."""
    view, seen = {}, defaultdict(set)
    with connect(ALONE) as consumer:
        for place in places(consumer, topic):
            low, high = consumer.get_watermark_offsets(place)
            consumer.assign([TopicPartition(topic, place.partition, low)])
            while low < high:
                for message in consumer.consume(high - low, timeout=0.2):
                    if message.error() or message.offset() >= high:
                        continue
                    low, article = message.offset() + 1, message.key().decode()
                    if message.value() is None:
                        view.pop(article, 0)
                    else:
                        movement = json.loads(message.value().decode())
                        if movement["id"] not in seen[article]:
                            view[article] = view.setdefault(article, 0) + movement["add"]
                        seen[article] |= {movement["id"]}
    return view


_number = count(1)


class AGroupOfItsOwn:
    """A group that has never been, and everything collected before anything is counted."""

    def __call__(self, connect, topic):
        consumer = connect(
            {"group.id": f"rebuild-{next(_number)}-{time.time()}", "auto.offset.reset": "smallest",
             "enable.partition.eof": "true", "enable.auto.commit": "false"}
        )  # fmt: skip
        numbers = list(consumer.list_topics(topic).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number) for number in numbers])
        log = {number: [] for number in numbers}
        while numbers:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error():
                numbers.remove(message.partition())
            else:
                log[message.partition()].append(message)
        consumer.close()
        return summed(message for part in log.values() for message in part)


def from_offset_0(connect, topic):
    return summed(events(connect, topic, offset=0))


def from_the_bookmark(connect, topic):
    return summed(events(connect, topic, ALONE | {"auto.offset.reset": "earliest"}, OFFSET_STORED))


def from_the_end(connect, topic):
    return summed(events(connect, topic, offset=OFFSET_STORED))


def the_first_partition(connect, topic):
    return summed(events(connect, topic, most=1))


def four_partitions(connect, topic):
    return summed(events(connect, topic, most=4))


def the_first_end(connect, topic):
    """Done, when one partition is."""
    with closing(connect({**ALONE, "enable.partition.eof": True})) as consumer:
        consumer.assign(places(consumer, topic))
        found = []
        while True:
            message = consumer.poll(0.1)
            if message is not None and message.error():
                return summed(found)
            if message is not None:
                found.append(message)


def commits_at_the_end(connect, topic):
    return summed(events(connect, topic, {}))


def looks_at_the_number(connect, topic):
    return summed(events(connect, topic), id=lambda movement, message: (message.key(), movement["add"]))


def the_last_one_only(connect, topic):
    """Skips what equals the one before."""
    view, last = {}, {}
    for message in events(connect, topic):
        article = message.key().decode()
        if message.value() is None:
            view.pop(article, None)
        elif last.get(article) != message.value():
            last[article] = message.value()
            view[article] = view.get(article, 0) + json.loads(message.value())["add"]
    return view


def the_last_ids(connect, topic):
    """Remembers the last three."""
    view, ids = {}, deque(maxlen=3)
    for message in events(connect, topic):
        article = message.key().decode()
        if message.value() is None:
            view.pop(article, None)
        elif (movement := json.loads(message.value()))["id"] not in ids:
            ids.append(movement["id"])
            view[article] = view.get(article, 0) + movement["add"]
    return view


def never_below_0(connect, topic):
    return {article: max(0, left) for article, left in by_the_end_of_partitions(connect, topic).items()}


def forgets_its_ids(connect, topic):
    """With the article go the ids."""
    view, seen = {}, defaultdict(set)
    for message in events(connect, topic):
        article = message.key().decode()
        if message.value() is None:
            view.pop(article, None)
            seen.pop(article, None)
        elif (movement := json.loads(message.value()))["id"] not in seen[article]:
            seen[article].add(movement["id"])
            view[article] = view.get(article, 0) + movement["add"]
    return view


def four_silences(connect, topic):
    """Four polls that bring nothing: that is the end, it thinks."""
    found, silent = [], 0
    with connect(ALONE) as consumer:
        consumer.assign(places(consumer, topic))
        while silent < 4:
            message = consumer.poll(0.3)
            silent = silent + 1 if message is None else 0
            found += [message] if message is not None else []
    return summed(found)


def with_tombstones(on_tombstone):
    def rebuild(connect, topic):
        view, seen = {}, set()
        for message in events(connect, topic):
            article = message.key().decode()
            if message.value() is None:
                on_tombstone(view, article)
            elif (movement := json.loads(message.value()))["id"] not in seen:
                seen.add(movement["id"])
                view[article] = (view.get(article) or 0) + movement["add"]
        return view

    return rebuild


def remembers(connect, topic):
    """Deleted in the view, but not in the sums."""
    sums, view, seen = defaultdict(int), {}, set()
    for message in events(connect, topic):
        article = message.key().decode()
        if message.value() is None:
            view.pop(article, None)
        elif (movement := json.loads(message.value()))["id"] not in seen:
            seen.add(movement["id"])
            sums[article] += movement["add"]
            view[article] = sums[article]
    return view


def only_what_is_left(connect, topic):
    return {article: left for article, left in by_the_end_of_partitions(connect, topic).items() if left}


# -- cleaners -----------------------------------------------------------------------------------


def compact(records, active, drop_tombstones):
    border = len(records) - active
    last = {key: offset for offset, key, _ in records[:border]}
    kept = [one for one in records[:border] if last[one[1]] == one[0]]
    return [one for one in kept if one[2] is not None or not drop_tombstones] + records[border:]


def backwards(records, active, drop_tombstones):
    seen, kept = set(), []
    for place, (offset, key, value) in enumerate(reversed(records)):
        if place < active:
            kept.append((offset, key, value))
        elif key not in seen:
            seen.add(key)
            if not (drop_tombstones and value is None):
                kept.append((offset, key, value))
    return kept[::-1]


def by_sorting(records, active, drop_tombstones):
    head = records[len(records) - active :]
    table = {}
    for record in records[: len(records) - active]:
        table[record[1]] = record
    if drop_tombstones:
        table = {key: record for key, record in table.items() if record[2] is not None}
    return sorted([*table.values(), *head])


def keys_in_order(records, active, drop_tombstones):
    table, border = {}, len(records) - active
    for record in records[:border]:
        table[record[1]] = record
    return [one for one in table.values() if one[2] is not None or not drop_tombstones] + records[border:]


def renumbered(records, active, drop_tombstones):
    kept = compact(records, active, drop_tombstones)
    return [(records[0][0] + place, *one[1:]) for place, one in enumerate(kept)]


def by_value(records, active, drop_tombstones):
    """Two records alike: it keeps both."""
    border = len(records) - active
    last = {one[1]: one[1:] for one in records[:border]}
    kept = [one for one in records[:border] if last[one[1]] == one[1:]]
    return [one for one in kept if one[2] is not None or not drop_tombstones] + records[border:]


def all_of_it(records, active, drop_tombstones):
    return compact(records, 0, drop_tombstones)


def shadows(records, active, drop_tombstones):
    border = len(records) - active
    last = {key: offset for offset, key, _ in records}
    kept = [one for one in records[:border] if last[one[1]] == one[0]]
    return [one for one in kept if one[2] is not None or not drop_tombstones] + records[border:]


def drops_in_the_active_part(records, active, drop_tombstones):
    return [one for one in compact(records, active, False) if one[2] is not None or not drop_tombstones]


def drops_at_once(records, active, drop_tombstones):
    return compact(records, active, True)


def drops_first(records, active, drop_tombstones):
    """Takes the tombstones away, and then looks for the last."""
    border = len(records) - active
    left = [one for one in records[:border] if one[2] is not None or not drop_tombstones]
    return compact(left, 0, False) + records[border:]


def keeps_them(records, active, drop_tombstones):
    return compact(records, active, False)


def falsy(records, active, drop_tombstones):
    border = len(records) - active
    return [one for one in compact(records, active, False) if one in records[border:] or one[2] or not drop_tombstones]


def a_shelf_by_offset(records, active, drop_tombstones):
    """A place for each offset, from the first one on."""
    shelf = [None] * (records[-1][0] - records[0][0] + 1)
    for one in compact(records, active, drop_tombstones):
        shelf[one[0] - records[0][0]] = one
    return [one for one in shelf if one]


def in_place(records, active, drop_tombstones):
    kept = compact(records, active, drop_tombstones)
    records[:] = kept
    return records


RIGHT = {
    "by the end of partitions": (by_the_end_of_partitions, compact),
    "by watermarks, and backwards": (by_watermarks, backwards),
    "a group of its own, and by sorting": (AGroupOfItsOwn(), by_sorting),
}
_VIEWS = {
    "from offset 0": (from_offset_0, {"not-all"}),
    "from the bookmark": (from_the_bookmark, {"not-all"}),
    "from the end": (from_the_end, {"not-all"}),
    "the first partition": (the_first_partition, {"not-all"}),
    "four partitions": (four_partitions, {"not-all"}),
    "until the first end": (the_first_end, {"not-all"}),
    "commits at the end": (commits_at_the_end, {"moved-bookmark"}),
    "compares with the one before": (the_last_one_only, {"counted"}),
    "looks at the number": (looks_at_the_number, {"counted"}),
    "a tombstone is 0": (with_tombstones(lambda view, article: view.__setitem__(article, 0)), {"still-there"}),
    "a tombstone is None": (with_tombstones(lambda view, article: view.__setitem__(article, None)), {"still-there"}),
    "a tombstone is nothing": (with_tombstones(lambda view, article: None), {"still-there"}),
    "remembers": (remembers, {"still-there"}),
    "the last three ids": (the_last_ids, {"counted"}),
    "compares the values": (
        lambda connect, topic: summed(events(connect, topic), lambda movement, message: message.value()),
        {"counted"},
    ),
    "forgets its ids": (forgets_its_ids, {"still-there"}),
    "never below 0": (never_below_0, {"not-there"}),
    "four silences": (four_silences, {"not-all"}),
    "only what is left": (only_what_is_left, {"not-there"}),
}
_CLEANERS = {
    "keys in order": (keys_in_order, {"order"}),
    "new offsets": (renumbered, {"order"}),
    "two records alike": (by_value, {"latest"}),
    "minus nothing": (lambda all, n, drop: compact(all[:-n], 0, drop) + all[-n:], {"latest"}),
    "all of it": (all_of_it, {"active-part"}),
    "drops in the active part": (drops_in_the_active_part, {"active-part"}),
    "shadows": (shadows, {"active-part"}),
    "drops at once": (drops_at_once, {"tombstones"}),
    "drops first": (drops_first, {"tombstones"}),
    "keeps tombstones": (keeps_them, {"tombstones"}),
    "takes an empty value for one": (falsy, {"empty-value"}),
    "an empty value in bytes": (
        lambda records, *more: [one for one in compact(records, *more) if one[2] != b"" or not more[1]],
        {"empty-value"},
    ),
    "an empty list has no last one": (a_shelf_by_offset, {"exception"}),
    "in place": (in_place, {"spoilt"}),
}
WRONG = {name: ((answer, compact), codes) for name, (answer, codes) in _VIEWS.items()}
WRONG |= {name: ((by_the_end_of_partitions, answer), codes) for name, (answer, codes) in _CLEANERS.items()}
