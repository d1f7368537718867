"""Exercise 5, measure and decide: how many instances a shop needs, so that somebody is there when some are not."""

from numbers import Integral

from servicelab.checks.lab09.plans import CASES, CHECKED, for_goal, right
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: plan returns a dict from each of the six cases to a whole number, or to None
    Compare what you return with the list in the task, case by case.
all-up, too-high: all are up: the least number that bears the peak and keeps the promise
    Up to which rate did one instance keep it? What is the number when it comes out even?
lucky-row: all are up: the least number that bears the peak and keeps the promise (the test has two opinions here)
    Sort the test by its rates. Where was the promise broken for the first time?
deaths: one dies, two die: the least number of which enough are left
    How many are left, and what does each of them get?
zone: the largest zone is gone: the least number of which enough are left
    How many are in the largest zone, out of the number that you say? The others have to bear all of the peak.
zone-and-one: a zone is gone and one dies: the least number of which enough are left
    One more in all is not one more in the zones that are left.
no-number: where no number does, it is None
    All of them are in this zone, or need this database. Whom do copies help there?
shared: the goal is kept: the least number, with the database that all of them need
    What else must be up, besides enough instances? In a row you multiply.
goal: the goal is kept: the least number
    With n copies, how likely is it that just k work? And that enough do? One more in store does not always do.
""")


class Planned(Stage):
    def plan(self, shop):
        """The learner's numbers for a shop, with those that are right."""
        found, wanted = self.call(self.yours, shop, returns=dict), right(shop)
        for case in CASES:
            number = found.get(case, "nothing")
            fits = number is None or (isinstance(number, Integral) and number > 0)
            each = shop.peak / number if fits and number else 0.0
            self.last = self.ask.trace.send("client", "instance", f"{case}: {each:.0f}/s", at=CASES.index(case) / 100)
            self.ask.trace.receive(self.last, "instance", at=CASES.index(case) / 100 + 0.005)
            if not fits:
                self.refuse("wrong-type", f"for {case!r} it gave {shown(number)}")
        return found, wanted


check_headroom = scenario("09", 5, "Headroom", WORDS, plan=Planned)


@check_headroom.part
def four_shops(p):
    for shop in CHECKED:
        found, wanted = p.plan(shop)
        for case in CASES:
            mine, due = found[case], wanted[case]
            told = f"a peak of {shop.peak} calls/s, zones: {shop.zones}: for {case!r} it said {mine}"
            yield _code(shop, case, found, due), mine == due, told


def _code(shop, case, found, due):
    """The code of a number that is not the one that is ``due``: what was overlooked."""
    mine = found[case]
    if case == "all up":
        lucky = max(rate for rate, took in shop.test if took <= shop.promise)
        is_lucky = mine != due and mine == -(-shop.peak // lucky)
        return "lucky-row" if is_lucky else "too-high" if mine and mine > due else "all-up"
    if (mine is None) != (due is None):
        return "no-number"
    if case == "goal":
        return "shared" if mine != due and mine == for_goal(shop, 1.0) else "goal"
    return {"zone": "zone", "zone and one": "zone-and-one"}.get(case, "deaths")
