"""Exercise 2, build: a canary controller, which hears of one request after another and has to decide. Seeded."""

from random import Random

from servicelab.checks.lab14.drawn import Drawn
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

FIRST, ALL, RUNS = 100, 300, 200  # requests of the new version: of the first part, and of all; and runs
EARLY, LATE = 0.1, 0.5  # the largest weights, in the first part and after it
QUICK, AT_MOST, GLARING = 0.57, 0.08, 0.9  # what the check lets pass: the task says 0.65, 0.05 and 0.95
GO_ON, PROMOTE, ROLL_BACK = "go on", "promote", "roll back"

WORDS = words("""
wrong-type: weight() is a number, heard(version, ok) one of the three words
    Compare what you return with the list in the task. A share is 0.1, not 10.
too-much: the weight keeps to its bounds
    How many requests has the new version answered when you raise the weight? Only its own count.
starved: while it goes on, the new version gets requests: its weight is above 0
    How shall you ever know more, without a request?
after: when it is decided, the weight is 1 or 0, and the decision stays
    Requests that were under way answer later. What do they change?
glaring: a new version that fails every second time is rolled back within 20 of its requests, in 95 % of the runs
    How many failures in a row does it take until you are sure? Need you wait for all one hundred?
slow: 5 % fail, and 1 % of the old: it is rolled back within 100 of its requests in 65 % of the runs
    How many of a hundred fail if it is as good as the old one? And if not? Where between the two is your bound?
missed: 5 % fail, and 1 % of the old: it is promoted in at most 5 % of the runs
    A hundred requests do not tell for sure. What do you do with a version that had three failures in them?
false-alarm: it is as good as the old one, 1 %: it is rolled back in at most 5 % of the runs
    How often do you look? Each look is one more chance to be wrong. How likely is your bound to be met by a good one?
old-is-bad: both fail at 5 %: it is rolled back in at most 5 % of the runs
    What do you compare it with? A bound for the failures that fits an old version with 1 % does not fit this one.
better: it fails less than the old one: it is not rolled back
    To be unlike the old one is no reason. In which direction?
undecided: when the new version has answered 300 requests, it is decided
    What does your heard() say when there was nothing to complain of?
""")


def rollout(Canary, seed, old, new):
    """One rollout: the decision (or ``""``), the requests and the failures of the new version until then, and what was
    wrong on the way, if anything, as a code and a text. ``old`` and ``new`` are the shares that fail."""
    dice, canary, sent, failed, said = Random(seed), Canary(), 0, 0, GO_ON
    for _ in range(5000):
        if wrong := _weight(canary.weight(), sent):
            return "", sent, failed, wrong
        is_new = dice.random() < canary.weight()
        ok = dice.random() >= (new if is_new else old)
        sent += is_new
        failed += is_new and not ok
        said = canary.heard("new" if is_new else "old", ok)
        if said != GO_ON or sent >= ALL:
            break
    if said in (PROMOTE, ROLL_BACK):
        return said, sent, failed, _after(canary, said)
    return "", sent, failed, None if said == GO_ON else ("wrong-type", f"heard gave {shown(said)}")


def _weight(weight, sent):
    told = f"the new version had answered {sent} requests, and weight gave {shown(weight)}"
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        return "wrong-type", told
    if weight > (EARLY if sent < FIRST else LATE) + 1e-9:
        return "too-much", told
    return None if weight > 0 else ("starved", told)


def _after(canary, said):
    for version, ok in [("new", False)] * 20 + [("old", False)] * 20 + [("new", True)] * 400:
        weight, then = canary.weight(), canary.heard(version, ok)
        if then != said or weight != (said == PROMOTE):
            return "after", f"it said {said!r}, then {shown(then)}, with a weight of {shown(weight)}"
    return None


def practice_rollouts(Canary, old=0.01, new=0.05):
    """What becomes of 100 rollouts: a text."""
    runs = [rollout(Canary, seed, old, new)[:2] for seed in range(5001, 5101)]
    ends, quick = [end for end, _ in runs], sum(end == ROLL_BACK and sent <= FIRST for end, sent in runs)
    back = f"{ends.count(ROLL_BACK)} rolled back ({quick} within {FIRST} requests of the new version)"
    return f"of 100: {back}, {ends.count(PROMOTE)} promoted, {ends.count('')} undecided"


class Rollouts(Drawn):
    def run(self, old, new, first, runs=RUNS):
        """The decisions of so many rollouts, each with an object of its own, and after how many requests of the new
        version they came: a list of pairs."""
        self.draw("router", "new", f"{new:.1%} fail")
        self.make(self.yours, methods=("weight", "heard"))
        ends = []
        for seed in range(first, first + runs):
            end, sent, failed, wrong = self.call(rollout, self.yours, seed, old, new, limit=12.0)
            if wrong or seed < first + 3:
                self.draw("new", "router", f"{failed} of {sent} failed: {end or '?'}")
            if wrong:
                self.refuse(*wrong)
            ends.append((end, sent))
        return ends


check_canary = scenario("14", 2, "A canary", WORDS, Canary=Rollouts)


def share(ends, which, most=ALL):
    return sum(end == which and sent <= most for end, sent in ends) / len(ends)


def is_decided(ends):
    return (
        "undecided",
        not share(ends, ""),
        f"{share(ends, ''):.1%} were not decided after {ALL} requests of the new version",
    )


@check_canary.part
def half_of_them_fail(c):
    quick = share(c.run(0.01, 0.5, 3001, 60), ROLL_BACK, 20)
    yield "glaring", quick >= GLARING, f"{quick:.1%} were rolled back within 20 requests of the new version"


@check_canary.part
def five_of_a_hundred_fail(c):
    ends = c.run(0.01, 0.05, 1)
    quick, missed = share(ends, ROLL_BACK, FIRST), share(ends, PROMOTE)
    yield "slow", quick >= QUICK, f"{quick:.1%} were rolled back within {FIRST} requests of the new version"
    yield "missed", missed <= AT_MOST, f"{missed:.1%} were promoted"
    yield is_decided(ends)


def must_stay(code, title, *run):
    def part(c):
        ends = c.run(*run)
        wrong = share(ends, ROLL_BACK)
        yield code, wrong <= AT_MOST, f"{wrong:.1%} were rolled back"
        yield is_decided(ends)

    part.__name__ = title
    check_canary.part(part)


must_stay("false-alarm", "as_good_as_the_old", 0.01, 0.01, 1)
must_stay("old-is-bad", "as_bad_as_the_old", 0.05, 0.05, 1001)
must_stay("better", "better_than_the_old", 0.05, 0.005, 2001, 60)
