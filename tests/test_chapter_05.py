"""The numbers of chapter 05: counts and orders as they are, times only by ratios and in wide bands."""

import zlib
from random import Random

import numpy as np
import pytest
from confluent_kafka import Producer

from servicelab import lifecycle, theory
from servicelab.checks.stall import LATE, StallWatch, ask_calmly
from tests.cells import code_of, needed, notebook_of, run, with_value

pytestmark = pytest.mark.usefixtures("no_progress_of_mine")

CODE = code_of(notebook_of("05"))


def world(*ids, without=()):
    """The names of the notebook after the cells ``ids``, with those that they need."""
    wanted = {one for id in ids for one in needed(CODE, id)} - set(without)
    return run(CODE, [id for id in CODE if id in wanted])


@pytest.fixture
def cell():
    yield world
    lifecycle.stop_all()


@pytest.fixture(scope="module")
def hashes():
    return run(CODE, ["e-setup", "e-key-murmur", "e-key-hash"])


# -- keys ---------------------------------------------------------------------------------------


#: Kafka's own test vectors (UtilsTest.testMurmur2), as int32.
VECTORS = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}


def test_murmur2_is_that_of_the_java_client(hashes):
    assert {data: hashes["murmur2"](data) for data in VECTORS} == {data: VECTORS[data] % 2**32 for data in VECTORS}


def test_the_keys_that_surprised_people(hashes):
    assert [row[2:] for row in hashes["_"].rows] == [
        [9, 10],  # https://github.com/tulios/kafkajs/issues/1154
        [zlib.crc32(b"fd7af248-ce5c-46a5-93d7-1c0c9005b99d") % 32, 26],  # Blizzard/node-rdkafka#817
    ]


def test_two_hashes_agree_by_chance_and_new_partitions_move_keys(hashes):
    crc32, murmur2 = hashes["crc32_partition"], hashes["murmur2_partition"]
    keys = [f"customer-{number}" for number in range(30_000)]
    assert np.mean([crc32(key, 6) == murmur2(key, 6) for key in keys]) == pytest.approx(1 / 6, abs=0.01)
    for partition in (crc32, murmur2):
        before = [partition(key, 6) for key in keys]
        for after, share in ((7, 6 / 7), (12, 1 / 2)):
            now = [partition(key, after) for key in keys]
            assert np.mean([a != b for a, b in zip(before, now)]) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("setting", "formula"), [("consistent_random", "crc32_partition"), ("murmur2_random", "murmur2_partition")]
)
def test_the_real_producer_agrees_with_the_formula(cell, hashes, setting, formula):
    kafka = cell("e-kafka")["kafka"]
    topic, went = kafka.topic("keys", 6), {}
    keys = [f"customer {number}" for number in range(100)]
    with Producer({**kafka.settings, "partitioner": setting}) as producer:
        for key in keys:
            producer.produce(topic, b"x", key, on_delivery=lambda _, m: went.update({m.key().decode(): m.partition()}))
        producer.flush(30)
    assert went == {key: hashes[formula](key, 6) for key in keys}


def test_order_is_kept_for_each_key_and_not_over_the_topic(cell):
    names = cell("e-key-order")
    assert (names["over_all"], names["per_key"]) == (False, True)


# -- bookmarks ----------------------------------------------------------------------------------


def test_back_from_the_holiday(cell):
    names = cell("e-wrong-run", "e-wrong-look", "e-wrong-resets")
    assert names["back"] == []
    assert (names["bookmark"], names["oldest"], names["end"]) == (10, 90, 100)
    assert names["returned"] == {"latest": (0, "none"), "error": (0, "_AUTO_OFFSET_RESET"), "earliest": (10, "none")}


def test_a_long_memory_alone_is_no_mend_of_the_holiday(cell):
    names = cell("e-again-tools", "e-wrong-resets")
    _, turn = CODE["e-again-turn"].split("\n\n")
    for keep, reset in [(1000, "latest"), (100, "earliest"), (30, "error")]:
        names |= {"keep": keep, "reset": reset}
        exec(with_value(turn), names)
        assert not names["_"].reached, (keep, reset)


def test_requests_that_nobody_counts_are_not_few(cell):
    names = cell("e-io-tools", "e-io-job")
    names["KafkaCluster"] = ()  # as at a Kafka of the learner's
    exec(with_value(CODE["e-io-turn"].replace('"""\n', '"""\nproducer.flush()\n', 1)), names)
    card = names["_"]
    assert not card.reached and "50 events" in card.happened and "does not count" in card.happened, card


def test_the_order_of_work_and_commit_decides(cell):
    assert cell("e-commit-run")["ways"] == {"commit, then work": ([7], []), "work, then commit": ([], [7])}


def test_auto_commit_commits_what_was_handed_out(cell):
    with StallWatch() as watch:
        names = cell("e-auto-run")
    assert (names["lost"], names["twice"]) == ([4], [])
    if watch.longest > LATE:
        pytest.skip(f"the machine stood still for {watch.longest:.1f} s: five may have passed before the kill")
    assert names["deaths"]["every 5 s, as shipped"] == ([], [0, 1, 2, 3], "")


NO_MENDS = [
    ("AUTO, STORE: False", "pass", "done twice: [0, 1, 2, 3]"),  # nobody stores
    ("AUTO", "consumer.store_offsets(message)", "StoreOffsets failed"),  # both would, and one is refused
    ("AUTO, STORE: False", "consumer.store_offsets()", "died by itself"),  # stores nothing
    ("AUTO, 'no.such': 1", "pass", "died by itself"),
    ("AUTO, STORE: False", "exit()", "ended by itself"),
]


def test_what_does_not_mend_the_reader_is_not_a_mend(cell):
    names = cell("e-auto-tools", "e-auto-reader", "e-wrong-first-run")
    names |= {"AUTO": {"enable.auto.commit": True, "auto.commit.interval.ms": 100}, "STORE": "enable.auto.offset.store"}
    _, turn = CODE["e-auto-turn"].split("\n\n")
    for settings, last_line, said in NO_MENDS:
        names |= {"settings": eval(f"{{**{settings}}}", names), "last_line": last_line}
        exec(with_value(turn), names)
        card = names["_"]
        assert not card.reached and said in card.happened, card


def test_a_view_is_made_again_from_the_past(cell):
    names = cell("e-past-stock")
    assert names["stock"] == names["shelf"] and len(names["history"]) == 120


def test_compaction_keeps_the_last_word(cell):
    names = cell("e-compact-run")
    last = {message.key(): message.value() for message in names["everything"]}
    assert len(names["everything"]) == 61 and last[b"pot"] is None
    assert {message.key(): message.value() for message in names["kept"]} == {k: v for k, v in last.items() if v}


# -- what takes time ----------------------------------------------------------------------------


def test_the_simulated_day_is_a_staircase():
    names = run(CODE, ["e-setup", "e-share-packer", "e-share-sim"])
    alone = names["PARCELS"] * names["WORK"]
    days = [np.mean([alone / names["simulated_day"](count, Random(n)) for n in range(20)]) for count in range(1, 9)]
    assert days == pytest.approx([theory.shared_speedup(6, count) for count in range(1, 9)], rel=0.2)
    assert days[3] < 1.1 * days[2] and days[5] > 1.5 * days[4]


def test_what_an_outage_costs(cell):
    names = cell("e-race-run", without=["e-race-figure"])
    paper = [theory.lost_to_retention(names["PACE"], outage, names["KEPT"]) for outage in names["OUTAGES"]]
    assert names["lost_events"][0] == 0
    if max(abs(found - due) for found, due in zip(names["lost_events"], paper)) > 60:
        asked = ask_calmly(lambda: names["lost_in"](1.2), lambda lost: 60 < lost < 180)
        if not asked.is_calm:
            pytest.skip(f"the machine stood still for {asked.stood_still:.1f} s")
        assert asked.answer == pytest.approx(120, abs=60)


@pytest.mark.timeout(200)
def test_the_new_protocol_moves_less_than_eager(cell):
    with StallWatch() as watch:
        names = cell("e-rebalance-table")
    eager, cooperative, new = (names["given_up"](way) for way in names["WAYS"])
    assert eager == 6
    if watch.longest > LATE:
        pytest.skip(f"the machine stood still for {watch.longest:.1f} s: a member may have been taken for dead")
    assert 2 <= cooperative < 6 and new in (2, 3)
