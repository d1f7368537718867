"""Exercise 1, repair: a balancer that is drawn into a black hole.

It is put to work in simulated time, where shares can be counted, and once on sockets.
"""

import random
import time
from math import inf

import requests
from flask import Flask
from requests.adapters import HTTPAdapter

from servicelab.checks.lab09.days import ERROR, WORK, N, day, draw, why_not
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import Balanced, attempt, closed_loop, traced
from servicelab.policies import PowerOfTwo
from servicelab.servers import serve

MOST, WORSE = 0.15, 1.15  # share of the broken one; × the mean time of two choices: the task says 1.1
BROKEN, REPAIRED = 20.0, 100.0  # seconds: fails until; is looked at from then on
THREADS, CALLS = 8, 80  # on sockets

WORDS = words("""
no-instance: pick returns the number of an instance, from 0 to n − 1
    What does your function return when nobody is left whom you like? When there is one instance only?
not-yours: pick leaves the list of the calls under way as it is
    Who counts them? What else is this list used for?
chance: two that begin with the same seed, and hear the same, pick the same
    From where does your balancer take its chance?
gone: an instance that is shown with inf calls is never picked, even if all the others have failed
    Does your pick draw first, and look at infinity afterwards? And whom does it take when nobody is left whom it likes?
black-hole: an instance fails at once: it gets 15 % of the calls at most
    What does your balancer take for a sign of health, and what else produces that sign?
two-choices: an instance fails at once: it gets 15 % of the calls at most (it is less than a quarter)
    Whatever compares only the number of calls favours it whenever it is among those compared. What do you hear of a
    call when it ends?
now-and-then: one in five of its answers is good: it gets 15 % of the calls at most
    What does one success wipe out?
slower: all are well: a call takes at most 1.1 times as long as with two choices, on average
    What does your balancer look at when nobody fails?
by-chance: one call in fifty fails, whoever answers it: a call takes at most 1.1 times as long as with two choices
    How many errors make a broken instance? How many instances are left for the others' work?
quick-and-well: an instance that is five times as quick, and well, gets its tenth at least
    What tells a quick answer from a quick error?
all-fail: all fail: none gets more than a third of the calls
    When everybody is bad, who is the least bad, and why is it still the same one a moment later?
never-back: it has been well again for eighty seconds: it gets a twentieth of the calls at least
    How would your balancer find out?
sockets: on sockets one of four fails at once: it gets 30 % of the calls at most
    What do you hear of a call when it ends, and what does your balancer make of it?
""")


class Picked(Stage):
    """The learner's balancer, a new one for each day."""

    def new(self, n=N, seed=7):
        return self.make(self.yours, n, random.Random(seed), methods=("pick", "heard"))

    def spend(self, **options):
        mine = self.new()

        def a_day_of_calls():
            return day(mine, self.ask.trace, **options)

        a_day_of_calls.__name__ = f"your balancer, in {options['seconds']} simulated seconds of calls,"
        found = self.call(a_day_of_calls, limit=9.0)
        self.last = found.mark or self.last
        if found.wrong:
            self.refuse("no-instance", found.wrong)
        return found

    def hole(self, fails):
        """The largest share of instance 0, with few callers and with many, and that in words."""
        shares = {callers: self.spend(seconds=20, callers=callers, fails=fails).share() for callers in (10, 40)}
        most = max(shares, key=shares.get)
        return shares[most], f"with {most} callers it got {shares[most]:.0%}"

    def against_two_choices(self, fails):
        """How many times as long a call takes as with two choices, over some days, and that in words."""
        mine, two = 0.0, 0.0
        for seed in (1, 2):
            same = {"seconds": 50, "since": 5, "load": 0.85, "fails": fails, "seed": seed}
            mine += self.spend(**same).mean / 2
            two += day(Two(), **same).mean / 2
        return mine / two, f"{mine * 1000:.0f} ms, and {two * 1000:.0f} ms with two choices"

    def pick(self, balancer, outstanding, now):
        return self.call(balancer.pick, outstanding, now)


class Two(PowerOfTwo):
    """What it is compared with."""

    def __init__(self):
        super().__init__(random.Random(7))

    def pick(self, outstanding, now):
        return super().pick(outstanding)

    def heard(self, index, took, ok, now):
        pass


check_balancer = scenario("09", 1, "A black hole", WORDS, go_on=True, Balancer=Picked)
part = check_balancer.part


@part
def who_is_there(p):
    for n in (1, 2, 3):
        balancer, wrong = p.new(n), ""
        for turn in range(30):
            index = p.pick(balancer, [turn % 3] * n, turn * 0.01)
            wrong = wrong or why_not(index, n)
            if not wrong:
                p.call(balancer.heard, index, ERROR, False, turn * 0.01 + ERROR)
        yield "no-instance", not wrong, wrong
    for heard, told in ((0, "and no call had ended yet"), (100, "which had failed ten times")):
        balancer = p.new()
        for turn in range(heard):
            now = turn * 0.01
            p.call(balancer.heard, turn % N, ERROR if turn % N == 4 else WORK, turn % N != 4, now)
        alone = [0 if one == 4 else inf for one in range(N)]
        shown = list(alone)
        picked = [p.pick(balancer, shown, 1.0 + turn / 100) for turn in range(20)]
        strange = [one for one in picked if one != 4]
        wrong = why_not(strange[0], N) if strange else ""
        p.last = draw(p.ask.trace, *(strange or [4])[:1], 1.0, 1.1, True)
        yield (
            "no-instance" if wrong else "gone",
            not strange,
            wrong or f"only number 4 was there, {told}: it picked {strange[:1]}",
        )
        yield "not-yours", shown == alone, f"number 4 had no call under way, and has {shown[4]} in the list now"


@part
def the_same_seed(p):
    one, other = (p.spend(seconds=5, load=0.5) for _ in range(2))
    yield "chance", one[:2] == other[:2], f"calls to each: {one.calls}, and from the same seed {other.calls}"


@part
def one_fails(p):
    share, told = p.hole(lambda index, now, dice: index == 0)
    yield "black-hole" if share > 0.25 else "two-choices", share <= MOST, told


@part
def one_fails_mostly(p):
    share, told = p.hole(lambda index, now, dice: index == 0 and dice.random() < 0.8)
    yield "now-and-then", share <= MOST, told


@part
def all_well(p):
    times, told = p.against_two_choices(lambda index, now, dice: False)
    yield "slower", times <= WORSE, told


@part
def one_is_quick(p):
    share = p.spend(seconds=40, since=5, load=0.7, pace=[1 / 5]).share()
    yield "quick-and-well", share >= 0.095, f"it got {share:.1%}"


@part
def errors_by_chance(p):
    times, told = p.against_two_choices(lambda index, now, dice: dice.random() < 0.02)
    yield "by-chance", times <= WORSE, told


@part
def all_fail_at_once(p):
    found = p.spend(seconds=2, callers=20, since=1, fails=lambda index, now, dice: True)
    most = max(found.calls)
    share = most / sum(found.calls)
    yield "all-fail", share <= 1 / 3, f"number {found.calls.index(most)} got {share:.0%}"


@part
def it_is_repaired(p):
    def fails(index, now, dice):
        return index == 0 and now < BROKEN

    share = p.spend(seconds=REPAIRED + 30, since=REPAIRED, load=0.5, fails=fails).share()
    yield "never-back", share >= 0.05, f"it got {share:.1%}"


def instance(number):
    app = Flask(f"inventory-{number}")

    def stock():
        if number == 0:
            return "no database", 500
        time.sleep(2 * WORK)
        return "7 left"

    app.add_url_rule("/", "stock", stock)
    return app


@part
def on_sockets(p):
    session = p.use(requests.Session())
    session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
    traced(session, p.ask.trace, "client")
    kinds = {"trace": p.ask.trace, "workers": THREADS}
    servers = [p.use(serve(instance(number), f"instance {number}", **kinds)) for number in range(4)]
    client = Balanced([attempt(session, "GET", one.url) for one in servers], p.new(len(servers)))

    def many_calls():
        closed_loop(client.call, THREADS, CALLS)

    p.call(many_calls, limit=9.0)
    p.last = next((one.id for one in p.ask.trace.calls if one.callee == "instance 0"), None)
    share = client.calls[0] / CALLS
    yield "sockets", share <= 0.3, f"{share:.0%} of {CALLS} calls went to the one that fails"
