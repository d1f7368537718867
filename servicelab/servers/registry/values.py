"""Durations ("10s", "1m30s", "250ms"), numbers and booleans in texts, as Go reads and writes them."""

import re
from decimal import Decimal

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_LONGEST = 2**63 - 1  # nanoseconds: 292 years


def seconds(text: str) -> float:
    """The seconds in ``text``. Raises ValueError in the words of Go's ``time.ParseDuration``, which are Consul's."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, end = Decimal(0), 0
    for part in _PART.finditer(rest):
        if part.start() != end:
            break
        number, unit = part.groups()
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        count = Decimal(number)
        if count > _LONGEST or (total := total + count * _UNITS[unit]) > _LONGEST:
            raise ValueError(f'time: invalid duration "{text}"')
        end = part.end()
    if end == 0 or end != len(rest):
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * int(total) / 1e9


def duration(value: float | None) -> str:
    """``value`` seconds as Go prints them: 90 → "1m30s", 0.25 → "250ms", None → ""."""
    if value is None:
        return ""
    if value == 0:
        return "0s"
    if value < 1:
        for unit, size in (("ms", 1e3), ("µs", 1e6), ("ns", 1e9)):
            if round(value * size, 6) >= 1:
                return f"{round(value * size, 6):g}{unit}"
    whole, rest = divmod(round(value, 9), 60)
    minutes, hours = int(whole) % 60, int(whole) // 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + f"{round(rest, 9):g}s"


def unsigned(text: str) -> int:
    """An unsigned number of 64 bits. Raises ValueError in the words of Go's ``strconv.ParseUint``."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if len(text.lstrip("0")) > 20 or int(text[-20:]) >= 1 << 64:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text[-20:])


def boolean(text: str) -> bool | None:
    """Go's ``strconv.ParseBool``; None for anything else."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    return False if text in ("0", "f", "F", "FALSE", "false", "False") else None
