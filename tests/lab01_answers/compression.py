"""Exercise 5: rules that look at body, line and processor, and rules that look at less."""

import gzip

from tests.lab11_answers import but


def by_sample(body, bytes_per_second, processor):
    if not bytes_per_second:
        return False
    sample = body[:16_000]
    start = processor.seconds
    packed = processor.compress(sample)
    effort = processor.seconds - start
    saved = len(sample) - len(packed)
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


def sample(change):
    return but(by_sample, change)


YES, NO = {"slow-line", "quick-processor"}, {"slow-processor", "fast-line", "dense", "loopback"}
RIGHT = {"sample": by_sample, "arrival": by_arrival, "pieces": ByPieces()}
WRONG = {
    "always": (lambda body, line, processor: True, NO),
    "never": (lambda body, line, processor: False, YES),
    "size only": (lambda body, line, processor: len(body) > 100_000, NO | {"slow-line"}),
    "speed only": (lambda body, line, processor: line is not None and line < 5e7, {"slow-processor", "dense"}),
    "whatever shrinks": (lambda body, line, processor: len(gzip.compress(body, 6)) < len(body), NO - {"dense"}),
    "ignores the processor": (sample("processor.seconds - start => len(sample) / 5e7"), {"slow-processor"}),
    "ignores the line": (sample("/ bytes_per_second > effort => > 0.1 * len(sample)"), {"slow-processor", "fast-line"}),
    "None is a line like others": (sample("return False => bytes_per_second = 1e6"), {"loopback"}),
    "never a short text": (
        sample("not bytes_per_second => not bytes_per_second or len(body) < 100_000"),
        {"slow-line"},
    ),
    "compresses everything to see": (sample("[:16_000] => "), {"too-much"}),
    "all its seconds so far": (sample("processor.seconds - start => processor.seconds"), YES),
    "the effort of the whole, saved in the sample": (
        sample("processor.seconds - start => (processor.seconds - start) * len(body) / len(sample)"),
        {"quick-processor"},
    ),
    "a ratio": (sample("saved / bytes_per_second > effort => saved / len(sample)"), {"wrong-type"}),
}
