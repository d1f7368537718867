"""Time on paper: seconds to pixels, with a marked break where nothing happens for long.

A timeout of three seconds around ten milliseconds of action would press the action into one line. Such a silence
is cut out of the picture, and the cut says how long it was. No message is ever in flight during a cut, so the
slope of every arrow stays its latency.
"""

import math
from bisect import bisect_right

#: A silence is cut when it is longer than this many times everything else together.
RATIO = 6
#: The same where words find no room beside what is not cut.
CROWDED_RATIO = 2
#: Height of a cut in pixels.
CUT = 54
#: Distance between two ticks in pixels, at the least.
TICKS = 44


class TimeScale:
    """Maps times in seconds to pixels.

    ``points`` are the times at which anything happens, ``flights`` the pairs (sent, received) during which a message
    was under way, ``top`` the pixel of the first point and ``height`` the pixels for all that is not cut. ``zero`` is
    the time that the ticks call 0, and ``ratio`` how long a silence must be to be cut (0: none is).
    """

    def __init__(self, points, flights, top, height, zero=None, ratio=RATIO):
        points = sorted(set(points)) or [0.0]
        self.zero = points[0] if zero is None else zero
        cut = _silences(points, flights, ratio) if ratio else []
        edges = [points[0], *(at for silence in cut for at in silence), points[-1]]
        # Summed, not subtracted from the whole: beside a long silence the difference would be mere rounding.
        span = sum(end - start for start, end in zip(edges[::2], edges[1::2]))
        self.rate = height / span if span > 0 else 0.0  # pixels per second
        # Knots (time, pixel), with the pixels per second that hold from there on.
        self._times, self._pixels, self._rates = [points[0]], [float(top)], [self.rate]
        self.cuts = []  # (pixel, pixel, seconds left out)
        for start, end in cut:
            upper = self.y(start)
            self._times += [start, end]
            self._pixels += [upper, upper + CUT]
            self._rates += [CUT / (end - start), self.rate]
            self.cuts.append((upper, upper + CUT, end - start))
        self.start, self.end = points[0], points[-1]
        self.top, self.bottom = float(top), (self.y(points[-1]) if span > 0 or cut else float(top + height))
        self.unit, self._scale = ("s", 1.0) if points[-1] - points[0] >= 20 else ("ms", 1e3)

    def y(self, at: float) -> float:
        """The pixel of the time ``at``; times outside the picture go to its edge."""
        i = max(0, bisect_right(self._times, at) - 1)
        y = self._pixels[i] + (at - self._times[i]) * self._rates[i]
        if hasattr(self, "bottom"):
            return min(max(y, self.top), self.bottom)
        return y

    def ticks(self) -> list[tuple[float, str]]:
        """``(pixel, text)`` of round times, in the unit ``self.unit``."""
        if not self.rate:
            return [(self.top, _written((self.start - self.zero) * self._scale, 1.0))]
        step = _round_up(TICKS / self.rate * self._scale)
        found = []
        for start, end in self._pieces():
            low, high = (start - self.zero) * self._scale, (end - self.zero) * self._scale
            # As many digits as the step: 2.0, 2.5, 3.0.
            here = [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
            places = [(self.y(value / self._scale + self.zero), _written(value, step)) for value in here]
            found += places or [(self.y(start), _written(low, step / 10))]
        return found

    def duration(self, seconds: float) -> str:
        """A length of time as the picture says it: "2.9 s", "12 ms", "0.4 ms"."""
        return written_duration(seconds)

    def _pieces(self):
        """The stretches (start, end) of time between the cuts."""
        edges = [self.start, *self._times[1:], self.end]
        return list(zip(edges[::2], edges[1::2]))


def written_duration(seconds: float) -> str:
    """Two or three digits and the unit that suits them: "2.9 s", "450 ms", "1.2 ms", "80 µs"."""
    if seconds >= 0.9995:
        return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
    if seconds >= 0.1e-3 or seconds == 0:
        ms = seconds * 1e3
        return f"{ms:.0f} ms" if ms >= 99.5 else f"{ms:.3g} ms" if ms >= 9.95 else f"{ms:.2g} ms"
    return f"{seconds * 1e6:.2g} µs"


def _silences(points, flights, ratio):
    """The stretches to cut: long against all the rest, with no message under way."""
    gaps = [(end - start, start, end) for start, end in zip(points, points[1:])]
    covered = _merged(flights)
    starts = [start for start, _ in covered]

    def is_silent(start, end):
        i = bisect_right(starts, start)  # the last flight that begins at or before the gap …
        if i and covered[i - 1][1] > start:
            return False
        return i == len(covered) or covered[i][0] >= end  # … and the first one after it

    silent = sorted(gap for gap in gaps if is_silent(gap[1], gap[2]))
    rest = points[-1] - points[0] - sum(length for length, _, _ in silent)
    cut_from = None
    for i, (length, _, _) in enumerate(silent):
        # With more than half of the gaps cut, the picture would show seams and little else.
        if rest > 0 and length > ratio * rest and len(silent) - i <= max(1, len(gaps) // 2):
            cut_from = i
            break
        rest += length
    if cut_from is None:
        return []
    return sorted((start, end) for _, start, end in silent[cut_from:])


def _merged(spans):
    found = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def _round_up(value):
    """The next of 1, 2, 5, 10, 20, 50 … (and their tenths)."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= value * (1 - 1e-9))


def _written(value, step):
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
