"""The closed forms of a shared log."""

import pytest

from servicelab import theory


def test_the_speed_up_is_a_staircase():
    assert [theory.shared_speedup(6, c) for c in range(1, 9)] == [1, 2, 3, 3, 3, 6, 6, 6]
    assert theory.shared_speedup(7, 4) == 3.5


@pytest.mark.parametrize("partitions", range(1, 13))
@pytest.mark.parametrize("consumers", range(1, 9))
def test_the_speed_up_is_that_of_partitions_dealt_out_in_turn(partitions, consumers):
    most = max(len(range(first, partitions, consumers)) for first in range(consumers))
    assert theory.shared_speedup(partitions, consumers) == pytest.approx(partitions / most)


def test_a_log_forgets_what_is_older_than_its_retention():
    assert theory.lost_to_retention(20, 30, 20) == 200
    assert theory.lost_to_retention(20, 20, 20) == theory.lost_to_retention(20, 3, 20) == 0


def test_a_reader_catches_up_by_what_it_is_faster():
    assert theory.catch_up(20, 60, 20) == 10  # 400 behind, 40 a second faster
    assert theory.catch_up(0, 1, 9) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: theory.shared_speedup(0, 1), "partitions=0"),
        (lambda: theory.shared_speedup(6, 1.5), "consumers=1.5"),
        (lambda: theory.lost_to_retention(-1, 1, 1), "lam=-1"),
        (lambda: theory.lost_to_retention(1, 1, 0), "retention=0"),
        (lambda: theory.catch_up(5, 5, 1), "mu=5 must be > lam=5 events/s"),
        (lambda: theory.catch_up(1, 5, -1), "outage=-1"),
    ],
    ids=["partitions", "consumers", "lam", "retention", "mu", "outage"],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises((TypeError, ValueError), match=said):
        wrong()
