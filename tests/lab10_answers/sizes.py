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
    """The smallest size at which Erlang's loss formula says at most 5 %."""
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


def typical(shop):
    """Calls per second, and the seconds of one: the median, which a busy machine hardly moves. A mistake has to be as
    large there as it is on a quiet one."""
    calls = shop.watch()
    times = {name: [call.end - call.start for call in calls if call.callee == name] for name in shop.dependencies}
    return {name: (len(took) / shop.seconds, statistics.median(took)) for name, took in times.items()}


def equal(shop):
    return dict.fromkeys(shop.dependencies, shop.workers // 3)


def _share(shop, weights):
    scale = shop.workers / sum(weights.values())
    return {name: max(1, round(scale * weight)) for name, weight in weights.items()}


def by_rate(shop):
    count = Counter(call.callee for call in shop.watch())
    sizes = _share(shop, count)
    return sizes


def by_time(shop):
    return _share(shop, {name: seconds for name, (_, seconds) in typical(shop).items()})


def no_headroom(shop):
    return {name: math.ceil(rate * seconds) for name, (rate, seconds) in typical(shop).items()}


def a_fifth_more(shop):
    return {name: math.ceil(1.2 * rate * seconds) for name, (rate, seconds) in typical(shop).items()}


def everybody_all(shop):
    return dict.fromkeys(shop.dependencies, shop.workers)


def a_few_too_many(shop):
    return {name: size + 2 for name, size in square_root(shop).items()}


def none_for_the_quick(shop):
    """What is over in a tenth of a second needs none, it says."""
    found = typical(shop).items()
    return {name: math.ceil(rate * seconds + 1) if seconds > 0.1 else 0 for name, (rate, seconds) in found}


def half_of_it(shop):
    """Half of the time nobody comes, it thinks."""
    return {name: max(1, round(rate * seconds / 2)) for name, (rate, seconds) in typical(shop).items()}


def not_whole(shop):
    return {name: load + 2 * math.sqrt(load) for name, load in loads(shop).items()}


def a_list(shop):
    return list(square_root(shop).values())


def one_forgotten(shop):
    sizes = square_root(shop)
    del sizes["inventory"]
    return sizes


RIGHT = {
    "load and twice its root": square_root,
    "Erlang's loss formula": erlang_b,
    "the pool shared out": rate_times_time,
}
WRONG = {
    "equal for all": (equal, {"equal-sizes"}),
    "by rate only": (by_rate, {"rate-only"}),
    "by time only": (by_time, {"time-only"}),
    "no headroom": (no_headroom, {"no-headroom"}),
    "a fifth more": (a_fifth_more, {"no-headroom"}),
    "the whole pool for each": (everybody_all, {"sum-too-large"}),
    "a few too many": (a_few_too_many, {"sum-too-large"}),
    "none for the quick one": (none_for_the_quick, {"no-place"}),
    "half of it": (half_of_it, {"too-small"}),
    "not whole": (not_whole, {"wrong-type"}),
    "a list": (a_list, {"wrong-type"}),
    "one forgotten": (one_forgotten, {"wrong-type"}),
}
RIGHT = {name: (answer,) for name, answer in RIGHT.items()}
WRONG = {name: ((answer,), codes) for name, (answer, codes) in WRONG.items()}
