"""Exercise 2, build: a canary controller, which hears of one request after another and has to decide. Seeded."""

from collections import Counter
from numbers import Real
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

FIRST, ALL = 100, 300  # requests of the new version: of the first part, and of all
EARLY, LATE = (0.05, 0.1), (0.2, 0.5)  # the least and the largest weight, in the first part and after it
LATER = [("new", False)] * 20 + [("old", False)] * 20 + [("new", True)] * 400  # what is heard after the decision
GO_ON, PROMOTE, ROLL_BACK = "go on", "promote", "roll back"

WORDS = words("""
wrong-type: weight() is a number, heard(version, ok) one of the three words
    Compare what you return with the list in the task. A share is 0.1, not 10.
weight: while it goes on, the weight keeps to its bounds
    How many requests has the new version answered when you change the weight? Only its own count,
    and only those of this rollout.
after: when it is decided, the weight is 1 or 0, and the decision stays
    Requests that were under way answer later. What do they change?
glaring: a new version that fails every second time is rolled back within 20 of its requests, in 95% of the runs
    How many failures in a row does it take until you are sure? Need you wait for all one hundred?
slow: 5% fail, and 1% of the old: it is rolled back within 100 of its requests in 65% of the runs
    How many of a hundred fail if it is as good as the old one? And if not? Where between the two is your bound?
missed: 5% fail, and 1% of the old: it is promoted in at most 5% of the runs
    A hundred requests do not tell for sure. What do you do with a version that had three failures in them?
false-alarm: it is as good as the old one, 1%: it is rolled back in at most 5% of the runs
    How often do you look? Each look is one more chance to be wrong. How likely is your bound to be met by a good one?
old-is-bad: both fail at 5%: it is rolled back in at most 5% of the runs
    What do you compare it with? A bound for the failures that fits an old version with 1% does not fit this one.
better: it fails less than the old one: it is not rolled back
    To be unlike the old one is no reason. In which direction?
undecided: when the new version has answered 300 requests, it is decided
    What does your heard() say when there was nothing to complain of?
""")


def rollout(Canary, seed, old, new):
    """One rollout, where these shares of the old and the new version fail: the decision (or ""), the requests and the
    failures of the new one until then, and what was wrong on the way (code, text), or None."""
    dice, canary, sent, failed, said, wrong = Random(seed), Canary(), 0, 0, GO_ON, None
    while said == GO_ON and sent < ALL:
        weight = canary.weight()
        if isinstance(weight, bool) or not isinstance(weight, Real):
            return "", sent, failed, ("wrong-type", f"weight gave {shown(weight)}")
        least, most = EARLY if sent < FIRST else LATE
        if not least - 1e-9 <= weight <= most + 1e-9:
            return "", sent, failed, ("weight", f"after {sent} requests of the new version it was {float(weight):.3g}")
        is_new = dice.random() < weight
        ok = dice.random() >= (new if is_new else old)
        sent += is_new
        failed += is_new and not ok
        said = canary.heard("new" if is_new else "old", ok)
    if said not in (GO_ON, PROMOTE, ROLL_BACK):
        return "", sent, failed, ("wrong-type", f"heard gave {shown(said)}")
    for version, ok in LATER if said != GO_ON else ():
        weight, then = canary.weight(), canary.heard(version, ok)
        if then != said or weight != (said == PROMOTE):
            wrong = "after", f"it said {said!r}, then {shown(then)}, with a weight of {shown(weight)}"
            break
    return said if said != GO_ON else "", sent, failed, wrong


class Rollouts(Stage):
    def share(self, old, new, runs, asked):
        """For each (code, decision, most requests, share) of ``asked``: at least, or at most -share, end so."""
        self.draw("router", "new", f"{new:.1%} fail")
        self.make(self.yours, methods=("weight", "heard"))
        ends = []
        for seed in range(runs):
            end, sent, failed, wrong = self.call(rollout, self.yours, seed, old, new, limit=12.0)
            if wrong or seed < 3:
                self.draw("new", "router", f"{failed} of {sent} failed: {end or '?'}")
            if wrong:
                self.refuse(*wrong)
            ends.append((end, sent))
        counts = ", ".join(f"{end or 'not decided'} {count}" for end, count in Counter(end for end, _ in ends).items())
        for code, decision, most, share in (*asked, ("undecided", "", ALL, -0.0)):
            found = sum(end == decision and sent <= most for end, sent in ends) / runs
            told = f"{found:.1%} of {runs}: {decision or 'not decided'} within {most} requests of the new version"
            yield code, found >= share > 0 or found <= -share, f"{told} (of all: {counts})"


check_canary = scenario("14", 2, "A canary", WORDS, Canary=Rollouts)
for title, *run in (
    ("half_of_them_fail", 0.01, 0.5, 60, [("glaring", ROLL_BACK, 20, 0.9)]),
    ("five_in_100_fail", 0.01, 0.05, 150, [("slow", ROLL_BACK, FIRST, 0.55), ("missed", PROMOTE, ALL, -0.08)]),
    ("as_good_as_the_old", 0.01, 0.01, 150, [("false-alarm", ROLL_BACK, ALL, -0.08)]),
    ("as_bad_as_the_old", 0.05, 0.05, 150, [("old-is-bad", ROLL_BACK, ALL, -0.08)]),
    ("better_than_the_old", 0.05, 0.005, 60, [("better", ROLL_BACK, ALL, -0.08)]),
):  # the task says 0.95, 0.65 and 0.05

    def part(c, run=run):
        yield from c.share(*run)

    part.__name__ = title
    check_canary.part(part)
