"""Exercise 5: rules that look at body, line and processor, and rules that look at less."""

import gzip
import zlib


def by_sample(body, bytes_per_second, processor):
    if not bytes_per_second:
        return False
    sample = body[:16_000]
    start = processor.seconds
    packed = processor.compress(sample)
    effort = (processor.seconds - start) / len(sample) * len(body)
    saved = (1 - len(packed) / len(sample)) * len(body)
    return saved / bytes_per_second > effort


def by_arrival(body, bytes_per_second, processor):
    """Another hand: both times of arrival, from a piece of the middle."""
    if bytes_per_second is None:
        return False
    middle = body[len(body) // 3 :][:10_000]
    before, shrunk = processor.seconds, len(processor.compress(middle)) / len(middle)
    rate = len(middle) / (processor.seconds - before)
    return len(body) / rate + shrunk * len(body) / bytes_per_second < len(body) / bytes_per_second


class ByPieces:
    """A third: three pieces from all over, and the rate of the processor and of the line in bytes/s."""

    def __call__(self, body, bytes_per_second, processor):
        line = bytes_per_second or float("inf")
        pieces = [body[at : at + 5000] for at in (0, len(body) // 2, max(0, len(body) - 5000))]
        start, before = processor.seconds, sum(map(len, pieces))
        after = sum(len(processor.compress(piece)) for piece in pieces)
        return 1 - after / before > line * (processor.seconds - start) / before


def always(body, bytes_per_second, processor):
    return True


def never(body, bytes_per_second, processor):
    return False


def size_only(body, bytes_per_second, processor):
    return len(body) > 100_000


def speed_only(body, bytes_per_second, processor):
    return bytes_per_second is not None and bytes_per_second < 5e7


def ignores_the_processor(body, bytes_per_second, processor):
    """A speed that was measured once, on the author's own machine."""
    if bytes_per_second is None or bytes_per_second > 5e7:
        return False
    sample = body[:4000]
    return len(zlib.compress(sample)) < 0.9 * len(sample)


def ignores_the_line(body, bytes_per_second, processor):
    sample = body[:4000]
    return bytes_per_second is not None and len(zlib.compress(sample)) < 0.9 * len(sample)


def ignores_none(body, bytes_per_second, processor):
    return by_sample(body, bytes_per_second or 1e6, processor)


def ignores_small(body, bytes_per_second, processor):
    return len(body) > 100_000 and by_sample(body, bytes_per_second, processor)


def tries_it_all(body, bytes_per_second, processor):
    start, packed = processor.seconds, processor.compress(body)
    line = bytes_per_second or float("inf")
    return len(packed) / line + processor.seconds - start < len(body) / line


def since_it_was_switched_on(body, bytes_per_second, processor):
    """All that the processor has ever worked is taken for the work on the sample."""
    shrunk = len(processor.compress(body[:8000])) / len(body[:8000])
    return bytes_per_second is not None and (1 - shrunk) / bytes_per_second > processor.seconds / len(body[:8000])


def whatever_shrinks(body, bytes_per_second, processor):
    return len(gzip.compress(body, 6)) < len(body)


def a_ratio(body, bytes_per_second, processor):
    return len(processor.compress(body[:9000])) / 9000


YES = {"slow-line", "small", "quick-processor"}
NO = {"slow-processor", "fast-line", "tiny", "zipped", "random", "loopback"}
RIGHT = {"sample": by_sample, "arrival": by_arrival, "pieces": ByPieces()}
WRONG = {
    "always": (always, NO),
    "never": (never, YES),
    "size only": (size_only, {"small", "slow-processor", "fast-line", "zipped", "random", "loopback"}),
    "speed only": (speed_only, {"slow-processor", "tiny", "zipped", "random"}),
    "ignores the processor": (ignores_the_processor, {"slow-processor"}),
    "ignores the line": (ignores_the_line, {"slow-processor", "fast-line"}),
    "None is a line like others": (ignores_none, {"loopback"}),
    "never a short text": (ignores_small, {"small"}),
    "compresses everything to see": (tries_it_all, {"too-much"}),
    "all its seconds so far": (since_it_was_switched_on, YES),
    "whatever shrinks": (whatever_shrinks, {"slow-processor", "fast-line", "loopback"}),
    "a ratio": (a_ratio, {"wrong-type"}),
}
