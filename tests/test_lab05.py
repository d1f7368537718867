"""What is particular to lab 05. Its catalogue is tested in test_labs."""

import pytest
from confluent_kafka import Producer

from servicelab import theory
from servicelab.checks import lab05
from servicelab.checks.lab05.days import CHECKED, Day, replay
from servicelab.servers.kafka import KafkaCluster
from tests.lab05_answers import partitioner, reader, retention, view
from tests.learners import never_returns

pytestmark = pytest.mark.usefixtures("nothing_is_left")


# -- exercise 1: the oracle ---------------------------------------------------------------------------


def test_the_hash_is_that_of_kafkas_own_tests_and_of_the_producer_that_the_check_asks():
    published = {b"21": -973932308, b"foobar": -790332482}  # as UtilsTest of Kafka's clients has them
    assert {key: partitioner.signed(partitioner.murmur2(key)) for key in published} == published
    assert partitioner.plain("TT0124", 15) == 10  # kafkajs issue 1154
    assert partitioner.plain("fd7af248-ce5c-46a5-93d7-1c0c9005b99d", 32) == 26  # node-rdkafka issue 817
    keys, lies = [f"customer {number}" for number in range(200)] + [""], {}
    with KafkaCluster("oracle") as kafka, Producer({**kafka.settings, "partitioner": "murmur2_random"}) as producer:
        topic = kafka.topic("keys", 15)
        for key in keys:
            producer.produce(topic, b"", key, on_delivery=lambda _, m: lies.__setitem__(m.key(), m.partition()))
        assert producer.flush(20) == 0
    assert lies == {key.encode(): partitioner.plain(key, 15) for key in keys}


# -- code that does anything --------------------------------------------------------------------------


def test_a_killed_process_can_neither_go_on_nor_begin_anew():
    def holds_on(connect, work, is_over):
        """Tries to note something on its way out."""
        held = []
        try:
            return reader.plain(lambda settings: held.append(connect(settings)) or held[0], work, is_over)
        finally:
            held[0].close()

    assert lab05.check_reader.report(holds_on).passed


def test_a_reader_and_a_view_that_never_return_are_reports(monkeypatch):
    monkeypatch.setattr("servicelab.checks.lab05.kafka_stage.LIMIT", 0.5)
    assert lab05.check_reader.report(never_returns).refused == ["time-limit"]
    assert lab05.check_view.report(never_returns, view.compact).refused == ["time-limit"]


def test_clients_that_nobody_closes_print_nothing(capfd):
    def leaves(connect, topic):
        consumer = connect({"enable.auto.commit": False, "log_level": 7, "debug": "all"})
        consumer.subscribe([topic])
        return {consumer.poll(0.2) and "mug": 1}

    assert not lab05.check_view.report(leaves, view.compact).passed
    assert capfd.readouterr().err == ""


# -- exercise 4: the days -----------------------------------------------------------------------------


@pytest.mark.parametrize("day", [lab05.practice_day, *CHECKED], ids=lambda day: day.name)
def test_the_smallest_retention_loses_nothing_and_less_does(day):
    needs = replay(day)
    assert replay(day, records=needs.records).lost == replay(day, seconds=needs.seconds).lost == 0
    assert replay(day, records=needs.records - 1).lost > 0 < replay(day, seconds=0.99 * needs.seconds).lost
    assert retention.in_records(day) == needs.records


def test_an_even_day_needs_what_the_chapters_formula_says():
    day = Day("even", tuple((number / 10, 0) for number in range(1200)), 1, 1000.0, ((40, 52),))
    assert replay(day).records == pytest.approx(theory.lost_to_retention(10, 12, 1e-9), rel=0.02)
    assert replay(day, seconds=8).lost == pytest.approx(theory.lost_to_retention(10, 12, 8), rel=0.05)
