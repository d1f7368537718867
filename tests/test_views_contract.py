"""The panel of a contract that is changed (chapter 02)."""

import pytest

from servicelab.views.demos.contract import CALLS, CHANGES, ContractChange, drawn, exchange, sides


@pytest.fixture
def panel():
    panel = ContractChange(seed=1)
    yield panel
    panel.close()


def both(change, cents):
    return [exchange(*sides(change, call), cents)[1:] for call in CALLS]


def test_the_refund_that_nobody_notices(panel):
    # zigzag backwards: n even is n/2, n odd is -(n+1)/2; and the reply echoes what was sent
    assert both("int32 = 1  →  sint32 = 1", 999) == [(-500, 999), (1998, 999)]
    assert "reads -500" in panel.alt and "the reply says 999" in panel.alt
    assert [exchange(("int32", 1), ("sint32", 1), cents)[1] for cents in (1000, 1995)] == [500, -998]


def test_only_the_wider_integer_is_right_both_ways_for_all_amounts():
    amounts = drawn(1)
    right = [
        change for change in CHANGES
        if all(reads == (cents, cents) for cents in amounts for reads in both(change, cents))
    ]  # fmt: skip
    assert right == ["int32 = 1  →  int64 = 1"]


def test_what_the_other_wire_type_or_number_says_is_not_read():
    for change in ("int32 = 1  →  fixed32 = 1", "int32 = 1  →  double = 1", "int32 = 1  →  int32 = 2"):
        assert [read for read, _ in both(change, 7)] == [0, 0]


def test_a_minus_that_cannot_be_written_is_no_crash(panel):
    panel.set(change="int32 = 1  →  uint32 = 1", call=CALLS[1], cents=-5)
    assert "cannot be written" in panel.alt and "✗" not in panel.line.value
