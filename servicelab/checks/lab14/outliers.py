"""Exercise 3, repair: outlier detection on three replicas. A model of Envoy's, in simulated time."""

from collections import namedtuple
from numbers import Real
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

#: Envoy's defaults (envoyproxy.io: "Outlier detection (proto)", "Panic threshold"), in numbers, seconds and percent.
DEFAULTS = {"consecutive_5xx": 5, "interval": 10, "base_ejection_time": 30}
DEFAULTS |= {"max_ejection_percent": 10, "healthy_panic_threshold": 50}
LONGEST, RATE, HOSTS = 300, 60, 3  # max_ejection_time in seconds, requests a second to all, replicas
FIRST, OFTEN, BACK = 5, 40, 50.0  # failures, failures in ten minutes, seconds

WORDS = words("""
not-settings: SETTINGS is a dict with the five names, and numbers
    The table in the task: whole failures from 1 on, an interval of 0.1 s or more, seconds above 0, percent up to 100.
one-bad: one replica fails: at most five requests fail in the first twenty seconds
    How many failures in a row do you wait for? And how many percent of three are one?
two-bad: two replicas fail: at most ten requests fail in the first twenty seconds
    How many percent of three are two?
panic: two replicas are ejected, and they get no requests while they are out
    How many percent of the replicas are healthy then? Below which share does Envoy stop looking at health?
all-out: never are all three ejected
    All three fail: then it is not the replicas. How many percent of three are three?
chance: nobody well is ejected in twenty minutes, though one request in a hundred fails by chance
    How often does a well replica fail so many times in a row, at twenty requests a second?
too-often: one replica fails for ten minutes: at most forty requests fail
    Each time it comes back, it fails until it is out again. How often does it come back, and what lets
    the count fall that keeps it out for longer?
not-back: a replica that was ejected and is well again has requests within fifty seconds
    For how long is it out the first time, and how much later does the sweep come?
""")


class Log(namedtuple("Log", "requests ejections")):
    """Requests: (now, replica or None, failed, was out); ejections: (now, replica, how many are out then)."""

    def failed(self, end=1e9):
        return sum(failed for now, _, failed, _ in self.requests if now < end)


def live(settings=DEFAULTS, broken=1, hosts=HOSTS, seconds=60, until=1e9, chance=0.0) -> Log:
    """What a sidecar does with the replicas of a service, in simulated time. The first ``broken`` of them fail until a
    time, and all with a ``chance``. The rules are those of the task's table (envoyproxy.io, "Outlier detection", "Panic
    threshold"); as in a real one, 10% of nine are nobody. Raises ValueError for settings that are none."""
    if not is_settings(settings):
        raise ValueError(f"{settings!r} must have {', '.join(DEFAULTS)}, and numbers: see the table in the task")
    most_in_a_row, interval, base, percent, panic = (settings[name] for name in DEFAULTS)
    row, times, out, sweep, dice, log = [0] * hosts, [0] * hosts, {}, interval, Random(4), Log([], [])
    for step in range(int(seconds * RATE)):
        now = step / RATE
        while now >= sweep:
            for host in range(hosts):
                if host not in out:
                    times[host] = max(0, times[host] - 1)
                elif sweep - out[host] >= min(base * times[host], LONGEST):
                    del out[host]
            sweep += interval
        there = [host for host in range(hosts) if host not in out]
        there = range(hosts) if 100 * len(there) < panic * hosts else there
        host = there[step % len(there)] if there else None
        failed = host is None or (host < broken and now < until) or dice.random() < chance
        log.requests.append((now, host, failed, host in out))
        if host is None or host in out:
            continue
        row[host] = row[host] + 1 if failed else 0
        if row[host] >= most_in_a_row:
            row[host] = 0
            if 100 * (len(out) + 1) <= percent * hosts:
                out[host] = now
                times[host] += 1
                log.ejections.append((now, host, len(out)))
    return log


def is_settings(found):
    if not isinstance(found, dict) or set(found) != set(DEFAULTS):
        return False
    if any(isinstance(one, bool) or not isinstance(one, Real) or not 0 <= one < 1e6 for one in found.values()):
        return False
    count, interval, base, *percent = (found[name] for name in DEFAULTS)
    return count >= 1 and count == int(count) and interval >= 0.1 and base > 0 and max(percent) <= 100


class Replicas(Stage):
    def live(self, broken, seconds, **more):
        self.draw("you", "sidecar", shown(self.yours, 60), 0.0)
        if not is_settings(self.yours):
            self.refuse("not-settings", f"SETTINGS is {shown(self.yours, 200)}")
        log = live(self.yours, broken, HOSTS, seconds, **more)
        for now, host, _ in log.ejections[:6]:
            self.draw("sidecar", f"replica {host}", f"ejected at {now:.3g} s", now / 1000)
        return log


check_outliers = scenario("14", 3, "Three replicas", WORDS, go_on=True, SETTINGS=Replicas)
part = check_outliers.part


@part
def one_of_three_fails(r):
    log = r.live(1, 600)
    yield "one-bad", log.failed(20) <= FIRST, f"{log.failed(20)} requests fail in the first 20 s"
    told = f"{log.failed()} requests fail in 600 s; it was ejected {len(log.ejections)} times"
    yield "too-often", log.failed() <= OFTEN, told


@part
def two_of_three_fail(r):
    log = r.live(2, 20)
    told = f"{log.failed()} requests fail in the first 20 s; {len(log.ejections)} ejections"
    to_out = sum(was_out for *_, was_out in log.requests)
    yield "panic", not to_out, f"{told}; {to_out} requests go to those that are out"
    yield "two-bad", log.failed() <= 2 * FIRST, told


@part
def all_three_fail(r):
    most = max([out for *_, out in r.live(3, 60).ejections], default=0)
    yield "all-out", most < HOSTS, f"{most} of {HOSTS} were ejected at once"


@part
def all_three_are_well(r):
    found = len(r.live(0, 1200, chance=0.01).ejections)
    yield "chance", not found, f"{found} ejections in twenty minutes, though all are well"


@part
def well_again(r):
    log = r.live(1, 120, until=15)
    out = log.ejections[0][0] if log.ejections else 0.0
    back = next((now for now, host, *_ in log.requests if host == 0 and now > out), 120.0) - out
    yield "not-back", back <= BACK, f"it is ejected at {out:.2g} s, and has requests again {back:.3g} s later, or never"
