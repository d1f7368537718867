"""Numbers as the course writes them: three significant digits, in every table, verdict, figure and diagram."""

import math
from decimal import Decimal
from numbers import Integral, Real

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def three_digits(value, unit: str = "") -> str:
    """``value`` in three significant digits with its ``unit``: "0.00609 s", "25%", "12300", "1.2 × 10⁻⁸", "∞".

    Whole numbers are counts, and are written out. None and NaN are not known: "–". What is no number stays as it is.
    """
    return f"{_written(value)}{'' if unit.startswith('%') else ' '}{unit}".rstrip()


def _written(value) -> str:
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | Integral) or not isinstance(value, Real):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    if 1e-6 <= abs(value) < 1e9:
        return f"{Decimal(text):f}"
    digits, power = text.split("e")
    return f"{digits} × 10{str(int(power)).translate(_RAISED)}"
