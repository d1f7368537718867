"""Three significant digits, everywhere the same."""

import math

import numpy as np
import pytest

from servicelab.significant import three_digits
from servicelab.table import Table


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.006091, "s", "0.00609 s"),
        (1.5774, "", "1.58"),
        (1577.4, "ms", "1580 ms"),
        (12345.6, "", "12300"),
        (-0.00001234, "", "-0.0000123"),
        (1.234e-9, "s", "1.23 × 10⁻⁹ s"),
        (6.02e23, "", "6.02 × 10²³"),
        (0.0, "", "0"),
        (123456, "bytes", "123456 bytes"),
        (np.int64(1234), "", "1234"),
        (np.float64(0.12345), "", "0.123"),
        (True, "", "True"),
        ("two", "", "two"),
        (None, "s", "– s"),
        (math.nan, "", "–"),
        (math.inf, "s", "∞ s"),
        (-math.inf, "", "-∞"),
    ],
)
def test_three_digits(value, unit, written):
    assert three_digits(value, unit) == written


def test_tables_write_them_so():
    table = Table(["a", "b"], [[0.0060912, 123456]])
    assert "0.00609" in str(table) and "123456" in table._repr_html_()


def test_a_table_without_rows_is_its_caption():
    table = Table(["name", "kind"], [], "nothing is running")
    assert str(table) == "nothing is running" and "kind" not in table._repr_html_()
