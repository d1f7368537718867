"""Exercise 4, measure and decide: how much room for copies, and for how long, read off the log of a day."""

from numbers import Real

from servicelab.checks.lab07.plans import CASES, CHECKED, hits, right
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: plan returns a dict from each of the five cases to a number, or to None
    Compare what you return with the list in the task, case by case.
ceiling: the share that a cache without end answers
    Which calls can no cache answer, however large it is?
size: the least room with which the goal is reached
    What leaves a full cache? What makes a page the last one to go? Is just the goal enough?
ttl: the least whole number of seconds with which the goal is reached
    At which moment does a copy's life begin, and what does a call in between change about it? What holds at its end?
no-number: where no number does, it is None; where one does, it is a number
    How far does your search go? What is the most that it can find?
both: the least room, if copies live for day.fresh seconds
    Where does a page stand that was too old and is fetched anew?
cheapest: the room with which place and work cost least, be it none at all
    Draw the curve of the costs over all sizes, from 0 on. What does each further place save, and what does it cost?
""")


class Planned(Stage):
    def plan(self, day):
        """The learner's numbers for a day, with those that are right."""
        found, wanted = self.call(self.yours, day, returns=dict, limit=6.0), right(day)
        self.ask.trace.clear()
        self.said = {}
        for at, case in enumerate(CASES):
            number = found.get(case, "nothing")
            label = f"{case}: {str(number)[:12]}"
            self.last = self.said[case] = self.ask.trace.send("client", "gateway", label, at=at / 100)
            self.ask.trace.receive(self.last, "gateway", at=at / 100 + 0.005)
            if not (number is None or isinstance(number, Real)):
                self.refuse("wrong-type", f"for {case!r} it gave {shown(number)}")
        return found, wanted


check_room = scenario("07", 4, "How much room", WORDS, plan=Planned)


@check_room.part
def five_days(p):
    for number, day in enumerate(CHECKED, 1):
        found, wanted = p.plan(day)
        for case in CASES:
            mine, due, p.last = found[case], wanted[case], p.said[case]
            code = "no-number" if (mine is None) != (due is None) else case
            is_right = mine == due or (case == "ceiling" and mine is not None and abs(mine - due) < 0.005)
            told = f"day {number}, {len(day.calls)} calls for {day.pages} pages: for {case!r} it said {mine}"
            if code in ("size", "ttl") and isinstance(mine, int):
                told += f", which answers {hits(day, **{case: mine}) / len(day.calls):.2%}; the goal is {day.goal:.2%}"
            yield code, is_right, told
