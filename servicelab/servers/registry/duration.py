"""Durations as Go writes them: "10s", "1m30s", "250ms"."""

import re
from decimal import Decimal

_UNITS = {"ns": "1e-9", "us": "1e-6", "µs": "1e-6", "μs": "1e-6", "ms": "1e-3", "s": "1", "m": "60", "h": "3600"}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")


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
        total += Decimal(number) * Decimal(_UNITS[unit])
        end = part.end()
    if end == 0 or end != len(rest):
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * float(total)


def text(value: float | None) -> str:
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
