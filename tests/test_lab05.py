"""What is particular to lab 05. Its catalogue is tested in test_labs."""

import pytest

from servicelab import theory
from servicelab.checks import lab05
from servicelab.checks.lab05.retention import CHECKED, needs
from tests.lab05_answers import reader, retention, view
from tests.learners import never_returns

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def test_a_killed_process_can_neither_go_on_nor_begin_anew():
    def holds_on(connect, work, is_over):
        """Tries to note something on its way out."""
        held = []
        try:
            return reader.plain(lambda settings: held.append(connect(settings)) or held[0], work, is_over)
        finally:
            held[0].close()

    assert lab05.check_reader.report(holds_on).passed


def test_a_reader_that_never_returns_is_a_report(monkeypatch):
    monkeypatch.setattr("servicelab.checks.lab05.kafka_stage.LIMIT", 0.5)
    assert lab05.check_reader.report(never_returns).refused == ["time-limit"]


def test_clients_that_nobody_closes_print_nothing(capfd):
    def leaves(connect, topic):
        consumer = connect({"enable.auto.commit": False, "log_level": 7, "debug": "all"})
        consumer.subscribe([topic])
        return {consumer.poll(0.2) and "mug": 1}

    assert not lab05.check_view.report(leaves, view.compact).passed
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("day", [lab05.practice_day, *CHECKED.values()], ids=lambda day: day.name)
def test_what_a_day_needs_is_what_a_right_answer_finds(day):
    records, seconds, _ = map(max, zip(*needs(day)))
    assert (retention.in_records(day), retention.in_seconds(day)) == (records, seconds)


def test_an_even_day_needs_what_the_chapters_formula_says():
    day = lab05.Day("even", tuple((number / 10, 0) for number in range(1200)), 1, 1000.0, ((40, 52),))
    records, seconds, _ = zip(*needs(day))
    assert max(records) == pytest.approx(theory.lost_to_retention(10, 12, 1e-9), rel=0.02)
    assert sum(one > 8 for one in seconds) == pytest.approx(theory.lost_to_retention(10, 12, 8), rel=0.05)
