"""Exercise 5: rules that look at body, line and processor, and rules that look at less."""

import gzip
import time
import zlib

TEXTS = {"text-slow", "text-fast", "small-slow"}


def by_sample(body, bytes_per_second):
    if not bytes_per_second:
        return False
    sample = body[:16_000]
    start = time.perf_counter()
    packed = zlib.compress(sample, 6)
    effort = (time.perf_counter() - start) / len(sample) * len(body)
    saved = (1 - (len(packed) + 12) / len(sample)) * len(body)
    return saved > 0.03 * len(body) and saved / bytes_per_second > effort


def by_trying(body, bytes_per_second):
    """Another hand: compress all of it, and compare the two times of arrival."""
    start = time.perf_counter()
    packed = gzip.compress(body, 6)
    effort = time.perf_counter() - start
    if len(packed) >= 0.97 * len(body) or bytes_per_second is None:
        return False
    return effort + len(packed) / bytes_per_second < len(body) / bytes_per_second


def by_rule(body, bytes_per_second):
    """A third: no stopwatch, an estimate of 30 MB/s for the processor and a look in the middle of the body."""
    speed = float("inf") if bytes_per_second is None else bytes_per_second
    middle = body[len(body) // 3 :][:4096]
    return bool(speed < 15e6 and len(body) > 200 and len(zlib.compress(middle)) < 0.8 * len(middle))


def always(body, bytes_per_second):
    return True


def never(body, bytes_per_second):
    return False


def size_only(body, bytes_per_second):
    return len(body) > 100_000


def speed_only(body, bytes_per_second):
    return bytes_per_second is not None and bytes_per_second < 1e7


def size_and_speed(body, bytes_per_second):
    return len(body) > 1000 and speed_only(body, bytes_per_second)


def any_line(body, bytes_per_second):
    return bytes_per_second is not None and len(gzip.compress(body)) < len(body)


def shrinks(body, bytes_per_second):
    return len(gzip.compress(body, 6)) < len(body)


def inverted(body, bytes_per_second):
    return not by_trying(body, bytes_per_second)


def forgets_none(body, bytes_per_second):
    return len(gzip.compress(body)) < 0.95 * len(body) and bytes_per_second < 1e7


def a_ratio(body, bytes_per_second):
    return len(gzip.compress(body)) / len(body)


NO = {"tiny", "zipped", "random", "text-faster", "loopback"}
RIGHT = {"sample": by_sample, "trying": by_trying, "rule": by_rule}
WRONG = {
    "always": (always, NO),
    "never": (never, TEXTS),
    "size only": (size_only, {"small-slow", "random", "text-faster", "loopback"}),
    "speed only": (speed_only, {"tiny", "zipped"}),
    "size and speed": (size_and_speed, {"zipped"}),
    "on any line": (any_line, {"text-faster"}),
    "whatever shrinks": (shrinks, {"text-faster", "loopback"}),
    "inverted": (inverted, TEXTS | NO),
    "forgets None": (forgets_none, {"exception"}),
    "a ratio": (a_ratio, {"wrong-type"}),
}
