"""Exercise 5: decided in three ways, and mistakes."""

from bisect import bisect
from math import log
from statistics import mean, quantiles

GOAL, LAG = 1e-4, 0.5


def window_of(shop):
    """The largest delays that may be forgotten are counted."""
    count, delays = shop.again()
    return sorted(delays)[-int(GOAL * count) - 1]


def poll_of(shop, goal=LAG, share=0.99):
    """The interval is halved in until it fits."""
    low, high = 0.01, 2.0
    while high - low > 0.005:
        middle = (low + high) / 2
        lags = sorted(shop.lags(middle))
        low, high = (middle, high) if lags[int(share * len(lags))] < goal else (low, middle)
    return low


def counted(shop):
    return window_of(shop), poll_of(shop)


def fitted(shop):
    """The tail is taken for exponential: from the slowest hundredth and the slowest tenth. The interval in steps."""
    count, delays = shop.again()
    cuts = quantiles(delays, n=1000)
    slope = (cuts[989] - cuts[899]) / log(10)
    window = cuts[899] + slope * log(0.1 * len(delays) / count / GOAL)
    poll = 0.7
    while quantiles(shop.lags(poll), n=100)[98] >= LAG:
        poll *= 0.93
    return [window, poll]


def a_little_more(shop):
    """Ten seconds' grace, and an interval of whole hundredths."""
    count, delays = shop.again()
    window = max(delays)
    while sum(late > 0.95 * window for late in delays) <= GOAL * count:
        window *= 0.95
    steps = range(1, 80)
    fits = bisect(steps, False, key=lambda step: poll_is_late(shop, step / 100))
    return 1.02 * window, steps[fits - 1] / 100


def poll_is_late(shop, poll):
    return sum(lag >= LAG for lag in shop.lags(poll)) > 0.01 * len(shop.lags(poll))


def line(shop):
    """What two intervals show, and a line through them."""
    one, two = (sorted(shop.lags(poll))[9900] for poll in (0.1, 0.2))
    return 0.1 + 0.1 * (LAG - one) / (two - one)


RIGHT = {"counted and halved": counted, "fitted, in steps": fitted, "a little more": a_little_more}
WRONG = {
    "one in 10 000 of the repeated": (
        lambda shop: (log(1 / GOAL) * mean(shop.again()[1]), poll_of(shop)), {"forgets-the-late", "too-wide"}),
    "five minutes": (lambda shop: (300.0, poll_of(shop)), {"too-wide"}),
    "99% of the repeated": (lambda shop: (quantiles(shop.again()[1], n=100)[98], poll_of(shop)), {"forgets"}),
    "one mean": (
        lambda shop: (mean(shop.again()[1]) * log(len(shop.again()[1]) / 1e6 / GOAL), poll_of(shop)),
        {"forgets-the-late"}),
    "the largest": (lambda shop: (1.1 * max(shop.again()[1]), poll_of(shop)), {"too-wide"}),
    "the mean lag is half of it": (lambda shop: (window_of(shop), 2 * LAG), {"late", "falls-behind"}),
    "without the batch": (lambda shop: (window_of(shop), 0.45), {"falls-behind"}),
    "a line through two": (lambda shop: (window_of(shop), line(shop)), {"falls-behind"}),
    "half of it": (lambda shop: (window_of(shop), poll_of(shop) / 2), {"too-often"}),
    "three numbers": (lambda shop: (*counted(shop), GOAL), {"wrong-type"}),
}  # fmt: skip
