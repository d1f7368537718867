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


# -- mistakes ------------------------------------------------------------------------------------------


def of_the_repeated(shop):
    """One in 10 000 of those that come again."""
    _, delays = shop.again()
    return log(1 / GOAL) * mean(delays), poll_of(shop)


def five_minutes(shop):
    return 300.0, poll_of(shop)


def a_day(shop):
    return 86_400.0, poll_of(shop)


def ninety_nine(shop):
    """99 % of those that come again."""
    _, delays = shop.again()
    return sorted(delays)[int(0.99 * len(delays))], poll_of(shop)


def one_mean(shop):
    """All of them as if from one exponential distribution."""
    count, delays = shop.again()
    return mean(delays) * log(len(delays) / count / GOAL), poll_of(shop)


def the_largest(shop):
    return 1.1 * max(shop.again()[1]), poll_of(shop)


def half_is_the_mean(shop):
    """The mean lag is half of the interval."""
    return window_of(shop), 2 * LAG


def on_the_average(shop):
    return window_of(shop), poll_of(shop, share=0.5)


def without_the_batch(shop):
    return window_of(shop), 0.45


def often(shop):
    return window_of(shop), 0.02


def half_of_it(shop):
    return window_of(shop), poll_of(shop) / 2


def only_the_window(shop):
    return window_of(shop)


def three(shop):
    return (*counted(shop), GOAL)


def in_words(shop):
    window, poll = counted(shop)
    return f"{window} s", f"{poll} s"


RIGHT = {"counted and halved": counted, "fitted, in steps": fitted, "a little more": a_little_more}
WRONG = {
    "one in 10 000 of the repeated": (of_the_repeated, {"forgets-the-late", "too-wide"}),
    "five minutes": (five_minutes, {"too-wide"}),
    "a day": (a_day, {"too-wide"}),
    "99 % of the repeated": (ninety_nine, {"forgets"}),
    "one mean": (one_mean, {"forgets-the-late"}),
    "the largest": (the_largest, {"too-wide"}),
    "the mean lag": (half_is_the_mean, {"late", "falls-behind"}),
    "on the average": (on_the_average, {"late", "falls-behind"}),
    "without the batch": (without_the_batch, {"falls-behind"}),
    "often": (often, {"too-often"}),
    "half of it": (half_of_it, {"too-often"}),
    "three numbers": (three, {"wrong-type"}),
    "in words": (in_words, {"wrong-type"}),
}
