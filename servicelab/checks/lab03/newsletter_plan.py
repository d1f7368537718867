"""Exercise 5, measure and decide: consumers, prefetch and queue limit for three bursts, each simulated on ten days."""

from itertools import islice

from servicelab.checks.lab03.newsletter import CHECKED, SIZES, Newsletter, not_possible, simulate
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

DAYS = 10  # simulated; in one of them anything may happen
ROOM = 0.9  # of the target: fewer consumers would do when they keep this
LEEWAY = 1.5  # times the target, when twice as much comes as was foreseen
LIMIT = 6.0  # seconds for the learner's function, for each newsletter; measuring takes one or two
DRAWN = 14  # mails

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


def days(*plan, count=DAYS, **more):
    """The newsletter on so many days, in the order of the longest wait."""
    return sorted((simulate(*plan, seed=day, **more) for day in range(count)), key=lambda day: day.longest)


def would_do(setting, consumers) -> bool:
    """Would so many, with a good prefetch, keep well below the target on all days but one?"""
    plan, most = (setting, consumers, setting.prefetch), ROOM * setting.target
    late = (day for day in range(DAYS) if simulate(*plan, seed=day).longest > most)
    return len(list(islice(late, 2))) < 2


class Season(Stage):
    """The learner's plan for a newsletter, and the days on which it goes out."""

    def plan(self, setting) -> list[int]:
        """The learner's numbers."""
        with Newsletter(setting) as newsletter:
            plan = self.call(self.yours, newsletter, returns=dict, limit=LIMIT)
        if told := f"it returned {shown(plan)}" if set(plan) != set(SIZES) else not_possible(plan):
            self.refuse("not-possible", told)
        return [int(plan[key]) for key in SIZES]

    def draw(self, day):
        """Draw some mails, from when each was published to when its work began; that which waited longest is marked."""
        trace = self.ask.trace
        trace.clear()
        sent = sorted((mail.began - mail.published, mail.published, mail.began) for mail in day.tasks if mail.began)
        for waited, published, began in reversed(sent[:: -(len(sent) // DRAWN or 1)]):
            self.last = trace.send("orders", "consumers", f"waits {waited:.2f} s", kind="message", at=published)
            trace.receive(self.last, "consumers", at=began)


check_newsletter_plan = scenario("03", 5, "A plan for a newsletter", WORDS, go_on=True, plan_newsletter=Season)


def goes_out(season, setting):
    consumers, prefetch, limit = season.plan(setting)
    plan = f"{setting}: consumers {consumers}, prefetch {prefetch or 'no limit'}"
    target = f"the target is {setting.target:g} s"
    usual = days(setting, consumers, prefetch)
    typical = usual[DAYS // 2]
    season.draw(typical)
    code = "prefetch-few" if 0 < prefetch < setting.prefetch else "prefetch-many"
    code = "too-few" if consumers < setting.consumers else code
    told = f"the longest wait was {typical.longest:.2f} s on a typical day, {usual[-1].longest:.2f} s on the worst"
    yield code, usual[-2].longest <= setting.target, f"{plan}: {told}; {target}"
    needed = consumers == 1 or not would_do(setting, consumers - 1)
    yield "too-many", needed, f"{plan}, and fewer would do"  # not how many: that is the exercise
    away = [0] * DAYS
    if any(day.queue > limit for day in usual):  # else a limit changes nothing
        away = sorted(day.turned_away for day in days(setting, consumers, prefetch, limit))
    yield "limit-too-small", away[-2] == 0, f"{setting}: {away[DAYS // 2]} on a typical day, {away[-1]} on the worst"
    most, twice = LEEWAY * setting.target, {"times": 2.0, "count": DAYS // 2}
    doubled = days(setting, consumers, prefetch, limit, **twice)
    code, is_kept = "limit-too-large", doubled[-2].longest <= most
    if not is_kept:
        season.draw(doubled[DAYS // 4])
        if days(setting, consumers, setting.prefetch, limit, **twice)[-2].longest <= most:
            code = "prefetch-many"  # what is held is over the limit
    yield code, is_kept, f"{setting}: {doubled[DAYS // 4].longest:.2f} s on a typical day; {target}"


check_newsletter_plan.parts({f"newsletter {number}": (one,) for number, one in enumerate(CHECKED, 1)}, goes_out)
