"""Exercise 3, repair: outlier detection on three replicas. A model of Envoy's, in simulated time."""

from numbers import Real
from random import Random

from servicelab.checks.lab14.drawn import Drawn
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.table import Table

#: Envoy's defaults (envoyproxy.io: "Outlier detection (proto)", "Panic threshold"), in numbers, seconds and percent.
DEFAULTS = {"consecutive_5xx": 5, "interval": 10, "base_ejection_time": 30}
DEFAULTS |= {"max_ejection_percent": 10, "healthy_panic_threshold": 50}
LONGEST = 300  # max_ejection_time, in seconds
RATE, HOSTS = 60, 3  # requests a second to all, and replicas
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
    Each time it comes back, it fails until it is out again. How often does it come back?
not-back: a replica that was ejected and is well again has requests within fifty seconds
    For how long is it out the first time, and how much later does the sweep come?
""")


class Cluster:
    """What a sidecar does with the replicas of a service, in simulated time.

    - ``consecutive_5xx`` failures in a row eject a host, if with it at most ``max_ejection_percent`` of the hosts are
      out. Otherwise its count begins anew.
    - Every ``interval`` seconds a sweep lets those back who were out for ``base_ejection_time`` × the number of their
      ejections, 300 s at most. That number falls by one with each sweep that finds a host in.
    - Requests go round the hosts that are in; if those are less than ``healthy_panic_threshold`` percent: round all.

    ``fails(host, now, dice)`` says whether a request fails. Source: envoyproxy.io, "Outlier detection" and "Panic
    threshold". As in a real one, 10 percent of fewer than ten hosts are nobody.
    """

    def __init__(self, settings, fails, hosts=HOSTS):
        self.settings, self.fails, self.hosts, self.dice = settings, fails, hosts, Random(4)
        self.row, self.times, self.out = [0] * hosts, [0] * hosts, {}  # out: the host, and since when
        self.log, self.ejections = [], []  # (now, host, failed) and (now, host)
        self.most_out = self.panicked = 0  # hosts out at once, requests to those that are out

    def run(self, seconds):
        sweep = self.settings["interval"]
        for step in range(int(seconds * RATE)):
            now = step / RATE
            while now >= sweep:
                self._sweep(sweep)
                sweep += self.settings["interval"]
            there = [host for host in range(self.hosts) if host not in self.out]
            if 100 * len(there) < self.settings["healthy_panic_threshold"] * self.hosts:
                there = range(self.hosts)
            host = there[step % len(there)] if there else None
            self.log.append((now, host, host is None or self.fails(host, now, self.dice)))
            self.panicked += host in self.out
            if there:
                self._heard(*self.log[-1])
        return self

    def _heard(self, now, host, failed):
        self.row[host] = self.row[host] + 1 if failed else 0
        if self.row[host] >= self.settings["consecutive_5xx"] and host not in self.out:
            self.row[host] = 0
            if 100 * (len(self.out) + 1) <= self.settings["max_ejection_percent"] * self.hosts:
                self.out[host] = now
                self.times[host] += 1
                self.ejections.append((now, host))
                self.most_out = max(self.most_out, len(self.out))

    def _sweep(self, now):
        for host in range(self.hosts):
            if host not in self.out:
                self.times[host] = max(0, self.times[host] - 1)
            elif now - self.out[host] >= min(self.settings["base_ejection_time"] * self.times[host], LONGEST):
                del self.out[host]

    def failed(self, end=1e9):
        return sum(failed for now, _, failed in self.log if now < end)


def bad(*hosts, until=1e9, chance=0.0):
    """These hosts fail until a time, and each request with this chance."""
    return lambda host, now, dice: (host in hosts and now < until) or dice.random() < chance


def cluster(settings=DEFAULTS, broken=1, hosts=HOSTS, seconds=60):
    """A minute with so many hosts, of which some are broken: a table. Raises ValueError for settings that are none."""
    if not is_settings(settings):
        raise ValueError(f"{settings!r} must have {', '.join(DEFAULTS)}, and numbers: see the table in the task")
    c = Cluster(settings, bad(*range(broken)), hosts).run(seconds)
    heard = [[failed for _, which, failed in c.log if which == host] for host in range(hosts)]
    rows = [(host, len(one), sum(one)) for host, one in enumerate(heard)]
    return Table(("replica", "requests", "failed"), rows, f"{c.failed()} of {len(c.log)} requests fail")


def is_settings(found):
    if not isinstance(found, dict) or set(found) != set(DEFAULTS):
        return False
    if any(isinstance(one, bool) or not isinstance(one, Real) or not 0 <= one < 1e6 for one in found.values()):
        return False
    count, interval, base, *percent = (found[name] for name in DEFAULTS)
    return count >= 1 and count == int(count) and interval >= 0.1 and base > 0 and max(percent) <= 100


class Replicas(Drawn):
    def run(self, fails, seconds):
        self.draw("you", "sidecar", shown(self.yours, 60), 0.0)
        if not is_settings(self.yours):
            self.refuse("not-settings", f"SETTINGS is {shown(self.yours, 200)}")
        c = Cluster(self.yours, fails).run(seconds)
        for now, host in c.ejections[:6]:
            self.draw("sidecar", f"replica {host}", f"ejected at {now:.3g} s", now / 1000)
        return c


check_outliers = scenario("14", 3, "Three replicas", WORDS, go_on=True, SETTINGS=Replicas)
part = check_outliers.part


@part
def one_of_three_fails(r):
    c = r.run(bad(0), 600)
    yield "one-bad", c.failed(20) <= FIRST, f"{c.failed(20)} requests fail in the first 20 s"
    told = f"{c.failed()} requests fail in 600 s; it was ejected {len(c.ejections)} times"
    yield "too-often", c.failed() <= OFTEN, told


@part
def two_of_three_fail(r):
    c = r.run(bad(0, 1), 20)
    told = f"{c.failed()} requests fail in the first 20 s; {len(c.ejections)} ejections"
    yield "panic", not c.panicked, f"{told}; {c.panicked} requests go to those that are out"
    yield "two-bad", c.failed() <= 2 * FIRST, told


@part
def all_three_fail(r):
    c = r.run(bad(0, 1, 2), 60)
    yield "all-out", c.most_out < HOSTS, f"{c.most_out} of {HOSTS} were ejected at once"


@part
def all_three_are_well(r):
    found = len(r.run(bad(chance=0.01), 1200).ejections)
    yield "chance", not found, f"{found} ejections in twenty minutes, though all are well"


@part
def well_again(r):
    c = r.run(bad(0, until=15), 120)
    out = c.ejections[0][0] if c.ejections else 0.0
    back = next((now for now, host, _ in c.log if host == 0 and now > out), 120.0) - out
    yield "not-back", back <= BACK, f"it is ejected at {out:.2g} s, and has requests again {back:.3g} s later, or never"
