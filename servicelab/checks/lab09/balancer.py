"""Exercise 1, repair: a balancer that is drawn into a black hole: days in simulated time, and calls on sockets."""

import time
from math import inf
from random import Random

import requests

from servicelab.checks.lab09.days import ERROR, WORK, N, day, why_not
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import Balanced, attempt, closed_loop, traced
from servicelab.policies import PowerOfTwo
from servicelab.servers import serve

MOST, WORSE = 0.15, 1.15  # share of the broken one; × the mean time of two choices: the task says 1.1
THREADS, CALLS = 8, 80  # on sockets

WORDS = words("""
no-instance: pick returns the number of an instance, from 0 to n − 1
    What does your function return when nobody is left whom you like? When there is one instance only?
not-yours: pick leaves the list of the calls under way as it is
    Who counts them? What else is this list used for?
gone: an instance that is shown with inf calls is never picked, even if all the others have failed
    Does your pick draw first, and look at infinity afterwards? And whom does it take when nobody is left whom it likes?
chance: two that begin with the same seed, and hear the same, pick the same
    From where does your balancer take its chance?
black-hole: an instance fails at once: it gets 15% of the calls at most
    Who is at once done with his calls has few under way. What do you hear of a call when it ends, and what does that
    weigh with an instance that has none under way?
now-and-then: one in five of its answers is good: it gets 15% of the calls at most
    What does one success wipe out?
never-back: it has been well again for eighty seconds: it gets a twentieth of the calls at least
    How would your balancer find out, and how soon? By whose clock does it wait?
all-fail: all fail: none gets more than a third of the calls
    When everybody is bad, who is the least bad, and why is it still the same one a moment later?
quick-and-well: an instance that is five times as quick, and well, gets its tenth at least
    What tells a quick answer from a quick error?
slower: all are well: a call takes at most 1.1 times as long as with two choices, on average
    What does your balancer look at when nobody fails?
by-chance: one call in fifty fails, whoever answers it: a call takes at most 1.1 times as long as with two choices
    How many errors make a broken instance? How many instances are left for the others' work?
sockets: on sockets one of four fails at once: it gets 30% of the calls at most
    What do you hear of a call when it ends, and what does your balancer make of it?
""")


class Picked(Stage):
    """The learner's balancer, a new one for each day."""

    def new(self, n=N):
        self.ask.trace.clear()
        return self.make(self.yours, n, Random(7), methods=("pick", "heard"))

    def pick(self, balancer, outstanding, now):
        index = self.call(balancer.pick, outstanding, now)
        self.draw("client", "the instances", f"to {index}", now)
        if wrong := why_not(index, len(outstanding)):
            self.refuse("no-instance", wrong)
        return index

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

    def share(self, code, least, most, **options):
        """Is the share of the first instance on such a day what it should be?"""
        share, who = (
            self.spend(**options).share(),
            f" with {options['callers']} callers" if "callers" in options else "",
        )
        return code, least <= share <= most, f"it got {share:.1%}{who}"

    def against_two_choices(self, code, **options):
        """Is a call on such a day not much slower than with two choices?"""
        same = {"seconds": 95, "since": 5, "load": 0.85, **options}
        mine, two = self.spend(**same).mean, day(PowerOfTwo(Random(7)), **same).mean
        return code, mine <= WORSE * two, f"{mine * 1000:.0f} ms, and {two * 1000:.0f} ms with two choices"


check_balancer = scenario("09", 1, "A black hole", WORDS, go_on=True, Balancer=Picked)
part = check_balancer.part


@part
def who_is_there(p):
    for n in (1, 2, 3):
        balancer = p.new(n)
        for turn in range(30):
            index = p.pick(balancer, [turn % 3] * n, turn / 100)
            p.call(balancer.heard, index, ERROR, False, turn / 100 + ERROR)
    for calls, told in ((0, "and no call had ended yet"), (100, "which had failed ten times")):
        balancer, alone = p.new(), [0 if index == 4 else inf for index in range(N)]
        for turn in range(calls):
            p.call(balancer.heard, turn % N, ERROR if turn % N == 4 else WORK, turn % N != 4, turn / 100)
        for turn in range(20):
            index = p.pick(balancer, alone, 1 + turn / 100)
            yield "gone", index == 4, f"only number 4 was there, {told}: it picked {index}"
        yield "not-yours", alone[4] == 0, f"number 4 had no call under way, and has {alone[4]} in the list now"


@part
def the_same_seed(p):
    one, other = (p.spend(seconds=5, load=0.5) for _ in range(2))
    yield "chance", one[:2] == other[:2], f"calls to each: {one.calls}, and from the same seed {other.calls}"


@part
def one_fails(p):
    for code, bad in (("black-hole", 1), ("now-and-then", 0.8)):
        for callers in (10, 40):
            yield p.share(code, 0, MOST, seconds=20, callers=callers, bad=[bad])


@part
def it_is_repaired(p):
    yield p.share("never-back", 0.05, 1, seconds=130, since=100, load=0.5, bad=[1], until=20)


@part
def all_fail_at_once(p):
    calls = p.spend(seconds=2, callers=20, since=1, bad=[1] * N).calls
    share = max(calls) / sum(calls)
    yield "all-fail", share <= 1 / 3, f"number {calls.index(max(calls))} got {share:.0%}"


@part
def one_is_quick(p):
    yield p.share("quick-and-well", 0.095, 1, seconds=40, since=5, load=0.7, pace=[1 / 5])


@part
def as_quick_as_two_choices(p):
    yield p.against_two_choices("slower")
    yield p.against_two_choices("by-chance", bad=[0.02] * N)


def instance(number):
    """A WSGI app; the one of number 0 has no database."""

    def stock(environ, start_response):
        time.sleep(2 * WORK if number else 0)
        start_response("200 OK" if number else "500 no database", [("Content-Length", "0")])
        return []

    return stock


@part
def on_sockets(p):
    session = p.use(traced(requests.Session(), p.ask.trace, "client"))
    servers = [p.use(serve(instance(number), f"instance {number}", trace=p.ask.trace)) for number in range(4)]
    client = Balanced([attempt(session, "GET", one.url) for one in servers], p.new(len(servers)))

    def many_calls():
        closed_loop(client.call, THREADS, CALLS)

    p.call(many_calls, limit=9.0)
    p.last = next((one.id for one in p.ask.trace.calls if one.callee == "instance 0"), None)
    share = client.calls[0] / CALLS
    yield "sockets", share <= 0.3, f"{share:.0%} of {CALLS} calls went to the one that fails"
