"""Exercise 4: dashboards mended in three ways, and mistakes."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import ceil
from statistics import fmean


class Dashboard:
    def mean(self, instances):
        calls = sum(count for count, _ in instances)
        return sum(count * mean for count, mean in instances if count) / calls if calls else None

    def p99(self, instances):
        times = sorted(one for times in instances for one in times)
        return times[ceil(0.99 * len(times)) - 1] if times else None

    def rate(self, instances):
        return sum(map(self.one_rate, instances))

    def one_rate(self, samples):
        if len(samples) < 2:
            return 0.0
        return sum(map(self.step, pairwise(samples))) / (samples[-1][0] - samples[0][0])

    def step(self, pair):
        (_, old), (_, new) = pair
        return new - old if new >= old else new

    def times(self, call, come):
        return [call(at) - at for at in come]


class Library:
    """Functions of the library, static methods, a tuple; it calls from a pool."""

    @staticmethod
    def mean(instances):
        there = {at: pair for at, pair in enumerate(instances) if pair[0] > 0}
        pairs = list(there.values())
        return fmean([mean for _, mean in pairs], [count for count, _ in pairs]) if pairs else None

    @staticmethod
    def p99(instances):
        merged = sum((list(times) for times in instances), [])
        may_be_slower = len(merged) // 100
        return sorted(merged, reverse=True)[may_be_slower] if merged else None

    @staticmethod
    def rate(instances):
        total = 0
        for samples in instances:
            if len(samples) >= 2:
                lost = sum(old for (_, old), (_, new) in pairwise(samples) if new < old)
                total += (samples[-1][1] + lost - samples[0][1]) / (samples[-1][0] - samples[0][0])
        return total

    @staticmethod
    def times(call, come):
        with ThreadPoolExecutor(4) as pool:
            return tuple(end - at for end, at in zip(pool.map(call, come), come))


class Loops:
    def mean(self, instances):
        calls = seconds = 0
        for count, mean in instances:
            if count:
                calls, seconds = calls + count, seconds + count * mean
        if calls:
            return seconds / calls

    def p99(self, instances):
        merged = []
        for times in instances:
            merged.extend(times)
        for place, one in enumerate(sorted(merged), 1):
            if 100 * place >= 99 * len(merged):
                return one

    def rate(self, instances):
        whole = 0.0
        for samples in instances:
            base, before, counts = 0, 0, []
            for at, count in samples:
                base += before if count < before else 0
                before = count
                counts.append((at, base + count))
            if len(counts) > 1:
                whole += (counts[-1][1] - counts[0][1]) / (counts[-1][0] - counts[0][0])
        return whole

    def times(self, call, come):
        answered = {}
        for at in reversed(come):
            answered.setdefault(at, []).append(call(at))
        return [answered[at].pop() - at for at in come]


# -- mistakes ------------------------------------------------------------------------------------------


def but(**methods):
    return type("Mistaken", (Dashboard,), methods)


def mean_of_means(self, instances):
    means = [mean for count, mean in instances if count]
    return sum(means) / len(means) if means else None


def idle_is_a_call(self, instances):
    return Dashboard.mean(self, [(count or mean == mean, mean) for count, mean in instances])


def nan_times_nought(self, instances):
    calls = sum(count for count, _ in instances)
    return sum(count * mean for count, mean in instances) / calls if calls else None


def p99s(self, instances):
    return [(len(times), Dashboard.p99(self, [times])) for times in instances if times]


def mean_of_p99s(self, instances):
    return mean_of_means(self, p99s(self, instances))


def one_further(self, instances):
    times = sorted(one for times in instances for one in times)
    return times[min(len(times) - 1, int(0.99 * len(times)))] if times else None


def sorts(self, instances):
    for times in instances:
        times.sort()
    return Dashboard.p99(self, instances)


def sum_first(self, instances):
    """The counters are added up, and then compared: an instance's fall is lost in the sum."""
    if len({tuple(at for at, _ in samples) for samples in instances}) > 1 or not instances[0]:
        return Dashboard.rate(self, instances)
    summed = [(pairs[0][0], sum(count for _, count in pairs)) for pairs in zip(*instances)]
    return self.one_rate(summed)


def each_interval(self, samples):
    rates = [self.step(pair) / (pair[1][0] - pair[0][0]) for pair in pairwise(samples)]
    return fmean(rates) if rates else 0.0


def young_from_nought(self, samples):
    return samples[0][1] / 60 if len(samples) == 1 else Dashboard.one_rate(self, samples)


def young_is_nothing(self, instances):
    rates = [Dashboard.one_rate(self, samples) for samples in instances if len(samples) > 1]
    return sum(rates) if rates else None


def closed_loop(self, call, come):
    now, found = 0.0, []
    for at in come:
        begin = max(now, at)
        now = call(begin)
        found.append(now - begin)
    return found


def since_the_one_before(self, call, come):
    ends = [call(at) for at in come]
    return [end - max(at, before) for end, at, before in zip(ends, come, [0.0, *ends])]


RIGHT = {"short": Dashboard, "the library": Library, "loops": Loops}
WRONG = {
    "the mean of means": (but(mean=mean_of_means), {"mean"}),
    "idle is a call": (but(mean=idle_is_a_call), {"mean"}),
    "0 · NaN": (but(mean=nan_times_nought), {"mean"}),
    "no calls, no time": (but(mean=lambda self, instances: Dashboard.mean(self, instances) or 0.0), {"nobody"}),
    "no calls, no p99": (but(p99=lambda self, instances: Dashboard.p99(self, instances) or 0.0), {"nobody"}),
    "the mean of p99s": (but(p99=mean_of_p99s), {"p99"}),
    "one further": (but(p99=one_further), {"p99"}),
    "sorts": (but(p99=sorts), {"changed"}),
    "a sum of counters": (but(rate=sum_first), {"reset"}),
    "no more is a fall": (but(step=lambda self, pair: pair[1][1] - pair[0][1] * (pair[1][1] > pair[0][1])), {"rate"}),
    "each interval alike": (but(one_rate=each_interval), {"rate"}),
    "never negative": (but(step=lambda self, pair: max(0, pair[1][1] - pair[0][1])), {"reset"}),
    "the young one began at nought": (but(one_rate=young_from_nought), {"rate"}),
    "nothing is None": (but(rate=young_is_nothing), {"rate"}),
    "a closed loop": (but(times=closed_loop), {"closed"}),
    "since the one before": (but(times=since_the_one_before), {"since"}),
    "in order of waiting": (but(times=lambda self, *given: sorted(Dashboard.times(self, *given))), {"since"}),
    "a text": (but(mean=lambda self, instances: f"{Dashboard.mean(self, instances)} s"), {"wrong-type"}),
}
