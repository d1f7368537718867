"""Exercise 3: a view out of the whole log in three hands, three cleaners, and what they get wrong."""

import json
import time
from collections import Counter, deque
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


def summed(messages, id=lambda movement, message: movement["id"], delete=dict.pop, remembered=None):
    """The view, by a reader that remembers so many movements (None: all). ``delete`` is called with the view, the
    article and None."""
    view, seen = {}, deque(maxlen=remembered)
    for message in messages:
        article = message.key().decode()
        if message.value() is None:
            delete(view, article, None)
            continue
        movement = json.loads(message.value())
        one = id(movement, message)
        if one not in seen:
            seen.append(one)
            view[article] = (view.get(article) or 0) + movement["add"]
    return view


def reads(**how):
    """An answer that is right, but for how it reads the log."""
    return lambda connect, topic: summed(events(connect, topic, **how))


def sums(after=lambda view: view, **how):
    """An answer that is right, but for how it sums up what it has read, or for what it makes of the view."""
    return lambda connect, topic: after(summed(events(connect, topic), **how))


def by_watermarks(connect, topic):
    """One partition after the other, from its low to its high watermark."""
    found = []
    with connect(ALONE) as consumer:
        for place in places(consumer, topic):
            low, high = consumer.get_watermark_offsets(place)
            consumer.assign([TopicPartition(topic, place.partition, low)])
            while low < high:
                found += [one for one in consumer.consume(high - low, timeout=0.2) if not one.error()]
                low = max([low, *(one.offset() + 1 for one in found if one.partition() == place.partition)])
    return summed(found)


_number = count(1)


def in_a_group_of_its_own(connect, topic):
    """One that has never been; and everything is collected before anything is counted."""
    settings = {"group.id": f"rebuild-{next(_number)}-{time.time()}", "auto.offset.reset": "smallest"}
    consumer = connect({**settings, "enable.partition.eof": "true", "enable.auto.commit": "false"})
    numbers, found = list(consumer.list_topics(topic).topics[topic].partitions), []
    consumer.assign([TopicPartition(topic, number) for number in numbers])
    while numbers:
        message = consumer.poll(0.5)
        if message is not None and message.error():
            numbers.remove(message.partition())
        elif message is not None:
            found.append(message)
    consumer.close()
    return summed(found)


def until(is_end):
    """An answer that reads on until it thinks that this is the end."""

    def rebuild(connect, topic):
        polls = []
        with closing(connect({**ALONE, "enable.partition.eof": True})) as consumer:
            consumer.assign(places(consumer, topic))
            while not is_end(polls):
                polls.append(consumer.poll(0.3))
        return summed(one for one in polls if one is not None and not one.error())

    return rebuild


def forgets_its_ids(connect, topic):
    """With the article go the ids."""
    lives = Counter()
    return summed(
        events(connect, topic),
        lambda movement, message: (movement["id"], lives[message.key().decode()]),
        lambda view, article, _: (view.pop(article, None), lives.update([article])),
    )


def remembers(connect, topic):
    """An article that is deleted at the end is not in the view, but its sum goes on."""
    log = [*events(connect, topic)]
    last = {message.key().decode(): message.value() for message in log}
    view = summed(log, delete=lambda *_: None)
    return {article: left for article, left in view.items() if last[article] is not None}


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


def keys_in_order(records, active, drop):
    border = len(records) - active
    table = {one[1]: one for one in records[:border]}
    return [one for one in table.values() if one[2] is not None or not drop] + records[border:]


def renumbered(records, active, drop):
    kept = compact(records, active, drop)
    return [(records[0][0] + place, *one[1:]) for place, one in enumerate(kept)]


def by_value(records, active, drop):
    """Two records alike: it keeps both."""
    border = len(records) - active
    last = {one[1]: one[1:] for one in records[:border]}
    kept = [one for one in records[:border] if last[one[1]] == one[1:]]
    return [one for one in kept if one[2] is not None or not drop] + records[border:]


def shadows(records, active, drop):
    """For one in the active part an older one goes."""
    later = {one[1] for one in records[len(records) - active :]}
    first = [one for one in records[: len(records) - active] if one[1] not in later]
    return compact(first, 0, drop) + records[len(records) - active :]


def drops_first(records, active, drop):
    """Takes the tombstones away, and then looks for the last."""
    border = len(records) - active
    return compact([one for one in records[:border] if one[2] is not None or not drop], 0, False) + records[border:]


def drops(is_tombstone):
    """Another opinion of what goes with drop_tombstones, in all that is left."""
    return lambda records, active, drop: [
        one for one in compact(records, active, drop) if not (drop and is_tombstone(one))
    ]


def in_place(records, active, drop):
    records[:] = compact(records, active, drop)
    return records


rebuild = reads()
RIGHT = {
    "by the end of partitions": (rebuild, compact),
    "by watermarks, and backwards": (by_watermarks, backwards),
    "a group of its own": (in_a_group_of_its_own, compact),
}
FROM_BOOKMARK = {"settings": ALONE | {"auto.offset.reset": "earliest"}, "offset": OFFSET_STORED}
_VIEWS = {
    "from offset 0": (reads(offset=0), {"not-all"}),
    "from the bookmark": (reads(**FROM_BOOKMARK), {"not-all"}),
    "four partitions": (reads(most=4), {"not-all"}),
    "until the first end": (until(lambda polls: any(one is not None and one.error() for one in polls)), {"not-all"}),
    "four silences": (until(lambda polls: len(polls) > 3 and polls[-4:] == [None] * 4), {"not-all"}),
    "commits at the end": (reads(settings={}), {"moved-bookmark"}),
    "compares with the one before": (sums(remembered=1), {"counted"}),
    "the last three ids": (sums(remembered=3), {"counted"}),
    "compares the values": (sums(id=lambda _, message: message.value()), {"counted"}),
    "looks at the number": (sums(id=lambda movement, message: (message.key(), movement["add"])), {"counted"}),
    "forgets its ids": (forgets_its_ids, {"counted"}),
    "a tombstone is None": (sums(delete=dict.__setitem__), {"still-there"}),
    "a tombstone is nothing": (sums(delete=lambda *_: None), {"still-there"}),
    "remembers": (remembers, {"still-there"}),
    "never below 0": (sums(lambda view: {article: max(0, left) for article, left in view.items()}), {"not-there"}),
    "only what is left": (sums(lambda view: {article: left for article, left in view.items() if left}), {"not-there"}),
}
_CLEANERS = {
    "keys in order": (keys_in_order, {"order"}),
    "new offsets": (renumbered, {"order"}),
    "two records alike": (by_value, {"latest"}),
    "minus nothing": (lambda all, n, drop: compact(all[:-n], 0, drop) + all[-n:], {"latest"}),
    "an empty list has no last one": (lambda all, *more: compact(all, *more) if all[-1] else [], {"exception"}),
    "all of it": (lambda all, n, drop: compact(all, 0, drop), {"active-part"}),
    "drops in the active part": (drops(lambda one: one[2] is None), {"active-part"}),
    "shadows": (shadows, {"active-part"}),
    "drops at once": (lambda all, n, drop: compact(all, n, True), {"tombstones"}),
    "drops first": (drops_first, {"tombstones"}),
    "keeps tombstones": (lambda all, n, drop: compact(all, n, False), {"tombstones"}),
    "an empty value is one": (drops(lambda one: one[2] in (b"", "", 0)), {"empty-value"}),
    "in place": (in_place, {"spoilt"}),
}
WRONG = {name: ((answer, compact), codes) for name, (answer, codes) in _VIEWS.items()}
WRONG |= {name: ((rebuild, answer), codes) for name, (answer, codes) in _CLEANERS.items()}
