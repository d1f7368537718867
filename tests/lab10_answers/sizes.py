"""Exercise 4: three ways to size, and the ways to be misled."""

import math
import statistics
from collections import Counter


def loads(shop):
    """Little's law: calls under way at once, on the average."""
    calls = shop.watch()
    return {
        name: sum(call.end - call.start for call in calls if call.callee == name) / shop.seconds
        for name in shop.dependencies
    }


def square_root(shop):
    return {name: math.ceil(load + 2 * math.sqrt(load)) for name, load in loads(shop).items()}


def erlang_b(shop):
    """The smallest size at which Erlang's loss formula says at most 5%."""
    found = {}
    for name, load in loads(shop).items():
        blocked, size = 1.0, 0
        while blocked > 0.05:
            size += 1
            blocked = load * blocked / (size + load * blocked)
        found[name] = size
    return found


def rate_times_time(shop):
    """Rate and time apart, and what is left of the pool shared out by the square roots."""
    calls = shop.watch()
    count = Counter(call.callee for call in calls)
    load = {}
    for name in shop.dependencies:
        took = [call.end - call.start for call in calls if call.callee == name]
        load[name] = count[name] / shop.seconds * sum(took) / len(took)
    spare = shop.workers - sum(load.values())
    roots = sum(math.sqrt(one) for one in load.values())
    return {name: int(one + spare * math.sqrt(one) / roots) for name, one in load.items()}


def played_again(shop):
    """Another hand: the smallest size with which at most one in ten of the calls that it saw is turned away."""
    calls, found = shop.watch(), {}
    for name in shop.dependencies:
        seen, found[name] = [(call.start, call.end) for call in calls if call.callee == name], 1
        while turned_away(seen, found[name]) > 0.1:
            found[name] += 1
    return found


def turned_away(calls, size):
    ends, refused = [], 0
    for start, end in sorted(calls):
        ends = [one for one in ends if one > start]
        if len(ends) < size:
            ends.append(end)
        else:
            refused += 1
    return refused / len(calls)


def typical(shop):
    """Of each its calls per second, and the seconds of one: the median, which a busy machine hardly moves. A mistake
    has to be as large there as it is on a quiet one."""
    calls = shop.watch()
    times = {name: [call.end - call.start for call in calls if call.callee == name] for name in shop.dependencies}
    return {name: (len(took) / shop.seconds, statistics.median(took)) for name, took in times.items()}


def each(size):
    """A way to size that looks at the rate and the time of one dependency alone."""
    return lambda shop: {name: size(*measured) for name, measured in typical(shop).items()}


def shared(weight):
    """The pool shared out by a weight of each."""

    def sizes(shop):
        weights = {name: weight(*measured) for name, measured in typical(shop).items()}
        return {name: max(1, round(shop.workers / sum(weights.values()) * one)) for name, one in weights.items()}

    return sizes


def given(*sizes):
    """These sizes, without a look at the shop."""
    return lambda shop: dict(zip(shop.dependencies, sizes))


RIGHT = {
    "load and twice its root": square_root,
    "Erlang's loss formula": erlang_b,
    "the pool shared out": rate_times_time,
    "what it saw, played again": played_again,
    "as few as Erlang allows": given(3, 10, 4),
}
WRONG = {
    "equal for all": (given(8, 8, 8), {"too-small"}),
    "by rate only": (shared(lambda rate, seconds: rate), {"too-small"}),
    "by time only": (shared(lambda rate, seconds: seconds), {"too-small"}),
    "half of it": (each(lambda rate, seconds: max(1, round(rate * seconds / 2))), {"too-small"}),
    "one too few": (given(3, 9, 4), {"too-small"}),
    "no headroom": (each(lambda rate, seconds: math.ceil(rate * seconds)), {"no-headroom"}),
    "a tenth more": (each(lambda rate, seconds: math.ceil(1.1 * rate * seconds)), {"no-headroom"}),
    "the whole pool for each": (given(24, 24, 24), {"sum-too-large"}),
    "one too many": (given(5, 14, 6), {"sum-too-large"}),
    "none for the quick one": (given(0, 13, 5), {"wrong-type"}),
    "not whole": (each(lambda rate, seconds: rate * seconds + 2 * math.sqrt(rate * seconds)), {"wrong-type"}),
    "a list": (lambda shop: [3, 13, 5], {"wrong-type"}),
    "one forgotten": (given(3, 13), {"wrong-type"}),
}
RIGHT = {name: (answer,) for name, answer in RIGHT.items()}
WRONG = {name: ((answer,), codes) for name, (answer, codes) in WRONG.items()}
