"""Exercise 5, measure and decide: consumers, prefetch and queue limit for three bursts, each simulated on ten days."""

from servicelab.checks.lab03.newsletter import CHECKED, SIZES, Newsletter, not_possible, simulate
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

DAYS = 10  # simulated; in one of them anything may happen
ROOM = 0.9  # of the target: fewer consumers would do when they keep this
LEEWAY = 1.5  # times the target, when twice as much comes as was foreseen
LIMIT = 6.0  # seconds for the learner's function, for each newsletter; measuring takes one or two

WORDS = words(f"""
not-possible: plan_newsletter returns a dict with whole numbers for {", ".join(SIZES)}, of a size that can be
    Which kind of number does your division give? A prefetch of 0 is no limit, as in AMQP; a limit of 0 lets nobody in.
too-few: on {DAYS - 1} of {DAYS} simulated days nobody waits longer than the target
    How much work comes in the burst, and by when must the last of it have begun? Does your time for a mail hold on \
the average?
prefetch-few: … and no consumer is idle while mails wait
    What does a consumer do between its ack and the arrival of the next mail? How far away is the broker?
prefetch-many: … and no mail waits behind a slow one while others are idle
    What one consumer holds, no other can take.
too-many: with no more consumers than that takes
    A mail may wait: for how long? And is the way to the broker work?
limit-too-small: with your limit no mail of the newsletter is turned away
    How many mails are in the queue when the burst ends? And some for chance.
limit-too-large: if twice as many come, who is let in waits {LEEWAY:g} times the target at the most
    How long does a mail wait that comes to the end of a queue of your limit's length?
""")


class Season(Stage):
    """The learner's plan for one newsletter, and the days on which it goes out.

    Mails were ``slower_by`` seconds slower when the learner watched them, on the mean, for the machine was busy. Nobody
    has too many consumers who has as many as that takes; and since it does not come evenly, half as much again.
    """

    def plan(self, setting):
        self.setting = setting
        with Newsletter(setting) as newsletter:
            plan = self.call(self.yours, newsletter, returns=dict, limit=LIMIT)
        if told := f"it returned {shown(plan)}" if set(plan) != set(SIZES) else not_possible(plan):
            self.refuse("not-possible", told)
        self.consumers, self.prefetch, self.limit = (int(plan[key]) for key in SIZES)
        slower = 1.5 * newsletter.slower_by
        self.watched = setting._replace(usual=setting.usual + slower, slow=setting.slow + slower)

    def days(self, limit=None, times=1.0, days=DAYS, prefetch=None):
        """The newsletter on so many days, in the order of the longest wait."""
        plan = (self.setting, self.consumers, self.prefetch if prefetch is None else prefetch, limit)
        return sorted((simulate(*plan, seed=day, times=times) for day in range(days)), key=lambda day: day.longest)

    def would_do(self, consumers) -> bool:
        """Would so many, with a good prefetch, keep well below the target, on all days but one, with mails as they were
        watched?"""
        most, late = ROOM * self.setting.target, 0
        for day in range(DAYS):
            late += simulate(self.watched, consumers, self.setting.prefetch, seed=day).longest > most
            if late > 1:
                return False
        return True

    def why_late(self):
        """The code of a target that is missed: too few consumers, or a prefetch that leaves them idle."""
        if self.consumers < self.setting.consumers:
            return "too-few"
        return "prefetch-few" if 0 < self.prefetch < self.setting.prefetch else "prefetch-many"


check_newsletter_plan = scenario("03", 5, "A plan for a newsletter", WORDS, go_on=True, plan_newsletter=Season)


def _newsletter(number, setting):
    def goes_out(season):
        season.plan(setting)
        days, target, trace = season.days(), setting.target, season.ask.trace
        typical = days[DAYS // 2]
        season.last = typical.draw(trace)
        plan = f"{setting}: consumers {season.consumers}, prefetch {season.prefetch or 'no limit'}"
        waited = f"the longest wait was {typical.longest:.2f} s on a typical day, {days[-1].longest:.2f} s on the worst"
        yield season.why_late(), days[-2].longest <= target, f"{plan}: {waited}; the target is {target:g} s"
        needed = season.consumers == 1 or not season.would_do(season.consumers - 1)
        yield "too-many", needed, f"{plan}, and fewer would do"  # not how many: that is the exercise
        away = [0] * DAYS
        if any(day.queue > season.limit for day in days):  # else a limit changes nothing
            away = sorted(day.turned_away for day in season.days(season.limit))
        told = f"{setting}: {away[DAYS // 2]} on a typical day, {away[-1]} on the worst"
        yield "limit-too-small", away[-2] == 0, told
        doubled = season.days(season.limit, 2.0, DAYS // 2)
        code = "limit-too-large"
        if doubled[-2].longest > LEEWAY * target:
            few = season.days(season.limit, 2.0, DAYS // 2, setting.prefetch)  # what is held is over the limit
            code = code if few[-2].longest > LEEWAY * target else "prefetch-many"
            trace.clear()  # the day that went wrong is drawn
            season.last = doubled[DAYS // 4].draw(trace)
        told = f"{setting}: {doubled[DAYS // 4].longest:.2f} s on a typical day; the target is {target:g} s"
        yield code, doubled[-2].longest <= LEEWAY * target, told

    goes_out.__name__ = f"newsletter {number}"
    return goes_out


for _number, _setting in enumerate(CHECKED, 1):
    check_newsletter_plan.part(_newsletter(_number, _setting))
